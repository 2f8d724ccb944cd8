//! Machines that do not come up, and why.

use crate::harness::{backend, on_kvm, one_cpu, Prepared};
use ktstr_model::Clock;
use ktstr_testing::micro_guest;
use ktstr_vmm::{Emulator, MachineBackend, StartError, TcgBackend};

fn refusal_by(backend: &dyn MachineBackend, prepared: &Prepared) -> StartError {
    match backend.start(&prepared.spec) {
        Err(error) => error,
        Ok(_) => panic!("started"),
    }
}

fn refusal(prepared: &Prepared) -> StartError {
    refusal_by(&*backend(), prepared)
}

fn refusal_with(emulator: Emulator) -> String {
    refusal_by(&TcgBackend::new(emulator), &Prepared::new(&micro_guest::idle())).to_string()
}

#[test]
fn a_missing_emulator() {
    let error = refusal_with(Emulator::installed("/nowhere/qemu"));
    assert!(error.starts_with("no emulator: the program /nowhere/qemu is missing"), "{error}");
}

#[test]
fn a_program_that_is_no_emulator() {
    let error = refusal_with(Emulator::installed("/bin/false"));
    assert_eq!(error, "the emulator ended before the machine ran (exit status: 1): ");
}

#[test]
fn a_kernel_that_is_missing_or_is_none() {
    let mut prepared = Prepared::new(&micro_guest::idle());
    std::fs::write(&prepared.spec.kernel, "not a kernel").expect("writes");
    let error = refusal(&prepared);
    let expected = matches!(&error, StartError::EmulatorEnded { .. } | StartError::File { what: "kernel", .. });
    assert!(expected, "{error}");
    prepared.spec.kernel = "/nowhere/vmlinux".into();
    assert_eq!(refusal(&prepared).to_string(), "cannot use the kernel /nowhere/vmlinux");
}

#[test]
fn a_window_of_an_odd_size() {
    let prepared = Prepared::new(&micro_guest::idle()).with_window(b"");
    let file = std::fs::File::options().write(true).open(prepared.window()).expect("opens");
    file.set_len(4097).expect("shrinks");
    let error = refusal(&prepared).to_string();
    assert!(error.ends_with("window has 4097 bytes; a multiple of 2097152 would do"), "{error}");
}

#[test]
fn a_machine_that_is_beyond_the_limits() {
    let mut prepared = Prepared::new(&micro_guest::idle());
    prepared.spec.topology = ktstr_model::Topology::new(1, 513, 1, 1).expect("can be");
    let error = refusal(&prepared).to_string();
    assert!(error.starts_with("machine refused: topology: 1n513l1c1t has 513 CPUs"), "{error}");
    if on_kvm() {
        return;
    }
    let mut prepared = Prepared::new(&micro_guest::idle()).under(one_cpu(), Clock::Virtual);
    prepared.spec.virtualization = true;
    let error = refusal(&prepared).to_string();
    let expected =
        "machine refused: virtualization: CPUs with virtualization on the back end tcg under the virtual clock";
    assert!(error.starts_with(expected), "{error}");
}
