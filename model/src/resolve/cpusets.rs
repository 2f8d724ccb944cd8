//! Cpuset and affinity declarations as CPU numbers of a topology.

use super::limits::out_of_range;
use crate::spec::{AffinitySpec, CpusetSpec};
use crate::{CpuSet, FieldError, Topology};

/// CPUs of a cpuset declaration; never empty.
pub(super) fn cpuset(spec: &CpusetSpec, topology: &Topology, path: &str) -> Result<CpuSet, FieldError> {
    let cpus = topology.cpus();
    let set = match spec {
        CpusetSpec::Llc(index) => {
            below(*index, topology.llcs(), &format!("llc({index})"), topology, path)?;
            topology.llc_cpus(*index)
        }
        CpusetSpec::Numa(index) => {
            below(*index, topology.numa_nodes(), &format!("numa({index})"), topology, path)?;
            topology.node_cpus(*index)
        }
        CpusetSpec::Range { from, to } => {
            if !(0.0 <= *from && from < to && *to <= 1.0) {
                return Err(out_of_range(path, format!("range({from}, {to})"), "0 <= from < to <= 1"));
            }
            CpuSet::range(part(cpus, *from), part(cpus, *to))
        }
        CpusetSpec::Disjoint { index, of } => {
            parts(*index, *of, 0.0, cpus, &format!("disjoint({index}, of {of})"), path)?
        }
        CpusetSpec::Overlap { index, of, fraction } => {
            let text = format!("overlap({index}, of {of}, fraction {fraction})");
            if !(0.0..=1.0).contains(fraction) {
                return Err(out_of_range(path, text, "a fraction is 0 to 1"));
            }
            parts(*index, *of, *fraction, cpus, &text, path)?
        }
        CpusetSpec::Exact(list) => exact(list, topology, path)?,
        CpusetSpec::Holdback(fraction) => {
            if !(0.0..1.0).contains(fraction) {
                return Err(out_of_range(path, format!("holdback({fraction})"), "0 or more, below 1"));
            }
            CpuSet::range(0, part(cpus, 1.0 - fraction))
        }
    };
    if set.is_empty() {
        let problem = format!("holds no CPU on {topology}, which has {cpus}");
        return Err(FieldError::new(path, problem).hint("a larger part, or a topology with more CPUs"));
    }
    Ok(set)
}

/// Affinity of each of `workers` workers; empty if none is set.
pub(super) fn affinity(
    spec: &AffinitySpec,
    workers: u32,
    topology: &Topology,
    path: &str,
) -> Result<Vec<CpuSet>, FieldError> {
    Ok(match spec {
        AffinitySpec::Inherit => Vec::new(),
        AffinitySpec::Single(cpu) => vec![exact(&[*cpu], topology, path)?; workers as usize],
        AffinitySpec::Exact(list) => vec![exact(list, topology, path)?; workers as usize],
        AffinitySpec::Llc => (0..workers).map(|worker| topology.llc_cpus(worker % topology.llcs())).collect(),
    })
}

/// The set of `list`, all of which are CPUs of the topology.
pub(super) fn exact(list: &[u32], topology: &Topology, path: &str) -> Result<CpuSet, FieldError> {
    if list.is_empty() {
        return Err(FieldError::new(path, "names no CPU").hint("at least one"));
    }
    let last = topology.cpus() - 1;
    if let Some(cpu) = list.iter().find(|cpu| **cpu > last) {
        let problem = format!("CPU {cpu} is not on {topology}");
        return Err(FieldError::new(path, problem).hint(format!("its CPUs are 0 to {last}")));
    }
    CpuSet::try_from_cpus(list.iter().copied()).map_err(|error| FieldError::new(path, error.to_string()))
}

fn parts(index: u32, of: u32, reach: f64, cpus: u32, text: &str, path: &str) -> Result<CpuSet, FieldError> {
    if of == 0 {
        return Err(FieldError::new(path, format!("{text}: 0 parts")).hint("at least 1"));
    }
    if index >= of {
        return Err(FieldError::new(path, format!("{text}: index must be below {of}")));
    }
    let border = |index: u32| (u64::from(cpus) * u64::from(index) / u64::from(of)) as u32;
    let (from, to) = (border(index), border(index + 1));
    let more = part(to - from, reach);
    Ok(CpuSet::range(from, (to + more).min(cpus)))
}

fn part(cpus: u32, fraction: f64) -> u32 {
    (f64::from(cpus) * fraction).round() as u32
}

fn below(index: u32, count: u32, text: &str, topology: &Topology, path: &str) -> Result<(), FieldError> {
    if index < count {
        return Ok(());
    }
    Err(FieldError::new(path, format!("{text}: {topology} has no such index")).hint(format!("below {count}")))
}
