//! The standard part of a guest kernel's command line.

use crate::Gpa;
use ktstr_channel::ports::WINDOW_PARAMETER;

/// Our argument for a kernel that may move itself, as only a bzImage does. The kernel has just the word against it (Documentation/admin-guide/kernel-parameters.txt,
/// `nokaslr`).
const KASLR: &str = "kaslr";
const NO_KASLR: &str = "nokaslr";
/// Console and end: a panic resets at once, so that the host sees it.
const CONSOLE: &[&str] = &["console=ttyS0", "quiet", "panic=-1"];
/// Addresses that are the same in every boot, and no mitigations for a processor that is not there.
const LAYOUT: &[&str] = &[NO_KASLR, "mitigations=off"];
/// No calibration loops: their result is known, and emulated they cost a second.
const TIME: &[&str] = &["tsc=reliable", "no_timer_check", "lpj=4000000"];
/// CPUs come up one after the other: those that wait their turn spin, and 252 of them on two host CPUs do not come up at all.
const CPUS: &[&str] = &["cpuhp.parallel=0"];
/// Boot work that no scheduler test needs: self-tests of the crypto layer, waiting for entropy, zeroing pages, the audit log, a
/// bounce buffer of 64 MiB.
const LEAN: &[&str] = &["cryptomgr.notests", "random.trust_cpu=on", "init_on_alloc=0", "audit=0", "swiotlb=noforce"];

/// Whether `kaslr` is among the arguments: the kernel may move itself.
pub fn has_kaslr(arguments: &[String]) -> bool {
    arguments.iter().any(|argument| argument == KASLR)
}

/// The standard command line, with the window's address and size as `ktstr.window=0x<address>,<bytes>`, followed by `extra`; of it `kaslr`
/// takes effect here.
pub fn command_line(window: Option<(Gpa, u64)>, extra: &[String]) -> String {
    let moves = has_kaslr(extra);
    let standard =
        [CONSOLE, LAYOUT, TIME, CPUS, LEAN].concat().into_iter().filter(|word| !(moves && *word == NO_KASLR));
    let window = window.map(|(Gpa(at), bytes)| format!("{WINDOW_PARAMETER}{at:#x},{bytes}"));
    let extra = extra.iter().filter(|argument| *argument != KASLR).cloned();
    standard.map(str::to_owned).chain(window).chain(extra).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn window_and_extras_follow_the_standard_part() {
        let line = command_line(Some((Gpa(0x1_0000_0000), 64 << 20)), &["sysctl.kernel.x=1".into()]);
        assert_eq!(
            line,
            "console=ttyS0 quiet panic=-1 nokaslr mitigations=off tsc=reliable no_timer_check lpj=4000000 \
             cpuhp.parallel=0 cryptomgr.notests random.trust_cpu=on init_on_alloc=0 audit=0 swiotlb=noforce \
             ktstr.window=0x100000000,67108864 sysctl.kernel.x=1"
        );
        let moves = command_line(None, &[KASLR.into(), "x".into()]);
        assert!(!moves.contains(KASLR) && moves.ends_with("swiotlb=noforce x"), "{moves}");
    }
}
