//! Cgroups of a plan, in the cgroup v2 tree.
//!
//! A cgroup lies in the directory of its parent, under the name that the user gave it. A cgroup that has children may hold
//! no processes itself (the kernel's rule, Documentation/admin-guide/cgroup-v2.rst, "No Internal Process Constraint"): its
//! workers go into a cgroup of their own below it, which has no settings.

use ktstr_init::controllers;
use ktstr_init::error::{Doing, GuestError};
use ktstr_model::plan::CgroupPlan;
use ktstr_model::spec::CpuMaxSpec;
use ktstr_model::CpuSet;
use rustix::process::Pid;
use std::fs::{self, OpenOptions};
use std::io::ErrorKind::StorageFull;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Where workers of a cgroup with children are. Users' names have no dot.
const WORKERS: &str = "ktstr.workers";
const CPUS: &str = "cpuset.cpus";
/// CPUs that there can be.
const POSSIBLE: &str = "/sys/devices/system/cpu/possible";

/// The cgroups of a plan, each by its index.
#[derive(Debug)]
pub struct Cgroups {
    nodes: Vec<Node>,
}

#[derive(Debug, PartialEq, Eq)]
struct Node {
    name: String,
    directory: PathBuf,
    /// Where its workers are: the directory, or one below it.
    tasks: PathBuf,
}

impl Node {
    fn is_inner(&self) -> bool {
        self.directory != self.tasks
    }
}

impl Cgroups {
    /// Where the cgroups of `plan` will be, below `root`.
    ///
    /// # Errors
    /// If a parent is not in front of its child.
    pub fn new(root: &Path, plan: &[CgroupPlan]) -> Result<Self, GuestError> {
        let mut nodes: Vec<Node> = Vec::with_capacity(plan.len());
        for (index, cgroup) in plan.iter().enumerate() {
            let parent = match cgroup.parent {
                None => root,
                Some(parent) => match nodes.get(parent as usize) {
                    Some(node) => &node.directory,
                    None => {
                        let doing = format!("read the plan's cgroup {}", cgroup.name);
                        return Err(GuestError::new(doing, format!("its parent, number {parent}, comes after it")));
                    }
                },
            };
            let directory = parent.join(&cgroup.name);
            let has_children = plan.iter().any(|other| other.parent.is_some_and(|parent| parent as usize == index));
            let tasks = if has_children { directory.join(WORKERS) } else { directory.clone() };
            nodes.push(Node { name: cgroup.name.clone(), directory, tasks });
        }
        Ok(Self { nodes })
    }

    /// As the user named it.
    pub fn name(&self, index: u32) -> &str {
        self.nodes.get(index as usize).map_or("?", |node| &node.name)
    }

    fn node(&self, index: u32) -> Result<&Node, GuestError> {
        let missing = || GuestError::new(format!("find cgroup number {index}"), "the plan has no such cgroup");
        self.nodes.get(index as usize).ok_or_else(missing)
    }

    /// Makes a cgroup with its settings.
    ///
    /// # Errors
    /// That of the kernel, with the file.
    pub fn create(&self, index: u32, plan: &CgroupPlan) -> Result<(), GuestError> {
        let node = self.node(index)?;
        make_directory(node, &node.directory)?;
        for (file, value) in settings(plan) {
            write(&node.directory, file, &value)?;
        }
        if node.is_inner() {
            let controllers: Vec<String> = controllers::NEEDED.iter().map(|(name, _)| format!("+{name}")).collect();
            write(&node.directory, "cgroup.subtree_control", &controllers.join(" "))?;
            make_directory(node, &node.tasks)?;
        }
        Ok(())
    }

    /// Removes a cgroup that is empty; false while the kernel still counts processes in it that have ended.
    ///
    /// # Errors
    /// That of the kernel.
    pub fn try_remove(&self, index: u32) -> Result<bool, GuestError> {
        let node = self.node(index)?;
        if node.is_inner() && node.tasks.exists() && !remove_directory(node, &node.tasks)? {
            return Ok(false);
        }
        remove_directory(node, &node.directory)
    }

    /// Moves a process into a cgroup.
    ///
    /// # Errors
    /// That of the kernel.
    pub fn attach(&self, index: u32, pid: Pid) -> Result<(), GuestError> {
        write(&self.node(index)?.tasks, "cgroup.procs", &pid.as_raw_nonzero().to_string())
    }

    /// Writes `cpuset.cpus`; an empty set clears it.
    ///
    /// # Errors
    /// That of the kernel.
    pub fn set_cpus(&self, index: u32, cpus: &CpuSet) -> Result<(), GuestError> {
        // A write of no byte at all would not reach the kernel.
        let (path, text) = (self.node(index)?.directory.join(CPUS), format!("{cpus}\n"));
        match put(&path, &text) {
            // Kernels before 7.0 refuse to clear that of a cgroup with tasks (kernel/cgroup/cpuset.c, `validate_change`). All CPUs that
            // there can be are as good: those of its parent bound it, now and later.
            Err(error) if cpus.is_empty() && error.kind() == StorageFull => {
                let possible = fs::read_to_string(POSSIBLE).doing(|| format!("read {POSSIBLE}"))?;
                write(&self.node(index)?.directory, CPUS, &possible)
            }
            written => written.doing(|| format!("write {:?} to {}", text.trim_end(), path.display())),
        }
    }

    /// Writes `cpu.weight`.
    ///
    /// # Errors
    /// That of the kernel.
    pub fn set_weight(&self, index: u32, weight: u32) -> Result<(), GuestError> {
        write(&self.node(index)?.directory, "cpu.weight", &weight.to_string())
    }

    /// Writes `cpu.max`; none: no limit.
    ///
    /// # Errors
    /// That of the kernel.
    pub fn set_cpu_max(&self, index: u32, cpu_max: Option<CpuMaxSpec>) -> Result<(), GuestError> {
        write(&self.node(index)?.directory, "cpu.max", &cpu_max.map_or_else(|| "max".to_owned(), cpu_max_text))
    }

    /// Writes `cgroup.freeze`.
    ///
    /// # Errors
    /// That of the kernel.
    pub fn set_frozen(&self, index: u32, frozen: bool) -> Result<(), GuestError> {
        write(&self.node(index)?.directory, "cgroup.freeze", if frozen { "1" } else { "0" })
    }

    /// Whether the kernel says that all of a cgroup is frozen.
    ///
    /// # Errors
    /// That of the kernel.
    pub fn is_frozen(&self, index: u32) -> Result<bool, GuestError> {
        let path = self.node(index)?.directory.join("cgroup.events");
        let text = fs::read_to_string(&path).doing(|| format!("read {}", path.display()))?;
        Ok(text.lines().any(|line| line == "frozen 1"))
    }
}

/// Files and values of a new cgroup's settings.
fn settings(plan: &CgroupPlan) -> Vec<(&'static str, String)> {
    let cpus = plan.cpus.as_ref().map(|cpus| (CPUS, cpus.to_string()));
    let weight = plan.weight.map(|weight| ("cpu.weight", weight.to_string()));
    let cpu_max = plan.cpu_max.map(|cpu_max| ("cpu.max", cpu_max_text(cpu_max)));
    [cpus, weight, cpu_max].into_iter().flatten().collect()
}

/// `<quota> <period>` in microseconds.
fn cpu_max_text(cpu_max: CpuMaxSpec) -> String {
    format!("{} {}", cpu_max.quota.0 / 1000, cpu_max.period.0 / 1000)
}

/// Writes a control file. It is never created: one that is not there is an option that the kernel does not have.
fn write(directory: &Path, file: &str, value: &str) -> Result<(), GuestError> {
    let path = directory.join(file);
    put(&path, value).doing(|| format!("write {:?} to {}", value.trim_end(), path.display()))
}

fn put(path: &Path, value: &str) -> io::Result<()> {
    OpenOptions::new().write(true).open(path)?.write_all(value.as_bytes())
}

fn make_directory(node: &Node, path: &Path) -> Result<(), GuestError> {
    fs::create_dir(path).doing(|| format!("create cgroup {} ({})", node.name, path.display()))
}

fn remove_directory(node: &Node, path: &Path) -> Result<bool, GuestError> {
    match fs::remove_dir(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::ResourceBusy => Ok(false),
        Err(error) => Err(GuestError::new(format!("remove cgroup {} ({})", node.name, path.display()), error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ktstr_model::Nanos;

    fn cgroup(name: &str, parent: Option<u32>) -> CgroupPlan {
        CgroupPlan { name: name.into(), parent, cpus: None, weight: None, cpu_max: None }
    }

    fn paths(plan: &[CgroupPlan]) -> Vec<(String, String)> {
        let cgroups = Cgroups::new(Path::new("/c"), plan).expect("a plan");
        let text = |path: &Path| path.display().to_string();
        cgroups.nodes.iter().map(|node| (text(&node.directory), text(&node.tasks))).collect()
    }

    #[test]
    fn workers_are_in_leaves_only() {
        let seen = paths(&[cgroup("a", None), cgroup("b", Some(0)), cgroup("c", None)]);
        let expected = [("/c/a", "/c/a/ktstr.workers"), ("/c/a/b", "/c/a/b"), ("/c/c", "/c/c")];
        assert_eq!(seen, expected.map(|(a, b)| (a.to_owned(), b.to_owned())));
    }

    #[test]
    fn a_parent_that_comes_later_is_refused() {
        let error = Cgroups::new(Path::new("/c"), &[cgroup("a", Some(0))]).expect_err("its own parent");
        assert_eq!(error.to_string(), "failed to read the plan's cgroup a: its parent, number 0, comes after it");
    }

    #[test]
    fn settings_are_in_the_kernels_formats() {
        let mut plan = cgroup("a", None);
        assert_eq!(settings(&plan), []);
        plan.cpus = Some(CpuSet::range(2, 4));
        plan.weight = Some(50);
        plan.cpu_max = Some(CpuMaxSpec { quota: Nanos(20_000_000), period: Nanos(100_000_000) });
        let expected = [("cpuset.cpus", "2-3"), ("cpu.weight", "50"), ("cpu.max", "20000 100000")];
        assert_eq!(settings(&plan), expected.map(|(file, value)| (file, value.to_owned())));
    }

    #[test]
    fn a_missing_control_file_is_an_error_with_its_path() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let cgroups = Cgroups::new(dir.path(), &[cgroup("a", None)]).expect("a plan");
        cgroups.create(0, &cgroup("a", None)).expect("nothing to write");
        let error = cgroups.set_weight(0, 7).expect_err("not a cgroup tree").to_string();
        assert!(error.contains("write \"7\" to ") && error.contains("/a/cpu.weight: No such file"), "{error}");
        assert!(cgroups.try_remove(0).expect("is empty"));
    }
}
