//! Which shard runs a case: decided by a hash of its name, so that a new case moves no other.

use sha2::{Digest, Sha256};

/// One of several processes that share the cases of a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shard {
    index: u32,
    total: u32,
}

impl Shard {
    /// The only shard.
    pub(crate) const WHOLE: Self = Self { index: 0, total: 1 };

    /// Shard `index` of `total`; none if there is no such shard.
    pub(crate) fn new(index: u32, total: u32) -> Option<Self> {
        (index < total).then_some(Self { index, total })
    }

    /// Whether this shard runs the case of this name.
    pub(crate) fn runs(self, name: &str) -> bool {
        let digest = Sha256::digest(name.as_bytes());
        let hash = digest.iter().take(8).fold(0u64, |hash, byte| hash << 8 | u64::from(*byte));
        hash % u64::from(self.total) == u64::from(self.index)
    }

    pub(crate) fn index(self) -> u32 {
        self.index
    }

    pub(crate) fn total(self) -> u32 {
        self.total
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn exactly_one_shard_runs_a_case(name: String, total in 1u32..50) {
            let running = (0..total).filter_map(|index| Shard::new(index, total)).filter(|shard| shard.runs(&name));
            prop_assert_eq!(running.count(), 1);
        }
    }

    #[test]
    fn the_hash_is_part_of_the_interface() {
        let shard = |name: &str| (0..3).find(|index| Shard::new(*index, 3).expect("is one").runs(name));
        assert_eq!(["a[1n1l1c1t][s0]", "a[1n1l1c1t][s1]", "b"].map(shard), [Some(1), Some(1), Some(1)]);
        assert_eq!(Shard::new(3, 3), None);
    }
}
