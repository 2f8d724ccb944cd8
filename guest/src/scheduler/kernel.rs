//! What the kernel shows of sched_ext in sysfs.

use ktstr_init::error::{Doing, GuestError};
use ktstr_model::scheduler::SchedExtState;
use std::fs;
use std::path::Path;

/// Where it does.
pub(super) const SCHED_EXT: &str = "/sys/kernel/sched_ext";

/// Reads the state below `root`.
///
/// # Errors
/// The kernel has no sched_ext.
pub(super) fn state(root: &Path) -> Result<SchedExtState, GuestError> {
    let path = root.join("state");
    let state = fs::read_to_string(&path)
        .doing(|| format!("read {}", path.display()))
        .map_err(|error| error.hint("the kernel has to be built with CONFIG_SCHED_CLASS_EXT"))?;
    // There is no such directory while nothing is attached, and it may go between two looks.
    let text = |file: &str| fs::read_to_string(root.join(file)).map(|text| text.trim().to_owned()).unwrap_or_default();
    let enable_seq = text("enable_seq").parse().unwrap_or(0);
    Ok(SchedExtState { state: state.trim().into(), ops: text("root/ops"), enable_seq })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_is_there() {
        let root = tempfile::tempdir().expect("a directory");
        let error = state(root.path()).expect_err("nothing there").to_string();
        assert!(error.ends_with("the kernel has to be built with CONFIG_SCHED_CLASS_EXT"), "{error}");
        let file = |name: &str, text: &str| fs::write(root.path().join(name), text).expect("writes");
        file("state", "disabled\n");
        let disabled = SchedExtState { state: "disabled".into(), ..SchedExtState::default() };
        assert_eq!(state(root.path()), Ok(disabled));
        fs::create_dir(root.path().join("root")).expect("makes");
        file("state", "enabled\n");
        file("root/ops", "mine\n");
        file("enable_seq", "3\n");
        let enabled = SchedExtState { state: "enabled".into(), ops: "mine".into(), enable_seq: 3 };
        assert_eq!(state(root.path()), Ok(enabled));
    }
}
