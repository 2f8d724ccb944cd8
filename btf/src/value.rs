//! Bytes as the value that their field says.

use crate::{Btf, Shape};
use std::fmt;
use std::ops::RangeInclusive;

/// A value that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Without a sign.
    Unsigned(u64),
    /// With a sign.
    Signed(i64),
    /// A `bool`.
    Bool(bool),
    /// An enum.
    Enum {
        /// Its number.
        value: i64,
        /// Its name, if the enum has it.
        name: Option<String>,
    },
    /// An address.
    Pointer(u64),
    /// Text; what is no UTF-8 is replaced.
    Text(String),
    /// Anything else.
    Bytes(Vec<u8>),
}

impl Value {
    /// As a number, if it is one.
    pub fn number(&self) -> Option<i128> {
        match self {
            Self::Unsigned(value) | Self::Pointer(value) => Some(i128::from(*value)),
            Self::Signed(value) | Self::Enum { value, .. } => Some(i128::from(*value)),
            Self::Bool(value) => Some(i128::from(*value)),
            Self::Text(_) | Self::Bytes(_) => None,
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsigned(value) => write!(f, "{value}"),
            Self::Signed(value) | Self::Enum { value, name: None } => write!(f, "{value}"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Enum { name: Some(name), .. } => f.write_str(name),
            Self::Pointer(value) => write!(f, "{value:#x}"),
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Bytes(bytes) => bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}")),
        }
    }
}

impl Shape {
    /// The number in `bytes`, read from where the value is: of a signed one with its sign, of others zeros above. Short bytes count as
    /// zeros behind them; what is no number is 0.
    pub fn word(&self, bytes: &[u8]) -> u64 {
        let whole = |length: u32| {
            let mut word = bytes.first_chunk().copied().unwrap_or_default();
            if bytes.len() < word.len() {
                word.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
            }
            u64::from_le_bytes(word) & u64::MAX.checked_shr(64 - 8 * length.min(8)).unwrap_or_default()
        };
        match self {
            Self::Int { bytes: length, signed, bits } => {
                let (shift, width) = bits.unwrap_or((0, 8 * (*length).min(8)));
                let unused = 64 - width.clamp(1, 64);
                let aligned = (whole(*length) >> shift.min(63)) << unused;
                if *signed {
                    (aligned as i64 >> unused) as u64
                } else {
                    aligned >> unused
                }
            }
            Self::Bool => u64::from(whole(1) != 0),
            Self::Enum { bytes: length, .. } => whole(*length),
            Self::Pointer { .. } => whole(8),
            Self::Text { .. } | Self::Array { .. } | Self::Struct { .. } => 0,
        }
    }
}

impl Shape {
    /// The numbers that it can be; `None`: it is no number of at most 8 bytes.
    pub fn range(&self) -> Option<RangeInclusive<i128>> {
        let (width, signed) = match self {
            Self::Int { bytes, signed, bits } => (bits.map_or(bytes.saturating_mul(8), |(_, width)| width), *signed),
            Self::Bool => (1, false),
            Self::Pointer { .. } => (64, false),
            // With or without a sign, as its enumerators may be.
            Self::Enum { bytes, .. } => {
                let half = 1i128 << (8 * Some(*bytes).filter(|bytes| (1..=8).contains(bytes))? - 1);
                return Some(-half..=2 * half - 1);
            }
            Self::Text { .. } | Self::Array { .. } | Self::Struct { .. } => return None,
        };
        let end = 1i128.checked_shl(width).filter(|_| (1..=64).contains(&width))?;
        Some(if signed { -end / 2..=end / 2 - 1 } else { 0..=end - 1 })
    }

    /// Puts a number of its range into `bytes`, which were read from where the value is: of a bit field the bits around it stay.
    pub fn encode(&self, number: i128, bytes: &mut [u8]) {
        let (shift, width) = match self {
            Self::Int { bits: Some(bits), .. } => *bits,
            _ => (0, 8 * bytes.len() as u32),
        };
        let mask = 1u128.checked_shl(width).map_or(u128::MAX, |end| end - 1);
        let mut word = [0; 16];
        word.iter_mut().zip(&*bytes).for_each(|(to, from)| *to = *from);
        let around = u128::from_le_bytes(word) & !mask.checked_shl(shift).unwrap_or_default();
        let word = around | (number as u128 & mask).checked_shl(shift).unwrap_or_default();
        bytes.iter_mut().zip(word.to_le_bytes()).for_each(|(to, from)| *to = from);
    }
}

impl Btf {
    /// What `bytes`, read from where a field is, mean; see [`Shape::word`].
    pub fn decode(&self, shape: &Shape, bytes: &[u8]) -> Value {
        let word = shape.word(bytes);
        match shape {
            Shape::Int { bytes: length, .. } if *length > 8 => Value::Bytes(bytes.to_vec()),
            Shape::Int { signed: true, .. } => Value::Signed(word as i64),
            Shape::Int { .. } => Value::Unsigned(word),
            Shape::Bool => Value::Bool(word != 0),
            Shape::Pointer { .. } => Value::Pointer(word),
            Shape::Enum { id, bytes: length } => {
                let record = self.record(*id);
                let is_signed = *length <= 4 && record.is_some_and(|record| record.flag);
                let value = if is_signed { i64::from(word as u32 as i32) } else { word as i64 };
                let name = record.and_then(|record| self.enumerators(record).find(|(_, one)| *one == value));
                Value::Enum { value, name: name.map(|(name, _)| name.to_owned()) }
            }
            Shape::Text { .. } => {
                let text = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
                Value::Text(String::from_utf8_lossy(text).into_owned())
            }
            Shape::Array { .. } | Shape::Struct { .. } => Value::Bytes(bytes.to_vec()),
        }
    }
}
