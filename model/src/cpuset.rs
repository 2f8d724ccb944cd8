//! Sets of CPU numbers, in the kernel's list format (`0-3,8`), Documentation/admin-guide/cputopology.rst.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// Highest CPU number that a set can hold, plus one. The largest guests have 512 CPUs.
pub const CPUS_MAX: u32 = 1024;

/// A set of CPU numbers below [`CPUS_MAX`], or of NUMA node numbers.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(try_from = "Vec<u32>", into = "Vec<u32>")]
pub struct CpuSet {
    /// 64 CPUs a word, no trailing zero words.
    words: Vec<u64>,
}

/// A text or a list that is not a set of CPUs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CpuSetError {
    /// A CPU number at or above [`CPUS_MAX`].
    #[error("CPU {0} is not below {CPUS_MAX}")]
    TooLarge(u32),
    /// Not the kernel's list format.
    #[error("`{0}` is not a list of CPUs, such as 0-3,8")]
    NotAList(String),
}

impl CpuSet {
    /// The set of `cpus`.
    ///
    /// # Errors
    /// [`CpuSetError::TooLarge`].
    pub fn try_from_cpus(cpus: impl IntoIterator<Item = u32>) -> Result<Self, CpuSetError> {
        let mut set = Self::default();
        for cpu in cpus {
            if cpu >= CPUS_MAX {
                return Err(CpuSetError::TooLarge(cpu));
            }
            set.insert(cpu);
        }
        Ok(set)
    }

    /// The set `from..to`, cut at [`CPUS_MAX`].
    pub fn range(from: u32, to: u32) -> Self {
        let mut set = Self::default();
        for cpu in from..to.min(CPUS_MAX) {
            set.insert(cpu);
        }
        set
    }

    /// A set from words of 64 CPUs, lowest first; words above [`CPUS_MAX`] are left out.
    pub fn from_words(words: &[u64]) -> Self {
        let mut words: Vec<u64> = words.iter().copied().take(CPUS_MAX as usize / 64).collect();
        while words.last() == Some(&0) {
            words.pop();
        }
        Self { words }
    }

    fn insert(&mut self, cpu: u32) {
        let word = cpu as usize / 64;
        if self.words.len() <= word {
            self.words.resize(word + 1, 0);
        }
        if let Some(bits) = self.words.get_mut(word) {
            *bits |= 1 << (cpu % 64);
        }
    }

    /// Whether `cpu` is in the set.
    pub fn contains(&self, cpu: u32) -> bool {
        self.words.get(cpu as usize / 64).is_some_and(|bits| bits >> (cpu % 64) & 1 == 1)
    }

    /// The CPUs in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.words.iter().enumerate().flat_map(|(word, bits)| {
            (0..64).filter(move |bit| bits >> bit & 1 == 1).map(move |bit| word as u32 * 64 + bit)
        })
    }

    /// Number of CPUs.
    pub fn len(&self) -> usize {
        self.words.iter().map(|bits| bits.count_ones() as usize).sum()
    }

    /// Whether there is no CPU.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// CPUs in both.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        let words: Vec<u64> = self.words.iter().zip(&other.words).map(|(a, b)| a & b).collect();
        Self::from_words(&words)
    }

    /// CPUs of this set that are not in `other`.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        let words: Vec<u64> =
            self.words.iter().enumerate().map(|(i, a)| a & !other.words.get(i).copied().unwrap_or(0)).collect();
        Self::from_words(&words)
    }

    /// CPUs in either.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        let length = self.words.len().max(other.words.len());
        let word = |set: &Self, i: usize| set.words.get(i).copied().unwrap_or(0);
        let words: Vec<u64> = (0..length).map(|i| word(self, i) | word(other, i)).collect();
        Self::from_words(&words)
    }
}

impl TryFrom<Vec<u32>> for CpuSet {
    type Error = CpuSetError;

    fn try_from(cpus: Vec<u32>) -> Result<Self, CpuSetError> {
        Self::try_from_cpus(cpus)
    }
}

impl From<CpuSet> for Vec<u32> {
    fn from(set: CpuSet) -> Self {
        set.iter().collect()
    }
}

impl fmt::Display for CpuSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut ranges: Vec<(u32, u32)> = Vec::new();
        for cpu in self.iter() {
            match ranges.last_mut() {
                Some((_, last)) if *last + 1 == cpu => *last = cpu,
                _ => ranges.push((cpu, cpu)),
            }
        }
        let texts: Vec<String> =
            ranges.iter().map(|(a, b)| if a == b { a.to_string() } else { format!("{a}-{b}") }).collect();
        f.pad(&texts.join(","))
    }
}

impl FromStr for CpuSet {
    type Err = CpuSetError;

    fn from_str(text: &str) -> Result<Self, CpuSetError> {
        let mut set = Self::default();
        let text = text.trim();
        for part in text.split(',').filter(|_| !text.is_empty()) {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let number = |digits: &str| digits.parse::<u32>().map_err(|_| CpuSetError::NotAList(text.into()));
            let (first, last) = (number(first)?, number(last)?);
            if first > last {
                return Err(CpuSetError::NotAList(text.into()));
            }
            if last >= CPUS_MAX {
                return Err(CpuSetError::TooLarge(last));
            }
            (first..=last).for_each(|cpu| set.insert(cpu));
        }
        Ok(set)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sets() -> impl Strategy<Value = CpuSet> {
        proptest::collection::vec(0..CPUS_MAX, 0..40).prop_map(|cpus| CpuSet::try_from(cpus).expect("in range"))
    }

    proptest! {
        #[test]
        fn prints_back(set in sets()) {
            prop_assert_eq!(set.to_string().parse::<CpuSet>(), Ok(set));
        }

        #[test]
        fn difference_and_intersection_split_a_set(a in sets(), b in sets()) {
            let (inside, outside) = (a.intersection(&b), a.difference(&b));
            prop_assert!(inside.intersection(&outside).is_empty());
            prop_assert_eq!(inside.union(&outside), a);
        }

        #[test]
        fn no_text_panics(text: String) {
            let _ = text.parse::<CpuSet>();
        }
    }

    #[test]
    fn refuses_what_is_no_list() {
        for text in ["3-1", "a", "1,,2", "5000", "-"] {
            assert!(text.parse::<CpuSet>().is_err(), "{text}");
        }
    }
}
