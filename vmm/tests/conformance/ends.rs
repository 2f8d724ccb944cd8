//! Each way in which a machine ends, told from every other.

use crate::harness::{clocks, exit_of, until, Prepared, PATIENCE};
use ktstr_testing::{micro_guest, MicroGuest};
use ktstr_vmm::{console, Exit};
use std::time::Duration;

const NOW: Duration = Duration::ZERO;
const PANIC: &str = "[    4.2] Kernel panic - not syncing: Attempted to kill init!\r\n";

fn panicked() -> Exit {
    Exit::Panic { message: "Attempted to kill init!".into() }
}

#[test]
fn the_debug_exit_carries_its_code() {
    for code in [0, 1, 42, 127] {
        assert_eq!(exit_of(&micro_guest::exit(code)), Exit::Guest { code });
    }
}

#[test]
fn power_off() {
    assert_eq!(exit_of(&micro_guest::power_off()), Exit::PowerOff);
}

#[test]
fn reset() {
    assert_eq!(exit_of(&micro_guest::reset()), Exit::Reboot);
}

#[test]
fn triple_fault() {
    assert_eq!(exit_of(&micro_guest::triple_fault()), Exit::TripleFault);
}

#[test]
fn every_end_is_the_same_under_each_clock() {
    for clock in clocks() {
        let run = |guest: &MicroGuest| Prepared::new(guest).under(crate::harness::one_cpu(), clock).run().0;
        assert_eq!(run(&micro_guest::exit(3)), Exit::Guest { code: 3 });
        assert_eq!(run(&micro_guest::power_off()), Exit::PowerOff);
        assert_eq!(run(&micro_guest::reset()), Exit::Reboot);
        assert_eq!(run(&micro_guest::triple_fault()), Exit::TripleFault);
    }
}

#[test]
fn a_panic_that_resets_is_a_panic() {
    assert_eq!(exit_of(&micro_guest::print_and_reset(PANIC)), panicked());
    assert_eq!(exit_of(&micro_guest::print_and_reset("reboot: Restarting system\r\n")), Exit::Reboot);
}

#[test]
fn a_panic_that_hangs_is_a_panic_when_it_is_stopped() {
    let prepared = Prepared::new(&micro_guest::print_and_hang(PANIC));
    let mut machine = prepared.start();
    let console = prepared.directory.path().join("console");
    let told = || console::find_panic(&console).expect("reads");
    until("the panic on the console", || told().as_deref() == Some("Attempted to kill init!"));
    assert_eq!(machine.wait(NOW).expect("can be watched"), None);
    assert_eq!(machine.stop().expect("stops"), panicked());
}

#[test]
fn a_hang_has_no_end_and_costs_cpu_time() {
    let guest = micro_guest::hang();
    let prepared = Prepared::new(&guest);
    let mut machine = prepared.start();
    until("the guest in its loop", || {
        let cpus = machine.registers().expect("answers");
        cpus.iter().any(|cpu| guest.code_range().contains(&cpu.rip))
    });
    let before = machine.cpu_time();
    assert_eq!(machine.wait(Duration::from_millis(500)).expect("can be watched"), None);
    until("half a second of CPU time", || machine.cpu_time() > before + Duration::from_millis(300));
    assert_eq!(machine.stop().expect("stops"), Exit::Stopped);
    assert_eq!(machine.wait(PATIENCE).expect("is known"), Some(Exit::Stopped));
}

#[test]
fn an_idle_guest_costs_no_cpu_time() {
    let prepared = Prepared::new(&micro_guest::idle());
    let mut machine = prepared.start();
    until("the guest halted", || {
        machine
            .registers()
            .expect("answers")
            .first()
            .is_some_and(|cpu| cpu.halted && cpu.rip < 0x20_0000 && cpu.rip >= 0x10_0000)
    });
    let before = machine.cpu_time();
    assert_eq!(machine.wait(Duration::from_millis(500)).expect("can be watched"), None);
    let used = machine.cpu_time() - before;
    assert!(used < Duration::from_millis(100), "an idle guest used {used:?} in half a second");
    assert_eq!(machine.stop().expect("stops"), Exit::Stopped);
}
