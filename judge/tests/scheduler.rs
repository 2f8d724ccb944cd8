//! Each way in which a scheduler fails has its phase, its cause and its words.

use ktstr_judge::{judge, Judgement};
use ktstr_model::check::{merge, Has};
use ktstr_model::spec::ChecksSpec;
use ktstr_model::{Finding, Origin};
use ktstr_testing::history::{history, History};

const ATTACHED: &str = "scx start mine
    scx state enabling
    scx wait 500ms
    scx log 6 sched_ext: BPF scheduler \"mine\" enabled
    scx state enabled
    a: cpu_spin x2
    hold 1s
";
const DETACHED: &str = "
    scx signal 2
    scx wait 30ms
    scx log 6 sched_ext: BPF scheduler \"mine\" disabled (unregistered from user space)
    scx state disabled
    scx exit 0
";

fn judged(history: &History, layer: &ChecksSpec) -> Judgement {
    judge(&history.recording(), &merge(&[(Origin::Test, layer)], Has { limited_cpus: false, scheduler: true }))
}

fn text(finding: &Finding) -> String {
    let check = finding.check.as_deref().unwrap_or("-");
    let (verdict, cause, phase) = (finding.verdict.name(), finding.cause.name(), finding.phase.name());
    let cpu = finding.place.cpu.map(|cpu| format!(" [CPU {cpu}]")).unwrap_or_default();
    let mut lines = vec![format!("{verdict} {check} ({cause}, {phase}): {}{cpu}", finding.measured)];
    lines.extend(finding.explanation.lines().map(Into::into));
    lines.join("\n  ")
}

fn found_by(history: &History, layer: &ChecksSpec) -> String {
    judged(history, layer).findings.iter().map(text).collect::<Vec<_>>().join("\n")
}

/// All findings of a scheduler with this history.
fn found(lines: &str) -> String {
    found_by(&history("1n1l2c1t", lines), &ChecksSpec::default())
}

/// A scheduler to which this happens in the second hold.
fn while_it_runs(lines: &str) -> String {
    found(&format!("{ATTACHED}{lines}"))
}

#[test]
fn a_good_life() {
    insta::assert_snapshot!(found(&format!("{ATTACHED}{DETACHED}")), @r"
    pass scheduler_alive (check, run): mine attached in 500ms, detached in 30ms
    pass no_stall (check, run): no stall
    pass no_error_log (check, run): no error in 0 lines
    pass not_starved (check, run): all workers ran, at least 10000 iterations
    ");
}

#[test]
fn an_error_of_the_bpf_part_names_the_program() {
    let seen = while_it_runs(
        "scx log 3 sched_ext: BPF scheduler \"mine\" disabled (scx_bpf_error)
         scx log 3 sched_ext: mine: error on purpose: after 500 dispatches
         scx log 4    scx_bpf_error_bstr+0x75/0x80
         scx log 4    bpf_prog_0d2f8e5a3c6b7a91_ktstr_dispatch+0x9e/0x2bf
         scx log 4 some other driver complains
         scx state disabled
         scx err EXIT: scx_bpf_error (error on purpose: after 500 dispatches)
         scx err Error: gone
         scx exit 256
         broken",
    );
    insta::assert_snapshot!(seen, @r"
    fail scheduler_alive (scx_bpf_error, run): scx_bpf_error from ktstr_dispatch: error on purpose: after 500 dispatches
        scx_bpf_error_bstr+0x75/0x80
        bpf_prog_0d2f8e5a3c6b7a91_ktstr_dispatch+0x9e/0x2bf
    pass not_starved (check, run): all workers ran, at least 10000 iterations
    ");
}

#[test]
fn an_error_that_the_kernel_finds() {
    let seen = while_it_runs(
        "scx log 3 sched_ext: BPF scheduler \"mine\" disabled (runtime error)
         scx log 3 sched_ext: mine: SCX_DSQ_LOCAL[_ON] target CPU 2 not allowed for spin[77]
         scx state disabled
         scx exit 256
         broken",
    );
    insta::assert_snapshot!(seen, @r"
    fail scheduler_alive (runtime error, run): runtime error: SCX_DSQ_LOCAL[_ON] target CPU 2 not allowed for spin[77]
    pass not_starved (check, run): all workers ran, at least 10000 iterations
    ");
    let at_attach = found(
        "scx start mine
         scx state enabling
         scx log 3 sched_ext: BPF scheduler \"mine\" disabled (runtime error)
         scx log 3 sched_ext: mine: ops.init() failed (-22)
         scx state disabled
         scx exit 256
         broken",
    );
    insta::assert_snapshot!(at_attach, @"fail scheduler_alive (runtime error, attach): runtime error: ops.init() failed (-22)");
}

const STALL: &str = "scx log 3 sched_ext: BPF scheduler \"mine\" disabled (runnable task stall)
    scx log 3 sched_ext: mine: kworker/1:2[61] failed to run for 5.200s
    scx state disabled
";

fn stalled(current: &str, class: &str) -> String {
    while_it_runs(&format!(
        "{STALL}
         scx err CPU 0   : nr_run=0 flags=0x1 cpu_rel=0 ops_qseq=1 pnt_seq=2
         scx err           curr=swapper/0[0] class=idle_sched_class
         scx err CPU 1   : nr_run=2 flags=0x1 cpu_rel=0 ops_qseq=1 pnt_seq=2
         scx err           curr={current} class={class}
         scx err   R kworker/1:2[61] *root -5200ms
         scx err       scx_state/flags=3/0x9 dsq_flags=0x0
         scx err EXIT: runnable task stall
         scx exit 256
         broken"
    ))
}

#[test]
fn a_stall_names_task_cpu_and_who_had_it() {
    insta::assert_snapshot!(stalled("spin/1[812]", "ext_sched_class"), @r"
    fail no_stall (stall, run): stall: kworker/1:2 did not run for 5.2 s on CPU 1 behind spin/1 [CPU 1]
      | CPU 1   : nr_run=2 flags=0x1 cpu_rel=0 ops_qseq=1 pnt_seq=2
      |           curr=spin/1[812] class=ext_sched_class
      |   R kworker/1:2[61] *root -5200ms
      |       scx_state/flags=3/0x9 dsq_flags=0x0
      | EXIT: runnable task stall
    pass not_starved (check, run): all workers ran, at least 10000 iterations
    ");
    let traced = while_it_runs(&format!(
        "{STALL}
         scx dump kworker/u18:2[45] triggered exit kind 1026 on CPU 0:
         scx dump CPU 0   : nr_run=1 flags=0x1
         scx dump           curr=spin/0[811] class=ext_sched_class
         scx dump   R kworker/1:2[61] *root -5200ms
         scx exit 256
         broken"
    ));
    assert!(traced.contains("did not run for 5.2 s on CPU 0 behind spin/0 [CPU 0]"), "{traced}");
    let watchdog = while_it_runs(&format!(
        "{STALL}
         scx dump kworker/u18:2[45] triggered exit kind 1026 on CPU 0:
         scx dump CPU 0   : nr_run=1 flags=0x1
         scx dump           curr=kworker/u18:2[45] class=ext_sched_class
         scx dump   R kworker/1:2[61] *root -5200ms
         scx exit 256
         broken"
    ));
    assert!(watchdog.contains("did not run for 5.2 s on CPU 0 [CPU 0]"), "{watchdog}");
    let idle = stalled("swapper/1[0]", "idle_sched_class");
    assert!(idle.contains("did not run for 5.2 s on CPU 1, which is idle"), "{idle}");
    let no_dump = while_it_runs(&format!("{STALL}\n scx exit 256\n broken"));
    insta::assert_snapshot!(no_dump, @r"
    fail no_stall (stall, run): stall: kworker/1:2 did not run for 5.2 s
      on which CPU is not known: there is no dump that shows the task
    pass not_starved (check, run): all workers ran, at least 10000 iterations
    ");
}

#[test]
fn a_stall_behind_a_real_time_task_is_another_cause() {
    let seen = stalled("hog[812]", "rt_sched_class");
    let first: Vec<&str> = seen.lines().take(2).collect();
    assert_eq!(
        first,
        [
            "fail no_stall (stall behind a real-time task, run): stall: kworker/1:2 did not run for 5.2 s on CPU 1 \
             behind hog [CPU 1]",
            "  hog is of rt_sched_class, before which no sched_ext task runs: it is not the scheduler's fault"
        ]
    );
}

#[test]
fn without_no_stall_the_scheduler_is_not_alive_all_the_same() {
    let layer = ChecksSpec { no_stall: Some(false), ..ChecksSpec::default() };
    let history = history("1n1l2c1t", &format!("{ATTACHED}{STALL} scx exit 256\n broken"));
    let seen = found_by(&history, &layer);
    assert!(seen.starts_with("fail scheduler_alive (stall, run): stall: kworker/1:2 did not run"), "{seen}");
}

#[test]
fn a_refusal_by_the_verifier_has_the_decisive_lines() {
    let seen = found(
        "scx start mine
         scx err libbpf: prog 'ktstr_dispatch': BPF program load failed: -EACCES
         scx err libbpf: prog 'ktstr_dispatch': -- BEGIN PROG LOAD LOG --
         scx err 0: R1=ctx() R10=fp0
         scx err 1: (07) r2 += 1 ; R2=1
         scx err 2: (a5) if r2 < 0x3 goto pc-2 ; R2=1
         scx err 1: (07) r2 += 1 ; R2=2
         scx err 2: (a5) if r2 < 0x3 goto pc-2 ; R2=2
         scx err 3: (79) r0 = *(u64 *)(r1 +0)
         scx err R1 invalid mem access 'scalar'
         scx err processed 12 insns (limit 1000000) max_states_per_insn 0 total_states 1 peak_states 1 mark_read 1
         scx err -- END PROG LOAD LOG --
         scx err Error: Permission denied (os error 13)
         scx exit 256
         broken",
    );
    insta::assert_snapshot!(seen, @r"
    fail scheduler_alive (verifier, verify): verifier: ktstr_dispatch: R1 invalid mem access 'scalar'
      | 0: R1=ctx() R10=fp0
      | 1: (07) r2 += 1 ; R2=1
      | 2: (a5) if r2 < 0x3 goto pc-2 ; R2=1
      | [these 2 lines 2 times]
      | 3: (79) r0 = *(u64 *)(r1 +0)
      | R1 invalid mem access 'scalar'
      | processed 12 insns (limit 1000000) max_states_per_insn 0 total_states 1 peak_states 1 mark_read 1
    ");
}

#[test]
fn a_kernel_that_explains_its_refusal_is_quoted() {
    let seen = found(
        "scx start mine
         scx err libbpf: prog 'ktstr_enqueue': -- BEGIN PROG LOAD LOG --
         scx err 21: (0f) r2 += r1
         scx err math between map_value pointer and register with unbounded min value is not allowed
         scx err Verification failed: Register Type Safety: Pointer offset is not safe
         scx err Reason:
         scx err   The scalar offset used with R2 is unbounded
         scx err Causal path:
         scx err   ktstr_enqueue @ verifier.bpf.c:20:42
         scx err Suggestion:
         scx err   Clamp the scalar offset.
         scx err processed 111 insns (limit 1000000) max_states_per_insn 1 total_states 6 peak_states 6 mark_read 0
         scx err -- END PROG LOAD LOG --
         scx exit 256
         broken",
    );
    insta::assert_snapshot!(seen, @r"
    fail scheduler_alive (verifier, verify): verifier: ktstr_enqueue: math between map_value pointer and register with unbounded min value is not allowed
      | 21: (0f) r2 += r1
      | math between map_value pointer and register with unbounded min value is not allowed
      | Verification failed: Register Type Safety: Pointer offset is not safe
      | Reason:
      |   The scalar offset used with R2 is unbounded
      | processed 111 insns (limit 1000000) max_states_per_insn 1 total_states 6 peak_states 6 mark_read 0
    ");
}

#[test]
fn a_panic_of_the_user_part_at_load_and_later() {
    let panic = "scx err thread 'main' (100) panicked at src/main.rs:7:5:
        scx err index out of bounds: the len is 4 but the index is 7
        scx err note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace
        scx log 6 sched_ext: BPF scheduler \"mine\" disabled (unregistered from user space)
        scx state disabled
        scx exit 25856
        broken";
    insta::assert_snapshot!(while_it_runs(panic), @r"
    fail scheduler_alive (user panic, run): user panic at src/main.rs:7:5: index out of bounds: the len is 4 but the index is 7
    pass not_starved (check, run): all workers ran, at least 10000 iterations
    ");
    let at_load = found(
        "scx start mine
         scx err thread 'main' panicked at 'no cells', src/main.rs:7:5
         scx exit 25856
         broken",
    );
    insta::assert_snapshot!(at_load, @"fail scheduler_alive (user panic, load): user panic at 'no cells', src/main.rs:7:5");
}

#[test]
fn an_end_by_itself() {
    let seen = while_it_runs(
        "scx out local=4 global=2
         scx log 6 sched_ext: BPF scheduler \"mine\" disabled (unregistered from user space)
         scx state disabled
         scx exit 0
         broken",
    );
    insta::assert_snapshot!(seen, @r"
    fail scheduler_alive (exit, run): exit: it ended by itself with exit code 0 while it was attached
      | local=4 global=2
    pass not_starved (check, run): all workers ran, at least 10000 iterations
    ");
    let refused = found(
        "scx start mine
         scx err error: unexpected argument '--its' found
         scx exit 512
         broken",
    );
    insta::assert_snapshot!(refused, @r"
    fail scheduler_alive (exit, load): exit: it ended by itself with exit code 2 before it was attached: error: unexpected argument '--its' found
      | error: unexpected argument '--its' found
    ");
    let killed = while_it_runs("scx exit 139\n broken");
    assert!(
        killed.starts_with("fail scheduler_alive (signal, run): signal: it was killed by signal 11 (SIGSEGV) while"),
        "{killed}"
    );
}

#[test]
fn what_never_comes_to_an_end() {
    let attach = found(
        "scx start mine
         scx state enabling
         scx late attach 60s D percpu_down_write+0x12/0x200 scx_enable+0x5/0x10
         broken",
    );
    insta::assert_snapshot!(attach, @r"
    fail scheduler_alive (attach hang, attach): attach hang: after 60s sched_ext is still enabling
      its process waits in the kernel and cannot be interrupted
        percpu_down_write+0x12/0x200
        scx_enable+0x5/0x10
    ");
    let load = found("scx start mine\n scx out loaded\n scx late attach 60s S\n broken");
    insta::assert_snapshot!(load, @r"
    fail scheduler_alive (load hang, load): load hang: after 60s it has not asked the kernel to attach it
      its process sleeps
      | loaded
    ");
    let detach = while_it_runs("scx signal 2\n scx late detach 20s R");
    insta::assert_snapshot!(detach, @r"
    fail scheduler_alive (detach hang, detach): detach hang: 20s after it was told to end sched_ext is enabled, and its process is still there
      its process is running or runnable
    pass not_starved (check, run): all workers ran, at least 10000 iterations
    ");
}

#[test]
fn a_failure_is_of_the_phase_in_which_it_began() {
    let seen = while_it_runs(
        "scx state disabling\n hold 1s\n scx signal 2
         scx log 6 sched_ext: BPF scheduler \"mine\" disabled (runtime error)
         scx exit 256",
    );
    assert!(seen.contains("fail scheduler_alive (runtime error, run): runtime error: "), "{seen}");
}

#[test]
fn an_error_in_its_log_can_be_allowed() {
    let lines = format!("{ATTACHED} scx err 12:00:00 [ERROR] cannot read the stats\n{DETACHED}");
    let seen = found(&lines);
    let line = "fail no_error_log (error log, run): error log: 12:00:00 [ERROR] cannot read the stats";
    assert!(seen.contains(line), "{seen}");
    let layer = ChecksSpec { no_error_log: Some(false), ..ChecksSpec::default() };
    let allowed = found_by(&history("1n1l2c1t", &lines), &layer);
    assert!(!allowed.contains("fail"), "{allowed}");
    let libbpf = found(&format!("{ATTACHED} scx err libbpf: error: member priv not found\n{DETACHED}"));
    assert!(!libbpf.contains("fail"), "{libbpf}");
}

#[test]
fn one_that_comes_back_has_not_failed_and_one_that_does_not_has() {
    let away = "scx log 6 sched_ext: BPF scheduler \"mine\" disabled (unregistered from the main kernel)
        scx log 6 sched_ext: mine: cpu 1 going offline, exiting scheduler
        scx state disabled
        scx wait 1s
    ";
    let back = found(&format!("{ATTACHED}{away} scx state enabled\n{DETACHED}"));
    assert!(back.starts_with("pass scheduler_alive"), "{back}");
    let gone = while_it_runs(&format!("{away} broken"));
    let line =
        "fail scheduler_alive (unregistered, run): unregistered: unregistered from the main kernel: cpu 1 going \
                offline, exiting scheduler";
    assert!(gone.starts_with(line), "{gone}");
    let silent = while_it_runs("scx state disabled\n broken");
    assert!(silent.contains("unregistered: sched_ext is disabled, and the kernel's log does not say why"), "{silent}");
}

#[test]
fn checks_of_a_scheduler_that_is_not_there_are_unknown() {
    let layer = ChecksSpec { scheduler_alive: Some(true), ..ChecksSpec::default() };
    let history = history("1n1l2c1t", "a: cpu_spin x2\n hold 1s");
    let checks = merge(&[(Origin::Test, &layer)], Has::default());
    let seen = text(&judge(&history.recording(), &checks).findings[0]);
    assert!(seen.starts_with("unknown scheduler_alive (nothing to judge, run): nothing to judge: the case has no"));
}
