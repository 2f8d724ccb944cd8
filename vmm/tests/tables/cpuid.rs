//! CPUID as `cpuid` decodes it.

use crate::declared::{machine, machines, padded, places, Place};
use crate::decoders::{decode, parts, values};
use ktstr_model::Topology;
use ktstr_vmm::kvm::cpuid_of;
use kvm_bindings::kvm_cpuid_entry2;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// What KVM supports on a host with Intel's Sapphire Rapids, and on one with AMD's Milan: the leaves that matter here, as `cpuid -r` prints them.
const INTEL: &str = include_str!("supported/intel.txt");
const AMD: &str = include_str!("supported/amd.txt");
/// Caches by level: KiB of each.
const SIZES: [(u32, u32); 4] = [(1, 32), (1, 32), (2, 1024), (3, 16384)];

fn supported(text: &str) -> Vec<kvm_cpuid_entry2> {
    let leaf = |line: &str| {
        let numbers = line.split([' ', ':', '=']).filter_map(|word| word.strip_prefix("0x"));
        let numbers: Vec<u32> = numbers.map(|digits| u32::from_str_radix(digits, 16).expect("a number")).collect();
        let [function, index, eax, ebx, ecx, edx] = numbers[..] else { panic!("{line}") };
        kvm_cpuid_entry2 { function, index, eax, ebx, ecx, edx, ..Default::default() }
    };
    text.lines().map(leaf).collect()
}

/// What `cpuid` says of each CPU.
fn decoded(host: &str, topology: &Topology) -> String {
    let (host, mut raw) = (supported(host), String::new());
    for cpu in 0..topology.cpus() {
        writeln!(raw, "CPU {cpu}:").expect("writes");
        for leaf in cpuid_of(&host, topology, cpu) {
            let kvm_cpuid_entry2 { function, index, eax, ebx, ecx, edx, .. } = leaf;
            let registers = format!("eax={eax:#010x} ebx={ebx:#010x} ecx={ecx:#010x} edx={edx:#010x}");
            writeln!(raw, "   {function:#010x} {index:#04x}: {registers}").expect("writes");
        }
    }
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::write(directory.path().join("raw"), raw).expect("writes");
    decode("cpuid", directory.path(), &["-f", "raw"])
}

/// Checks each CPU of all machines.
fn check(host: &str, check: impl Fn(&Topology, &str, Place, u32)) {
    for topology in machines() {
        let text = decoded(host, &topology);
        let cpus = parts(&text, |line| line.starts_with("CPU "));
        let places = places(&topology);
        assert_eq!(cpus.len(), places.len(), "{topology}");
        for (lines, (place, id)) in cpus.into_iter().zip(places) {
            check(&topology, &lines.join("\n"), place, id);
        }
    }
}

/// The number of a field, such as of `core ID = 0x2 (2)` and `extended APIC ID = 21`.
fn number(fields: &BTreeMap<&str, &str>, name: &str) -> u32 {
    let text = fields.get(name).unwrap_or_else(|| panic!("no {name} in {fields:?}"));
    let digits = text.rsplit('(').next().unwrap_or_default().trim_end_matches(')');
    digits.parse().unwrap_or_else(|_| panic!("{name} = {text}"))
}

/// Fields of the leaf whose heading has `heading` in it.
fn leaf<'a>(text: &'a str, heading: &str) -> BTreeMap<&'a str, &'a str> {
    let mut lines = text.lines().skip_while(|line| !line.contains(heading));
    let first = lines.next().unwrap_or_else(|| panic!("no {heading} in {text}"));
    values(std::iter::once(first).chain(lines.take_while(|line| line.starts_with("      "))), " = ")
}

/// Numbers of a line of words such as `CORE_ID=2`; 0 for those that are not there.
fn word(text: &str, line: &str, name: &str) -> u32 {
    let line = text.lines().find(|found| found.contains(line)).unwrap_or_else(|| panic!("no {line} in {text}"));
    let words = line.split([' ', '(', ')', ',']).filter_map(|word| word.split_once('='));
    words.into_iter().find(|(found, _)| *found == name).map_or(0, |(_, digits)| digits.parse().expect("a number"))
}

/// Levels of a topology leaf: type, bits below the next one, CPUs of one.
fn levels(text: &str, heading: &str) -> Vec<(String, u32, u32)> {
    let lines = text.lines().skip_while(|line| !line.contains(heading)).skip(1);
    let leaf = lines.take_while(|line| line.starts_with("      ")).collect::<Vec<_>>().join("\n");
    let levels = parts(&leaf, |line| line.contains("--- level")).into_iter().map(|level| {
        let fields = values(level, " = ");
        let bits =
            if heading.contains("0x80000026") { "bit width of level" } else { "bit width of level & previous levels" };
        let cpus = fields.keys().find(|name| name.starts_with("number of logical")).expect("a count");
        (
            fields["level type"].split(' ').next().unwrap_or_default().to_owned(),
            number(&fields, bits),
            number(&fields, cpus),
        )
    });
    levels.filter(|(kind, ..)| kind != "invalid").collect()
}

/// Each cache is there, and CPUs of a core share the smaller ones, those of an LLC the last; `sharing` is the field for one less.
fn check_caches(topology: &Topology, text: &str, heading: &str, [level, sharing, size]: [&str; 3]) {
    let lines = text.lines().skip_while(|line| !line.contains(heading)).collect::<Vec<_>>().join("\n");
    let threads = padded(topology.threads_per_core());
    for (cache, (declared_level, kib)) in parts(&lines, |line| line.contains("--- cache")).into_iter().zip(SIZES) {
        let fields = values(cache, " = ");
        let shared = if declared_level == 3 { threads * padded(topology.cores_per_llc()) } else { threads };
        assert_eq!(number(&fields, level), declared_level, "{topology}");
        assert_eq!(number(&fields, sharing) + 1, shared, "{topology}: ids that share cache {declared_level}");
        assert!(fields[size].starts_with(&format!("{} (", kib * 1024)), "{topology}: {}", fields[size]);
    }
}

/// Levels that are in Intel's leaves by these names.
fn declared_levels(topology: &Topology, names: [&str; 3]) -> Vec<(String, u32, u32)> {
    let counts = [topology.threads_per_core(), topology.cores_per_llc(), topology.llcs_per_node()];
    let (mut bits, mut cpus, mut levels) = (0, 1, Vec::new());
    for (name, count) in names.into_iter().zip(counts) {
        bits += padded(count).trailing_zeros();
        cpus *= count;
        levels.push((name.to_owned(), bits, cpus));
    }
    levels
}

/// What both vendors have.
fn check_common(topology: &Topology, text: &str, place: Place, id: u32) {
    let declared = declared_levels(topology, ["thread", "", "core"]);
    let expected = [declared[0].clone(), declared[2].clone()];
    assert_eq!(levels(text, "processor topology (0xb)"), expected, "{topology}");
    assert_eq!(number(&leaf(text, "processor topology (0xb)"), "extended APIC ID"), id, "{topology}");
    let version = leaf(text, "miscellaneous (1/ebx)");
    assert_eq!(number(&version, "process local APIC physical ID"), id & 0xff, "{topology}");
    assert_eq!(word(text, "(APIC synth)", "PKG_ID"), place.node, "{topology} {place:?}");
    assert_eq!(word(text, "(APIC synth)", "SMT_ID"), place.thread, "{topology} {place:?}");
    assert_eq!(word(text, "(multi-processing synth)", "t").max(1), topology.threads_per_core(), "{topology}");
}

#[test]
fn intels_leaves_have_the_declared_topology() {
    check(INTEL, |topology, text, place, id| {
        check_common(topology, text, place, id);
        check_caches(
            topology,
            text,
            "parameters (4)",
            ["cache level", "maximum IDs for CPUs sharing cache", "(size synth)"],
        );
        let declared = declared_levels(topology, ["thread", "core", "die"]);
        let count = if topology.llcs_per_node() > 1 { 3 } else { 2 };
        assert_eq!(levels(text, "V2 extended topology (0x1f)"), declared[..count], "{topology}");
        assert_eq!(number(&leaf(text, "(0x1f)"), "x2APIC ID of logical processor"), id, "{topology}");
        assert!(text.contains("(multi-processing method) = Intel leaf 0x1f"), "{topology}");
        let found = ["DIE_ID", "CORE_ID"].map(|name| word(text, "(APIC synth)", name));
        assert_eq!(found, [place.llc, place.core], "{topology} {place:?}");
        let found = ["d", "c"].map(|name| word(text, "(multi-processing synth)", name).max(1));
        assert_eq!(found, [topology.llcs_per_node(), topology.cores_per_llc()], "{topology}");
    });
}

#[test]
fn amds_leaves_have_the_declared_topology() {
    check(AMD, |topology, text, place, id| {
        check_common(topology, text, place, id);
        check_caches(topology, text, "0x8000001d", ["level", "extra cores sharing this cache", "(synth size)"]);
        let declared = declared_levels(topology, ["core", "complex", "socket"]);
        let die = ("die".to_owned(), declared[1].1, declared[1].2);
        let expected = [declared[0].clone(), declared[1].clone(), die, declared[2].clone()];
        assert_eq!(levels(text, "Topology (0x80000026)"), expected, "{topology}");
        assert_eq!(number(&leaf(text, "Topology (0x80000026)"), "extended APIC ID"), id, "{topology}");
        let core = place.llc * padded(topology.cores_per_llc()) + place.core;
        assert_eq!(word(text, "(APIC synth)", "CORE_ID"), core, "{topology} {place:?}");
        let identifiers = leaf(text, "0x8000001e/ebx");
        let found = ["core ID", "threads per core"].map(|name| number(&identifiers, name));
        assert_eq!(found, [core & 0xff, topology.threads_per_core()], "{topology}");
        let node = leaf(text, "0x8000001e/ecx");
        assert_eq!([number(&node, "node ID"), number(&node, "nodes per processor")], [place.node, 1], "{topology}");
        let sizes = leaf(text, "0x80000008/ecx");
        let found = ["number of threads", "ApicIdCoreIdSize"].map(|name| number(&sizes, name));
        let cpus = topology.cpus() / topology.numa_nodes();
        assert_eq!(found, [cpus.min(256), declared[2].1], "{topology}");
    });
}

#[test]
fn of_what_kvm_offers_only_clocks_ends_of_interrupts_and_locks_stay() {
    let both = [
        ("hypervisor guest status", "true"),
        ("x2APIC: extended xAPIC support", "true"),
        ("time stamp counter deadline", "true"),
        ("ARAT always running APIC timer", "true"),
        ("hyper-threading / multi-core supported", "true"),
        ("XSAVE/XSTOR states", "true"),
        ("OS-enabled XSAVE/XSTOR", "false"),
        ("OSPKE CR4.PKE and RDPKRU/WRPKRU", "false"),
        ("MONITOR/MWAIT", "false"),
        ("VMX: virtual machine extensions", "false"),
        ("PDCM: perfmon and debug", "false"),
        ("SGX: Software Guard Extensions supported", "false"),
        ("kvmclock available at MSR 0x11", "true"),
        ("kvmclock available at MSR 0x4b564d00", "true"),
        ("delays unnecessary for PIO ops", "true"),
        ("steal clock supported", "true"),
        ("guest EOI optimization enabled", "true"),
        ("stable: no guest per-cpu warps expected", "true"),
        ("async pf enable available by MSR", "false"),
        ("guest spinlock optimization enabled", "true"),
        ("guest TLB flush optimization enabled", "false"),
        ("guest send IPI optimization enabled", "false"),
        ("host HLT poll disable at MSR 0x4b564d05", "false"),
        ("guest sched yield optimization enabled", "false"),
        ("TscInvariant", "true"),
    ];
    let amd = [
        ("topology extensions", "true"),
        ("CMP Legacy", "true"),
        ("SVM: secure virtual machine", "false"),
        ("instruction based sampling", "false"),
        ("core performance counter extensions", "false"),
        ("NB/DF performance counter extensions", "false"),
        ("LLC performance counter extensions", "false"),
        ("MWAITX/MONITORX supported", "false"),
    ];
    for (host, own) in [(INTEL, &[][..]), (AMD, &amd)] {
        let text = decoded(host, &machine(1, 2, 2, 2));
        let fields = values(text.lines(), " = ");
        for (name, value) in both.iter().chain(own) {
            assert_eq!(fields.get(name), Some(value), "{name}");
        }
        for heading in ["(0xa)", "Performance Monitor", "MONITOR/MWAIT (5)", "SVM Secure Virtual Machine (0x8000000a"] {
            assert!(!text.contains(heading), "{heading}");
        }
    }
}

#[test]
fn apic_ids_beyond_254_can_be_interrupted() {
    for (topology, offered) in [(machine(2, 4, 2, 2), "false"), (machine(1, 14, 9, 2), "true")] {
        let text = decoded(INTEL, &topology);
        assert_eq!(values(text.lines(), " = ")["extended destination ID"], offered, "{topology}");
    }
}
