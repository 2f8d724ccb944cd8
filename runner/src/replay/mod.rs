//! Runs the case of a recording again and says whether the guest said the same:
//!
//! ```text
//! command line, or launch file of a test ──given──▶ Replay
//! Replay ──run──▶ the case through the executor ──▶ a recording ──compare──▶ Replayed     as often as it is asked for
//! ```
//!
//! Under the virtual clock a run is a function of its inputs, so that a replay with equal inputs is equal. It is never tried
//! again in silence: each one that differs is reported. Other inputs are refused.

mod given;
mod output;
mod refusal;

pub(crate) use given::{of_test, replay};

use crate::backend::Taken;
use crate::execute::Executor;
use crate::inputs::{self, InputPaths, Inputs};
use crate::planning::Planned;
use crate::report::{Replayed, ReportFiles, Reporter, RunEvent};
use crate::rerun::Rerun;
use crate::run::Run;
use crate::select::Shard;
use crate::session::{self, host, usage, SessionError};
use crate::snapshot::Snapshot;
use crate::stop::Stop;
use ktstr_model::case::Input;
use ktstr_model::{Case, Clock, Verdict};
use ktstr_recording::{compare, Recording};
use ktstr_vmm::MachineBackend;
use refusal::{refusal, Source};
use std::path::PathBuf;

/// A recording that is to be replayed.
struct Replay {
    path: PathBuf,
    recording: Recording,
    times: u32,
    /// Gets a directory for each replay.
    output: PathBuf,
    inputs: InputPaths,
    /// About what was given.
    warnings: Vec<String>,
    source: Source,
    stop: Stop,
    scratch: PathBuf,
    again: Rerun,
}

impl Replay {
    /// All replays; the worst verdict of them.
    fn run(&self, reporter: &mut dyn Reporter) -> Result<Verdict, SessionError> {
        let case = &self.recording.header.case;
        let taken = Taken::new(case.backend, self.inputs.emulator.as_ref());
        taken
            .check(&case.topology, case.clock, "topology")
            .map_err(|error| usage(format!("{}: its machine cannot be made here: {error}", self.path.display())))?;
        let under_test = case.plan.scheduler.as_ref();
        let scheduler = inputs::load_scheduler(self.inputs.scheduler.as_ref(), under_test).map_err(usage)?;
        let emulator = taken.input(self.inputs.emulator.as_ref()).cloned();
        let paths = InputPaths { emulator, ..self.inputs.clone() };
        let inputs = inputs::load(&paths, scheduler, &self.scratch).map_err(host)?;
        let snapshot = inputs.snapshot_of(case).map(Snapshot::input);
        let given: Vec<Input> = inputs.hashes.iter().chain(snapshot).cloned().collect();
        if let Some(refusal) = refusal(&self.path, &self.recording, &given, self.source) {
            return Err(usage(refusal));
        }
        self.warnings().iter().for_each(|text| reporter.report(&RunEvent::Warning { text }));
        let (mut verdict, mut equal) = (Verdict::Pass, 0);
        for number in 1..=self.times {
            if let Some(reason) = self.stop.reason() {
                return Err(host(format!("replay {number} of {} was not begun: {reason} came before", self.times)));
            }
            let replayed = self.once(number, &inputs, taken.machines(), reporter)?;
            equal += u32::from(replayed.verdict() == Verdict::Pass);
            verdict = verdict.max(replayed.verdict());
            reporter.report(&RunEvent::Replayed { replayed: &replayed });
        }
        if self.times > 1 {
            reporter.report(&RunEvent::AllReplayed { equal, times: self.times });
        }
        Ok(verdict)
    }

    /// What a reader should know before it begins.
    fn warnings(&self) -> Vec<String> {
        let real =
            "the clock of this case is real: the host takes part in the run, and no replay can be expected to be equal";
        let real = (self.recording.header.case.clock == Clock::Real).then(|| real.to_owned());
        let cut = self.recording.incomplete();
        let cut = cut.map(|why| format!("the recording is not whole, it is compared as far as it goes: {why}"));
        let blind = "the kernel is not looked at, so that samples are not compared: name it with --kernel";
        let is_blind = self.recording.header.case.monitor.is_some() && self.inputs.image.is_none();
        let blind = is_blind.then(|| blind.to_owned());
        self.warnings.iter().cloned().chain(real).chain(cut).chain(blind).collect()
    }

    fn once(
        &self,
        number: u32,
        inputs: &Inputs,
        backend: Result<&dyn MachineBackend, &str>,
        reporter: &mut dyn Reporter,
    ) -> Result<Replayed, SessionError> {
        let case = &self.recording.header.case;
        let directory = output::new_directory(&self.output)?;
        let planned =
            Planned { name: case.name.clone(), all: 1, selected: vec![case.clone()], skip: None, warnings: vec![] };
        let run = Run {
            target: target_of(case),
            planned: &planned,
            shard: Shard::WHOLE,
            fail_fast: false,
            stop: &self.stop,
            files: &ReportFiles { xml: Some(directory.join("junit.xml")), directory: Some(directory.clone()) },
            rerun: &self.again,
            // The seed stands in the recording, whoever drew it.
            random_seed: None,
        };
        let executor = Executor { inputs, backend, stop: &self.stop, scratch: &self.scratch, recordings: &directory };
        let report = session::execute(&run, &executor, reporter);
        let made = report.cases.first().and_then(|case| case.recording.as_ref()).map(|file| directory.join(file));
        let made = made.ok_or_else(|| host(format!("replay {number} of {} left no recording", self.times)))?;
        let again = Recording::read(&made).map_err(host)?;
        Ok(Replayed {
            number,
            times: self.times,
            clock: case.clock,
            recorded: self.path.display().to_string(),
            recording: made.display().to_string(),
            comparison: compare(&self.recording, &again),
        })
    }
}

/// The target in the name of a case.
fn target_of(case: &Case) -> &str {
    case.name.split('[').next().unwrap_or(&case.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ktstr_testing::history::history;

    #[test]
    fn a_target_is_in_the_name_of_its_cases() {
        let case = Case { name: "t[1n1l1c1t][s0]".into(), ..history("1n1l1c1t", "a: cpu_spin x1\nhold 1s").case };
        assert_eq!(target_of(&case), "t");
    }
}
