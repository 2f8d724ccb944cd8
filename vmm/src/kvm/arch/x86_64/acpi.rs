use crate::Gpa;
use ktstr_model::Topology;
pub(crate) struct AcpiTables { pub rsdp: Gpa, pub start: Gpa, pub bytes: Vec<u8> }
pub(crate) struct NodeMemory { pub start: Gpa, pub bytes: u64, pub node: u32 }
pub(crate) fn tables(_t: &Topology, _r: &[NodeMemory], at: Gpa) -> AcpiTables { AcpiTables { rsdp: at, start: at, bytes: vec![] } }
