//! Quantities with their units: durations and sizes as users write them (`"5ms"`, `"1G"`).

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::{fmt, str::FromStr};

/// A duration in nanoseconds. Written with one unit: `"250ns"`, `"10us"`, `"5ms"`, `"2s"`; printed with the largest unit
/// that divides it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Nanos(pub u64);

/// A text that is not a quantity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {what}, such as {example}")]
pub struct QuantityError {
    text: String,
    what: &'static str,
    example: &'static str,
}

const DURATION_UNITS: [(&str, u64); 4] = [("s", 1_000_000_000), ("ms", 1_000_000), ("us", 1_000), ("ns", 1)];
const SIZE_UNITS: [(&str, u64); 2] = [("G", 1024), ("M", 1)];

impl Nanos {
    /// Nanoseconds from seconds; saturates at the ends of the range.
    pub fn from_secs_f64(seconds: f64) -> Self {
        Self((seconds * 1e9).round() as u64)
    }

    /// As seconds.
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1e9
    }
}

impl fmt::Display for Nanos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        print(self.0, &DURATION_UNITS, f)
    }
}

impl FromStr for Nanos {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        parse(text, &DURATION_UNITS).map(Self).ok_or_else(|| QuantityError {
            text: text.into(),
            what: "a duration",
            example: "\"500us\", \"5ms\" or \"2s\"",
        })
    }
}

/// A size of memory in MiB. Written `"512M"` or `"2G"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mebibytes(pub u64);

impl Mebibytes {
    /// In bytes; saturates.
    pub fn bytes(self) -> u64 {
        self.0.saturating_mul(1 << 20)
    }
}

impl fmt::Display for Mebibytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        print(self.0, &SIZE_UNITS, f)
    }
}

impl FromStr for Mebibytes {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        parse(text, &SIZE_UNITS).map(Self).ok_or_else(|| QuantityError {
            text: text.into(),
            what: "a size of memory",
            example: "\"512M\" or \"2G\"",
        })
    }
}

/// `units` from the largest to the smallest; the last one has the factor 1.
fn print(value: u64, units: &[(&str, u64)], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let whole = units.iter().find(|(_, factor)| value != 0 && value.is_multiple_of(*factor));
    let (unit, factor) = whole.or(units.last()).copied().unwrap_or(("", 1));
    f.pad(&format!("{}{unit}", value / factor))
}

fn parse(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let factor = units.iter().find(|(name, _)| *name == unit)?.1;
    number.parse::<u64>().ok()?.checked_mul(factor)
}

macro_rules! as_text {
    ($type:ty) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if serializer.is_human_readable() {
                    serializer.collect_str(self)
                } else {
                    serializer.serialize_u64(self.0)
                }
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                if deserializer.is_human_readable() {
                    String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
                } else {
                    u64::deserialize(deserializer).map(Self)
                }
            }
        }
    };
}

as_text!(Nanos);
as_text!(Mebibytes);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn durations_print_back(value: u64) {
            prop_assert_eq!(Nanos(value).to_string().parse(), Ok(Nanos(value)));
        }

        #[test]
        fn sizes_print_back(value: u64) {
            prop_assert_eq!(Mebibytes(value).to_string().parse(), Ok(Mebibytes(value)));
        }

        #[test]
        fn no_text_panics(text: String) {
            let _ = text.parse::<Nanos>();
            let _ = text.parse::<Mebibytes>();
        }
    }

    #[test]
    fn units_are_the_usual_ones() {
        assert_eq!("5ms".parse(), Ok(Nanos(5_000_000)));
        assert_eq!("2G".parse(), Ok(Mebibytes(2048)));
        assert_eq!(
            "5 ms".parse::<Nanos>().expect_err("a space").to_string(),
            "`5 ms` is not a duration, such as \"500us\", \"5ms\" or \"2s\""
        );
    }
}
