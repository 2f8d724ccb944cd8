//! What the guest sees of its machine, read from sysfs. Attributes that are not there leave their field empty: the host
//! compares with what was declared and says what is missing.

use ktstr_model::event::{SeenCpu, SeenMachine, SeenNode};
use ktstr_model::CpuSet;
use std::fs;
use std::path::Path;

/// Reads the machine from the trees that are mounted at `sys` and `proc`.
pub fn read_machine(sys: &Path, proc: &Path) -> SeenMachine {
    let cpus = sys.join("devices/system/cpu");
    let nodes = sys.join("devices/system/node");
    let online_nodes = set(&nodes.join("online"));
    SeenMachine {
        release: text(&proc.join("sys/kernel/osrelease")),
        cpus: set(&cpus.join("online")).iter().map(|cpu| read_cpu(&cpus, cpu)).collect(),
        nodes: online_nodes.iter().map(|node| read_node(&nodes, node)).collect(),
        clocksource: text(&sys.join("devices/system/clocksource/clocksource0/current_clocksource")),
    }
}

fn read_cpu(cpus: &Path, cpu: u32) -> SeenCpu {
    let dir = cpus.join(format!("cpu{cpu}"));
    SeenCpu {
        cpu,
        package: text(&dir.join("topology/physical_package_id")).parse().unwrap_or(-1),
        siblings: set(&dir.join("topology/thread_siblings_list")),
        llc: last_level_cache(&dir.join("cache")),
    }
}

/// `shared_cpu_list` of the cache of the highest level.
fn last_level_cache(caches: &Path) -> CpuSet {
    let mut last = (0, CpuSet::default());
    for index in 0.. {
        let cache = caches.join(format!("index{index}"));
        let Ok(level) = text(&cache.join("level")).parse::<u32>() else { break };
        if level > last.0 {
            last = (level, set(&cache.join("shared_cpu_list")));
        }
    }
    last.1
}

fn read_node(nodes: &Path, node: u32) -> SeenNode {
    let dir = nodes.join(format!("node{node}"));
    let distances = text(&dir.join("distance"));
    SeenNode {
        node,
        cpus: set(&dir.join("cpulist")),
        distances: distances.split_whitespace().filter_map(|number| number.parse().ok()).collect(),
        memory_kib: memory_total(&text(&dir.join("meminfo"))),
    }
}

/// From a line `Node 0 MemTotal:        1006916 kB`.
fn memory_total(meminfo: &str) -> u64 {
    let line = meminfo.lines().find_map(|line| line.split_once("MemTotal:"));
    line.and_then(|(_, rest)| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).map(|text| text.trim().to_owned()).unwrap_or_default()
}

fn set(path: &Path) -> CpuSet {
    text(path).parse().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("a temporary directory");
        for (path, text) in files {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().expect("has one")).expect("makes directories");
            fs::write(path, text).expect("writes");
        }
        dir
    }

    #[test]
    fn reads_cpus_caches_and_nodes() {
        let sys = tree(&[
            ("devices/system/cpu/online", "0,2\n"),
            ("devices/system/cpu/cpu0/topology/physical_package_id", "0\n"),
            ("devices/system/cpu/cpu0/topology/thread_siblings_list", "0-1\n"),
            ("devices/system/cpu/cpu0/cache/index0/level", "1\n"),
            ("devices/system/cpu/cpu0/cache/index0/shared_cpu_list", "0-1\n"),
            ("devices/system/cpu/cpu0/cache/index1/level", "3\n"),
            ("devices/system/cpu/cpu0/cache/index1/shared_cpu_list", "0-3\n"),
            ("devices/system/cpu/cpu0/cache/index2/level", "2\n"),
            ("devices/system/cpu/cpu0/cache/index2/shared_cpu_list", "0-1\n"),
            ("devices/system/cpu/cpu2/topology/physical_package_id", "1\n"),
            ("devices/system/node/online", "0-1\n"),
            ("devices/system/node/node0/cpulist", "0-2\n"),
            ("devices/system/node/node0/distance", "10 20\n"),
            ("devices/system/node/node0/meminfo", "Node 0 MemTotal:        1006916 kB\nNode 0 MemFree: 12 kB\n"),
            ("devices/system/node/node1/cpulist", "\n"),
            ("devices/system/clocksource/clocksource0/current_clocksource", "tsc\n"),
        ]);
        let proc = tree(&[("sys/kernel/osrelease", "7.3.4-test\n")]);
        let seen = read_machine(sys.path(), proc.path());
        assert_eq!((seen.release.as_str(), seen.clocksource.as_str()), ("7.3.4-test", "tsc"));
        let list = |text: &str| text.parse::<CpuSet>().expect("a list");
        let first = SeenCpu { cpu: 0, package: 0, siblings: list("0-1"), llc: list("0-3") };
        let second = SeenCpu { cpu: 2, package: 1, ..SeenCpu::default() };
        assert_eq!(seen.cpus, [first, second]);
        let node0 = SeenNode { node: 0, cpus: list("0-2"), distances: vec![10, 20], memory_kib: 1_006_916 };
        assert_eq!(seen.nodes, [node0, SeenNode { node: 1, ..SeenNode::default() }]);
    }

    #[test]
    fn an_empty_tree_is_an_empty_machine() {
        let empty = tree(&[]);
        assert_eq!(read_machine(empty.path(), empty.path()), SeenMachine::default());
    }
}
