//! Errors about a field of a declaration: where it is, what is wrong with it, what would do.

use std::fmt;

/// One thing that is wrong with a declaration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {problem}{}", hint.as_ref().map(|h| format!("; {h}")).unwrap_or_default())]
pub struct FieldError {
    /// Path from the root of the declaration, such as `scenario[1].cgroups[0].cpuset`.
    pub path: String,
    /// What is wrong, with the value that was seen.
    pub problem: String,
    /// What would do, where that is known.
    pub hint: Option<String>,
}

impl FieldError {
    /// An error at `path`.
    pub fn new(path: impl fmt::Display, problem: impl Into<String>) -> Self {
        Self { path: path.to_string(), problem: problem.into(), hint: None }
    }

    /// Adds what would do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// Everything that is wrong with a declaration; never empty.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct FieldErrors(pub Vec<FieldError>);

impl fmt::Display for FieldErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, error) in self.0.iter().enumerate() {
            if i > 0 {
                writeln!(f)?;
            }
            write!(f, "{error}")?;
        }
        Ok(())
    }
}

impl From<FieldError> for FieldErrors {
    fn from(error: FieldError) -> Self {
        Self(vec![error])
    }
}

/// The candidate that is nearest to `name`, if one is near enough to be what was meant.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let (distance, candidate) =
        candidates.into_iter().map(|c| (strsim::damerau_levenshtein(name, c), c)).min_by_key(|(d, _)| *d)?;
    let limit = (name.chars().count() / 2).max(2);
    (distance <= limit).then_some(candidate)
}

/// Reads `json` as a `T`. A field or variant that does not exist is reported with its path and the nearest name.
///
/// # Errors
/// A [`FieldError`] whose path starts at the root of `json`.
pub fn from_json<T: serde::de::DeserializeOwned>(json: &str) -> Result<T, FieldError> {
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().to_string();
        explain(&path, &error.into_inner().to_string())
    })?;
    deserializer.end().map_err(|error| FieldError::new("(end of file)", error.to_string()))?;
    Ok(value)
}

/// Turns serde's sentence ("unknown field `x`, expected one of `a`, `b`") into an error that offers the nearest name.
fn explain(path: &str, message: &str) -> FieldError {
    let path = if path == "." || path.is_empty() { "(root)" } else { path };
    let Some((problem, expected)) = message.split_once(", expected ") else {
        return FieldError::new(path, message);
    };
    let unknown = problem.strip_prefix("unknown field `").or_else(|| problem.strip_prefix("unknown variant `"));
    let Some((name, _)) = unknown.and_then(|rest| rest.split_once('`')) else {
        return FieldError::new(path, message);
    };
    let (names, position) = match expected.split_once(" at line ") {
        Some((names, position)) => (names, format!(" (line {position})")),
        None => (expected, String::new()),
    };
    let known: Vec<&str> = names.split('`').skip(1).step_by(2).collect();
    let error = FieldError::new(path, format!("{problem}{position}"));
    match nearest(name, known.iter().copied()) {
        Some(near) => error.hint(format!("did you mean `{near}`?")),
        None => error.hint(format!("known are {}", known.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "snake_case")]
    enum Kind {
        CpuSpin,
        Bursty { burst: u32 },
    }

    #[test]
    fn what_is_known_is_read() {
        let kinds: Vec<Kind> = from_json(r#"["cpu_spin", {"bursty": {"burst": 7}}]"#).expect("parses");
        assert!(matches!(kinds[..], [Kind::CpuSpin, Kind::Bursty { burst: 7 }]));
    }

    fn message(json: &str) -> String {
        from_json::<Vec<Kind>>(json).expect_err("refused").to_string()
    }

    #[test]
    fn an_unknown_variant_gets_the_nearest_name() {
        let text = message(r#"["cpu_spn"]"#);
        assert_eq!(text, "[0]: unknown variant `cpu_spn` (line 1 column 10); did you mean `cpu_spin`?");
    }

    #[test]
    fn an_unknown_field_gets_the_nearest_name_and_its_path() {
        let text = message(r#"["cpu_spin", {"bursty": {"brst": 1}}]"#);
        assert!(text.starts_with("[1].bursty.brst: unknown field `brst`"), "{text}");
        assert!(text.ends_with("did you mean `burst`?"), "{text}");
    }

    #[test]
    fn a_name_near_to_nothing_gets_the_list() {
        assert!(message(r#"["zzzzzzzz"]"#).ends_with("known are cpu_spin, bursty"));
    }

    #[test]
    fn a_wrong_type_keeps_its_path() {
        let text = message(r#"[{"bursty": {"burst": "x"}}]"#);
        assert!(text.starts_with("[0].bursty.burst: invalid type: string \"x\", expected u32"), "{text}");
    }
}
