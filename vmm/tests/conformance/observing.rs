//! What can be seen of a machine from outside, and that the window works both ways.

use crate::harness::{backend, clocks, one_cpu, until, Prepared};
use ktstr_model::{Clock, Mebibytes, Topology};
use ktstr_testing::micro_guest::{self, RESULT, STORED};
use ktstr_vmm::{Exit, Gpa, MachineError};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

const RESULT_AT: Gpa = Gpa(RESULT as u64);

#[test]
fn the_console_gives_every_byte_once() {
    let (exit, mut machine) = Prepared::new(&micro_guest::print("hello\r\n")).run();
    assert_eq!(exit, Exit::Guest { code: 0 });
    let seen = String::from_utf8(machine.console().expect("reads")).expect("text");
    assert!(seen.ends_with("hello\r\n"), "{seen:?}");
    assert_eq!(machine.console().expect("reads"), b"");
}

#[test]
fn a_store_is_seen_in_memory() {
    let prepared = Prepared::new(&micro_guest::store());
    let machine = prepared.start();
    let memory = machine.memory().clone();
    until("the stored word", || memory.read_u64(RESULT_AT).expect("reads") == STORED);
    drop(machine);
    assert_eq!(memory.read_u64(RESULT_AT).expect("reads after the end"), STORED);
}

#[test]
fn pause_stops_progress_and_resume_goes_on() {
    let guest = micro_guest::count();
    let prepared = Prepared::new(&guest);
    let mut machine = prepared.start();
    let memory = machine.memory().clone();
    let count = || memory.read_u64(RESULT_AT).expect("reads") & 0xffff_ffff;
    until("a count", || count() > 1000);
    machine.pause().expect("pauses");
    let paused = count();
    assert_eq!(machine.wait(Duration::from_millis(200)).expect("can be watched"), None);
    assert_eq!(count(), paused);
    let cpus = machine.registers().expect("answers");
    let cpu = cpus.first().expect("a CPU");
    assert!(guest.code_range().contains(&cpu.rip), "rip {:#x}", cpu.rip);
    assert!(!cpu.interrupts_enabled() && !cpu.halted && cpu.privilege == 0);
    machine.resume().expect("resumes");
    until("progress", || count() != paused);
}

/// Sets a flag when it goes, also in a panic.
struct Finally<'a>(&'a AtomicBool);

impl Drop for Finally<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

#[test]
fn what_the_host_took_from_a_cpu_is_seen() {
    let machine =
        Prepared::new(&micro_guest::hang()).under(Topology::new(1, 1, 2, 1).expect("can be"), Clock::Real).start();
    let done = AtomicBool::new(false);
    // More spinners than the host has CPUs: each thread has to wait.
    std::thread::scope(|scope| {
        for _ in 0..2 * std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while !done.load(Relaxed) {
                    std::hint::spin_loop()
                }
            });
        }
        let enough = Duration::from_millis(5);
        let _ends_them = Finally(&done);
        until(
            "a wait of the busy CPU",
            || matches!(machine.vcpu_times()[..], [busy, _] if busy.waited > enough && busy.ran > enough),
        );
    });
}

#[test]
fn an_ended_machine_takes_no_commands() {
    let (_, mut machine) = Prepared::new(&micro_guest::exit(0)).run();
    assert!(matches!(machine.pause(), Err(MachineError::Ended)));
    assert!(matches!(machine.registers(), Err(MachineError::Ended)));
    assert_eq!(machine.stop().expect("is known"), Exit::Guest { code: 0 });
}

#[test]
fn registers_come_from_every_cpu() {
    let topology = Topology::new(2, 2, 2, 1).expect("can be");
    let prepared = Prepared::new(&micro_guest::hang()).under(topology, Clock::Real);
    let mut machine = prepared.start();
    let cpus: Vec<u32> = machine.registers().expect("answers").iter().map(|cpu| cpu.cpu).collect();
    assert_eq!(cpus, [0, 1, 2, 3]);
}

/// The guest reads what the host laid there before the start, and the host reads what the guest writes.
fn window_works(topology: Topology, clock: Clock) {
    let at = backend().window_at(&topology);
    let prepared = Prepared::new(&micro_guest::window(at.0)).with_window(&41u64.to_le_bytes()).under(topology, clock);
    let (exit, machine) = prepared.run();
    assert_eq!(exit, Exit::Guest { code: 0 });
    assert_eq!(machine.memory().read_u64(Gpa(at.0 + 0x1000)).expect("reads"), 42);
    let file = std::fs::read(prepared.window()).expect("reads");
    assert_eq!(file.get(0x1000..0x1008), Some(&42u64.to_le_bytes()[..]));
}

#[test]
fn the_window_works_both_ways() {
    clocks().into_iter().for_each(|clock| window_works(one_cpu(), clock));
}

fn with_memory(nodes: u32, memory: u64) -> Topology {
    let memory = Some(Mebibytes(memory));
    let spec = ktstr_model::topology::TopologySpec {
        numa_nodes: nodes,
        llcs: nodes,
        cores_per_llc: 1,
        threads_per_core: 1,
        memory,
        distances: None,
    };
    spec.resolve("topology").expect("can be")
}

#[test]
fn the_window_is_where_it_is_said_to_be_whatever_the_memory() {
    for memory in [256, 2815, 2816, 3072, 4096, 5000] {
        window_works(with_memory(1, memory), Clock::Real);
    }
    window_works(with_memory(2, 1025), Clock::Real);
    window_works(with_memory(4, 3072), Clock::Real);
}
