//! What the host reads and writes in the memory of a guest's kernel: equal runs do the same, at the same time, and what cannot be done says why.

use ktstr_model::host_op::HostOpResult;
use ktstr_model::GuestNanos;
use ktstr_recording::{HostEvent, Recording};
use ktstr_tests::{assert_equal, Load, Ran, Target};

type Ops = Vec<(u32, Option<GuestNanos>, HostOpResult)>;

/// What came of the ops of the only case.
fn ops(ran: &Ran) -> Ops {
    let of = |recording: &Recording| {
        let ops = recording.host_events().filter_map(|(_, event)| match event {
            HostEvent::Op { op, at, result } => Some((*op, *at, result.clone())),
            _ => None,
        });
        let ops: Ops = ops.collect();
        assert_eq!(recording.header.case.host_ops.len(), ops.len());
        ops
    };
    ran.recordings().values().map(of).next().expect("a case")
}

#[test]
fn equal_runs_read_and_write_the_same_at_the_same_time() {
    for target in ["known_values_linux_7_3", "known_values_booted_linux_7_3"] {
        let run = || {
            let ran = Target::new(target).run();
            ran.expect(0, &["PASS", "read jiffies_64: ", "read nr_queued of map bss: "]);
            (ops(&ran), ran.recordings())
        };
        let first = run();
        assert!(first.0.iter().all(|(_, at, _)| at.is_some()), "{:?}", first.0);
        let again = run();
        let load = Load::on_all_cores();
        let loaded = run();
        drop(load);
        for (seen, recordings) in [again, loaded] {
            assert_eq!(seen, first.0, "{target}");
            assert_equal(&recordings, &first.1);
        }
    }
}

#[test]
fn what_a_kernel_has_not_is_refused_before_it_boots() {
    let refused =
        "scenario[0].ops[0].read_kernel: the kernel has no `jifies_64` (in `jifies_64`); there is `jiffies_64`";
    Target::new("variable_misspelt").run().expect(2, &[refused]);
}

#[test]
fn what_a_scheduler_has_not_is_a_failure_of_the_op() {
    let problem = "op: read nr_queud of map bss: `.bss` has no `nr_queud` (in `nr_queud`); there is `nr_queued`";
    Target::new("variable_not_there").run().expect(1, &["FAIL", problem, "step 0", "scenario[0].ops[0].read_map"]);
}

#[test]
fn another_value_than_the_expected_one_is_red() {
    let problem = "op: read color of map ktstr_known[0x112233445566]: 7, expected 8";
    Target::new("variable_otherwise").run().expect(1, &["FAIL", problem, "step 0"]);
}
