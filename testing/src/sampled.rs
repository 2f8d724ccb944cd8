//! Recordings with samples of a machine on which tasks take turns: what a person or a page looks at, in any size.

use crate::history::history;
use ktstr_model::check::{merge, Has};
use ktstr_model::monitor::SeriesSpec;
use ktstr_model::sample::{
    CpuSample, DsqSample, ScxCpuSample, ScxSample, SeriesValue, TaskSample, TasksSample, DSQ_BUILTIN,
};
use ktstr_model::spec::{ChecksSpec, Switch};
use ktstr_model::trace::{self, CpuSwitchCount, CpuSwitches, Task};
use ktstr_model::{Event, GuestNanos, MonitorSpec, Nanos, Origin, Sample, TraceEvent, What};
use ktstr_recording::{Ending, Header, HostEvent, HostNanos, Recording, Writer};
use std::path::Path;

/// A recording of a hold of so many milliseconds on this machine, with a sample each 10 ms.
#[derive(Debug, Clone)]
pub struct Sampled<'a> {
    /// Label of the machine.
    pub topology: &'a str,
    /// Length of the hold.
    pub ms: u64,
    /// The name of a task.
    pub comm: &'a str,
    /// Whether context switches are there, too.
    pub traced: bool,
    /// The rest of its history, which begins with `a: cpu_spin x2` and that hold.
    pub history: &'a str,
}

const MS: u64 = 1_000_000;
/// How long a task runs.
const TURN_MS: u64 = 30;

impl Sampled<'_> {
    /// As the bytes of a recording.
    ///
    /// # Panics
    /// If the history is none.
    pub fn write(&self) -> Vec<u8> {
        let mut history = history(self.topology, &format!("a: cpu_spin x2\nhold {}ms\n{}", self.ms, self.history));
        let [name, map] = ["nr_queued", "bss"].map(String::from);
        let series = vec![SeriesSpec { field: name.clone(), name, map, key: None, of_all: None }];
        history.case.monitor = Some(MonitorSpec { series, ..MonitorSpec::default() });
        let bounds = ChecksSpec { max_gap: Some(Switch::Bound(Nanos(500 * MS))), ..ChecksSpec::default() };
        history.case.checks = merge(&[(Origin::Test, &bounds)], Has::default());
        if self.traced {
            history.case.plan.trace = vec![TraceEvent::SchedSwitch];
        }
        let begun = history.events.iter().find(|event| matches!(event.what, What::SegmentStarted { .. }));
        let start = begun.expect("a hold").at.0;
        let header = Header { made_by: "sampled".into(), case: history.case.clone() };
        let mut writer = Writer::new(Vec::new(), Path::new("sampled"), &header).expect("memory");
        let seen = history.seen.iter().map(|seen| Event { at: GuestNanos(1), what: What::Booted(seen.clone()) });
        seen.for_each(|event| writer.guest(&event).expect("memory"));
        let events = vec!["SCX_EV_SELECT_CPU_FALLBACK".into(), "SCX_EV_ENQ_SKIP_EXITING".into()];
        writer.host(HostNanos(1), &HostEvent::Monitored { slide: 0, events, absent: vec![] }).expect("memory");
        for at in (0..self.ms).step_by(10) {
            writer.sample(GuestNanos(start + at * MS), &self.sample(at, history.case.topology.cpus())).expect("memory");
        }
        history.events.iter().for_each(|event| writer.guest(event).expect("memory"));
        for cpu in (0..history.case.topology.cpus()).filter(|_| self.traced) {
            let switches: Vec<_> =
                (0..self.ms).step_by(TURN_MS as usize).map(|at| self.switch(at, cpu, start)).collect();
            let count = CpuSwitchCount { cpu, recorded: switches.len() as u64, dropped: 0 };
            for what in [What::Switches(CpuSwitches { cpu, switches }), What::SwitchesEnded(count)] {
                writer.guest(&Event { at: GuestNanos(start + self.ms * MS), what }).expect("memory");
            }
        }
        writer.host(HostNanos(self.ms * MS), &HostEvent::Ended(Ending::Guest { code: 16 })).expect("memory");
        writer.finish().expect("memory")
    }

    /// As a recording.
    ///
    /// # Panics
    /// If the history is none.
    pub fn recording(&self) -> Recording {
        Recording::from_bytes(&self.write(), "sampled").expect("it was just written")
    }

    /// Which of its tasks a CPU runs: two take turns, and every third turn is idle.
    fn turn(at: u64, cpu: u32) -> u64 {
        (at / TURN_MS + u64::from(cpu)) % 3
    }

    fn switch(&self, at: u64, cpu: u32, start: u64) -> trace::Switch {
        let task = |turn: u64| match turn {
            0 => Task::Other { pid: 0, comm: format!("swapper/{cpu}") },
            1 => Task::Worker(cpu % 2),
            _ => Task::Other { pid: 100 + cpu, comm: self.comm.into() },
        };
        let turn = Self::turn(at, cpu);
        trace::Switch {
            at: GuestNanos(start + at * MS),
            prev: task((turn + 2) % 3),
            prev_runnable: turn == 2,
            next: task(turn),
        }
    }

    fn sample(&self, at: u64, cpus: u32) -> Sample {
        let cpu = |cpu: u32| {
            let (curr, comm) = match Self::turn(at, cpu) {
                0 => (0, "swapper".into()),
                1 => (1000 + cpu as i32, format!("cpu_spin/{}", cpu % 2)),
                _ => (100 + cpu as i32, self.comm.into()),
            };
            let scx = Some(ScxCpuSample { nr_running: 1, flags: 0, local_dsq_nr: cpu % 3 });
            let nr_running = u32::from(curr != 0) + (at / 100 + u64::from(cpu)) as u32 % 4;
            CpuSample { cpu, nr_running, clock: at, curr, comm, run_delay: 0, runs: 0, scx }
        };
        let waiting =
            TaskSample { pid: 7, comm: self.comm.into(), waiting: Some((at % 400) * MS), ..TaskSample::default() };
        Sample {
            cpus: (0..cpus).map(cpu).collect(),
            scx: Some(ScxSample {
                exit_kind: 0,
                state: "enabled".into(),
                events: vec![at * at / 100, 0],
                dsqs: vec![
                    DsqSample { id: DSQ_BUILTIN | 1, nr: (at / 70 % 5) as u32, head_wait: None },
                    DsqSample { id: 0x1_0002, nr: (at / 30 % 9) as u32, head_wait: Some(at) },
                ],
                torn: false,
            }),
            tasks: at.is_multiple_of(100).then(|| TasksSample { tasks: vec![waiting], gone: vec![], complete: true }),
            series: vec![if at < 50 { SeriesValue::NoMap } else { SeriesValue::Number(i128::from(at % 700) - 100) }],
            ..Sample::default()
        }
    }
}
