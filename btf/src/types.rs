//! The records of a BTF blob and how they are found: one pass that notes where each begins, and an index of names.

use std::collections::hash_map::Entry;
use std::collections::HashMap;
use std::ffi::CStr;
use std::sync::Arc;

/// Number of a type within its BTF; 0 is `void`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TypeId(pub u32);

/// Bytes that are no BTF.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BtfError {
    /// The header is not one.
    #[error("there is no BTF: {0}")]
    Header(&'static str),
    /// A type does not end within the types.
    #[error("BTF is damaged: type {0} is cut off or of an unknown kind")]
    Type(u32),
}

/// Parsed BTF, on its own or on top of another one.
#[derive(Debug)]
pub struct Btf {
    base: Option<Arc<Btf>>,
    bytes: Box<[u8]>,
    strings: std::ops::Range<usize>,
    /// Where each type begins in `bytes`; the first one has the number `first`.
    starts: Vec<u32>,
    first: u32,
    strings_before: u32,
    /// By hash of namespace and name; the first of equal names, as the kernel's own lookup.
    names: HashMap<u64, TypeId>,
}

/// `BTF_KIND_*` (include/uapi/linux/btf.h) that matter here. What leads to another type and has its size is an alias.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Int,
    Pointer,
    Array,
    Struct,
    Union,
    Enum,
    Enum64,
    Alias,
    Variable,
    Section,
    Float,
    Function,
    Prototype,
    /// A declaration, a tag: nothing that has a value.
    Other,
}

impl Kind {
    /// With the bytes behind the three words that each record begins with.
    fn of(number: u32, entries: usize) -> Option<(Self, usize)> {
        Some(match number {
            1 => (Self::Int, 4),
            2 => (Self::Pointer, 0),
            3 => (Self::Array, 12),
            4 => (Self::Struct, 12 * entries),
            5 => (Self::Union, 12 * entries),
            6 => (Self::Enum, 8 * entries),
            // `typedef`, `volatile`, `const`, `restrict`, a tag of a type.
            8..=11 | 18 => (Self::Alias, 0),
            12 => (Self::Function, 0),
            13 => (Self::Prototype, 8 * entries),
            14 => (Self::Variable, 4),
            15 => (Self::Section, 12 * entries),
            16 => (Self::Float, 0),
            17 => (Self::Other, 4),
            19 => (Self::Enum64, 12 * entries),
            7 => (Self::Other, 0),
            _ => return None,
        })
    }
}

/// One type, raw.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Record<'a> {
    pub(crate) kind: Kind,
    pub(crate) name: u32,
    /// Members are bit fields; enumerators are signed.
    pub(crate) flag: bool,
    /// Size, or the type that it leads to.
    pub(crate) word: u32,
    pub(crate) rest: &'a [u8],
}

impl Record<'_> {
    /// Word `index` behind the head.
    pub(crate) fn at(&self, index: usize) -> Option<u32> {
        word(self.rest, index * 4)
    }
}

const HEAD: usize = 12;
/// The kernel takes names up to KSYM_NAME_LEN.
const NAME_BYTES_MAX: usize = 512;
/// No chain of aliases, arrays or anonymous members is deeper.
pub(crate) const DEPTH_MAX: usize = 32;

impl Btf {
    /// Takes the content of `.BTF`.
    ///
    /// # Errors
    /// It is not BTF, or a type is cut off.
    pub fn parse(bytes: impl Into<Box<[u8]>>) -> Result<Self, BtfError> {
        Self::parse_on(bytes.into(), None)
    }

    /// Takes BTF of a module or a BPF object that goes on where `base` ends.
    ///
    /// # Errors
    /// As [`Btf::parse`].
    pub fn parse_split(bytes: impl Into<Box<[u8]>>, base: Arc<Btf>) -> Result<Self, BtfError> {
        Self::parse_on(bytes.into(), Some(base))
    }

    /// Where BTF on top of this one goes on: the number of its first type, and the offset of its first string.
    pub fn end(&self) -> (u32, u32) {
        (self.first + self.starts.len() as u32, self.strings_before + self.strings.len() as u32)
    }

    fn parse_on(bytes: Box<[u8]>, base: Option<Arc<Btf>>) -> Result<Self, BtfError> {
        if bytes.get(..3) != Some(&[0x9f, 0xeb, 1]) {
            return Err(BtfError::Header("it does not begin like one of version 1"));
        }
        let header = |index: usize| word(&bytes, 4 + index * 4).map(|word| word as usize);
        let part = |start: usize| {
            let from = header(0)?.checked_add(header(start)?)?;
            let range = from..from.checked_add(header(start + 1)?)?;
            bytes.get(range.clone()).map(|_| range)
        };
        let cut = BtfError::Header("types or strings do not lie within it");
        let (types, strings) = part(1).zip(part(3)).ok_or(cut)?;
        let (first, strings_before) = base.as_ref().map_or((1, 0), |base| base.end());
        let starts = Vec::with_capacity(types.len() / 20);
        let mut btf = Self { base, bytes, strings, starts, first, strings_before, names: HashMap::new() };
        btf.index(types)?;
        Ok(btf)
    }

    fn index(&mut self, types: std::ops::Range<usize>) -> Result<(), BtfError> {
        let mut at = types.start;
        let mut names = HashMap::with_capacity(types.len() / 128);
        while at < types.end {
            let id = self.first + self.starts.len() as u32;
            let record = self.record_at(at).filter(|record| at + HEAD + record.rest.len() <= types.end);
            let record = record.ok_or(BtfError::Type(id))?;
            let namespace = match record.kind {
                Kind::Struct | Kind::Union | Kind::Enum | Kind::Enum64 => Some(Namespace::Tag),
                Kind::Alias => Some(Namespace::Ordinary),
                Kind::Section => Some(Namespace::Section),
                _ => None,
            };
            if let Some(namespace) = namespace.filter(|_| record.name != 0) {
                if let Entry::Vacant(entry) = names.entry(hash(namespace, self.string(record.name))) {
                    entry.insert(TypeId(id));
                }
            }
            at += HEAD + record.rest.len();
            self.starts.push((at - HEAD - record.rest.len()) as u32);
        }
        self.names = names;
        Ok(())
    }

    fn record_at(&self, at: usize) -> Option<Record<'_>> {
        let (name, info, word) = (word(&self.bytes, at)?, word(&self.bytes, at + 4)?, word(&self.bytes, at + 8)?);
        let (kind, more) = Kind::of(info >> 24 & 0x1f, (info & 0xffff) as usize)?;
        let rest = self.bytes.get(at + HEAD..)?.get(..more)?;
        Some(Record { kind, name, flag: info >> 31 != 0, word, rest })
    }

    pub(crate) fn record(&self, id: TypeId) -> Option<Record<'_>> {
        match (id.0.checked_sub(self.first), &self.base) {
            (Some(index), _) => self.record_at(*self.starts.get(index as usize)? as usize),
            (None, Some(base)) => base.record(id),
            (None, None) => None,
        }
    }

    /// The types that are not in the base.
    pub(crate) fn own_types(&self) -> impl Iterator<Item = TypeId> {
        (self.first..).take(self.starts.len()).map(TypeId)
    }

    /// The text at an offset of the strings; nothing if there is none.
    pub(crate) fn string(&self, offset: u32) -> &str {
        match (offset.checked_sub(self.strings_before), &self.base) {
            (Some(offset), _) => {
                let strings = self.bytes.get(self.strings.clone()).unwrap_or_default();
                let rest = strings.get(offset as usize..).unwrap_or_default();
                // All types of a damaged blob may have one text that is as long as the blob.
                let name = CStr::from_bytes_until_nul(rest.get(..NAME_BYTES_MAX).unwrap_or(rest)).unwrap_or_default();
                name.to_str().unwrap_or_default()
            }
            (None, Some(base)) => base.string(offset),
            (None, None) => "",
        }
    }

    /// A struct, union or enum of this name, else a `typedef`, else a section of a BPF object.
    pub fn find(&self, name: &str) -> Option<TypeId> {
        let of_own = [Namespace::Tag, Namespace::Ordinary, Namespace::Section].into_iter().find_map(|namespace| {
            let id = *self.names.get(&hash(namespace, name))?;
            // Hashes may be equal when names are not.
            self.record(id).filter(|record| self.string(record.name) == name).map(|_| id)
        });
        of_own.or_else(|| self.base.as_ref()?.find(name))
    }

    /// Name of a type; empty if it has none.
    pub fn name(&self, id: TypeId) -> &str {
        self.record(id).map_or("", |record| self.string(record.name))
    }

    /// All names that [`Btf::find`] knows, for a message.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.names.values().map(|id| self.name(*id))
    }

    /// Sections with variables.
    pub(crate) fn sections(&self) -> impl Iterator<Item = Record<'_>> {
        self.names.values().filter_map(|id| self.record(*id)).filter(|record| record.kind == Kind::Section)
    }

    /// What a type is behind its names and qualifiers.
    pub(crate) fn resolved(&self, mut id: TypeId) -> Option<(TypeId, Record<'_>)> {
        for _ in 0..DEPTH_MAX {
            let record = self.record(id)?;
            if !matches!(record.kind, Kind::Alias | Kind::Variable) {
                return Some((id, record));
            }
            id = TypeId(record.word);
        }
        None
    }

    /// Bytes that a value of the type has.
    pub fn size(&self, id: TypeId) -> Option<u64> {
        let (mut id, mut factor) = (id, 1u64);
        for _ in 0..DEPTH_MAX {
            let (_, record) = self.resolved(id)?;
            match record.kind {
                Kind::Pointer => return factor.checked_mul(8),
                Kind::Array => {
                    factor = factor.checked_mul(u64::from(record.at(2)?))?;
                    id = TypeId(record.at(0)?);
                }
                Kind::Function | Kind::Prototype | Kind::Other => return None,
                _ => return factor.checked_mul(u64::from(record.word)),
            }
        }
        None
    }

    /// Value of an enumerator of the enum `name`.
    pub fn enumerator(&self, name: &str, enumerator: &str) -> Option<i64> {
        let (_, record) = self.resolved(self.find(name)?)?;
        self.enumerators(record).find(|(name, _)| *name == enumerator).map(|(_, value)| value)
    }

    pub(crate) fn enumerators<'a>(&'a self, record: Record<'a>) -> impl Iterator<Item = (&'a str, i64)> + 'a {
        let wide = record.kind == Kind::Enum64;
        let words = if wide { 3 } else { 2 };
        let is_enum = wide || record.kind == Kind::Enum;
        let count = if is_enum { record.rest.len() / 4 / words } else { 0 };
        (0..count).filter_map(move |index| {
            let (name, low) = (record.at(index * words)?, record.at(index * words + 1)?);
            let value = match (wide, record.flag) {
                (true, _) => (u64::from(record.at(index * words + 2)?) << 32 | u64::from(low)) as i64,
                (false, true) => i64::from(low as i32),
                (false, false) => i64::from(low),
            };
            Some((self.string(name), value))
        })
    }
}

#[derive(Debug, Clone, Copy)]
enum Namespace {
    Tag,
    Ordinary,
    Section,
}

/// FNV-1a.
fn hash(namespace: Namespace, name: &str) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
    [namespace as u8].iter().chain(name.as_bytes()).fold(0xcbf2_9ce4_8422_2325, step)
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|word| u32::from_le_bytes(*word))
}
