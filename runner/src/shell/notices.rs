//! What a person is told of the scheduler while the shell runs: pure.

use ktstr_model::scheduler::{Awaited, Stream};
use ktstr_model::What;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

/// Follows the guest's events.
#[derive(Debug, Default)]
pub(super) struct Notices {
    /// Name of the scheduler that is to be attached.
    scheduler: Option<String>,
    attached: bool,
    /// The shell runs.
    ready: bool,
    /// The guest has told it to end.
    told: bool,
    /// What the scheduler has printed that explains most: its first line that begins with `error`, or else the last one.
    printed: Option<String>,
    /// What explains best that it is not attached.
    why: Option<String>,
}

impl Notices {
    /// For a machine in which `scheduler` is to be attached.
    pub(super) fn new(scheduler: Option<String>) -> Self {
        Self { scheduler, ..Self::default() }
    }

    /// What an event is to a person, if it is anything.
    pub(super) fn of(&mut self, what: &What) -> Option<String> {
        match what {
            What::Ready => {
                self.ready = true;
                let name = self.scheduler.as_ref()?;
                (!self.attached).then(|| format!("{name} is not attached: {}", self.reason()))
            }
            What::SchedExt(state) => {
                self.attached = state.state == "enabled";
                None
            }
            What::SchedulerOutput(line) => {
                if line.stream == Stream::Stderr {
                    self.heard(&line.text);
                }
                None
            }
            What::SchedulerSignalled { .. } => {
                self.told = true;
                None
            }
            What::SchedulerExited { status } => {
                let printed = self.printed.as_ref().map(|line| format!("; it printed: {line}")).unwrap_or_default();
                self.tell(format!("it ended ({}){printed}", ExitStatus::from_raw(*status)))
            }
            What::SchedulerOverdue(overdue) => {
                let seconds = Duration::from_nanos(overdue.waited.0).as_secs_f64();
                match overdue.awaited {
                    Awaited::Attach => self.tell(format!("it was not attached after {seconds:.1} s")),
                    Awaited::Detach => {
                        let name = self.scheduler.as_deref().unwrap_or("the scheduler");
                        Some(format!("{name} was told to end and is still there after {seconds:.1} s"))
                    }
                }
            }
            // The kernel says why it throws a scheduler out.
            What::KernelLog(line) if line.text.contains("sched_ext: ") && line.level <= 5 => {
                self.tell(line.text.clone())
            }
            What::BrokenOff => {
                let name = self.scheduler.as_deref().unwrap_or("the scheduler");
                Some(format!("{name} is not attached, and the command was not run: {}", self.reason()))
            }
            _ => None,
        }
    }

    /// Takes note of a line of its errors.
    fn heard(&mut self, line: &str) {
        let is_error = |line: &str| line.get(..5).is_some_and(|word| word.eq_ignore_ascii_case("error"));
        // What Rust programs print behind the message of a panic.
        let says_nothing = line.trim().is_empty() || line.starts_with("note: run with `RUST_BACKTRACE");
        if !says_nothing && !self.printed.as_deref().is_some_and(is_error) {
            self.printed = Some(line.to_owned());
        }
    }

    /// While the shell runs it is told at once; before that it is the reason why it is not attached.
    fn tell(&mut self, text: String) -> Option<String> {
        if self.told {
            return None;
        }
        let name = self.scheduler.clone().unwrap_or_default();
        let told = self.ready.then(|| format!("{name}: {text}"));
        self.why = Some(text);
        told
    }

    fn reason(&self) -> &str {
        self.why.as_deref().unwrap_or("nothing says why; KTSTR_LOG=debug shows more")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ktstr_model::scheduler::{KernelLine, OutputLine, SchedExtState};

    fn state(state: &str) -> What {
        What::SchedExt(SchedExtState { state: state.into(), ops: "x".into(), enable_seq: 1 })
    }

    fn printed(text: &str) -> What {
        What::SchedulerOutput(OutputLine { stream: Stream::Stderr, text: text.into() })
    }

    fn last(events: &[What]) -> Option<String> {
        let mut notices = Notices::new(Some("scx_x".into()));
        events.iter().map(|what| notices.of(what)).last().flatten()
    }

    #[test]
    fn one_that_is_attached_is_nothing_to_tell() {
        assert_eq!(last(&[state("enabled"), What::Ready]), None);
        assert_eq!(Notices::new(None).of(&What::Ready), None);
        let ends = [
            state("enabled"),
            What::Ready,
            What::SchedulerSignalled { signal: 2 },
            What::SchedulerExited { status: 2 },
        ];
        assert_eq!(last(&ends), None);
    }

    #[test]
    fn one_that_is_not_attached_says_why() {
        let ended = [
            printed("Error: no such map"),
            printed(""),
            printed("try --help"),
            What::SchedulerExited { status: 1 << 8 },
        ];
        let before = [&ended[..], &[What::Ready]].concat();
        let why = "it ended (exit status: 1); it printed: Error: no such map";
        assert_eq!(last(&before), Some(format!("scx_x is not attached: {why}")));
        let never = [&ended[..], &[What::BrokenOff]].concat();
        assert_eq!(last(&never), Some(format!("scx_x is not attached, and the command was not run: {why}")));
        let later = [&[state("enabled"), What::Ready], &ended[..]].concat();
        assert_eq!(last(&later), Some(format!("scx_x: {why}")));
    }

    #[test]
    fn the_kernel_says_why_it_throws_one_out() {
        let text = "sched_ext: BPF scheduler \"x\" disabled (runnable task stall)";
        let line = What::KernelLog(KernelLine { level: 3, micros: 1, text: text.into() });
        assert_eq!(last(&[state("enabled"), What::Ready, line]), Some(format!("scx_x: {text}")));
    }
}
