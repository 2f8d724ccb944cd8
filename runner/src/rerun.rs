//! The commands that run one case again and that replay its recording, for whoever reads a report. Pure.

use std::path::{Path, PathBuf};

/// How this run was started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Rerun {
    /// By `bazel test`.
    Bazel {
        /// The target.
        label: String,
        /// Build settings that were not at their defaults.
        flags: Vec<String>,
        /// Where recordings are while the test runs, if they are kept.
        kept: Option<PathBuf>,
    },
    /// As a program.
    Program {
        /// Its words up to the choice of cases, not quoted yet.
        words: Vec<String>,
        /// What comes after that choice, not quoted yet: the arguments of a scheduler.
        last: Vec<String>,
        /// What a replay names; none: recordings are not kept.
        replay: Option<ReplayWords>,
    },
    /// As a replay, which is of one case.
    Replay {
        /// All its words.
        words: Vec<String>,
    },
}

/// What `ktstr replay` names, not quoted yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ReplayWords {
    /// Directory of the recordings.
    pub(crate) directory: PathBuf,
    /// The kernel, for cases that boot or look at it.
    pub(crate) kernel: Vec<String>,
    /// All other inputs.
    pub(crate) inputs: Vec<String>,
}

impl Rerun {
    /// The command for the case of this name; `random_seed` is the seed that was drawn for it.
    pub(crate) fn command(&self, case: &str, random_seed: Option<u64>) -> String {
        let seed = random_seed.map(|seed| format!("--random-seed={seed}"));
        let (mut words, choice, seed, last) = match self {
            Self::Bazel { label, flags, .. } => {
                let words = ["bazel", "test", label].into_iter().map(str::to_owned).chain(flags.iter().cloned());
                let words = words.chain(["--test_output=all".to_owned()]).collect();
                (words, format!("--test_filter={case}"), seed.map(|seed| format!("--test_arg={seed}")), &[][..])
            }
            Self::Program { words, last, .. } => (words.clone(), format!("--filter={case}"), seed, last.as_slice()),
            Self::Replay { words } => return line(words),
        };
        words.push(choice);
        words.extend(seed);
        words.extend(last.iter().cloned());
        line(&words)
    }

    /// The command that replays the recording of this file name, of a case that has a kernel among its inputs or not; none: it is not kept
    /// anywhere.
    pub(crate) fn replay(&self, recording: &str, has_kernel: bool) -> Option<String> {
        match self {
            Self::Bazel { label, flags, kept } => {
                let file = as_users_see_it(kept.as_ref()?).join(recording).display().to_string();
                // `bazel run` of a test empties the directory of its outputs.
                let copy = line(&["cp".to_owned(), file, ".".to_owned()]);
                Some(format!("{copy} && {}", line(&words_of_replay(label, flags, recording))))
            }
            Self::Program { replay, .. } => {
                let ReplayWords { directory, kernel, inputs } = replay.as_ref()?;
                let file = directory.join(recording).display().to_string();
                let kernel = if has_kernel { kernel.as_slice() } else { &[] };
                let replay = ["ktstr".to_owned(), "replay".to_owned(), file];
                Some(line(&[replay.as_slice(), kernel, inputs.as_slice()].concat()))
            }
            // What it leaves is compared already.
            Self::Replay { .. } => None,
        }
    }
}

/// The words that replay the recording `file` by its test.
pub(crate) fn words_of_replay(label: &str, flags: &[String], file: &str) -> Vec<String> {
    let words = ["bazel", "run", label].into_iter().map(str::to_owned).chain(flags.iter().cloned());
    words.chain(["--".to_owned(), format!("--replay={file}")]).collect()
}

/// A directory below `testlogs`, wherever Bazel had it while the test ran, as it is found from the root of the workspace.
fn as_users_see_it(directory: &Path) -> PathBuf {
    let parts: Vec<_> = directory.components().collect();
    match parts.iter().rposition(|part| part.as_os_str() == "testlogs") {
        Some(at) => Path::new("bazel-testlogs").join(parts[at + 1..].iter().collect::<PathBuf>()),
        None => directory.to_owned(),
    }
}

/// Words as a POSIX shell reads them.
fn line(words: &[String]) -> String {
    words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
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

    fn bazel(outputs: &str) -> Rerun {
        let flags = vec!["--@ktstr//rules:clock=real".into()];
        Rerun::Bazel { label: "//x:t".into(), flags, kept: Some(outputs.into()) }
    }

    #[test]
    fn a_recording_of_bazel_is_where_users_find_it() {
        let outputs = "/s/1/execroot/_main/bazel-out/k8-fastbuild/testlogs/x/t/shard_1_of_2/test.outputs";
        assert_eq!(
            bazel(outputs).replay("t-1n1l1c1t-s0.ktstr", false).as_deref(),
            Some(
                "cp bazel-testlogs/x/t/shard_1_of_2/test.outputs/t-1n1l1c1t-s0.ktstr . && \
                 bazel run //x:t --@ktstr//rules:clock=real -- --replay=t-1n1l1c1t-s0.ktstr"
            )
        );
        let elsewhere = bazel("/somewhere else").replay("a.ktstr", true).expect("is kept");
        assert!(elsewhere.starts_with("cp '/somewhere else/a.ktstr' . && bazel run //x:t "), "{elsewhere}");
        let nowhere = Rerun::Bazel { label: "//x:t".into(), flags: vec![], kept: None };
        assert_eq!(nowhere.replay("a.ktstr", true), None);
    }

    #[test]
    fn a_recording_of_a_program() {
        let words = |words: [&str; 2]| words.map(String::from).to_vec();
        let (kernel, inputs) = (words(["--kernel", "bzImage"]), words(["--guest", "bin"]));
        let replay = Some(ReplayWords { directory: "out".into(), kernel, inputs });
        let rerun = Rerun::Program { words: vec![], last: vec![], replay };
        let command = |has_kernel| rerun.replay("a.ktstr", has_kernel).expect("is kept");
        assert_eq!(command(true), "ktstr replay out/a.ktstr --kernel bzImage --guest bin");
        assert_eq!(command(false), "ktstr replay out/a.ktstr --guest bin");
        let words = ["ktstr", "replay", "a.ktstr"].map(String::from).to_vec();
        let replay = Rerun::Replay { words };
        assert_eq!(replay.command("t[1n1l1c1t][s0]", None), "ktstr replay a.ktstr");
        assert_eq!(replay.replay("a.ktstr", true), None);
    }

    #[test]
    fn a_test_of_bazel() {
        let rerun = bazel("/s/1/execroot/_main/bazel-out/k8-fastbuild/testlogs/x/t/shard_1_of_2/test.outputs");
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
            Rerun::Program { words, last: vec![], replay: None }.command("t[1n1l1c1t][s0]", None),
            r"ktstr run 'it'\''s here/spec.json' --kernel bzImage --filter='t[1n1l1c1t][s0]'"
        );
    }

    #[test]
    fn arguments_of_a_scheduler_come_last() {
        let words = ["ktstr", "run", "t.json"].map(String::from).to_vec();
        let last = ["--", "-s", "a b"].map(String::from).to_vec();
        assert_eq!(
            Rerun::Program { words, last, replay: None }.command("t[1n1l1c1t][s0]", Some(7)),
            "ktstr run t.json --filter='t[1n1l1c1t][s0]' --random-seed=7 -- -s 'a b'"
        );
    }
}
