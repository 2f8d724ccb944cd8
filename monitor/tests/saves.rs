//! Saved machines of real kernels, looked at: what is read of them has to be what such a machine is.
//!
//! `KTSTR_SAVES` has a line for each: the kernel's ELF file, the packed save and the topology of its machine (`1n1l4c1t`), with blanks
//! between them. Where `scx_ktstr` is attached to a machine, its map `ktstr_control` has the number of CPUs and of LLCs.

use ktstr_model::{Dump, MonitorSpec, Nanos, Topology};
use ktstr_monitor::{
    dump, AllTasks, Clock, End, Image, Kernel, Maps, Memory, Runqueues, Sampler, Scx, Task, Tasks, Unwinder,
};
use ktstr_vmm::SavedMachine;
use rustix::time::{clock_gettime, ClockId};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

#[test]
#[ignore = "wants saves of machines, named by KTSTR_SAVES"]
fn saved_machines_are_what_they_are() {
    let saves = std::env::var("KTSTR_SAVES").expect("KTSTR_SAVES names saves");
    assert!(!saves.trim().is_empty(), "KTSTR_SAVES names no saves");
    for line in saves.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [kernel, save, topology] = *words.first_chunk().expect("a kernel, a save and a topology");
        println!("{line}");
        look(Path::new(kernel), Path::new(save), &resolved(topology));
    }
}

fn resolved(label: &str) -> Topology {
    let numbers: Vec<u32> = label.split(|c: char| !c.is_ascii_digit()).filter_map(|part| part.parse().ok()).collect();
    let [nodes, llcs, cores, threads] = *numbers.first_chunk().expect("has four numbers");
    Topology::new(nodes, llcs, cores, threads).expect("can be")
}

fn look(kernel: &Path, save: &Path, topology: &Topology) {
    let directory = tempfile::tempdir().expect("a directory");
    let saved = SavedMachine::unpack(save, directory.path()).expect("is a save");
    let memory = Arc::new(saved.memory(topology).expect("has memory"));
    let (image, opening) = timed(|| Arc::new(Image::open(kernel).expect("has symbols and types")));
    sampled(&image, memory.clone(), topology);
    let (kernel, finding) = timed(|| Kernel::open(image, memory.clone()).expect("is there"));
    println!("  {} symbols; opened in {opening:?}, found in {finding:?}", kernel.image().symbols().count());
    assert_eq!(kernel.cpus(), topology.cpus() as usize);
    clock(&kernel);
    tasks(&kernel);
    let Some(scx) = Scx::of(&kernel).expect("belongs together") else { return };
    let root = scx.scx_root(&kernel).expect("is readable");
    let state = scx.state(&kernel).expect("is readable");
    assert_eq!(state, if root.is_some() { "SCX_ENABLED" } else { "SCX_DISABLED" });
    if let Some(root) = root {
        let events = scx.events(&kernel, root).expect("are readable");
        // Each scheduler is attached in bypass mode.
        assert!(events.contains(&("SCX_EV_BYPASS_ACTIVATE", 1)), "{events:?}");
        attached(&kernel, &scx, root, topology);
        let Dump { maps, missing, .. } = dump(kernel.image().clone(), memory, None, &[]);
        assert_eq!(missing, Vec::<String>::new());
        let bss = maps.iter().find(|map| map.name.ends_with(".bss")).expect("has variables");
        assert!(bss.elements[0].fields.contains(&("victim".into(), "0".into())), "{bss:?}");
        let control = maps.iter().find(|map| map.name == "ktstr_control").expect("is a map");
        let cpus = control.elements.iter().find(|element| element.key == "1").expect("is there");
        assert_eq!(cpus.fields, [(String::new(), topology.cpus().to_string())]);
    }
}

/// A sample has all of it, and the next one nothing new.
fn sampled(image: &Arc<Image>, memory: Arc<dyn Memory>, topology: &Topology) {
    let spec = MonitorSpec { tasks: Nanos(1), ..MonitorSpec::default() };
    let mut sampler = Sampler::open(image.clone(), memory, &spec).expect("is there");
    let (at, first) = sampler.sample(None).expect("is there");
    let tasks = first.tasks.expect("looks at tasks");
    assert!(at.0 > 0 && first.torn == 0 && tasks.complete && tasks.tasks.len() > 30, "{tasks:?}");
    assert_eq!(first.cpus.len(), topology.cpus() as usize);
    let all_cpus = topology.all_cpus();
    for cpu in all_cpus.iter() {
        // A domain with one CPU has nothing to balance, and the kernel leaves it out.
        let levels: Vec<_> = first.domains.iter().filter(|domain| domain.cpu == cpu).collect();
        assert_eq!(levels.last().map(|top| &top.span), (topology.cpus() > 1).then_some(&all_cpus), "{levels:?}");
        let has_smt = levels.iter().any(|level| level.name == "SMT" && level.span.contains(cpu));
        assert_eq!(has_smt, topology.threads_per_core() > 1, "{levels:?}");
    }
    assert_eq!(first.scx.is_some(), sampler.absent().is_empty(), "{:?}", sampler.absent());
    let (_, second) = sampler.sample(None).expect("is there");
    let waiting = tasks.tasks.iter().filter(|task| task.waiting.is_some()).count();
    assert_eq!(second.tasks.expect("looks at tasks").tasks.len(), waiting);
    const ROUNDS: u32 = 1000;
    let ((), all) = timed(|| (0..ROUNDS).for_each(|_| drop(sampler.sample(None))));
    println!(
        "  {:?} a sample with all tasks; {} events; lacks {:?}",
        all / ROUNDS,
        sampler.events().len(),
        sampler.absent()
    );
}

/// The clock of the kernel and those of its runqueues were updated within the last seconds.
fn clock(kernel: &Kernel) {
    let clock = Clock::of(kernel).and_then(|clock| clock.monotonic(kernel, None)).expect("is readable");
    let rq = Runqueues::of(kernel).and_then(|runqueues| runqueues.read(kernel, 0)).expect("is readable");
    assert!(!clock.is_now && clock.at.abs_diff(rq.clock) < 3_000_000_000, "{clock:?} {rq:?}");
}

/// All tasks of a machine that has stopped itself: the one that did so runs, no other does.
fn tasks(kernel: &Kernel) {
    let (runqueues, tasks) = (Runqueues::of(kernel).expect("are there"), Tasks::of(kernel).expect("are there"));
    let sample = || (0..kernel.cpus()).map(|cpu| runqueues.read(kernel, cpu).expect("is readable")).collect::<Vec<_>>();
    let seen = sample();
    let AllTasks { tasks: all, end } = tasks.all(kernel).expect("are readable");
    assert_eq!(end, End::Complete);
    for cpu in &seen {
        let on_cpu: Vec<i32> =
            all.iter().filter(|task| task.on_cpu && task.cpu as usize == cpu.cpu).map(|task| task.pid).collect();
        let queued = all.iter().filter(|task| task.on_rq && task.cpu as usize == cpu.cpu).count() as u64;
        assert_eq!(on_cpu, if cpu.curr.pid == 0 { vec![] } else { vec![cpu.curr.pid] }, "{cpu:?}");
        assert_eq!(queued, cpu.nr_running, "{cpu:?}");
        assert!(cpu.clock > 0 && cpu.clock < 3600 * 1_000_000_000, "{cpu:?}");
    }
    let pid_1 = all.first().expect("is there");
    assert!(
        pid_1.pid == 1 && pid_1.on_cpu && !pid_1.is_kernel && ["init", "agent"].contains(&pid_1.comm.as_str()),
        "{pid_1:?}"
    );
    assert!(pid_1.runs > 0 && pid_1.runtime > 1_000_000, "{pid_1:?}");
    for name in ["kthreadd", "ksoftirqd/0", "rcu_preempt"] {
        assert!(all.iter().any(|task| task.comm == name && task.is_kernel), "{name}");
    }
    backtraces(kernel, &all);
    let all_cpus: u64 = (1 << kernel.cpus()) - 1;
    assert!(all.iter().all(|task| task.allowed[0] != 0 && task.allowed[0] & !all_cpus == 0));
    const ROUNDS: u32 = 1000;
    let ((), samples) = timed(|| (0..ROUNDS).for_each(|_| drop(sample())));
    let ((), walks) = timed(|| (0..ROUNDS).for_each(|_| drop(tasks.all(kernel).expect("are readable"))));
    println!(
        "  {:?} a sample of {} CPUs, {:?} all {} tasks",
        samples / ROUNDS,
        kernel.cpus(),
        walks / ROUNDS,
        all.len()
    );
}

/// Every thread that sleeps went to sleep in the scheduler; those of the kernel were made to run a function of their own.
fn backtraces(kernel: &Kernel, all: &[Task]) {
    let unwinder = Unwinder::of(kernel).expect("is there");
    for task in all.iter().filter(|task| !task.on_cpu) {
        let frames = unwinder.task(kernel, task.at).expect("is readable");
        let names: Vec<&str> = frames.iter().map(|frame| frame.name.as_deref().unwrap_or("?")).collect();
        let has = |name: &str| names.iter().any(|frame| frame.split('+').next() == Some(name));
        let slept = has("schedule") || has("schedule_idle") || has("preempt_schedule_irq") || task.runs == 0;
        let begun =
            names.last().is_some_and(|last| last.starts_with("ret_from_fork") || last.starts_with("entry_SYSCALL_64"));
        assert!(slept && (begun || !task.is_kernel), "{} {names:?}", task.comm);
    }
}

/// `scx_ktstr` with a queue for each LLC, or with one for all.
fn attached(kernel: &Kernel, scx: &Scx, root: ktstr_monitor::Gva, topology: &Topology) {
    let maps = Maps::of(kernel).expect("are there");
    let all = maps.all(kernel).expect("are readable");
    let word = |name: &str, index: u64, bytes: usize| {
        let map = all.iter().find(|map| map.name == name).expect("is a map");
        let mut word = [0; 8];
        kernel.read(maps.element(kernel, map, index).expect("is there"), &mut word[..bytes]).expect("is readable");
        u64::from_le_bytes(word)
    };
    assert_eq!(word("ktstr_control", 1, 8), u64::from(topology.cpus()));
    assert_eq!(word("ktstr_control", 2, 8), u64::from(topology.llcs()));
    let knows_llcs = all.iter().any(|map| map.name == "ktstr_cpu_llc");
    let queues = if knows_llcs { u64::from(topology.llcs()) } else { 1 };
    let (dsqs, end) = scx.dsqs(kernel, root).expect("are readable");
    assert_eq!(end, End::Complete);
    for queue in 0..queues {
        assert_eq!(dsqs.iter().filter(|dsq| dsq.id == queue).count(), 1, "{dsqs:x?}");
    }
    assert!(dsqs.iter().all(|dsq| scx.tasks(kernel, dsq, 1000).expect("are readable").0.len() as u64 == dsq.nr));
    for cpu in 0..u64::from(topology.cpus()) {
        let expected = cpu * u64::from(topology.llcs()) / u64::from(topology.cpus());
        if knows_llcs && topology.threads_per_core() == 1 {
            assert_eq!(word("ktstr_cpu_llc", cpu, 4), expected, "{cpu}");
        }
    }
    let bss = all.iter().find(|map| map.name.ends_with(".bss")).expect("has variables");
    let types = maps.types(kernel, bss).expect("are readable").expect("the object brought some");
    let variables = kernel.object_of(&types, bss.value_type, maps.element(kernel, bss, 0).expect("is there"));
    assert_eq!(variables.word("victim").expect("is a variable"), 0);
    let kept = all.iter().find(|map| map.name == "ktstr_exit").expect("is a map");
    let types = maps.types(kernel, kept).expect("are readable").expect("the object brought some");
    let value = maps.elements(kernel, kept).expect("are readable").expect("is an array")[0].value;
    let record = kernel.object_of(&types, kept.value_type, value);
    assert_eq!(record.field("reason").expect("is a field"), ktstr_btf::Value::Text(String::new()));
}

/// What `what` gives, and the CPU time that it took: others use this host, too.
fn timed<T>(what: impl FnOnce() -> T) -> (T, Duration) {
    let now = || {
        let now = clock_gettime(ClockId::ThreadCPUTime);
        Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
    };
    let start = now();
    let result = what();
    (result, now() - start)
}
