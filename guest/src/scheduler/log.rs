//! The kernel's log while a scheduler is under test: `/dev/kmsg` (Documentation/ABI/testing/dev-kmsg), read without ever waiting.
//!
//! ```text
//! 6,339,5140900,-;sched_ext: BPF scheduler "mine" enabled
//!  KEY=value                                                     lines that are about the one before
//! ```

use ktstr_init::error::{Doing, GuestError};
use ktstr_init::reporter::Reporter;
use ktstr_model::scheduler::KernelLine;
use ktstr_model::What;
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags, SeekFrom};
use rustix::io::Errno;

const KMSG: &str = "/dev/kmsg";
/// A read gives one record, and no record is longer (`PRINTKRB_RECORD_MAX`, `CONSOLE_EXT_LOG_MAX`).
const RECORD_BYTES_MAX: usize = 8192;
/// Levels up to this one are told whatever they are about: warnings.
const LEVEL_MAX: u8 = 4;
/// What the lines about sched_ext begin with, in capitals or not.
const ABOUT: &str = "sched_ext";
/// Most lines of a case.
const LINES_MAX: u32 = 5000;
/// Most records that are read at a look, so that a kernel that logs without end does not keep the agent.
const RECORDS_A_LOOK: u32 = 500;

/// The log from a point on.
#[derive(Debug)]
pub(super) struct KernelLog {
    kmsg: OwnedFd,
    room: u32,
}

impl KernelLog {
    /// Begins with what is logged from now on.
    ///
    /// # Errors
    /// The kernel has no log.
    pub(super) fn open() -> Result<Self, GuestError> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let doing = || format!("open {KMSG}");
        let kmsg = rustix::fs::open(KMSG, flags, Mode::empty()).doing(doing)?;
        rustix::fs::seek(&kmsg, SeekFrom::End(0)).doing(doing)?;
        Ok(Self { kmsg, room: LINES_MAX })
    }

    /// Sends what has been logged since.
    ///
    /// # Errors
    /// That of the kernel, or of the ring.
    pub(super) fn look(&mut self, reporter: &mut Reporter) -> Result<(), GuestError> {
        let mut record = [0; RECORD_BYTES_MAX];
        for _ in 0..RECORDS_A_LOOK {
            let bytes = match rustix::io::read(&self.kmsg, &mut record) {
                Err(Errno::AGAIN) | Ok(0) => break,
                // The kernel has overwritten records that nobody has read.
                Err(Errno::PIPE | Errno::INTR) => continue,
                read => read.doing(|| format!("read {KMSG}"))?,
            };
            let text = String::from_utf8_lossy(record.get(..bytes).unwrap_or_default());
            let Some(line) = parse(&text).filter(|line| self.room > 0 && is_wanted(line)) else { continue };
            self.room -= 1;
            reporter.send(What::KernelLog(line))?;
        }
        Ok(())
    }
}

fn is_wanted(line: &KernelLine) -> bool {
    line.level <= LEVEL_MAX || line.text.to_ascii_lowercase().contains(ABOUT)
}

fn parse(record: &str) -> Option<KernelLine> {
    let (head, text) = record.split_once(';')?;
    let mut fields = head.split(',');
    let priority: u32 = fields.next()?.parse().ok()?;
    let micros = fields.nth(1)?.parse().ok()?;
    // The facility is above the level. Bytes that are no text are escaped by the kernel.
    Some(KernelLine { level: (priority & 7) as u8, micros, text: text.lines().next().unwrap_or_default().into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_a_line() {
        let line = parse("14,339,5140900,-;sched_ext: BPF scheduler \"x\" enabled\n SUBSYSTEM=x\n").expect("a record");
        let text = "sched_ext: BPF scheduler \"x\" enabled".to_owned();
        assert_eq!(line, KernelLine { level: 6, micros: 5_140_900, text });
        assert_eq!(parse("no record"), None);
    }

    #[test]
    fn what_is_about_something_else_has_to_be_a_warning() {
        let line = |level, text: &str| KernelLine { level, micros: 0, text: text.into() };
        assert!(is_wanted(&line(6, "Sched_ext: x (enabled+all)")));
        assert!(is_wanted(&line(4, "  bpf_prog_0d2f8e5a3c6b7a91_x_dispatch+0x1/0x2")));
        assert!(!is_wanted(&line(6, "usb 1-1: new device")));
    }
}
