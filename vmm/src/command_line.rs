//! The standard part of a guest kernel's command line.

use crate::Gpa;
use ktstr_channel::ports::WINDOW_PARAMETER;

/// Console and end: a panic resets at once, so that the host sees it.
const CONSOLE: &[&str] = &["console=ttyS0", "quiet", "panic=-1"];
/// Addresses that are the same in every boot, and no mitigations for a processor that is not there.
const LAYOUT: &[&str] = &["nokaslr", "mitigations=off"];
/// No calibration loops: their result is known, and emulated they cost a second.
const TIME: &[&str] = &["tsc=reliable", "no_timer_check", "lpj=4000000"];
/// CPUs come up one after the other: those that wait their turn spin, and 252 of them on two host CPUs do not come up at all.
const CPUS: &[&str] = &["cpuhp.parallel=0"];
/// Boot work that no scheduler test needs: self-tests of the crypto layer, waiting for entropy, zeroing pages, the audit log, a
/// bounce buffer of 64 MiB.
const LEAN: &[&str] = &["cryptomgr.notests", "random.trust_cpu=on", "init_on_alloc=0", "audit=0", "swiotlb=noforce"];

/// The standard command line, with the window's address and size as `ktstr.window=0x<address>,<bytes>`, followed by `extra`.
pub fn command_line(window: Option<(Gpa, u64)>, extra: &[String]) -> String {
    let standard = [CONSOLE, LAYOUT, TIME, CPUS, LEAN].concat().into_iter().map(str::to_owned);
    let window = window.map(|(Gpa(at), bytes)| format!("{WINDOW_PARAMETER}{at:#x},{bytes}"));
    standard.chain(window).chain(extra.iter().cloned()).collect::<Vec<_>>().join(" ")
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
    }
}
