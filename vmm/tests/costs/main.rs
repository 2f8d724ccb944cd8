//! What a machine on KVM costs: memory of this process as a test; the time of its set-up, against bare ioctls that make the same
//! machine, as a measurement (`--include-ignored --nocapture`).
#![allow(clippy::panic)] // All of this is test code; clippy sees that only inside of test functions.

use ktstr_model::{Clock, Topology};
use ktstr_testing::micro_guest;
use ktstr_vmm::{Exit, KvmBackend, MachineBackend, MachineSpec, Start};
use kvm_bindings::{kvm_regs, kvm_userspace_memory_region, KVM_MAX_CPUID_ENTRIES};
use kvm_ioctls::{Kvm, VcpuExit};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use vm_memory::{Bytes, GuestAddress, GuestMemoryBackend, GuestMemoryMmap};

const PATIENCE: Duration = Duration::from_secs(60);
const MIB: u64 = 1 << 20;
const CODE: u64 = 0x1000;

fn machine(cpus: u32, guest: &micro_guest::MicroGuest) -> (TempDir, MachineSpec) {
    let directory = tempfile::tempdir().expect("a directory");
    let kernel = directory.path().join("guest.elf");
    std::fs::write(&kernel, guest.image()).expect("writes");
    let spec = MachineSpec {
        start: Start::Boot,
        topology: Topology::new(1, 1, cpus, 1).expect("can be"),
        clock: Clock::Real,
        virtualization: false,
        placement: ktstr_model::Placement::default(),
        seed: 1,
        kernel,
        initramfs: None,
        command_line: String::new(),
        window: None,
        directory: directory.path().into(),
    };
    (directory, spec)
}

/// Resident memory of this process without that of the guest, which lies in shared files (proc_pid_status(5)).
fn own_bytes() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").expect("reads");
    let field = |name: &str| -> u64 {
        let line = text.lines().find_map(|line| line.strip_prefix(name)).expect("is there");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    };
    (field("VmRSS:") - field("RssShmem:")) * 1024
}

#[test]
fn a_machine_of_four_cpus_costs_five_mebibytes_at_most() {
    let (_directory, spec) = machine(4, &micro_guest::store());
    let before = own_bytes();
    let mut running = KvmBackend.start(&spec).unwrap_or_else(|error| panic!("{error}"));
    let at = ktstr_vmm::Gpa(u64::from(micro_guest::RESULT));
    while running.memory().read_u64(at).expect("reads") != micro_guest::STORED {
        assert_eq!(running.wait(Duration::from_millis(1)).expect("can be watched"), None);
    }
    let costs = own_bytes() - before;
    println!("a machine of 4 CPUs: {} KiB of this process", costs / 1024);
    assert!(costs <= 5 * MIB, "{costs} bytes");
}

/// From nothing to the exit that the guest's first instructions ask for.
fn ours(cpus: u32) -> Duration {
    let (_directory, spec) = machine(cpus, &micro_guest::exit(0));
    let start = Instant::now();
    let mut machine = KvmBackend.start(&spec).unwrap_or_else(|error| panic!("{error}"));
    let exit = machine.wait(PATIENCE).expect("can be watched");
    let took = start.elapsed();
    assert_eq!(exit, Some(Exit::Guest { code: 0 }));
    took
}

/// The same calls of KVM, one after the other, for a guest of one instruction in real mode.
#[allow(unsafe_code)]
fn bare(cpus: u32) -> Duration {
    let start = Instant::now();
    let kvm = Kvm::new().expect("KVM");
    let vm = kvm.create_vm().expect("a machine");
    let memory = GuestMemoryMmap::<()>::from_ranges(&[(GuestAddress(0), 1 << 30)]).expect("memory");
    memory.write_slice(&[0xe6, 0xf4], GuestAddress(CODE)).expect("writes");
    let address = memory.get_host_address(GuestAddress(0)).expect("is mapped");
    let region =
        kvm_userspace_memory_region { memory_size: 1 << 30, userspace_addr: address as u64, ..Default::default() };
    // SAFETY: the mapping lives until the end of this function, and the guest runs only in it.
    unsafe { vm.set_user_memory_region(region) }.expect("a slot");
    vm.set_tss_address(0xfffb_d000).expect("pages");
    vm.create_irq_chip().expect("controllers");
    let shown = kvm.get_supported_cpuid(KVM_MAX_CPUID_ENTRIES).expect("leaves");
    let mut all: Vec<_> = (0..u64::from(cpus)).map(|id| vm.create_vcpu(id).expect("a CPU")).collect();
    all.iter().for_each(|cpu| cpu.set_cpuid2(&shown).expect("leaves"));
    let first = all.first_mut().expect("a CPU");
    let mut special = first.get_sregs().expect("registers");
    (special.cs.base, special.cs.selector) = (0, 0);
    first.set_sregs(&special).expect("registers");
    first.set_regs(&kvm_regs { rip: CODE, rflags: 2, ..Default::default() }).expect("registers");
    let exit = first.run().map(|exit| matches!(exit, VcpuExit::IoOut(0xf4, _)));
    assert!(matches!(exit, Ok(true)), "{exit:?}");
    start.elapsed()
}

#[test]
#[ignore = "a measurement, for an otherwise idle host"]
fn set_up_against_bare_ioctls() {
    for cpus in [1, 4, 16] {
        let best = |run: fn(u32) -> Duration| (0..7).map(|_| run(cpus)).min().expect("runs");
        let (ours, bare) = (best(ours), best(bare));
        println!(
            "{cpus} CPUs: {ours:.1?} to the guest's exit, bare ioctls {bare:.1?}, ratio {:.2}",
            ours.as_secs_f64() / bare.as_secs_f64()
        );
    }
}
