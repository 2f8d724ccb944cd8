//! A guest that dies: each way has its own cause, seen from the host.

use ktstr_tests::Target;

fn check(target: &str, cause: &str, words: &[&str]) {
    let ran = Target::new(target).run();
    ran.expect(1, words);
    let report = ran.report();
    let finding = &report["cases"][0]["findings"][0];
    assert_eq!((finding["verdict"].as_str(), finding["cause"].as_str()), (Some("fail"), Some(cause)), "{}", ran.output);
}

#[test]
fn panic() {
    check("panics", "panic", &["panic: ", "sysrq triggered crash", "last console lines:"]);
}

#[test]
fn hang_with_interrupts_off() {
    check("hangs", "hang", &["hang: "]);
}

#[test]
fn reboot() {
    check("reboots", "reboot", &["reboot: "]);
}

#[test]
fn power_off() {
    check("powers_off", "power_off", &["power off: "]);
}
