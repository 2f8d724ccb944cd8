//! Whether the guest sees the machine that was declared. If not, nothing else that was measured means what it seems to.

use crate::run::Run;
use ktstr_model::event::SeenMachine;
use ktstr_model::verdict::Place;
use ktstr_model::{Cause, CpuSet, Finding, Mebibytes, Phase, Topology, Verdict};
use std::collections::BTreeMap;

/// Part of a node's memory that the kernel may keep for itself (page structures, reserved regions)…
const MEMORY_KEPT_PERCENT: u64 = 15;
/// …and what it may keep whatever the size: its own image, the initramfs, crash and DMA reserves.
const MEMORY_KEPT: Mebibytes = Mebibytes(128);

/// The finding, if there is a difference. A guest that never said what it sees has ended earlier, which is a finding of its
/// own.
pub(crate) fn look(run: &Run<'_>) -> Option<Finding> {
    let differences = differences(run.seen?, &run.case.topology);
    let mut lines = differences.into_iter();
    let measured = format!("the guest sees another machine than declared: {}", lines.next()?);
    let mut explanation: Vec<String> = lines.collect();
    if !run.case.kernel_args.is_empty() {
        explanation.push(format!("kernel_args may be the reason: {}", run.case.kernel_args.join(" ")));
    }
    Some(Finding {
        verdict: Verdict::Infrastructure,
        cause: Cause::Topology,
        phase: Phase::Boot,
        check: None,
        measured,
        bound: String::new(),
        origin: None,
        place: Place::default(),
        explanation: explanation.join("\n"),
    })
}

/// Everything that differs, one line for each kind of thing.
fn differences(seen: &SeenMachine, declared: &Topology) -> Vec<String> {
    [
        cpus(seen, declared),
        packages(seen, declared),
        shared(seen, "LLC", |cpu| cpu.llc.clone(), &groups(declared.llcs(), |llc| declared.llc_cpus(llc))),
        shared(
            seen,
            "core",
            |cpu| cpu.siblings.clone(),
            &groups(declared.cpus() / declared.threads_per_core(), |core| declared.core_cpus(core)),
        ),
        nodes(seen, declared),
        distances(seen, declared),
        memory(seen, declared),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn groups(count: u32, cpus_of: impl Fn(u32) -> CpuSet) -> Vec<CpuSet> {
    (0..count).map(cpus_of).collect()
}

fn cpus(seen: &SeenMachine, declared: &Topology) -> Option<String> {
    let on_line = CpuSet::try_from_cpus(seen.cpus.iter().map(|cpu| cpu.cpu)).unwrap_or_default();
    let all = declared.all_cpus();
    (on_line != all).then(|| format!("CPUs {} are on line, declared are {all}", list(&on_line)))
}

fn packages(seen: &SeenMachine, declared: &Topology) -> Option<String> {
    let mut packages: BTreeMap<i32, Vec<u32>> = BTreeMap::new();
    seen.cpus.iter().for_each(|cpu| packages.entry(cpu.package).or_default().push(cpu.cpu));
    let mut packages: Vec<CpuSet> =
        packages.into_values().map(|cpus| CpuSet::try_from_cpus(cpus).unwrap_or_default()).collect();
    packages.sort_by_key(|cpus| cpus.iter().next());
    let nodes = groups(declared.numa_nodes(), |node| declared.node_cpus(node));
    (packages != nodes).then(|| format!("packages are {}, declared are {}", lists(&packages), lists(&nodes)))
}

/// CPUs that share something: the first CPU that shares it with others than declared.
fn shared(
    seen: &SeenMachine,
    what: &str,
    of: impl Fn(&ktstr_model::event::SeenCpu) -> CpuSet,
    declared: &[CpuSet],
) -> Option<String> {
    let nobody = CpuSet::default();
    seen.cpus.iter().find_map(|cpu| {
        let expected = declared.iter().find(|cpus| cpus.contains(cpu.cpu)).unwrap_or(&nobody);
        let group = of(cpu);
        (group != *expected).then(|| {
            format!("CPU {} shares its {what} with CPUs {}, declared are {}", cpu.cpu, list(&group), list(expected))
        })
    })
}

fn nodes(seen: &SeenMachine, declared: &Topology) -> Option<String> {
    // A kernel without NUMA shows none.
    if seen.nodes.is_empty() && declared.numa_nodes() == 1 {
        return None;
    }
    let seen: Vec<CpuSet> = seen.nodes.iter().map(|node| node.cpus.clone()).collect();
    let declared = groups(declared.numa_nodes(), |node| declared.node_cpus(node));
    (seen != declared).then(|| format!("NUMA nodes are {}, declared are {}", lists(&seen), lists(&declared)))
}

fn distances(seen: &SeenMachine, declared: &Topology) -> Option<String> {
    let declared = declared.distances()?;
    seen.nodes.iter().zip(declared).find_map(|(node, row)| {
        let row: Vec<u32> = row.iter().map(|distance| u32::from(*distance)).collect();
        let (index, seen) = (node.node, &node.distances);
        (*seen != row).then(|| format!("distances of node {index} are {seen:?}, declared are {row:?}"))
    })
}

fn memory(seen: &SeenMachine, declared: &Topology) -> Option<String> {
    seen.nodes.iter().zip(declared.node_memory()).find_map(|(node, declared)| {
        let most = declared.0.saturating_mul(1024);
        let least = (most / 100 * (100 - MEMORY_KEPT_PERCENT)).saturating_sub(MEMORY_KEPT.0 * 1024);
        (!(least..=most).contains(&node.memory_kib)).then(|| {
            format!("node {} has {}M of memory, declared are {}M", node.node, node.memory_kib / 1024, declared.0)
        })
    })
}

fn list(cpus: &CpuSet) -> String {
    if cpus.is_empty() {
        "none".into()
    } else {
        cpus.to_string()
    }
}

fn lists(groups: &[CpuSet]) -> String {
    match groups {
        [] => "none".into(),
        _ => groups.iter().map(|cpus| format!("[{}]", list(cpus))).collect::<Vec<_>>().join(" "),
    }
}
