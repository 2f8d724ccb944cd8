//! What the kernel says when it takes the scheduler out.

use crate::Problem;

/// `enum scx_exit_kind` of the kernel: from here on it is an error.
const KIND_ERROR: i64 = 1024;

/// `SCX_ECODE_ACT_RESTART`: what the scheduler was loaded for has changed, such as the CPUs that are online.
const ACT_RESTART: i64 = 1 << 48;

const REASON: usize = 128;
const MESSAGE: usize = 1024;

/// `struct exit_record` in `bpf/common.bpf.h`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ExitRecord {
    kind: i64,
    code: i64,
    reason: String,
    message: String,
    dump: String,
}

impl ExitRecord {
    /// Takes the value of the map apart.
    pub(crate) fn parse(value: &[u8]) -> Result<ExitRecord, Problem> {
        let whole = || format!("the record of the exit has {} bytes", value.len());
        let (kind, rest) = value.split_first_chunk().ok_or_else(whole)?;
        let (code, rest) = rest.split_first_chunk().ok_or_else(whole)?;
        let (reason, rest) = rest.split_at_checked(REASON).ok_or_else(whole)?;
        let (message, dump) = rest.split_at_checked(MESSAGE).ok_or_else(whole)?;
        Ok(ExitRecord {
            kind: i64::from_ne_bytes(*kind),
            code: i64::from_ne_bytes(*code),
            reason: text(reason),
            message: text(message),
            dump: text(dump),
        })
    }

    /// Whether the kernel asks for a new start.
    pub(crate) fn wants_restart(&self) -> bool {
        self.kind < KIND_ERROR && self.code & ACT_RESTART != 0
    }

    /// Prints all that the kernel said, in the form that is usual for schedulers; an error if it was one.
    pub(crate) fn report(&self) -> Result<(), Problem> {
        if !self.dump.is_empty() {
            let line = "=".repeat(80);
            eprintln!("\nDEBUG DUMP\n{line}\n\n{}\n{line}\n", self.dump);
        }
        eprintln!("exit kind {}, code {:#x}", self.kind, self.code);
        if self.kind >= KIND_ERROR {
            return Err(self.line().into());
        }
        eprintln!("{}", self.line());
        Ok(())
    }

    fn line(&self) -> String {
        match self.message.as_str() {
            "" => format!("EXIT: {}", self.reason),
            message => format!("EXIT: {} ({message})", self.reason),
        }
    }
}

fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: i64, code: i64, reason: &str, message: &str) -> Vec<u8> {
        let mut value = Vec::new();
        value.extend(kind.to_ne_bytes());
        value.extend(code.to_ne_bytes());
        value.extend(reason.bytes().chain(std::iter::repeat(0)).take(REASON));
        value.extend(message.bytes().chain(std::iter::repeat(0)).take(MESSAGE));
        value.extend([0; 32768]);
        value
    }

    #[test]
    fn an_error_is_told_with_reason_and_message() {
        let record = ExitRecord::parse(&record(1025, 0, "scx_bpf_error", "on purpose")).expect("whole");
        let problem = record.report().expect_err("an error").to_string();
        assert_eq!(problem, "EXIT: scx_bpf_error (on purpose)");
        assert!(!record.wants_restart());
    }

    #[test]
    fn to_be_unregistered_is_no_error() {
        let record = ExitRecord::parse(&record(64, 0, "unregistered from user space", "")).expect("whole");
        assert_eq!(record.line(), "EXIT: unregistered from user space");
        assert!(record.report().is_ok());
    }

    #[test]
    fn a_hotplug_asks_for_a_restart() {
        let record = ExitRecord::parse(&record(66, (1 << 48) | (1 << 32), "unregistered from the main kernel", ""));
        assert!(record.expect("whole").wants_restart());
    }

    #[test]
    fn a_short_record_is_refused() {
        let problem = ExitRecord::parse(&[0; 100]).expect_err("too short").to_string();
        assert_eq!(problem, "the record of the exit has 100 bytes");
    }
}
