//! A trace that Perfetto opens, in its own format (protos/perfetto/trace/trace_packet.proto), in which its scheduling view has context switches.
//!
//! ```text
//! What::Switches ──▶ ftrace_events of each CPU: sched_switch
//! Timeline ──▶ track events: steps, holds, operations, findings; charts and waiting tasks as counters; what was sampled as slices
//! ```
//!
//! What was only sampled gets tracks of its own, so that nobody takes it for context switches. All times are guest time, in one clock.

use crate::protobuf::Message;
use crate::timeline::{MarkKind, Seen, Timeline};
use ktstr_model::trace::{Switch, Task};
use ktstr_model::{Finding, What};
use ktstr_recording::Recording;

/// Numbers of fields.
mod field {
    pub(super) const PACKET: u64 = 1;
    pub(super) mod packet {
        pub(crate) const FTRACE_EVENTS: u64 = 1;
        pub(crate) const PROCESS_TREE: u64 = 2;
        pub(crate) const TIMESTAMP: u64 = 8;
        pub(crate) const SEQUENCE: u64 = 10;
        pub(crate) const TRACK_EVENT: u64 = 11;
        pub(crate) const SEQUENCE_FLAGS: u64 = 13;
        pub(crate) const TRACK: u64 = 60;
    }
    pub(super) mod track {
        pub(crate) const UUID: u64 = 1;
        pub(crate) const NAME: u64 = 2;
        pub(crate) const PARENT: u64 = 5;
        pub(crate) const COUNTER: u64 = 8;
        pub(crate) const CHILD_ORDER: u64 = 11;
        pub(crate) const RANK: u64 = 12;
    }
    pub(super) mod event {
        pub(crate) const KIND: u64 = 9;
        pub(crate) const TRACK: u64 = 11;
        pub(crate) const NAME: u64 = 23;
        pub(crate) const VALUE: u64 = 44;
    }
    pub(super) mod ftrace {
        pub(crate) const CPU: u64 = 1;
        pub(crate) const EVENT: u64 = 2;
        pub(crate) const TIMESTAMP: u64 = 1;
        pub(crate) const PID: u64 = 2;
        pub(crate) const SCHED_SWITCH: u64 = 4;
    }
}

const SLICE_BEGIN: u64 = 1;
const SLICE_END: u64 = 2;
const INSTANT: u64 = 3;
const COUNTER: u64 = 4;
/// `ChildTracksOrdering.EXPLICIT`: by rank.
const BY_RANK: u64 = 3;
/// The only sequence of packets.
const SEQUENCE: u64 = 1;
/// `SEQ_INCREMENTAL_STATE_CLEARED`.
const INCREMENTAL_STATE_CLEARED: u64 = 1;
/// Workers are known by their numbers, not by thread ids: they get these. No thread of Linux has such a one (`PID_MAX_LIMIT`).
const WORKERS: u64 = 1 << 22;

/// Of a recording, with what was found in it.
pub fn perfetto(recording: &Recording, findings: &[Finding]) -> Vec<u8> {
    let timeline = Timeline::of(recording);
    let mut trace = Trace::default();
    trace.marks(&timeline, findings);
    trace.switches(recording);
    if timeline.seen == Seen::Samples {
        trace.sampled(&timeline);
    }
    trace.numbers(&timeline);
    trace.packets.into_bytes()
}

#[derive(Default)]
struct Trace {
    packets: Message,
    tracks: u64,
}

impl Trace {
    fn packet(&mut self, packet: Message) {
        // The first one says that nothing came before it.
        let flags = u64::from(self.packets.is_empty()) * INCREMENTAL_STATE_CLEARED;
        let packet = packet.number(field::packet::SEQUENCE, SEQUENCE).number(field::packet::SEQUENCE_FLAGS, flags);
        self.packets = std::mem::take(&mut self.packets).message(field::PACKET, &packet);
    }

    /// A new track; the order is that in which they are made.
    fn track(&mut self, name: &str, parent: Option<u64>, counter_unit: Option<&str>) -> u64 {
        self.tracks += 1;
        let mut track = Message::default().number(field::track::UUID, self.tracks).text(field::track::NAME, name);
        if let Some(parent) = parent {
            track = track.number(field::track::PARENT, parent);
        }
        if let Some(unit) = counter_unit {
            const UNIT_NAME: u64 = 6;
            track = track.message(field::track::COUNTER, &Message::default().text(UNIT_NAME, unit));
        }
        track = track.number(field::track::CHILD_ORDER, BY_RANK).number(field::track::RANK, self.tracks);
        self.packet(Message::default().message(field::packet::TRACK, &track));
        self.tracks
    }

    fn event(&mut self, at: u64, track: u64, kind: u64, add: impl FnOnce(Message) -> Message) {
        let event = Message::default().number(field::event::KIND, kind).number(field::event::TRACK, track);
        let packet = Message::default().number(field::packet::TIMESTAMP, time(at));
        self.packet(packet.message(field::packet::TRACK_EVENT, &add(event)));
    }

    fn slice(&mut self, track: u64, name: &str, from: u64, to: u64) {
        self.event(from, track, SLICE_BEGIN, |event| event.text(field::event::NAME, name));
        self.event(to.max(from), track, SLICE_END, |event| event);
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
                    None => self.event(mark.at, track, INSTANT, |event| event.text(field::event::NAME, &mark.text)),
                }
            }
        }
        let track = self.track("findings", Some(root), None);
        for finding in findings.iter().filter(|finding| finding.verdict.is_red()) {
            let at = finding.place.at.map_or(timeline.end, |at| at.0);
            let name = format!("{}: {}", finding.check.as_deref().unwrap_or(finding.cause.name()), finding.measured);
            self.event(at, track, INSTANT, |event| event.text(field::event::NAME, &name));
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
            let mut bundle = Message::default();
            for (cpu, switch) in of_cpu {
                if bundle.is_empty() {
                    bundle = bundle.number(field::ftrace::CPU, u64::from(*cpu));
                }
                bundle = bundle.message(field::ftrace::EVENT, &ftrace_event(switch, plan));
            }
            self.packet(Message::default().message(field::packet::FTRACE_EVENTS, &bundle));
        }
    }

    /// Workers as threads of one process.
    fn workers(&mut self, plan: &ktstr_model::Plan) {
        let (process, threads) = (1, 2);
        let workers = Message::default().number(1, WORKERS).text(3, "workers of the test");
        let tree = (0..plan.workers()).fold(Message::default().message(process, &workers), |tree, worker| {
            let thread =
                Message::default().number(1, tid(worker)).text(2, &plan.worker_name(worker)).number(3, WORKERS);
            tree.message(threads, &thread)
        });
        self.packet(Message::default().number(field::packet::TIMESTAMP, 0).message(field::packet::PROCESS_TREE, &tree));
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
                self.counter(track, *at, *value);
            }
        }
        if timeline.lanes.iter().any(|lane| !lane.waiting.is_empty()) {
            let root = self.track("waiting tasks of each CPU", None, None);
            for lane in &timeline.lanes {
                let track = self.track(&format!("waiting for CPU {}", lane.cpu), Some(root), Some("tasks"));
                self.counter(track, timeline.start, Some(0.0));
                for (at, number) in &lane.waiting {
                    self.counter(track, *at, Some(f64::from(*number)));
                }
            }
        }
    }

    fn counter(&mut self, track: u64, at: u64, value: Option<f64>) {
        if let Some(value) = value {
            self.event(at, track, COUNTER, |event| event.double(field::event::VALUE, value));
        }
    }
}

/// A time that the format can have, whatever a guest says.
fn time(at: u64) -> u64 {
    at.min(i64::MAX as u64)
}

fn tid(worker: u32) -> u64 {
    WORKERS + 1 + u64::from(worker)
}

/// `TASK_RUNNING` and `TASK_INTERRUPTIBLE`; how it waits is not recorded.
fn state(runnable: bool) -> u64 {
    u64::from(!runnable)
}

fn ftrace_event(switch: &Switch, plan: &ktstr_model::Plan) -> Message {
    let named = |task: &Task| match task {
        Task::Worker(worker) => (tid(*worker), plan.worker_name(*worker)),
        Task::Other { pid, comm } => (u64::from(*pid), comm.clone()),
    };
    let ((prev_pid, prev), (next_pid, next)) = (named(&switch.prev), named(&switch.next));
    // prev_comm, prev_pid, prev_state, next_comm, next_pid
    let fields = Message::default()
        .text(1, &prev)
        .number(2, prev_pid)
        .number(4, state(switch.prev_runnable))
        .text(5, &next)
        .number(6, next_pid);
    Message::default()
        .number(field::ftrace::TIMESTAMP, time(switch.at.0))
        .number(field::ftrace::PID, prev_pid)
        .message(field::ftrace::SCHED_SWITCH, &fields)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protobuf::read::{fields, Value};
    use ktstr_testing::Sampled;
    use std::collections::HashMap;

    /// Numbers and texts of the fields of a message, those of messages in it by `field.field`.
    fn flat(bytes: &[u8], messages: &[u64]) -> HashMap<u64, Vec<String>> {
        let mut all: HashMap<u64, Vec<String>> = HashMap::new();
        for (field, value) in fields(bytes) {
            let told = match value {
                Value::Bytes(bytes) if messages.contains(&field) => format!("{:?}", fields(bytes)),
                Value::Bytes(bytes) => String::from_utf8(bytes.to_vec()).expect("text"),
                Value::Number(number) => number.to_string(),
                Value::Double(number) => number.to_string(),
            };
            all.entry(field).or_default().push(told);
        }
        all
    }

    /// The trace read back: it must keep the rules of the format.
    struct Read {
        tracks: HashMap<String, String>,
        /// Slices, instants and values: track, kind, time, name or value.
        events: Vec<(String, u64, u64, String)>,
        switches: Vec<HashMap<u64, Vec<String>>>,
    }

    fn read(trace: &[u8]) -> Read {
        let mut read = Read { tracks: HashMap::new(), events: Vec::new(), switches: Vec::new() };
        for (number, packet) in fields(trace) {
            let Value::Bytes(packet) = packet else { panic!("a packet that is none") };
            assert_eq!(number, field::PACKET);
            let packet: HashMap<u64, Value<'_>> = fields(packet).into_iter().collect();
            let number = |field: u64| match packet.get(&field) {
                Some(Value::Number(number)) => Some(*number),
                _ => None,
            };
            assert_eq!(number(field::packet::SEQUENCE), Some(SEQUENCE), "a packet of no sequence is dropped");
            if let Some(Value::Bytes(track)) = packet.get(&field::packet::TRACK) {
                let track = flat(track, &[field::track::COUNTER]);
                if let Some(parent) = track.get(&field::track::PARENT) {
                    assert!(read.tracks.contains_key(&parent[0]), "a parent stands before its children");
                }
                let old =
                    read.tracks.insert(track[&field::track::UUID][0].clone(), track[&field::track::NAME][0].clone());
                assert_eq!(old, None, "no number is given twice");
            } else if let Some(Value::Bytes(event)) = packet.get(&field::packet::TRACK_EVENT) {
                let event = flat(event, &[]);
                let at = number(field::packet::TIMESTAMP).expect("a time");
                let track = read.tracks[&event[&field::event::TRACK][0]].clone();
                let said =
                    event.get(&field::event::NAME).or(event.get(&field::event::VALUE)).map(|said| said[0].clone());
                read.events.push((
                    track,
                    event[&field::event::KIND][0].parse().expect("a kind"),
                    at,
                    said.unwrap_or_default(),
                ));
            } else if let Some(Value::Bytes(bundle)) = packet.get(&field::packet::FTRACE_EVENTS) {
                let mut last = 0;
                for (_, event) in fields(bundle).into_iter().filter(|(number, _)| *number == field::ftrace::EVENT) {
                    let Value::Bytes(event) = event else { panic!("an event that is none") };
                    let outer = flat(event, &[field::ftrace::SCHED_SWITCH]);
                    let at: u64 = outer[&field::ftrace::TIMESTAMP][0].parse().expect("a time");
                    assert!(at >= last, "in order of time on each CPU");
                    last = at;
                    let inner = fields(event).into_iter().find(|(number, _)| *number == field::ftrace::SCHED_SWITCH);
                    let Some((_, Value::Bytes(inner))) = inner else { panic!("no switch") };
                    read.switches.push(flat(inner, &[]));
                }
            }
        }
        // Slices of a track nest; ours do not even overlap.
        let mut open: HashMap<&str, u64> = HashMap::new();
        for (track, kind, at, _) in &read.events {
            match *kind {
                SLICE_BEGIN => assert_eq!(open.insert(track, *at), None, "{track}"),
                SLICE_END => assert!(open.remove(track.as_str()).expect("a beginning") <= *at, "{track}"),
                _ => {}
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
    fn switches_are_for_the_scheduling_view_and_samples_are_not() {
        let traced = sampled(true);
        assert_eq!(traced.switches.len(), 20);
        let first = &traced.switches[0];
        // kworker goes, runnable, for idleness; then worker 0 comes.
        assert_eq!((&*first[&1][0], &*first[&2][0], &*first[&4][0], &*first[&6][0]), ("kworker", "100", "1", "0"));
        assert_eq!(traced.switches[1][&5], ["cpu_spin/0"]);
        assert_eq!(traced.switches[1][&6], [tid(0).to_string()]);
        assert!(!traced.tracks.values().any(|name| name.contains("sampled")));
        let untraced = sampled(false);
        assert!(untraced.switches.is_empty());
        let of_cpu = untraced.events.iter().filter(|(track, kind, ..)| track == "CPU 0" && *kind == SLICE_BEGIN);
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
