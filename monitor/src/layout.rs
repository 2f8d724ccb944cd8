//! Several fields of an object with one read: `Btf, paths ──Layout──▶ Span ──read──▶ Content ──Slot──▶ numbers`.
//!
//! Where memory can gather pieces ([`crate::segments::Memory::gather`]), only those with fields are read. Elsewhere it is one from the first field to the
//! last: what is copied in vain costs less than another place to read.

use crate::error::ReadError;
use crate::kernel::Kernel;
use crate::list::Links;
use crate::object::VALUE_BYTES_MAX;
use crate::page_table::Gva;
use ktstr_btf::{Btf, FieldError, Shape};
use std::ops::Range;
use std::sync::Arc;

/// Fields that are no further apart than a cache line are one piece.
const GAP_BYTES_MAX: usize = 64;

/// Fields of one type and the bytes where they are.
pub(crate) struct Layout<'a> {
    btf: &'a Btf,
    of: &'static str,
    places: Vec<Range<usize>>,
}

/// What a [`Layout`] became: the bytes to read.
#[derive(Debug, Clone)]
pub(crate) struct Span {
    /// In the order of their offsets.
    pieces: Arc<[Range<usize>]>,
    /// From the first to the last of them.
    whole: Arc<[Range<usize>]>,
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
        Self { btf, of, places: Vec::new() }
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
        self.bytes(field.offset, bytes);
        Ok(Slot { offset: field.offset, shape: field.shape })
    }

    /// Some of them.
    pub(crate) fn fields<const N: usize>(&mut self, paths: [&str; N]) -> Result<[Slot; N], FieldError> {
        let mut problem = None;
        let slots = paths.map(|path| self.field(path).map_err(|error| problem = Some(error)).unwrap_or(Slot::NONE));
        problem.map_or(Ok(slots), Err)
    }

    /// Some bytes of which no field says how many they are.
    pub(crate) fn bytes(&mut self, offset: u64, bytes: u64) {
        let end = offset.saturating_add(bytes);
        self.places.push(usize::try_from(offset).unwrap_or(usize::MAX)..usize::try_from(end).unwrap_or(usize::MAX));
    }

    pub(crate) fn span(mut self) -> Span {
        self.places.sort_by_key(|place| place.start);
        let most = self.places.first().map_or(0, |first| first.start.saturating_add(VALUE_BYTES_MAX as usize));
        let mut pieces: Vec<Range<usize>> = Vec::new();
        for place in self.places.into_iter().map(|place| place.start.min(most)..place.end.min(most)) {
            match pieces.last_mut() {
                Some(last) if place.start <= last.end.saturating_add(GAP_BYTES_MAX) => {
                    last.end = last.end.max(place.end)
                }
                _ => pieces.push(place),
            }
        }
        let whole = pieces.first().map_or(0, |first| first.start)..pieces.last().map_or(0, |last| last.end);
        Span { pieces: pieces.into(), whole: [whole].into() }
    }
}

impl Span {
    /// The bytes of the object at `at`.
    pub(crate) fn read(&self, kernel: &Kernel, at: Gva) -> Result<Content, ReadError> {
        let (start, length) = self.whole();
        let mut bytes = vec![0; length];
        kernel.read(at.plus(start), &mut bytes)?;
        Ok(Content { pieces: self.whole.clone(), bytes: 0..length, of: bytes.into() })
    }

    /// The bytes of several objects, with few calls; `None`: of this one they cannot be read.
    pub(crate) fn read_many(&self, kernel: &Kernel, at: &[Gva]) -> Vec<Option<Content>> {
        let each = self.pieces.iter().map(Range::len).sum();
        if each == 0 {
            return at.iter().map(|_| None).collect();
        }
        let mut bytes = vec![0; each * at.len()];
        if kernel.gather(at, &self.pieces, &mut bytes) {
            return contents(&self.pieces, each, bytes);
        }
        let (start, each) = self.whole();
        // One buffer for all: the allocator would give so many small ones back to the host each time.
        let mut bytes = vec![0; each * at.len()];
        let places = at.iter().map(|at| at.plus(start));
        if kernel.read_many(places.zip(bytes.chunks_exact_mut(each))).is_err() {
            // One that cannot be read is in the way of all.
            return at.iter().map(|at| self.read(kernel, *at).ok()).collect();
        }
        contents(&self.whole, each, bytes)
    }

    /// Offset and length.
    fn whole(&self) -> (u64, usize) {
        self.whole.first().map_or((0, 0), |whole| (whole.start as u64, whole.len()))
    }
}

/// Objects of so many bytes each, behind each other.
fn contents(pieces: &Arc<[Range<usize>]>, each: usize, bytes: Vec<u8>) -> Vec<Option<Content>> {
    let objects = bytes.len().checked_div(each).unwrap_or_default();
    let of = Arc::new(bytes);
    let content = |index| Content { pieces: pieces.clone(), bytes: index * each..(index + 1) * each, of: of.clone() };
    (0..objects).map(|index| Some(content(index))).collect()
}

/// What was read of one object.
pub(crate) struct Content {
    /// Which bytes of the object they are, behind each other.
    pieces: Arc<[Range<usize>]>,
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

    /// The bytes from an offset on, as far as they are one piece.
    fn bytes(&self, offset: u64) -> &[u8] {
        let mut rest = self.of.get(self.bytes.clone()).unwrap_or_default();
        for piece in &*self.pieces {
            let (now, later) = rest.split_at_checked(piece.len()).unwrap_or_default();
            if let Some(within) = (offset as usize).checked_sub(piece.start).filter(|within| *within < piece.len()) {
                return now.get(within..).unwrap_or_default();
            }
            rest = later;
        }
        &[]
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segments::Memory;
    use crate::testkit::{direct, Fake, Machine, LOADED_AT};
    use crate::tests::types;
    use ktstr_vmm::{Gpa, MemoryError};
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    /// Memory that copies pieces, and counts their bytes.
    struct Mapped(Fake, AtomicUsize);

    impl Memory for Mapped {
        fn read(&self, at: Gpa, into: &mut [u8]) -> Result<(), MemoryError> {
            self.0.read(at, into)
        }

        fn gather(&self, objects: &[Gpa], pieces: &[Range<usize>], into: &mut [u8]) -> bool {
            self.1.fetch_add(into.len(), Relaxed);
            let places =
                objects.iter().flat_map(|at| pieces.iter().map(|piece| (at.0 + piece.start as u64, piece.len())));
            let read = places.map(|(at, length)| {
                let mut bytes = vec![0; length];
                self.read(Gpa(at), &mut bytes).map(|()| bytes)
            });
            read.collect::<Result<Vec<_>, _>>().map(|bytes| into.copy_from_slice(&bytes.concat())).is_ok()
        }

        fn ranges(&self) -> Vec<(Gpa, u64)> {
            self.0.ranges()
        }
    }

    #[test]
    fn only_pieces_with_fields_are_gathered_and_say_the_same_as_all_of_it() {
        let mut types = types();
        let word = types.int("u64", 8, 0);
        let char_ = types.int("char", 1, 1);
        let name = types.array(char_, 16);
        let members = [("first", word, 8), ("near", word, 80), ("far", word, 152), ("name", name, 400)];
        types.structure("wide", 1000, &members.map(|(name, id, at)| (name, id, at * 8, 0)));
        let mut machine = Machine::new(LOADED_AT, 0);
        let objects = [0x8000, 0x9003];
        for (at, value) in objects.iter().zip([10, 20]) {
            for (offset, value) in [(8, value), (80, value + 1), (152, value + 2), (600, value + 3), (608, value + 4)] {
                machine.memory.put(at + offset, value);
            }
            machine.memory.write(at + 400, b"a name\0and more.");
        }
        let mapped = Arc::new(Mapped(machine.memory.clone(), AtomicUsize::new(0)));
        let image = Arc::new(machine.image(&types));
        let kernels = [Kernel::open(image.clone(), mapped.clone()), Kernel::open(image, Arc::new(machine.memory))];
        for kernel in kernels.map(|kernel| kernel.expect("is there")) {
            let mut layout = Layout::new(kernel.btf(), "wide");
            let [far, first, near] = layout.fields(["far", "first", "near"]).expect("are fields");
            let name = layout.field("name").expect("is a field");
            layout.bytes(600, 16);
            let span = layout.span();
            assert_eq!(
                (&*span.pieces, &*span.whole),
                (&[8..160, 400..416, 600..616][..], std::slice::from_ref(&(8..616)))
            );
            let seen = span.read_many(&kernel, &objects.map(direct));
            for (content, value) in seen.into_iter().map(|content| content.expect("is read")).zip([10, 20]) {
                assert_eq!(content.numbers(&[first.clone(), near.clone(), far.clone()]), [value, value + 1, value + 2]);
                assert_eq!(
                    (content.text(&name).as_str(), content.words(600, 2)),
                    ("a name", vec![value + 3, value + 4])
                );
            }
            // One that is nowhere is in nobody's way.
            let seen = span.read_many(&kernel, &[direct(objects[0]), Gva(0x1000)]);
            assert_eq!(seen.iter().map(Option::is_some).collect::<Vec<_>>(), [true, false]);
        }
        assert_eq!(mapped.1.load(Relaxed), 2 * (152 + 16 + 16));
    }
}
