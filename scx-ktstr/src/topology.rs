//! Which CPU belongs to which last-level cache, from sysfs.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::Problem;

/// Most that `bpf/common.bpf.h` has place for.
const CPUS_MAX: usize = 1024;
const LLCS_MAX: usize = 64;

/// The LLC of each possible CPU, counted from 0 in the order of their first CPUs; a CPU that is offline counts to the first.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Topology {
    pub(crate) llc_of_cpu: Vec<u32>,
    pub(crate) llcs: u32,
}

impl Topology {
    /// Reads it below `cpus`, which is `/sys/devices/system/cpu`.
    pub(crate) fn read(cpus: &Path) -> Result<Topology, Problem> {
        let possible = cpus.join("possible");
        let text = fs::read_to_string(&possible).map_err(|e| format!("could not read {}: {e}", possible.display()))?;
        let count =
            last_of_list(&text).ok_or_else(|| format!("{}: not a list of CPUs: {text}", possible.display()))? + 1;
        if count > CPUS_MAX {
            return Err(format!("{count} CPUs; there is place for {CPUS_MAX}").into());
        }
        let mut numbers = BTreeMap::new();
        let llc_of_cpu = (0..count)
            .map(|cpu| match shared_by(&cpus.join(format!("cpu{cpu}/cache"))) {
                Some(list) => {
                    let next = numbers.len();
                    *numbers.entry(list).or_insert(next) as u32
                }
                None => 0,
            })
            .collect();
        let llcs = numbers.len().max(1);
        if llcs > LLCS_MAX {
            return Err(format!("{llcs} last-level caches; there is place for {LLCS_MAX}").into());
        }
        Ok(Topology { llc_of_cpu, llcs: llcs as u32 })
    }
}

/// The last number of a list such as `0-3,8`.
fn last_of_list(list: &str) -> Option<usize> {
    list.trim().rsplit([',', '-']).next()?.parse().ok()
}

/// The CPUs that share the cache of the highest level.
fn shared_by(caches: &Path) -> Option<String> {
    let level = |index: &Path| fs::read_to_string(index.join("level")).ok()?.trim().parse::<u32>().ok();
    let highest = fs::read_dir(caches)
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter_map(|index| Some((level(&index)?, index)))
        .max()?
        .1;
    Some(fs::read_to_string(highest.join("shared_cpu_list")).ok()?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_list() {
        assert_eq!(last_of_list("0-3,8\n"), Some(8));
        assert_eq!(last_of_list("0-15\n"), Some(15));
        assert_eq!(last_of_list("0\n"), Some(0));
        assert_eq!(last_of_list("none"), None);
    }

    #[test]
    fn a_missing_sysfs_is_told_by_name() {
        let problem = Topology::read(Path::new("/nowhere")).expect_err("there is none").to_string();
        assert!(problem.starts_with("could not read /nowhere/possible: "), "{problem}");
    }
}
