//! The ACPI tables as `iasl` decodes them.

use crate::declared::{machine, machines, places};
use crate::decoders::{decode, parts, values};
use ktstr_model::Topology;
use ktstr_vmm::kvm::{tables_of, AcpiTables, NodeMemory};
use ktstr_vmm::Gpa;
use std::collections::BTreeMap;

const AT: Gpa = Gpa(0xe_0000);
const MIB: u64 = 1 << 20;
/// Low RAM of node 0 has a hole, as on any PC.
const HOLE: std::ops::Range<u64> = 0xa_0000..0x10_0000;

/// Tables by signature, as text.
struct Decoded(BTreeMap<String, String>);

impl Decoded {
    /// Decodes each table, and makes it again from what was decoded: `iasl` complains about nothing, and the bytes are the same.
    fn of(topology: &Topology) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let mut texts = BTreeMap::new();
        for (name, bytes) in each(&tables_of(topology, &ram(topology), AT)) {
            let binary = directory.path().join(format!("{name}.dat"));
            std::fs::write(&binary, bytes).expect("writes");
            let said = decode("iasl", directory.path(), &["-d", &format!("{name}.dat")]);
            for word in ["rror", "arning", "emark", "nvalid"] {
                assert!(!said.contains(word), "{topology} {name}: {said}");
            }
            let said = decode("iasl", directory.path(), &["-p", &format!("again_{name}"), &format!("{name}.dsl")]);
            assert!(said.contains("0 Errors, 0 Warnings, 0 Remarks"), "{topology} {name}: {said}");
            let again = std::fs::read(directory.path().join(format!("again_{name}.aml"))).expect("reads");
            assert_eq!(body(&name, &again), body(&name, bytes), "{topology} {name}");
            let text = std::fs::read_to_string(directory.path().join(format!("{name}.dsl"))).expect("reads");
            texts.insert(name, text);
        }
        Self(texts)
    }

    /// The entries of a table whose first field is `start`.
    fn entries(&self, table: &str, start: &str) -> Vec<BTreeMap<&str, &str>> {
        parts(&self.0[table], |line| line.contains(start)).into_iter().map(|part| values(part, " : ")).collect()
    }
}

/// A table without what `iasl` makes anew: checksum and the compiler's name.
fn body(name: &str, bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    if name != "FACS" {
        bytes[9] = 0;
        bytes[28..36].fill(0);
    }
    bytes
}

/// The tables, found as a kernel finds them.
fn each(tables: &AcpiTables) -> Vec<(String, &[u8])> {
    let at = |address: u64| (address - tables.start.0) as usize;
    let word = |at: usize| u64::from_le_bytes(tables.bytes[at..at + 8].try_into().expect("8 bytes"));
    let table = |at: usize| {
        let length = word(at + 4) as u32 as usize;
        let bytes = &tables.bytes[at..at + length];
        let name = String::from_utf8(bytes[..4].to_vec()).expect("a name");
        let sum = bytes.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
        assert!(sum == 0 || name == "FACS", "{name}: the checksum is wrong");
        (name, bytes)
    };
    let rsdp = at(tables.rsdp.0);
    assert_eq!(&tables.bytes[rsdp..rsdp + 8], b"RSD PTR ");
    let xsdt = at(word(rsdp + 24));
    let (_, listed) = table(xsdt);
    let mut found = vec![table(xsdt)];
    found.extend((xsdt + 36..xsdt + listed.len()).step_by(8).map(|entry| table(at(word(entry)))));
    let fadt = at(word(xsdt + 36));
    found.extend([132, 140].map(|pointer| table(at(word(fadt + pointer)))));
    found
}

/// RAM of all nodes, one after the other, with the hole.
fn ram(topology: &Topology) -> Vec<NodeMemory> {
    let mut start = 0;
    let mut ram = Vec::new();
    for (node, size) in (0..).zip(topology.node_memory()) {
        let end = start + size.0 * MIB;
        let range = |from: u64, to: u64| NodeMemory { start: Gpa(from), bytes: to - from, node };
        match node {
            0 => ram.extend([range(start, HOLE.start), range(HOLE.end, end)]),
            _ => ram.push(range(start, end)),
        }
        start = end;
    }
    ram
}

/// A field, which `iasl` prints in hexadecimal and sometimes explains.
fn number(entry: &BTreeMap<&str, &str>, field: &str) -> u64 {
    let text = entry.get(field).unwrap_or_else(|| panic!("no {field} in {entry:?}"));
    u64::from_str_radix(text.split(' ').next().unwrap_or_default(), 16).expect("a number")
}

/// Whether an entry is of a type.
fn is(entry: &BTreeMap<&str, &str>, kind: u64) -> bool {
    number(entry, "Subtable Type") == kind
}

#[test]
fn the_madt_lists_the_cpus_in_the_kernels_order() {
    for topology in machines() {
        let decoded = Decoded::of(&topology);
        let mut found = Vec::new();
        for entry in decoded.entries("APIC", "Subtable Type") {
            let (number_field, id_field) = match number(&entry, "Subtable Type") {
                0 => ("Processor ID", "Local Apic ID"),
                9 => ("Processor UID", "Processor x2Apic ID"),
                _ => continue,
            };
            let id = number(&entry, id_field);
            assert_eq!(is(&entry, 9), id >= 255, "{topology}: APIC id {id}");
            assert_eq!(number(&entry, "Processor Enabled"), 1);
            found.push((number(&entry, number_field), id));
        }
        let expected: Vec<(u64, u64)> = (0..).zip(places(&topology).iter().map(|(_, id)| u64::from(*id))).collect();
        assert_eq!(found, expected, "{topology}");
    }
}

#[test]
fn the_madt_wires_interrupts() {
    for (topology, wide) in [(machine(2, 4, 2, 2), false), (machine(1, 14, 9, 2), true)] {
        let decoded = Decoded::of(&topology);
        let entries = decoded.entries("APIC", "Subtable Type");
        let one =
            |kind| entries.iter().find(|entry| is(entry, kind)).unwrap_or_else(|| panic!("{topology}: no {kind}"));
        assert_eq!((number(one(1), "Address"), number(one(1), "Interrupt")), (0xfec0_0000, 0));
        let sci = ["Source", "Interrupt", "Polarity", "Trigger Mode"].map(|field| number(one(2), field));
        assert_eq!(sci, [9, 9, 1, 3]);
        assert_eq!((number(one(4), "Processor ID"), number(one(4), "Interrupt Input LINT")), (0xff, 1));
        assert_eq!(entries.iter().any(|entry| is(entry, 10)), wide, "{topology}: NMI of x2APICs");
    }
}

#[test]
fn the_srat_tells_the_node_of_each_cpu_and_of_all_memory() {
    for topology in machines().into_iter().filter(|topology| topology.numa_nodes() > 1) {
        let decoded = Decoded::of(&topology);
        let (mut cpus, mut memory) = (Vec::new(), vec![0; topology.numa_nodes() as usize]);
        for entry in decoded.entries("SRAT", "Subtable Type") {
            assert_eq!(number(&entry, "Enabled"), 1);
            match number(&entry, "Subtable Type") {
                0 => cpus.push((number(&entry, "Proximity Domain Low(8)"), number(&entry, "Apic ID"))),
                2 => cpus.push((number(&entry, "Proximity Domain"), number(&entry, "Apic ID"))),
                _ => memory[number(&entry, "Proximity Domain") as usize] += number(&entry, "Address Length"),
            }
        }
        let expected: Vec<(u64, u64)> =
            places(&topology).iter().map(|(place, id)| (u64::from(place.node), u64::from(*id))).collect();
        assert_eq!(cpus, expected, "{topology}");
        memory[0] += HOLE.end - HOLE.start;
        let declared: Vec<u64> = topology.node_memory().iter().map(|size| size.0 * MIB).collect();
        assert_eq!(memory, declared, "{topology}");
    }
}

#[test]
fn slit_and_hmat_have_the_declared_distances() {
    for topology in machines().into_iter().filter(|topology| topology.numa_nodes() > 1) {
        let declared = topology.distances().map_or(vec![vec![10, 20], vec![20, 10]], <[_]>::to_vec);
        let decoded = Decoded::of(&topology);
        let slit = values(decoded.0["SLIT"].lines(), " : ");
        for (node, row) in declared.iter().enumerate() {
            let row: Vec<String> = row.iter().map(|distance| format!("{distance:02X}")).collect();
            assert_eq!(slit[format!("Locality   {node}").as_str()], row.join(" "), "{topology}");
        }
        let matrix = |kind: &str| {
            let parts = parts(&decoded.0["HMAT"], |line| line.contains("Structure Type"));
            let lines = parts.into_iter().find(|part| values(part.clone(), " : ").get("Data Type") == Some(&kind));
            let lines = lines.unwrap_or_else(|| panic!("{topology}: no matrix {kind}"));
            let entries = lines.into_iter().filter_map(|line| line.split_once(" Entry : "));
            entries.map(|(_, value)| u32::from_str_radix(value, 16).expect("a number")).collect::<Vec<u32>>()
        };
        let distances: Vec<u32> = declared.concat().into_iter().map(u32::from).collect();
        assert_eq!(matrix("00"), distances, "{topology}: latencies in 10 ns");
        let bandwidths: Vec<u32> = distances.iter().map(|distance| 1000 / distance).collect();
        assert_eq!(matrix("03"), bandwidths, "{topology}: bandwidths in GB/s");
    }
}

#[test]
fn a_machine_with_one_node_has_no_numa_tables() {
    let names = |topology| Decoded::of(&topology).0.into_keys().collect::<Vec<_>>();
    let all = ["APIC", "DSDT", "FACP", "FACS", "HMAT", "SLIT", "SRAT", "XSDT"];
    assert_eq!(names(machine(2, 2, 1, 1)), all);
    assert_eq!(names(machine(1, 2, 1, 1)), ["APIC", "DSDT", "FACP", "FACS", "XSDT"]);
}

#[test]
fn a_guest_is_told_how_to_turn_the_machine_off() {
    let decoded = Decoded::of(&machine(1, 1, 1, 1));
    let fadt = values(decoded.0["FACP"].lines(), " : ");
    let expected = [
        ("SCI Interrupt", 9),
        ("SMI Command Port", 0),
        ("PM1A Event Block Address", 0x600),
        ("PM1A Control Block Address", 0x604),
        ("PM Timer Block Address", 0),
        ("Boot Flags (decoded below)", 0x35),
        ("Reset Register Supported (V2)", 1),
        ("Value to cause reset", 6),
        ("Hardware Reduced (V5)", 0),
    ];
    for (field, value) in expected {
        assert_eq!(number(&fadt, field), value, "{field}");
    }
    let reset = values(parts(&decoded.0["FACP"], |line| line.contains("Reset Register :")).concat(), " : ");
    assert_eq!(number(&reset, "Address"), 0xcf9);
    let dsdt: String = decoded.0["DSDT"].split_whitespace().collect();
    for part in ["Name(_S5,Package(0x04)//_S5_:S5SystemState{Zero,", "EisaId(\"PNP0501\")", "0x03F8,", "{0x00000004,}"]
    {
        assert!(dsdt.contains(part), "no {part} in {dsdt}");
    }
}
