//! What the cases of `//tests/schedulers` come to when the failure that they expect does not come, or another one; and what a
//! scheduler under a real-time task gets on a kernel that keeps a part of each CPU for it.

use ktstr_model::What;
use ktstr_tests::Target;

/// The faults, each with what its case expects. As `FAULTS` of `faults.bzl`, which has all the rest.
const FAULTS: [(&str, &str); 17] = [
    ("count-twice", "check"),
    ("drop", "stall"),
    ("error", "scx_bpf_error"),
    ("error-line", "error log"),
    ("exit", "exit"),
    ("hang", "load hang"),
    ("idle-beside-queue", "check"),
    ("invert", "check"),
    ("no-kick", "check"),
    ("not-allowed", "runtime error"),
    ("panic-load", "user panic"),
    ("panic-run", "user panic"),
    ("starve", "check"),
    ("starve-kthreads", "check"),
    ("verifier", "verifier"),
    ("vtime-far", "check"),
    ("wrap", "check"),
];

/// Least part of a CPU that the deadline server of sched_ext gives, of the 5 % that it is set to.
const EXT_SERVER: f64 = 0.04;

#[test]
fn without_its_fault_each_case_fails() {
    for (fault, cause) in FAULTS {
        let expected = format!("unexpected: expected {cause}");
        Target::new(&format!("without_{fault}_linux_7_3")).run().expect(1, &["FAIL", &expected, "; nothing failed"]);
    }
}

#[test]
fn a_failure_is_red_and_says_why() {
    Target::new("not_expected_linux_7_3").run().expect(
        1,
        &["FAIL", "scx_bpf_error from ktstr_dispatch: ktstr: error on purpose after 50 dispatches", "phase run"],
    );
}

#[test]
fn another_failure_than_the_expected_one_is_red() {
    Target::new("expected_otherwise_linux_7_3")
        .run()
        .expect(1, &["FAIL", "unexpected: expected stall; what failed is scx_bpf_error"]);
}

#[test]
fn a_target_that_skips_everything_is_red() {
    let reason = "the kernel 6.12.";
    Target::new("tests_nothing").run().expect(
        1,
        &[
            "SKIP",
            reason,
            "has no sched_ext_ops (CONFIG_SCHED_CLASS_EXT), which scx_ktstr needs",
            "WARNING: every case is skipped",
        ],
    );
}

#[test]
fn a_kfunc_that_no_program_can_call_is_not_there() {
    let reason = "has no scx_bpf_create_dsq, which scx_ktstr needs";
    Target::new("elsewhere_error_linux_7_1").run().expect(0, &["SKIP", "the kernel 7.1.", reason]);
}

#[test]
fn what_the_guest_cannot_execute_is_refused_before_anything_boots() {
    Target::new("takes_no_script")
        .run()
        .expect(2, &["is a script for \"/bin/sh\": there is no such program in the guest"]);
}

#[test]
fn a_task_under_a_real_time_task_gets_its_part_where_the_kernel_keeps_one() {
    let ran = Target::new("behind_rt_fixed_linux_7_3").run();
    ran.expect(0, &["PASS"]);
    let recordings = ran.recordings();
    let recording = recordings.values().next().expect("a case");
    let hold = recording.header.case.plan.segments().map(|(_, hold, _)| hold.0).sum::<u64>();
    // The second worker is the one of the scheduler.
    let cpu = recording.events().filter_map(|event| match &event.what {
        What::Worker(report) if report.worker == 1 => Some(report.cpu_ns),
        _ => None,
    });
    let part = cpu.sum::<u64>() as f64 / hold as f64;
    assert!((EXT_SERVER..0.5).contains(&part), "{part} of the CPU");
}
