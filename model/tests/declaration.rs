//! The declaration that Starlark writes with every constructor is one that can be read, planned and printed.

use ktstr_model::resolve::{self, Facts};
use ktstr_model::TestSpec;

/// Compared with what the rules write by `//tests/rules:golden`.
const EVERYTHING: &str = include_str!("../../tests/rules/everything.spec.json");

#[test]
fn starlark_and_the_model_mean_the_same() {
    let spec = TestSpec::from_json(EVERYTHING).expect("reads");
    assert_eq!(TestSpec::from_json(&spec.to_json()).expect("reads"), spec);
    let cases = resolve::cases(&spec, &Facts::default()).expect("plans");
    let profiles = spec.scheduler.as_ref().map_or(1, |scheduler| scheduler.profiles.len());
    assert_eq!(cases.len(), spec.topologies.len() * profiles * spec.seeds.unwrap_or(1) as usize);
}
