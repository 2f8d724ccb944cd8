//! Variables of a scheduler, by the names of its maps and fields: `SeriesSpec ──find──▶ Found ──read, write──▶ numbers`.

use crate::bpf::{Map, Maps, ELEMENTS_MAX};
use crate::error::ReadError;
use crate::kernel::Kernel;
use crate::object::Object;
use crate::page_table::Gva;
use ktstr_btf::{near, Btf, Field, FieldError, Shape, TypeId};
use ktstr_model::monitor::{OfAll, SeriesSpec};
use std::collections::btree_map::{BTreeMap, Entry};

/// Sections of an object, whose maps are named after the object, too.
const SECTIONS: [&str; 3] = ["bss", "data", "rodata"];
/// The kernel keeps so many bytes of a map's name.
const NAME_BYTES: usize = 15;

/// All variables; what was looked up once is kept.
pub(crate) struct MapVariables {
    maps: Maps,
    /// By the number of a map.
    described: BTreeMap<u32, Described>,
}

/// What an object says of a map.
struct Described {
    types: Option<Btf>,
    /// By their paths.
    fields: BTreeMap<String, Field>,
}

/// Where a variable is.
pub(crate) struct Found<'a> {
    kernel: &'a Kernel,
    types: &'a Btf,
    /// Type of the values.
    of: TypeId,
    field: &'a Field,
    /// The values that have the field: several of a map with a value for each CPU, or without a key.
    values: Vec<Gva>,
}

impl MapVariables {
    pub(crate) fn new(maps: Maps) -> Self {
        Self { maps, described: BTreeMap::new() }
    }

    /// All maps that there are now.
    pub(crate) fn all(&self, kernel: &Kernel) -> Result<Vec<Map>, ReadError> {
        self.maps.all(kernel)
    }

    /// Where the variable is; `None`: there is no such map among `all`.
    pub(crate) fn find<'a>(
        &'a mut self,
        kernel: &'a Kernel,
        all: &[Map],
        spec: &SeriesSpec,
    ) -> Result<Option<Found<'a>>, ReadError> {
        let Self { maps, described } = self;
        // A scheduler that is started again and again leaves some behind.
        if described.len() > all.len() {
            described.retain(|id, _| all.iter().any(|map| map.id == *id));
        }
        // A scheduler that was started again has the newer one.
        let Some(map) = all.iter().rev().find(|map| is_named(map, &spec.map)) else { return Ok(None) };
        let Described { types, fields } = match described.entry(map.id) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(unknown) => {
                unknown.insert(Described { types: maps.types(kernel, map)?, fields: BTreeMap::new() })
            }
        };
        if !fields.contains_key(&spec.field) {
            fields.insert(spec.field.clone(), field(map, types.as_ref(), &spec.field)?);
        }
        let Some(field) = fields.get(&spec.field) else { return Ok(None) };
        let cpus = if map.is_per_cpu() { kernel.cpus() } else { 1 };
        let mut values = Vec::new();
        let places = places(kernel, maps, map, spec)?;
        let all = places.len() as u64 * cpus as u64;
        if all > ELEMENTS_MAX {
            return Err(ReadError::Absurd { what: "values of a variable", seen: all, most: ELEMENTS_MAX });
        }
        for place in places {
            for cpu in 0..cpus {
                values.push(if map.is_per_cpu() { kernel.of_cpu(place, cpu)? } else { place });
            }
        }
        let types = types.as_ref().unwrap_or(kernel.btf());
        Ok(Some(Found { kernel, types, of: map.value_type, field, values }))
    }

    /// As [`MapVariables::find`], among all maps that there are now.
    pub(crate) fn find_now<'a>(&'a mut self, kernel: &'a Kernel, spec: &SeriesSpec) -> Result<Found<'a>, ReadError> {
        let all = self.all(kernel)?;
        let named = all.iter().map(|map| map.name.rsplit_once('.').map_or(map.name.as_str(), |(_, section)| section));
        let near = near(&spec.map, named);
        self.find(kernel, &all, spec)?.ok_or_else(|| ReadError::NoMap { name: spec.map.clone(), near })
    }
}

impl Found<'_> {
    fn objects(&self) -> impl Iterator<Item = Object<'_>> {
        self.values.iter().map(|at| self.kernel.object_of(self.types, self.of, *at))
    }

    /// The number; `None`: the map has no such element.
    pub(crate) fn read(&self, spec: &SeriesSpec) -> Result<Option<i128>, ReadError> {
        let numbers = self.objects().map(|object| object.number(self.field, &spec.field));
        let numbers = numbers.collect::<Result<Vec<_>, _>>()?;
        Ok(match spec.of_all {
            Some(OfAll::Min) => numbers.iter().min().copied(),
            Some(OfAll::Max) => numbers.iter().max().copied(),
            Some(OfAll::Sum) | None => {
                numbers.into_iter().reduce(|sum, one| (sum + one).clamp(i64::MIN.into(), u64::MAX.into()))
            }
        })
    }

    /// Sets it, all of them if there are several; whether there is any.
    pub(crate) fn write(&self, spec: &SeriesSpec, number: i128) -> Result<bool, ReadError> {
        self.objects().try_for_each(|object| object.set(self.field, &spec.field, number))?;
        Ok(!self.values.is_empty())
    }
}

fn is_section(name: &str) -> bool {
    SECTIONS.contains(&name)
}

fn is_named(map: &Map, name: &str) -> bool {
    match map.name.rsplit_once('.') {
        Some((_, section)) if is_section(name) => section == name,
        _ => !is_section(name) && map.name.as_bytes() == name.as_bytes().get(..NAME_BYTES).unwrap_or(name.as_bytes()),
    }
}

/// Where the number is in a value of the map.
fn field(map: &Map, types: Option<&Btf>, path: &str) -> Result<Field, ReadError> {
    let types = types.filter(|_| map.value_type.0 != 0);
    let described = match types {
        Some(types) if !path.is_empty() => return Ok(types.field_of(map.value_type, path)?),
        Some(types) => types.whole(map.value_type),
        None => None,
    };
    // A number that the object does not describe.
    let plain = || Field {
        hops: Vec::new(),
        offset: 0,
        shape: Shape::Int { bytes: map.value_bytes as u32, signed: false, bits: None },
    };
    let problem = "the object says nothing of the types of its values";
    described
        .or_else(|| (path.is_empty() && map.value_bytes <= 8).then(plain))
        .ok_or_else(|| ReadError::Field(FieldError::Misfit { path: path.into(), problem: problem.into() }))
}

/// The values that the variable is in.
fn places(kernel: &Kernel, maps: &Maps, map: &Map, spec: &SeriesSpec) -> Result<Vec<Gva>, ReadError> {
    let elements = || maps.elements(kernel, map)?.ok_or(ReadError::UnknownKind);
    Ok(match spec.key {
        _ if is_section(&spec.map) => vec![maps.element(kernel, map, 0)?],
        Some(key) if map.is_array() && key < map.max_entries => vec![maps.element(kernel, map, key)?],
        Some(_) if map.is_array() => Vec::new(),
        Some(key) => {
            let key = key.to_le_bytes();
            let has_key = |seen: &[u8]| {
                let (low, above) = key.split_at_checked(seen.len()).unwrap_or((&[], &key));
                seen == low && above.iter().all(|byte| *byte == 0)
            };
            elements()?.into_iter().filter(|element| has_key(&element.key)).map(|element| element.value).collect()
        }
        None => elements()?.into_iter().map(|element| element.value).collect(),
    })
}
