use kvm_bindings::kvm_cpuid_entry2;
use ktstr_model::Topology;
pub(crate) fn for_cpu(s: &[kvm_cpuid_entry2], _t: &Topology, _cpu: u32) -> Vec<kvm_cpuid_entry2> { s.iter().filter(|e| ![0xb,0x1f].contains(&e.function)).map(|e| {let mut e=*e; if e.function==1 {e.ebx&=0xffffff}; if e.function==0x8000001e {e.eax=0;e.ebx=0;e.ecx=0}; e}).collect() }
