//! Machines with a shell: one command, a person at a terminal, and what cannot be.

use ktstr_tests::{argument, children, executable, ktstr, said, Bare, Pty, Said};
use rustix::process::{kill_process, Pid, Signal};
use std::path::{Path, PathBuf};

/// Runs the shell of a target.
fn shell(target: &str, arguments: &[&str]) -> Said {
    said(&executable(&format!("{target}.shell")), arguments)
}

/// The shell of `boots` on a terminal, as soon as it has its prompt.
fn at_prompt() -> (Pty, String) {
    let mut pty = Pty::start(&executable("boots.shell"), &[]);
    let before = pty.settings();
    pty.wait_for("1n1l1c1t] / # ");
    assert_ne!(pty.settings(), before, "the terminal is the guest's");
    (pty, before)
}

fn fixture() -> PathBuf {
    std::env::var_os("KTSTR_SCHEDULER").expect("run this under Bazel").into()
}

#[test]
fn a_command_gives_its_output_and_its_status() {
    let directory = tempfile::tempdir().expect("a directory");
    let script = directory.path().join("script");
    std::fs::write(&script, "echo from the file \"$1\"\n").expect("writes");
    let file = format!("/tmp/script={}", argument(&script));
    let command =
        "echo out; echo err >&2; printf 'a\\000\\377b\\n' | od -An -tx1; sh /tmp/script x; cat /proc/cmdline; exit 7";
    let ran = shell("boots", &["--file", &file, "--exec", command]);
    assert_eq!(ran.status, Some(7), "{}", ran.stderr);
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert_eq!(lines[..3], ["out", " 61 00 ff 62 0a", "from the file x"]);
    assert!(lines[3].ends_with(" ktstr_shell_test=1"), "{}", lines[3]);
    assert!(
        ran.stderr.ends_with("\nerr\n") && ran.stderr.contains(" on 1n1l1c1t (or --topology 2n4l1c2t)"),
        "{}",
        ran.stderr
    );
    // Nothing is left out of much, and nothing of a child in the background is waited for.
    let ran = shell("boots", &["--topology", "1n1l1c1t", "--exec", "sleep 1000 & seq 1 100000"]);
    assert_eq!((ran.status, ran.stdout.lines().count(), ran.stderr.as_str()), (Some(0), 100_000, ""));
    assert!(ran.stdout.ends_with("\n100000\n"));
    let ran = shell("boots", &["--clock", "virtual", "--exec", "kill -SEGV $$"]);
    assert_eq!(ran.status, Some(128 + 11), "{}", ran.stderr);
}

#[test]
fn the_machine_is_that_of_the_test() {
    let command =
        "cd /sys/devices/system; cat cpu/online node/online node/node1/cpulist cpu/cpu5/topology/thread_siblings_list";
    let ran = shell("boots", &["--topology", "2n4l1c2t", "--exec", command]);
    assert_eq!(ran.stdout, "0-7\n0-1\n4-7\n4-5\n", "{}", ran.stderr);
}

#[test]
fn the_scheduler_is_attached_unless_it_is_not_wanted() {
    let command = "cat /sys/kernel/sched_ext/state; ls /run/ktstr/bin";
    let ran = shell("under", &["--exec", command]);
    assert_eq!(ran.stdout, "enabled\nscx_ktstr\n", "{}", ran.stderr);
    assert!(ran.stderr.contains(" on 1n2l1c1t scx_ktstr (or --profile llc or refused)"), "{}", ran.stderr);
    // It can be started by hand.
    let by_hand = "scx_ktstr >/dev/null & until grep -q enabled /sys/kernel/sched_ext/state; do :; done; echo by hand";
    let options = ["--profile", "llc", "--detached", "--exec", &format!("{command}; {by_hand}")];
    let ran = shell("under", &options);
    assert_eq!(ran.stdout, "disabled\nscx_ktstr\nby hand\n", "{}", ran.stderr);
    // For a command it would be another machine than the one that was asked for.
    let ran = shell("under", &["--profile", "refused", "--exec", "echo out"]);
    ran.expect(
        125,
        &["ktstr: scx_ktstr is not attached, and the command was not run: it ended (exit status: 2); it printed: "],
    );
    assert_eq!(ran.stdout, "");
    shell("without", &["--exec", "true"]).expect(
        2,
        &["has no sched_ext_ops (CONFIG_SCHED_CLASS_EXT), which scx_ktstr needs; --detached boots without it"],
    );
}

#[test]
fn a_person_types() {
    let (mut pty, before) = at_prompt();
    pty.type_in("echo $((6*7)) $TERM; stty size\r");
    pty.wait_for("42 xterm-256color\r\n24 80\r\n");
    pty.resize(50, 132);
    pty.signal(Signal::WINCH);
    // The shell is told of it when it reads again; a program in the foreground at once.
    pty.type_in("while [ \"$(stty size)\" != '50 132' ]; do :; done; echo re''sized\r");
    pty.wait_for("resized\r\n");
    // Ctrl-C is for the program in the guest.
    pty.type_in("echo sta''rted; sleep 1000\r");
    pty.wait_for("started\r\n");
    pty.type_in("\x03");
    pty.wait_for("# ");
    pty.type_in("echo status $?\r");
    pty.wait_for("status 130\r\n");
    pty.type_in("exit 3\r");
    assert_eq!(pty.wait().code(), Some(3));
    assert_eq!(pty.settings(), before);
}

#[test]
fn the_terminal_is_restored_whatever_ends_it() {
    let (mut pty, before) = at_prompt();
    pty.signal(Signal::TERM);
    assert_eq!(pty.wait().code(), Some(128 + 15));
    assert_eq!(pty.settings(), before);
    pty.wait_for("ktstr: the shell was ended by SIGTERM");

    let (mut pty, before) = at_prompt();
    let emulator = children(pty.pid()).into_iter().next().expect("an emulator");
    kill_process(Pid::from_raw(emulator).expect("a process id"), Signal::KILL).expect("sends");
    assert_eq!(pty.wait().code(), Some(125));
    assert_eq!(pty.settings(), before);
    pty.wait_for("ERROR: the emulator failed (signal: 9 (SIGKILL))");

    let (mut pty, before) = at_prompt();
    pty.type_in("echo c >/proc/sysrq-trigger\r");
    assert_eq!(pty.wait().code(), Some(125));
    assert_eq!(pty.settings(), before);
    pty.wait_for("ERROR: the kernel panicked: ");

    let (mut pty, before) = at_prompt();
    pty.type_in("\x1d\x1d\x1d");
    assert_eq!(pty.wait().code(), Some(125));
    assert_eq!(pty.settings(), before);
}

#[test]
fn without_bazel() {
    let bare = Bare::of("boots");
    let scheduler = fixture();
    let options = ["--topology", "1n2l1c1t", "--scheduler", argument(&scheduler), "--kernel-arg", "of_mine=1"];
    let command = ["--exec", "cat /sys/kernel/sched_ext/state; grep -c of_mine=1 /proc/cmdline; nproc"];
    let ran = bare.shell("boots.shell", &[&options[..], &command, &["--", "--llc"]].concat());
    assert_eq!((ran.status, ran.stdout.as_str()), (Some(0), "enabled\n1\n2\n"), "{}", ran.stderr);
    let ran = bare.shell("boots.shell", &["--timeout", "1", "--exec", "sleep 1000"]);
    ran.expect(125, &["ERROR: the shell was ended by the timeout of 1 s"]);
}

#[test]
fn a_command_on_a_saved_host_gets_its_words_and_gives_its_status() {
    let ran = said(Path::new("tests/nested/ends.sh"), &["a b", "it's $HOME"]);
    assert_eq!((ran.status, ran.stdout.as_str()), (Some(7), "<a b><it's $HOME>"), "{}", ran.stderr);
}

#[test]
fn what_cannot_be_is_refused() {
    let refused = |arguments: &[&str], text: &str| shell("boots", arguments).expect(2, &[text]);
    refused(
        &["--topology", "9n9l9c9t", "--exec", "true"],
        "--topology: the test has no \"9n9l9c9t\"; it has 1n1l1c1t, 2n4l1c2t",
    );
    refused(&["--profile", "llc", "--exec", "true"], "--profile: the test has no flag profiles, and so no \"llc\"");
    refused(&["--exec", " "], "--exec: there is no command in it");
    refused(
        &[],
        "standard input is no terminal, and a shell for a person needs one; for a command there is --exec CMD",
    );
    refused(&["--file", "x=y", "--exec", "true"], "it is the path in the guest and a file, such as ");
    refused(&["--file", "/x=/nowhere", "--exec", "true"], "--file /x: cannot read /nowhere: No such file");
    refused(&["--clock", "wall", "--exec", "true"], "it is real or virtual");
    shell("under", &["--profile", "steal", "--exec", "true"])
        .expect(2, &["--profile: the test has no \"steal\"; it has default, llc, refused"]);
    let bare = Bare::of("boots");
    let refused = |options: &[&str], text: &str| bare.shell("boots.shell", options).expect(2, &[text]);
    refused(
        &["--topology", "1n2l", "--exec", "true"],
        "--topology: topology: \"1n2l\" is not a machine; NUMA nodes, LLCs",
    );
    refused(&["--topology", "2n3l1c1t", "--exec", "true"], "3 LLCs do not divide among 2 NUMA nodes");
    refused(&["--kernel-arg", "a b", "--exec", "true"], "--kernel-arg: \"a b\" is not one argument");
    refused(
        &["--scheduler", "/a", "--scheduler", "/b", "--exec", "true"],
        "'--scheduler <FILE>' cannot be used multiple times",
    );
    refused(&["--snapshots", "/tmp", "--exec", "true"], "--snapshots: a machine with a shell boots");
    refused(&["--exec", "true", "--", "--llc"], "--scheduler");
    // Its own kernel is no busybox.
    let kernel = argument(&bare.kernel);
    let arguments = ["shell", "--kernel", kernel, "--emulator", argument(&bare.emulator), "--exec", "true"];
    ktstr(&[&arguments[..], &["--busybox", "/nowhere/busybox"]].concat())
        .expect(2, &["cannot read the tools of the guest, /nowhere/busybox", "No such file"]);
}
