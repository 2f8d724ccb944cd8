//! Guest time under both clocks.

use crate::harness::{on_kvm, one_cpu, Prepared};
use ktstr_model::{Clock, Topology};
use ktstr_testing::micro_guest::{self, RESULT};
use ktstr_vmm::{Exit, Gpa};

/// The time stamp counter before and after the guest's loop of a million instructions.
fn stamps(topology: Topology, clock: Clock) -> (u64, u64) {
    let (exit, machine) = Prepared::new(&micro_guest::time()).under(topology, clock).run();
    assert_eq!(exit, Exit::Guest { code: 0 });
    let read = |at| machine.memory().read_u64(Gpa(u64::from(RESULT) + at)).expect("reads");
    (read(0), read(8))
}

#[test]
fn virtual_time_counts_instructions() {
    if on_kvm() {
        return;
    }
    let (before, after) = stamps(one_cpu(), Clock::Virtual);
    // 8 ns an instruction, and a counter of 1 GHz.
    assert!((8_000_000..8_001_000).contains(&(after - before)), "{} ns", after - before);
    assert_eq!(stamps(one_cpu(), Clock::Virtual), (before, after), "equal specs, different runs");
}

#[test]
fn real_time_passes() {
    let (before, after) = stamps(one_cpu(), Clock::Real);
    assert!(after > before);
}
