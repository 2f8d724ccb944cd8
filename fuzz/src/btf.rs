//! Types of a kernel or of a BPF object: paths through them, all that they are made of, values.

use crate::input::Input;
use ktstr_btf::{Btf, Shape, TypeId};
use std::sync::Arc;

/// Types that are looked at one by one.
const TYPES: u32 = 64;
/// Parts of one type.
const LEAVES: usize = 128;

/// How the rest is read, a path, and the parts of two blobs: types and strings of a base and of what is on top of it.
///
/// # Panics
/// If a type is larger than it says, or a value is not of its shape.
pub fn btf(input: &[u8]) {
    let mut input = Input(input);
    let how = input.u8();
    let length = usize::from(input.u8());
    let path = String::from_utf8_lossy(input.bytes(length)).into_owned();
    let mut blob = |is_last: bool| {
        let (types, strings) = (usize::from(input.u16()), usize::from(input.u16()));
        let types = input.bytes(types);
        let strings = input.bytes(if is_last { usize::MAX } else { strings });
        // The header, whose numbers have to fit to what follows, and in one of four inputs not.
        match how & 3 {
            0 => [types, strings].concat(),
            _ => with_header(types, strings),
        }
    };
    let (base, top) = (blob(false), blob(true));
    let Ok(base) = Btf::parse(base) else { return };
    let base = Arc::new(base);
    look(&base, &path);
    if let Ok(top) = Btf::parse_split(top, base) {
        look(&top, &path);
    }
}

/// A header of version 1 for these types and strings.
pub(crate) fn with_header(types: &[u8], strings: &[u8]) -> Vec<u8> {
    let (types_bytes, strings_bytes) = (types.len() as u32, strings.len() as u32);
    let words = [24, 0, types_bytes, types_bytes, strings_bytes].into_iter().flat_map(u32::to_le_bytes);
    [0x9f, 0xeb, 1, 0].into_iter().chain(words).chain(types.iter().copied()).chain(strings.iter().copied()).collect()
}

/// Everything that one can ask.
fn look(btf: &Btf, path: &str) {
    let name = path.split(['.', '-', '[']).next().unwrap_or_default();
    let found = btf.find(name);
    // A damaged base may have types whose names are beyond its strings.
    assert!(name.is_empty() || found.is_none_or(|id| btf.name(id) == name), "a type of another name is found");
    let _ = (btf.field(name, path), btf.enumerator(name, path));
    let bytes = path.as_bytes();
    for id in (0..TYPES).map(TypeId).chain(found) {
        let _ = (btf.size(id), btf.name(id).len());
        if let Ok(field) = btf.field_of(id, path) {
            let _ = btf.decode(&field.shape, bytes).to_string();
        }
        let members = btf.members(id);
        assert!(members.iter().all(|member| member.field.hops.is_empty()), "a member is behind a pointer");
        let leaves = btf.leaves(id, LEAVES);
        assert!(leaves.len() <= LEAVES, "{} of at most {LEAVES} parts", leaves.len());
        for field in leaves.iter().map(|leaf| &leaf.field) {
            let is_part = matches!(field.shape, Shape::Struct { .. } | Shape::Array { .. });
            assert!(!is_part, "a part is not the least one: {field:?}");
            let _ = (btf.decode(&field.shape, bytes).number(), field.shape.bytes(btf));
        }
        if let Some(whole) = btf.whole(id) {
            let _ = btf.decode(&whole.shape, bytes);
        }
    }
}
