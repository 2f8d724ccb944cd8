//! Samples of a kernel that never ran.

use super::*;
use crate::testkit::{direct, ring, Fake, Machine, LINKED_AT};
use crate::tests::{types, with_tasks};
use ktstr_vmm::{Gpa, MemoryError};
use std::sync::Mutex;

/// Memory that changes between samples.
struct Shared(Mutex<Fake>);

impl Memory for Shared {
    fn read(&self, at: Gpa, into: &mut [u8]) -> Result<(), MemoryError> {
        self.0.lock().expect("is whole").read(at, into)
    }

    fn ranges(&self) -> Vec<(Gpa, u64)> {
        self.0.lock().expect("is whole").ranges()
    }
}

const MS: u64 = 1_000_000;
/// Addresses, and what is to be there.
type Words<'a> = &'a [(u64, u64)];
/// Tasks 1, 2 and 3: see `with_tasks`. The last one runs on CPU 0; CPU 1 is idle.
const TASKS: [u64; 3] = [0x8000, 0x8200, 0x8400];

struct Guest {
    machine: Machine,
    memory: Arc<Shared>,
    sampler: Sampler,
}

impl Guest {
    fn new() -> Self {
        let mut machine = with_tasks();
        let names = ["tk_fast_mono", "__cpu_online_mask"];
        let symbols = names.iter().zip([0x12_0000, 0x12_0100]);
        machine.symbols.extend(symbols.map(|(name, offset)| ((*name).to_owned(), LINKED_AT + offset)));
        machine.put("__cpu_online_mask", 3);
        let rq = machine.at("runqueues") + 0x2000;
        for (at, words) in [(rq, [1, 7000 * MS, direct(TASKS[2]).0, 1]), (rq + 0x1000, [0, 0, 1, 1])] {
            words.iter().zip((at..).step_by(8)).for_each(|(word, at)| machine.memory.put(at, *word));
        }
        let mut types = types();
        crate::clock::tests::add_types(&mut types);
        let memory = Arc::new(Shared(Mutex::new(machine.memory.clone())));
        let sampler = Sampler::open(Arc::new(machine.image(&types)), memory.clone(), &MonitorSpec::default());
        Self { machine, memory, sampler: sampler.map_err(|error| error.to_string()).expect("is there") }
    }

    fn put(&self, at: u64, word: u64) {
        self.memory.0.lock().expect("is whole").put(at, word);
    }

    fn sample(&mut self, at_ms: u64) -> Sample {
        self.put(self.machine.at("tk_fast_mono") + 8 + 40, at_ms * MS);
        let (at, sample) = self.sampler.sample(None).expect("is there");
        assert_eq!(at, GuestNanos(at_ms * MS));
        sample
    }

    fn tasks(&mut self, at_ms: u64) -> Vec<(i32, Option<u64>, Option<Held>)> {
        let tasks = self.sample(at_ms).tasks.expect("looks at tasks").tasks;
        tasks.iter().map(|task| (task.pid, task.waiting.map(|ns| ns / MS), task.held)).collect()
    }
}

#[test]
fn a_sample_has_the_cpus_on_line_and_what_the_kernel_lacks_is_said() {
    let mut guest = Guest::new();
    assert_eq!(
        guest.sampler.absent(),
        [
            "sched_ext: not in this kernel",
            "rq_sched_info: CONFIG_SCHEDSTATS is off",
            "sched_domain: not as this program knows it"
        ]
    );
    let busy = CpuSample { nr_running: 1, clock: 7000 * MS, curr: 3, comm: "kthreadd".into(), ..CpuSample::default() };
    let idle = CpuSample { cpu: 1, comm: "swapper/1".into(), ..CpuSample::default() };
    let sample = guest.sample(1000);
    assert_eq!((sample.cpus, sample.scx, sample.torn), (vec![busy.clone(), idle], None, 0));
    guest.put(guest.machine.at("__cpu_online_mask"), 1);
    assert_eq!(guest.sample(1010).cpus, [busy]);
    // A number that cannot be is left out and counted.
    guest.put(guest.machine.at("runqueues") + 0x2000, 0x7fff_ffff);
    let sample = guest.sample(1020);
    assert_eq!((sample.cpus, sample.unread, sample.torn), (vec![], 1, 1));
}

#[test]
fn tasks_are_said_when_they_are_new_changed_or_wait() {
    let mut guest = Guest::new();
    assert_eq!(guest.tasks(1000), [(1, None, None), (2, None, None), (3, None, None)]);
    // Not each sample looks at them, and nothing has changed.
    assert_eq!(guest.sample(1090).tasks, None);
    assert_eq!(guest.sample(1097).tasks, Some(TasksSample { complete: true, ..TasksSample::default() }));
    let queued = |task: u64| task + 104 + 16;
    guest.put(queued(TASKS[1]), 6990 * MS);
    assert_eq!(guest.tasks(1200), [(2, Some(10), None)]);
    assert_eq!(guest.tasks(1300), [(2, Some(10), None)]);
    guest.put(queued(TASKS[1]), 0);
    assert_eq!(guest.tasks(1400), [(2, None, None)]);
    assert_eq!(guest.sample(1500).tasks.expect("looks").tasks, []);
    // Process 3 ends; and a list that is not whole says nothing of who is gone.
    let nodes = [guest.machine.at("init_task") + 48, TASKS[0] + 48];
    let mut fake = guest.memory.0.lock().expect("is whole").clone();
    ring(&mut fake, &[(nodes[0], Gva(LINKED_AT + 0x10_1030)), (nodes[1], direct(nodes[1]))]);
    *guest.memory.0.lock().expect("is whole") = fake;
    let sample = guest.sample(1600);
    assert_eq!((sample.tasks.expect("looks").gone, sample.torn), (vec![3], 0));
    guest.put(TASKS[0] + 56, 0);
    let sample = guest.sample(1700);
    let tasks = sample.tasks.expect("looks");
    assert_eq!((tasks.complete, tasks.gone, sample.torn), (false, vec![], 1));
    guest.put(TASKS[0] + 48, 0xdead_0000_0000_0100);
    let sample = guest.sample(1800);
    assert_eq!((sample.tasks, sample.torn), (Some(TasksSample::default()), 1));
}

#[test]
fn queues_that_cannot_be_read_are_not_taken_for_none() {
    let root = crate::scx::tests::machine().at("scx_root");
    // A change, how many queues are seen then, and whether they are torn.
    for (at, word, seen) in [
        (root, direct(0x8000).0, (3, false)),
        (root, 0, (0, false)),
        (root, 7, (0, true)),
        (0x8200, 1 << 20, (0, true)),
        (0x8200, 2 | 1 << 32, (1, true)),
    ] {
        let mut machine = crate::scx::tests::machine();
        machine.memory.put(at, word);
        let mut sampler = Guest::new().sampler;
        sampler.kernel =
            machine.open(&crate::scx::tests::types()).map_err(|error| error.to_string()).expect("is there");
        let scx = Scx::of(&sampler.kernel).expect("belongs together").expect("is there");
        let sample = sampler.scx(&scx, 0, &mut Torn::default());
        assert_eq!((sample.dsqs.len(), sample.torn), seen, "{word:#x} at {at:#x}");
    }
}

#[test]
fn a_task_that_may_not_run_says_why() {
    // What is changed of task 2, which waits, and what is said of it.
    let cfs_rq = (TASKS[1] + 136, direct(0x9000).0);
    let frozen = (TASKS[1] + 152, 1);
    let cases: [(Words<'_>, Option<Held>); 6] = [
        (&[], None),
        (&[(TASKS[1] + 40, 4)], Some(Held::NoCpu)),
        (&[frozen, (TASKS[1] + 144, 1 << 23)], Some(Held::Frozen)),
        // It was let go, and has not run since.
        (&[frozen], None),
        (&[cfs_rq, (0x9000, 1 << 32)], Some(Held::Throttled)),
        // A real-time task has no quota.
        (&[cfs_rq, (0x9000, 1 << 32), (TASKS[1] + 24, 1 | 2 << 32)], None),
    ];
    for (changes, held) in cases {
        let mut guest = Guest::new();
        guest.put(TASKS[1] + 104 + 16, 6990 * MS);
        changes.iter().for_each(|(at, word)| guest.put(*at, *word));
        assert!(guest.tasks(1000).contains(&(2, Some(10), held)), "{changes:x?}");
    }
}

#[test]
fn when_all_cpus_are_idle_waits_go_on_by_the_clock() {
    let guest = Guest::new();
    let mut sampler = guest.sampler;
    let rq = |clock| Runqueue {
        cpu: 0,
        nr_running: 0,
        delayed: 0,
        sched_info: None,
        clock,
        curr: crate::Current { at: Gva(0), pid: 0, comm: String::new() },
        scx: None,
    };
    let mut now = |at, is_now, clock| sampler.now(Some(Monotonic { at, is_now }), &[rq(clock)]);
    assert_eq!(now(100, true, 103), 103);
    assert_eq!(now(200, true, 103), 203);
    assert_eq!(now(210, true, 214), 214);
    assert_eq!(now(300, false, 220), 220);
}

#[test]
fn a_machine_that_is_gone_has_no_sample() {
    let mut guest = Guest::new();
    guest.put(guest.machine.at("linux_banner"), 0);
    assert!(guest.sampler.sample(None).is_none());
}
