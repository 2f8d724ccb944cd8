//! Options that a kernel needs, checked in its `.config` before anything boots.

/// Option and what ktstr needs it for.
const NEEDED: [(&str, &str); 17] = [
    ("64BIT", "the machine is x86-64"),
    ("BLK_DEV_INITRD", "init is in an initramfs"),
    ("CGROUPS", "workers are in cgroups"),
    ("CGROUP_SCHED", "cpu.weight and cpu.max of cgroups"),
    ("CPUSETS", "cpusets of cgroups"),
    ("DEVMEM", "the window between guest and host is mapped through /dev/mem"),
    ("DEVTMPFS", "device nodes"),
    ("FAIR_GROUP_SCHED", "cpu.weight of cgroups"),
    ("PRINTK", "a panic is seen on the console"),
    ("PROC_FS", "counters of tasks"),
    ("PVH", "the kernel is started without firmware"),
    ("SERIAL_8250_CONSOLE", "the console"),
    ("SCHED_INFO", "run delay of tasks (SCHEDSTATS or TASK_DELAY_ACCT selects it)"),
    ("SMP", "more than one CPU"),
    ("SYSFS", "the topology that the guest sees"),
    ("TMPFS", "files of a case"),
    ("X86_IOPL_IOPERM", "the guest ends by writing to a port"),
];

/// Needed options that a configuration does not have.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("the kernel lacks {}", missing.join("; "))]
pub(crate) struct OptionsError {
    missing: Vec<String>,
}

/// Checks a `.config` as text.
///
/// # Errors
/// All needed options that it does not switch on.
pub(crate) fn check_options(config: &str) -> Result<(), OptionsError> {
    let is_on =
        |name: &str| config.lines().any(|line| line.strip_prefix("CONFIG_").is_some_and(|l| l == format!("{name}=y")));
    let missing: Vec<String> = NEEDED
        .iter()
        .filter(|(name, _)| !is_on(name))
        .map(|(name, reason)| format!("CONFIG_{name}=y ({reason})"))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(OptionsError { missing })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> String {
        NEEDED.iter().map(|(name, _)| format!("CONFIG_{name}=y\n")).collect()
    }

    #[test]
    fn a_full_configuration_passes() {
        assert_eq!(check_options(&config()), Ok(()));
    }

    #[test]
    fn a_missing_option_is_named_with_its_reason() {
        let without = config().replace("CONFIG_CPUSETS=y", "# CONFIG_CPUSETS is not set");
        let error = check_options(&without).expect_err("refused").to_string();
        assert_eq!(error, "the kernel lacks CONFIG_CPUSETS=y (cpusets of cgroups)");
    }

    #[test]
    fn a_module_is_not_enough() {
        assert!(check_options(&config().replace("CONFIG_TMPFS=y", "CONFIG_TMPFS=m")).is_err());
    }
}
