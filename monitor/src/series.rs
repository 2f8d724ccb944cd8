//! Variables of a scheduler that are sampled: `SeriesSpec ──values──▶ SeriesValue`.

use crate::bpf::{Map, Maps};
use crate::error::ReadError;
use crate::kernel::Kernel;
use crate::map_variables::MapVariables;
use ktstr_model::monitor::SeriesSpec;
use ktstr_model::sample::SeriesValue;
use std::collections::BTreeSet;

/// The series of a case.
pub(crate) struct Series {
    specs: Vec<SeriesSpec>,
    /// None: this kernel has no maps, or nobody asks.
    variables: Option<MapVariables>,
    /// Those of which it was said why they cannot be read.
    told: BTreeSet<usize>,
}

/// A series that cannot be read as it is declared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeriesProblem {
    /// Its name.
    pub series: String,
    /// Why not.
    pub problem: String,
}

impl Series {
    /// `None` in place of the maps: there are none.
    pub(crate) fn new(specs: Vec<SeriesSpec>, maps: Option<Maps>) -> Self {
        Self { specs, variables: maps.map(MapVariables::new), told: BTreeSet::new() }
    }

    /// The values, in the order of the series, and how many could not be read though they are there. What a series lacks is told once.
    pub(crate) fn values(&mut self, kernel: &Kernel) -> (Vec<SeriesValue>, u32, Vec<SeriesProblem>) {
        let Self { specs, variables, told } = self;
        let all = match variables {
            Some(variables) if !specs.is_empty() => variables.all(kernel).ok(),
            _ => None,
        };
        let (mut torn, mut problems) = (0, Vec::new());
        let values = specs.iter().enumerate().map(|(index, spec)| {
            match all.as_ref().map(|all| value(variables.as_mut(), kernel, all, spec)) {
                Some(Ok(value)) => return value,
                // Of these it is the declaration, or the map: the next sample will be no other.
                Some(Err(error @ (ReadError::Field(_) | ReadError::Absurd { .. } | ReadError::UnknownKind))) => {
                    if told.insert(index) {
                        problems.push(SeriesProblem { series: spec.name.clone(), problem: error.to_string() });
                    }
                }
                Some(Err(_)) | None => torn += 1,
            }
            SeriesValue::Unreadable
        });
        (values.collect(), torn, problems)
    }
}

fn value(
    variables: Option<&mut MapVariables>,
    kernel: &Kernel,
    all: &[Map],
    spec: &SeriesSpec,
) -> Result<SeriesValue, ReadError> {
    let Some(found) = variables.map(|variables| variables.find(kernel, all, spec)).transpose()?.flatten() else {
        return Ok(SeriesValue::NoMap);
    };
    Ok(found.read(spec)?.map_or(SeriesValue::NoElement, SeriesValue::Number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bpf::tests::{machine, types};
    use crate::bpf::{ARRAY, HASH, PERCPU_ARRAY};
    use crate::testkit::direct;
    use ktstr_model::monitor::OfAll;
    use ktstr_testing::BtfWriter;

    /// Kind and memory of a map; a series, and its value.
    type Case<'a> = (u32, &'a [(u64, u64)], &'a str, Option<u64>, Option<OfAll>, SeriesValue);

    const APPLE: u64 = u64::from_le_bytes(*b"apple\0\0\0");

    fn series(map: &str, field: &str, key: Option<u64>, of_all: Option<OfAll>) -> SeriesSpec {
        SeriesSpec { name: "s".into(), map: map.into(), field: field.into(), key, of_all }
    }

    /// The value of one series in the map of `machine` with `more`, how many are torn, and what it lacks, of two looks.
    fn values(kind: u32, more: &[(u64, u64)], spec: SeriesSpec) -> (SeriesValue, u32, Vec<String>) {
        let kernel = machine(kind, more).open(&types()).expect("is there");
        let mut series = Series::new(vec![spec], Some(Maps::of(&kernel).expect("are there")));
        let (values, torn, problems) = series.values(&kernel);
        let again = series.values(&kernel);
        assert_eq!((&values, torn, vec![]), (&again.0, again.1, again.2), "the second look");
        (values[0], torn, problems.into_iter().map(|problem| problem.problem).collect())
    }

    #[test]
    fn elements_by_key_and_of_all() {
        let named = (0x8020, u64::from_le_bytes(*b"queues\0\0"));
        let name = [named, (0x8028, 0)];
        let array = [&name[..], &[(0x8030, 16), (0x8038, 7), (0x8048, 5)]].concat();
        // CPUs have theirs 0x2000 and 0x3000 behind the pointer.
        let per_cpu =
            [&name[..], &[(0x8038, direct(0x500).0), (0x8040, direct(0x600).0), (0x2500, 3), (0x3500, 4)]].concat();
        let hash = [
            &name[..],
            &[(0x8030, direct(0x9000).0), (0x8038, 2), (0x9000, 1), (0x9010, direct(0xa000).0)],
            &[(0xa000, 3), (0xa010, APPLE), (0xa018, u64::MAX)],
        ]
        .concat();
        let lost = [&name[..], &[(0x8030, 1 << 50), (0x8038, 2)]].concat();
        let many = [&name[..], &[(0x8010, (1 << 16) | 1 << 32)]].concat();
        let number = SeriesValue::Number;
        let cases: [Case<'_>; 11] = [
            (ARRAY, &array, "queues", Some(1), None, number(5)),
            (ARRAY, &array, "queues", Some(2), None, SeriesValue::NoElement),
            (ARRAY, &array, "queues", None, Some(OfAll::Sum), number(12)),
            (ARRAY, &array, "queues", None, Some(OfAll::Min), number(5)),
            (ARRAY, &array, "queues", None, Some(OfAll::Max), number(7)),
            (PERCPU_ARRAY, &per_cpu, "queues", Some(0), Some(OfAll::Sum), number(7)),
            (HASH, &hash, "queues", Some(APPLE), None, number(u64::MAX.into())),
            (HASH, &hash, "queues", Some(APPLE + 1), None, SeriesValue::NoElement),
            (HASH, &hash, "queues", Some(APPLE + (1 << 40)), None, SeriesValue::NoElement),
            (HASH, &hash, "bss", None, None, SeriesValue::NoMap),
            (HASH, &lost, "queues", Some(APPLE), None, SeriesValue::Unreadable),
        ];
        for (kind, more, map, key, of_all, expected) in cases {
            let torn = u32::from(expected == SeriesValue::Unreadable);
            assert_eq!(
                values(kind, more, series(map, "", key, of_all)),
                (expected, torn, vec![]),
                "{map} {key:?} {of_all:?}"
            );
        }
        let problem = "`values of a variable` says 131072, and 65536 is the most that can be".to_owned();
        let sum = series("queues", "", None, Some(OfAll::Sum));
        assert_eq!(values(PERCPU_ARRAY, &many, sum), (SeriesValue::Unreadable, 0, vec![problem]));
    }

    #[test]
    fn variables_by_name_and_those_that_are_not_there() {
        let mut object = BtfWriter::default();
        let u64_ = object.int("__u64", 8, 0);
        let bss = object.section(".bss", 8, &[("nr_queued", u64_, 0, 8)]);
        let blob = object.finish();
        let mut more = vec![(0x8010, 2 | u64::from(bss) << 32), (0x8018, direct(0x9000).0), (0x8030, 8), (0x8038, 42)];
        more.extend([(0x9000, direct(0xa000).0), (0x9008, blob.len() as u64)]);
        let words = blob.chunks(8).map(|chunk| {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            u64::from_le_bytes(word)
        });
        more.extend((0xa000..).step_by(8).zip(words));
        let value = |field| values(ARRAY, &more, series("bss", field, None, None));
        assert_eq!(value("nr_queued"), (SeriesValue::Number(42), 0, vec![]));
        let problem = "`.bss` has no `nr_queues` (in `nr_queues`); there is `nr_queued`".to_owned();
        assert_eq!(value("nr_queues"), (SeriesValue::Unreadable, 0, vec![problem]));
        let problem = "`` cannot be read: it is no number of at most 8 bytes".to_owned();
        assert_eq!(value(""), (SeriesValue::Unreadable, 0, vec![problem]));
    }
}
