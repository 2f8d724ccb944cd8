//! From `spec.json` to the cases that this process runs: `TestSpec ──▶ [Case] ──filter, shard──▶ Planned`.

use crate::select::{Filter, Shard};
use crate::skip::Skip;
use ktstr_model::case::Input;
use ktstr_model::resolve::{self, Facts};
use ktstr_model::spec::{RandomSeed, SeedSpec};
use ktstr_model::{Case, Clock, FieldError, TestSpec, Topology};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The cases of a target and those of them that are to run.
#[derive(Debug)]
pub(crate) struct Planned {
    /// Name of the target as its declaration says.
    pub(crate) name: String,
    /// Number of cases of the whole target.
    pub(crate) all: usize,
    /// Those to run, in order.
    pub(crate) selected: Vec<Case>,
    /// Why none of them is run; none: they are.
    pub(crate) skip: Option<Skip>,
    /// For the reader.
    pub(crate) warnings: Vec<String>,
}

/// What to plan with.
#[derive(Debug)]
pub(crate) struct Selection<'a> {
    /// Which of the cases.
    pub(crate) filter: Option<&'a Filter>,
    /// Which part of them.
    pub(crate) shard: Shard,
    /// For a declaration that says `seed = "random"`.
    pub(crate) random_seed: u64,
}

/// A declaration from which no case can be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PlanError {
    #[error("cannot read the declaration {}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{name}: {error}")]
    Field { name: String, error: FieldError },
    #[error("{name}: no case matches the filter `{filter}`; nearest: {}", nearest.join(", "))]
    NothingMatches { name: String, filter: String, nearest: Vec<String> },
}

/// Reads a declaration.
pub(crate) fn read_spec(path: &Path) -> Result<TestSpec, PlanError> {
    let json = std::fs::read_to_string(path).map_err(|source| PlanError::Read { path: path.to_owned(), source })?;
    TestSpec::from_json(&json).map_err(|error| PlanError::Field { name: path.display().to_string(), error })
}

/// Contents of the files that cases are made of, so far as they are known.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    /// Of those that all cases share.
    pub(crate) shared: Vec<Input>,
    /// Of the snapshots, by the label of their topology.
    pub(crate) snapshots: BTreeMap<String, Input>,
    /// Of those with the scheduler attached, by the label and the profile.
    pub(crate) attached: BTreeMap<(String, String), Input>,
}

/// Makes all cases and selects. `possible` says whether the back end can build a machine under a clock; it is
/// told the path of the topology in the declaration.
pub(crate) fn plan(
    spec: &TestSpec,
    contents: Contents,
    selection: &Selection<'_>,
    possible: impl Fn(&Topology, Clock, &str) -> Result<(), FieldError>,
) -> Result<Planned, PlanError> {
    let name = &spec.name;
    let field = |error| PlanError::Field { name: name.clone(), error };
    let Contents { shared: inputs, snapshots, attached } = contents;
    let facts = Facts { random_seed: selection.random_seed, inputs, snapshots, attached };
    let cases = resolve::cases(spec, &facts).map_err(field)?;
    let seeds = cases.len() / spec.topologies.len().max(1);
    for (index, case) in cases.iter().step_by(seeds.max(1)).enumerate() {
        possible(&case.topology, case.clock, &format!("topologies[{index}]")).map_err(field)?;
    }
    let all = cases.len();
    let mut warnings = Vec::new();
    if let Some(filter) = selection.filter {
        if !cases.iter().any(|case| filter.takes(&case.name)) {
            let names: Vec<&str> = cases.iter().map(|case| case.name.as_str()).collect();
            let nearest: Vec<String> = filter.nearest(&names).into_iter().map(Into::into).collect();
            let error = PlanError::NothingMatches { name: name.clone(), filter: filter.text().into(), nearest };
            if spec.strict_filter {
                return Err(error);
            }
            warnings.push(error.to_string());
        }
    }
    let taken = |case: &Case| selection.filter.is_none_or(|filter| filter.takes(&case.name));
    let selected: Vec<Case> =
        cases.into_iter().filter(|case| taken(case) && selection.shard.runs(shard_key(spec, case))).collect();
    if selected.is_empty() && warnings.is_empty() {
        warnings.push(format!(
            "{name}: shard {} of {} has no case; {all} cases in all",
            selection.shard.index() + 1,
            selection.shard.total()
        ));
    }
    Ok(Planned { name: name.clone(), all, selected, skip: None, warnings })
}

/// What decides on the shard of a case. Each shard draws a random seed of its own: it must not decide.
fn shard_key<'a>(spec: &TestSpec, case: &'a Case) -> &'a str {
    match spec.seed {
        Some(SeedSpec::Named(RandomSeed::Random)) => case.name.rsplit_once("[s").map_or(&case.name, |(rest, _)| rest),
        _ => &case.name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(strict: bool) -> TestSpec {
        TestSpec::from_json(&format!(
            r#"{{"version": 1, "name": "t", "backend": "tcg", "clocks": ["virtual"], "seeds": 6, "strict_filter": {strict},
            "topologies": [{{"numa_nodes": 1, "llcs": 1, "cores_per_llc": 2, "threads_per_core": 1}}],
            "scenario": [{{"hold": {{"seconds": 1}}}}]}}"#
        ))
        .expect("parses")
    }

    fn select(strict: bool, filter: Option<&str>, shard: Shard) -> Result<Planned, PlanError> {
        let filter = filter.map(Filter::new);
        let selection = Selection { filter: filter.as_ref(), shard, random_seed: 0 };
        plan(&spec(strict), Contents::default(), &selection, |_, _, _| Ok(()))
    }

    #[test]
    fn shards_share_all_cases() {
        let counts = (0..3)
            .filter_map(|index| Shard::new(index, 3))
            .map(|shard| select(false, None, shard).expect("plans").selected.len());
        assert_eq!(counts.sum::<usize>(), 6);
    }

    #[test]
    fn each_shard_may_draw_its_own_seed() {
        let text = spec(false).to_json().replace("\"seeds\": 6", "\"seed\": \"random\"");
        let spec = TestSpec::from_json(&text).expect("parses");
        let run = |index: u32| {
            let shard = Shard::new(index, 3).expect("is one");
            let selection = Selection { filter: None, shard, random_seed: u64::from(index) * 1000 };
            plan(&spec, Contents::default(), &selection, |_, _, _| Ok(())).expect("plans").selected.len()
        };
        assert_eq!((0..3).map(run).sum::<usize>(), 1);
    }

    #[test]
    fn a_filter_that_takes_nothing_is_a_warning_and_strictly_an_error() {
        let message = "t: no case matches the filter `t[1n1l2c1t][s9]`; nearest: t[1n1l2c1t][s0], t[1n1l2c1t][s1]";
        let planned = select(false, Some("t[1n1l2c1t][s9]"), Shard::WHOLE).expect("plans");
        assert!(planned.selected.is_empty());
        assert!(planned.warnings[0].starts_with(message), "{:?}", planned.warnings);
        let error = select(true, Some("t[1n1l2c1t][s9]"), Shard::WHOLE).expect_err("refused").to_string();
        assert!(error.starts_with(message), "{error}");
    }

    #[test]
    fn an_empty_shard_says_so() {
        let empty = (0..64)
            .filter_map(|index| Shard::new(index, 64))
            .find_map(|shard| select(false, None, shard).ok().filter(|planned| planned.selected.is_empty()));
        let warnings = empty.expect("6 cases do not fill 64 shards").warnings;
        assert!(warnings[0].contains("has no case; 6 cases in all"), "{warnings:?}");
    }

    #[test]
    fn what_the_back_end_cannot_build_is_refused_with_its_path() {
        let selection = Selection { filter: None, shard: Shard::WHOLE, random_seed: 0 };
        let impossible = |_: &Topology, _, path: &str| Err(FieldError::new(path, "too many CPUs"));
        let error = plan(&spec(false), Contents::default(), &selection, impossible).expect_err("refused").to_string();
        assert_eq!(error, "t: topologies[0]: too many CPUs");
    }
}
