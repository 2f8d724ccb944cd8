//! Whether the cases of a target make sense with its kernel: `TestSpec, KernelInfo ──▶ Skip`.

use crate::image::{KernelInfo, UnknownFeature, SCHED_EXT};
use ktstr_model::{SchedulerSpec, TestSpec};

/// Why no case of a target runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Skip {
    /// What the kernel lacks.
    pub(crate) reason: String,
    /// Whether the target says that this may be. If not, it is red: nothing was looked at.
    pub(crate) allowed: bool,
}

/// Looks whether `kernel` has what the scheduler under test needs.
///
/// # Errors
/// A feature of which nothing is known.
pub(crate) fn skip(spec: &TestSpec, kernel: &KernelInfo) -> Result<Option<Skip>, UnknownFeature> {
    let Some(scheduler) = &spec.scheduler else { return Ok(None) };
    Ok(lacks(scheduler, kernel)?.map(|reason| Skip { reason, allowed: spec.may_skip }))
}

/// What `kernel` lacks of what a scheduler needs, in a sentence.
///
/// # Errors
/// A feature of which nothing is known.
pub(crate) fn lacks(scheduler: &SchedulerSpec, kernel: &KernelInfo) -> Result<Option<String>, UnknownFeature> {
    let wanted: Vec<String> =
        std::iter::once(SCHED_EXT.to_owned()).chain(scheduler.kernel_features.iter().cloned()).collect();
    let lacks = kernel.features.lacks(&wanted)?;
    Ok(lacks.map(|feature| {
        let hint = if feature == SCHED_EXT { " (CONFIG_SCHED_CLASS_EXT)" } else { "" };
        format!("the kernel {} has no {feature}{hint}, which {} needs", kernel.release, scheduler.name)
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::Features;

    fn look(scheduler: &str, names: &[&str]) -> Result<Option<String>, String> {
        let spec = format!(
            r#"{{"version": 1, "name": "t", "backend": "tcg", "clocks": [], "topologies": [], "scenario": [] {scheduler}}}"#
        );
        let spec = TestSpec::from_json(&spec).expect("reads");
        let names = names.iter().map(|&name| name.into()).collect();
        let features = Features { options: None, names: Some(names) };
        let kernel = KernelInfo { release: "6.12.1".into(), arch: "x86_64".into(), features };
        skip(&spec, &kernel).map(|skip| skip.map(|skip| skip.reason)).map_err(|error| error.to_string())
    }

    #[test]
    fn a_scheduler_needs_sched_ext_and_what_it_says() {
        assert_eq!(look("", &[]), Ok(None));
        let scheduler = r#", "scheduler": {"name": "scx_x", "kernel_features": ["scx_bpf_new"]}"#;
        let reason = "the kernel 6.12.1 has no sched_ext_ops (CONFIG_SCHED_CLASS_EXT), which scx_x needs";
        assert_eq!(look(scheduler, &["scx_bpf_new"]), Ok(Some(reason.into())));
        let reason = "the kernel 6.12.1 has no scx_bpf_new, which scx_x needs";
        assert_eq!(look(scheduler, &[SCHED_EXT]), Ok(Some(reason.into())));
        assert_eq!(look(scheduler, &[SCHED_EXT, "scx_bpf_new"]), Ok(None));
        assert!(look(&scheduler.replace("scx_bpf_new", "CONFIG_NEW"), &[SCHED_EXT]).is_err());
    }
}
