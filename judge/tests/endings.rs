//! Each way to end has its cause, its phase and its words.

use ktstr_judge::{judge, Judgement};
use ktstr_model::check::{merge, Has};
use ktstr_model::spec::ChecksSpec;
use ktstr_model::{Cause, Finding, Nanos, Phase, Verdict};
use ktstr_recording::{CpuState, Ending, HostEvent, Recording};
use ktstr_testing::history::{history, History};

fn judged(recording: &Recording) -> Judgement {
    let mut layer = ChecksSpec { isolation: Some(true), ..Default::default() };
    layer.max_gap = Some(ktstr_model::spec::Switch::Bound(Nanos(100_000_000)));
    judge(recording, &merge(&[(ktstr_model::Origin::Test, &layer)], Has { limited_cpus: true, scheduler: false }))
}

fn text(finding: &Finding) -> String {
    let name = finding.check.as_deref().unwrap_or(finding.cause.name());
    let mut lines = vec![format!("{} {name} ({:?}): {}", finding.verdict.name(), finding.phase, finding.measured)];
    lines.extend(finding.explanation.lines().map(Into::into));
    lines.join("\n  ")
}

fn found(history: &History) -> String {
    judged(&history.recording()).findings.iter().map(text).collect::<Vec<_>>().join("\n")
}

/// A case whose second of two steps is cut off.
fn broken_off() -> History {
    history("1n1l2c1t", "a: cpu_spin x2\n hold 1s\n step\n cut\n hold 1s")
}

/// A case that was cut off before its first hold has ended.
fn broken_off_early() -> History {
    history("1n1l2c1t", "a: cpu_spin x2\n cut\n hold 1s")
}

#[test]
fn a_good_end_is_no_finding() {
    let history = history("1n1l2c1t", "a: cpu_spin x2\n hold 1s");
    insta::assert_snapshot!(found(&history), @r"
    pass not_starved (Run): all workers ran, at least 10000 iterations
    pass max_gap (Run): gap of 1ms
    pass isolation (Run): all workers kept to their CPUs
    ");
    assert_eq!(judged(&history.recording()).verdict, Verdict::Pass);
}

#[test]
fn the_guests_ways_to_fail() {
    let panic = broken_off().ended(Ending::Panic { message: "Fatal exception in interrupt".into() });
    insta::assert_snapshot!(found(&panic), @r"
    fail panic (Run): the kernel panicked: Fatal exception in interrupt
    pass not_starved (Run): all workers ran, at least 10000 iterations
    pass max_gap (Run): gap of 1ms
    pass isolation (Run): all workers kept to their CPUs
    ");
    let cpu =
        |cpu, halted, interrupts| CpuState { cpu, instruction: 0xffff_ffff_8100_1234, interrupts, halted, user: false };
    let cpus = vec![cpu(0, false, false), cpu(1, true, true)];
    insta::assert_snapshot!(found(&broken_off_early().ended(Ending::Hang { cpu_ms: 10_250, cpus })), @r"
    fail hang (Run): no heartbeat for 10.25s of CPU time
      CPU 0: in the kernel at 0xffffffff81001234, interrupts off
      CPU 1: halted, interrupts on
    ");
    insta::assert_snapshot!(found(&broken_off().ended(Ending::TripleFault)), @r"
    fail triple fault (Run): the guest ran into a triple fault
      a CPU met a fault while it handled a double fault, as with broken page tables or a broken stack
    pass not_starved (Run): all workers ran, at least 10000 iterations
    pass max_gap (Run): gap of 1ms
    pass isolation (Run): all workers kept to their CPUs
    ");
    insta::assert_snapshot!(found(&broken_off().ended(Ending::Reboot)), @r"
    fail reboot (Run): the guest restarted by itself
    pass not_starved (Run): all workers ran, at least 10000 iterations
    pass max_gap (Run): gap of 1ms
    pass isolation (Run): all workers kept to their CPUs
    ");
    insta::assert_snapshot!(found(&broken_off_early().ended(Ending::PowerOff)), @"fail power off (Run): the guest switched itself off before it was done");
    assert_eq!(judged(&panic.recording()).verdict, Verdict::Fail);
}

#[test]
fn a_dead_worker_is_a_failure() {
    let died = history(
        "1n1l2c1t",
        "a: cpu_spin x2\n hold 1s\n died a/1 11\n died a/0 256\n hold 1s\n a/1 missing\n a/0 missing",
    );
    insta::assert_snapshot!(found(&died), @r"
    fail worker died (Run): cpu_spin/1 in cgroup a was killed by signal 11 (SIGSEGV)
      2 workers died in all
    pass max_gap (Run): gap of 1ms
    pass isolation (Run): all workers kept to their CPUs
    ");
    let raced = history("1n1l2c1t", "a: racy_counter x2\n hold 1s\n died a/1 26368");
    assert!(found(&raced).contains("racy_counter/1 in cgroup a found that an addition to its counter was lost"));
    let by_itself = history("1n1l2c1t", "a: cpu_spin x1\n hold 1s\n died a/0 512");
    insta::assert_snapshot!(found(&by_itself), @r"
    fail worker died (Run): cpu_spin/0 in cgroup a ended by itself with exit code 2
      workers run until the test stops them
    pass not_starved (Run): all workers ran, at least 10000 iterations
    pass max_gap (Run): gap of 1ms
    pass isolation (Run): all workers kept to their CPUs
    ");
}

#[test]
fn the_harness_is_never_the_schedulers_failure() {
    let mut silent = broken_off_early().ended(Ending::BootTimeout { cpu_ms: 56_000 });
    (silent.seen, silent.events) = (None, vec![]);
    let started = HostEvent::MachineStarted { backend_version: "QEMU 10.0".into(), command_line: "quiet".into() };
    insta::assert_snapshot!(found(&silent.host(started)), @r"
    infrastructure boot timeout (Boot): the guest did not come up in 56s of CPU time
      run it again; if it stays so, see the console for how far the kernel came
    ");
    let emulator = Ending::EmulatorFailed { status: "exit status 1".into(), log: "qemu: out of memory\n".into() };
    insta::assert_snapshot!(found(&broken_off().ended(emulator)), @r"
    infrastructure emulator (Run): the emulator ended by itself: exit status 1
      qemu: out of memory
    pass not_starved (Run): all workers ran, at least 10000 iterations
    pass max_gap (Run): gap of 1ms
    pass isolation (Run): all workers kept to their CPUs
    ");
    insta::assert_snapshot!(found(&broken_off().ended(Ending::Interrupted { reason: "SIGTERM".into() })), @r"
    infrastructure interrupted (Run): cut off by SIGTERM
      what was seen before is judged
    pass not_starved (Run): all workers ran, at least 10000 iterations
    pass max_gap (Run): gap of 1ms
    pass isolation (Run): all workers kept to their CPUs
    ");
    assert_eq!(
        judged(&broken_off().ended(Ending::Interrupted { reason: "x".into() }).recording()).verdict,
        Verdict::Infrastructure
    );
}

#[test]
fn a_guest_that_could_not_go_on_says_why() {
    let failed =
        history("1n1l2c1t", "a: cpu_spin x2\n failed create cgroup a: no space left on device\n cut\n hold 1s");
    insta::assert_snapshot!(found(&failed.ended(Ending::Guest { code: 17 })), @"infrastructure guest (Run): the guest failed to create cgroup a: no space left on device");
    insta::assert_snapshot!(found(&broken_off_early().ended(Ending::Guest { code: 17 })), @r"
    infrastructure guest (Run): the guest could not go on
      it did not say why; see the console
    ");
    insta::assert_snapshot!(found(&broken_off_early().ended(Ending::Guest { code: 18 })), @r"
    infrastructure channel (Run): the guest cannot reach the window of memory that it shares with the host
      see the console for why; the kernel needs /dev/mem (CONFIG_DEVMEM) and must let it be mapped (lockdown off)
    ");
    insta::assert_snapshot!(found(&broken_off_early().ended(Ending::Guest { code: 16 })), @"infrastructure channel (Run): the guest was done, but its last messages did not come");
    insta::assert_snapshot!(found(&broken_off_early().ended(Ending::Guest { code: 99 })), @r"
    infrastructure guest (Run): the guest ended with exit code 99
      no guest program of this version does that; was it built from the same source?
    ");
}

#[test]
fn the_host_says_what_it_could_not_do() {
    let mut nothing = broken_off_early();
    (nothing.seen, nothing.events) = (None, vec![]);
    nothing.host = vec![HostEvent::HostFailed { doing: "make the window".into(), problem: "no space left".into() }];
    insta::assert_snapshot!(found(&nothing), @"infrastructure host (Prepare): the host failed to make the window: no space left");
    let damaged = history("1n1l2c1t", "a: cpu_spin x2\n hold 1s")
        .host(HostEvent::ChannelProblem { offset: 9, problem: "overrun: 8 bytes from byte 9 on".into() });
    insta::assert_snapshot!(found(&damaged), @r"
    infrastructure channel (Finish): the guest's messages: overrun: 8 bytes from byte 9 on
    pass not_starved (Run): all workers ran, at least 10000 iterations
    pass max_gap (Run): gap of 1ms
    pass isolation (Run): all workers kept to their CPUs
    ");
}

#[test]
fn a_guest_that_is_done_must_have_said_everything() {
    let missing = history("1n1l2c1t", "a: cpu_spin x2\n hold 1s\n a/1 missing");
    insta::assert_snapshot!(found(&missing), @r"
    infrastructure channel (Finish): 1 report of workers did not come
      the guest says that it is done; was it built from the same source?
    pass not_starved (Run): all workers ran, at least 10000 iterations
    pass max_gap (Run): gap of 1ms
    pass isolation (Run): all workers kept to their CPUs
    ");
    let mut short = history("1n1l2c1t", "a: cpu_spin x2\n hold 1s\n step\n hold 1s");
    let half = short.events.len() / 2;
    short.events.drain(half..short.events.len() - 1);
    insta::assert_snapshot!(found(&short), @r"
    infrastructure channel (Finish): of 2 holds only 1 came
      the guest says that it is done; was it built from the same source?
    pass not_starved (Run): all workers ran, at least 10000 iterations
    pass max_gap (Run): gap of 1ms
    pass isolation (Run): all workers kept to their CPUs
    ");
    let mut twice = history("1n1l2c1t", "a: cpu_spin x2\n hold 1s");
    twice.events.extend(twice.events.clone());
    insta::assert_snapshot!(found(&twice), @r"
    infrastructure channel (Finish): 5 messages of the guest do not fit the plan
      the guest says that it is done; was it built from the same source?
    pass not_starved (Run): all workers ran, at least 10000 iterations
    pass max_gap (Run): gap of 1ms
    pass isolation (Run): all workers kept to their CPUs
    ");
}

#[test]
fn a_cut_recording_is_judged_by_what_is_there() {
    let bytes = history("1n1l2c1t", "a: cpu_spin x2\n hold 1s").write();
    let end = Recording::from_bytes(&bytes[..bytes.len() - 9], "x").expect("a header");
    let findings = judged(&end);
    assert_eq!(findings.verdict, Verdict::Infrastructure);
    let texts: Vec<String> = findings.findings.iter().map(text).collect();
    let offset = bytes.len() - 9;
    insta::assert_snapshot!(texts.join("\n").replace(&format!("byte {offset}"), "byte N"), @r"
    infrastructure host (Finish): the recording is damaged at byte N: it ends there without an end record; whoever wrote it was stopped
      judged by what is before
    pass not_starved (Run): all workers ran, at least 10000 iterations
    pass max_gap (Run): gap of 1ms
    pass isolation (Run): all workers kept to their CPUs
    ");
}

#[test]
fn no_cut_panics_or_passes() {
    let bytes = history("2n2l2c1t", "a: bursty x2 @0-1\n hold 1s\n step\n freeze a\n hold 1s").write();
    for end in 0..bytes.len() {
        let Ok(recording) = Recording::from_bytes(&bytes[..end], "x") else { continue };
        assert_ne!(judged(&recording).verdict, Verdict::Pass, "cut at {end}");
    }
}

#[test]
fn another_machine_than_declared_is_told() {
    let history = |label| history(label, "a: cpu_spin x2\n hold 1s");
    let one_less = history("1n2l2c1t").seen(|seen| {
        seen.cpus.pop();
    });
    insta::assert_snapshot!(found(&one_less), @r"
    infrastructure topology (Boot): the guest sees another machine than declared: CPUs 0-2 are on line, declared are 0-3
      packages are [0-2], declared are [0-3]
    pass not_starved (Run): all workers ran, at least 10000 iterations
    pass max_gap (Run): gap of 1ms
    pass isolation (Run): all workers kept to their CPUs
    ");
    let one_llc = history("1n2l2c1t").seen(|seen| {
        seen.cpus.iter_mut().for_each(|cpu| cpu.llc = "0-3".parse().expect("a list"));
    });
    insta::assert_snapshot!(found(&one_llc), @r"
    infrastructure topology (Boot): the guest sees another machine than declared: CPU 0 shares its LLC with CPUs 0-3, declared are 0-1
    pass not_starved (Run): all workers ran, at least 10000 iterations
    pass max_gap (Run): gap of 1ms
    pass isolation (Run): all workers kept to their CPUs
    ");
    let no_smt = history("1n2l2c2t").seen(|seen| {
        seen.cpus[3].siblings = "3".parse().expect("a list");
        seen.cpus[5].llc = Default::default();
    });
    insta::assert_snapshot!(found(&no_smt), @r"
    infrastructure topology (Boot): the guest sees another machine than declared: CPU 5 shares its LLC with CPUs none, declared are 4-7
      CPU 3 shares its core with CPUs 3, declared are 2-3
    pass not_starved (Run): all workers ran, at least 10000 iterations
    pass max_gap (Run): gap of 1ms
    pass isolation (Run): all workers kept to their CPUs
    ");
    let mut one_node = history("2n2l2c1t").seen(|seen| {
        seen.nodes.pop();
        seen.cpus.iter_mut().for_each(|cpu| cpu.package = 0);
    });
    one_node.case.kernel_args = vec!["numa=off".into()];
    insta::assert_snapshot!(found(&one_node), @r"
    infrastructure topology (Boot): the guest sees another machine than declared: packages are [0-3], declared are [0-1] [2-3]
      NUMA nodes are [0-1], declared are [0-1] [2-3]
      kernel_args may be the reason: numa=off
    pass not_starved (Run): all workers ran, at least 10000 iterations
    pass max_gap (Run): gap of 1ms
    pass isolation (Run): all workers kept to their CPUs
    ");
    let small = history("2n2l2c1t").seen(|seen| seen.nodes[1].memory_kib = 200 << 10);
    insta::assert_snapshot!(found(&small), @r"
    infrastructure topology (Boot): the guest sees another machine than declared: node 1 has 200M of memory, declared are 512M
    pass not_starved (Run): all workers ran, at least 10000 iterations
    pass max_gap (Run): gap of 1ms
    pass isolation (Run): all workers kept to their CPUs
    ");
}

#[test]
fn distances_are_compared_where_they_are_declared() {
    let mut far = history("2n2l2c1t", "a: cpu_spin x2\n hold 1s");
    let mut spec: ktstr_model::topology::TopologySpec = far.case.topology.clone().into();
    spec.distances = Some(vec![vec![10, 30], vec![30, 10]]);
    far.case.topology = spec.resolve("topology").expect("can be");
    insta::assert_snapshot!(found(&far), @r"
    infrastructure topology (Boot): the guest sees another machine than declared: distances of node 0 are [10, 20], declared are [10, 30]
    pass not_starved (Run): all workers ran, at least 10000 iterations
    pass max_gap (Run): gap of 1ms
    pass isolation (Run): all workers kept to their CPUs
    ");
}

#[test]
fn a_hang_of_the_machine_is_seen_from_the_host_and_has_a_phase() {
    const ATTACHED: &str = "scx start mine\n scx state enabling\n scx state enabled\n a: cpu_spin x2\n hold 1s\n";
    const DETACHED: &str = "scx signal 2\n scx state disabled\n scx exit 0\n";
    let cpus = vec![CpuState { cpu: 0, instruction: 1, interrupts: true, halted: false, user: false }];
    let hang = |lines: &str| {
        let history = history("1n1l2c1t", lines).ended(Ending::Hang { cpu_ms: 10_000, cpus: cpus.clone() });
        let has = Has { limited_cpus: false, scheduler: true };
        let findings = judge(&history.recording(), &merge(&[], has)).findings;
        let hang = findings.into_iter().find(|finding| finding.cause == Cause::Hang).expect("a hang");
        (hang.verdict, hang.phase, hang.measured)
    };
    let seen = |phase, by: &str| (Verdict::Fail, phase, format!("no heartbeat for 10s of CPU time{by}"));
    assert_eq!(hang(ATTACHED), seen(Phase::Run, ", with mine attached"));
    assert_eq!(
        hang("scx start mine\n scx state enabling\n cut"),
        seen(Phase::Attach, ", while mine was being attached")
    );
    assert_eq!(hang("scx start mine\n cut"), seen(Phase::Load, ""));
    assert_eq!(hang(&format!("{ATTACHED}{DETACHED}")), seen(Phase::Detach, ""));
    assert_eq!(hang("hold 1s"), seen(Phase::Run, ""));
}
