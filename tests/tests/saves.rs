//! Saved machines, looked at: what is read of them has to be what such a machine is, wherever its kernel lies.

use ktstr_model::{MonitorSpec, Nanos, Topology};
use ktstr_monitor::{AllTasks, Clock, End, Image, Kernel, Memory, Runqueues, Sampler, Task, Tasks, Unwinder};
use ktstr_tests::Target;
use ktstr_vmm::SavedMachine;
use std::sync::Arc;

#[test]
fn saved_machines_are_what_they_are() {
    let four = Topology::new(1, 1, 4, 1).expect("can be");
    for target in ["linux_6_12", "linux_6_16", "linux_7_3"] {
        look(target, &four);
        look(&format!("{target}_moved"), &four);
    }
    look("wide", &Topology::new(2, 4, 2, 2).expect("can be"));
}

/// Looks at the machine that a target starts from.
fn look(target: &str, topology: &Topology) {
    println!("{target}");
    let inputs = Target::new(target).inputs();
    let directory = tempfile::tempdir().expect("a directory");
    let saved = SavedMachine::unpack(&inputs.snapshot(&topology.to_string()), directory.path()).expect("is a save");
    let memory = Arc::new(saved.memory(topology).expect("has memory"));
    let image = Arc::new(Image::open(&inputs.image()).expect("has symbols and types"));
    sampled(&image, memory.clone(), topology);
    let kernel = Kernel::open(image, memory).expect("is there");
    assert_eq!(kernel.cpus(), topology.cpus() as usize);
    assert_eq!(kernel.slide() != 0, target.ends_with("_moved"), "{:#x}", kernel.slide());
    clock(&kernel);
    tasks(&kernel);
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
