//! Each check passes, fails and has nothing to look at, each time with the message that people read.

use ktstr_judge::{judge, parse_checks};
use ktstr_model::check::{merge, Has};
use ktstr_model::{Finding, Origin, Verdict};
use ktstr_testing::history::{history, History};

/// A finding as it reads in a report.
fn text(finding: &Finding) -> String {
    let name = finding.check.as_deref().unwrap_or(finding.cause.name());
    let bound = if finding.bound.is_empty() { String::new() } else { format!(", {}", finding.bound) };
    let place = &finding.place;
    let parts = [
        place.worker.clone(),
        place.cgroup.as_ref().map(|cgroup| format!("cgroup {cgroup}")),
        place.cpu.map(|cpu| format!("CPU {cpu}")),
        place.step.map(|step| format!("step {step}")),
        place.at.map(|at| format!("at {}ms", at.0 / 1_000_000)),
    ];
    let place = parts.into_iter().flatten().collect::<Vec<_>>().join(", ");
    let mut lines = vec![format!("{} {name}: {}{bound}", finding.verdict.name(), finding.measured)];
    lines.extend([place].into_iter().filter(|place| !place.is_empty()));
    lines.extend(finding.explanation.lines().map(Into::into));
    lines.join("\n  ")
}

/// All findings of a history under these checks alone.
fn found(history: &History, checks: &[&str]) -> String {
    let off = parse_checks(["not_starved=off", "isolation=off"]).expect("checks");
    let layer = parse_checks(checks).expect("checks");
    let checks = merge(&[(Origin::Default, &off), (Origin::Test, &layer)], Has::default());
    let judgement = judge(&history.recording(), &checks);
    judgement.findings.iter().map(text).collect::<Vec<_>>().join("\n")
}

const TWO_GROUPS: &str = "
    low: cpu_spin x2 @0-1
    high: cpu_spin x1 @0-1
";

fn two_groups(then: &str) -> History {
    history("1n2l2c1t", &format!("{TWO_GROUPS}\n{then}"))
}

#[test]
fn not_starved_passes_with_the_fewest_iterations() {
    let history = two_groups("hold 1s\n low/1 it=7");
    insta::assert_snapshot!(found(&history, &["not_starved=on"]), @"pass not_starved: all workers ran, at least 7 iterations, every worker must run in every step");
}

#[test]
fn not_starved_says_who_had_the_cpu() {
    let history = two_groups(
        "hold 1s
         low/0 it=0 cpu=0ms delay=1s on=
         hold 1s
         low/0 it=0 cpu=0ms delay=1s on=
         high/0 cpu=990ms",
    );
    insta::assert_snapshot!(found(&history, &["not_starved=on"]), @r"
    fail not_starved: cpu_spin/0 in cgroup low did not run for 2s (0 iterations, waited 2s runnable), every worker must run in every step
      cpu_spin/0, cgroup low, step 0, at 4000ms
      it may run on CPUs 0-1
      there meanwhile: cpu_spin/0 in cgroup high ran 1.49s, cpu_spin/1 in cgroup low ran 1s
    ");
}

#[test]
fn a_worker_may_miss_a_hold_but_not_a_step() {
    let history = two_groups("hold 1s\n low/0 it=0\n hold 1s");
    insta::assert_snapshot!(found(&history, &["not_starved=on"]), @"pass not_starved: all workers ran, at least 10000 iterations, every worker must run in every step");
    let history = two_groups("hold 1s\n low/0 it=0\n step\n hold 1s\n low/0 it=0\n low/1 it=0");
    insta::assert_snapshot!(found(&history, &["not_starved=on"]), @r"
    fail not_starved: cpu_spin/0 in cgroup low did not run for 1s (0 iterations, waited 0ns runnable, used 500ms of CPU time), every worker must run in every step
      cpu_spin/0, cgroup low, step 1, at 4000ms
      it may run on CPUs 0-1
      there meanwhile: cpu_spin/1 in cgroup low ran 500ms, cpu_spin/0 in cgroup high ran 500ms
      3 workers starved in all, counted in each step
    ");
}

#[test]
fn the_frozen_do_not_starve() {
    let history = two_groups("freeze low\n hold 1s");
    insta::assert_snapshot!(found(&history, &["not_starved=on", "max_gap=5ms"]), @r"
    pass not_starved: all workers ran, at least 10000 iterations, every worker must run in every step
    pass max_gap: gap of 1ms, at most 5ms
      cpu_spin/0, cgroup high, CPU 0, step 0, at 3000ms
    ");
    let history = two_groups("freeze low\n freeze high\n hold 1s");
    insta::assert_snapshot!(
        found(&history, &["not_starved=on", "max_gap=5ms", "isolation=on", "min_work_rate=1"]),
        @r"
    unknown not_starved: nothing to judge: no worker was to run, every worker must run in every step
    unknown max_gap: nothing to judge: no worker was to run, at most 5ms
    unknown isolation: nothing to judge: no worker was seen on any CPU, every worker must keep to its CPUs
    unknown min_work_rate: nothing to judge: no worker was to run, at least 1/s
    "
    );
}

#[test]
fn max_gap_has_the_worst_worker() {
    let history =
        two_groups("hold 1s\n step\n hold 500ms\n low/1 gap=812300us cpu=100ms delay=300ms on=1\n high/0 gap=600ms");
    insta::assert_snapshot!(found(&history, &["max_gap=500ms"]), @r"
    fail max_gap: gap of 812.3ms, at most 500ms
      cpu_spin/1, cgroup low, CPU 0, step 1, at 3500ms
      in this hold of 500ms it ran 100ms and waited 300ms runnable
    ");
    insta::assert_snapshot!(found(&history, &["max_gap=1s"]), @r"
    pass max_gap: gap of 812.3ms, at most 1s
      cpu_spin/1, cgroup low, CPU 0, step 1, at 3500ms
    ");
}

#[test]
fn a_bound_below_the_floor_of_the_clock_is_a_warning_and_judged_all_the_same() {
    let history = two_groups("hold 1s\n low/1 gap=2ms");
    let judged = |checks: &[&str]| {
        let layer = parse_checks(checks).expect("checks");
        judge(&history.recording(), &merge(&[(Origin::CommandLine, &layer)], Has::default()))
    };
    let fine = judged(&["max_gap=20ms", "max_spread=0.5"]);
    assert_eq!((fine.verdict, fine.warnings.len()), (Verdict::Pass, 0));
    let finer = judged(&["max_gap=1us", "max_wakeup_latency.p50=1ms", "max_wakeup_latency.max=9ms"]);
    assert_eq!(finer.verdict, Verdict::Fail);
    insta::assert_snapshot!(finer.warnings.join("\n"), @r"
    max_gap: 1us is below what the virtual clock can tell with 4 CPUs: the floor is 20ms; a red does not say that a scheduler is at fault
    max_wakeup_latency.max: 9ms is below what the virtual clock can tell with 4 CPUs: the floor is 10ms; a red does not say that a scheduler is at fault
    ");
    let red = finer.findings.iter().find(|finding| finding.verdict == Verdict::Fail).map(text);
    insta::assert_snapshot!(red.expect("is red"), @r"
    fail max_gap: gap of 2ms, at most 1us
      cpu_spin/1, cgroup low, CPU 0, step 0, at 3000ms
      in this hold of 1s it ran 500ms and waited 0ns runnable
    ");
}

#[test]
fn a_worker_that_never_ran_has_the_whole_hold_as_gap() {
    let history = two_groups("hold 1s\n low/1 it=0 cpu=0ms gap=0ms delay=1s");
    insta::assert_snapshot!(found(&history, &["max_gap=500ms"]), @r"
    fail max_gap: gap of 1s, at most 500ms
      cpu_spin/1, cgroup low, step 0, at 3000ms
      in this hold of 1s it ran 0ns and waited 1s runnable
    ");
}

#[test]
fn max_spread_compares_within_a_group() {
    let history = two_groups("hold 1s\n low/0 cpu=400ms\n low/1 cpu=500ms\n high/0 cpu=10ms");
    insta::assert_snapshot!(found(&history, &["max_spread=0.15"]), @r"
    fail max_spread: spread of 22.22%, at most 15%
      cpu_spin/0, cgroup low, step 0, at 3000ms
      of 2 workers cpu_spin/0 had the least CPU time with 400ms, cpu_spin/1 the most with 500ms
    ");
    insta::assert_snapshot!(found(&history, &["max_spread=0.25"]), @r"
    pass max_spread: spread of 22.22%, at most 25%
      cpu_spin/0, cgroup low, step 0, at 3000ms
    ");
}

#[test]
fn max_spread_takes_the_holds_of_a_step_together() {
    let history = two_groups("hold 1s\n low/0 cpu=0ms\n hold 1s\n low/1 cpu=0ms");
    insta::assert_snapshot!(found(&history, &["max_spread=0.01"]), @r"
    pass max_spread: spread of 0%, at most 1%
      cpu_spin/0, cgroup low, step 0, at 4000ms
    ");
}

#[test]
fn max_spread_needs_two_workers() {
    let history = history("1n1l2c1t", "a: cpu_spin x1\n b: cpu_spin x2\n hold 1s\n b/0 cpu=0ms\n b/1 cpu=0ms");
    insta::assert_snapshot!(found(&history, &["max_spread=0.15"]), @"unknown max_spread: nothing to judge: no group has two workers that used CPU time for a whole step, at most 15%");
}

const BY_NICE: &str = "
    a: cpu_spin x1 @0
    a: cpu_spin x1 @0 n+5
";

#[test]
fn weight_share_follows_nice() {
    let history = history("1n1l2c1t", &format!("{BY_NICE}\nhold 1s\n a/0 cpu=740ms\n a/1 cpu=250ms"));
    insta::assert_snapshot!(found(&history, &["weight_share=0.25"]), @r"
    pass weight_share: 2.442% off: cpu_spin/0 in cgroup a had 250ms of CPU time, its weight gives 244ms, at most 25% off
      cpu_spin/0, cgroup a, step 0, at 3000ms
    ");
}

#[test]
fn weight_share_fails_where_weights_are_inverted() {
    let history = history("1n1l2c1t", &format!("{BY_NICE}\nhold 1s\n a/0 cpu=250ms\n a/1 cpu=740ms"));
    insta::assert_snapshot!(found(&history, &["weight_share=0.25"]), @r"
    fail weight_share: 203.2% off: cpu_spin/0 in cgroup a had 740ms of CPU time, its weight gives 244ms, at most 25% off
      cpu_spin/0, cgroup a, step 0, at 3000ms
      cpu_spin/0: weight 1024, had 250ms, due 746ms
      cpu_spin/0: weight 335, had 740ms, due 244ms
    ");
}

#[test]
fn weight_share_gives_nobody_more_than_the_step() {
    let history = history(
        "1n1l2c1t",
        "a: cpu_spin x1 n-20
         a: cpu_spin x2
         hold 1s
         a/0 cpu=1s
         a/1 cpu=500ms
         a/2 cpu=490ms",
    );
    insta::assert_snapshot!(found(&history, &["weight_share=0.02"]), @r"
    pass weight_share: 1.01% off: cpu_spin/0 in cgroup a had 500ms of CPU time, its weight gives 495ms, at most 2% off
      cpu_spin/0, cgroup a, step 0, at 3000ms
    ");
}

#[test]
fn weight_share_compares_cgroups_beside_each_other() {
    let history = history(
        "1n1l1c1t",
        "all: bursty x1
         nest a all
         nest b all
         weight b 300
         a: cpu_spin x2
         b: cpu_spin x1
         hold 1s
         a/0 cpu=400ms
         a/1 cpu=400ms
         b/0 cpu=200ms",
    );
    insta::assert_snapshot!(found(&history, &["weight_share=0.25"]), @r"
    fail weight_share: 220% off: cgroup a had 800ms of CPU time, its weight gives 250ms, at most 25% off
      cgroup a, step 0, at 3000ms
      a: weight 100, had 800ms, due 250ms
      b: weight 300, had 200ms, due 750ms
    ");
}

#[test]
fn weight_share_counts_what_is_nested() {
    let history = history(
        "1n1l1c1t",
        "b: cpu_spin x1
         nest inner outer
         outer: cpu_spin x1 n+5
         inner: cpu_spin x1
         hold 1s
         b/0 cpu=500ms
         outer/0 cpu=100ms
         inner/0 cpu=390ms",
    );
    insta::assert_snapshot!(found(&history, &["weight_share=0.25"]), @r"
    pass weight_share: 1.01% off: cgroup b had 500ms of CPU time, its weight gives 495ms, at most 25% off
      cgroup b, step 0, at 3000ms
    ");
}

#[test]
fn weight_share_leaves_out_whom_weights_say_nothing_of() {
    let texts = [
        // Alone, asleep, of another class, not there for the whole step, on other CPUs.
        "a: cpu_spin x1\n hold 1s",
        "a: cpu_spin x1\n a: bursty x1\n hold 1s",
        "a: cpu_spin x1\n a: cpu_spin x1 fifo\n hold 1s",
        "a: cpu_spin x1\n hold 1s\n a: cpu_spin x1\n hold 1s",
        "a: cpu_spin x1 @0\n a: cpu_spin x1 @1\n hold 1s",
        // Cgroups: one that is limited, one that sleeps, one on other CPUs, one whose weight changes, one that is left.
        "a: cpu_spin x1\n b: cpu_spin x1\n limit b\n hold 1s",
        "a: cpu_spin x1\n b: yield_heavy x1\n hold 1s",
        "a: cpu_spin x1 @0\n b: cpu_spin x1 @1\n hold 1s",
        "a: cpu_spin x1\n b: cpu_spin x1\n hold 1s\n weight b 5\n hold 1s",
        "a: cpu_spin x1\n b: cpu_spin x1\n hold 1s\n move b c\n hold 1s",
        // Nobody had any CPU time.
        "a: cpu_spin x2\n hold 1s\n a/0 cpu=0ms\n a/1 cpu=0ms",
    ];
    for text in texts {
        let found = found(&history("1n1l2c1t", text), &["weight_share=0.25"]);
        assert!(found.starts_with("unknown weight_share: nothing to judge: no two workers"), "{text}: {found}");
    }
    // Two that move together can be compared.
    let history = history("1n1l2c1t", "a: cpu_spin x2\n hold 1s\n move a b\n hold 1s\n b/0 cpu=100ms");
    insta::assert_snapshot!(found(&history, &["weight_share=0.25"]), @r"
    pass weight_share: 25% off: cpu_spin/0 in cgroup b had 600ms of CPU time, its weight gives 800ms, at most 25% off
      cpu_spin/0, cgroup b, step 0, at 4000ms
    ");
}

#[test]
fn isolation_names_the_cpus() {
    let history = two_groups("hold 1s\n low/0 on=0,3\n step\n hold 1s\n low/1 on=2-3");
    insta::assert_snapshot!(found(&history, &["isolation=on"]), @r"
    fail isolation: cpu_spin/1 in cgroup low ran on CPU 2-3, outside of 0-1, every worker must keep to its CPUs
      cpu_spin/1, cgroup low, CPU 2, step 1, at 4000ms
      2 workers strayed in all, counted in each hold
    ");
    insta::assert_snapshot!(found(&two_groups("hold 1s"), &["isolation=on"]), @"pass isolation: all workers kept to their CPUs, every worker must keep to its CPUs");
}

#[test]
fn isolation_of_workers_that_never_ran_is_unknown() {
    let history = history("1n1l1c1t", "a: cpu_spin x1\n hold 1s\n a/0 it=0 on=");
    insta::assert_snapshot!(found(&history, &["isolation=on"]), @"unknown isolation: nothing to judge: no worker was seen on any CPU, every worker must keep to its CPUs");
}

#[test]
fn min_work_rate_is_per_second_of_the_step() {
    let history = two_groups("hold 500ms\n low/0 it=40 cpu=50ms delay=450ms\n hold 1500ms\n low/0 it=60 cpu=50ms");
    insta::assert_snapshot!(found(&history, &["min_work_rate=50"]), @r"
    pass min_work_rate: rate of 50/s, at least 50/s
      cpu_spin/0, cgroup low, step 0, at 4000ms
    ");
    insta::assert_snapshot!(found(&history, &["min_work_rate=51"]), @r"
    fail min_work_rate: rate of 50/s, at least 51/s
      cpu_spin/0, cgroup low, step 0, at 4000ms
      100 iterations in 2s, of which it ran 100ms and waited 450ms runnable
    ");
}

#[test]
fn max_wakeup_latency_has_the_worst_group() {
    let history = history(
        "1n2l2c2t",
        "a: bursty x2
         b: pipe_ping_pong x2
         hold 1s
         b/0 wake=1ms,1ms,1ms,9ms
         b/1 wake=1ms",
    );
    insta::assert_snapshot!(
        found(&history, &["max_wakeup_latency.p50=2ms", "max_wakeup_latency.max=5ms"]),
        @r"
    fail max_wakeup_latency: wakeup p50 1.016ms, max 9ms, p50 at most 2ms, max at most 5ms
      cgroup b, step 0, at 3000ms
      pipe_ping_pong: 5 wakeups in this step, p50 1.016ms, p99 9ms, p999 9ms, max 9ms
    "
    );
    insta::assert_snapshot!(found(&history, &["max_wakeup_latency.p99=20ms"]), @r"
    pass max_wakeup_latency: wakeup p99 9ms, p99 at most 20ms
      cgroup b, step 0, at 3000ms
    ");
}

#[test]
fn without_wakeups_there_is_no_latency() {
    let spinners = two_groups("hold 1s");
    insta::assert_snapshot!(found(&spinners, &["max_wakeup_latency.p99=20ms"]), @"unknown max_wakeup_latency: nothing to judge: no worker of this case blocks, so none is woken, p99 at most 20ms");
    let asleep = history("1n1l1c1t", "a: bursty x1\n hold 1s\n a/0 wake=1ms\n freeze a\n step\n hold 1s");
    insta::assert_snapshot!(found(&asleep, &["max_wakeup_latency.p99=20ms"]), @r"
    pass max_wakeup_latency: wakeup p99 1ms, p99 at most 20ms
      cgroup a, step 0, at 3000ms
    ");
    let frozen = history("1n1l1c1t", "a: bursty x1\n freeze a\n hold 1s");
    insta::assert_snapshot!(found(&frozen, &["max_wakeup_latency.p99=20ms"]), @"unknown max_wakeup_latency: nothing to judge: no worker was woken, p99 at most 20ms");
}

#[test]
fn a_case_without_workers_has_nothing_to_judge() {
    let history = history("1n1l1c1t", "hold 1s");
    let all = [
        "not_starved=on",
        "isolation=on",
        "max_gap=1s",
        "max_spread=1",
        "min_work_rate=1",
        "max_wakeup_latency.max=1s",
    ];
    insta::assert_snapshot!(found(&history, &all), @r"
    unknown not_starved: nothing to judge: no worker was to run, every worker must run in every step
    unknown max_gap: nothing to judge: no worker was to run, at most 1s
    unknown max_spread: nothing to judge: no group has two workers that used CPU time for a whole step, at most 100%
    unknown isolation: nothing to judge: no worker was seen on any CPU, every worker must keep to its CPUs
    unknown min_work_rate: nothing to judge: no worker was to run, at least 1/s
    unknown max_wakeup_latency: nothing to judge: no worker of this case blocks, so none is woken, max at most 1s
    ");
    insta::assert_snapshot!(found(&history, &[]), @"unknown nothing to judge: nothing to judge: all checks are switched off");
}

#[test]
fn moved_workers_are_named_by_where_they_are() {
    let history = two_groups("hold 1s\n move low high\n step\n hold 1s\n high/2 gap=2s");
    insta::assert_snapshot!(found(&history, &["max_gap=1s"]), @r"
    fail max_gap: gap of 2s, at most 1s
      cpu_spin/0, cgroup high, CPU 0, step 1, at 4000ms
      in this hold of 1s it ran 500ms and waited 0ns runnable
    ");
}
