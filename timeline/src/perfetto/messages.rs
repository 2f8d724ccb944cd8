//! Messages of a trace, with the names and numbers of fields that Perfetto's sources have in the file that each one names, under protos/perfetto/trace/.
//! Only what is written is here.
//!
//! There all fields are optional, and readers ask whether one is there. So what is `required` here is always written, a zero, too.

use prost::{Enumeration, Message, Oneof};

/// trace.proto. Traces behind each other are one.
#[derive(Message)]
pub(super) struct Trace {
    #[prost(message, repeated, tag = "1")]
    pub(super) packet: Vec<TracePacket>,
}

/// trace_packet.proto
#[derive(Message)]
pub(super) struct TracePacket {
    #[prost(uint64, optional, tag = "8")]
    pub(super) timestamp: Option<u64>,
    #[prost(uint32, required, tag = "10")]
    pub(super) trusted_packet_sequence_id: u32,
    #[prost(uint32, required, tag = "13")]
    pub(super) sequence_flags: u32,
    #[prost(oneof = "Data", tags = "1, 2, 11, 60")]
    pub(super) data: Option<Data>,
}

#[derive(Oneof)]
pub(super) enum Data {
    #[prost(message, tag = "1")]
    FtraceEvents(FtraceEventBundle),
    #[prost(message, tag = "2")]
    ProcessTree(ProcessTree),
    #[prost(message, tag = "11")]
    TrackEvent(TrackEvent),
    #[prost(message, tag = "60")]
    TrackDescriptor(TrackDescriptor),
}

/// ftrace/ftrace_event_bundle.proto
#[derive(Message)]
pub(super) struct FtraceEventBundle {
    #[prost(uint32, required, tag = "1")]
    pub(super) cpu: u32,
    #[prost(message, repeated, tag = "2")]
    pub(super) event: Vec<FtraceEvent>,
}

/// ftrace/ftrace_event.proto
#[derive(Message)]
pub(super) struct FtraceEvent {
    #[prost(uint64, required, tag = "1")]
    pub(super) timestamp: u64,
    #[prost(uint32, required, tag = "2")]
    pub(super) pid: u32,
    #[prost(message, required, tag = "4")]
    pub(super) sched_switch: SchedSwitch,
}

/// `SchedSwitchFtraceEvent` of ftrace/sched.proto
#[derive(Message)]
pub(super) struct SchedSwitch {
    #[prost(string, required, tag = "1")]
    pub(super) prev_comm: String,
    #[prost(int32, required, tag = "2")]
    pub(super) prev_pid: i32,
    #[prost(int64, required, tag = "4")]
    pub(super) prev_state: i64,
    #[prost(string, required, tag = "5")]
    pub(super) next_comm: String,
    #[prost(int32, required, tag = "6")]
    pub(super) next_pid: i32,
}

/// ps/process_tree.proto
#[derive(Message)]
pub(super) struct ProcessTree {
    #[prost(message, repeated, tag = "1")]
    pub(super) processes: Vec<Process>,
    #[prost(message, repeated, tag = "2")]
    pub(super) threads: Vec<Thread>,
}

/// `ProcessTree.Process`
#[derive(Message)]
pub(super) struct Process {
    #[prost(int32, required, tag = "1")]
    pub(super) pid: i32,
    #[prost(string, repeated, tag = "3")]
    pub(super) cmdline: Vec<String>,
}

/// `ProcessTree.Thread`
#[derive(Message)]
pub(super) struct Thread {
    #[prost(int32, required, tag = "1")]
    pub(super) tid: i32,
    #[prost(string, required, tag = "2")]
    pub(super) name: String,
    #[prost(int32, required, tag = "3")]
    pub(super) tgid: i32,
}

/// track_event/track_descriptor.proto
#[derive(Message)]
pub(super) struct TrackDescriptor {
    #[prost(uint64, required, tag = "1")]
    pub(super) uuid: u64,
    #[prost(string, required, tag = "2")]
    pub(super) name: String,
    #[prost(uint64, optional, tag = "5")]
    pub(super) parent_uuid: Option<u64>,
    #[prost(message, optional, tag = "8")]
    pub(super) counter: Option<CounterDescriptor>,
    #[prost(enumeration = "ChildTracksOrdering", required, tag = "11")]
    pub(super) child_ordering: i32,
    #[prost(int32, required, tag = "12")]
    pub(super) sibling_order_rank: i32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Enumeration)]
pub(super) enum ChildTracksOrdering {
    /// By rank.
    Explicit = 3,
}

/// track_event/counter_descriptor.proto
#[derive(Message)]
pub(super) struct CounterDescriptor {
    #[prost(string, required, tag = "6")]
    pub(super) unit_name: String,
}

/// track_event/track_event.proto
#[derive(Message)]
pub(super) struct TrackEvent {
    #[prost(enumeration = "Kind", required, tag = "9")]
    pub(super) r#type: i32,
    #[prost(uint64, required, tag = "11")]
    pub(super) track_uuid: u64,
    #[prost(string, optional, tag = "23")]
    pub(super) name: Option<String>,
    #[prost(double, optional, tag = "44")]
    pub(super) double_counter_value: Option<f64>,
}

/// `TrackEvent.Type`
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Enumeration)]
pub(super) enum Kind {
    SliceBegin = 1,
    SliceEnd = 2,
    Instant = 3,
    Counter = 4,
}
