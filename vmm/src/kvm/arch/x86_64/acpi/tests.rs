//! How the tables lie in memory; what is in them is tested with a decoder (`tests/tables`).

use super::*;

fn tables_at(at: u64, topology: &Topology) -> AcpiTables {
    let ram = [NodeMemory { start: Gpa(0), bytes: topology.memory().0 << 20, node: 0 }];
    tables(topology, &ram, Gpa(at))
}

fn sum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum, byte| sum.wrapping_add(*byte))
}

#[test]
fn tables_are_aligned_wherever_they_are() {
    let topology = Topology::new(2, 2, 1, 1).expect("can be");
    for at in [0xe_0000, 0xe_0010, 0x7fff_0001] {
        let tables = tables_at(at, &topology);
        assert_eq!((tables.start.0, tables.rsdp.0 % ALIGNMENT), (at, 0));
        let found = tables.bytes.windows(4).position(|name| name == b"FACS").expect("is there");
        assert_eq!((at + found as u64) % ALIGNMENT, 0);
        let rsdp = &tables.bytes[(tables.rsdp.0 - at) as usize..];
        assert_eq!((rsdp.len(), sum(&rsdp[..20]), sum(rsdp)), (36, 0, 0));
    }
}

#[test]
fn the_largest_machine_fits_where_a_kernel_looks_for_firmware() {
    let largest = Topology::new(8, 64, 8, 2).expect("can be");
    assert_eq!(largest.cpus(), 1024);
    let bytes = tables_at(0xe_0000, &largest).bytes.len();
    assert!(bytes < 0x2_0000, "{bytes}");
}
