//! For each check, a real case that fails by it, with the right words.

use ktstr_tests::Target;

/// Runs a target whose only case is to have this verdict, and these words in its output.
fn check(target: &str, status: i32, verdict: &str, words: &[&str]) {
    let ran = Target::new(target).run();
    ran.expect(status, words);
    let verdicts: Vec<String> = ran.verdicts().into_iter().map(|(_, verdict)| verdict).collect();
    assert_eq!(verdicts, [verdict], "{}", ran.output);
}

#[test]
fn not_starved() {
    // A FIFO-1 worker below a FIFO-50 spinner on one CPU, without throttling of real-time tasks.
    check("starved", 1, "fail", &["not_starved: ", "0 iterations", "cgroup low"]);
}

#[test]
fn max_gap() {
    check("long_gap", 1, "fail", &["max_gap: ", "at most 2ms (test)", "worker cpu_spin/", "step 0"]);
}

#[test]
fn max_spread() {
    check("uneven", 1, "fail", &["max_spread: ", "at most 20%"]);
}

#[test]
fn isolation() {
    check("escaped", 1, "fail", &["isolation: ", "cgroup a"]);
}

#[test]
fn min_work_rate() {
    check("slow", 1, "fail", &["min_work_rate: "]);
}

#[test]
fn max_wakeup_latency() {
    check("late", 1, "fail", &["max_wakeup_latency: ", "max at most 2ms (test)"]);
}

#[test]
fn what_the_host_sees_of_the_kernel() {
    let words =
        ["max_imbalance: imbalance of 4", "CPU 0, step 0", "bounded: idle_cpus of 1", "no task waited longer than"];
    check("crowded", 1, "fail", &words);
}

#[test]
fn a_bound_below_the_floor_of_the_clock_is_refused_before_anything_boots() {
    let ran = Target::new("finer_than_its_clock").run();
    ran.expect(
        2,
        &["ERROR: finer_than_its_clock: checks.max_gap: 5ms is below what the virtual clock can tell with 4 CPUs: \
           the floor is 20ms (topologies[1]); 20ms or more, or a machine with fewer CPUs"],
    );
    assert!(!ran.path("finer_than_its_clock-1n1l1c1t-s0.ktstr").exists(), "{}", ran.output);
}

#[test]
fn a_check_without_data_is_unknown_and_red() {
    check("nothing_blocks", 1, "unknown", &["UNKNOWN", "max_wakeup_latency: "]);
}
