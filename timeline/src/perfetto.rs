//! A trace that Perfetto opens, in its own format (protos/perfetto/trace/trace_packet.proto), in which its scheduling view has context switches.
//!
//! ```text
//! What::Switches ──▶ ftrace_events of each CPU: sched_switch
//! Timeline ──▶ track events: steps, holds, operations, findings; charts and waiting tasks as counters; what was sampled as slices
//! ```
//!
//! What was only sampled gets tracks of its own, so that nobody takes it for context switches. All times are guest time, in one clock.

mod messages;

use crate::timeline::{MarkKind, Seen, Timeline};
use ktstr_model::trace::{Switch, Task};
use ktstr_model::{Finding, Plan, What};
use ktstr_recording::Recording;
use messages::{
    ChildTracksOrdering, CounterDescriptor, Data, FtraceEvent, FtraceEventBundle, Kind, Process, ProcessTree,
    SchedSwitch, Thread, TracePacket, TrackDescriptor, TrackEvent,
};
use prost::Message;

/// The only sequence of packets.
const SEQUENCE: u32 = 1;
/// `SEQ_INCREMENTAL_STATE_CLEARED`.
const INCREMENTAL_STATE_CLEARED: u32 = 1;
/// Workers are known by their numbers, not by thread ids: they get these. No thread of Linux has such a one (`PID_MAX_LIMIT`).
const WORKERS: i32 = 1 << 22;

/// Of a recording, with what was found in it.
pub fn perfetto(recording: &Recording, findings: &[Finding]) -> Vec<u8> {
    let timeline = Timeline::of(recording);
    let mut trace = Writer::default();
    trace.marks(&timeline, findings);
    trace.switches(recording);
    if timeline.seen == Seen::Samples {
        trace.sampled(&timeline);
    }
    trace.numbers(&timeline);
    trace.bytes
}

#[derive(Default)]
struct Writer {
    bytes: Vec<u8>,
    tracks: u64,
}

impl Writer {
    /// Written at once: in memory a packet takes some times as much as in a trace.
    fn packet(&mut self, at: Option<u64>, data: Data) {
        // The first one says that nothing came before it.
        let sequence_flags = u32::from(self.bytes.is_empty()) * INCREMENTAL_STATE_CLEARED;
        let timestamp = at.map(time);
        let packet = TracePacket { timestamp, trusted_packet_sequence_id: SEQUENCE, sequence_flags, data: Some(data) };
        self.bytes.extend(messages::Trace { packet: vec![packet] }.encode_to_vec());
    }

    /// A new track; the order is that in which they are made.
    fn track(&mut self, name: &str, parent_uuid: Option<u64>, counter_unit: Option<&str>) -> u64 {
        self.tracks += 1;
        let track = TrackDescriptor {
            uuid: self.tracks,
            name: name.to_owned(),
            parent_uuid,
            counter: counter_unit.map(|unit| CounterDescriptor { unit_name: unit.to_owned() }),
            child_ordering: ChildTracksOrdering::Explicit.into(),
            sibling_order_rank: self.tracks as i32,
        };
        self.packet(None, Data::TrackDescriptor(track));
        self.tracks
    }

    fn event(&mut self, at: u64, track_uuid: u64, kind: Kind, name: Option<&str>) {
        let name = name.map(str::to_owned);
        let event = TrackEvent { r#type: kind.into(), track_uuid, name, double_counter_value: None };
        self.packet(Some(at), Data::TrackEvent(event));
    }

    fn slice(&mut self, track: u64, name: &str, from: u64, to: u64) {
        self.event(from, track, Kind::SliceBegin, Some(name));
        self.event(to.max(from), track, Kind::SliceEnd, None);
    }

    fn counter(&mut self, track_uuid: u64, at: u64, value: f64) {
        let double_counter_value = Some(value);
        let event = TrackEvent { r#type: Kind::Counter.into(), track_uuid, name: None, double_counter_value };
        self.packet(Some(at), Data::TrackEvent(event));
    }

    /// One track for each kind. Marks of one kind do not overlap: each lasts until the next one at most.
    fn marks(&mut self, timeline: &Timeline, findings: &[Finding]) {
        let root = self.track("scenario", None, None);
        let kinds = [
            (MarkKind::Step, "steps"),
            (MarkKind::Hold, "holds"),
            (MarkKind::Op, "operations"),
            (MarkKind::Scheduler, "scheduler"),
            (MarkKind::Problem, "problems"),
        ];
        for (kind, name) in kinds {
            let marks: Vec<_> = timeline.marks.iter().filter(|mark| mark.kind == kind).collect();
            if marks.is_empty() {
                continue;
            }
            let track = self.track(name, Some(root), None);
            let nexts = marks.iter().skip(1).map(|next| next.at).chain([u64::MAX]);
            for (mark, next) in marks.iter().zip(nexts) {
                match mark.until {
                    Some(until) => self.slice(track, &mark.text, mark.at, until.min(next)),
                    None => self.event(mark.at, track, Kind::Instant, Some(&mark.text)),
                }
            }
        }
        let track = self.track("findings", Some(root), None);
        for finding in findings.iter().filter(|finding| finding.verdict.is_red()) {
            let at = finding.place.at.map_or(timeline.end, |at| at.0);
            let name = format!("{}: {}", finding.check.as_deref().unwrap_or(finding.cause.name()), finding.measured);
            self.event(at, track, Kind::Instant, Some(&name));
        }
    }

    fn switches(&mut self, recording: &Recording) {
        let plan = &recording.header.case.plan;
        let mut all: Vec<(u32, &Switch)> = Vec::new();
        for event in recording.events() {
            if let What::Switches(part) = &event.what {
                all.extend(part.switches.iter().map(|switch| (part.cpu, switch)));
            }
        }
        if all.is_empty() {
            return;
        }
        self.workers(plan);
        all.sort_by_key(|(cpu, switch)| (*cpu, switch.at));
        for of_cpu in all.chunk_by(|(one, _), (other, _)| one == other) {
            let event = of_cpu.iter().map(|(_, switch)| ftrace_event(switch, plan)).collect();
            self.packet(None, Data::FtraceEvents(FtraceEventBundle { cpu: of_cpu[0].0, event }));
        }
    }

    /// Workers as threads of one process.
    fn workers(&mut self, plan: &Plan) {
        let process = Process { pid: WORKERS, cmdline: vec!["workers of the test".into()] };
        let thread = |worker| Thread { tid: tid(worker), name: plan.worker_name(worker), tgid: WORKERS };
        let threads = (0..plan.workers()).map(thread).collect();
        self.packet(Some(0), Data::ProcessTree(ProcessTree { processes: vec![process], threads }));
    }

    fn sampled(&mut self, timeline: &Timeline) {
        let root = self.track("CPUs, sampled: what ran in between is not known", None, None);
        for lane in &timeline.lanes {
            let track = self.track(&format!("CPU {}", lane.cpu), Some(root), None);
            let ends = lane.runs.iter().skip(1).map(|run| run.at).chain([timeline.end]);
            for (run, end) in lane.runs.iter().zip(ends) {
                let task = run.task.filter(|task| *task > 0).and_then(|task| timeline.tasks.get(task as usize));
                if let Some(task) = task {
                    let name = format!("{} {}", task.name, task.pid.unwrap_or_default());
                    self.slice(track, &name, run.at, end);
                }
            }
        }
    }

    fn numbers(&mut self, timeline: &Timeline) {
        for chart in &timeline.charts {
            let track = self.track(&chart.name, None, Some(chart.unit.trim()));
            for (at, value) in &chart.points {
                value.iter().for_each(|value| self.counter(track, *at, *value));
            }
        }
        if timeline.lanes.iter().any(|lane| !lane.waiting.is_empty()) {
            let root = self.track("waiting tasks of each CPU", None, None);
            for lane in &timeline.lanes {
                let track = self.track(&format!("waiting for CPU {}", lane.cpu), Some(root), Some("tasks"));
                for (at, number) in [(timeline.start, 0)].iter().chain(&lane.waiting) {
                    self.counter(track, *at, f64::from(*number));
                }
            }
        }
    }
}

/// A time that the format can have, whatever a guest says.
fn time(at: u64) -> u64 {
    at.min(i64::MAX as u64)
}

fn tid(worker: u32) -> i32 {
    (WORKERS + 1).wrapping_add_unsigned(worker)
}

fn ftrace_event(switch: &Switch, plan: &Plan) -> FtraceEvent {
    let named = |task: &Task| match task {
        Task::Worker(worker) => (tid(*worker), plan.worker_name(*worker)),
        Task::Other { pid, comm } => (pid.cast_signed(), comm.clone()),
    };
    let ((prev_pid, prev_comm), (next_pid, next_comm)) = (named(&switch.prev), named(&switch.next));
    // `TASK_RUNNING` and `TASK_INTERRUPTIBLE`; how it waits is not recorded.
    let prev_state = i64::from(!switch.prev_runnable);
    FtraceEvent {
        timestamp: time(switch.at.0),
        pid: prev_pid.cast_unsigned(),
        sched_switch: SchedSwitch { prev_comm, prev_pid, prev_state, next_comm, next_pid },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ktstr_testing::Sampled;
    use std::collections::HashMap;

    /// The trace read back: it must keep the rules of the format.
    #[derive(Default)]
    struct Read {
        tracks: HashMap<u64, String>,
        /// Slices, instants and values: track, kind, time, name or value.
        events: Vec<(String, Kind, u64, String)>,
        switches: Vec<SchedSwitch>,
    }

    fn read(trace: &[u8]) -> Read {
        let mut read = Read::default();
        let packets = messages::Trace::decode(trace).expect("a trace").packet;
        let starts = packets.iter().map(|packet| packet.sequence_flags == INCREMENTAL_STATE_CLEARED);
        assert!(
            starts.eq((0..packets.len()).map(|index| index == 0)),
            "the first one begins the sequence, and only that"
        );
        for packet in packets {
            assert_eq!(packet.trusted_packet_sequence_id, SEQUENCE, "a packet of no sequence is dropped");
            match packet.data.expect("data") {
                Data::TrackDescriptor(TrackDescriptor { uuid, name, parent_uuid, .. }) => {
                    assert!(
                        parent_uuid.is_none_or(|parent| read.tracks.contains_key(&parent)),
                        "a parent stands before its children"
                    );
                    assert_eq!(read.tracks.insert(uuid, name), None, "no number is given twice");
                }
                Data::TrackEvent(event) => {
                    let value = event.double_counter_value.map(|value| value.to_string());
                    let (track, at) = (read.tracks[&event.track_uuid].clone(), packet.timestamp.expect("a time"));
                    read.events.push((track, event.r#type(), at, event.name.or(value).unwrap_or_default()));
                }
                Data::FtraceEvents(FtraceEventBundle { event, .. }) => {
                    assert!(event.is_sorted_by_key(|event| event.timestamp), "in order of time on each CPU");
                    read.switches.extend(event.into_iter().map(|event| event.sched_switch));
                }
                Data::ProcessTree(tree) => assert_eq!(tree.processes.len(), 1),
            }
        }
        // Slices of a track nest; ours do not even overlap.
        let mut open: HashMap<&str, u64> = HashMap::new();
        for (track, kind, at, _) in &read.events {
            match kind {
                Kind::SliceBegin => assert_eq!(open.insert(track, *at), None, "{track}"),
                Kind::SliceEnd => assert!(open.remove(track.as_str()).expect("a beginning") <= *at, "{track}"),
                Kind::Instant | Kind::Counter => {}
            }
        }
        assert!(open.is_empty(), "{open:?}");
        read
    }

    fn sampled(traced: bool) -> Read {
        let case = Sampled { topology: "1n2l1c1t", ms: 300, comm: "kworker", traced, history: "a/0 it=0 cpu=0ms" };
        let recording = case.recording();
        let findings = ktstr_judge::judge(&recording, &recording.header.case.checks).findings;
        read(&perfetto(&recording, &findings))
    }

    #[test]
    fn fields_have_the_numbers_of_the_format_and_a_zero_is_written() {
        let (prev_comm, next_comm) = ("a".into(), "b".into());
        let switch = SchedSwitch { prev_comm, prev_pid: 0, prev_state: 0, next_comm, next_pid: 2 };
        assert_eq!(switch.encode_to_vec(), [0x0a, 1, b'a', 0x10, 0, 0x20, 0, 0x2a, 1, b'b', 0x30, 2]);
    }

    #[test]
    fn switches_are_for_the_scheduling_view_and_samples_are_not() {
        let traced = sampled(true);
        assert_eq!(traced.switches.len(), 20);
        let [first, second, ..] = &traced.switches[..] else { unreachable!() };
        // kworker goes to sleep, and the CPU is idle; then worker 0 comes.
        assert_eq!((&*first.prev_comm, first.prev_pid, first.prev_state, first.next_pid), ("kworker", 100, 1, 0));
        assert_eq!((&*second.next_comm, second.next_pid), ("cpu_spin/0", tid(0)));
        assert!(!traced.tracks.values().any(|name| name.contains("sampled")));
        let untraced = sampled(false);
        assert!(untraced.switches.is_empty());
        let of_cpu = untraced.events.iter().filter(|(track, kind, ..)| track == "CPU 0" && *kind == Kind::SliceBegin);
        let names: Vec<&str> = of_cpu.map(|(.., name)| name.as_str()).take(3).collect();
        assert_eq!(names, ["cpu_spin/0 1000", "kworker 100", "cpu_spin/0 1000"]);
        assert!(untraced.tracks.values().any(|name| name == "CPUs, sampled: what ran in between is not known"));
    }

    #[test]
    fn steps_findings_and_numbers_are_there() {
        let Read { events, .. } = sampled(false);
        let of = |wanted: &str| {
            events.iter().filter(|(track, ..)| track == wanted).map(|(.., said)| said.as_str()).collect::<Vec<_>>()
        };
        assert_eq!((of("steps"), of("holds")), (vec!["step 0", ""], vec!["hold 0", ""]));
        assert_eq!(of("nr_queued")[..2], ["-50", "-40"]);
        assert_eq!(of("waiting for CPU 0")[0], "0");
        assert_eq!(of("SCX_EV_SELECT_CPU_FALLBACK")[0], "100");
    }
}
