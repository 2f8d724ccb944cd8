//! `ktstr dump`: what a recording has of the guest's kernel when something was over, for people: `Dump ──text──▶ lines`.
//!
//! ```text
//! at 7.204119 s of guest time
//! CPU 1: in the kernel, interrupts off, running hog (71)
//!     rip=0xffffffff81002a3c rsp=0xffffc900001fbe88 …
//!     spin_with_interrupts_off+0x2c
//!     nr_running=3, of sched_ext 2
//! DSQ 0x0: 2 tasks: cpu_spin (72), cpu_spin (73)
//! waits: kworker/0:1 (15) on CPU 0 for 5203.118 ms
//! map ktstr.bss (id 7)
//!     [0] nr_queued=2
//! ```

use crate::cli::DumpArgs;
use ktstr_model::dump::{CpuDump, DsqDump, ElementDump, MapDump};
use ktstr_model::sample::{dsq_name, TaskSample};
use ktstr_model::{Dump, Verdict};
use ktstr_recording::Recording;
use std::collections::BTreeSet;
use std::error::Error;
use std::io::Write;

/// Prints the dumps of a recording, in the order of time.
///
/// # Errors
/// A file that is no recording, or one without a dump.
pub(crate) fn dump_file(args: &DumpArgs) -> Result<Verdict, Box<dyn Error>> {
    let recording = Recording::read(&args.recording)?;
    let dumps: Vec<&Dump> = recording.dumps().collect();
    if dumps.is_empty() {
        let text = "it has no dump: one is made when the machine hangs or the scheduler under test dies, unless the test says monitor = False";
        return Err(format!("{}: {text}", args.recording.display()).into());
    }
    let text = match args.json {
        true => format!("{}\n", serde_json::to_string_pretty(&dumps)?),
        false => dumps.into_iter().map(text).collect(),
    };
    // A reader that has gone away is no failure.
    let _ = std::io::stdout().write_all(text.as_bytes());
    Ok(Verdict::Pass)
}

/// All of it. Names come from the guest, and none of them gets control of a terminal.
pub(crate) fn text(dump: &Dump) -> String {
    let numbers = dump.cpus.iter().map(|cpu| cpu.cpu).chain(dump.sample.cpus.iter().map(|cpu| cpu.cpu));
    let numbers: BTreeSet<u32> = numbers.collect();
    let at = [format!("at {:.6} s of guest time", dump.at.0 as f64 / 1e9)].into_iter();
    let cpus = numbers.into_iter().flat_map(|number| cpu(dump, number));
    let queues = dump.dsqs.iter().map(|queue| dsq(dump, queue));
    let waits = tasks(dump).filter_map(waiting);
    let maps = dump.maps.iter().flat_map(map);
    let missing = dump.missing.iter().map(|what| format!("not read: {what}"));
    let lines = at.chain(cpus).chain(queues).chain(waits).chain(maps).chain(missing);
    lines.map(|line| line.replace(char::is_control, "\u{fffd}") + "\n").collect()
}

fn cpu(dump: &Dump, number: u32) -> Vec<String> {
    let seen = dump.sample.cpus.iter().find(|cpu| cpu.cpu == number);
    let task = match seen {
        Some(cpu) if cpu.curr == 0 => "idle".into(),
        Some(cpu) => format!("running {} ({})", cpu.comm, cpu.curr),
        None => "its runqueue was not read".into(),
    };
    let mut lines = Vec::new();
    match dump.cpus.iter().find(|cpu| cpu.cpu == number) {
        Some(of) => {
            lines.push(format!("CPU {number}: {}, {task}", place(of)));
            let registers: Vec<String> =
                of.registers.iter().map(|(name, value)| format!("{name}={value:#x}")).collect();
            lines.push(format!("    {}", registers.join(" ")));
            lines.extend(of.backtrace.iter().map(|frame| format!("    {frame}")));
        }
        None => lines.push(format!("CPU {number}: {task}")),
    }
    lines.extend(seen.map(|cpu| {
        let scx = cpu.scx.map(|scx| format!(", of sched_ext {}", scx.nr_running)).unwrap_or_default();
        format!("    nr_running={}{scx}", cpu.nr_running)
    }));
    lines
}

fn place(of: &CpuDump) -> String {
    let place = match (of.halted, of.user) {
        (true, _) => "halted",
        (_, true) => "in user space",
        _ => "in the kernel",
    };
    format!("{place}, interrupts {}", if of.interrupts { "on" } else { "off" })
}

fn dsq(dump: &Dump, queue: &DsqDump) -> String {
    let named = |pid: &i32| match tasks(dump).find(|task| task.pid == *pid) {
        Some(task) => format!("{} ({pid})", task.comm),
        None => pid.to_string(),
    };
    let names: Vec<String> = queue.pids.iter().map(named).collect();
    let which = match queue.cpu {
        Some(cpu) => format!("local DSQ of CPU {cpu}"),
        None => dsq_name(queue.id),
    };
    let more = if queue.complete { "" } else { ", and perhaps more" };
    format!("{which}: {} tasks: {}{more}", names.len(), names.join(", "))
}

fn tasks(dump: &Dump) -> impl Iterator<Item = &TaskSample> {
    dump.sample.tasks.iter().flat_map(|tasks| &tasks.tasks)
}

fn waiting(task: &TaskSample) -> Option<String> {
    let held = task.held.map(|held| format!("; {held}")).unwrap_or_default();
    let TaskSample { comm, pid, cpu, .. } = task;
    let waited = task.waiting? as f64 / 1e6;
    Some(format!("waits: {comm} ({pid}) on CPU {cpu} for {waited:.3} ms{held}"))
}

fn map(map: &MapDump) -> Vec<String> {
    // Most elements of most arrays have never been written.
    let runs = map.elements.chunk_by(|one, other| one.fields == other.fields && one.cpu.is_none());
    let lines = runs.map(|run| match run {
        [first, .., last] => element(&format!("{} to {}", key(first), key(last)), first),
        run => run.iter().map(|one| element(&key(one), one)).collect(),
    });
    let more = (map.more > 0).then(|| format!("    and {} more", map.more));
    [format!("map {} (id {})", map.name, map.id)].into_iter().chain(lines).chain(more).collect()
}

fn key(element: &ElementDump) -> String {
    let cpu = element.cpu.map(|cpu| format!(", CPU {cpu}")).unwrap_or_default();
    format!("{}{cpu}", element.key)
}

fn element(keys: &str, element: &ElementDump) -> String {
    let fields = element.fields.iter().map(|(name, value)| match name.is_empty() {
        true => value.clone(),
        false => format!("{name}={value}"),
    });
    format!("    [{keys}] {}", fields.collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ktstr_model::dump::FrameDump;
    use ktstr_model::sample::{CpuSample, Sample, ScxCpuSample, TasksSample};
    use ktstr_model::GuestNanos;

    #[test]
    fn a_dump_is_lines_for_people() {
        let task = |pid, comm: &str, waiting| TaskSample { pid, comm: comm.into(), waiting, ..TaskSample::default() };
        let tasks = vec![task(71, "hog\u{1b}[2J", None), task(72, "spin", Some(1_200_000_000))];
        let scx = Some(ScxCpuSample { nr_running: 2, ..ScxCpuSample::default() });
        let cpu = CpuSample { nr_running: 3, curr: 71, comm: "hog\u{1b}[2J".into(), scx, ..CpuSample::default() };
        let frame = |name: Option<&str>| FrameDump { at: 0xffff_ffff_c000_0010, name: name.map(Into::into) };
        let of = |key: &str, cpu, value: &str| ElementDump {
            key: key.into(),
            cpu,
            fields: vec![("nr_queued".into(), value.into())],
        };
        let dump = Dump {
            at: GuestNanos(7_204_118_763),
            cpus: vec![CpuDump {
                registers: vec![("rip".into(), 0x10)],
                backtrace: vec![frame(Some("spin+0x2")), frame(None)],
                ..CpuDump::default()
            }],
            sample: Sample {
                cpus: vec![cpu],
                tasks: Some(TasksSample { tasks, ..TasksSample::default() }),
                ..Sample::default()
            },
            dsqs: vec![DsqDump { id: 7, cpu: None, pids: vec![72, 9], complete: false }],
            maps: vec![MapDump {
                name: "x.bss".into(),
                id: 4,
                elements: vec![of("0", Some(1), "2"), of("1", None, "0"), of("2", None, "0"), of("3", None, "0")],
                more: 5,
            }],
            missing: vec!["map y: it is not there".into()],
        };
        assert_eq!(
            text(&dump),
            "at 7.204119 s of guest time\nCPU 0: in the kernel, interrupts off, running hog\u{fffd}[2J (71)\n    rip=0x10\n    spin+0x2\n    \
             0xffffffffc0000010\n    nr_running=3, of sched_ext 2\nDSQ 0x7: 2 tasks: spin (72), 9, and perhaps more\n\
             waits: spin (72) on CPU 0 for 1200.000 ms\nmap x.bss (id 4)\n    [0, CPU 1] nr_queued=2\n    [1 to 3] nr_queued=0\n    and 5 more\n\
             not read: map y: it is not there\n"
        );
    }
}
