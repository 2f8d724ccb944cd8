//! Controllers of the cgroup v2 tree, switched on for everything that a case creates.

use crate::error::{Doing, GuestError};
use std::fs;
use std::path::Path;

/// Where the tree is mounted.
pub const MOUNT: &str = "/sys/fs/cgroup";
/// Controllers without which no plan can be carried out, with the options of the kernel that bring them.
pub const NEEDED: [(&str, &str); 2] =
    [("cpu", "CONFIG_CGROUP_SCHED and CONFIG_FAIR_GROUP_SCHED"), ("cpuset", "CONFIG_CPUSETS")];
/// Controllers that are switched on if they are there.
const WANTED: [&str; 2] = ["pids", "memory"];

/// Switches the controllers on for the children of the tree's root.
///
/// # Errors
/// If one is missing that is needed, with the kernel's option for it.
pub fn enable(root: &Path) -> Result<(), GuestError> {
    let path = root.join("cgroup.controllers");
    let text = fs::read_to_string(&path).doing(|| format!("read {}", path.display()))?;
    let (path, wish) = (root.join("cgroup.subtree_control"), wish(&text)?);
    fs::write(&path, &wish).doing(|| format!("write {wish:?} to {}", path.display()))
}

/// What to write into the root's `cgroup.subtree_control`, given its `cgroup.controllers`.
fn wish(controllers: &str) -> Result<String, GuestError> {
    let there: Vec<&str> = controllers.split_whitespace().collect();
    if let Some((name, option)) = NEEDED.iter().find(|(name, _)| !there.contains(name)) {
        let problem = format!("the kernel offers {:?}, the tests need `{name}` too", there.join(" "));
        return Err(GuestError::new(format!("switch on cgroup controller {name}"), problem)
            .hint(&format!("build the kernel with {option}, and without cgroup_disable={name} on its command line")));
    }
    let needed = NEEDED.iter().map(|(name, _)| *name);
    let wanted = WANTED.into_iter().filter(|name| there.contains(name));
    Ok(needed.chain(wanted).map(|name| format!("+{name}")).collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_controller_names_the_kernels_option() {
        let error = wish("cpu io memory").expect_err("no cpuset").to_string();
        assert!(error.contains("the kernel offers \"cpu io memory\", the tests need `cpuset` too"), "{error}");
        assert!(error.contains("CONFIG_CPUSETS"), "{error}");
    }

    #[test]
    fn controllers_that_are_not_needed_are_taken_if_there() {
        assert_eq!(wish("cpuset cpu io pids").as_deref(), Ok("+cpu +cpuset +pids"));
    }
}
