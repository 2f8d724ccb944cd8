//! Equal inputs give equal runs, bit for bit, on an idle host and on a busy one.

use ktstr_tests::{assert_equal, Load, Target};
use std::collections::BTreeSet;

/// Runs all seeds of a target twice on a host that may be idle, and twice on one that is not.
fn check(target: &str) {
    let run = || {
        let ran = Target::new(target).run();
        ran.expect(0, &["5 passed, 0 failed"]);
        ran.recordings()
    };
    let first = run();
    assert_equal(&first, &run());
    let load = Load::on_all_cores();
    assert_equal(&first, &run());
    assert_equal(&first, &run());
    drop(load);
    // Seeds differ.
    let hashes: BTreeSet<String> = first.values().map(|recording| recording.guest_sha256().to_string()).collect();
    assert_eq!(hashes.len(), first.len());
}

#[test]
fn from_a_snapshot() {
    check("five_seeds");
}

#[test]
fn booted() {
    check("five_seeds_booted");
}

#[test]
fn verdicts_do_not_depend_on_the_host() {
    let run = || {
        let ran = Target::new("thirty_seeds").run();
        ran.expect(0, &["30 passed, 0 failed"]);
        ran.recordings()
    };
    let idle = run();
    let _load = Load::on_all_cores();
    assert_equal(&idle, &run());
}
