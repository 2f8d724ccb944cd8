//! Texts of a guest: its console, and what a scheduler, its kernel and its dump say.

use crate::input::memory_file;
use ktstr_judge::judge;
use ktstr_model::check::{merge, Has};
use ktstr_model::scheduler::{Awaited, KernelLine, OutputLine, SchedExtState, SchedulerOverdue, Stream};
use ktstr_model::spec::ChecksSpec;
use ktstr_model::{Event, GuestNanos, Nanos, Origin, What};
use ktstr_recording::{Entry, Recording};
use ktstr_testing::history::history;
use ktstr_vmm::console::{find_panic, ConsoleTail};
use std::io::Write;

thread_local! {
    /// A case with a scheduler under test.
    static CASE: Recording = history("1n1l2c1t", "scx start mine\na: cpu_spin x2\nhold 1s").recording();
}

/// The whole input is a console. Each line is an event, too: its first byte says of what kind, see [`event`].
///
/// # Panics
/// If the end of the console is not what was written there, or nothing is found.
pub fn console(input: &[u8]) {
    let (mut file, path) = memory_file();
    let (before, after) = input.split_at(input.len() / 2);
    let mut tail = ConsoleTail::open(&path).expect("opens");
    file.write_all(before).expect("writes");
    let mut seen = tail.read_new().expect("reads");
    file.write_all(after).expect("writes");
    seen.extend(tail.read_new().expect("reads"));
    assert!(seen == input, "the console has {} bytes of {}", seen.len(), input.len());
    find_panic(&path).expect("reads");

    let mut recording = CASE.with(Recording::clone);
    let lines = (1..).zip(input.split(|byte| *byte == b'\n'));
    let events = lines.filter_map(|(number, line)| {
        let (kind, text) = line.split_first()?;
        let what = event(*kind, String::from_utf8_lossy(text).into_owned());
        Some(Entry::Guest(Event { at: GuestNanos(number * 1_000_000), what }))
    });
    recording.entries.splice(..0, events);
    let checks = merge(&[(Origin::Test, &ChecksSpec::default())], Has { limited_cpus: false, scheduler: true });
    let judgement = judge(&recording, &checks);
    assert!(!judgement.findings.is_empty(), "nothing was found");
}

/// `l`: a line of the kernel's log, `d`: of its dump, `s`: a state of sched_ext, `b`: the scheduler begins, `t`: it is told to end, `x`: it has
/// ended, `w`: it was waited for in vain, `g`: the guest gives up, `e`: a line of its standard error; anything else: of its output.
fn event(kind: u8, text: String) -> What {
    let number = text.trim().parse().unwrap_or(0);
    match kind {
        b'l' => What::KernelLog(KernelLine { level: 6, micros: 0, text }),
        b'd' => What::SchedExtDump { line: text },
        b's' => What::SchedExt(SchedExtState { state: text, ops: "mine".into(), enable_seq: 1 }),
        b'b' => What::SchedulerStarted { pid: 1 },
        b't' => What::SchedulerSignalled { signal: number },
        b'x' => What::SchedulerExited { status: number },
        b'w' => What::SchedulerOverdue(SchedulerOverdue {
            awaited: if number == 0 { Awaited::Attach } else { Awaited::Detach },
            waited: Nanos(u64::MAX),
            process: text.chars().next().unwrap_or('-'),
            stack: vec![text],
        }),
        b'g' => What::BrokenOff,
        b'e' => What::SchedulerOutput(OutputLine { stream: Stream::Stderr, text }),
        _ => What::SchedulerOutput(OutputLine { stream: Stream::Stdout, text }),
    }
}
