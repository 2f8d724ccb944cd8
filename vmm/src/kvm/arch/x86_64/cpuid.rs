//! What CPUID tells a guest: the host's CPU, as far as KVM can give it, in the topology of the machine.
//!
//! ```text
//! KVM_GET_SUPPORTED_CPUID ─▶ features ─▶ topology and caches, in the leaves of the host's vendor ─▶ KVM_SET_CPUID2 of each CPU
//! ```
//!
//! A node is a package, an LLC is a die of its own, and the kernel finds each level by its bits of the APIC id. What would make a guest's
//! scheduler behave otherwise than on a machine is left out: it never asks the host to wait, to wake or to interrupt others for it. What KVM
//! keeps up to date itself, such as OSXSAVE, is left to it.

mod amd;
mod intel;
#[cfg(test)]
mod tests;

use ktstr_model::Topology;
use kvm_bindings::{kvm_cpuid_entry2, KVM_CPUID_FLAG_SIGNIFCANT_INDEX};

const VENDOR: u32 = 0;
const VERSION: u32 = 1;
const POWER: u32 = 6;
const FEATURES: u32 = 7;
const TOPOLOGY: u32 = 0xb;
const KVM_FEATURES: u32 = 0x4000_0001;
const EXTENDED_FEATURES: u32 = 0x8000_0001;
const L2_AND_L3: u32 = 0x8000_0006;

/// Leaves that would offer what a guest does not get: MWAIT, performance counters, SGX, processor trace, last branches, SVM, sampling and
/// encryption.
const DROPPED: [u32; 10] = [5, 0xa, 0x12, 0x14, 0x1c, 0x23, 0x8000_000a, 0x8000_001b, 0x8000_001f, 0x8000_0022];

const HYPER_THREADING: u32 = 28;
/// Bits of `KVM_FEATURES` that stay (Documentation/virt/kvm/x86/cpuid.rst of Linux): both clock sources, no delay after port accesses, stolen time,
/// cheap ends of interrupts, queued spin locks whose waiters halt, and that clocks of CPUs agree. Without the locks Linux takes ones that
/// are not fair (arch/x86/kernel/kvm.c, `kvm_spinlock_init`), so that a CPU could wait for its runqueue's for ever.
const KVM_KEPT: u32 = bits(&[0, 1, 3, 5, 6, 7, 24]) | KVM_MSI_EXT_DEST_ID;
/// Interrupts reach APIC ids above 254 without remapping. KVM leaves it to its user to offer this, and without it Linux ignores such CPUs
/// (arch/x86/kernel/apic/apic.c, `try_to_enable_x2apic`).
const KVM_MSI_EXT_DEST_ID: u32 = bits(&[15]);
/// The first APIC id that needs it.
const BEYOND_XAPIC: u32 = 255;

/// Which register of a leaf.
#[derive(Clone, Copy)]
enum Register {
    Eax,
    Ebx,
    Ecx,
    Edx,
}
use Register::{Eax, Ebx, Ecx, Edx};

/// Leaf 6 of a CPU whose APIC timer never stops (ARAT), and that has no other power management.
const ALWAYS_RUNNING_TIMER: [u32; 4] = [bits(&[2]), 0, 0, 0];
/// Features by leaf, register, bits that are set and bits that are cleared, of both vendors.
const CHANGES: [(u32, Register, u32, u32); 6] = [
    // X2APIC, TSC_DEADLINE (KVM has it always, but does not say so), HYPERVISOR; no MONITOR, VMX, PDCM, OSXSAVE.
    (VERSION, Ecx, bits(&[21, 24, 31]), bits(&[3, 5, 15, 27])),
    // No debug store.
    (VERSION, Edx, 0, bits(&[21])),
    // No SGX, no processor trace.
    (FEATURES, Ebx, 0, bits(&[2, 25])),
    // No OSPKE, no SGX launch control.
    (FEATURES, Ecx, 0, bits(&[4, 30])),
    // No last branches.
    (FEATURES, Edx, 0, bits(&[19])),
    // No SVM, IBS, SKINIT, watchdog, NODEID_MSR, performance counters (core, north bridge, TSC, LLC), MWAITX.
    (EXTENDED_FEATURES, Ecx, 0, bits(&[2, 10, 12, 13, 19, 23, 24, 27, 28, 29])),
];

/// What CPU `cpu` of a machine with this topology answers, if KVM supports this on the host.
pub fn for_cpu(supported: &[kvm_cpuid_entry2], topology: &Topology, cpu: u32) -> Vec<kvm_cpuid_entry2> {
    let mut leaves = Leaves(supported.to_vec());
    DROPPED.iter().for_each(|function| leaves.remove(*function));
    leaves.remove(POWER);
    leaves.put(POWER, None, ALWAYS_RUNNING_TIMER);
    for (function, register, on, off) in CHANGES {
        leaves.change(function, register, |value| (value & !off) | on);
    }
    let msi = if topology.largest_apic_id() >= BEYOND_XAPIC { KVM_MSI_EXT_DEST_ID } else { 0 };
    leaves.change(KVM_FEATURES, Eax, |value| (value & KVM_KEPT) | msi);

    let shown = Shown { topology, id: topology.apic_id(cpu), node_cpus: topology.cpus() / topology.numa_nodes() };
    shown.version(&mut leaves);
    match leaves.vendor().as_slice() {
        b"AuthenticAMD" | b"HygonGenuine" => amd::show(&shown, &mut leaves),
        _ => intel::show(&shown, &mut leaves),
    }
    leaves.0
}

const fn bits(numbers: &[u32]) -> u32 {
    let (mut mask, mut at) = (0, 0);
    while at < numbers.len() {
        mask |= 1 << numbers[at];
        at += 1;
    }
    mask
}

/// A CPU and where it is.
struct Shown<'a> {
    topology: &'a Topology,
    id: u32,
    node_cpus: u32,
}

/// A level of the topology: its type, bits of the APIC id below the next level, CPUs of it.
type Level = (u32, u32, u32);

/// Caches of a CPU by type (1 data, 2 instructions, 3 both), level, ways and sets; lines have 64 bytes.
const CACHES: [(u32, u32, u32, u32); 4] = [(1, 1, 8, 64), (2, 1, 8, 64), (3, 2, 16, 1024), (3, 3, 16, 16384)];
const LINE_BYTES: u32 = 64;
const LAST_LEVEL: u32 = 3;

impl Shown<'_> {
    /// The part of leaf 1 that depends on where the CPU is: 8 bits for the APIC id and for how many of them a package has.
    fn version(&self, leaves: &mut Leaves) {
        let [.., node_bits] = self.topology.apic_bits();
        let ids = (1 << node_bits).min(255);
        leaves.change(VERSION, Ebx, |value| (value & 0xffff) | ids << 16 | self.id << 24);
        let several = u32::from(self.node_cpus > 1) << HYPER_THREADING;
        leaves.change(VERSION, Edx, |value| (value & !bits(&[HYPER_THREADING])) | several);
    }

    /// Leaf 0xb: only threads and cores, so that the package follows the cores.
    fn threads_and_cores(&self, leaves: &mut Leaves) {
        let [core_bits, _, node_bits] = self.topology.apic_bits();
        let levels = [(1, core_bits, self.topology.threads_per_core()), (2, node_bits, self.node_cpus)];
        self.levels(leaves, TOPOLOGY, &levels);
    }

    /// A leaf that has one subleaf for each level, and one after them that says that there are no more.
    fn levels(&self, leaves: &mut Leaves, function: u32, levels: &[Level]) {
        leaves.remove(function);
        for (index, (kind, bits, cpus)) in (0..).zip(levels) {
            leaves.put(function, Some(index), [*bits, *cpus, kind << 8 | index, self.id]);
        }
        let last = levels.len() as u32;
        leaves.put(function, Some(last), [0, 0, last, self.id]);
    }

    /// A leaf that has one subleaf for each cache: the vendors agree but for bits from 26 on of EAX.
    fn caches(&self, leaves: &mut Leaves, function: u32, eax: u32) {
        leaves.remove(function);
        let [core_bits, llc_bits, _] = self.topology.apic_bits();
        for (index, (kind, level, ways, sets)) in (0..).zip(CACHES) {
            let shared_bits = if level == LAST_LEVEL { llc_bits } else { core_bits };
            let (self_initializing, ids) = (1 << 8, 1 << shared_bits);
            let first = eax | (ids - 1) << 14 | self_initializing | level << 5 | kind;
            leaves.put(function, Some(index), [first, (ways - 1) << 22 | (LINE_BYTES - 1), sets - 1, 0]);
        }
        leaves.put(function, Some(CACHES.len() as u32), [0; 4]);
    }
}

/// Answers of a CPU.
struct Leaves(Vec<kvm_cpuid_entry2>);

impl Leaves {
    fn vendor(&self) -> Vec<u8> {
        let leaf = self.0.iter().find(|leaf| leaf.function == VENDOR);
        leaf.map(|leaf| [leaf.ebx, leaf.edx, leaf.ecx].map(u32::to_le_bytes).concat()).unwrap_or_default()
    }

    fn remove(&mut self, function: u32) {
        self.0.retain(|leaf| leaf.function != function);
    }

    /// Adds a leaf, or a subleaf of one that has several.
    fn put(&mut self, function: u32, index: Option<u32>, [eax, ebx, ecx, edx]: [u32; 4]) {
        let flags = if index.is_some() { KVM_CPUID_FLAG_SIGNIFCANT_INDEX } else { 0 };
        let index = index.unwrap_or_default();
        self.0.push(kvm_cpuid_entry2 { function, index, flags, eax, ebx, ecx, edx, ..Default::default() });
    }

    /// Changes a register of a leaf, and of its first subleaf if it has several. A leaf that is not there is all zeros.
    fn change(&mut self, function: u32, register: Register, change: impl FnOnce(u32) -> u32) {
        if !self.0.iter().any(|leaf| leaf.function == function && leaf.index == 0) {
            self.put(function, (function == FEATURES).then_some(0), [0; 4]);
        }
        let Some(leaf) = self.0.iter_mut().find(|leaf| leaf.function == function && leaf.index == 0) else { return };
        let value = match register {
            Eax => &mut leaf.eax,
            Ebx => &mut leaf.ebx,
            Ecx => &mut leaf.ecx,
            Edx => &mut leaf.edx,
        };
        *value = change(*value);
    }

    /// Makes a leaf be within those that the CPU says that it has; `first` is the first of them, which tells the last one.
    fn reach(&mut self, first: u32, function: u32) {
        self.change(first, Eax, |last| last.max(function));
    }
}
