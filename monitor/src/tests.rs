//! Kernels that never ran: found or not, and what is hostile or changes meanwhile.

use crate::list::{walk, Links};
use crate::testkit::{direct, ring, Machine, DIRECT, LINKED_AT, LOADED_AT};
use crate::xarray::XArray;
use crate::*;
use ktstr_btf::Value;
use ktstr_testing::BtfWriter;
use proptest::prelude::*;
use std::sync::{Arc, OnceLock};

/// The types that the helpers need, small. Offsets are in bytes.
pub(crate) fn types() -> BtfWriter {
    let mut btf = BtfWriter::default();
    let int = btf.int("int", 4, 1);
    let byte = btf.int("unsigned char", 1, 0);
    let u64_ = btf.int("unsigned long", 8, 0);
    let char_ = btf.int("char", 1, 1);
    let comm = btf.array(char_, 16);
    let pointer = btf.pointer(0);
    let list = btf.structure("list_head", 16, &[("next", pointer, 0, 0), ("prev", pointer, 64, 0)]);
    let info = btf.structure("thread_info", 8, &[("cpu", int, 0, 0)]);
    let sched = btf.structure(
        "sched_info",
        24,
        &[("run_delay", u64_, 0, 0), ("pcount", u64_, 64, 0), ("last_queued", u64_, 128, 0)],
    );
    let se = btf.structure("sched_entity", 16, &[("sum_exec_runtime", u64_, 0, 0), ("cfs_rq", pointer, 64, 0)]);
    btf.structure("cfs_rq", 8, &[("throttle_count", int, 32, 0)]);
    let members = [
        ("thread_info", info, 0),
        ("__state", int, 8),
        ("flags", int, 12),
        ("on_cpu", int, 16),
        ("on_rq", int, 20),
        ("policy", int, 24),
        ("pid", int, 28),
        ("tgid", int, 32),
        ("static_prio", int, 36),
        ("cpus_mask", u64_, 40),
        ("tasks", list, 48),
        ("thread_node", list, 64),
        ("signal", pointer, 80),
        ("comm", comm, 88),
        ("sched_info", sched, 104),
        ("se", se, 128),
        ("jobctl", u64_, 144),
        ("frozen", int, 152),
    ];
    let members: Vec<_> = members.iter().map(|(name, id, at)| (*name, *id, at * 8, 0)).collect();
    btf.structure("task_struct", 160, &members);
    btf.structure("signal_struct", 24, &[("thread_head", list, 64, 0)]);
    btf.structure(
        "rq",
        32,
        &[("nr_running", int, 0, 0), ("clock", u64_, 64, 0), ("curr", pointer, 128, 0), ("idle", pointer, 192, 0)],
    );
    let slots = btf.array(pointer, 64);
    btf.structure("xa_node", 520, &[("shift", byte, 0, 0), ("slots", slots, 64, 0)]);
    btf
}

#[test]
fn a_kernel_is_found_where_it_is_linked_and_where_it_was_moved_to() {
    let unmoved = Machine::new(LOADED_AT, 0).open(&types()).expect("is there");
    assert_eq!((unmoved.slide(), unmoved.cpus()), (0, 2));
    assert_eq!(unmoved.symbol("init_task").expect("is a symbol"), Gva(LINKED_AT + 0x10_1000));
    // Physical and virtual addresses move by themselves.
    for (text_at, slide) in [(0x120_0000, 0x1a0_0000), (0x120_0000, 0), (LOADED_AT, 0x1a0_0000)] {
        let kernel = Machine::new(text_at, slide).open(&types()).expect("is there");
        assert_eq!(kernel.slide(), slide);
        let at = kernel.symbol("runqueues").expect("is a symbol");
        assert_eq!(kernel.symbol_at(at.plus(7)), Some(("runqueues".into(), 7)));
        assert_eq!(kernel.per_cpu("runqueues", 1).expect("is there"), at.plus(0x3000));
        let error = kernel.per_cpu("runqueues", 2).expect_err("is not there").to_string();
        assert_eq!(error, "there is no CPU 2: the kernel has 2");
        assert!(kernel.symbol("scx_root").expect_err("is not there").is_absence());
        assert_eq!(
            kernel.word(Gva(0x1000)).expect_err("is not mapped").to_string(),
            "the kernel has nothing mapped at 0x1000"
        );
        assert!(matches!(kernel.word(Gva(DIRECT + (1 << 40))), Err(ReadError::Memory(_))));
    }
}

#[test]
fn another_kernel_or_one_that_boots_is_refused() {
    let mut other = Machine::new(LOADED_AT, 0);
    let banner = other.at("linux_banner");
    other.memory.write(banner, b"Linux version 9.9.8");
    assert!(matches!(other.open(&types()), Err(KernelError::NotFound)));
    // It is there, without page tables of its own; with them, but before its first task.
    for (name, offset) in [("init_top_pgt", 511 * 8), ("system_state", 0)] {
        let mut early = Machine::new(LOADED_AT, 0);
        early.memory.put(early.at(name) + offset, 0);
        assert!(matches!(early.open(&types()), Err(KernelError::Boots)), "{name}");
    }
    for cpus in [0, 1 << 20] {
        let mut early = Machine::new(LOADED_AT, 0);
        early.put("nr_cpu_ids", cpus);
        assert!(matches!(early.open(&types()), Err(KernelError::Cpus(_))), "{cpus}");
    }
}

#[test]
fn a_list_is_believed_only_where_nodes_point_back() {
    let at = |next, prev| Links { next: Gva(next), prev: Gva(prev) };
    // Nodes 1, 2, 3 behind head 9, and what is wrong with them.
    let cases: [(&str, [Links; 3], End, usize); 4] = [
        ("whole", [at(2, 9), at(3, 1), at(9, 2)], End::Complete, 3),
        ("a node that was removed", [at(2, 9), at(3, 7), at(9, 2)], End::Torn, 2),
        ("a ring without the head", [at(2, 9), at(1, 1), at(9, 2)], End::Torn, 3),
        ("a node that is its own neighbour", [at(1, 9), at(0, 0), at(0, 0)], End::Torn, 2),
    ];
    for (what, links, end, visits) in cases {
        let mut seen = 0;
        let walked = walk(Gva(9), Gva(9), Gva(1), 10, |node| {
            seen += 1;
            Ok(links[node.0 as usize - 1])
        });
        assert_eq!((walked.expect("reads"), seen), (end, visits), "{what}");
    }
    let mut before = 9;
    let endless = walk(Gva(9), Gva(9), Gva(10), 1000, |node| {
        let links = Links { next: node.plus(1), prev: Gva(before) };
        before = node.0;
        Ok(links)
    });
    assert_eq!(endless.expect("reads"), End::TooLong);
}

/// Process 1 with thread 2, process 3; `signal_struct`s behind them.
pub(crate) fn with_tasks() -> Machine {
    let mut machine = Machine::new(LOADED_AT, 0);
    let [first, thread, second] = [0x8000, 0x8200, 0x8400u64];
    for (at, pid, tgid, comm) in [(first, 1u32, 1u32, "init"), (thread, 2, 1, "worker"), (second, 3, 3, "kthreadd")] {
        machine.memory.write(at + 28, &[pid.to_le_bytes(), tgid.to_le_bytes()].concat());
        machine.memory.write(at + 88, comm.as_bytes());
        machine.memory.put(at + 80, direct(if tgid == 1 { 0x8100 } else { 0x8500 }).0);
        machine.memory.put(at + 40, 3);
    }
    machine.memory.write(second + 12, &0x20_0000u32.to_le_bytes());
    machine.memory.put(second + 120, 1000);
    machine.memory.write(second + 16, &[1]);
    let init = machine.at("init_task");
    let tasks =
        [(init + 48, Gva(LINKED_AT + 0x10_1030)), (first + 48, direct(first + 48)), (second + 48, direct(second + 48))];
    ring(&mut machine.memory, &tasks);
    let node = |at: u64| (at, direct(at));
    ring(&mut machine.memory, &[node(0x8108), node(first + 64), node(thread + 64)]);
    ring(&mut machine.memory, &[node(0x8508), node(second + 64)]);
    machine
}

#[test]
fn all_threads_are_on_the_lists() {
    let machine = with_tasks();
    let kernel = machine.open(&types()).expect("is there");
    let all = Tasks::of(&kernel).and_then(|tasks| tasks.all(&kernel)).expect("are readable");
    let seen: Vec<_> = all.tasks.iter().map(|task| (task.pid, task.tgid, task.comm.as_str(), task.is_kernel)).collect();
    assert_eq!(seen, [(1, 1, "init", false), (2, 1, "worker", false), (3, 3, "kthreadd", true)]);
    assert_eq!((all.end, &all.tasks[0].allowed, all.tasks[0].scx), (End::Complete, &vec![3], None));
    let queued = Task { on_cpu: false, ..all.tasks[2].clone() };
    assert_eq!((queued.waiting(1500), queued.waiting(900)), (Some(500), Some(0)));
    assert_eq!((all.tasks[2].waiting(1500), all.tasks[0].waiting(1500)), (None, None));
    let object = kernel.object("task_struct", all.tasks[1].at).expect("is a type");
    assert_eq!(object.field("comm").expect("is readable"), Value::Text("worker".into()));
    assert_eq!(object.word("tasks.next").expect("is readable"), 0);
}

#[test]
fn lists_of_tasks_that_changed_are_torn() {
    // The last one: a process and a thread that point at each other, and nowhere else.
    let changes: [&[(u64, u64)]; 4] = [
        &[(0x8438, 0)],
        &[(0x8248, 0)],
        &[(0x8430, direct(0x8030).0)],
        &[(0x8240, direct(0x8040).0), (0x8048, direct(0x8240).0)],
    ];
    for words in changes {
        let mut machine = with_tasks();
        words.iter().for_each(|(at, word)| machine.memory.put(*at, *word));
        let kernel = machine.open(&types()).expect("is there");
        let all = Tasks::of(&kernel).and_then(|tasks| tasks.all(&kernel)).expect("are readable");
        assert_eq!((all.end, all.tasks.len() <= 5), (End::Torn, true), "{words:x?}");
    }
    let mut machine = with_tasks();
    machine.memory.put(0x8030, 0xdead_0000_0000_0100);
    let kernel = machine.open(&types()).expect("is there");
    let error = Tasks::of(&kernel).and_then(|tasks| tasks.all(&kernel)).expect_err("leads nowhere");
    assert_eq!(error.to_string(), "the kernel has nothing mapped at 0xdead0000000000d0");
}

#[test]
fn a_runqueue_is_read_with_its_task() {
    let mut machine = with_tasks();
    let rq = machine.at("runqueues") + 0x2000;
    for (offset, word) in [(0, 1), (8, 77), (16, direct(0x8400).0), (24, direct(0x8600).0)] {
        machine.memory.put(rq + offset, word);
    }
    // The other CPU is idle, with as many tasks as cannot be.
    for (offset, word) in [(0, 0x7fff_ffff), (16, 7), (24, 7)] {
        machine.memory.put(rq + 0x1000 + offset, word);
    }
    let image = Arc::new(machine.image(&types()));
    let kernel = Kernel::open(image.clone(), Arc::new(machine.memory.clone())).expect("is there");
    let runqueues = Runqueues::of(&kernel).expect("are there");
    let curr = Current { at: direct(0x8400), pid: 3, comm: "kthreadd".into() };
    let expected = Runqueue { cpu: 0, nr_running: 1, delayed: 0, sched_info: None, clock: 77, curr, scx: None };
    assert_eq!(runqueues.read(&kernel, 0).expect("is readable"), expected);
    let error = runqueues.read(&kernel, 1).expect_err("is absurd").to_string();
    assert_eq!(error, "`rq.nr_running` says 2147483647, and 4194304 is the most that can be");
    // A task of another CPU, and none at all.
    machine.memory.write(0x8000, &[1]);
    for curr in [direct(0x8000), Gva(0x9000)] {
        machine.memory.put(rq + 16, curr.0);
        let kernel = Kernel::open(image.clone(), Arc::new(machine.memory.clone())).expect("is there");
        let error = runqueues.read(&kernel, 0).expect_err("is torn").to_string();
        assert_eq!(error, "the task that a CPU runs was another one each time that it was read");
    }
    machine.memory.put(rq + 16, direct(0x8600).0);
    let kernel = Kernel::open(image, Arc::new(machine.memory)).expect("is there");
    assert_eq!(runqueues.read(&kernel, 0).expect("is readable").curr.comm, "swapper/0");
}

#[test]
fn a_tree_is_walked_down_and_never_back() {
    let mut machine = Machine::new(LOADED_AT, 0);
    let (head, top, leaf) = (0x9000, 0xa000, 0xb000u64);
    machine.memory.put(head, direct(top).0 | 2);
    machine.memory.put(top, 6);
    machine.memory.put(top + 8 + 8, direct(leaf).0 | 2);
    machine.memory.put(leaf, 0);
    for (slot, entry) in [(0, direct(0xc000).0), (1, 17), (2, 6), (3, direct(0xd000).0)] {
        machine.memory.put(leaf + 8 + 8 * slot, entry);
    }
    let entries = |machine: &Machine| {
        let kernel = machine.open(&types()).expect("is there");
        XArray::of(&kernel).expect("is a type").entries(&kernel, direct(head))
    };
    assert_eq!(entries(&machine).expect("is a tree"), [(64, direct(0xc000)), (67, direct(0xd000))]);
    machine.memory.put(leaf + 8 + 8 * 5, direct(top).0 | 2);
    let error = entries(&machine).expect_err("leads back").to_string();
    assert_eq!(error, "an xarray leads back into itself");
    // Another one, which is no smaller; and one that has two places.
    machine.memory.put(leaf + 8 + 8 * 5, direct(0xe000).0 | 2);
    machine.memory.put(0xe000, 6);
    let error = entries(&machine).expect_err("leads back").to_string();
    assert_eq!(error, "`xa_node.shift` says 6, and 0 is the most that can be");
    machine.memory.put(leaf + 8 + 8 * 5, 0);
    machine.memory.put(top + 8 + 16, direct(leaf).0 | 2);
    assert_eq!(entries(&machine).expect_err("leads back").to_string(), "an xarray leads back into itself");
}

static IMAGE: OnceLock<Arc<Image>> = OnceLock::new();

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn hostile_memory_does_no_harm(changes in prop::collection::vec((0x8000u64..0x8600, any::<u64>()), 1..12)) {
        let mut machine = with_tasks();
        let rq = machine.at("runqueues") + 0x2000;
        machine.memory.put(rq + 16, direct(0x8400).0);
        for (at, word) in changes {
            // Every second one is a pointer to where something is.
            machine.memory.put(at & !7, if word & 8 == 0 { direct(0x8000 + word % 0x600).0 } else { word });
        }
        let image = IMAGE.get_or_init(|| Arc::new(machine.image(&types()))).clone();
        let kernel = Kernel::open(image, Arc::new(machine.memory)).expect("is there");
        let _ = Tasks::of(&kernel).expect("is a type").all(&kernel).map(|all| assert!(all.tasks.len() <= 1 << 17));
        let _ = Runqueues::of(&kernel).expect("is a type").read(&kernel, 0);
        let _ = XArray::of(&kernel).expect("is a type").entries(&kernel, direct(0x8030));
    }
}
