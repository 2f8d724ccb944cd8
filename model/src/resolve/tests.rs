//! What is refused, with which message, and what a scenario becomes.

use super::*;
use crate::plan::Action;
use crate::{Backend, Clock, TraceEvent};
use proptest::prelude::*;

/// A declaration on `topology` (JSON) with `scenario` (JSON) and `more` fields.
fn spec(topology: [u32; 4], scenario: &str, more: &str) -> Result<TestSpec, FieldError> {
    let [nodes, llcs, cores, threads] = topology;
    TestSpec::from_json(&format!(
        r#"{{"version": 1, "name": "t", "backend": "tcg", "clocks": ["virtual"], "scenario": {scenario}, "topologies":
        [{{"numa_nodes": {nodes}, "llcs": {llcs}, "cores_per_llc": {cores}, "threads_per_core": {threads}}}] {more}}}"#
    ))
}

fn resolve(scenario: &str, more: &str) -> Result<Vec<Case>, FieldError> {
    cases(&spec([1, 2, 2, 1], scenario, more)?, &Facts::default())
}

fn refusal(scenario: &str, more: &str) -> String {
    resolve(scenario, more).expect_err("refused").to_string()
}

/// One step with one cgroup `a`, whose fields are `cgroup`.
fn one(cgroup: &str) -> String {
    format!(r#"[{{"cgroups": [{{"name": "a", {cgroup}}}], "hold": {{"seconds": 1}}}}]"#)
}

fn workers(count: u32, work: &str) -> String {
    format!(r#""works": [{{"workers": {count}, "work": "{work}"}}]"#)
}

const SPIN: &str = r#""works": [{"workers": 2, "work": "cpu_spin"}]"#;

#[test]
fn refuses_odd_ping_pong_workers() {
    assert_eq!(
        refusal(&one(&workers(3, "pipe_ping_pong")), ""),
        "scenario[0].cgroups[0].works[0].workers: 3 workers for pipe_ping_pong, which works in groups of 2; 2 or 4 would do"
    );
    assert!(refusal(&one(&workers(1, "futex_ping_pong")), "").ends_with("; 2 would do"));
}

#[test]
fn refuses_unknown_names_with_the_nearest() {
    let unknown_work = refusal(&one(&workers(2, "cpu_spinn")), "");
    assert!(unknown_work.contains("unknown variant `cpu_spinn`") && unknown_work.ends_with("did you mean `cpu_spin`?"));
    assert!(refusal(&one(SPIN), r#", "checks": {"max_gapp": "1s"}"#).ends_with("did you mean `max_gap`?"));
    assert!(refusal(&one(SPIN), r#", "toplogies": 1"#).ends_with("did you mean `topologies`?"));
    let op = r#"[{"cgroups": [{"name": "alpha"}], "ops": [{"freeze": "alhpa"}], "hold": {"seconds": 1}}]"#;
    assert_eq!(refusal(op, ""), "scenario[0].ops[0]: no cgroup `alhpa` is there at this point; did you mean `alpha`?");
}

#[test]
fn what_is_traced_is_in_the_plan_and_stands_there_once() {
    let plan = |more| resolve(&one(SPIN), more).map(|cases| cases[0].plan.trace.clone());
    assert_eq!(plan(""), Ok(vec![]));
    assert_eq!(plan(r#", "trace": ["sched_switch"]"#), Ok(vec![TraceEvent::SchedSwitch]));
    let twice = refusal(&one(SPIN), r#", "trace": ["sched_switch", "sched_switch"]"#);
    assert_eq!(twice, "trace[1]: sched_switch stands there twice");
    assert!(refusal(&one(SPIN), r#", "trace": ["sched_swich"]"#).ends_with("did you mean `sched_switch`?"));
}

/// One step with these ops (JSON), each on the scheduler.
fn on_scheduler(ops: &[&str]) -> String {
    let ops: Vec<String> = ops.iter().map(|op| format!(r#"{{"scheduler": {op}}}"#)).collect();
    format!(r#"[{{"ops": [{}], "hold": {{"seconds": 1}}}}]"#, ops.join(", "))
}

const SCHEDULER: &str = r#", "scheduler": {"name": "scx_mine", "args": ["-s"]}"#;

#[test]
fn the_scheduler_is_stopped_and_started() {
    let ops = [
        r#""restart""#,
        r#"{"replace": {"args": ["-x"]}}"#,
        r#""stop""#,
        r#""start""#,
        r#"{"command": {"args": ["--on"]}}"#,
    ];
    let case = resolve(&on_scheduler(&ops), SCHEDULER).expect("can be")[0].clone();
    let (start, other) =
        (Action::StartScheduler { args: None }, Action::StartScheduler { args: Some(vec!["-x".into()]) });
    let command = Action::SchedulerCommand { args: vec!["--on".into()] };
    let stop = Action::StopScheduler;
    let [actions @ .., Action::Hold { .. }] = &case.plan.steps[0].actions[..] else { panic!("{:?}", case.plan.steps) };
    assert_eq!(actions, [stop.clone(), start.clone(), stop.clone(), other, stop, start, command]);
}

#[test]
fn refuses_what_cannot_be_done_to_the_scheduler() {
    let refused = |ops: &[&str]| refusal(&on_scheduler(ops), SCHEDULER);
    assert_eq!(
        refusal(&on_scheduler(&[r#""stop""#]), ""),
        "scenario[0].ops[0].scheduler: there is no scheduler under test; a scheduler for the test"
    );
    let there = "scenario[0].ops[0].scheduler: the scheduler is there at this point; stop before, or restart";
    assert_eq!(refused(&[r#""start""#]), there);
    let stopped = "scenario[0].ops[1].scheduler: the scheduler is stopped at this point; start before, or instead";
    for op in [r#""stop""#, r#""restart""#, r#"{"replace": {"args": []}}"#, r#"{"command": {"args": []}}"#] {
        assert_eq!(refused(&[r#""stop""#, op]), stopped);
    }
    assert_eq!(
        refused(&[r#"{"replace": {"args": ["a", "b\u0000"]}}"#]),
        "scenario[0].ops[0].scheduler.replace.args[1]: has a zero byte, as no argument can"
    );
    assert!(refused(&[r#""stopp""#]).ends_with("did you mean `stop`?"), "{}", refused(&[r#""stopp""#]));
}

#[test]
fn a_case_starts_where_there_is_a_snapshot_for_it() {
    let input = |name: &str| Input { name: name.into(), sha256: "00".into() };
    let label = "1n2l2c1t".to_owned();
    let facts = |attached: bool| Facts {
        snapshots: [(label.clone(), input("snapshot"))].into(),
        attached: attached.then(|| ((label.clone(), String::new()), input("attached"))).into_iter().collect(),
        ..Facts::default()
    };
    let start = |start: &str, attached: bool| {
        let more = format!(r#", "start": "{start}", "scheduler": {{"name": "scx_mine"}}"#);
        let case = cases(&spec([1, 2, 2, 1], &one(SPIN), &more).expect("parses"), &facts(attached)).expect("can be")[0]
            .clone();
        (case.start.name(), case.inputs.iter().map(|input| input.name.clone()).collect::<Vec<_>>().join(" "))
    };
    assert_eq!(start("boot", true), ("boot", String::new()));
    assert_eq!(start("snapshot", true), ("attached", "attached".into()));
    assert_eq!(start("snapshot", false), ("snapshot", "snapshot".into()));
    assert_eq!(start("attach", true), ("snapshot", "snapshot".into()));
    let error = "start: \"attach\" without a scheduler, which there would be to attach; \"snapshot\" or \"boot\"";
    assert_eq!(refusal(&one(SPIN), r#", "start": "attach""#), error);
}

#[test]
fn a_scheduler_is_in_the_plan_and_brings_its_checks() {
    let more = r#", "scheduler": {"name": "scx_mine", "args": ["-s", "20"], "attach_timeout": "5s"}, "checks": {"no_error_log": false},
        "expect_failure": {"cause": "bpf_error", "phase": "run"}"#;
    let case = resolve(&one(SPIN), more).expect("plans").remove(0);
    let scheduler = case.plan.scheduler.expect("is there");
    assert_eq!((scheduler.args.len(), scheduler.attach_max.0), (2, 5_000_000_000));
    let names: Vec<&str> = case.checks.iter().map(|check| check.bound.name()).collect();
    assert_eq!(names, ["scheduler_alive", "no_stall", "not_starved"]);
    assert_eq!(case.expect_failure.map(|expected| expected.to_string()), Some("scx_bpf_error in phase run".into()));
    assert_eq!(
        refusal(&one(SPIN), r#", "scheduler": {"name": "a b"}"#),
        "scheduler.name: \"a b\" is not a name; 1 to 64 letters, digits, `.`, `_`, `-`, `+`; not a dot first"
    );
    assert_eq!(
        refusal(&one(SPIN), r#", "expect_failure": {"cause": "emulator"}"#),
        "expect_failure.cause: emulator is not a failure of what is tested"
    );
    assert!(refusal(&one(SPIN), r#", "expect_failure": {"cause": "bpf_eror"}"#).ends_with("did you mean `bpf_error`?"));
}

#[test]
fn refuses_cpusets_that_cannot_be() {
    let set = |cpuset: &str| refusal(&one(&format!(r#""cpuset": {cpuset}, {SPIN}"#)), "");
    let at = "scenario[0].cgroups[0].cpuset";
    assert_eq!(
        set(r#"{"disjoint": {"index": 2, "of": 2}}"#),
        format!("{at}: disjoint(2, of 2): index must be below 2")
    );
    assert_eq!(set(r#"{"llc": 2}"#), format!("{at}: llc(2): 1n2l2c1t has no such index; below 2"));
    assert_eq!(set(r#"{"exact": [9]}"#), format!("{at}: CPU 9 is not on 1n2l2c1t; its CPUs are 0 to 3"));
    assert_eq!(
        set(r#"{"disjoint": {"index": 0, "of": 9}}"#),
        format!("{at}: holds no CPU on 1n2l2c1t, which has 4; a larger part, or a topology with more CPUs")
    );
}

#[test]
fn refuses_a_cpuset_that_leaves_a_worker_nothing() {
    let cgroup =
        r#""cpuset": {"exact": [0, 1]}, "works": [{"workers": 1, "work": "cpu_spin", "affinity": {"single": 2}}]"#;
    assert_eq!(
        refusal(&one(cgroup), ""),
        "scenario[0].cgroups[0].works[0]: worker 0 is left without a CPU at scenario[0].hold: cgroup `a` has CPUs 0-1, \
         its affinity is 2, on line are 0-3; CPUs that are in all of them, on 1n2l2c1t"
    );
}

#[test]
fn refuses_numbers_out_of_range() {
    let work = |fields: &str| refusal(&one(&format!(r#""works": [{{"work": "cpu_spin", {fields}}}]"#)), "");
    assert!(work(r#""workers": 0"#).ends_with("workers: 0 is out of range; at least 1"));
    assert!(work(r#""workers": 5000"#).ends_with("workers: 5000 workers in the whole test; at most 4096"));
    assert!(work(r#""workers": 1, "nice": 20"#).ends_with("nice: 20 is out of range; -20 to 19"));
    assert!(work(r#""workers": 1, "policy": {"fifo": 99}"#).ends_with("99 is out of range; a priority is 1 to 98"));
    let hold = r#"[{"hold": {"seconds": 0}}]"#;
    assert!(refusal(hold, "").starts_with("scenario[0].hold.seconds: 0 is out of range"));
    assert!(refusal(&one(SPIN), r#", "checks": {"max_gap": "0ns"}"#).starts_with("checks.max_gap:"));
    assert!(refusal(&one(SPIN), r#", "seeds": 0"#).starts_with("seeds: 0 is out of range; 1 to 10000"));
    assert!(refusal(&one(SPIN), r#", "seeds": 1, "seed": 1"#).starts_with("seed: stands beside `seeds`"));
    assert!(refusal(&one(SPIN), r#", "kernel_args": ["a b"]"#).starts_with("kernel_args[0]: \"a b\""));
    let offline = r#"[{"ops": [{"cpu_offline": [0]}], "hold": {"seconds": 1}}]"#;
    assert_eq!(refusal(offline, ""), "scenario[0].ops[0].cpu_offline: CPU 0 cannot go off line on x86; CPUs from 1 on");
}

#[test]
fn refuses_bounds_below_the_floor_of_a_machines_clock() {
    let topology =
        |cores: u32| format!(r#"{{"numa_nodes": 1, "llcs": 1, "cores_per_llc": {cores}, "threads_per_core": 1}}"#);
    // The first two machines can tell what the third cannot.
    let spec = |backend: &str, third: &str, checks: &str| {
        TestSpec::from_json(&format!(
            r#"{{"version": 1, "name": "t", "backend": "{backend}", "clocks": ["virtual", "virtual", "{third}"],
            "topologies": [{}, {}, {}], "scenario": {}, "checks": {checks}}}"#,
            topology(1),
            topology(2),
            topology(16),
            one(SPIN)
        ))
        .expect("parses")
    };
    let refusal = |backend, third, checks| match cases(&spec(backend, third, checks), &Facts::default()) {
        Ok(_) => String::new(),
        Err(error) => error.to_string(),
    };
    let gap = r#"{"max_gap": "10ms"}"#;
    assert_eq!(
        refusal("tcg", "virtual", gap),
        "checks.max_gap: 10ms is below what the virtual clock can tell with 16 CPUs: the floor is 100ms (topologies[2]); 100ms \
         or more, or a machine with fewer CPUs"
    );
    assert_eq!(
        refusal("tcg", "real", gap),
        "checks.max_gap: 10ms is below what the real clock of the emulator can tell with 16 CPUs: the floor is \
         1500ms (topologies[2]); 1500ms or more, or a machine with fewer CPUs"
    );
    assert_eq!(refusal("kvm", "real", gap), "");
    assert_eq!(
        refusal("tcg", "virtual", r#"{"max_gap": "1us"}"#),
        "checks.max_gap: 1us is below what the virtual clock can tell with 1 CPU: the floor is 1ms (topologies[0]); 1ms or more"
    );
    assert!(refusal("tcg", "virtual", r#"{"max_wakeup_latency": {"p50": "1s", "p99": "5ms"}}"#)
        .starts_with("checks.max_wakeup_latency.p99: 5ms is below what the virtual clock can tell with 16 CPUs"));
    assert!(refusal("tcg", "virtual", r#"{"max_spread": 0.15}"#).starts_with(
        "checks.max_spread: 0.15 is below what the virtual clock can tell with 16 CPUs: the floor is 0.6"
    ));
    assert_eq!(refusal("tcg", "virtual", r#"{"max_gap": "100ms", "max_spread": 0.6, "min_work_rate": 1e9}"#), "");
}

#[test]
fn refuses_another_version_and_trailing_text() {
    let json = spec([1, 1, 1, 1], "[]", "").expect("parses").to_json();
    let newer = json.replacen("\"version\": 1", "\"version\": 9", 1);
    let error = TestSpec::from_json(&newer).expect_err("refused").to_string();
    assert_eq!(error, "version: 9 is not a version this runner reads; it reads 1");
    assert!(TestSpec::from_json(&format!("{json} x")).is_err());
}

#[test]
fn names_cases_by_topology_and_seed() {
    let names: Vec<String> =
        resolve(&one(SPIN), r#", "seeds": 3"#).expect("can be").into_iter().map(|case| case.name).collect();
    assert_eq!(names, ["t[1n2l2c1t][s0]", "t[1n2l2c1t][s1]", "t[1n2l2c1t][s2]"]);
}

fn expected_cpus(case: &Case) -> Vec<Vec<String>> {
    let segment = |expect: &[crate::plan::WorkerExpectation]| expect.iter().map(|w| w.cpus.to_string()).collect();
    case.plan.segments().map(|(_, _, expect)| segment(expect)).collect()
}

#[test]
fn a_swap_exchanges_what_workers_may_use() {
    let cgroup = |name: &str, index: u32| {
        format!(
            r#"{{"name": "{name}", "cpuset": {{"disjoint": {{"index": {index}, "of": 2}}}}, {}}}"#,
            workers(1, "cpu_spin")
        )
    };
    let scenario = format!(
        r#"[{{"cgroups": [{}, {}], "hold": {{"seconds": 1}}}},
            {{"ops": [{{"swap_cpusets": {{"a": "a", "b": "b"}}}}], "hold": {{"seconds": 1}}}}]"#,
        cgroup("a", 0),
        cgroup("b", 1)
    );
    let cases = resolve(&scenario, "").expect("can be");
    assert_eq!(expected_cpus(&cases[0]), [["0-1", "2-3"], ["2-3", "0-1"]]);
}

#[test]
fn a_removed_cgroup_takes_the_nested_ones_along_children_first() {
    let scenario = format!(
        r#"[{{"cgroups": [{{"name": "a"}}, {{"name": "b", "parent": "a", {SPIN}}}], "hold": {{"seconds": 1}}}},
            {{"ops": [{{"remove_cgroup": "a"}}], "hold": {{"seconds": 1}}}}]"#
    );
    let case = &resolve(&scenario, "").expect("can be")[0];
    let removed: Vec<&Action> =
        case.plan.steps[1].actions.iter().filter(|action| matches!(action, Action::RemoveCgroup(_))).collect();
    assert_eq!(removed, [&Action::RemoveCgroup(1), &Action::RemoveCgroup(0)]);
    assert_eq!(expected_cpus(case)[1], Vec::<String>::new());
}

#[test]
fn a_loop_becomes_one_hold_each_time() {
    let scenario = format!(
        r#"[{{"cgroups": [{{"name": "a", {SPIN}}}], "hold": {{"loop":
            {{"ops": [{{"cpu_offline": [3]}}, {{"cpu_online": [3]}}], "every": "10ms", "times": 4}}}}}}]"#
    );
    assert_eq!(resolve(&scenario, "").expect("can be")[0].plan.segments().count(), 4);
}

proptest! {
    #[test]
    fn no_text_panics(text in "\\PC{0,200}") {
        let _ = TestSpec::from_json(&text);
    }

    #[test]
    fn what_parses_prints_back(workers in 1u32..50, seeds in 1u32..9, gap in 1u64.., spread in 0.0f64..9.0, llc in 0u32..2,
        nice in -20i8..20, frozen: bool, seconds in 0.001f64..10.0) {
        let scenario = format!(
            r#"[{{"cgroups": [{{"name": "a", "cpuset": {{"llc": {llc}}}, "works":
                [{{"workers": {workers}, "work": {{"bursty": {{"burst": "{gap}ns", "sleep": "1ms"}}}}, "nice": {nice}}}]}}],
              "ops": [{{"{}": "a"}}], "hold": {{"seconds": {seconds}}}}}]"#,
            if frozen { "freeze" } else { "stop" }
        );
        let more = format!(r#", "seeds": {seeds}, "checks": {{"max_gap": "{gap}ns", "max_spread": {spread}, "isolation": false}}"#);
        let parsed = spec([1, 2, 2, 1], &scenario, &more).expect("parses");
        prop_assert_eq!(TestSpec::from_json(&parsed.to_json()).expect("parses"), parsed);
    }

    #[test]
    fn every_expectation_leaves_a_cpu(index in 0u32..4, of in 1u32..5, from in 0.0f64..1.0, to in 0.0f64..1.0, kind in 0..3) {
        let cpuset = match kind {
            0 => format!(r#"{{"disjoint": {{"index": {index}, "of": {of}}}}}"#),
            1 => format!(r#"{{"range": {{"from": {from}, "to": {to}}}}}"#),
            _ => format!(r#"{{"overlap": {{"index": {index}, "of": {of}, "fraction": {from}}}}}"#),
        };
        if let Ok(cases) = resolve(&one(&format!(r#""cpuset": {cpuset}, {SPIN}"#)), "") {
            for (_, _, expect) in cases[0].plan.segments() {
                prop_assert!(expect.iter().all(|worker| !worker.cpus.is_empty()));
                prop_assert!(expect.iter().all(|worker| worker.cpus.difference(&cases[0].topology.all_cpus()).is_empty()));
            }
        }
    }
}

#[test]
fn flag_profiles_make_cases_with_their_names() {
    let names = |scheduler: &str| -> Vec<String> {
        let cases = resolve(&one(SPIN), &format!(r#", "seeds": 2, "scheduler": {scheduler}"#)).expect("can be");
        cases.into_iter().map(|case| case.name).collect()
    };
    assert_eq!(names(r#"{"name": "s"}"#), ["t[1n2l2c1t][s0]", "t[1n2l2c1t][s1]"]);
    let two = names(r#"{"name": "s", "profiles": [{"name": "default"}, {"name": "a+b", "args": ["-a"]}]}"#);
    let expected =
        ["t[1n2l2c1t][default][s0]", "t[1n2l2c1t][default][s1]", "t[1n2l2c1t][a+b][s0]", "t[1n2l2c1t][a+b][s1]"];
    assert_eq!(two, expected);
}

#[test]
fn bounds_of_the_test_win_over_those_of_its_scheduler() {
    let checks = |more: &str| {
        let scheduler = r#""scheduler": {"name": "s", "checks": {"max_gap": "9s", "no_error_log": false}}"#;
        resolve(&one(SPIN), &format!(", {scheduler} {more}")).expect("can be").remove(0).checks
    };
    let bound = |seconds: u64| crate::Bound::MaxGap(crate::Nanos(seconds * 1_000_000_000));
    let gap = |seconds, origin| Check { bound: bound(seconds), origin, may_lack: false };
    let inherited = checks("");
    assert!(inherited.contains(&gap(9, Origin::Scheduler)), "{inherited:?}");
    assert!(!inherited.iter().any(|check| check.bound.name() == "no_error_log"), "{inherited:?}");
    assert!(checks(r#", "checks": {"max_gap": "8s"}"#).contains(&gap(8, Origin::Test)));
    let bad = r#", "scheduler": {"name": "s", "checks": {"max_gap": true}}"#;
    assert_eq!(refusal(&one(SPIN), bad), "scheduler.checks.max_gap: true is not a bound; a bound, or false");
}

#[test]
fn a_placement_is_in_the_case_and_refused_where_it_cannot_be() {
    let resolve = |topology, placement: &str, backend: &str| {
        let mut spec = spec(topology, &one(SPIN), placement)?;
        (spec.backend, spec.clocks) = match backend {
            "kvm" => (Some(Backend::Kvm), vec![Clock::Real]),
            _ => (Some(Backend::Tcg), vec![Clock::Real]),
        };
        Ok(cases(&spec, &Facts::default())?.remove(0).placement)
    };
    let both = r#", "pin_cpus": true, "huge_pages": true"#;
    let placed = Placement { pin_cpus: true, huge_pages: true };
    assert_eq!(resolve([1, 1, 2, 1], both, "kvm"), Ok(placed));
    assert_eq!(resolve([1, 1, 2, 1], "", "tcg"), Ok(Placement::default()));
    let refused = |topology, placement, backend| -> String {
        let error: FieldError = resolve(topology, placement, backend).expect_err("refused");
        error.to_string()
    };
    assert_eq!(
        refused([1, 1, 2, 1], r#", "huge_pages": true"#, "tcg"),
        "huge_pages: the back end tcg does not place its machines: what is measured on it is mostly the emulator's doing; \
         backend = \"kvm\", or leave it away"
    );
    assert!(refused([1, 1, 2, 1], both, "tcg").starts_with("pin_cpus: the back end tcg "));
    assert_eq!(
        refused([3, 3, 2, 1], both, "kvm"),
        "topologies[0].memory: a NUMA node of 341M is not made of huge pages of 2M; 1026M would do"
    );
}
