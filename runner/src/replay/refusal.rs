//! Why a recording cannot be replayed: other inputs than the recorded ones, each with what to do. Pure.

use ktstr_model::case::Input;
use ktstr_model::StartMode;
use ktstr_recording::compare::{differing_inputs, InputDifference};
use ktstr_recording::Recording;
use std::path::Path;

/// Where the inputs come from, for whoever has to name others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// The command line.
    Options,
    /// A target of Bazel.
    Target,
}

/// Why a recording cannot be replayed with inputs of these contents; none: they are the recorded ones.
pub(super) fn refusal(path: &Path, recording: &Recording, given: &[Input], source: Source) -> Option<String> {
    let case = &recording.header.case;
    let mut differing = differing_inputs(&case.inputs, given);
    // A kernel that is in the snapshot is wanted only to look at it, and for what the host does in it.
    let only_looks = case.start != StartMode::Boot && case.host_ops.is_empty();
    let is_spared = |one: &InputDifference| one.name == "kernel" && one.second.is_none() && only_looks;
    differing.retain(|one| !is_spared(one));
    if differing.is_empty() {
        return None;
    }
    let mut text = format!("{} was made of other inputs:", path.display());
    for InputDifference { name, first, second } in &differing {
        let shown = |sha256: &Option<String>| sha256.as_ref().map_or("none".into(), |sum| format!("sha256 {sum}"));
        let what_to_do = match source {
            Source::Options => format!(": {}", what_to_name(name, &recording.header.made_by)),
            Source::Target if name == "snapshot" || name == "attached" => {
                ": one that is made again is another one; build with the cache of the run that was recorded".into()
            }
            Source::Target => String::new(),
        };
        text += &format!("\n  {name}{what_to_do}");
        text += &format!("\n    recorded: {}\n    given:    {}", shown(first), shown(second));
    }
    if source == Source::Target {
        text += "\n  run it where the sources, the flags and the target are those of the recording";
    }
    Some(text)
}

/// What makes an input of `ktstr replay` the recorded one.
fn what_to_name(input: &str, made_by: &str) -> String {
    match input {
        "kernel" => "name the kernel that was booted with --kernel".into(),
        "emulator" => "name the emulator that ran it with --emulator".into(),
        "init" | "agent" => "name the directory of the guest programs that ran with --guest".into(),
        "snapshot" | "attached" => "name the directory of the snapshot that it started from with --snapshots".into(),
        "scheduler" => "name its program, files and --config as they were with --scheduler, --scheduler-file".into(),
        "runner" => format!("replay it with the very program that made it ({made_by})"),
        _ => "the case was made of it, and it cannot be named here: replay it by its test".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ktstr_model::host_op::{Access, HostOp, KernelVariable, Variable};
    use ktstr_testing::history::history;

    fn recording(inputs: &[(&str, &str)]) -> Recording {
        let mut recording = history("1n1l1c1t", "a: cpu_spin x1\nhold 1s").recording();
        recording.header.made_by = "ktstr 0.0.1".into();
        recording.header.case.inputs = self::inputs(inputs);
        recording
    }

    fn inputs(inputs: &[(&str, &str)]) -> Vec<Input> {
        inputs.iter().map(|(name, sha256)| Input { name: (*name).into(), sha256: (*sha256).into() }).collect()
    }

    #[test]
    fn each_other_input_is_named_with_what_to_do() {
        let recorded = recording(&[("agent", "aa"), ("kernel", "bb"), ("runner", "cc"), ("snapshot", "dd")]);
        let given = inputs(&[("agent", "aa"), ("kernel", "b0"), ("runner", "c0")]);
        let text = refusal(Path::new("x.ktstr"), &recorded, &given, Source::Options).expect("refused");
        insta::assert_snapshot!(text, @r"
        x.ktstr was made of other inputs:
          kernel: name the kernel that was booted with --kernel
            recorded: sha256 bb
            given:    sha256 b0
          runner: replay it with the very program that made it (ktstr 0.0.1)
            recorded: sha256 cc
            given:    sha256 c0
          snapshot: name the directory of the snapshot that it started from with --snapshots
            recorded: sha256 dd
            given:    none
        ");
        let text = refusal(Path::new("x.ktstr"), &recorded, &given[..2], Source::Target).expect("refused");
        assert!(
            text.ends_with("  run it where the sources, the flags and the target are those of the recording"),
            "{text}"
        );
        assert_eq!(refusal(Path::new("x"), &recorded, &recorded.header.case.inputs, Source::Target), None);
        let mut started = recording(&[("agent", "aa"), ("kernel", "bb")]);
        let refused =
            |recording: &Recording| refusal(Path::new("x"), recording, &given[..1], Source::Options).is_some();
        assert!(refused(&started), "it boots");
        started.header.case.start = StartMode::Snapshot;
        assert!(!refused(&started), "its snapshot has it");
        started.header.case.host_ops = vec![HostOp {
            step: 0,
            path: "scenario[0].ops[0].read_kernel".into(),
            variable: Variable::Kernel(KernelVariable {
                symbol: "jiffies".into(),
                field: String::new(),
                of_type: None,
                cpu: None,
            }),
            access: Access::Read { expect: None },
        }];
        assert!(refused(&started), "the host reads in it");
    }
}
