//! The topology that a CPU reports of itself: CPUID leaves 4 (caches) and 0x1f (levels), Intel SDM vol. 2A; or 0x8000001d and 0x80000026,
//! AMD64 Architecture Programmer's Manual vol. 3, which a CPU of that vendor has instead.

use crate::harness::{backend, on_kvm, Prepared};
use ktstr_model::{Clock, Topology};
use ktstr_testing::micro_guest::{self, RESULT, SUBLEAVES};
use ktstr_vmm::{Exit, Gpa, GuestMemory};

/// Types of levels that end with a core, an LLC and a package: in leaf 0x1f called SMT, core and die, in leaf 0x80000026 core, complex and
/// socket.
const CORE: [u32; 2] = [1, 1];
const LLC: [u32; 2] = [2, 2];
const PACKAGE: [u32; 2] = [5, 4];
/// Places of the leaves in what the guest stores.
const LEVELS: [u32; 2] = [2, 4];
const CACHES: [u32; 2] = [0, 3];

struct Leaves(GuestMemory);

impl Leaves {
    fn of(topology: Topology) -> Self {
        let (exit, machine) = Prepared::new(&micro_guest::topology_leaves()).under(topology, Clock::Real).run();
        assert_eq!(exit, Exit::Guest { code: 0 });
        Self(machine.memory().clone())
    }

    /// EAX, EBX and ECX of a subleaf.
    fn get(&self, leaf: u32, subleaf: u32) -> [u32; 3] {
        let mut bytes = [0; 12];
        let at = Gpa(u64::from(RESULT + (leaf * SUBLEAVES + subleaf) * 16));
        self.0.read(at, &mut bytes).expect("reads");
        let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
        [word(0), word(4), word(8)]
    }

    /// Whether the CPU is AMD's: it has no leaf 4.
    fn amd(&self) -> usize {
        usize::from(self.get(CACHES[0], 0) == [0; 3])
    }

    /// Bits of the APIC id below the level after `level`, and CPUs at it.
    fn level(&self, level: [u32; 2]) -> Option<(u32, u32)> {
        let (leaf, level) = (LEVELS[self.amd()], level[self.amd()]);
        let levels = (0..SUBLEAVES).map(|subleaf| self.get(leaf, subleaf));
        let [eax, ebx, _] = levels.into_iter().find(|[_, _, ecx]| (ecx >> 8) & 0xff == level)?;
        Some((eax & 0x1f, ebx & 0xffff))
    }

    /// APIC ids that share the cache of level 3.
    fn l3_sharing(&self) -> Option<u32> {
        let leaf = CACHES[self.amd()];
        let caches = (0..SUBLEAVES).map(|subleaf| self.get(leaf, subleaf));
        let [eax, ..] = caches.into_iter().find(|[eax, ..]| (eax >> 5) & 0x7 == 3)?;
        Some(((eax >> 14) & 0xfff) + 1)
    }
}

fn bits(count: u32) -> u32 {
    count.next_power_of_two().trailing_zeros()
}

/// A CPU of this machine counts what was declared.
fn check(nodes: u32, llcs: u32, cores: u32, threads: u32) {
    let leaves = Leaves::of(Topology::new(nodes, llcs, cores, threads).expect("can be"));
    let label = format!("{nodes}n{llcs}l{cores}c{threads}t");
    let (smt_bits, core_bits) = (bits(threads), bits(threads) + bits(cores));
    assert_eq!(leaves.level(CORE), Some((smt_bits, threads)), "{label}: threads");
    assert_eq!(leaves.level(LLC), Some((core_bits, cores * threads)), "{label}: cores");
    assert_eq!(leaves.l3_sharing(), Some(1 << core_bits), "{label}: APIC ids that share an LLC");
    let dies = llcs / nodes;
    if dies > 1 {
        assert_eq!(leaves.level(PACKAGE), Some((core_bits + bits(dies), dies * cores * threads)), "{label}: LLCs");
    }
}

#[test]
fn a_cpu_reports_what_was_declared() {
    check(1, 2, 2, 2);
    check(1, 3, 3, 2);
    check(2, 4, 2, 1);
}

#[test]
fn what_cannot_be_is_refused_before_a_start() {
    let topology = Topology::new(1, 64, 1, 1).expect("can be");
    if on_kvm() {
        let error = backend().check(&topology, Clock::Virtual, "topologies[2]").expect_err("refused").to_string();
        assert_eq!(error, "clock: the back end kvm has no virtual clock; clock = \"real\" would do");
        return;
    }
    let error = backend().check(&topology, Clock::Virtual, "topologies[2]").expect_err("refused").to_string();
    assert_eq!(
        error,
        "topologies[2]: 1n64l1c1t has 64 CPUs: at most 32 under the virtual clock; clock = \"real\" takes 256"
    );
    assert!(backend().check(&topology, Clock::Real, "topologies[2]").is_ok());
}
