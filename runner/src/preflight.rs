//! `ktstr preflight` and `ktstr_preflight_test`: what this executor offers, before a test finds out.
//!
//! ```text
//! /dev/kvm, /proc, cgroup, scratch directory ──Offer::of_this_host──▶ Offer ──▶ lines or JSON, and a verdict
//! ```

use crate::backend::kvm_of_host;
use crate::bazel::TestProtocol;
use crate::cli::PreflightArgs;
use crate::session::{host, usage, SessionError};
use ktstr_model::{Mebibytes, Topology, Verdict};
use ktstr_vmm::kvm::genuine::Answer;
use serde_json::{json, Value};
use std::fs;
use std::path::{Path, PathBuf};

/// Names of presets of the rules, and their CPUs: nodes, LLCs, cores, threads.
const MACHINES: [(&str, [u32; 4]); 3] =
    [("tiny_2llc", [1, 2, 2, 1]), ("medium_4llc", [1, 4, 4, 2]), ("large_4llc", [1, 4, 16, 2])];
/// What the runner and an emulator take beside the memory of the guest, as the rules reserve it (resources.bzl).
const OVERHEAD: Mebibytes = Mebibytes(512);

/// What there is.
#[derive(Debug)]
struct Offer {
    kvm: Answer,
    cpus: usize,
    /// What this process may still take; none: the kernel does not say.
    memory: Option<Mebibytes>,
    scratch: PathBuf,
    /// Free there.
    space: Option<Mebibytes>,
}

/// Prints what there is.
///
/// # Errors
/// Bazel's environment cannot be read, or its files not be written.
pub(crate) fn preflight(args: &PreflightArgs) -> Result<Verdict, SessionError> {
    let protocol = TestProtocol::read(|name| std::env::var_os(name)).map_err(usage)?;
    protocol.begin().map_err(host)?;
    let offer = Offer::of_this_host(&protocol.scratch);
    if args.json {
        println!("{}", offer.json());
    } else {
        offer.lines().iter().for_each(|line| println!("{line}"));
    }
    let lacks = offer.lacks(args.requires_kvm);
    if let Some(problem) = &lacks {
        eprintln!("INFRA: {problem}");
        protocol.infrastructure_failure("kvm", problem).map_err(host)?;
    }
    protocol.end().map_err(host)?;
    Ok(if lacks.is_some() { Verdict::Infrastructure } else { Verdict::Pass })
}

impl Offer {
    fn of_this_host(scratch: &Path) -> Self {
        let space =
            rustix::fs::statvfs(scratch).ok().map(|fs| Mebibytes(fs.f_bavail.saturating_mul(fs.f_frsize) >> 20));
        Self {
            kvm: kvm_of_host().clone(),
            cpus: std::thread::available_parallelism().map_or(1, usize::from),
            memory: memory(&fs::read_to_string("/proc/meminfo").unwrap_or_default(), cgroup_room()),
            scratch: scratch.to_owned(),
            space,
        }
    }

    /// Why tests that insist on KVM cannot run here.
    fn lacks(&self, requires_kvm: bool) -> Option<String> {
        (requires_kvm && !self.kvm.is_genuine()).then(|| format!("genuine KVM is required, and {}", self.kvm))
    }

    fn backend(&self) -> &'static str {
        if self.kvm.is_genuine() {
            "kvm"
        } else {
            "tcg"
        }
    }

    /// Presets with their CPUs and what they need, and whether that is there.
    fn machines(&self) -> Vec<(&'static str, u32, Mebibytes, Option<bool>)> {
        let of = |(name, [nodes, llcs, cores, threads]): (&'static str, [u32; 4])| {
            let topology = Topology::new(nodes, llcs, cores, threads).ok()?;
            let needs = Mebibytes(topology.memory().0 + OVERHEAD.0);
            Some((name, topology.cpus(), needs, self.memory.map(|memory| needs <= memory)))
        };
        MACHINES.into_iter().filter_map(of).collect()
    }

    fn lines(&self) -> Vec<String> {
        let amount = |amount: Option<Mebibytes>| {
            amount.map_or("unknown".into(), |Mebibytes(mebibytes)| format!("{mebibytes} MiB"))
        };
        let flags = if self.kvm.runs_it.flags.is_empty() {
            "neither vmx nor svm".into()
        } else {
            self.kvm.runs_it.flags.join(", ")
        };
        let mut lines = vec![
            format!("kvm: {}: {} (CPU flags: {flags})", self.kvm.kvm.name(), self.kvm),
            format!("back end auto: {} for machines under the real clock, tcg for the virtual one", self.backend()),
            format!("cpus: {}", self.cpus),
            format!("memory: {} available", amount(self.memory)),
            format!("space: {} free in {}", amount(self.space), self.scratch.display()),
        ];
        lines.extend(self.machines().into_iter().map(|(name, cpus, needs, fits)| {
            let fits = fits.map_or("is not known to fit", |fits| if fits { "fits" } else { "does not fit" });
            format!("machine {name} of {cpus} CPUs: {fits}, it takes {}", amount(Some(needs)))
        }));
        lines
    }

    fn json(&self) -> Value {
        let Answer { kvm, runs_it } = &self.kvm;
        let machine = |(name, cpus, Mebibytes(needs), fits)| json!({"name": name, "cpus": cpus, "memory_mib": needs, "fits": fits});
        json!({
            "backend": self.backend(),
            "kvm": {
                "state": kvm.name(),
                "ratio": kvm.ratio(),
                "modules": runs_it.modules,
                "cpu_flags": runs_it.flags,
                "text": self.kvm.to_string(),
            },
            "cpus": self.cpus,
            "memory_mib": self.memory.map(|memory| memory.0),
            "scratch": {"path": self.scratch.display().to_string(), "free_mib": self.space.map(|space| space.0)},
            "machines": self.machines().into_iter().map(machine).collect::<Vec<_>>(),
        })
    }
}

/// What is available on the host, or in the cgroup if that is less.
fn memory(meminfo: &str, cgroup: Option<Mebibytes>) -> Option<Mebibytes> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let host = line.and_then(|line| line.split_whitespace().next()?.parse().ok()).map(|kib: u64| Mebibytes(kib >> 10));
    [host, cgroup].into_iter().flatten().min()
}

/// What the limit of this process's cgroup leaves; none: there is none, or it cannot be seen.
fn cgroup_room() -> Option<Mebibytes> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let own = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let number = |file: &str| -> Option<u64> {
        fs::read_to_string(Path::new("/sys/fs/cgroup").join(own).join(file)).ok()?.trim().parse().ok()
    };
    Some(Mebibytes(number("memory.max")?.saturating_sub(number("memory.current")?) >> 20))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ktstr_vmm::kvm::genuine::{Kvm, RunsIt};

    fn offer(kvm: Kvm) -> Offer {
        let runs_it = RunsIt { modules: vec!["kvm_x".into()], flags: vec!["svm"] };
        let scratch = "/scratch".into();
        Offer { kvm: Answer { kvm, runs_it }, cpus: 2, memory: Some(Mebibytes(1600)), scratch, space: None }
    }

    #[test]
    fn everything_is_told_in_lines_and_as_json() {
        let offer = offer(Kvm::Software { ratio: 480.0 });
        let lines = [
            "kvm: software: /dev/kvm is software virtualization (kvm_x), 480 times slower than the host (CPU flags: svm)",
            "back end auto: tcg for machines under the real clock, tcg for the virtual one",
            "cpus: 2",
            "memory: 1600 MiB available",
            "space: unknown free in /scratch",
            "machine tiny_2llc of 4 CPUs: fits, it takes 1536 MiB",
            "machine medium_4llc of 32 CPUs: does not fit, it takes 1920 MiB",
            "machine large_4llc of 128 CPUs: does not fit, it takes 3456 MiB",
        ];
        assert_eq!(offer.lines(), lines);
        let json = offer.json();
        assert_eq!(
            (&json["kvm"]["state"], &json["kvm"]["ratio"], &json["backend"]),
            (&json!("software"), &json!(480.0), &json!("tcg"))
        );
        assert_eq!((&json["machines"][0]["fits"], &json["scratch"]["free_mib"]), (&json!(true), &Value::Null));
    }

    #[test]
    fn kvm_is_missed_only_where_it_is_required() {
        let denied = offer(Kvm::Denied);
        assert_eq!(denied.lacks(false), None);
        let problem = denied.lacks(true).expect("lacks it");
        assert!(problem.starts_with("genuine KVM is required, and this process may not open /dev/kvm; "), "{problem}");
        assert_eq!(offer(Kvm::Genuine { ratio: 1.0 }).lacks(true), None);
    }

    #[test]
    fn the_smaller_of_what_the_host_and_the_cgroup_have_counts() {
        let meminfo = "MemTotal:  8 kB\nMemAvailable:    4194304 kB\n";
        assert_eq!(memory(meminfo, None), Some(Mebibytes(4096)));
        assert_eq!(memory(meminfo, Some(Mebibytes(512))), Some(Mebibytes(512)));
        assert_eq!(memory("", None), None);
    }
}
