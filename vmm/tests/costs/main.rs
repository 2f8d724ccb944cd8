//! What a machine on KVM costs: memory of this process as a test; times as measurements (`--ignored --nocapture`, a part of `//bench`): its
//! set-up and its start from a save, against bare ioctls that make the same machine, and its end.
#![allow(clippy::panic)] // All of this is test code; clippy sees that only inside of test functions.

use ktstr_model::{Clock, Topology};
use ktstr_testing::micro_guest;
use ktstr_vmm::{Exit, KvmBackend, Machine, MachineBackend, MachineSpec, Start};
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
        instants: None,
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
    let _running = until_it_writes(&spec);
    let costs = own_bytes() - before;
    println!("a machine of 4 CPUs: {} KiB of this process", costs / 1024);
    assert!(costs <= 5 * MIB, "{costs} bytes");
}

/// From nothing to the exit that the guest's first instructions ask for.
fn to_exit(spec: &MachineSpec) -> Duration {
    let start = Instant::now();
    let mut machine = KvmBackend.start(spec).unwrap_or_else(|error| panic!("{error}"));
    let exit = machine.wait(PATIENCE).expect("can be watched");
    let took = start.elapsed();
    assert!(matches!(exit, Some(Exit::Guest { .. })), "{exit:?}");
    took
}

fn booted(cpus: u32) -> Duration {
    to_exit(&machine(cpus, &micro_guest::exit(0)).1)
}

fn from_a_save(cpus: u32) -> Duration {
    let (directory, mut spec) = machine(cpus, &micro_guest::save_then(&micro_guest::add_to_kept()));
    let into = directory.path().join("save");
    std::fs::create_dir(&into).expect("a directory");
    let saved = KvmBackend.save(&spec, &into, &mut |_| None).unwrap_or_else(|error| panic!("{error}"));
    spec.start = Start::Saved(saved);
    to_exit(&spec)
}

/// Starts a machine and waits until it writes to [`micro_guest::RESULT`].
fn until_it_writes(spec: &MachineSpec) -> Box<dyn Machine> {
    let mut running = KvmBackend.start(spec).unwrap_or_else(|error| panic!("{error}"));
    let at = ktstr_vmm::Gpa(u64::from(micro_guest::RESULT));
    while running.memory().read_u64(at).expect("reads") == 0 {
        assert_eq!(running.wait(Duration::from_millis(1)).expect("can be watched"), None);
    }
    running
}

/// The end of a guest that counts for ever with interrupts off.
fn stopped(cpus: u32) -> Duration {
    let (_directory, spec) = machine(cpus, &micro_guest::count());
    let mut machine = until_it_writes(&spec);
    let start = Instant::now();
    assert_eq!(machine.stop().expect("stops"), Exit::Stopped);
    start.elapsed()
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
fn times() {
    for cpus in [1, 4, 16] {
        let of_seven = |run: fn(u32) -> Duration| -> Vec<Duration> { (0..7).map(|_| run(cpus)).collect() };
        let best = |run| of_seven(run).into_iter().min().expect("runs").as_secs_f64() * 1e3;
        let (bare, booted, saved) = (best(bare), best(booted), best(from_a_save));
        let stopped = of_seven(stopped).into_iter().max().expect("runs").as_secs_f64() * 1e3;
        println!(
            "KVM, {cpus:2} CPUs              {:5.2}     ({booted:.1} ms / {bare:.1} ms: set-up / bare ioctls, best of 7; at most 20 ms); from a save {saved:.1} ms; stopped after {stopped:.1} ms, worst of 7 (at most 100)",
            booted / bare
        );
    }
}
