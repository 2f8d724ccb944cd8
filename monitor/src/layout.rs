//! Several fields of an object with one read: `Btf, paths ──Layout──▶ Span ──read──▶ Content ──Slot──▶ numbers`.
//!
//! From the first to the last of them it is one piece: what is copied in vain costs less than another place to read.

use crate::error::ReadError;
use crate::kernel::Kernel;
use crate::list::Links;
use crate::object::VALUE_BYTES_MAX;
use crate::page_table::Gva;
use ktstr_btf::{Btf, FieldError, Shape};
use std::ops::Range;
use std::sync::Arc;

/// Fields of one type and the bytes from the first to the last of them.
pub(crate) struct Layout<'a> {
    btf: &'a Btf,
    of: &'static str,
    start: u64,
    end: u64,
}

/// What a [`Layout`] became: the bytes to read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    start: u64,
    bytes: usize,
}

/// One field of a [`Layout`].
#[derive(Debug, Clone)]
pub(crate) struct Slot {
    pub(crate) offset: u64,
    shape: Shape,
}

impl Slot {
    const NONE: Self = Self { offset: 0, shape: Shape::Bool };

    pub(crate) fn bytes(&self, btf: &Btf) -> u64 {
        self.shape.bytes(btf).unwrap_or_default()
    }
}

impl<'a> Layout<'a> {
    pub(crate) fn new(btf: &'a Btf, of: &'static str) -> Self {
        Self { btf, of, start: u64::MAX, end: 0 }
    }

    /// A field that every kernel has.
    pub(crate) fn field(&mut self, path: &str) -> Result<Slot, FieldError> {
        let misfit = |problem: &str| FieldError::Misfit { path: path.to_owned(), problem: problem.to_owned() };
        let field = self.btf.field(self.of, path)?;
        let bytes = field.shape.bytes(self.btf).filter(|bytes| *bytes <= VALUE_BYTES_MAX);
        let bytes = bytes.ok_or_else(|| misfit("it has no size"))?;
        if !field.hops.is_empty() {
            return Err(misfit("it is behind a pointer"));
        }
        self.start = self.start.min(field.offset);
        self.end = self.end.max(field.offset.saturating_add(bytes));
        Ok(Slot { offset: field.offset, shape: field.shape })
    }

    /// Some of them.
    pub(crate) fn fields<const N: usize>(&mut self, paths: [&str; N]) -> Result<[Slot; N], FieldError> {
        let mut problem = None;
        let slots = paths.map(|path| self.field(path).map_err(|error| problem = Some(error)).unwrap_or(Slot::NONE));
        problem.map_or(Ok(slots), Err)
    }

    pub(crate) fn span(&self) -> Span {
        let start = self.start.min(self.end);
        Span { start, bytes: (self.end - start).min(VALUE_BYTES_MAX) as usize }
    }
}

impl Span {
    /// With what is behind the fields, up to an offset.
    pub(crate) fn up_to(self, end: u64) -> Self {
        Self { bytes: self.bytes.max(end.saturating_sub(self.start).min(VALUE_BYTES_MAX) as usize), ..self }
    }

    /// The bytes of the object at `at`.
    pub(crate) fn read(&self, kernel: &Kernel, at: Gva) -> Result<Content, ReadError> {
        let mut bytes = vec![0; self.bytes];
        kernel.read(at.plus(self.start), &mut bytes)?;
        Ok(Content { start: self.start, bytes: 0..self.bytes, of: bytes.into() })
    }

    /// The bytes of several objects, with few calls; `None`: of this one they cannot be read.
    pub(crate) fn read_many(&self, kernel: &Kernel, at: &[Gva]) -> Vec<Option<Content>> {
        if self.bytes == 0 {
            return at.iter().map(|_| None).collect();
        }
        // One buffer for all: the allocator would give so many small ones back to the host each time.
        let mut bytes = vec![0; self.bytes * at.len()];
        let places = at.iter().map(|at| at.plus(self.start));
        if kernel.read_many(places.zip(bytes.chunks_exact_mut(self.bytes))).is_err() {
            // One that cannot be read is in the way of all.
            return at.iter().map(|at| self.read(kernel, *at).ok()).collect();
        }
        let of = Arc::new(bytes);
        let content = |index| {
            let bytes = index * self.bytes..(index + 1) * self.bytes;
            Some(Content { start: self.start, bytes, of: of.clone() })
        };
        (0..at.len()).map(content).collect()
    }
}

/// What was read of one object.
pub(crate) struct Content {
    start: u64,
    /// Its part of what was read.
    bytes: Range<usize>,
    of: Arc<Vec<u8>>,
}

impl Content {
    /// The number in a field; a negative one with its sign.
    pub(crate) fn number(&self, slot: &Slot) -> u64 {
        slot.shape.word(self.bytes(slot.offset))
    }

    /// The numbers in some fields.
    pub(crate) fn numbers<const N: usize>(&self, slots: &[Slot; N]) -> [u64; N] {
        slots.each_ref().map(|slot| self.number(slot))
    }

    /// The bytes from an offset on.
    fn bytes(&self, offset: u64) -> &[u8] {
        let all = self.of.get(self.bytes.clone()).unwrap_or_default();
        offset.checked_sub(self.start).and_then(|from| all.get(from as usize..)).unwrap_or_default()
    }

    /// The text in an array of `char`.
    pub(crate) fn text(&self, slot: &Slot) -> String {
        let length = match slot.shape {
            Shape::Text { bytes } => bytes as usize,
            _ => 0,
        };
        let bytes = self.bytes(slot.offset);
        text(bytes.get(..length).unwrap_or(bytes))
    }

    /// The pointers of a list's node.
    pub(crate) fn links(&self, slots: &[Slot; 2]) -> Links {
        let [next, prev] = self.numbers(slots).map(Gva);
        Links { next, prev }
    }

    /// Some words from an offset on.
    pub(crate) fn words(&self, offset: u64, count: usize) -> Vec<u64> {
        let words = self.bytes(offset).chunks_exact(8).take(count);
        words.filter_map(|word| word.first_chunk().copied().map(u64::from_le_bytes)).collect()
    }
}

/// Text up to its first NUL; what is no UTF-8 is replaced.
pub(crate) fn text(bytes: &[u8]) -> String {
    let text = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(text).into_owned()
}
