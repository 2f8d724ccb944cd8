//! What the seed decides in the guest: how far behind a tick the plan begins, how long each worker waits before it starts, and the
//! random numbers of the kernel. A machine that started from a save has no other source of any of these.

/// The plan begins less than this many nanoseconds later: as long as the longest tick (`CONFIG_HZ=100`).
pub const PHASE_NS_MAX: u64 = 10_000_000;

/// Offsets are below this many nanoseconds.
pub const START_OFFSET_NS_MAX: u64 = 4_000_000;
/// This long after their gate was opened, the workers of a group are in their loops, so far as they get a CPU.
pub const START_NS: u64 = START_OFFSET_NS_MAX + 1_000_000;

/// Nanoseconds that the agent waits before its first action.
pub fn phase(seed: u64) -> u64 {
    below(PHASE_NS_MAX, word(seed, Stream::Phase, 0))
}

/// Nanoseconds that a worker sleeps before its first turn.
pub fn start_offset(seed: u64, worker: u32) -> u64 {
    below(START_OFFSET_NS_MAX, word(seed, Stream::StartOffset, worker))
}

/// What is mixed into the kernel's random numbers.
pub fn entropy(seed: u64) -> [u8; 32] {
    let mut bytes = [0; 32];
    for (chunk, number) in bytes.chunks_mut(8).zip(0..) {
        chunk.copy_from_slice(&word(seed, Stream::Entropy, number).to_le_bytes());
    }
    bytes
}

/// What a word of the seed is for: no two purposes share one.
#[derive(Debug, Clone, Copy)]
enum Stream {
    StartOffset,
    Phase,
    Entropy,
}

fn word(seed: u64, stream: Stream, number: u32) -> u64 {
    split_mix(split_mix(seed) ^ (((stream as u64) << 32) | u64::from(number)))
}

fn below(max: u64, word: u64) -> u64 {
    // Scaled by a multiplication: the high bits of a word decide, and no value is favoured.
    ((u128::from(word) * u128::from(max)) >> 64) as u64
}

/// One output of SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
fn split_mix(state: u64) -> u64 {
    let mut z = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generator_is_the_published_one() {
        assert_eq!(split_mix(0), 0xe220_a839_7b1d_cdaf);
    }

    #[test]
    fn equal_inputs_give_equal_offsets_and_others_differ() {
        assert_eq!(start_offset(1, 2), start_offset(1, 2));
        assert_ne!(start_offset(1, 2), start_offset(2, 2));
        assert_ne!(start_offset(1, 2), start_offset(1, 3));
    }

    #[test]
    fn seeds_differ_in_phase_and_entropy() {
        assert!(phase(1) != phase(2) && phase(1) < PHASE_NS_MAX);
        // Nothing follows from the phase for a worker.
        let ratio = |seed: u64| phase(seed) as f64 / start_offset(seed, 0) as f64;
        assert!((ratio(1) - ratio(2)).abs() > 0.01, "{} {}", ratio(1), ratio(2));
        let words = |seed: u64| entropy(seed).chunks(8).map(<[u8]>::to_vec).collect::<std::collections::BTreeSet<_>>();
        assert_eq!(words(1).union(&words(2)).count(), 8);
    }

    #[test]
    fn offsets_fill_their_range_evenly() {
        let offsets: Vec<u64> = (0..4096).map(|worker| start_offset(7, worker)).collect();
        assert!(offsets.iter().all(|offset| *offset < START_OFFSET_NS_MAX));
        let low = offsets.iter().filter(|offset| **offset < START_OFFSET_NS_MAX / 4).count();
        assert!((900..1150).contains(&low), "{low} of 4096 are in the first quarter");
    }
}
