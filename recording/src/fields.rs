//! In which fields two values differ, for people: `T, T ──as JSON──▶ [FieldDifference]`.

use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fmt;

/// Longest value that is shown; of the rest it is only known that it differs.
const VALUE_CHARS_MAX: usize = 80;

/// A field that two values do not have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldDifference {
    /// Where it is: `plan.seed`, `kernel_args[0]`.
    pub path: String,
    /// What it is on the first side; none: there is nothing.
    pub first: Option<String>,
    /// What it is on the second side.
    pub second: Option<String>,
}

impl fmt::Display for FieldDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |side: &Option<String>| side.clone().unwrap_or_else(|| "nothing".into());
        write!(f, "{}: {}, then {}", self.path, shown(&self.first), shown(&self.second))
    }
}

/// All fields that differ, in the order of their paths.
pub fn differing_fields<T: Serialize>(first: &T, second: &T) -> Vec<FieldDifference> {
    // Plain data with string keys.
    let json = |value: &T| serde_json::to_value(value).unwrap_or_default();
    differing_values(&json(first), &json(second))
}

pub(crate) fn differing_values(first: &Value, second: &Value) -> Vec<FieldDifference> {
    let mut found = Vec::new();
    walk(String::new(), Some(first), Some(second), &mut found);
    found
}

fn walk(path: String, first: Option<&Value>, second: Option<&Value>, found: &mut Vec<FieldDifference>) {
    match (first, second) {
        (first, second) if first == second => {}
        (Some(Value::Object(first)), Some(Value::Object(second))) => {
            let keys: BTreeSet<&String> = first.keys().chain(second.keys()).collect();
            for key in keys {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                walk(path, first.get(key), second.get(key), found);
            }
        }
        (Some(Value::Array(first)), Some(Value::Array(second))) => {
            for index in 0..first.len().max(second.len()) {
                walk(format!("{path}[{index}]"), first.get(index), second.get(index), found);
            }
        }
        (first, second) => {
            found.push(FieldDifference { path, first: first.map(shown), second: second.map(shown) });
        }
    }
}

fn shown(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    match text.char_indices().nth(VALUE_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn differ(first: Value, second: Value) -> Vec<String> {
        differing_values(&first, &second).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn names_each_field_with_its_path() {
        let first = json!({"a": 1, "b": {"c": [1, 2], "d": "x"}, "e": 5});
        let second = json!({"a": 1, "b": {"c": [1, 3, 4], "d": "y"}});
        assert_eq!(
            differ(first, second),
            ["b.c[1]: 2, then 3", "b.c[2]: nothing, then 4", "b.d: x, then y", "e: 5, then nothing"]
        );
    }

    #[test]
    fn a_long_value_is_cut() {
        let lines = differ(json!({ "a": "é".repeat(100) }), json!({ "a": 1 }));
        assert_eq!(lines, [format!("a: {}…, then 1", "é".repeat(VALUE_CHARS_MAX))]);
    }
}
