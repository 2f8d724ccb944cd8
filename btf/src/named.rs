//! Everything that has a name that somebody may ask for: functions, structs, constants.

use crate::field::VISITS_MAX;
use crate::types::{Kind, Record};
use crate::{Btf, TypeId};

/// A type with a name, or with parts that have one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Named<'a> {
    /// A function.
    Function {
        /// Its name.
        name: &'a str,
        /// Names of its arguments.
        arguments: Vec<&'a str>,
    },
    /// A struct.
    Struct {
        /// Its name.
        name: &'a str,
        /// Names of its members, those of anonymous ones among them.
        members: Vec<&'a str>,
    },
    /// An enum, which may have no name itself.
    Enum {
        /// Names of its constants.
        constants: Vec<&'a str>,
    },
}

impl Btf {
    /// All that has a name here, without what is in the BTF that this one goes on from.
    pub fn named_types(&self) -> impl Iterator<Item = Named<'_>> {
        self.own_types().filter_map(|id| self.named_type(self.record(id)?))
    }

    fn named_type<'a>(&'a self, record: Record<'a>) -> Option<Named<'a>> {
        let name = self.string(record.name);
        Some(match record.kind {
            Kind::Function => Named::Function { name, arguments: self.arguments(TypeId(record.word)) },
            Kind::Struct => {
                let members = self.members_of(record, VISITS_MAX).into_iter().map(|member| member.name).collect();
                Named::Struct { name, members }
            }
            Kind::Enum | Kind::Enum64 => {
                Named::Enum { constants: self.enumerators(record).map(|(name, _)| name).collect() }
            }
            _ => return None,
        })
    }

    fn arguments(&self, prototype: TypeId) -> Vec<&str> {
        let record = self.record(prototype).filter(|record| record.kind == Kind::Prototype);
        let words =
            record.into_iter().flat_map(|record| (0..record.rest.len() / 4).step_by(2).map(move |at| record.at(at)));
        words.flatten().map(|name| self.string(name)).collect()
    }
}
