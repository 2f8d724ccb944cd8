//! What hosts differ in; what a guest finds in the leaves is tested with a decoder (`tests/tables`).

use super::*;
use std::collections::BTreeSet;

/// A host of this vendor and version (leaf 1), which ends its leaves at `last` and has little else.
fn host(vendor: &[u8; 12], version: u32, [last, last_extended]: [u32; 2]) -> Vec<kvm_cpuid_entry2> {
    let word = |at: usize| u32::from_le_bytes([vendor[at], vendor[at + 1], vendor[at + 2], vendor[at + 3]]);
    let mut leaves = Leaves(Vec::new());
    leaves.put(VENDOR, None, [last, word(0), word(8), word(4)]);
    leaves.put(VERSION, None, [version, 0x800, u32::MAX, u32::MAX]);
    leaves.put(TOPOLOGY, Some(0), [7, 7, 7, 7]);
    leaves.put(0x8000_0000, None, [last_extended, 0, 0, 0]);
    leaves.put(KVM_FEATURES, None, [u32::MAX, 0, 0, 0]);
    DROPPED.iter().for_each(|function| leaves.put(*function, None, [1; 4]));
    leaves.0
}

fn registers(leaves: &[kvm_cpuid_entry2], function: u32, index: u32) -> Option<[u32; 4]> {
    let leaf = leaves.iter().find(|leaf| leaf.function == function && leaf.index == index)?;
    Some([leaf.eax, leaf.ebx, leaf.ecx, leaf.edx])
}

fn machine(nodes: u32, llcs: u32, cores: u32, threads: u32) -> Topology {
    Topology::new(nodes, llcs, cores, threads).expect("can be")
}

#[test]
fn a_vendor_gets_its_own_leaves_within_what_the_cpu_says_that_it_has() {
    // Vendor, its last leaves; whether it is shown as AMD, last leaves that are shown.
    let cases: [(&[u8; 12], _, _, _); 6] = [
        (b"GenuineIntel", [0xd, 0x8000_0008], false, [0x1f, 0x8000_0008]),
        (b"GenuineIntel", [0x24, 0x8000_0008], false, [0x24, 0x8000_0008]),
        (b"  Shanghai  ", [0x1f, 0x8000_0008], false, [0x1f, 0x8000_0008]),
        (b"AuthenticAMD", [0xa, 0x8000_001e], true, [0xb, 0x8000_0026]),
        (b"AuthenticAMD", [0x1c, 0x8000_0028], true, [0x1c, 0x8000_0028]),
        (b"HygonGenuine", [0xd, 0x8000_001e], true, [0xd, 0x8000_0026]),
    ];
    for (vendor, lasts, is_amd, shown) in cases {
        let name = String::from_utf8_lossy(vendor);
        let host = host(vendor, 0x00a0_0f11, lasts);
        let leaves = for_cpu(&host, &machine(1, 2, 2, 1), 3);
        let last = |function| registers(&leaves, function, 0).map(|leaf| leaf[0]);
        assert_eq!([last(0), last(0x8000_0000)], shown.map(Some), "{name}");
        assert_eq!(
            registers(&leaves, 0, 0).map(|leaf| leaf[1..].to_vec()),
            registers(&host, 0, 0).map(|leaf| leaf[1..].to_vec())
        );
        assert_eq!(registers(&leaves, 0x1f, 0).is_some(), !is_amd, "{name}");
        assert_eq!(registers(&leaves, 0x8000_0026, 0).is_some(), is_amd, "{name}");
        assert_eq!(registers(&leaves, TOPOLOGY, 1), Some([2, 4, 0x201, 3]), "{name}");
    }
}

#[test]
fn each_answer_is_there_once_and_those_with_subleaves_say_so() {
    for vendor in [b"GenuineIntel", b"AuthenticAMD"] {
        let leaves = for_cpu(&host(vendor, 0, [0x1f, 0x8000_0026]), &machine(1, 2, 2, 2), 0);
        let keys: BTreeSet<_> = leaves.iter().map(|leaf| (leaf.function, leaf.index)).collect();
        assert_eq!(keys.len(), leaves.len());
        for leaf in &leaves {
            let several = [4, FEATURES, TOPOLOGY, 0x1f, 0x8000_001d, 0x8000_0026].contains(&leaf.function);
            assert_eq!(leaf.flags, u32::from(several) * KVM_CPUID_FLAG_SIGNIFCANT_INDEX, "{:#x}", leaf.function);
            assert!(!DROPPED.contains(&leaf.function), "{:#x}", leaf.function);
        }
    }
}

#[test]
fn hosts_that_offer_everything_and_nothing_get_the_same_features() {
    let everything = host(b"GenuineIntel", 0, [0x1f, 0x8000_0008]);
    let nothing: Vec<_> = everything.iter().filter(|leaf| leaf.function == VENDOR).copied().collect();
    for (host, stays) in [(everything, u32::MAX), (nothing, 0)] {
        let leaves = for_cpu(&host, &machine(1, 1, 1, 2), 1);
        let on = 1 << 21 | 1 << 24 | 1 << 31;
        let off = 1 << 3 | 1 << 5 | 1 << 15 | 1 << 27;
        let [_, ebx, ecx, edx] = registers(&leaves, VERSION, 0).expect("is there");
        assert_eq!((ecx, edx & 1 << 28, ebx >> 16), (stays & !off | on, 1 << 28, 0x102));
        assert_eq!(registers(&leaves, POWER, 0), Some([4, 0, 0, 0]));
        assert_eq!(registers(&leaves, KVM_FEATURES, 0), Some([stays & 0x0100_80eb, 0, 0, 0]));
    }
}

#[test]
fn a_package_with_more_than_a_leaf_can_count_has_the_most_it_can() {
    let topology = machine(1, 32, 16, 2);
    let intel = for_cpu(&host(b"GenuineIntel", 0, [0x1f, 0x8000_0008]), &topology, 1023);
    let amd = for_cpu(&host(b"AuthenticAMD", 0, [0x10, 0x8000_0026]), &topology, 1023);
    assert_eq!(registers(&intel, VERSION, 0).map(|leaf| leaf[1]), Some(0xffff_0800));
    assert_eq!(registers(&intel, 4, 3).map(|leaf| leaf[0] >> 26), Some(63));
    assert_eq!(registers(&intel, 0x1f, 2).map(|leaf| leaf[1]), Some(1024));
    assert_eq!(registers(&amd, 0x8000_0008, 0).map(|leaf| leaf[2]), Some(0xa0ff));
    assert_eq!(registers(&amd, 0x8000_001e, 0), Some([1023, 0x1ff, 0, 0]));
}

#[test]
fn models_of_which_linux_does_not_ask_for_the_llc_are_shown_as_the_next() {
    // Naples, Raven Ridge (0x11), Rome, Milan, Intel's of the same number.
    let cases: [(&[u8; 12], _, _); 5] = [
        (b"AuthenticAMD", 0x0080_0f12, 0x0083_0f12),
        (b"AuthenticAMD", 0x0081_0f10, 0x0083_0f10),
        (b"AuthenticAMD", 0x0083_0f10, 0x0083_0f10),
        (b"AuthenticAMD", 0x00a0_0f11, 0x00a0_0f11),
        (b"GenuineIntel", 0x0080_0f12, 0x0080_0f12),
    ];
    for (vendor, version, shown) in cases {
        let leaves = for_cpu(&host(vendor, version, [0x10, 0x8000_0026]), &machine(1, 1, 1, 1), 0);
        assert_eq!(registers(&leaves, VERSION, 0).map(|leaf| leaf[0]), Some(shown), "{version:#x}");
    }
}
