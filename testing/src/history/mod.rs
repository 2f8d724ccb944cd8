//! A tiny notation for histories, so that a test of the judge reads as what happened.
//!
//! ```text
//! a: cpu_spin x2 @0-1        two workers in cgroup a, which may run on CPUs 0 and 1 (without @: on all)
//! b: bursty x1               another group; each line of this kind is a group of its own; `n+10` its nice value, `fifo` its policy
//! hold 1s                    they run for a second; all that is not said below is as it should be
//! a/0 it=0 cpu=0ms           what worker 0 of cgroup a did instead
//! freeze a                   from here on cgroup a is frozen
//! step                       the next step
//! hold 500ms
//! b/0 gap=80ms wake=1ms,9ms
//! ```
//!
//! Fields of a worker's report: `it` iterations, `cpu` CPU time, `delay` time runnable without running, `gap` longest gap,
//! `on` CPUs it was seen on, `wake` wakeup latencies; `missing` alone: there is no report. Further lines: `thaw a`, `move a b`,
//! `nest b a` (b in a), `weight a 50`, `limit a` (a `cpu.max`), `died a/0 11` (wait status), `failed create cgroup a: no space`, `cut`
//! (the guest says no more), `steal 2 84ms` (the host held off CPU 2 for so long at once, of a machine under the real clock).
//!
//! Lines about the scheduler under test, which the first one puts into the plan:
//!
//! ```text
//! scx start mine             its process is started; before, the kernel says `disabled`
//! scx state enabled          what the kernel says from here on
//! scx out local=4 global=2   a line of its standard output; `err` of its standard error
//! scx log 6 sched_ext: …     a line of the kernel's log, with its level
//! scx dump CPU 0   : …       a line of the kernel's dump
//! scx signal 2               it is told to end
//! scx exit 256               its process has ended, with this wait status
//! scx late attach 60s S      the guest has waited for `attach` or `detach` in vain; the state of the process
//! scx wait 20ms              time passes
//! broken                     the guest does not go on
//! ```
//!
//! Lines about samples of the guest's kernel; times count from the beginning of the last hold, and a range is a sample every 10 ms:
//!
//! ```text
//! series nr_queued           the first variable of the scheduler that is sampled
//! see 0ms..1s cpus=3,0       `nr_running` of each CPU; one with 0 is idle, and all are idle of which nothing is said
//! see 0ms..1s local=0,2 dsq=7:5,8:0 SCX_EV_X=0+3 nr_queued=5
//!                            local queues of the CPUs, other queues, an event that is counted up by 3 a sample, a series
//! see 50ms..1s curr=1:idle   CPU 1 runs this, or is idle; `ran=1`: it ran something right before; `off=1`: it is off line; `unread=1`: it could not be read; `clock=9s`
//! see 100ms..1s task kworker/1:0 pid=40 cpu=1 allowed=1 wait=50ms kernel
//!                            a look at tasks every 100 ms; further `runs` (on its CPU), `ran=3` (how often), `nice=19`, `policy=5`,
//!                            `throttled`, `frozen`; `task` alone: a look at which nothing has changed
//! see 500ms gone=40          it is no longer there
//! see 500ms partial          this look did not see all tasks; `torn`: nor this sample all queues; `nr_queued=none`, or `=unreadable`
//! lacks sched_ext: before …  what the kernel has not; `noscx` of each sample goes with it
//! blind no symbols           the kernel could not be looked at
//! ```
//!
//! Only tests use this: a text that is not of the notation is a panic with the line.

#![allow(clippy::panic)]

mod notation;
mod samples;
mod scheduler;

use ktstr_model::event::{SeenCpu, SeenMachine, SeenNode};
use ktstr_model::{Case, CpuSet, Event, GuestNanos, Sample, Topology, What};
use ktstr_recording::{Ending, Entry, Header, HostEvent, HostNanos, Recording, Writer};
use notation::Reader;
use std::path::Path;

/// A case and what came of it.
#[derive(Debug, Clone)]
pub struct History {
    /// The case.
    pub case: Case,
    /// What the guest sees of its machine; by default what was declared.
    pub seen: Option<SeenMachine>,
    /// What the guest said after that.
    pub events: Vec<Event>,
    /// What the host saw; by default that the guest has ended as it should.
    pub host: Vec<HostEvent>,
    /// What the host saw of the guest's kernel.
    pub samples: Vec<(GuestNanos, Sample)>,
}

/// Reads a history on a machine with this label (`1n2l4c2t`).
///
/// # Panics
/// If the label or the text is not of the notation.
pub fn history(topology: &str, text: &str) -> History {
    let topology = topology_of(topology);
    let mut reader = Reader::new(topology);
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if reader.statement(line).is_none() {
            panic!("`{line}` is not a line of a history");
        }
    }
    reader.finish()
}

impl History {
    /// Ends in another way: the guest says nothing more than its history has.
    #[must_use]
    pub fn ended(mut self, ending: Ending) -> Self {
        self.events.retain(|event| event.what != What::Finished);
        self.host = vec![HostEvent::Ended(ending)];
        self
    }

    /// The host saw this, too.
    #[must_use]
    pub fn host(mut self, event: HostEvent) -> Self {
        self.host.insert(0, event);
        self
    }

    /// The guest sees something else than was declared.
    #[must_use]
    pub fn seen(mut self, change: impl Fn(&mut SeenMachine)) -> Self {
        self.seen.iter_mut().for_each(change);
        self
    }

    /// As a recording, written and read back.
    pub fn recording(&self) -> Recording {
        let bytes = self.write();
        Recording::from_bytes(&bytes, "history").expect("it was just written")
    }

    /// As the bytes of a recording.
    pub fn write(&self) -> Vec<u8> {
        let header = Header { made_by: "history".into(), case: self.case.clone() };
        let mut writer = Writer::new(Vec::new(), Path::new("history"), &header).expect("memory");
        let booted = self.seen.iter().map(|seen| Event { at: GuestNanos(1), what: What::Booted(seen.clone()) });
        let guest = booted.chain(self.events.iter().cloned()).map(Entry::Guest);
        let host = self.host.iter().cloned().map(|event| Entry::Host(HostNanos(1), event));
        let samples = self.samples.iter().map(|(at, sample)| Entry::Sample(*at, Box::new(sample.clone())));
        for entry in guest.chain(host).chain(samples) {
            let written = match entry {
                Entry::Guest(event) => writer.guest(&event),
                Entry::Host(at, event) => writer.host(at, &event),
                Entry::Console(bytes) => writer.console(&bytes),
                Entry::Sample(at, sample) => writer.sample(at, &sample),
            };
            written.expect("memory");
        }
        writer.finish().expect("memory")
    }
}

/// The topology with a label.
fn topology_of(label: &str) -> Topology {
    let counts: Vec<u32> = label.split_terminator(char::is_alphabetic).filter_map(|count| count.parse().ok()).collect();
    match counts[..] {
        [nodes, llcs, cores, threads] => Topology::new(nodes, llcs, cores, threads).expect("a topology that can be"),
        _ => panic!("`{label}` is not a label such as 1n2l4c2t"),
    }
}

/// What a guest sees of a machine if all is well.
pub fn seen_machine(topology: &Topology) -> SeenMachine {
    let find = |cpu: u32, count: u32, cpus_of: &dyn Fn(u32) -> CpuSet| {
        (0..count).map(|index| (index, cpus_of(index))).find(|(_, cpus)| cpus.contains(cpu)).unwrap_or_default()
    };
    let cpu = |cpu| SeenCpu {
        cpu,
        package: find(cpu, topology.numa_nodes(), &|node| topology.node_cpus(node)).0 as i32,
        siblings: find(cpu, topology.cpus() / topology.threads_per_core(), &|core| topology.core_cpus(core)).1,
        llc: find(cpu, topology.llcs(), &|llc| topology.llc_cpus(llc)).1,
    };
    let distance = |from: u32, to: u32| {
        let declared = topology.distances().and_then(|rows| rows.get(from as usize)?.get(to as usize));
        declared.map_or(if from == to { 10 } else { 20 }, |distance| u32::from(*distance))
    };
    let node = |(node, memory): (u32, ktstr_model::Mebibytes)| SeenNode {
        node,
        cpus: topology.node_cpus(node),
        distances: (0..topology.numa_nodes()).map(|to| distance(node, to)).collect(),
        memory_kib: memory.0 * 1024 * 95 / 100,
    };
    SeenMachine {
        release: "7.3.4".into(),
        cpus: (0..topology.cpus()).map(cpu).collect(),
        nodes: (0..topology.numa_nodes()).zip(topology.node_memory()).map(node).collect(),
        clocksource: "tsc".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ktstr_model::sample::SeriesValue;
    use ktstr_recording::host::EXIT_FINISHED;

    #[test]
    fn says_what_stands_there() {
        let history = history(
            "1n2l2c1t",
            "a: cpu_spin x2 @0-1
             hold 1s
             a/1 it=7 cpu=3ms delay=2ms gap=9ms on=3
             freeze a
             step
             hold 500ms",
        );
        let segments: Vec<_> = history.case.plan.segments().map(|(step, duration, _)| (step, duration.0)).collect();
        assert_eq!(segments, [(0, 1_000_000_000), (1, 500_000_000)]);
        let recording = history.recording();
        let iterations: Vec<u64> = recording
            .events()
            .filter_map(|event| match &event.what {
                What::Worker(report) => Some(report.iterations),
                _ => None,
            })
            .collect();
        assert_eq!(iterations, [10_000, 7, 0, 0]);
        assert_eq!(recording.damage, None);
        assert_eq!(recording.ending(), Some(&Ending::Guest { code: EXIT_FINISHED }));
    }

    #[test]
    #[should_panic(expected = "`a: cpu_spn` is not a line of a history")]
    fn other_texts_are_told() {
        history("1n1l1c1t", "a: cpu_spn");
    }

    #[test]
    fn samples_are_seen_at_their_times() {
        let history = history(
            "1n1l2c1t",
            "series v
             a: cpu_spin x1
             hold 1s
             see 0ms..20ms cpus=3,0 v=7+1
             see 10ms task x pid=4 wait=5ms allowed=1",
        );
        let recording = history.recording();
        let seen: Vec<_> = recording
            .samples()
            .map(|(at, sample)| (at.0 / 1_000_000, sample.cpus[0].nr_running, sample.cpus[1].runs, &sample.series[..]))
            .collect();
        let number = |value| [SeriesValue::Number(value)];
        assert_eq!(seen, [(2000, 3, 1, &number(7)[..]), (2010, 3, 1, &number(8)[..]), (2020, 3, 1, &number(9)[..])]);
        let looks: Vec<_> = recording.samples().filter_map(|(_, sample)| sample.tasks.as_ref()).collect();
        assert_eq!((looks.len(), looks[0].tasks[0].waiting), (1, Some(5_000_000)));
    }
}
