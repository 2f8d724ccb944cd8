//! The lines of a history that are about the scheduler under test.

use super::notation::Reader;
use ktstr_model::scheduler::{Awaited, KernelLine, OutputLine, SchedExtState, SchedulerOverdue, Stream};
use ktstr_model::{Nanos, SchedulerSpec, What};

/// Reads what follows `scx`; nothing if it is not of the notation.
pub(super) fn statement(reader: &mut Reader, text: &str) -> Option<()> {
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    let what = match word {
        "start" => {
            let spec = SchedulerSpec { name: rest.into(), ..Default::default() };
            reader.plan.scheduler = spec.profiles("scheduler").ok()?.pop()?.scheduler;
            reader.say(What::SchedExt(SchedExtState { state: "disabled".into(), ..SchedExtState::default() }));
            What::SchedulerStarted { pid: 100 }
        }
        "again" => What::SchedulerStarted { pid: 101 },
        "state" => {
            let ops = if rest == "disabled" { "" } else { "mine" };
            What::SchedExt(SchedExtState { state: rest.into(), ops: ops.into(), enable_seq: 1 })
        }
        "out" => What::SchedulerOutput(OutputLine { stream: Stream::Stdout, text: rest.into() }),
        "err" => What::SchedulerOutput(OutputLine { stream: Stream::Stderr, text: rest.into() }),
        "log" => {
            let (level, text) = rest.split_once(' ')?;
            let micros = reader.now / 1000;
            What::KernelLog(KernelLine { level: level.parse().ok()?, micros, text: text.into() })
        }
        "dump" => What::SchedExtDump { line: rest.into() },
        "signal" => What::SchedulerSignalled { signal: rest.parse().ok()? },
        "exit" => What::SchedulerExited { status: rest.parse().ok()? },
        "late" => {
            let mut words = rest.split(' ');
            let awaited = match words.next()? {
                "attach" => Awaited::Attach,
                "detach" => Awaited::Detach,
                _ => return None,
            };
            let waited: Nanos = words.next()?.parse().ok()?;
            let process = words.next()?.chars().next()?;
            let stack = words.map(str::to_owned).collect();
            What::SchedulerOverdue(SchedulerOverdue { awaited, waited, process, stack })
        }
        "wait" => {
            reader.now += rest.parse::<Nanos>().ok()?.0;
            return Some(());
        }
        _ => return None,
    };
    reader.say(what);
    Some(())
}
