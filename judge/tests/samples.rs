//! Checks on samples of the guest's kernel pass, fail and have nothing to look at, each time with the message that people read.

use ktstr_judge::{judge, parse_checks};
use ktstr_model::check::{merge, Has};
use ktstr_model::{Finding, Origin};
use ktstr_recording::{Ending, HostEvent};
use ktstr_testing::history::{history, History};

const WAITING: &str = r#"over_time={"bounded": {"metric": "waiting", "high": "1s"}}"#;

/// A finding as it reads in a report.
fn text(finding: &Finding) -> String {
    let name = finding.check.as_deref().unwrap_or(finding.cause.name());
    let place = &finding.place;
    let parts = [
        place.cpu.map(|cpu| format!("CPU {cpu}")),
        place.step.map(|step| format!("step {step}")),
        place.at.map(|at| format!("at {}ms", at.0 / 1_000_000)),
    ];
    let place = parts.into_iter().flatten().collect::<Vec<_>>().join(", ");
    let line = format!("{} {name}: {}, {}", finding.verdict.name(), finding.measured, finding.bound);
    let mut lines = vec![line.trim_end_matches(", ").to_owned()];
    lines.extend([place].into_iter().filter(|place| !place.is_empty()));
    lines.extend(finding.explanation.lines().map(Into::into));
    lines.join("\n  ")
}

/// All findings of a history under these checks alone.
fn found(history: &History, checks: &[&str]) -> String {
    let off = parse_checks(["not_starved=off"]).expect("checks");
    let layer = parse_checks(checks).expect("checks");
    let checks = merge(&[(Origin::Default, &off), (Origin::Test, &layer)], Has::default());
    judge(&history.recording(), &checks).findings.iter().map(text).collect::<Vec<_>>().join("\n")
}

/// A hold of three seconds on two LLCs of a CPU each, with two spinners.
fn seen(lines: &str) -> History {
    history("1n2l1c1t", &format!("a: cpu_spin x2\nhold 3s\n{lines}"))
}

#[test]
fn a_task_that_nobody_declared_starves() {
    let kworker = "see 0ms..3s cpus=1,2
        see 0ms..3s curr=1:hog
        see 100ms..3s task kworker/1:0 pid=40 cpu=1 allowed=1 kernel wait=30ms";
    insta::assert_snapshot!(found(&seen(kworker), &["not_starved=on"]), @r"
    fail not_starved: kworker/1:0 (pid 40, kernel thread) waited 2.93s for a CPU, every worker must run in every step, and no task may wait too long
      CPU 1, step 0, at 5000ms
      it may run on CPUs 1; with this load it may wait for 1.048s
      CPU 1 meanwhile: hog (pid 999) in 294 of 294 samples
    ");
    let moved = "see 100ms..900ms task x pid=40 wait=10ms
        see 1000ms..2s task x pid=40 cpu=1 wait=0ms
        see 2100ms task x pid=40 ran=1 runs";
    insta::assert_snapshot!(found(&seen(moved), &["not_starved=on"]), @r"
    fail not_starved: x (pid 40) waited 1.91s for a CPU, every worker must run in every step, and no task may wait too long
      CPU 1, step 0, at 4000ms
      it may run on CPUs 0-1; with this load it may wait for 1.048s
      CPU 1 meanwhile: idle in 20 of 20 samples
    ");
}

#[test]
fn load_and_what_holds_a_task_are_reasons_to_wait() {
    for (lines, expected) in [
        ("see 100ms..1100ms task x pid=40 wait=0ms", "no task waited longer than 1s"),
        (
            "see 100ms..3s task x pid=40 wait=0ms throttled\nsee 100ms..300ms task y pid=41 wait=5ms",
            "no task waited longer than 205ms; x (pid 40) waited 2.9s, since its cgroup has used up its cpu.max",
        ),
        ("see 100ms..3s task x pid=40 wait=0ms nice=19", "no task waited longer than 2.9s"),
        ("see 100ms..3s task", "no task was seen waiting for a CPU"),
        ("see 100ms..3s cpus=1,1", "other tasks were not looked at: no hold was long enough"),
        (
            "see 100ms task x pid=40 wait=900ms\nsee 100ms partial",
            "other tasks were not looked at: no look saw all tasks: their list could not be read to its end",
        ),
        (
            "blind it has no symbols",
            "other tasks were not looked at: the kernel could not be looked at: it has no symbols",
        ),
    ] {
        let found = found(&seen(lines), &["not_starved=on"]);
        let expected = format!("pass not_starved: all workers ran, at least 30000 iterations; {expected}, ");
        assert!(found.starts_with(&expected), "{lines}: {found}");
    }
}

#[test]
fn a_worker_that_starves_comes_before_other_tasks() {
    let both = "see 100ms..3s task kworker/1:0 pid=40 cpu=1 wait=0ms\na/0 it=0 cpu=0ms delay=3s";
    insta::assert_snapshot!(found(&seen(both), &["not_starved=on"]), @r"
    fail not_starved: cpu_spin/0 in cgroup a did not run for 3s (0 iterations, waited 3s runnable), every worker must run in every step, and no task may wait too long
      step 0, at 5000ms
      it may run on CPUs 0-1
      there meanwhile: cpu_spin/1 in cgroup a ran 1.5s
      kworker/1:0 (pid 40) waited 2.9s for a CPU
    ");
}

#[test]
fn tasks_are_judged_where_no_worker_runs_but_not_where_the_guest_hangs() {
    let frozen = history("1n1l1c1t", "a: cpu_spin x1\nfreeze a\nhold 1s\nsee 100ms task");
    insta::assert_snapshot!(found(&frozen, &["not_starved=on"]), @"pass not_starved: no worker was to run; no task was seen waiting for a CPU, every worker must run in every step, and no task may wait too long");
    let mut hung =
        seen("see 100ms..2s task kworker/1:0 pid=40 cpu=1 wait=0ms").ended(Ending::Hang { cpu_ms: 9, cpus: vec![] });
    hung.events.truncate(3);
    insta::assert_snapshot!(found(&hung, &["not_starved=on", WAITING]), @r"
    fail hang: no heartbeat for 9ms of CPU time
      step 0, at 2000ms
    fail bounded: waiting of 1.9s of kworker/1:0 (pid 40), waiting at most 1s
      CPU 1, step 0, at 4000ms
    ");
}

#[test]
fn a_cpu_must_not_be_idle_while_a_task_waits_for_it() {
    let other = "see 0ms..500ms cpus=3,0\nsee 100ms..200ms task x pid=40 cpu=0 wait=60ms";
    insta::assert_snapshot!(found(&seen(other), &["work_conserving=100ms"]), @r"
    fail work_conserving: CPU 1 was idle for 160ms while x (pid 40) waited on CPU 0 of another LLC, no CPU idle for over 100ms while a task waits for it
      CPU 1, step 0, at 2200ms
      the task may run on CPUs 0-1 and waited 160ms in all
    ");
    let unread = found(&seen(&format!("{other}\nsee 150ms unread=1")), &["work_conserving=100ms"]);
    assert_eq!(unread, found(&seen(other), &["work_conserving=100ms"]), "it is idle before and behind");
    let near = history("1n1l2c1t", &format!("a: cpu_spin x2\nhold 1s\n{other}"));
    insta::assert_snapshot!(found(&near, &["work_conserving=200ms"]), @r"
    pass work_conserving: CPU 1 was idle for 160ms while x (pid 40) waited on CPU 0 of the same LLC, no CPU idle for over 200ms while a task waits for it
      CPU 1, step 0, at 2200ms
    ");
    let own = "see 0ms..500ms cpus=1,0\nsee 200ms..300ms local=0,1\nsee 100ms task";
    insta::assert_snapshot!(found(&seen(own), &["work_conserving=20ms"]), @r"
    fail work_conserving: CPU 1 was idle for 100ms with 1 task in its own queue, no CPU idle for over 20ms while a task waits for it
      CPU 1, step 0, at 2300ms
      nobody had told it that there is work, or it did not look
    ");
}

#[test]
fn idle_cpus_are_all_right_if_nobody_may_or_can_run_there() {
    let idle = "see 0ms..500ms cpus=3,0\n";
    for lines in [
        "see 100ms..200ms task x pid=40 wait=60ms allowed=0",
        "see 100ms..200ms task x pid=40 wait=60ms throttled",
        "see 100ms..200ms task x pid=40 wait=15ms\nsee 180ms ran=1\nsee 130ms ran=1\nsee 160ms ran=1\nsee 90ms ran=1\nsee 110ms ran=1",
        "see 200ms off=1\nsee 200ms task x pid=40 wait=15ms",
        "see 200ms task x pid=40 wait=15ms\nsee 300ms task x pid=40 ran=2 wait=15ms",
        "step\nhold 50ms\nhold 60ms\nsee 0ms..60ms cpus=3,0\nsee 45ms task x pid=40 wait=90ms",
        "limit a\nstep\nhold 1s\nsee 0ms..500ms cpus=3,0\nsee 100ms..200ms task x pid=40 wait=60ms",
    ] {
        let found = found(&seen(&format!("{idle}{lines}")), &["work_conserving=50ms"]);
        assert!(found.starts_with("pass work_conserving: "), "{lines}: {found}");
    }
}

#[test]
fn what_cannot_be_known_is_unknown() {
    const LOCAL: &str = r#"over_time={"bounded": {"metric": "local_dsq_depth", "high": 1}}"#;
    const UNREAD: &str = "where it counts, not all CPUs on line could be read";
    const NOT_ALL: &str = "no look saw all tasks: their list could not be read to its end";
    for (lines, check, expected) in [
        ("see 0ms..1s cpus=1,1", "work_conserving=50ms", "no sample that looks at tasks was taken in a hold"),
        ("see 0ms..1s cpus=1,1", "max_imbalance=1:200", "no step has 200 samples of imbalance in a row"),
        (
            "series v\nlacks maps: no map_idr\nsee 0ms..1s v=none",
            r#"over_time={"never_decreases": {"metric": "series:v"}}"#,
            "this kernel shows no maps (maps: no map_idr)",
        ),
        ("see 0ms..1s cpus=1,1", "max_dsq_depth=1:2", "no scheduler was attached when samples were taken"),
        ("see 0ms..1s SCX_EV_X=1 torn", "max_dsq_depth=1:2", "the scheduler's queues could not be read"),
        ("see 0ms..1s dsq=1:0 torn", "max_dsq_depth=1:2", "the scheduler's queues could not be read"),
        (
            "see 0ms..1s off=0\nsee 0ms..1s off=1",
            r#"over_time={"settles": {"metric": "idle_cpus", "to": 0, "within": "1ms"}}"#,
            "no sample has a CPU",
        ),
        ("see 0ms..1s cpus=0,9 unread=0", "max_imbalance=1:2", UNREAD),
        ("see 0ms..500ms cpus=1,1\nsee 0ms..1s local=0,9 unread=0", LOCAL, UNREAD),
        ("see 0ms..1s cpus=0,9 unread=0\nsee 100ms task", "work_conserving=50ms", UNREAD),
        ("see 100ms task\nsee 100ms partial", "work_conserving=50ms", NOT_ALL),
        ("see 100ms task x pid=4 wait=2s\nsee 100ms partial", WAITING, NOT_ALL),
        (
            "see 0ms..1s dsq=1:0\nsee 9s SCX_EV_DISPATCH_KEEP_LAST=1",
            "max_keep_last_rate=1",
            "the scheduler's events could not be read",
        ),
        ("see 0ms..1s SCX_EV_X=1", "max_keep_last_rate=1", "this kernel shows no SCX_EV_DISPATCH_KEEP_LAST"),
        (
            "lacks sched_ext: before scx_root\nsee 0ms..1s noscx",
            "max_dsq_depth=1:2",
            "this kernel shows no sched_ext (sched_ext: before scx_root)",
        ),
        ("blind it has no symbols", "max_imbalance=1:2", "the kernel could not be looked at: it has no symbols"),
        ("", "max_imbalance=1:2", "the host was told not to look at the kernel (monitor)"),
    ] {
        let found = found(&seen(lines), &[check]);
        assert!(found.contains(&format!(": nothing to judge: {expected}, ")), "{lines}: {found}");
        assert!(found.starts_with("unknown "), "{found}");
    }
}

#[test]
fn what_is_wrong_is_so_though_not_all_was_seen() {
    for (lines, check, expected) in [
        ("", "not_starved=on", "fail not_starved: x (pid 40) waited 1.9s for a CPU, "),
        (
            "see 0ms..2s cpus=0,2",
            "work_conserving=50ms",
            "fail work_conserving: CPU 0 was idle for 1.9s while x (pid 40) ",
        ),
    ] {
        let lines = format!("{lines}\nsee 2s task x pid=40 cpu=1 wait=1900ms\nsee 2s partial");
        let found = found(&seen(&lines), &[check]);
        assert!(found.starts_with(expected), "{lines}: {found}");
    }
}

#[test]
fn samples_that_stop_before_the_end_make_no_check_green() {
    let stopped = |lines: &str, check: &str| {
        let problem = "no registers".into();
        found(&seen(lines).host(HostEvent::Unmonitored { problem }), &[check, "may_lack=on"])
    };
    let why = "the kernel was not looked at to the end: no registers";
    let queues = "see 0ms..1s cpus=1,1 dsq=1:9";
    for (lines, check, expected) in [
        (queues, "max_dsq_depth=9:2", format!("unknown max_dsq_depth: nothing to judge: {why}, ")),
        (queues, "max_dsq_depth=8:2", "fail max_dsq_depth: 9 tasks in DSQ 0x1, ".into()),
        ("see 0ms..1s noscx\nlacks sched_ext", "max_dsq_depth=8:2", "pass max_dsq_depth: not judged, ".into()),
        ("hold 1s\nsee 9s cpus=1,1", "max_imbalance=1:2", format!("unknown max_imbalance: nothing to judge: {why}, ")),
        (
            "see 100ms..300ms task",
            "not_starved=on",
            format!(
                "pass not_starved: all workers ran, at least 30000 iterations; no task was seen waiting for a CPU; {why}, "
            ),
        ),
    ] {
        let found = stopped(lines, check);
        assert!(found.starts_with(&expected), "{lines}: {found}");
    }
}

#[test]
fn a_test_may_allow_that_a_kernel_lacks_what_a_check_needs() {
    for (lines, expected) in [
        (
            "lacks sched_ext: before scx_root\nsee 0ms..1s noscx",
            "pass max_dsq_depth: not judged, as may_lack allows: this kernel shows no sched_ext",
        ),
        ("blind it has no symbols", "pass max_dsq_depth: not judged, as may_lack allows: the kernel could not"),
        ("see 0ms..1s cpus=1,1", "unknown max_dsq_depth: nothing to judge: no scheduler was attached"),
        ("see 0ms..1s dsq=1:9", "fail max_dsq_depth: 9 tasks in DSQ 0x1"),
    ] {
        let found = found(&seen(lines), &["max_dsq_depth=1:2", "may_lack=on"]);
        assert!(found.starts_with(expected), "{lines}: {found}");
    }
    let lacks = seen("lacks sched_ext: before scx_root\nsee 0ms..1s noscx");
    insta::assert_snapshot!(found(&lacks, &["max_dsq_depth=1:2"]), @r"
    unknown max_dsq_depth: nothing to judge: this kernel shows no sched_ext (sched_ext: before scx_root), at most 1 for 2 samples in a row
      may_lack = True in the checks would let it pass without a look
    ");
}

#[test]
fn too_much_for_too_long_in_queues() {
    let lines = "see 0ms..1s cpus=4,3 dsq=1:2,7:0\nsee 200ms..290ms cpus=6,1\nsee 500ms cpus=9,0 dsq=7:90";
    insta::assert_snapshot!(found(&seen(lines), &["max_imbalance=2:10", "max_dsq_depth=50:1"]), @r"
    fail max_imbalance: imbalance of 5, at most 2 for 10 samples in a row
      CPU 0, step 0, at 2200ms
      so many or more for 10 samples in a row
    fail max_dsq_depth: 90 tasks in DSQ 0x7, at most 50 for 1 sample in a row
      step 0, at 2500ms
      so many or more for 1 sample in a row
    ");
    insta::assert_snapshot!(found(&seen(lines), &["max_imbalance=2:11", "max_dsq_depth=50:2"]), @r"
    pass max_imbalance: imbalance of 1, at most 2 for 11 samples in a row
      CPU 0, step 0, at 2000ms
    pass max_dsq_depth: 2 tasks in DSQ 0x1, at most 50 for 2 samples in a row
      step 0, at 2000ms
    ");
}

#[test]
fn events_are_judged_step_by_step() {
    let lines = "see 0ms..2s SCX_EV_SELECT_CPU_FALLBACK=100+1 SCX_EV_DISPATCH_KEEP_LAST=0
        step
        hold 1s
        see 0ms..500ms SCX_EV_SELECT_CPU_FALLBACK=900+3 SCX_EV_DISPATCH_KEEP_LAST=7
        see 510ms..1s SCX_EV_SELECT_CPU_FALLBACK=3+3";
    insta::assert_snapshot!(found(&seen(lines), &["max_fallback_rate=299", "max_keep_last_rate=0"]), @r"
    fail max_fallback_rate: 300/s, at most 299/s
      step 1, at 6000ms
      SCX_EV_SELECT_CPU_FALLBACK: its scheduler chose a CPU that the task may not use, and the kernel another
    pass max_keep_last_rate: 0/s, at most 0/s
      step 0, at 4000ms
    ");
}
