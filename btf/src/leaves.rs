//! Everything that a type is made of, for showing a value whole.

use crate::{Btf, Field, Member, Shape, TypeId};

/// Structs and arrays within each other.
const DEPTH_MAX: usize = 8;
/// Elements of an array that are shown.
const ELEMENTS_SHOWN: u32 = 16;

impl Btf {
    /// The numbers, texts and pointers that a type is made of, with their paths, in the order of the type; of an array the first elements.
    /// A type that is itself one of these has an empty path. At most `most` parts are looked at: damaged types may contain themselves.
    pub fn leaves(&self, id: TypeId, most: usize) -> Vec<Member> {
        let (mut leaves, mut left) = (Vec::new(), most);
        if let Some(shape) = self.shape(id, None) {
            self.add_leaves(String::new(), (0, shape), DEPTH_MAX, &mut left, &mut leaves);
        }
        leaves
    }

    fn add_leaves(
        &self,
        name: String,
        (offset, shape): (u64, Shape),
        depth: usize,
        left: &mut usize,
        into: &mut Vec<Member>,
    ) {
        let Some((left_now, depth)) = left.checked_sub(1).zip(depth.checked_sub(1)) else { return };
        *left = left_now;
        match shape {
            Shape::Struct { id, .. } => {
                // Those that are anonymous are looked at, too.
                for Member { name: inner, field } in self.some_members(id, left.saturating_mul(DEPTH_MAX)) {
                    let path = if name.is_empty() { inner } else { format!("{name}.{inner}") };
                    self.add_leaves(path, (offset.saturating_add(field.offset), field.shape), depth, left, into);
                }
            }
            Shape::Array { of, count } => {
                let Some((shape, bytes)) = self.shape(of, None).zip(self.size(of)) else { return };
                for index in 0..count.min(ELEMENTS_SHOWN) {
                    let at = offset.saturating_add(bytes.saturating_mul(u64::from(index)));
                    self.add_leaves(format!("{name}[{index}]"), (at, shape.clone()), depth, left, into);
                }
            }
            shape => into.push(Member { name, field: Field { hops: Vec::new(), offset, shape } }),
        }
    }
}
