//! Seeds deal out other orders of events, and one of them finds a race that is there on purpose.

use ktstr_tests::{argument, ktstr, Ran, Running, Target};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Runs all cases of a target, two at a time.
fn in_two_shards(name: &str) -> [Ran; 2] {
    let start = |index| Target::new(name).env("TEST_TOTAL_SHARDS", "2").env("TEST_SHARD_INDEX", index).start();
    ["0", "1"].map(start).map(Running::wait)
}

/// The cases that shards report.
fn cases(shards: &[Ran]) -> impl Iterator<Item = (&Ran, Value)> {
    let of = |ran: &Ran| ran.report()["cases"].as_array().cloned().unwrap_or_default();
    shards.iter().flat_map(move |ran| of(ran).into_iter().map(move |case| (ran, case)))
}

fn text<'a>(case: &'a Value, field: &str) -> &'a str {
    case[field].as_str().unwrap_or_default()
}

/// The tasks that each CPU ran from the start of the first segment on, in order: neither times nor what came before, when each
/// worker waited for its start offset.
fn orders(recording: &Path) -> BTreeMap<String, Vec<String>> {
    let said = ktstr(&["trace", argument(recording)]);
    said.expect(0, &[]);
    assert_eq!(said.stderr, "", "all of it is there");
    let mut orders: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let lines = said.stdout.lines().filter_map(|line| line.trim().split_once(' ')).map(|(_, what)| what);
    for line in lines.skip_while(|line| *line != "segment 0 starts").take_while(|line| *line != "segment 0 ends") {
        let Some((cpu, switch)) = line.split_once(": ") else { continue };
        let (_, next) = switch.split_once(" -> ").expect("a switch");
        // Names without the process ids behind them.
        let next = if next.starts_with("worker ") { next } else { next.split(':').next().unwrap_or_default() };
        orders.entry(cpu.to_owned()).or_default().push(next.to_owned());
    }
    orders
}

/// Only the workers of an order.
fn workers(orders: &BTreeMap<String, Vec<String>>) -> BTreeMap<String, Vec<String>> {
    let of = |order: &Vec<String>| order.iter().filter(|task| task.starts_with("worker ")).cloned().collect();
    orders.iter().map(|(cpu, order)| (cpu.clone(), of(order))).collect()
}

#[test]
fn fifty_seeds_are_at_least_forty_five_orders() {
    let shards = in_two_shards("bursts");
    let mut all = BTreeSet::new();
    let mut of_workers = BTreeSet::new();
    let mut switches = Vec::new();
    for (ran, case) in cases(&shards) {
        assert_eq!(text(&case, "verdict"), "pass", "{}", ran.output);
        let orders = orders(&ran.path(text(&case, "recording")));
        assert_eq!(orders.len(), 4, "CPUs");
        switches.push(orders.values().map(Vec::len).sum::<usize>());
        of_workers.insert(workers(&orders));
        all.insert(orders);
    }
    assert_eq!(switches.len(), 50);
    println!("{} orders, {} of workers; context switches: {switches:?}", all.len(), of_workers.len());
    assert!(switches.iter().all(|count| *count > 100), "{switches:?}");
    assert!(of_workers.len() >= 45, "{} orders of workers", of_workers.len());
}

#[test]
fn a_planted_race_is_found_and_its_seed_fails_each_time() {
    let shards = in_two_shards("raced");
    let red: Vec<(&Ran, Value)> = cases(&shards).filter(|(_, case)| text(case, "verdict") != "pass").collect();
    let count = cases(&shards).count();
    println!("{} of {count} seeds find the race", red.len());
    assert_eq!(count, 200);
    assert!((1..=30).contains(&red.len()), "{} of {count} seeds find the race", red.len());
    for (ran, case) in &red {
        let finding = &case["findings"][0];
        assert_eq!(finding["cause"], "worker_died", "{}", ran.output);
        ran.expect(1, &["in cgroup a found that an addition to its counter was lost"]);
        assert_eq!(finding["verdict"], "fail", "{}", ran.output);
    }
    let (_, case) = red.first().expect("there are some");
    let rerun = text(case, "rerun");
    let filter = rerun.split_once("--test_filter=").expect("a filter").1.trim_matches('\'');
    for _ in 0..5 {
        let pair = [(); 2].map(|()| Target::new("raced").env("TESTBRIDGE_TEST_ONLY", filter).start());
        for again in pair.map(Running::wait) {
            again.expect(1, &[text(case, "name"), "an addition to its counter was lost"]);
            let report = again.report();
            assert_eq!(report["cases"].as_array().map(Vec::len), Some(1), "{}", again.output);
            assert_eq!(text(&report["cases"][0], "guest_sha256"), text(case, "guest_sha256"), "{}", again.output);
        }
    }
}

#[test]
fn a_recording_without_a_trace_says_so() {
    let ran = Target::new("plain").run();
    let file = ran.path("plain-1n1l1c1t-s0.ktstr");
    let words = ["nothing was traced in it: the test has to say trace = [\"sched_switch\"]"];
    ktstr(&["trace", argument(&file)]).expect(2, &words);
}

#[test]
fn a_trace_that_is_not_whole_is_printed_with_a_warning() {
    let ran = Target::new("bursts").arg("--filter=bursts[1n1l4c1t][s1]").run();
    let whole = std::fs::read(ran.path("bursts-1n1l4c1t-s1.ktstr")).expect("reads");
    let cut = ran.path("cut.ktstr");
    std::fs::write(&cut, &whole[..whole.len() / 2]).expect("writes");
    let texts = [
        "segment 0 starts\n",
        "WARNING: the recording is not whole: the recording is damaged at byte ",
        "WARNING: the case did not come to its end, and context switches are sent last\n",
        " came, and nobody knows how many there were\n",
    ];
    ktstr(&["trace", argument(&cut)]).expect(0, &texts);
}
