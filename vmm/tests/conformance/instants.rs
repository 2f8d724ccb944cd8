//! Instants of guest time at which the host looks: where they are decides the guest alone, and it cannot tell.

use crate::harness::{emulator, on_kvm, one_cpu, Prepared, PATIENCE};
use ktstr_model::{Clock, Nanos, Topology};
use ktstr_testing::micro_guest::{self, FIRST_POINTERS, KEPT, KEPT_VALUE, OTHER_PLACE, OTHER_POINTERS, RESULT, TICKS};
use ktstr_testing::MicroGuest;
use ktstr_vmm::{CpuRegisters, Exit, Gpa, GuestMemory, Instants, MachineBackend, MachineError, StartError, TcgBackend};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

const RESULT_AT: Gpa = Gpa(RESULT as u64);
const BRIEF: Duration = Duration::from_millis(50);

fn two_cpus() -> Topology {
    Topology::new(1, 1, 2, 1).expect("can be")
}

fn prepared(guest: &MicroGuest, topology: Topology, interval: Option<u64>) -> Prepared {
    let mut prepared = Prepared::new(guest).under(topology, Clock::Virtual);
    prepared.spec.instants = interval.map(Nanos);
    prepared
}

/// Guest time and the low half of the first result at the next instant.
fn look(instants: &mut Instants, memory: &GuestMemory) -> Option<(u64, u64)> {
    let instant = match instants.next(PATIENCE) {
        Err(MachineError::Ended) => return None,
        instant => instant.expect("can be watched").expect("stands within a minute"),
    };
    // Memory may be gone: the machine was ended, and this was the last it said.
    let seen = memory.read_u64(RESULT_AT).ok()?;
    Some((instant.at.0, seen & 0xffff_ffff))
}

/// What is seen at the first `count` instants.
fn seen(prepared: &Prepared, count: usize) -> Vec<(u64, u64)> {
    let mut machine = prepared.start();
    let mut instants = machine.instants().expect("has some");
    (0..count).map_while(|_| look(&mut instants, machine.memory())).collect()
}

/// Runs `work` while the host has more to do than it has CPUs.
fn loaded<T>(work: impl FnOnce() -> T) -> T {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 * std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while !done.load(Relaxed) {
                    std::hint::spin_loop()
                }
            });
        }
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        done.store(true, Relaxed);
        result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

#[test]
fn equal_machines_are_seen_equally() {
    if on_kvm() {
        return;
    }
    let interval = 1_000_000;
    let count = micro_guest::count();
    let save = prepared(&micro_guest::save_then(&count), one_cpu(), Some(interval)).save();
    let cases = [
        ("booted", prepared(&count, one_cpu(), Some(interval))),
        ("two CPUs", prepared(&count, two_cpus(), Some(interval))),
        ("from a save", prepared(&micro_guest::save_then(&count), one_cpu(), Some(interval)).from(&save)),
    ];
    for (case, prepared) in cases {
        let first = seen(&prepared, 60);
        let counting: Vec<_> = first.iter().skip_while(|(_, value)| *value == 0).collect();
        assert!(counting.len() > 10, "{case}: {first:?}");
        assert!(counting.windows(2).all(|pair| pair[0].1 < pair[1].1), "{case}: {first:?}");
        assert!(first.windows(2).all(|pair| pair[0].0 / interval < pair[1].0 / interval), "{case}: {first:?}");
        assert_eq!(seen(&prepared, 60), first, "{case}");
        assert_eq!(loaded(|| seen(&prepared, 60)), first, "{case}, the host is loaded");
    }
}

/// Guest time and the registers at the next instant.
fn registers(instants: &mut Instants) -> Option<(u64, Vec<CpuRegisters>)> {
    let instant = match instants.next(PATIENCE) {
        Err(MachineError::Ended) => return None,
        instant => instant.expect("can be watched").expect("stands within a minute"),
    };
    match instant.registers() {
        Err(MachineError::Ended) => None,
        registers => Some((instant.at.0, registers.expect("come"))),
    }
}

#[test]
fn each_cpu_is_seen_where_it_is() {
    if on_kvm() {
        return;
    }
    let guest = micro_guest::places();
    let prepared = prepared(&guest, Topology::new(1, 1, 3, 1).expect("can be"), Some(1_000_000));
    let seen = || {
        let (mut machine, mut seen) = (prepared.start(), Vec::new());
        let mut instants = machine.instants().expect("has some");
        while seen.len() < 60 {
            seen.push(registers(&mut instants).expect("does not end"));
        }
        seen
    };
    let [first_pointers, other_pointers] = [FIRST_POINTERS, OTHER_POINTERS];
    let places =
        [(guest.code_range().end - 2, first_pointers), (OTHER_PLACE, other_pointers), (OTHER_PLACE, other_pointers)];
    let is_there = |(_, cpus): &(u64, Vec<CpuRegisters>)| {
        let here = cpus.iter().map(|cpu| (cpu.rip, [cpu.rsp, cpu.rbp]));
        here.eq(places) && cpus.iter().all(|cpu| cpu.privilege == 0 && !cpu.halted && !cpu.interrupts_enabled())
    };
    let first = seen();
    let there = first.iter().skip_while(|seen| !is_there(seen)).count();
    assert!(there > 10 && first[first.len() - there..].iter().all(is_there), "{:x?}", first.last());
    assert!(first.iter().all(|(_, cpus)| cpus.iter().map(|cpu| cpu.cpu).eq(0..3)));
    assert_eq!(seen(), first);
    assert_eq!(loaded(seen), first, "the host is loaded");
}

/// Memory of `ticks` at its end, its count and the time, and the instants until then, with whether all CPUs had halted if that is asked for;
/// they are looked at in another thread than the one that waits.
fn ticks(topology: Topology, interval: Option<u64>, asks: bool) -> ((u64, u64), Vec<(u64, bool)>) {
    let prepared = prepared(&micro_guest::ticks(), topology, interval);
    let mut machine = prepared.start();
    let mut instants = interval.map(|_| machine.instants().expect("has some"));
    let memory = machine.memory().clone();
    let seen: Vec<_> = std::thread::scope(|scope| {
        let looker = scope.spawn(|| {
            let look = |instants: &mut Instants| match asks {
                true => registers(instants).map(|(at, cpus)| (at, cpus.iter().all(|cpu| cpu.halted))),
                false => look(instants, &memory).map(|(at, _)| (at, false)),
            };
            std::iter::from_fn(|| instants.as_mut().and_then(look)).collect()
        });
        let exit = machine.wait(PATIENCE).expect("can be watched").expect("ends by itself");
        assert_eq!(exit, Exit::Guest { code: 0 });
        looker.join().expect("no panic")
    });
    let read = |offset| memory.read_u64(Gpa(RESULT_AT.0 + offset)).expect("reads");
    // How far it goes on behind its end, the host decides.
    ((read(0), read(8)), seen.into_iter().filter(|(at, _)| *at < read(8)).collect())
}

#[test]
fn the_run_is_the_same_with_and_without() {
    if on_kvm() {
        return;
    }
    for topology in [one_cpu(), two_cpus()] {
        let (without, none) = ticks(topology.clone(), None, false);
        assert_eq!((without.0, none.len()), (u64::from(TICKS), 0));
        for interval in [50_000, 1_000_000, 10_000_000] {
            let (with, seen) = ticks(topology.clone(), Some(interval), true);
            assert_eq!(with, without, "{topology}, every {interval} ns: other memory or another time");
            // It halts a hundred times for a millisecond, and time jumps over that.
            let least = 100_000_000 / interval.max(1_000_000);
            let halted = seen.iter().filter(|(_, halted)| *halted).count();
            assert!(halted as u64 >= least, "{topology}, every {interval} ns: {halted} of {} instants", seen.len());
            if interval == 1_000_000 {
                let (unasked, at) = ticks(topology.clone(), Some(interval), false);
                assert_eq!(unasked, without, "{topology}: other memory or another time, without registers");
                assert!(
                    at.iter().map(|(at, _)| at).eq(seen.iter().map(|(at, _)| at)),
                    "{topology}: registers move instants"
                );
                assert_eq!(
                    loaded(|| ticks(topology.clone(), Some(interval), true)),
                    (with, seen),
                    "{topology}, loaded"
                );
            }
        }
    }
}

#[test]
fn a_machine_stands_until_it_was_looked_at_and_can_be_stopped_there() {
    if on_kvm() {
        return;
    }
    let prepared = prepared(&micro_guest::count(), one_cpu(), Some(1_000_000));
    let mut machine = prepared.start();
    let mut instants = machine.instants().expect("has some");
    while look(&mut instants, machine.memory()).is_some_and(|(_, value)| value == 0) {}
    let instant = instants.next(PATIENCE).expect("can be watched").expect("stands");
    let count = || machine.memory().read_u64(RESULT_AT).expect("reads");
    let before = count();
    std::thread::sleep(3 * BRIEF);
    assert_eq!(count(), before);
    assert_eq!(machine.wait(BRIEF).expect("can be watched"), None);
    assert_eq!(machine.stop().expect("stops"), Exit::Stopped);
    drop(instant);
    assert!(matches!(instants.next(PATIENCE), Err(MachineError::Ended)));
}

#[test]
fn a_machine_at_which_nobody_looks_any_more_goes_on() {
    if on_kvm() {
        return;
    }
    for looks in [0, 3] {
        let prepared = prepared(&micro_guest::ticks(), one_cpu(), Some(1_000_000));
        let mut machine = prepared.start();
        let mut instants = machine.instants().expect("has some");
        assert_eq!((0..looks).map_while(|_| look(&mut instants, machine.memory())).count(), looks);
        assert_eq!(machine.wait(BRIEF).expect("can be watched"), None, "it stands");
        drop(instants);
        assert_eq!(machine.wait(PATIENCE).expect("can be watched"), Some(Exit::Guest { code: 0 }));
    }
}

#[test]
fn says_why_there_are_none() {
    let mut real = prepared(&micro_guest::exit(0), one_cpu(), Some(1));
    real.spec.clock = Clock::Real;
    let refused = crate::harness::backend().start(&real.spec).map(drop).expect_err("refused");
    assert!(matches!(&refused, StartError::Refused(error) if error.path == "instants"), "{refused}");
    if on_kvm() {
        return;
    }
    let reason = |machine: &mut dyn ktstr_vmm::Machine| machine.instants().expect_err("none").to_string();
    let unasked = prepared(&micro_guest::idle(), one_cpu(), None);
    assert_eq!(reason(&mut *unasked.start()), "no instants of guest time: none were asked for");
    let asked = prepared(&micro_guest::exit(0), one_cpu(), Some(1));
    let mut machine = asked.start();
    let instants = machine.instants().expect("has some");
    assert_eq!(reason(&mut *machine), "no instants of guest time: they were given out");
    drop(instants);
    // An emulator that cannot: the library in it is not asked.
    let mut other = emulator();
    let program = other.loader.as_mut().unwrap_or(&mut other.binary);
    let script = asked.directory.path().join("other");
    let at = std::path::absolute(&*program).expect("has a path");
    let text = format!("#!/bin/sh\nunset KTSTR_INSTANTS\nexec '{}' \"$@\"\n", at.display());
    std::fs::write(&script, text).expect("writes");
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("sets");
    *program = script;
    let mut machine = TcgBackend::new(other).start(&asked.spec).expect("starts");
    let reason = reason(&mut *machine);
    assert!(reason.contains("does not show where its CPUs have had a turn"), "{reason}");
    assert_eq!(machine.wait(PATIENCE).expect("can be watched"), Some(Exit::Guest { code: 0 }));
}

#[test]
fn a_guest_finds_what_the_host_wrote_where_it_stood() {
    if on_kvm() {
        return;
    }
    let guest = micro_guest::save_then(&micro_guest::add_to_kept());
    let save = prepared(&guest, one_cpu(), None).save();
    let exit = |value: u32| {
        let prepared = prepared(&guest, one_cpu(), Some(1_000_000)).from(&save);
        let mut machine = prepared.start();
        let mut instants = machine.instants().expect("has some");
        // It stands where it starts.
        let stands = instants.next(PATIENCE).expect("can be watched").expect("stands");
        machine.memory().write(Gpa(KEPT.into()), &value.to_le_bytes()).expect("writes");
        drop(stands);
        drop(instants);
        machine.wait(PATIENCE).expect("can be watched")
    };
    for value in [77, KEPT_VALUE, 5] {
        assert_eq!(exit(value), Some(Exit::Guest { code: (value as u8 & 0x7f) + 1 }), "{value}");
    }
}
