//! What targets record, compared.

use crate::Ran;
use ktstr_recording::{compare, Comparison, Recording};
use std::collections::BTreeMap;

impl Ran {
    /// The recordings of all cases, by name.
    #[must_use]
    pub fn recordings(&self) -> BTreeMap<String, Recording> {
        let report = self.report();
        let cases = report["cases"].as_array().cloned().unwrap_or_default();
        let read = |case: &serde_json::Value| {
            let name = case["name"].as_str().expect("a name").to_owned();
            let file = case["recording"].as_str().expect("a recording");
            (name, Recording::read(&self.path(file)).expect("reads"))
        };
        cases.iter().map(read).collect()
    }
}

/// Compares case by case: what the guests said, with all times, and their consoles.
///
/// # Panics
/// If a case is missing on one side, or differs; the message says where.
pub fn assert_equal(first: &BTreeMap<String, Recording>, second: &BTreeMap<String, Recording>) {
    assert!(first.keys().eq(second.keys()), "{:?} and {:?}", first.keys(), second.keys());
    assert!(!first.is_empty());
    for (name, one) in first {
        let other = &second[name];
        let comparison = compare(one, other);
        assert!(matches!(comparison, Comparison::Equal { .. }), "{name}: {comparison:?}");
        let text = |recording: &Recording| String::from_utf8_lossy(&recording.console()).into_owned();
        assert_eq!(text(one), text(other), "{name}");
    }
}
