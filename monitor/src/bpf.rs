//! BPF maps (kernel/bpf/): which there are, where their elements lie, and the types that the object has for them.
//!
//! ```text
//! map_idr ──all──▶ Map ──elements──▶ key, address of the value
//!                   └─types──▶ Btf of the object, type of the value ──Kernel::object_of──▶ field("nr_queued")
//! ```
//!
//! Global variables of an object are the only element of an array whose type is the section (`.bss`, `.data`, `.rodata`).

use crate::error::ReadError;
use crate::kernel::Kernel;
use crate::layout::{Content, Layout, Slot, Span};
use crate::page_table::Gva;
use crate::xarray::XArray;
use ktstr_btf::{Btf, TypeId};
use std::collections::BTreeSet;

/// Types of an object or a module are not larger.
const BTF_BYTES_MAX: u64 = 4 << 20;
/// Elements, or buckets, of one map that are looked at.
pub(crate) const ELEMENTS_MAX: u64 = 1 << 16;
/// MAX_BPF_STACK: no hash table has longer keys.
const KEY_BYTES_MAX: u64 = 512;
/// include/uapi/linux/bpf.h.
pub(crate) const HASH: u32 = 1;
pub(crate) const ARRAY: u32 = 2;
pub(crate) const PERCPU_HASH: u32 = 5;
pub(crate) const PERCPU_ARRAY: u32 = 6;
const LRU_HASH: u32 = 9;
const LRU_PERCPU_HASH: u32 = 10;

/// A map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Map {
    /// Its `struct bpf_map`.
    pub at: Gva,
    /// Its number.
    pub id: u32,
    /// Its name, cut by the kernel to 15 bytes.
    pub name: String,
    /// `BPF_MAP_TYPE_*`.
    pub kind: u32,
    /// Bytes of a key.
    pub key_bytes: u64,
    /// Bytes of a value.
    pub value_bytes: u64,
    /// The most elements that it can have.
    pub max_entries: u64,
    /// Type of the values; 0 if the object has none for them.
    pub value_type: TypeId,
    /// `struct btf` of the object, or NULL.
    btf: Gva,
}

/// One element of a map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Element {
    /// The key; of arrays the index.
    pub key: Vec<u8>,
    /// Where the value is; of a map with [`Map::is_per_cpu`] that is to be seen by [`Kernel::of_cpu`].
    pub value: Gva,
}

impl Map {
    /// Whether each CPU has its own values.
    pub fn is_per_cpu(&self) -> bool {
        matches!(self.kind, PERCPU_HASH | PERCPU_ARRAY | LRU_PERCPU_HASH)
    }

    /// Whether its keys are indices.
    pub fn is_array(&self) -> bool {
        matches!(self.kind, ARRAY | PERCPU_ARRAY)
    }
}

/// In the order in which [`Maps::map`] takes them.
const NUMBERS: [&str; 7] = ["id", "map_type", "key_size", "value_size", "max_entries", "btf_value_type_id", "btf"];

/// Where everything is in a kernel's maps.
#[derive(Debug)]
pub struct Maps {
    map_idr: Gva,
    tree: XArray,
    map: Span,
    name: Slot,
    numbers: [Slot; 7],
    types: Types,
    /// `elem_size` of an array, and where its values, or the pointers to them, begin.
    element_bytes: u64,
    values: u64,
    pointers: u64,
    /// Of a hash table: buckets, their number and size, and of an element its chain and its key.
    buckets: Slot,
    n_buckets: Slot,
    table_span: Span,
    bucket_bytes: u64,
    key: u64,
}

/// `struct btf`: the types that a kernel has of an object or a module.
#[derive(Debug)]
pub(crate) struct Types {
    numbers: [Slot; 3],
    span: Span,
}

impl Types {
    pub(crate) fn of(kernel: &Kernel) -> Result<Self, ReadError> {
        let mut types = Layout::new(kernel.btf(), "btf");
        Ok(Self { numbers: types.fields(["data", "data_size", "base_btf"])?, span: types.span() })
    }

    pub(crate) fn read(&self, kernel: &Kernel, at: Gva) -> Result<Btf, ReadError> {
        let [data, size, base] = self.span.read(kernel, at)?.numbers(&self.numbers);
        if size > BTF_BYTES_MAX {
            return Err(ReadError::Absurd { what: "btf.data_size", seen: size, most: BTF_BYTES_MAX });
        }
        let mut bytes = vec![0; size as usize];
        kernel.read(Gva(data), &mut bytes)?;
        Ok(match base {
            0 => Btf::parse(bytes),
            _ => Btf::parse_split(bytes, kernel.image().btf().clone()),
        }?)
    }
}

impl Maps {
    /// Looks everything up once.
    ///
    /// # Errors
    /// The kernel lacks what every kernel with BPF has.
    pub fn of(kernel: &Kernel) -> Result<Self, ReadError> {
        let btf = kernel.btf();
        let mut map = Layout::new(btf, "bpf_map");
        let mut table = Layout::new(btf, "bpf_htab");
        let offset = |of: &str, path: &str| btf.field(of, path).map(|field| field.offset);
        let bucket = btf.find("bucket").and_then(|id| btf.size(id));
        Ok(Self {
            map_idr: kernel.symbol("map_idr")?.plus(offset("idr", "idr_rt.xa_head")?),
            tree: XArray::of(kernel)?,
            name: map.field("name")?,
            numbers: map.fields(NUMBERS)?,
            map: map.span(),
            types: Types::of(kernel)?,
            element_bytes: offset("bpf_array", "elem_size")?,
            values: offset("bpf_array", "value")?,
            pointers: offset("bpf_array", "pptrs")?,
            buckets: table.field("buckets")?,
            n_buckets: table.field("n_buckets")?,
            table_span: table.span(),
            // A list's head and a lock.
            bucket_bytes: bucket.unwrap_or(16).clamp(8, 256),
            key: offset("htab_elem", "key")?,
        })
    }

    /// All maps, in the order of their numbers.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn all(&self, kernel: &Kernel) -> Result<Vec<Map>, ReadError> {
        let entries = self.tree.entries(kernel, self.map_idr)?.into_iter();
        entries.map(|(_, at)| Ok(self.map(at, &self.map.read(kernel, at)?))).collect()
    }

    fn map(&self, at: Gva, content: &Content) -> Map {
        let [id, kind, key_bytes, value_bytes, max_entries, value_type, btf] = content.numbers(&self.numbers);
        let (id, kind, value_type) = (id as u32, kind as u32, TypeId(value_type as u32));
        let name = content.text(&self.name);
        Map { at, id, name, kind, key_bytes, value_bytes, max_entries, value_type, btf: Gva(btf) }
    }

    /// The types of the object that has made a map; `None`: it brought none. They do not change, so that once is enough.
    ///
    /// # Errors
    /// They cannot be read, or are damaged.
    pub fn types(&self, kernel: &Kernel, map: &Map) -> Result<Option<Btf>, ReadError> {
        if map.btf == Gva(0) {
            return Ok(None);
        }
        self.types.read(kernel, map.btf).map(Some)
    }

    /// Element `index` of an array.
    ///
    /// # Errors
    /// The array cannot be read.
    pub fn element(&self, kernel: &Kernel, map: &Map, index: u64) -> Result<Gva, ReadError> {
        if map.kind == PERCPU_ARRAY {
            return Ok(Gva(kernel.word(map.at.plus(self.pointers).plus(8 * index))?));
        }
        let bytes = u64::from(kernel.half(map.at.plus(self.element_bytes))?);
        Ok(map.at.plus(self.values).plus(bytes.wrapping_mul(index)))
    }

    /// All elements of an array or a hash table; `None`: it is a map of another kind. A hash table may change meanwhile.
    ///
    /// # Errors
    /// They cannot be read, or there are too many of them.
    pub fn elements(&self, kernel: &Kernel, map: &Map) -> Result<Option<Vec<Element>>, ReadError> {
        let too_many = |seen: u64| ReadError::Absurd { what: "elements of a map", seen, most: ELEMENTS_MAX };
        match map.kind {
            ARRAY | PERCPU_ARRAY if map.max_entries > ELEMENTS_MAX => Err(too_many(map.max_entries)),
            ARRAY | PERCPU_ARRAY => {
                let element = |index: u64| {
                    let key = (index as u32).to_le_bytes().to_vec();
                    Ok(Element { key, value: self.element(kernel, map, index)? })
                };
                (0..map.max_entries).map(element).collect::<Result<_, _>>().map(Some)
            }
            HASH | LRU_HASH | PERCPU_HASH | LRU_PERCPU_HASH => self.hashed(kernel, map, too_many).map(Some),
            _ => Ok(None),
        }
    }

    /// kernel/bpf/hashtab.c: a chain (`hlist_nulls`) a bucket, which ends with an odd pointer. The value follows the key at a multiple
    /// of 8.
    fn hashed(
        &self,
        kernel: &Kernel,
        map: &Map,
        too_many: impl Fn(u64) -> ReadError,
    ) -> Result<Vec<Element>, ReadError> {
        let table = self.table_span.read(kernel, map.at)?;
        let buckets = table.number(&self.n_buckets);
        if buckets > ELEMENTS_MAX {
            return Err(too_many(buckets));
        }
        if map.key_bytes > KEY_BYTES_MAX {
            return Err(ReadError::Absurd { what: "key_size", seen: map.key_bytes, most: KEY_BYTES_MAX });
        }
        // Most buckets are empty, so all of them are read at once.
        let mut heads = vec![0; (buckets * self.bucket_bytes) as usize];
        kernel.read(Gva(table.number(&self.buckets)), &mut heads)?;
        let (mut elements, mut seen) = (Vec::new(), BTreeSet::new());
        for head in heads.chunks(self.bucket_bytes as usize) {
            let mut at = head.first_chunk().copied().map_or(1, u64::from_le_bytes);
            while at & 1 == 0 {
                if elements.len() as u64 > ELEMENTS_MAX {
                    return Err(too_many(elements.len() as u64));
                }
                if !seen.insert(at) {
                    return Err(ReadError::Loop("a chain of a map's elements"));
                }
                let mut key = vec![0; map.key_bytes as usize];
                kernel.read(Gva(at).plus(self.key), &mut key)?;
                let behind = Gva(at).plus(self.key).plus(map.key_bytes.next_multiple_of(8));
                let value = if map.is_per_cpu() { Gva(kernel.word(behind)?) } else { behind };
                elements.push(Element { key, value });
                at = kernel.word(Gva(at))?;
            }
        }
        Ok(elements)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::testkit::{direct, Machine, DIRECT, LINKED_AT, LOADED_AT};
    use ktstr_testing::BtfWriter;

    pub(crate) fn types() -> BtfWriter {
        let mut btf = BtfWriter::default();
        let (int, byte) = (btf.int("int", 4, 0), btf.int("unsigned char", 1, 0));
        let (char_, pointer) = (btf.int("char", 1, 1), btf.pointer(0));
        let (name, slots, none) = (btf.array(char_, 16), btf.array(pointer, 64), btf.array(char_, 0));
        let tree = btf.structure("xarray", 8, &[("xa_head", pointer, 0, 0)]);
        btf.structure("idr", 8, &[("idr_rt", tree, 0, 0)]);
        btf.structure("xa_node", 520, &[("shift", byte, 0, 0), ("slots", slots, 64, 0)]);
        let map = ["id", "map_type", "key_size", "value_size", "max_entries", "btf_value_type_id"];
        let mut members: Vec<_> =
            map.iter().enumerate().map(|(index, name)| (*name, int, 32 * index as u32, 0)).collect();
        members.extend([("btf", pointer, 192, 0), ("name", name, 256, 0)]);
        btf.structure("bpf_map", 48, &members);
        let array = [("elem_size", int, 384, 0), ("value", none, 448, 0), ("pptrs", none, 448, 0)];
        btf.structure("bpf_array", 56, &array);
        btf.structure("bpf_htab", 64, &[("buckets", pointer, 384, 0), ("n_buckets", int, 448, 0)]);
        btf.structure("htab_elem", 16, &[("key", none, 128, 0)]);
        btf.structure("btf", 24, &[("data", pointer, 0, 0), ("data_size", int, 64, 0), ("base_btf", pointer, 128, 0)]);
        btf
    }

    /// One map with number 1 at 0x8000, of this kind, with keys of 5 bytes, values of 8 and 2 elements; behind it what `more` says.
    pub(crate) fn machine(kind: u32, more: &[(u64, u64)]) -> Machine {
        let mut machine = Machine::new(LOADED_AT, 0);
        machine.symbols.push(("map_idr".into(), LINKED_AT + 0x12_0000));
        machine.put("map_idr", direct(0x7000).0 | 2);
        machine.memory.put(0x7000 + 8 + 8, direct(0x8000).0);
        machine.memory.write(0x8000, &[1, kind, 5, 8, 2, 1].map(u32::to_le_bytes).concat());
        machine.memory.write(0x8020, b"queues.bss");
        more.iter().for_each(|(at, word)| machine.memory.put(*at, *word));
        machine
    }

    /// Keys, and where values are in the direct map.
    type Keyed = Vec<(Vec<u8>, u64)>;

    fn elements(kind: u32, more: &[(u64, u64)]) -> Result<Option<Keyed>, String> {
        let kernel = machine(kind, more).open(&types()).expect("is there");
        let maps = Maps::of(&kernel).expect("are there");
        let all = maps.all(&kernel).expect("are readable");
        assert_eq!(all.iter().map(|map| (map.id, map.name.as_str())).collect::<Vec<_>>(), [(1, "queues.bss")]);
        let elements = maps.elements(&kernel, &all[0]).map_err(|error| error.to_string())?;
        let plain = |element: Element| (element.key, element.value.0.wrapping_sub(DIRECT));
        Ok(elements.map(|elements| elements.into_iter().map(plain).collect()))
    }

    #[test]
    fn elements_of_arrays_and_hash_tables_are_found() {
        let indices = |values: [u64; 2]| Ok(Some(vec![(vec![0; 4], values[0]), (vec![1, 0, 0, 0], values[1])]));
        assert_eq!(elements(ARRAY, &[(0x8030, 16)]), indices([0x8038, 0x8048]));
        let pointers = [(0x8038, direct(0x500).0), (0x8040, direct(0x600).0)];
        assert_eq!(elements(PERCPU_ARRAY, &pointers), indices([0x500, 0x600]));
        // Two buckets: an empty one, and one with two elements; what follows the key is the value or a pointer to it.
        let chain = |second: u64| {
            let key = u64::from_le_bytes(*b"apple\0\0\0");
            let words = [(0x8030, direct(0x9000).0), (0x8038, 2), (0x9000, 1), (0x9010, direct(0xa000).0)];
            let nodes = [
                (0xa000, direct(0xb000).0),
                (0xa010, key),
                (0xa018, direct(0x700).0),
                (0xb000, second),
                (0xb010, key + 1),
                (0xb018, direct(0x800).0),
            ];
            [&words[..], &nodes[..]].concat()
        };
        let named = |values: [u64; 2]| Ok(Some(vec![(b"apple".to_vec(), values[0]), (b"bpple".to_vec(), values[1])]));
        assert_eq!(elements(HASH, &chain(3)), named([0xa018, 0xb018]));
        assert_eq!(elements(LRU_PERCPU_HASH, &chain(3)), named([0x700, 0x800]));
        let endless = "a chain of a map's elements leads back into itself".to_owned();
        assert_eq!(elements(HASH, &chain(direct(0xa000).0)), Err(endless));
        let long_keys = [chain(3), vec![(0x8008, 513 | 8 << 32)]].concat();
        assert_eq!(elements(HASH, &long_keys), Err("`key_size` says 513, and 512 is the most that can be".into()));
        let task_storage = 29;
        assert_eq!(elements(task_storage, &[]), Ok(None));
    }

    #[test]
    fn an_object_describes_its_own_variables() {
        let mut object = BtfWriter::default();
        let u64_ = object.int("__u64", 8, 0);
        let bss = object.section(".bss", 8, &[("nr_queued", u64_, 0, 8)]);
        let blob = object.finish();
        let mut machine = machine(
            ARRAY,
            &[
                (0x8018, direct(0x9000).0),
                (0x8030, 8),
                (0x8038, 42),
                (0x9000, direct(0xa000).0),
                (0x9008, blob.len() as u64),
            ],
        );
        machine.memory.write(0xa000, &blob);
        machine.memory.write(0x8014, &bss.to_le_bytes());
        let kernel = machine.open(&types()).expect("is there");
        let maps = Maps::of(&kernel).expect("are there");
        let map = maps.all(&kernel).expect("are readable").remove(0);
        let types = maps.types(&kernel, &map).expect("are readable").expect("are there");
        let variables = kernel.object_of(&types, map.value_type, maps.element(&kernel, &map, 0).expect("is there"));
        assert_eq!(variables.word("nr_queued").expect("is a variable"), 42);
        let error = variables.word("nr_queues").expect_err("is none").to_string();
        assert_eq!(error, "`.bss` has no `nr_queues` (in `nr_queues`); there is `nr_queued`");
    }
}
