//! What the host took from the machine: failures of time that can be its doing.
//!
//! Under the real clock the guest sees as a gap or a latency that the host ran something else. Where a check of time fails while the
//! host held off a CPU for longer than the check allows, nothing can be said of the scheduler: the finding becomes
//! infrastructure. What was held off for less time explains nothing, and the failure stays one.

use crate::number::nanos;
use crate::run::Run;
use ktstr_model::{Cause, Clock, Finding, Verdict};
use ktstr_recording::CpuSteal;

/// The failure `finding`, unless it can be the host's doing: `longer_than` is what a CPU has to be held off for that, in nanoseconds; none:
/// nothing that the host does is a reason.
pub(crate) fn excuse(run: &Run<'_>, finding: Finding, longer_than: Option<u64>) -> Finding {
    let fails = finding.verdict == Verdict::Fail && run.case.clock == Clock::Real;
    let Some(limit) = longer_than.filter(|_| fails) else { return finding };
    let worst = run.steal.iter().filter(|of| of.longest_ns > limit).max_by_key(|of| (of.longest_ns, u32::MAX - of.cpu));
    let Some(CpuSteal { cpu, longest_ns, longest_at, .. }) = worst else { return finding };
    let until =
        longest_at.map(|at| format!(", until about {:.1} s of guest time", at.0 as f64 / 1e9)).unwrap_or_default();
    let reason = format!(
        "longer than {}{until}: nothing can be said of the scheduler; a host with less to do would tell, or pin_cpus on KVM",
        nanos(limit)
    );
    let lines: Vec<&str> = std::iter::once(reason.as_str()).chain(finding.explanation.lines()).collect();
    Finding {
        verdict: Verdict::Infrastructure,
        cause: Cause::HostSteal,
        measured: format!("{} while the host held off CPU {cpu} for up to {}", finding.measured, nanos(*longest_ns)),
        explanation: lines.join("\n"),
        ..finding
    }
}
