//! Tracing through the kernel's tracefs: on before the first step if the plan asks for it, read and sent after the last one.
//!
//! ```text
//! tracepoint ──kernel──▶ ring buffer of each CPU ──page──▶ records ──format──▶ Switch ──▶ What::Switches
//! ```
//!
//! Nothing is read while the scenario runs: the reader would be one more task that switches. So everything has to fit into the
//! kernel's buffers; those are as large as the time of the plan needs, within [`ALL_BYTES_MAX`], which also keeps what is sent
//! below half of the ring to the host. What they have no room for the kernel counts, and so the judge learns of it.

mod format;
mod page;

use format::Format;
use ktstr_init::error::{Doing, GuestError};
use ktstr_init::mounts;
use ktstr_init::reporter::Reporter;
use ktstr_model::trace::{CpuSwitchCount, CpuSwitches, TraceEvent};
use ktstr_model::{Plan, What};
use page::Records;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::fs;
use std::path::{Path, PathBuf};

/// Bytes of the buffers of all CPUs together. A record has 68 in there, and at most 60 on the way to the host.
const ALL_BYTES_MAX: u64 = 16 << 20;
/// Bytes of a CPU's buffer, whatever the number of CPUs.
const CPU_BYTES_MIN: u64 = 64 << 10;
/// Bytes that a CPU writes in a second: 60,000 context switches, more than pairs of workers that only wake each other come to.
const CPU_BYTES_PER_SECOND: u64 = 4 << 20;

/// A read gives one page of the buffer, and no page is larger.
const PAGE_BYTES_MAX: usize = 64 << 10;

/// Directory of the tracepoint in tracefs.
const SWITCH: &str = "events/sched/sched_switch";
const OPTION: &str = "the kernel has to be built with CONFIG_EVENT_TRACING";

/// A trace that is being recorded.
#[derive(Debug)]
pub struct Trace {
    root: PathBuf,
    format: Format,
}

impl Trace {
    /// Starts what the plan asks for; none: it asks for nothing.
    ///
    /// # Errors
    /// What the kernel refused or does not have.
    pub fn start(plan: &Plan) -> Result<Option<Self>, GuestError> {
        if !plan.trace.contains(&TraceEvent::SchedSwitch) {
            return Ok(None);
        }
        mounts::mount_for_trace()?;
        Self::start_in(Path::new(mounts::TRACE), plan).map(Some)
    }

    fn start_in(root: &Path, plan: &Plan) -> Result<Self, GuestError> {
        let file = format!("{SWITCH}/format");
        let doing = || format!("read {file}");
        let text = fs::read_to_string(root.join(&file)).doing(doing).map_err(|error| error.hint(OPTION))?;
        let format = Format::parse(&text).map_err(|field| GuestError::new(doing(), format!("it has no {field}")))?;
        let trace = Self { root: root.to_owned(), format };
        let enable = format!("{SWITCH}/enable");
        let kib = (buffer_bytes(plan, trace.cpus()?.len() as u64) >> 10).to_string();
        let settings = [
            ("tracing_on", "0"),
            // What comes first stays: the recording is whole up to the point from which on there was no room.
            ("options/overwrite", "0"),
            // Guest time.
            ("trace_clock", "mono"),
            ("buffer_size_kb", &kib),
            (&enable, "1"),
            ("tracing_on", "1"),
        ];
        settings.iter().try_for_each(|(file, value)| trace.set(file, value))?;
        Ok(trace)
    }

    /// Ends the trace and sends what was recorded. `worker_of` knows the workers by their process ids.
    ///
    /// # Errors
    /// What cannot be read or sent.
    pub fn finish(self, worker_of: impl Fn(u32) -> Option<u32>, reporter: &mut Reporter) -> Result<(), GuestError> {
        self.set("tracing_on", "0")?;
        for cpu in self.cpus()? {
            let recorded = self.send_switches(cpu, &worker_of, reporter)?;
            let file = format!("per_cpu/cpu{cpu}/stats");
            let stats = fs::read_to_string(self.root.join(&file)).doing(|| format!("read {file}"))?;
            let dropped = dropped(&stats).ok_or_else(|| {
                GuestError::new(format!("read {file}"), format!("it does not count what was dropped: {stats}"))
            })?;
            reporter.send(What::SwitchesEnded(CpuSwitchCount { cpu, recorded, dropped }))?;
        }
        Ok(())
    }

    /// Sends what a CPU has recorded, one event for each page; says how many switches those were.
    fn send_switches(
        &self,
        cpu: u32,
        worker_of: &impl Fn(u32) -> Option<u32>,
        reporter: &mut Reporter,
    ) -> Result<u64, GuestError> {
        let file = format!("per_cpu/cpu{cpu}/trace_pipe_raw");
        let doing = || format!("read {file}");
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let raw = rustix::fs::open(self.root.join(&file), flags, Mode::empty()).doing(doing)?;
        let mut page = vec![0; PAGE_BYTES_MAX];
        let mut recorded = 0;
        loop {
            let bytes = match rustix::io::read(&raw, &mut page) {
                Ok(0) | Err(Errno::AGAIN) => return Ok(recorded),
                read => read.doing(doing)?,
            };
            let records = Records::of(page.get(..bytes).unwrap_or_default());
            let switches = records.filter_map(|(at, record)| self.format.switch(at, record, worker_of));
            let part = CpuSwitches { cpu, switches: switches.collect() };
            recorded += part.switches.len() as u64;
            reporter.send(What::Switches(part))?;
            reporter.beat();
        }
    }

    /// CPUs that have a buffer, in order.
    fn cpus(&self) -> Result<Vec<u32>, GuestError> {
        let doing = || "list per_cpu of tracefs".to_owned();
        let mut cpus = Vec::new();
        for entry in fs::read_dir(self.root.join("per_cpu")).doing(doing)? {
            let name = entry.doing(doing)?.file_name();
            cpus.extend(name.to_str().and_then(|name| name.strip_prefix("cpu")?.parse::<u32>().ok()));
        }
        cpus.sort_unstable();
        Ok(cpus)
    }

    fn set(&self, file: &str, value: &str) -> Result<(), GuestError> {
        let written = fs::write(self.root.join(file), value).doing(|| format!("write {value} to {file} of tracefs"));
        written.map_err(|error| error.hint(OPTION))
    }
}

/// Bytes of the buffer of each of `cpus` CPUs.
fn buffer_bytes(plan: &Plan, cpus: u64) -> u64 {
    let held = plan.segments().fold(0u64, |sum, (_, duration, _)| sum.saturating_add(duration.0));
    let wanted = u128::from(held) * u128::from(CPU_BYTES_PER_SECOND) / 1_000_000_000;
    let most = (ALL_BYTES_MAX / cpus.max(1)).max(CPU_BYTES_MIN);
    u64::try_from(wanted).unwrap_or(u64::MAX).saturating_add(CPU_BYTES_MIN).min(most)
}

/// Records that a CPU had no room for, from its `stats`.
fn dropped(stats: &str) -> Option<u64> {
    let count = |name: &str| {
        let lines = stats.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(key, _)| *key == name).find_map(|(_, value)| value.trim().parse::<u64>().ok())
    };
    Some(count("overrun")? + count("commit overrun")? + count("dropped events")?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ktstr_channel::{RingReader, Window};
    use ktstr_model::plan::{Action, StepPlan};
    use ktstr_model::trace::Task;
    use ktstr_model::Nanos;

    const STATS: &str = "entries: 2\noverrun: 0\ncommit overrun: 0\nbytes: 136\ndropped events: 5\nread events: 2\n";

    fn plan(seconds: u64) -> Plan {
        let hold = Action::Hold { duration: Nanos(seconds * 1_000_000_000), expect: vec![] };
        let steps = vec![StepPlan { actions: vec![hold] }];
        Plan { seed: 0, cgroups: vec![], groups: vec![], steps, trace: vec![TraceEvent::SchedSwitch], scheduler: None }
    }

    /// A tracefs of one CPU that has one page.
    fn tracefs(page: &[u8]) -> tempfile::TempDir {
        let root = tempfile::tempdir().expect("a directory");
        for directory in ["options", SWITCH, "per_cpu/cpu0"] {
            fs::create_dir_all(root.path().join(directory)).expect("is made");
        }
        let put = |file: &str, bytes: &[u8]| fs::write(root.path().join(file), bytes).expect("writes");
        put(&format!("{SWITCH}/format"), format::tests::TEXT.as_bytes());
        put("per_cpu/cpu0/stats", STATS.as_bytes());
        put("per_cpu/cpu0/trace_pipe_raw", page);
        root
    }

    #[test]
    fn what_was_recorded_is_sent_with_a_count_of_what_was_not() {
        let switch = |delta, next| page::tests::words(delta, &format::tests::record(("a", 7), 0, ("b", next)));
        let root = tracefs(&page::tests::page(100, &[switch(1, 8), switch(2, 7)].concat()));
        let trace = Trace::start_in(root.path(), &plan(1)).expect("starts");
        assert_eq!(fs::read(root.path().join("tracing_on")).expect("is there"), b"1");
        assert_eq!(fs::read(root.path().join("buffer_size_kb")).expect("is there"), b"4160");
        let window = root.path().join("window");
        let host = Window::create(&window).expect("a window");
        let mut reporter = Reporter::over(&window, 0).expect("reaches it");
        trace.finish(|pid| (pid == 7).then_some(1), &mut reporter).expect("is sent");
        assert_eq!(fs::read(root.path().join("tracing_on")).expect("is there"), b"0");
        let whats: Vec<What> = RingReader::default().poll(&host).events.into_iter().map(|event| event.what).collect();
        let [What::Switches(part), What::SwitchesEnded(count)] = whats.as_slice() else { panic!("{whats:?}") };
        let times: Vec<u64> = part.switches.iter().map(|switch| switch.at.0).collect();
        assert_eq!((part.cpu, times), (0, vec![101, 103]));
        assert_eq!((&part.switches[1].prev, &part.switches[1].next), (&Task::Worker(1), &Task::Worker(1)));
        assert_eq!(*count, CpuSwitchCount { cpu: 0, recorded: 2, dropped: 5 });
    }

    #[test]
    fn a_kernel_without_tracepoints_is_told_the_option() {
        let root = tempfile::tempdir().expect("a directory");
        let error = Trace::start_in(root.path(), &plan(1)).expect_err("nothing is there").to_string();
        assert!(error.contains(SWITCH) && error.ends_with(OPTION), "{error}");
    }

    #[test]
    fn buffers_fit_the_time_and_are_bounded() {
        assert_eq!(buffer_bytes(&plan(0), 4), CPU_BYTES_MIN);
        assert_eq!(buffer_bytes(&plan(3600), 1), ALL_BYTES_MAX);
        assert_eq!(buffer_bytes(&plan(3600), 4), ALL_BYTES_MAX / 4);
        assert_eq!(buffer_bytes(&plan(3600), 512), CPU_BYTES_MIN);
    }
}
