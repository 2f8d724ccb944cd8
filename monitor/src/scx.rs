//! sched_ext (kernel/sched/ext.c): the scheduler that is attached, its events, its dispatch queues and who waits in them.
//!
//! From 6.16 on everything hangs on `scx_root`. Where events and global queues are is seen from the types: see [`Scx::of`].

use crate::error::ReadError;
use crate::kernel::Kernel;
use crate::layout::{Layout, Slot, Span};
use crate::list::{walk, End};
use crate::page_table::Gva;
use ktstr_btf::{present, Field, Member, Shape, Value};
use std::collections::BTreeSet;

/// MAX_NUMNODES of x86.
const NODES_MAX: u64 = 1024;
/// Buckets of the table of queues, and queues.
const DSQS_MAX: u64 = 1 << 16;
/// Tasks in one queue.
const TASKS_MAX: usize = 1 << 16;

/// Where everything is in a kernel's sched_ext.
#[derive(Debug)]
pub struct Scx {
    root: Gva,
    state: Gva,
    /// Per-CPU memory with the events, and where they are in it.
    per_cpu: Slot,
    per_cpu_offset: u64,
    events: Vec<Member>,
    /// Global queues, one a node: a table of pointers, to what contains them.
    nodes: Slot,
    node_offset: u64,
    sched: Span,
    hash: Slot,
    /// `struct bucket_table`: size, nest, the table to come; and its buckets.
    table: Span,
    table_numbers: [Slot; 3],
    buckets: u64,
    /// `struct scx_dispatch_q`: number, tasks.
    dsq: Span,
    dsq_numbers: [Slot; 2],
    hash_next: Slot,
    list: u64,
    /// A task's `scx.dsq_list`, and which nodes are no task.
    node: Span,
    node_links: [Slot; 2],
    node_flags: Slot,
    cursor: u64,
    dsq_list: u64,
    /// Of `struct rq`.
    local_dsq: u64,
    exit_kind: Slot,
}

/// `struct scx_dispatch_q`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dsq {
    /// Its address.
    pub at: Gva,
    /// Its number: the scheduler's own, or with `SCX_DSQ_FLAG_BUILTIN`.
    pub id: u64,
    /// Tasks in it.
    pub nr: u64,
}

impl Scx {
    /// Looks everything up once; `None`: the kernel has no sched_ext, or one of before 6.16.
    ///
    /// # Errors
    /// The kernel has `scx_root`, but not what belongs to it.
    pub fn of(kernel: &Kernel) -> Result<Option<Self>, ReadError> {
        if !kernel.has_symbol("scx_root") {
            return Ok(None);
        }
        let btf = kernel.btf();
        let [mut sched, mut table, mut dsq, mut node] =
            ["scx_sched", "bucket_table", "scx_dispatch_q", "scx_dsq_list_node"].map(|name| Layout::new(btf, name));
        // From 6.17 on each CPU has more than events.
        let (per_cpu, per_cpu_offset) = match present(sched.field("pcpu"))? {
            Some(slot) => (slot, btf.field("scx_sched_pcpu", "event_stats")?.offset),
            None => (sched.field("event_stats_cpu")?, 0),
        };
        // From 7.1 each node has more than a queue.
        let (nodes, node_offset) = match present(sched.field("pnode"))? {
            Some(slot) => (slot, btf.field("scx_sched_pnode", "global_dsq")?.offset),
            None => (sched.field("global_dsqs")?, 0),
        };
        let events = btf.find("scx_event_stats").map(|id| btf.members(id)).unwrap_or_default();
        let hash = sched.field("dsq_hash.tbl")?;
        Ok(Some(Self {
            root: kernel.symbol("scx_root")?,
            state: kernel.symbol("scx_enable_state_var")?,
            per_cpu,
            per_cpu_offset,
            events,
            nodes,
            node_offset,
            hash,
            exit_kind: sched.field("exit_kind.counter")?,
            sched: sched.span(),
            table_numbers: table.fields(["size", "nest", "future_tbl"])?,
            table: table.span(),
            buckets: btf.field("bucket_table", "buckets")?.offset,
            dsq_numbers: dsq.fields(["id", "nr"])?,
            hash_next: dsq.field("hash_node.next")?,
            dsq: dsq.span(),
            list: btf.field("scx_dispatch_q", "list")?.offset,
            node_links: node.fields(["node.next", "node.prev"])?,
            node_flags: node.field("flags")?,
            node: node.span(),
            cursor: btf.enumerator("scx_dsq_lnode_flags", "SCX_DSQ_LNODE_ITER_CURSOR").unwrap_or(1) as u64,
            dsq_list: btf.field("task_struct", "scx.dsq_list")?.offset,
            local_dsq: btf.field("rq", "scx.local_dsq")?.offset,
        }))
    }

    /// The scheduler that is attached (`struct scx_sched`).
    ///
    /// # Errors
    /// The pointer cannot be read.
    pub fn scx_root(&self, kernel: &Kernel) -> Result<Option<Gva>, ReadError> {
        Ok(Some(Gva(kernel.word(self.root)?)).filter(|root| *root != Gva(0)))
    }

    /// Whether sched_ext is on: the name of the state, such as `SCX_ENABLED`.
    ///
    /// # Errors
    /// The state cannot be read.
    pub fn state(&self, kernel: &Kernel) -> Result<String, ReadError> {
        let state = kernel.half(self.state)?;
        let shape = kernel.btf().find("scx_enable_state").map(|id| Shape::Enum { id, bytes: 4 });
        let value = shape.map(|shape| kernel.btf().decode(&shape, &state.to_le_bytes()));
        Ok(match value {
            Some(Value::Enum { name: Some(name), .. }) => name,
            _ => state.to_string(),
        })
    }

    /// Names of the events that the kernel counts.
    pub fn event_names(&self) -> impl Iterator<Item = &str> {
        self.events.iter().map(|event| event.name.as_str())
    }

    /// Why the scheduler is taken out (`enum scx_exit_kind`); 0: it is not.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn exit_kind(&self, kernel: &Kernel, sched: Gva) -> Result<u32, ReadError> {
        Ok(self.sched.read(kernel, sched)?.number(&self.exit_kind) as u32)
    }

    /// Names and counts of the scheduler's events, summed over all CPUs.
    ///
    /// # Errors
    /// A counter cannot be read.
    pub fn events(&self, kernel: &Kernel, sched: Gva) -> Result<Vec<(&str, i64)>, ReadError> {
        let pointer = Gva(self.sched.read(kernel, sched)?.number(&self.per_cpu));
        let end = |event: &Member| event.field.offset + event.field.shape.bytes(kernel.btf()).unwrap_or_default();
        let bytes = self.events.iter().map(end).max().unwrap_or_default().max(1) as usize;
        let mut contents = vec![0; bytes * kernel.cpus()];
        let places = (0..kernel.cpus()).map(|cpu| Ok(kernel.of_cpu(pointer, cpu)?.plus(self.per_cpu_offset)));
        let places = places.collect::<Result<Vec<_>, ReadError>>()?;
        if !kernel.gather(&places, std::slice::from_ref(&(0..bytes)), &mut contents) {
            kernel.read_many(places.into_iter().zip(contents.chunks_mut(bytes)))?;
        }
        let mut sums: Vec<(&str, i64)> = self.event_names().map(|name| (name, 0)).collect();
        for content in contents.chunks(bytes) {
            for ((_, sum), Member { field: Field { offset, shape, .. }, .. }) in sums.iter_mut().zip(&self.events) {
                let count = shape.word(content.get(*offset as usize..).unwrap_or_default());
                *sum = sum.wrapping_add_unsigned(count);
            }
        }
        Ok(sums)
    }

    /// All queues of the scheduler but the local ones: global ones first, then its own. Those are in a hash table, which may change
    /// meanwhile.
    ///
    /// # Errors
    /// A queue cannot be read.
    pub fn dsqs(&self, kernel: &Kernel, sched: Gva) -> Result<(Vec<Dsq>, End), ReadError> {
        let sched = self.sched.read(kernel, sched)?;
        let nodes = u64::from(kernel.half(kernel.symbol("nr_node_ids")?)?);
        if nodes > NODES_MAX {
            return Err(ReadError::Absurd { what: "nr_node_ids", seen: nodes, most: NODES_MAX });
        }
        let mut dsqs = Vec::new();
        for at in kernel.words(Gva(sched.number(&self.nodes)), nodes as usize)?.into_iter().map(Gva) {
            // A node without memory has none.
            if at != Gva(0) {
                dsqs.push(self.dsq(kernel, at.plus(self.node_offset))?);
            }
        }
        let end = self.own_dsqs(kernel, Gva(sched.number(&self.hash)), &mut dsqs)?;
        Ok((dsqs, end))
    }

    /// The local queue of the CPU that has the runqueue `rq`.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn local_dsq(&self, kernel: &Kernel, rq: Gva) -> Result<Dsq, ReadError> {
        self.dsq(kernel, rq.plus(self.local_dsq))
    }

    /// The queue at an address, local ones, too.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn dsq(&self, kernel: &Kernel, at: Gva) -> Result<Dsq, ReadError> {
        let [id, nr] = self.dsq.read(kernel, at)?.numbers(&self.dsq_numbers);
        Ok(Dsq { at, id, nr })
    }

    /// The queue that a node of the table is in.
    fn around(&self, node: u64) -> Gva {
        Gva(node).minus(self.hash_next.offset)
    }

    /// lib/rhashtable.c: chains end with an odd pointer; bit 0 of a bucket is its lock. While the table grows there are two.
    fn own_dsqs(&self, kernel: &Kernel, mut table: Gva, dsqs: &mut Vec<Dsq>) -> Result<End, ReadError> {
        let mut seen = BTreeSet::new();
        for _ in 0..2 {
            if table == Gva(0) {
                break;
            }
            let [size, nest, future] = self.table.read(kernel, table)?.numbers(&self.table_numbers);
            if size > DSQS_MAX {
                return Err(ReadError::Absurd { what: "bucket_table.size", seen: size, most: DSQS_MAX });
            }
            if nest != 0 {
                // Only if there is no memory for a plain one.
                return Ok(End::Torn);
            }
            // Read at once: most of them are empty, and few have more than one queue.
            let heads = kernel.words(table.plus(self.buckets), size as usize)?.into_iter().map(|head| head & !1);
            let heads: Vec<u64> = heads.filter(|head| *head != 0).collect();
            let first = self.dsq.read_many(kernel, &heads.iter().map(|node| self.around(*node)).collect::<Vec<_>>());
            for (mut node, mut content) in heads.into_iter().zip(first) {
                while node != 0 && node & 1 == 0 {
                    if dsqs.len() as u64 >= DSQS_MAX {
                        return Ok(End::TooLong);
                    }
                    if !seen.insert(node) {
                        return Ok(End::Torn);
                    }
                    let at = self.around(node);
                    let queue = content.take().map_or_else(|| self.dsq.read(kernel, at), Ok)?;
                    let [id, nr] = queue.numbers(&self.dsq_numbers);
                    dsqs.push(Dsq { at, id, nr });
                    node = queue.number(&self.hash_next);
                }
            }
            table = Gva(future);
        }
        Ok(End::Complete)
    }

    /// The tasks in a queue (`struct task_struct`), at most `most`, the next one to run first.
    ///
    /// # Errors
    /// A node of its list cannot be read.
    pub fn tasks(&self, kernel: &Kernel, dsq: &Dsq, most: usize) -> Result<(Vec<Gva>, End), ReadError> {
        let head = dsq.at.plus(self.list);
        let mut tasks = Vec::new();
        let end = walk(head, head, Gva(kernel.word(head)?), most.min(TASKS_MAX), |node| {
            let content = self.node.read(kernel, node)?;
            // Iterators of the scheduler stand in the list, too.
            if content.number(&self.node_flags) & self.cursor == 0 {
                tasks.push(node.minus(self.dsq_list));
            }
            Ok(content.links(&self.node_links))
        })?;
        Ok((tasks, end))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::testkit::{direct, ring, Machine, LINKED_AT, LOADED_AT};
    use ktstr_testing::BtfWriter;

    pub(crate) fn types() -> BtfWriter {
        let mut btf = BtfWriter::default();
        let int = btf.int("int", 4, 0);
        let s64 = btf.int("long long", 8, 1);
        let pointer = btf.pointer(0);
        let none = btf.array(pointer, 0);
        let list = btf.structure("list_head", 16, &[("next", pointer, 0, 0), ("prev", pointer, 64, 0)]);
        let head = btf.structure("rhash_head", 8, &[("next", pointer, 0, 0)]);
        let hash = btf.structure("rhashtable", 8, &[("tbl", pointer, 0, 0)]);
        let atomic = btf.structure("atomic_t", 4, &[("counter", int, 0, 0)]);
        let sched = [
            ("event_stats_cpu", pointer, 0, 0),
            ("global_dsqs", pointer, 64, 0),
            ("dsq_hash", hash, 128, 0),
            ("exit_kind", atomic, 192, 0),
        ];
        btf.structure("scx_sched", 32, &sched);
        btf.structure("scx_event_stats", 16, &[("SCX_EV_A", s64, 0, 0), ("SCX_EV_B", s64, 64, 0)]);
        let table =
            [("size", int, 0, 0), ("nest", int, 32, 0), ("future_tbl", pointer, 64, 0), ("buckets", none, 128, 0)];
        btf.structure("bucket_table", 16, &table);
        let dsq = [("list", list, 0, 0), ("nr", int, 128, 0), ("id", s64, 192, 0), ("hash_node", head, 256, 0)];
        let queue = btf.structure("scx_dispatch_q", 40, &dsq);
        let scx_rq = btf.structure("scx_rq", 40, &[("local_dsq", queue, 0, 0)]);
        btf.structure("rq", 48, &[("scx", scx_rq, 64, 0)]);
        let node = btf.structure("scx_dsq_list_node", 24, &[("node", list, 0, 0), ("flags", int, 128, 0)]);
        let entity = btf.structure("sched_ext_entity", 32, &[("dsq_list", node, 64, 0)]);
        btf.structure("task_struct", 48, &[("scx", entity, 128, 0)]);
        btf.enumeration("scx_dsq_lnode_flags", &[("SCX_DSQ_LNODE_ITER_CURSOR", 1)]);
        btf.enumeration("scx_enable_state", &[("SCX_ENABLED", 1), ("SCX_DISABLED", 3)]);
        btf
    }

    /// A queue for each of two nodes, and two of the scheduler's own while its table grows.
    pub(crate) fn machine() -> Machine {
        let mut machine = Machine::new(LOADED_AT, 0);
        for (offset, name) in ["scx_root", "scx_enable_state_var", "nr_node_ids"].into_iter().enumerate() {
            machine.symbols.push((name.into(), LINKED_AT + 0x12_0000 + 8 * offset as u64));
        }
        machine.put("scx_root", direct(0x8000).0);
        machine.put("scx_enable_state_var", 1);
        machine.put("nr_node_ids", 2);
        let [global, near, far] = [0x9000u64, 0x9100, 0x9200];
        let words = [
            (0x8000, 0x1_0000),
            (0x8008, direct(0x8100).0),
            (0x8010, direct(0x8200).0),
            (0x8108, direct(global).0),
            // Two buckets, the first one locked and with a chain of one; then none, and one bucket in the table to come.
            (0x8200, 2),
            (0x8208, direct(0x8300).0),
            (0x8210, direct(near + 32).0 | 1),
            (0x8218, 0),
            (0x8300, 1),
            (0x8308, 0),
            (0x8310, direct(far + 32).0),
            (global + 24, 1 << 63 | 1),
            (near + 16, 2),
            (near + 24, 7),
            (near + 32, 0x99),
            (far + 24, 8),
            (far + 32, 0x99),
        ];
        words.into_iter().for_each(|(at, word)| machine.memory.put(at, word));
        // Two tasks with a cursor between them.
        let nodes = [near, 0xa018, 0xb018, 0xc018].map(|at| (at, direct(at)));
        ring(&mut machine.memory, &nodes);
        machine.memory.put(0xb018 + 16, 1);
        for (offset, counts) in [(0x2000, [1, 10]), (0x3000, [2, u64::MAX])] {
            let at = LOADED_AT + 0x12_1000 + offset;
            machine.memory.put(at, counts[0]);
            machine.memory.put(at + 8, counts[1]);
        }
        machine.memory.put(0x8000, LINKED_AT + 0x12_1000);
        machine
    }

    #[test]
    fn queues_are_listed_with_their_tasks_but_without_cursors() {
        let kernel = machine().open(&types()).expect("is there");
        let scx = Scx::of(&kernel).expect("belongs together").expect("is there");
        let root = scx.scx_root(&kernel).expect("is readable").expect("is attached");
        assert_eq!((scx.state(&kernel).expect("is readable").as_str(), root), ("SCX_ENABLED", direct(0x8000)));
        assert_eq!(scx.events(&kernel, root).expect("are readable"), [("SCX_EV_A", 3), ("SCX_EV_B", 9)]);
        let (dsqs, end) = scx.dsqs(&kernel, root).expect("are readable");
        let seen: Vec<(u64, u64)> = dsqs.iter().map(|dsq| (dsq.id, dsq.nr)).collect();
        assert_eq!((seen, end), (vec![(1 << 63 | 1, 0), (7, 2), (8, 0)], End::Complete));
        let tasks = |most| scx.tasks(&kernel, &dsqs[1], most).expect("are readable");
        assert_eq!(tasks(10), (vec![direct(0xa000), direct(0xc000)], End::Complete));
        assert_eq!(tasks(1), (vec![direct(0xa000)], End::TooLong));
    }

    #[test]
    fn tables_that_cannot_be_are_refused() {
        let dsqs = |at: u64, word: u64| {
            let mut machine = machine();
            machine.memory.put(at, word);
            let kernel = machine.open(&types()).expect("is there");
            let scx = Scx::of(&kernel).expect("belongs together").expect("is there");
            scx.dsqs(&kernel, direct(0x8000)).map(|(dsqs, end)| (dsqs.len(), end)).map_err(|error| error.to_string())
        };
        assert_eq!(
            dsqs(0x8200, 1 << 20),
            Err("`bucket_table.size` says 1048576, and 65536 is the most that can be".into())
        );
        assert_eq!(dsqs(0x8200, 2 | 1 << 32), Ok((1, End::Torn)));
        // A chain that leads into itself.
        assert_eq!(dsqs(0x9120, direct(0x9120).0), Ok((2, End::Torn)));
        // A table that is its own successor: all of it is known already.
        assert_eq!(dsqs(0x8208, direct(0x8200).0), Ok((2, End::Torn)));
    }

    #[test]
    fn a_kernel_without_sched_ext_has_none() {
        let kernel = Machine::new(LOADED_AT, 0).open(&types()).expect("is there");
        assert!(Scx::of(&kernel).expect("is no error").is_none());
    }
}
