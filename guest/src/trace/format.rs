//! Where the fields of a tracepoint lie, from its `format` file: places differ between kernels.

use ktstr_model::trace::{Switch, Task};
use ktstr_model::GuestNanos;

/// A task that may run on and was preempted or gave the CPU away has none of these bits in `prev_state`
/// (`TASK_REPORT_MAX - 1`); the one above them says that it was preempted.
const WAITING: u64 = 0xff;

/// The places in a record of `sched_switch`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Format {
    id: u16,
    prev_comm: Field,
    prev_pid: Field,
    prev_state: Field,
    next_comm: Field,
    next_pid: Field,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Field {
    offset: usize,
    size: usize,
}

impl Format {
    /// Reads the `format` file of `sched_switch`; if something is missing, its name.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let id = text.lines().find_map(|line| line.strip_prefix("ID:")?.trim().parse().ok());
        Ok(Self {
            id: id.ok_or("ID")?,
            prev_comm: field(text, "prev_comm")?,
            prev_pid: field(text, "prev_pid")?,
            prev_state: field(text, "prev_state")?,
            next_comm: field(text, "next_comm")?,
            next_pid: field(text, "next_pid")?,
        })
    }

    /// Reads a record; none if it is of another tracepoint. `worker_of` knows the workers by their process ids.
    pub(super) fn switch(&self, at: u64, record: &[u8], worker_of: impl Fn(u32) -> Option<u32>) -> Option<Switch> {
        let id = u16::from_le_bytes(*record.first_chunk()?);
        let task = |pid: Field, comm: Field| {
            let pid = number(record, pid)? as u32;
            let comm = || comm.of(record).map(|bytes| bytes.split(|byte| *byte == 0).next().unwrap_or_default());
            Some(match worker_of(pid) {
                Some(worker) => Task::Worker(worker),
                None => Task::Other { pid, comm: String::from_utf8_lossy(comm()?).into_owned() },
            })
        };
        let prev_runnable = number(record, self.prev_state)? & WAITING == 0;
        let (prev, next) = (task(self.prev_pid, self.prev_comm)?, task(self.next_pid, self.next_comm)?);
        (id == self.id).then_some(Switch { at: GuestNanos(at), prev, prev_runnable, next })
    }
}

impl Field {
    fn of(self, record: &[u8]) -> Option<&[u8]> {
        record.get(self.offset..self.offset.checked_add(self.size)?)
    }
}

/// A number of up to 8 bytes, little-endian as all that this runs on.
fn number(record: &[u8], field: Field) -> Option<u64> {
    let bytes = field.of(record)?;
    Some(bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
}

/// `field:pid_t prev_pid; offset:24; size:4; signed:1;`, or with `[16]` behind the name.
fn field(text: &str, name: &'static str) -> Result<Field, &'static str> {
    let found = text.lines().find_map(|line| {
        let mut parts = line.trim().strip_prefix("field:")?.split(';').map(str::trim);
        let declared = parts.next()?.split_whitespace().last()?;
        if declared.split('[').next() != Some(name) {
            return None;
        }
        let offset = parts.next()?.strip_prefix("offset:")?.parse().ok()?;
        let size = parts.next()?.strip_prefix("size:")?.parse().ok()?;
        Some(Field { offset, size })
    });
    found.ok_or(name)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::trace) const TEXT: &str = "name: sched_switch
ID: 316
format:
	field:unsigned short common_type;	offset:0;	size:2;	signed:0;
	field:int common_pid;	offset:4;	size:4;	signed:1;

	field:char prev_comm[16];	offset:8;	size:16;	signed:0;
	field:pid_t prev_pid;	offset:24;	size:4;	signed:1;
	field:int prev_prio;	offset:28;	size:4;	signed:1;
	field:long prev_state;	offset:32;	size:8;	signed:1;
	field:char next_comm[16];	offset:40;	size:16;	signed:0;
	field:pid_t next_pid;	offset:56;	size:4;	signed:1;
	field:int next_prio;	offset:60;	size:4;	signed:1;

print fmt: \"prev_comm=%s\"
";

    /// A record as the kernel of [`TEXT`] writes it.
    pub(in crate::trace) fn record(prev: (&str, u32), state: u64, next: (&str, u32)) -> Vec<u8> {
        let mut record = vec![0; 64];
        record[..2].copy_from_slice(&316u16.to_le_bytes());
        for ((comm, pid), at) in [(prev, 8), (next, 40)] {
            record[at..at + comm.len()].copy_from_slice(comm.as_bytes());
            record[at + 16..at + 20].copy_from_slice(&pid.to_le_bytes());
        }
        record[32..40].copy_from_slice(&state.to_le_bytes());
        record
    }

    #[test]
    fn a_record_names_workers_by_number_and_others_by_name() {
        let format = Format::parse(TEXT).expect("whole");
        let worker_of = |pid| (pid == 70).then_some(3);
        let other = |pid, comm: &str| Task::Other { pid, comm: comm.into() };
        let switch = format.switch(9, &record(("agent", 70), 1, ("swapper/0", 0)), worker_of).expect("a switch");
        assert_eq!((switch.prev, switch.prev_runnable, switch.next), (Task::Worker(3), false, other(0, "swapper/0")));
        // Preempted.
        let switch = format.switch(9, &record(("rcu_preempt", 15), 0x100, ("agent", 70)), worker_of).expect("a switch");
        assert_eq!((switch.prev, switch.prev_runnable), (other(15, "rcu_preempt"), true));
    }

    #[test]
    fn records_of_other_tracepoints_and_short_ones_are_none() {
        let format = Format::parse(TEXT).expect("whole");
        let mut other = record(("a", 1), 0, ("b", 2));
        assert_eq!(format.switch(0, &other[..59], |_| None), None);
        other[0] += 1;
        assert_eq!(format.switch(0, &other, |_| None), None);
        assert_eq!(format.switch(0, &[], |_| None), None);
    }

    #[test]
    fn a_format_without_a_field_names_it() {
        assert_eq!(Format::parse(&TEXT.replace("next_pid", "pid_next")), Err("next_pid"));
        assert_eq!(Format::parse(""), Err("ID"));
    }
}
