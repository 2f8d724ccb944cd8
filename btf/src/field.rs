//! A path through types, resolved: where the value lies and what it is.

use crate::path::{parse, Step};
use crate::types::{Kind, Record, DEPTH_MAX};
use crate::{Btf, TypeId};
use std::ops::ControlFlow;

/// Members of one type that are looked at: the largest struct of a kernel has some hundreds.
pub(crate) const VISITS_MAX: usize = 1 << 13;

/// Where a value lies, seen from the object that its path begins at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Pointers to follow: each is read at this offset from where the last one led.
    pub hops: Vec<u64>,
    /// Where the value begins then.
    pub offset: u64,
    /// What it is.
    pub shape: Shape,
}

/// What a value is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shape {
    /// An integer, or some bits of one.
    Int {
        /// Bytes to read.
        bytes: u32,
        /// Whether it has a sign.
        signed: bool,
        /// Of a bit field: how far to the right, and how many bits.
        bits: Option<(u32, u32)>,
    },
    /// A `bool`.
    Bool,
    /// An enum.
    Enum {
        /// Which.
        id: TypeId,
        /// Bytes to read.
        bytes: u32,
    },
    /// A pointer.
    Pointer {
        /// To what; `void` is 0.
        to: TypeId,
    },
    /// An array of `char`: text up to its first NUL.
    Text {
        /// Length of the array.
        bytes: u32,
    },
    /// Any other array.
    Array {
        /// Of what.
        of: TypeId,
        /// How many.
        count: u32,
    },
    /// A struct, a union or a section of a BPF object.
    Struct {
        /// Which.
        id: TypeId,
        /// Its size.
        bytes: u32,
    },
}

impl Shape {
    /// Bytes to read for the value; of arrays and structs, too, unless they are larger than memory can be.
    pub fn bytes(&self, btf: &Btf) -> Option<u64> {
        match self {
            Self::Int { bytes, .. } | Self::Enum { bytes, .. } | Self::Text { bytes } | Self::Struct { bytes, .. } => {
                Some(u64::from(*bytes))
            }
            Self::Bool => Some(1),
            Self::Pointer { .. } => Some(8),
            Self::Array { of, count } => btf.size(*of)?.checked_mul(u64::from(*count)),
        }
    }
}

/// One named part of a struct, union or section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub field: Field,
}

/// Why there is no such field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FieldError {
    /// This kernel or object does not have it.
    #[error("{within} has no `{missing}` (in `{path}`){}", hint(.near))]
    Absent {
        /// The whole path.
        path: String,
        /// The name that is not there.
        missing: String,
        /// Where it was looked for.
        within: String,
        /// Names there that are like it.
        near: Vec<String>,
    },
    /// The path does not fit to what is there: how it is written, an index too large, `.` where `->` is meant.
    #[error("`{path}` cannot be read: {problem}")]
    Misfit {
        /// The whole path.
        path: String,
        /// What is wrong.
        problem: String,
    },
}

fn hint(near: &[String]) -> String {
    match near {
        [] => String::new(),
        near => format!("; there is `{}`", near.join("`, `")),
    }
}

/// Makes a field that is absent a value: `None`.
///
/// # Errors
/// Every other reason.
pub fn present<T>(result: Result<T, FieldError>) -> Result<Option<T>, FieldError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(FieldError::Absent { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Where a walk along a path is: in a value of type `id`.
struct Place {
    hops: Vec<u64>,
    offset: u64,
    id: TypeId,
    /// Offset and width in bits, if the last step was to a bit field.
    bits: Option<(u32, u32)>,
}

impl Btf {
    /// The field at `path` from an object of the type `name`.
    ///
    /// # Errors
    /// The type or a name of the path is absent, or the path does not fit.
    pub fn field(&self, name: &str, path: &str) -> Result<Field, FieldError> {
        self.field_of(self.named(name, path)?, path)
    }

    /// As [`Btf::find`], with an error that `path` stands in.
    ///
    /// # Errors
    /// There is no such type.
    pub fn named(&self, name: &str, path: &str) -> Result<TypeId, FieldError> {
        let absent = || {
            let near = near(name, self.names());
            FieldError::Absent { path: path.into(), missing: name.into(), within: "the type information".into(), near }
        };
        self.find(name).ok_or_else(absent)
    }

    /// As [`Btf::field`], from an object of a type that is known by its number.
    ///
    /// # Errors
    /// As [`Btf::field`].
    pub fn field_of(&self, id: TypeId, path: &str) -> Result<Field, FieldError> {
        let misfit = |problem: String| FieldError::Misfit { path: path.into(), problem };
        let steps = parse(path)
            .ok_or_else(|| misfit("it is not written like `a.b`, `a->b` or `a[3]`, or a mixture of them".into()))?;
        let mut place = Place { hops: Vec::new(), offset: 0, id, bits: None };
        for step in steps {
            match step {
                Step::Member(name) => self.enter(&mut place, name, path)?,
                Step::Through(name) => {
                    let to =
                        self.pointee(place.id).ok_or_else(|| misfit(format!("`->{name}` is not behind a pointer")))?;
                    place.hops.push(std::mem::take(&mut place.offset));
                    place.id = to;
                    self.enter(&mut place, name, path)?;
                }
                Step::Index(index) => self.index_into(&mut place, index).map_err(misfit)?,
            }
        }
        let shape = self.shape(place.id, place.bits).ok_or_else(|| misfit("what is there has no size".into()))?;
        let within_byte = place.bits.map_or(0, |(at, _)| u64::from(at / 8));
        Ok(Field { hops: place.hops, offset: place.offset + within_byte, shape })
    }

    /// A whole value of a type; `None`: it has no size.
    pub fn whole(&self, id: TypeId) -> Option<Field> {
        Some(Field { hops: Vec::new(), offset: 0, shape: self.shape(id, None)? })
    }

    /// The variable `name`, of a section that the types describe: of a kernel, that of per-CPU variables.
    pub fn variable(&self, name: &str) -> Option<TypeId> {
        self.sections()
            .flat_map(|section| self.members_of(section, VISITS_MAX))
            .find(|member| member.name == name)
            .map(|one| one.id)
    }

    /// What a pointer points to.
    fn pointee(&self, id: TypeId) -> Option<TypeId> {
        self.resolved(id).filter(|(_, record)| record.kind == Kind::Pointer).map(|(_, record)| TypeId(record.word))
    }

    fn enter(&self, place: &mut Place, name: &str, path: &str) -> Result<(), FieldError> {
        let misfit = |problem: &str| FieldError::Misfit { path: path.into(), problem: problem.into() };
        let (id, record) = self.resolved(place.id).ok_or_else(|| misfit("it goes through `void`"))?;
        match record.kind {
            Kind::Struct | Kind::Union | Kind::Section => {}
            Kind::Pointer => return Err(misfit(&format!("there is a pointer before `{name}`: write `->{name}`"))),
            _ => return Err(misfit(&format!("what is before `{name}` has no members"))),
        }
        let absent = || FieldError::Absent {
            path: path.into(),
            missing: name.into(),
            within: format!("`{}`", self.name(id)),
            near: near(name, self.members_of(record, VISITS_MAX).iter().map(|member| member.name)),
        };
        let member = self.member(record, name).ok_or_else(absent)?;
        place.offset += u64::from(member.bit_offset / 8);
        place.id = member.id;
        place.bits = member.width.map(|width| (member.bit_offset % 8, width));
        Ok(())
    }

    fn index_into(&self, place: &mut Place, index: u32) -> Result<(), String> {
        let (_, record) = self.resolved(place.id).ok_or("it goes through `void`")?;
        let of = match record.kind {
            Kind::Array => {
                let (of, count) = record.at(0).zip(record.at(2)).ok_or("the array is damaged")?;
                // Arrays at the end of a struct may say 0: who reads must know their length.
                if index >= count && count != 0 {
                    return Err(format!("[{index}] is beyond an array of {count}"));
                }
                TypeId(of)
            }
            Kind::Pointer => {
                place.hops.push(std::mem::take(&mut place.offset));
                TypeId(record.word)
            }
            _ => return Err(format!("[{index}] is not behind an array or a pointer")),
        };
        let size = self.size(of).ok_or("its elements have no size")?;
        place.offset =
            size.checked_mul(u64::from(index)).and_then(|at| at.checked_add(place.offset)).ok_or("it is too far")?;
        place.id = of;
        Ok(())
    }

    pub(crate) fn shape(&self, id: TypeId, bits: Option<(u32, u32)>) -> Option<Shape> {
        let (id, record) = self.resolved(id)?;
        Some(match record.kind {
            Kind::Int | Kind::Enum | Kind::Enum64 if bits.is_some() => {
                let (at, width) = bits?;
                let signed = record.kind == Kind::Int && record.at(0)? >> 24 & 1 != 0;
                Shape::Int { bytes: (at + width).div_ceil(8), signed, bits: Some((at, width)) }
            }
            // Encoding of an int: 1 signed, 2 char, 4 bool.
            Kind::Int if record.at(0)? >> 24 & 4 != 0 => Shape::Bool,
            Kind::Int => Shape::Int { bytes: record.word, signed: record.at(0)? >> 24 & 1 != 0, bits: None },
            Kind::Float => Shape::Int { bytes: record.word, signed: false, bits: None },
            Kind::Enum | Kind::Enum64 => Shape::Enum { id, bytes: record.word },
            Kind::Pointer => Shape::Pointer { to: TypeId(record.word) },
            Kind::Array => {
                let (of, count) = (TypeId(record.at(0)?), record.at(2)?);
                let (_, element) = self.resolved(of)?;
                let is_char =
                    element.kind == Kind::Int && element.word == 1 && self.string(element.name).contains("char");
                if is_char {
                    Shape::Text { bytes: count }
                } else {
                    Shape::Array { of, count }
                }
            }
            Kind::Struct | Kind::Union | Kind::Section => Shape::Struct { id, bytes: record.word },
            _ => return None,
        })
    }

    /// All members of a struct, union or section, those of anonymous members among them; of others none.
    pub fn members(&self, id: TypeId) -> Vec<Member> {
        self.some_members(id, VISITS_MAX)
    }

    /// As [`Btf::members`]; at most so many are looked at.
    pub(crate) fn some_members(&self, id: TypeId, most: usize) -> Vec<Member> {
        let Some((_, record)) = self.resolved(id) else { return Vec::new() };
        let member = |raw: RawMember<'_>| {
            let shape = self.shape(raw.id, raw.width.map(|width| (raw.bit_offset % 8, width)))?;
            let field = Field { hops: Vec::new(), offset: u64::from(raw.bit_offset / 8), shape };
            Some(Member { name: raw.name.to_owned(), field })
        };
        self.members_of(record, most).into_iter().filter_map(member).collect()
    }

    pub(crate) fn members_of<'a>(&'a self, record: Record<'a>, most: usize) -> Vec<RawMember<'a>> {
        let mut members = Vec::new();
        let _ = self.visit(record, 0, DEPTH_MAX, &mut { most }, &mut |member| {
            members.push(member);
            ControlFlow::Continue(())
        });
        members
    }

    fn member<'a>(&'a self, record: Record<'a>, name: &str) -> Option<RawMember<'a>> {
        let mut visit = |member: RawMember<'a>| match member.name == name {
            true => ControlFlow::Break(member),
            false => ControlFlow::Continue(()),
        };
        self.visit(record, 0, DEPTH_MAX, &mut { VISITS_MAX }, &mut visit).break_value()
    }

    /// Visits the members of a record that begins `moved` bits into another one. Damaged types may contain themselves: `visits` bounds that.
    fn visit<'a>(
        &'a self,
        record: Record<'a>,
        moved: u32,
        depth: usize,
        visits: &mut usize,
        visit: &mut dyn FnMut(RawMember<'a>) -> ControlFlow<RawMember<'a>>,
    ) -> ControlFlow<RawMember<'a>> {
        for index in (0..record.rest.len() / 4).step_by(3) {
            let words = (record.at(index), record.at(index + 1), record.at(index + 2));
            let (Some(first), Some(second), Some(third)) = words else { break };
            let Some(left) = visits.checked_sub(1) else { break };
            *visits = left;
            let member = match record.kind {
                // Type, offset in bytes, size.
                Kind::Section => {
                    let id = TypeId(first);
                    RawMember { name: self.name(id), id, bit_offset: second.saturating_mul(8), width: None }
                }
                // Name, type, offset in bits: with the flag in the lower 24 bits, above them the width.
                Kind::Struct | Kind::Union => {
                    let (bit_offset, width) = if record.flag { (third & 0xff_ffff, third >> 24) } else { (third, 0) };
                    let (bit_offset, width) =
                        (moved.saturating_add(bit_offset), Some(width).filter(|width| *width != 0));
                    RawMember { name: self.string(first), id: TypeId(second), bit_offset, width }
                }
                _ => break,
            };
            let anonymous = if member.name.is_empty() { self.resolved(member.id) } else { None };
            match anonymous {
                Some((_, inner)) if depth > 0 => self.visit(inner, member.bit_offset, depth - 1, visits, visit)?,
                Some(_) => {}
                None => visit(member)?,
            }
        }
        ControlFlow::Continue(())
    }
}

pub(crate) struct RawMember<'a> {
    pub(crate) name: &'a str,
    id: TypeId,
    bit_offset: u32,
    width: Option<u32>,
}

/// The three names most like `wanted`, for a message.
pub fn near<'a>(wanted: &str, names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let scored = names.map(|name| (strsim::jaro_winkler(wanted, name), name)).filter(|(score, _)| *score > 0.8);
    let mut scored: Vec<(f64, &str)> = scored.collect();
    scored.sort_by(|one, other| other.0.total_cmp(&one.0).then(one.1.cmp(other.1)));
    scored.dedup();
    scored.into_iter().take(3).map(|(_, name)| name.to_owned()).collect()
}
