//! What a machine has of the host for itself; only the back end on KVM gives it.

use crate::harness::{on_kvm, until, Prepared};
use ktstr_model::{Clock, Placement, Topology};
use ktstr_testing::{micro_guest, MicroGuest};
use ktstr_vmm::{Exit, StartError};
use std::collections::BTreeSet;

const PINNED: Placement = Placement { pin_cpus: true, huge_pages: false };
const HUGE: Placement = Placement { pin_cpus: false, huge_pages: true };

fn placed(guest: &MicroGuest, cpus: u32, placement: Placement) -> Prepared {
    let topology = Topology::new(1, 1, cpus, 1).expect("can be");
    let mut prepared = Prepared::new(guest).under(topology, Clock::Real);
    prepared.spec.placement = placement;
    prepared
}

fn refusal(cpus: u32, placement: Placement) -> String {
    let prepared = placed(&micro_guest::exit(0), cpus, placement);
    let Err(error) = crate::harness::backend().start(&prepared.spec) else { panic!("it started") };
    error.to_string()
}

/// CPUs of the host that this process may use.
fn host_cpus() -> u32 {
    std::thread::available_parallelism().map_or(1, |cpus| cpus.get() as u32)
}

/// CPUs of the host on which threads of virtual CPUs stay, those that may run on one only.
fn pinned_threads() -> Vec<u32> {
    let threads = std::fs::read_dir("/proc/self/task").expect("reads").filter_map(Result::ok);
    let on = |thread: std::fs::DirEntry| {
        let status = std::fs::read_to_string(thread.path().join("status")).ok()?;
        let value = |name| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        // KVM starts a thread of its own in the name of a CPU's.
        value("Name:").filter(|name| name.ends_with("/KVM"))?;
        value("Cpus_allowed_list:")?.parse().ok()
    };
    threads.filter_map(on).collect()
}

#[test]
fn the_emulator_places_nothing() {
    if on_kvm() {
        return;
    }
    let why = "the back end tcg does not place its machines";
    assert!(refusal(1, PINNED).starts_with(&format!("machine refused: pin_cpus: {why}")), "{}", refusal(1, PINNED));
    assert!(refusal(1, HUGE).starts_with(&format!("machine refused: huge_pages: {why}")));
}

#[test]
fn each_cpu_has_one_of_the_host_or_the_machine_is_refused() {
    if !on_kvm() {
        return;
    }
    let host = host_cpus();
    assert_eq!(
        refusal(host + 1, PINNED),
        format!(
            "pin_cpus: the machine has {} CPUs, and this process may use {host} of the host; a smaller machine, a larger host, \
             or no pin_cpus",
            host + 1
        )
    );
    if host == 1 {
        return;
    }
    let prepared = placed(&micro_guest::hang(), host, PINNED);
    let mut machine = prepared.start();
    until("all threads are where they stay", || pinned_threads().len() == host as usize);
    let cpus = BTreeSet::from_iter(pinned_threads());
    assert_eq!(cpus.len(), host as usize, "{cpus:?}");
    assert_eq!(machine.stop().expect("stops"), Exit::Stopped);
}

/// Huge pages of 2 MiB that are free on the host.
fn free_huge_pages() -> u64 {
    let free = std::fs::read_to_string("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages").unwrap_or_default();
    free.trim().parse().unwrap_or(0)
}

/// Where the pool has enough, a machine and one from a save have their RAM there; where not, it says so before the start.
#[test]
fn ram_is_huge_pages_or_the_machine_is_refused() {
    if !on_kvm() {
        return;
    }
    let guest = micro_guest::save_then(&micro_guest::add_to_kept());
    let needed = placed(&guest, 1, HUGE).spec.topology.memory().0 / 2;
    let free = free_huge_pages();
    if free < needed {
        let error = crate::harness::backend().start(&placed(&guest, 1, HUGE).spec).err().expect("is refused");
        assert!(matches!(error, StartError::HugePages { .. }), "{error}");
        let start =
            format!("huge_pages: the machine needs {needed} huge pages of 2M, and {free} of the host's are free; ");
        assert!(error.to_string().starts_with(&start), "{error}");
        return;
    }
    let machine = placed(&micro_guest::hang(), 1, HUGE).start();
    assert_eq!(free_huge_pages(), free - needed, "all pages are taken at once");
    drop(machine);
    assert_eq!(free_huge_pages(), free);
    let save = Prepared::new(&guest).save();
    let (exit, _) = placed(&guest, 1, HUGE).from(&save).run();
    assert_eq!(exit, Exit::Guest { code: 1 }, "what was kept in the save, and one more");
}
