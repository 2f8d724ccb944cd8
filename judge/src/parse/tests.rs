//! Each check as a text, and what is refused.

use super::*;
use ktstr_model::over_time::Amount;
use ktstr_model::Metric;

fn refusal(text: &str) -> String {
    parse_checks([text]).expect_err("refused").to_string()
}

#[test]
fn each_check_can_be_written() {
    let texts = [
        "scheduler_alive=on",
        "no_stall=off",
        "no_error_log=on",
        "not_starved=off",
        "isolation=on",
        "max_gap=1us",
        "max_spread=0.2",
        "weight_share=0.25",
        "min_work_rate=7.5",
        "max_wakeup_latency.p99=5ms",
        "max_wakeup_latency.max=20ms",
        "work_conserving=20ms",
        "max_imbalance=2:10",
        "max_dsq_depth=off",
        "max_fallback_rate=0",
        "max_keep_last_rate=1.5",
        r#"over_time={"bounded": {"metric": "idle_cpus", "high": 1}}"#,
        r#"over_time={"never_decreases": {"metric": "event:SCX_EV_X"}}"#,
        "may_lack=on",
    ];
    let layer = parse_checks(texts).expect("checks");
    let bounds: Vec<Bound> = overlay(&[], &layer).into_iter().map(|check| check.bound).collect();
    let latency = LatencyBounds { p99: Some(Nanos(5_000_000)), max: Some(Nanos(20_000_000)), ..Default::default() };
    assert_eq!(
        bounds,
        [
            Bound::SchedulerAlive,
            Bound::NoErrorLog,
            Bound::MaxGap(Nanos(1000)),
            Bound::MaxSpread(0.2),
            Bound::WeightShare(0.25),
            Bound::Isolation,
            Bound::MinWorkRate(7.5),
            Bound::MaxWakeupLatency(latency),
            Bound::WorkConserving(Nanos(20_000_000)),
            Bound::MaxImbalance(Sustained { bound: 2, samples: 10 }),
            Bound::MaxFallbackRate(0.0),
            Bound::MaxKeepLastRate(1.5),
            Bound::OverTime(OverTime::Bounded {
                metric: Metric::IdleCpus,
                low: None,
                high: Some(Amount(1.0)),
                samples: 1
            }),
            Bound::OverTime(OverTime::NeverDecreases { metric: Metric::Event("SCX_EV_X".into()) }),
        ]
    );
    assert_eq!(layer.not_starved, Some(false));
}

#[test]
fn the_command_line_wins_and_the_rest_stays() {
    let test = |bound| Check { bound, origin: Origin::Test, may_lack: false };
    let checks = [test(Bound::NotStarved), test(Bound::MaxGap(Nanos(5))), test(Bound::Isolation)];
    let layer = parse_checks(["isolation=off", "max_gap=2ms"]).expect("checks");
    let line = Check { bound: Bound::MaxGap(Nanos(2_000_000)), origin: Origin::CommandLine, may_lack: false };
    assert_eq!(overlay(&checks, &layer), [test(Bound::NotStarved), line]);
}

#[test]
fn what_is_no_check_is_told_with_what_would_do() {
    assert_eq!(refusal("max_gap"), "`max_gap` has no bound; write NAME=BOUND, such as max_gap=500ms, or NAME=off");
    assert_eq!(refusal("max_gp=1s"), "there is no check `max_gp`; did you mean `max_gap`?");
    assert_eq!(refusal("max_gap.p99=1s"), "there is no check `max_gap.p99`; did you mean `max_gap`?");
    assert_eq!(
        refusal("zzzzzzzzzz=1"),
        "there is no check `zzzzzzzzzz`; known are scheduler_alive, no_stall, no_error_log, not_starved, max_gap, \
         max_spread, weight_share, isolation, min_work_rate, max_wakeup_latency, work_conserving, max_imbalance, max_dsq_depth, \
             max_fallback_rate, max_keep_last_rate, over_time, may_lack"
    );
    assert_eq!(refusal("max_wakeup_latency.p90=1ms"), "max_wakeup_latency has no part `p90`; did you mean `p50`?");
    assert_eq!(
        refusal("max_wakeup_latency=1ms"),
        "`1ms` is no bound of max_wakeup_latency: it takes a duration for one of its parts, such as \
         max_wakeup_latency.p99=5ms, or off"
    );
    assert_eq!(refusal("max_gap=fast"), "`fast` is no bound of max_gap: it takes a duration such as 500ms, or off");
    assert_eq!(refusal("max_gap=on"), "`on` is no bound of max_gap: it takes a duration such as 500ms, or off");
    assert_eq!(
        refusal("max_spread=NaN"),
        "`NaN` is no bound of max_spread: it takes a part of the mean such as 0.15, or off"
    );
    assert_eq!(
        refusal("weight_share=-1"),
        "`-1` is no bound of weight_share: it takes a part of the share such as 0.25, or off"
    );
    assert_eq!(
        refusal("min_work_rate=0"),
        "`0` is no bound of min_work_rate: it takes iterations per second such as 100, or off"
    );
    assert_eq!(refusal("isolation=7"), "`7` is no bound of isolation: it takes on or off");
    for value in ["2", "2:0", "-1:3", "2:x"] {
        assert!(refusal(&format!("max_imbalance={value}")).ends_with("in a row that it takes, such as 2:10, or off"));
    }
    let over_time = refusal(r#"over_time={"bounded": {"metric": "idle_cpu", "low": 1}}"#);
    assert!(over_time.starts_with("over_time: ") && over_time.contains("did you mean `idle_cpus`?"), "{over_time}");
    assert!(refusal(r#"over_time={"rate": {"metric": "waiting"}}"#).ends_with("bounds nothing; low, high or both"));
}

#[test]
fn what_holds_over_time_is_added_unless_it_is_switched_off() {
    let holds = |name: &str| OverTime::EqualsSumOfDsq { series: name.into(), dsqs: vec![], samples: 1 };
    let test = Check { bound: Bound::OverTime(holds("a")), origin: Origin::Test, may_lack: false };
    let names = |texts: &[&str]| -> Vec<(Bound, bool)> {
        let all = overlay(std::slice::from_ref(&test), &parse_checks(texts).expect("checks"));
        all.into_iter().map(|check| (check.bound, check.may_lack)).collect()
    };
    let more = r#"over_time={"equals_sum_of_dsq": {"series": "b"}}"#;
    let [a, b] = ["a", "b"].map(|name| Bound::OverTime(holds(name)));
    assert_eq!(names(&[more, "may_lack=on"]), [(a, true), (b, true)]);
    assert_eq!(names(&["over_time=off"]), []);
}
