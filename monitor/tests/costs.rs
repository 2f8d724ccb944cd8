//! What looking at a kernel costs (`--ignored --nocapture`, a part of `//bench`): a real kernel's image, opened; and samples of machines that never
//! ran, with that kernel's types at that kernel's places, so that there can be as many CPUs as are wanted.
//!
//! `KTSTR_KERNEL` names the kernel. Memory is read in both ways that there are.

use ktstr_model::{MonitorSpec, Nanos};
use ktstr_monitor::{Address, Image, Memory, Sampler};
use ktstr_vmm::kvm::fuzzing;
use ktstr_vmm::{Gpa, GuestMemory, MemoryError};
use rustix::fs::{fcntl_add_seals, memfd_create, MemfdFlags, SealFlags};
use rustix::time::{clock_gettime, ClockId};
use std::fs::File;
use std::io::Write;
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::Arc;
use std::time::Duration;

/// `__START_KERNEL_map`, and the beginning of the direct map.
const LINK: u64 = 0xffff_ffff_8000_0000;
const DIRECT: u64 = 0xffff_8880_0000_0000;
/// Tables, tasks, sched_ext and the memory of CPUs, behind the image or below it.
const TABLES_AT: u64 = 0x2000;
const TASKS_AT: u64 = 0x800_0000;
const TASK_BYTES: u64 = 0x4000;
const SCX_AT: u64 = 0xc00_0000;
const CPUS_AT: u64 = 0x1000_0000;
const CPU_BYTES: u64 = 0x8_0000;
const TASKS: u64 = 200;
const QUEUES: u64 = 8;

/// A machine: CPUs are busy, sched_ext is on and has some queues, and there are 200 tasks.
struct Machine {
    image: Arc<Image>,
    memory: Vec<u8>,
}

impl Machine {
    fn new(image: Arc<Image>, cpus: u64) -> Self {
        let memory = vec![0; (CPUS_AT + CPU_BYTES * cpus.next_multiple_of(64)) as usize];
        let mut machine = Self { image, memory };
        let banner = machine.image.banner().to_vec();
        let at = machine.symbol("linux_banner");
        machine.memory[at as usize..][..banner.len()].copy_from_slice(&banner);
        machine.tables();
        for (name, value) in
            [("system_state", 2), ("nr_cpu_ids", cpus), ("nr_node_ids", 1), ("page_offset_base", DIRECT)]
        {
            machine.put_at(name, 0, value);
        }
        (0..cpus).for_each(|cpu| machine.cpu(cpu));
        machine.tasks(cpus);
        machine.scheduler();
        machine.clock();
        machine
    }

    fn linked(&self, name: &str) -> u64 {
        match self.image.symbols().find(name).expect("is a symbol") {
            Address::Linked(at) | Address::Absolute(at) => at,
        }
    }

    /// Where it is in physical memory.
    fn symbol(&self, name: &str) -> u64 {
        self.linked(name) - LINK
    }

    fn field(&self, of: &str, path: &str) -> u64 {
        self.image.btf().field(of, path).expect("is a field").offset
    }

    fn put(&mut self, at: u64, word: u64) {
        self.memory[at as usize..][..8].copy_from_slice(&word.to_le_bytes());
    }

    fn put_at(&mut self, symbol: &str, offset: u64, word: u64) {
        self.put(self.symbol(symbol) + offset, word);
    }

    /// Writes fields of an object.
    fn object(&mut self, of: &str, at: u64, fields: &[(&str, u64)]) {
        for (path, value) in fields {
            let field = self.image.btf().field(of, path).expect("is a field");
            let bytes = field.shape.bytes(self.image.btf()).expect("has a size").min(8) as usize;
            self.memory[(at + field.offset) as usize..][..bytes].copy_from_slice(&value.to_le_bytes()[..bytes]);
        }
    }

    /// The image in its first large page, and all memory in the direct map.
    fn tables(&mut self) {
        let (top, text) = (self.symbol("init_top_pgt"), self.linked("_text"));
        let index = |at: u64, shift: u32| (at >> shift & 511) * 8;
        self.put(top + index(text, 39), TABLES_AT | 3);
        self.put(TABLES_AT + index(text, 30), (TABLES_AT + 0x1000) | 3);
        self.put(TABLES_AT + 0x1000 + index(text, 21), (text - LINK) | 0x83);
        self.put(top + index(DIRECT, 39), (TABLES_AT + 0x2000) | 3);
        self.put(TABLES_AT + 0x2000 + index(DIRECT, 30), 0x83);
    }

    /// Its runqueue, with the task that it runs.
    fn cpu(&mut self, cpu: u64) {
        let area = CPUS_AT + cpu * CPU_BYTES;
        let start = self.linked("__per_cpu_start");
        self.put_at("__per_cpu_offset", cpu * 8, (DIRECT + area).wrapping_sub(start));
        let online = self.symbol("__cpu_online_mask") + cpu / 64 * 8;
        let before = u64::from_le_bytes(*self.memory[online as usize..].first_chunk().expect("a word"));
        self.put(online, before | 1 << (cpu % 64));
        let rq = area + self.linked("runqueues") - start;
        // The idle task is nowhere; where there are more CPUs than tasks, some are idle.
        let curr = if cpu < TASKS { DIRECT + task_at(cpu) } else { 1 };
        // Each with three domains of its own.
        let sd = area + CPU_BYTES / 2;
        let fields = [("nr_running", 1), ("clock", 7_000_000_000), ("curr", curr), ("idle", 1), ("sd", DIRECT + sd)];
        self.object("rq", rq, &fields);
        for (level, parent) in [(0, sd + 0x400), (1, sd + 0x800)] {
            self.object("sched_domain", sd + level * 0x400, &[("parent", DIRECT + parent), ("name", DIRECT + SCX_AT)]);
        }
        self.object("sched_domain", sd + 0x800, &[("name", DIRECT + SCX_AT)]);
    }

    fn tasks(&mut self, cpus: u64) {
        let tasks = self.field("task_struct", "tasks.next");
        let init = self.linked("init_task");
        // In a ring with the first one; each is a process of one thread.
        let node = |index: u64| match index % (TASKS + 1) {
            TASKS => init + tasks,
            task => DIRECT + task_at(task) + tasks,
        };
        self.object("task_struct", init - LINK, &[("tasks.next", node(0)), ("tasks.prev", node(TASKS - 1))]);
        for task in 0..TASKS {
            let (at, signal) = (task_at(task), task_at(task) + TASK_BYTES / 2);
            let thread = DIRECT + at + self.field("task_struct", "thread_node.next");
            let head = self.field("signal_struct", "thread_head");
            let fields = [
                ("thread_info.cpu", task % cpus),
                ("pid", task + 1),
                ("tgid", task + 1),
                ("tasks.next", node(task + 1)),
                ("tasks.prev", node(task + TASKS)),
                ("thread_node.next", DIRECT + signal + head),
                ("thread_node.prev", DIRECT + signal + head),
                ("signal", DIRECT + signal),
                ("cpus_mask", 1),
            ];
            self.object("task_struct", at, &fields);
            self.put(signal + head, thread);
            self.put(signal + head + 8, thread);
        }
    }

    /// A clock that shows what the counter does.
    fn clock(&mut self) {
        let (clock, name) = (SCX_AT + 0x8000, SCX_AT + 0x9000);
        let fields = [("base[0].clock", DIRECT + clock), ("base[0].mask", u64::MAX), ("base[0].mult", 1)];
        self.object("tk_fast", self.symbol("tk_fast_mono"), &fields);
        self.object("clocksource", clock, &[("name", DIRECT + name)]);
        self.memory[name as usize..][..3].copy_from_slice(b"tsc");
    }

    /// A global queue, and some of its own in a table that has as many buckets.
    fn scheduler(&mut self) {
        let [node, table, queues, per_cpu] = [0x1000, 0x2000, 0x3000, 0x4_0000].map(|more| SCX_AT + more);
        let start = self.linked("__per_cpu_start");
        let fields =
            [("pcpu", start + per_cpu - SCX_AT), ("pnode", DIRECT + SCX_AT + 0x800), ("dsq_hash.tbl", DIRECT + table)];
        self.object("scx_sched", SCX_AT, &fields);
        self.put_at("scx_root", 0, DIRECT + SCX_AT);
        self.put_at("scx_enable_state_var", 0, 1);
        self.put(SCX_AT + 0x800, DIRECT + node);
        self.object("bucket_table", table, &[("size", QUEUES)]);
        let (buckets, hash) = (self.field("bucket_table", "buckets"), self.field("scx_dispatch_q", "hash_node"));
        for queue in 0..QUEUES {
            let at = queues + queue * 0x200;
            self.object("scx_dispatch_q", at, &[("id", queue), ("hash_node.next", 1)]);
            self.put(table + buckets + queue * 8, DIRECT + at + hash);
        }
    }

    fn opened(&self, how: How) -> Arc<Counted> {
        let bytes = self.memory.len() as u64;
        let memory = match how {
            How::Process => fuzzing::own_memory(&[(0, bytes, self.memory.as_ptr() as u64)]).expect("reads itself"),
            How::Mapped => {
                let mut file = File::from(memfd_create("memory", MemfdFlags::ALLOW_SEALING).expect("a file"));
                file.write_all(&self.memory).expect("writes");
                fcntl_add_seals(&file, SealFlags::SHRINK).expect("seals");
                fuzzing::memory(file, &[(0, bytes, 0)])
            }
        };
        Arc::new(Counted { memory, reads: AtomicU64::new(0), bytes: AtomicU64::new(0) })
    }
}

/// How memory is read.
#[derive(Debug, Clone, Copy)]
enum How {
    /// As that of a machine that was booted.
    Mapped,
    /// As that of one that started from a save.
    Process,
}

fn task_at(task: u64) -> u64 {
    TASKS_AT + task * TASK_BYTES
}

/// Counts what is read.
struct Counted {
    memory: GuestMemory,
    reads: AtomicU64,
    bytes: AtomicU64,
}

impl Memory for Counted {
    fn read(&self, at: Gpa, into: &mut [u8]) -> Result<(), MemoryError> {
        self.reads.fetch_add(1, Relaxed);
        self.bytes.fetch_add(into.len() as u64, Relaxed);
        self.memory.read(at, into)
    }

    fn read_many(&self, parts: &mut [(Gpa, &mut [u8])]) -> Result<(), MemoryError> {
        self.reads.fetch_add(1, Relaxed);
        self.bytes.fetch_add(parts.iter().map(|(_, into)| into.len() as u64).sum(), Relaxed);
        self.memory.read_many(parts)
    }

    fn gather(&self, objects: &[Gpa], pieces: &[Range<usize>], into: &mut [u8]) -> bool {
        let is_gathered = self.memory.gather(objects, pieces, into);
        self.reads.fetch_add(u64::from(is_gathered), Relaxed);
        self.bytes.fetch_add(if is_gathered { into.len() as u64 } else { 0 }, Relaxed);
        is_gathered
    }

    fn ranges(&self) -> Vec<(Gpa, u64)> {
        self.memory.ranges().collect()
    }
}

/// The least CPU time of some rounds: others use this host, too.
fn best(mut what: impl FnMut()) -> f64 {
    let now = || {
        let now = clock_gettime(ClockId::ThreadCPUTime);
        Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
    };
    let round = |_| {
        let start = now();
        what();
        now() - start
    };
    (0..50).map(round).min().expect("rounds").as_secs_f64() * 1e6
}

#[test]
#[ignore = "a measurement"]
fn samples() {
    let kernel = std::env::var("KTSTR_KERNEL").expect("KTSTR_KERNEL names a kernel");
    let kernel = Path::new(&kernel);
    let image = Arc::new(Image::open(kernel).expect("is a kernel"));
    let machine = Machine::new(image.clone(), 64);
    let opening = best(|| drop(Image::open(kernel)));
    let finding = best(|| drop(Sampler::open(image.clone(), machine.opened(How::Process), &MonitorSpec::default())));
    println!(
        "opening a kernel          {:5.1} ms  (its image {:.1}, finding it {finding:.0} µs; at most 30)",
        (opening + finding) / 1e3,
        opening / 1e3
    );
    for cpus in [4, 64, 252] {
        let machine = Machine::new(image.clone(), cpus);
        for how in [How::Mapped, How::Process] {
            // Without tasks, and with.
            let [few, all] = [Nanos(u64::MAX), Nanos(1)].map(|tasks| sampled(&image, &machine, how, cpus, tasks));
            let percent = (90.0 * few + 10.0 * all) / 1e4;
            let most = if cpus == 64 { " (at most 1)" } else { "" };
            println!("{:42} {percent:5.2} % of a core{most}", format!("100 samples a second, tasks in 10, {how:?}"));
        }
    }
}

/// CPU time of a sample in microseconds; says what it reads.
fn sampled(image: &Arc<Image>, machine: &Machine, how: How, cpus: u64, tasks: Nanos) -> f64 {
    let memory = machine.opened(how);
    let spec = MonitorSpec { tasks, ..MonitorSpec::default() };
    let mut sampler = Sampler::open(image.clone(), memory.clone(), &spec).expect("is there");
    // The first one looks at tasks in any case.
    let mut counter = 0;
    let mut sample = || {
        counter += 1;
        sampler.sample(Some(counter)).expect("is there").1
    };
    drop(sample());
    let counts = || (memory.reads.load(Relaxed), memory.bytes.load(Relaxed));
    let before = counts();
    let seen = sample();
    let (reads, bytes) = (counts().0 - before.0, counts().1 - before.1);
    assert_eq!((seen.cpus.len() as u64, seen.torn), (cpus, 0));
    assert_eq!(seen.tasks.is_some(), tasks == Nanos(1));
    assert_eq!(seen.scx.expect("is on").dsqs.len() as u64, QUEUES + 1);
    let sampled = best(|| drop(sample()));
    let mut plain = vec![0; bytes as usize];
    let read = best(|| memory.memory.read(Gpa(CPUS_AT), &mut plain).expect("reads"));
    let what = format!("{cpus} CPUs{}, {how:?}", if tasks == Nanos(1) { " and 200 tasks" } else { "" });
    println!("sample of {what:32} {sampled:6.1} us  (reading {bytes} bytes {read:.1} us; {reads} reads)");
    sampled
}
