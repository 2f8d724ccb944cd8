//! The command that runs one case again, for whoever reads a report. Pure.

/// How this run was started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Rerun {
    /// By `bazel test`.
    Bazel {
        /// The target.
        label: String,
        /// Build settings that were not at their defaults.
        flags: Vec<String>,
    },
    /// As a program: its words up to the choice of cases.
    Program {
        /// Not quoted yet.
        words: Vec<String>,
    },
}

impl Rerun {
    /// The command for the case of this name; `random_seed` is the seed that was drawn for it.
    pub(crate) fn command(&self, case: &str, random_seed: Option<u64>) -> String {
        let seed = random_seed.map(|seed| format!("--random-seed={seed}"));
        let (mut words, choice, seed) = match self {
            Self::Bazel { label, flags } => {
                let words = ["bazel", "test", label].into_iter().map(str::to_owned).chain(flags.iter().cloned());
                let words = words.chain(["--test_output=all".to_owned()]).collect();
                (words, format!("--test_filter={case}"), seed.map(|seed| format!("--test_arg={seed}")))
            }
            Self::Program { words } => (words.clone(), format!("--filter={case}"), seed),
        };
        words.push(choice);
        words.extend(seed);
        words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
    }
}

/// A word as a POSIX shell reads it. Of an option only the value is quoted, which reads better.
fn quoted(word: &str) -> String {
    let plain = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || "_-./:=@,+%".contains(c));
    if !word.is_empty() && plain(word) {
        return word.to_owned();
    }
    let (option, value) = match word.split_once('=') {
        Some((option, value)) if option.starts_with("--") && plain(option) => (format!("{option}="), value),
        _ => (String::new(), word),
    };
    format!("{option}'{}'", value.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_of_bazel() {
        let rerun = Rerun::Bazel { label: "//x:t".into(), flags: vec!["--@ktstr//rules:clock=real".into()] };
        assert_eq!(
            rerun.command("t[1n1l1c1t][s77]", Some(77)),
            "bazel test //x:t --@ktstr//rules:clock=real --test_output=all --test_filter='t[1n1l1c1t][s77]' \
             --test_arg=--random-seed=77"
        );
    }

    #[test]
    fn a_program_with_odd_paths() {
        let words = ["ktstr", "run", "it's here/spec.json", "--kernel", "bzImage"].map(String::from).to_vec();
        assert_eq!(
            Rerun::Program { words }.command("t[1n1l1c1t][s0]", None),
            r"ktstr run 'it'\''s here/spec.json' --kernel bzImage --filter='t[1n1l1c1t][s0]'"
        );
    }
}
