//! Objects of a kernel: one value by its path, or several with one read.

use crate::error::ReadError;
use crate::kernel::Kernel;
use crate::list::Links;
use crate::page_table::Gva;
use ktstr_btf::{Btf, Field, FieldError, Shape, TypeId, Value};

/// Arrays and structs that are read whole are not larger.
const VALUE_BYTES_MAX: u64 = 1 << 20;

/// Something at an address, with its type.
#[derive(Clone, Copy)]
pub struct Object<'k> {
    kernel: &'k Kernel,
    btf: &'k Btf,
    id: TypeId,
    at: Gva,
}

impl Kernel {
    /// The object of the kernel's type `name` at `at`: `kernel.object("task_struct", at)?.field("comm")`.
    ///
    /// # Errors
    /// The kernel has no such type.
    pub fn object(&self, name: &str, at: Gva) -> Result<Object<'_>, ReadError> {
        Ok(self.object_of(self.btf(), self.btf().named(name, name)?, at))
    }

    /// An object of a type of `btf`, which may be that of a BPF object.
    pub fn object_of<'k>(&'k self, btf: &'k Btf, id: TypeId, at: Gva) -> Object<'k> {
        Object { kernel: self, btf, id, at }
    }
}

impl Object<'_> {
    /// Its address.
    pub fn at(&self) -> Gva {
        self.at
    }

    /// The value of one of its fields.
    ///
    /// # Errors
    /// There is no such field, or its memory cannot be read.
    pub fn field(&self, path: &str) -> Result<Value, ReadError> {
        self.value(&self.btf.field_of(self.id, path)?, path)
    }

    /// As [`Object::field`], of a field that was looked up before; `name` is for messages.
    ///
    /// # Errors
    /// Its memory cannot be read.
    pub fn value(&self, field: &Field, name: &str) -> Result<Value, ReadError> {
        Ok(self.btf.decode(&field.shape, &self.content(field, name)?.1))
    }

    /// The number in a field that was looked up before; `name` is for messages.
    ///
    /// # Errors
    /// It is no number, or its memory cannot be read.
    pub fn number(&self, field: &Field, name: &str) -> Result<i128, ReadError> {
        self.value(field, name)?.number().ok_or_else(|| no_number(name))
    }

    /// Puts a number into a field that was looked up before; `name` is for messages. Bits around a bit field stay as they were read.
    ///
    /// # Errors
    /// The field is no number or has no room for this one, or its memory cannot be read or written.
    pub fn set(&self, field: &Field, name: &str, number: i128) -> Result<(), ReadError> {
        has_room(field, name, number)?;
        let (at, mut content) = self.content(field, name)?;
        field.shape.encode(number, &mut content);
        self.kernel.write(at, &content)
    }

    /// Where a field is, and its bytes.
    fn content(&self, field: &Field, name: &str) -> Result<(Gva, Vec<u8>), ReadError> {
        let at = self.follow(field, name)?;
        let bytes = field.shape.bytes(self.btf).unwrap_or(u64::MAX);
        if bytes > VALUE_BYTES_MAX {
            return Err(ReadError::Absurd { what: "the size of a value", seen: bytes, most: VALUE_BYTES_MAX });
        }
        let mut content = vec![0; bytes as usize];
        self.kernel.read(at, &mut content)?;
        Ok((at, content))
    }

    /// A field as an unsigned word; of a negative number its bits.
    ///
    /// # Errors
    /// As [`Object::field`]; or it is no number.
    pub fn word(&self, path: &str) -> Result<u64, ReadError> {
        Ok(self.field(path)?.number().ok_or_else(|| no_number(path))? as u64)
    }

    /// Where one of its fields is.
    ///
    /// # Errors
    /// There is no such field, or a pointer on the way cannot be followed.
    pub fn address_of(&self, path: &str) -> Result<Gva, ReadError> {
        self.follow(&self.btf.field_of(self.id, path)?, path)
    }

    fn follow(&self, field: &Field, path: &str) -> Result<Gva, ReadError> {
        let mut at = self.at;
        for hop in &field.hops {
            at = Gva(self.kernel.word(at.plus(*hop))?);
            if at == Gva(0) {
                return Err(ReadError::Null(path.to_owned()));
            }
        }
        Ok(at.plus(field.offset))
    }
}

fn no_number(path: &str) -> ReadError {
    ReadError::Field(FieldError::Misfit { path: path.into(), problem: "it is no number of at most 8 bytes".into() })
}

/// Whether a field can hold a number.
pub(crate) fn has_room(field: &Field, name: &str, number: i128) -> Result<(), ReadError> {
    let range = field.shape.range().ok_or_else(|| no_number(name))?;
    if range.contains(&number) {
        return Ok(());
    }
    Err(ReadError::NoRoom { field: name.into(), number, least: *range.start(), most: *range.end() })
}

/// Some fields of one type and the bytes from the first to the last of them.
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
        Ok(Content { start: self.start, bytes })
    }

    /// The bytes of several objects, with few calls; `None`: of this one they cannot be read.
    pub(crate) fn read_many(&self, kernel: &Kernel, at: &[Gva]) -> Vec<Option<Content>> {
        let mut contents: Vec<_> =
            at.iter().map(|_| Content { start: self.start, bytes: vec![0; self.bytes] }).collect();
        let places = at.iter().map(|at| at.plus(self.start));
        let mut parts: Vec<_> = places.zip(contents.iter_mut().map(|content| content.bytes.as_mut_slice())).collect();
        match kernel.read_many(&mut parts) {
            Ok(()) => contents.into_iter().map(Some).collect(),
            // One that cannot be read is in the way of all.
            Err(_) => at.iter().map(|at| self.read(kernel, *at).ok()).collect(),
        }
    }
}

/// What was read of one object.
pub(crate) struct Content {
    start: u64,
    bytes: Vec<u8>,
}

impl Content {
    /// The number in a field; a negative one with its sign.
    pub(crate) fn number(&self, slot: &Slot) -> u64 {
        slot.shape.word(self.bytes(slot))
    }

    /// The numbers in some fields.
    pub(crate) fn numbers<const N: usize>(&self, slots: &[Slot; N]) -> [u64; N] {
        slots.each_ref().map(|slot| self.number(slot))
    }

    /// The bytes of a field and those behind it.
    pub(crate) fn bytes(&self, slot: &Slot) -> &[u8] {
        self.bytes.get((slot.offset - self.start) as usize..).unwrap_or_default()
    }

    /// The text in an array of `char`.
    pub(crate) fn text(&self, slot: &Slot) -> String {
        let length = match slot.shape {
            Shape::Text { bytes } => bytes as usize,
            _ => 0,
        };
        let bytes = self.bytes(slot);
        text(bytes.get(..length).unwrap_or(bytes))
    }

    /// The pointers of a list's node.
    pub(crate) fn links(&self, slots: &[Slot; 2]) -> Links {
        let [next, prev] = self.numbers(slots).map(Gva);
        Links { next, prev }
    }

    /// Some words of an array of them.
    pub(crate) fn words(&self, slot: &Slot, count: usize) -> Vec<u64> {
        self.words_from(slot.offset, count)
    }

    /// Some words from an offset on.
    pub(crate) fn words_from(&self, offset: u64, count: usize) -> Vec<u64> {
        let bytes = offset.checked_sub(self.start).and_then(|from| self.bytes.get(from as usize..));
        let words = bytes.unwrap_or_default().chunks_exact(8).take(count);
        words.filter_map(|word| word.first_chunk().copied().map(u64::from_le_bytes)).collect()
    }
}

/// Text up to its first NUL; what is no UTF-8 is replaced.
pub(crate) fn text(bytes: &[u8]) -> String {
    let text = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(text).into_owned()
}
