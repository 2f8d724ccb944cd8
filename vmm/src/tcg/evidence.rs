//! From what an ended emulator left to the reason: a pure function.
//!
//! | evidence | exit |
//! | --- | --- |
//! | status odd, guest asked for the shutdown | debug exit with code status >> 1 |
//! | panic text on the console | panic, whether the kernel reset itself or was stopped |
//! | shutdown by reset, and `Triple fault` in the reset log | triple fault |
//! | shutdown by reset | reboot |
//! | status 0, guest asked for the shutdown | power off |
//! | we killed it | stopped |
//! | anything else | the emulator failed |

use super::qmp::Shutdown;
use crate::Exit;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

/// Everything that is known of an ended emulator.
#[derive(Debug, Clone, Default)]
pub(super) struct Evidence {
    /// Its exit code; none if a signal ended it.
    pub(super) code: Option<i32>,
    /// Its exit code or signal, in words.
    pub(super) status: String,
    /// Why it said it would end.
    pub(super) shutdown: Option<Shutdown>,
    /// Whether the owner killed it.
    pub(super) killed: bool,
    /// Whether a CPU met a triple fault.
    pub(super) triple_fault: bool,
    /// The kernel's last words.
    pub(super) panic: Option<String>,
    /// What the emulator said.
    pub(super) log: String,
}

/// Why the machine ended.
pub(super) fn classify(evidence: Evidence) -> Exit {
    let Evidence { code, status, shutdown, killed, triple_fault, panic, log } = evidence;
    match (code, shutdown, panic) {
        // isa-debug-exit ends the emulator with (value << 1) | 1.
        (Some(code), Some(Shutdown::Guest), _) if code & 1 == 1 => Exit::Guest { code: (code >> 1) as u8 },
        (_, Some(Shutdown::Guest | Shutdown::Reset), Some(message)) => Exit::Panic { message },
        (_, Some(Shutdown::Reset), None) if triple_fault => Exit::TripleFault,
        (_, Some(Shutdown::Reset), None) => Exit::Reboot,
        (Some(0), Some(Shutdown::Guest), None) => Exit::PowerOff,
        (_, None, Some(message)) if killed => Exit::Panic { message },
        (_, None, None) if killed => Exit::Stopped,
        _ => Exit::EmulatorFailed { status, log },
    }
}

/// Whether the reset log at `path` tells of a triple fault (target/i386/tcg/excp_helper.c, `check_exception`).
pub(super) fn has_triple_fault(path: &Path) -> io::Result<bool> {
    let file = match std::fs::File::open(path) {
        // The emulator makes the file with the first entry.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        file => file?,
    };
    for line in BufReader::new(file).split(b'\n') {
        if line?.starts_with(b"Triple fault") {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(code: i32, shutdown: Option<Shutdown>) -> Evidence {
        Evidence { code: Some(code), status: format!("exit status: {code}"), shutdown, ..Evidence::default() }
    }

    fn killed() -> Evidence {
        Evidence { killed: true, status: "signal: 9 (SIGKILL)".into(), ..Evidence::default() }
    }

    #[test]
    fn a_guest_ends_itself_in_four_ways() {
        assert_eq!(classify(ended(1, Some(Shutdown::Guest))), Exit::Guest { code: 0 });
        assert_eq!(classify(ended(85, Some(Shutdown::Guest))), Exit::Guest { code: 42 });
        assert_eq!(classify(ended(0, Some(Shutdown::Guest))), Exit::PowerOff);
        assert_eq!(classify(ended(0, Some(Shutdown::Reset))), Exit::Reboot);
        let evidence = Evidence { triple_fault: true, ..ended(0, Some(Shutdown::Reset)) };
        assert_eq!(classify(evidence), Exit::TripleFault);
    }

    #[test]
    fn a_panic_is_one_whether_it_resets_or_is_stopped() {
        let panic = Some("no init".to_owned());
        let expected = Exit::Panic { message: "no init".into() };
        let reset = Evidence { panic: panic.clone(), triple_fault: true, ..ended(0, Some(Shutdown::Reset)) };
        assert_eq!(classify(reset), expected);
        assert_eq!(classify(Evidence { panic: panic.clone(), ..killed() }), expected);
        // A guest that reached its debug exit knows better than its console.
        assert_eq!(classify(Evidence { panic, ..ended(3, Some(Shutdown::Guest)) }), Exit::Guest { code: 1 });
    }

    #[test]
    fn an_emulator_that_ends_without_a_reason_failed() {
        let log = "cannot allocate".to_owned();
        let failed = |status: &str| Exit::EmulatorFailed { status: status.into(), log: log.clone() };
        let with_log = |evidence| classify(Evidence { log: log.clone(), ..evidence });
        assert_eq!(with_log(ended(1, None)), failed("exit status: 1"));
        assert_eq!(with_log(ended(0, Some(Shutdown::Other))), failed("exit status: 0"));
        assert_eq!(with_log(Evidence { killed: false, ..killed() }), failed("signal: 9 (SIGKILL)"));
        assert_eq!(classify(killed()), Exit::Stopped);
    }

    #[test]
    fn the_reset_log_tells_triple_faults_from_resets() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let told = |text: &str| {
            std::fs::write(file.path(), text).expect("writes");
            has_triple_fault(file.path()).expect("reads")
        };
        assert!(told("CPU Reset (CPU 0)\nEAX=0\nTriple fault\n"));
        assert!(!told("CPU Reset (CPU 0)\nEAX=0\n"));
        assert!(!has_triple_fault(Path::new("/nowhere/resets.log")).expect("no log is no fault"));
    }
}
