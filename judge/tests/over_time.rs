//! What holds for metrics over time: each kind holds, is broken and has nothing to look at.

use ktstr_judge::{judge, parse_checks};
use ktstr_model::check::{merge, Has};
use ktstr_model::{Finding, Origin};
use ktstr_recording::HostEvent;
use ktstr_testing::history::history;

/// Line, place and explanation of a finding.
fn text(finding: &Finding) -> String {
    let place = &finding.place;
    let at = place.at.map(|at| format!(" at {}ms", at.0 / 1_000_000)).unwrap_or_default();
    let step = place.step.map(|step| format!(" in step {step}")).unwrap_or_default();
    let Finding { verdict, check, measured, bound, explanation, .. } = finding;
    let why = if explanation.is_empty() { String::new() } else { format!(" | {explanation}") };
    format!("{} {}: {measured}, {bound}{step}{at}{why}", verdict.name(), check.as_deref().unwrap_or("-"))
}

/// What a history of two holds of 500 ms, each a step, comes to under one check; lines are about the last hold before them.
fn found(first: &str, second: &str, check: &str) -> String {
    let series = "series nr_queued\nseries vtime\nseries vtime_now";
    let history =
        history("1n1l2c1t", &format!("{series}\na: cpu_spin x2\nhold 500ms\n{first}\nstep\nhold 500ms\n{second}"));
    let layer = parse_checks(["not_starved=off", &format!("over_time={check}")]).expect("checks");
    let checks = merge(&[(Origin::Test, &layer)], Has::default());
    judge(&history.recording(), &checks).findings.iter().map(text).collect::<Vec<_>>().join("\n")
}

#[test]
fn settles_looks_at_what_is_after_a_time() {
    let settles = |samples| {
        format!(r#"{{"settles": {{"metric": "imbalance", "to": 1, "within": "200ms", "samples": {samples}}}}}"#)
    };
    let (first, second) =
        ("see 0ms..190ms cpus=4,0\nsee 200ms..500ms cpus=2,2", "see 0ms..500ms cpus=2,2\nsee 300ms..320ms cpus=3,1");
    insta::assert_snapshot!(found(first, second, &settles(1)), @"fail settles: imbalance of 2 after 300ms of the step, imbalance at most 1 from 200ms on in step 1 at 2800ms");
    insta::assert_snapshot!(found(first, second, &settles(3)), @"fail settles: imbalance of 2 after 300ms of the step, imbalance at most 1 from 200ms on, judged by 3 samples in a row in step 1 at 2800ms | so far off or further for 3 samples in a row");
    insta::assert_snapshot!(found(first, second, &settles(4)), @"pass settles: imbalance of 0 after 200ms of the step, imbalance at most 1 from 200ms on, judged by 4 samples in a row in step 0 at 2200ms");
    insta::assert_snapshot!(found("see 0ms..190ms cpus=4,0", "", &settles(1)), @"unknown settles: nothing to judge: no step has a sample of imbalance after 200ms, imbalance at most 1 from 200ms on");
}

#[test]
fn bounded_has_the_worst_value() {
    let waiting = r#"{"bounded": {"metric": "waiting", "high": "50ms", "samples": 2}}"#;
    let lines = "see 0ms..500ms cpus=1,1\nsee 100ms..300ms task x pid=4 wait=10ms";
    insta::assert_snapshot!(found(lines, "", waiting), @"fail bounded: waiting of 110ms of x (pid 4), waiting at most 50ms, judged by 2 samples in a row in step 0 at 2200ms | so far off or further for 2 samples in a row");
    let low = r#"{"bounded": {"metric": "series:nr_queued", "low": -3, "high": 5}}"#;
    insta::assert_snapshot!(found("see 0ms..100ms nr_queued=5", "see 0ms..100ms nr_queued=4\nsee 50ms nr_queued=-7", low), @"fail bounded: series:nr_queued of -7, series:nr_queued -3 to 5 in step 1 at 2550ms");
    insta::assert_snapshot!(found("see 0ms..100ms nr_queued=5", "see 0ms..100ms", low), @"pass bounded: series:nr_queued of 5, series:nr_queued -3 to 5 in step 0 at 2000ms");
    insta::assert_snapshot!(found("see 0ms..100ms", "see 0ms..100ms", low), @"unknown bounded: nothing to judge: series `nr_queued` has no value: there was no such map, series:nr_queued -3 to 5");
}

#[test]
fn never_decreases_has_the_largest_fall() {
    let falls = r#"{"never_decreases": {"metric": "series:nr_queued"}}"#;
    let grows = "see 0ms..100ms nr_queued=5+2";
    insta::assert_snapshot!(found(grows, "see 0ms..100ms nr_queued=1+1", falls), @"pass never_decreases: series:nr_queued never fell, series:nr_queued must not fall");
    insta::assert_snapshot!(found(grows, "see 0ms..100ms nr_queued=9\nsee 40ms..60ms nr_queued=6\nsee 65ms nr_queued=none\nsee 70ms..100ms nr_queued=1", falls), @"fail never_decreases: series:nr_queued fell by 3, from 9 to 6, series:nr_queued must not fall in step 1 at 2540ms");
    insta::assert_snapshot!(found("see 0ms nr_queued=5", "", falls), @"unknown never_decreases: nothing to judge: no step has two samples of series:nr_queued, series:nr_queued must not fall");
}

#[test]
fn rate_and_ratio_are_of_a_whole_step() {
    let rate = r#"{"rate": {"metric": "event:SCX_EV_A", "low": 50, "high": 250}}"#;
    let (first, second) =
        ("see 0ms..500ms SCX_EV_A=10+2 SCX_EV_B=10+1", "see 0ms..500ms SCX_EV_A=200+3 SCX_EV_B=100+1");
    insta::assert_snapshot!(found(first, second, rate), @"fail rate: event:SCX_EV_A grew by 300 a second, event:SCX_EV_A 50 to 250 a second in step 1 at 3000ms");
    insta::assert_snapshot!(found(first, first, rate), @"pass rate: event:SCX_EV_A grew by 200 a second, event:SCX_EV_A 50 to 250 a second in step 0 at 2490ms");
    let ratio =
        |high: &str| format!(r#"{{"ratio": {{"a": "event:SCX_EV_A", "b": "event:SCX_EV_B", "high": {high}}}}}"#);
    insta::assert_snapshot!(found(first, second, &ratio("2.5")), @"fail ratio: event:SCX_EV_A / event:SCX_EV_B was 3, event:SCX_EV_A / event:SCX_EV_B at most 2.5 in step 1 at 3000ms");
    insta::assert_snapshot!(found(first, second, &ratio("3")), @"pass ratio: event:SCX_EV_A / event:SCX_EV_B was 3, event:SCX_EV_A / event:SCX_EV_B at most 3 in step 1 at 3000ms");
    let means = r#"{"ratio": {"a": "local_dsq_depth", "b": "idle_cpus", "low": 1}}"#;
    insta::assert_snapshot!(found("see 0ms..10ms cpus=1,0 dsq=1:0\nsee 10ms local=0,1", "see 0ms..90ms cpus=1,1 dsq=1:0", means), @"fail ratio: local_dsq_depth / idle_cpus was 0.5, local_dsq_depth / idle_cpus at least 1 in step 0 at 2010ms");
    insta::assert_snapshot!(found("", "see 0ms..90ms cpus=1,1 dsq=1:0", means), @"unknown ratio: nothing to judge: no step has both local_dsq_depth and idle_cpus, other than 0, local_dsq_depth / idle_cpus at least 1");
}

#[test]
fn a_counter_must_be_the_sum_of_its_queues() {
    let equals = |more: &str| format!(r#"{{"equals_sum_of_dsq": {{"series": "nr_queued", "samples": 3{more}}}}}"#);
    let right = "see 0ms..100ms dsq=1:2,2:3,9223372036854775809:8 nr_queued=5\nsee 50ms..60ms nr_queued=6";
    insta::assert_snapshot!(found(right, "", &equals("")), @"pass equals_sum_of_dsq: series:nr_queued was 5, its queues had 5 (DSQ 0x1: 2, DSQ 0x2: 3), series:nr_queued the number of tasks in all its queues, judged by 3 samples in a row in step 0 at 2000ms");
    let twice = "see 0ms..100ms dsq=1:2,2:3 nr_queued=5\nsee 50ms..80ms nr_queued=10";
    insta::assert_snapshot!(found(right, twice, &equals("")), @"fail equals_sum_of_dsq: series:nr_queued was 10, its queues had 5 (DSQ 0x1: 2, DSQ 0x2: 3), series:nr_queued the number of tasks in all its queues, judged by 3 samples in a row in step 1 at 2550ms | so far off or further for 3 samples in a row");
    insta::assert_snapshot!(found(right, "", &equals(r#", "dsqs": [2]"#)), @"fail equals_sum_of_dsq: series:nr_queued was 5, its queues had 3 (DSQ 0x2: 3), series:nr_queued the number of tasks in queues 2, judged by 3 samples in a row in step 0 at 2000ms | so far off or further for 3 samples in a row");
    insta::assert_snapshot!(found("see 0ms..100ms nr_queued=5", "", &equals("")), @"unknown equals_sum_of_dsq: nothing to judge: no scheduler was attached when samples were taken, series:nr_queued the number of tasks in all its queues, judged by 3 samples in a row");
    let torn = found(&format!("{right}\nsee 0ms..100ms nr_queued=9 torn"), "", &equals(""));
    assert!(
        torn.starts_with("unknown equals_sum_of_dsq: nothing to judge: the scheduler's queues could not be read, "),
        "{torn}"
    );
    insta::assert_snapshot!(found("see 0ms..100ms dsq=1:2", "", &equals("")), @"unknown equals_sum_of_dsq: nothing to judge: series `nr_queued` has no value: there was no such map, series:nr_queued the number of tasks in all its queues, judged by 3 samples in a row");
}

#[test]
fn a_vtime_must_be_near_its_clock_also_if_it_wraps() {
    let near = r#"{"near_now": {"series": "vtime", "within": "2s"}}"#;
    let fine = "see 0ms..100ms clock=10s vtime=9000000000";
    insta::assert_snapshot!(found(fine, "", near), @"pass near_now: series:vtime was 9000000000, 1s behind 10000000000, series:vtime within 2s of the clock of the runqueues in step 0 at 2000ms");
    insta::assert_snapshot!(found(fine, "see 0ms..50ms clock=10s vtime=18446744073709551600", near), @"fail near_now: series:vtime was 18446744073709551600, 10s behind 10000000000, series:vtime within 2s of the clock of the runqueues in step 1 at 2500ms");
    let own = r#"{"near_now": {"series": "vtime", "within": 100, "clock": "vtime_now"}}"#;
    insta::assert_snapshot!(found("see 0ms..50ms vtime=18446744073709551600 vtime_now=20", "", own), @"pass near_now: series:vtime was 18446744073709551600, 36ns behind 20, series:vtime within 100ns of series:vtime_now in step 0 at 2000ms");
    insta::assert_snapshot!(found("see 0ms..50ms vtime=150 vtime_now=20", "", own), @"fail near_now: series:vtime was 150, 130ns ahead of 20, series:vtime within 100ns of series:vtime_now in step 0 at 2000ms");
    insta::assert_snapshot!(found("see 0ms..50ms vtime=150", "", own), @"unknown near_now: nothing to judge: series `vtime_now` has no value: there was no such map, series:vtime within 100ns of series:vtime_now");
}

#[test]
fn why_a_series_cannot_be_read_is_said() {
    let layer =
        parse_checks(["not_starved=off", r#"over_time={"never_decreases": {"metric": "series:v"}}"#]).expect("checks");
    let checks = merge(&[(Origin::Test, &layer)], Has::default());
    let history = history("1n1l2c1t", "series v\na: cpu_spin x2\nhold 500ms\nsee 0ms v=none\nsee 10ms v=unreadable");
    let told = HostEvent::SeriesUnreadable { series: "v".into(), problem: "`.bss` has no `v`".into() };
    for (history, why) in [(history.clone().host(told), "`.bss` has no `v`"), (history, "it could not be read")] {
        let expected = format!("unknown never_decreases: nothing to judge: series `v` has no value: {why}, ");
        let found = text(&judge(&history.recording(), &checks).findings[0]);
        assert!(found.starts_with(&expected), "{found}");
    }
}
