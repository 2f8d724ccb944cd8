//! The kernel's dump of a scheduler that it throws out, through the tracepoint `sched_ext_dump`: schedulers get it, too, but not
//! every one prints it.
//!
//! ```text
//!  kworker/u18:2-45  [003] d..4.  11.158784: sched_ext_dump: CPU 3   : nr_run=2 flags=0x1 cpu_rel=0
//! ```
//!
//! It can do without it: a kernel without the tracepoint has no dump, and a case that asks for a trace has the buffers for that.

use ktstr_init::error::{Doing, GuestError};
use ktstr_init::mounts;
use ktstr_init::reporter::Reporter;
use ktstr_model::What;
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags};
use std::fs;
use std::path::{Path, PathBuf};

/// The tracepoint, in tracefs and in a line of its text.
const ENABLE: &str = "events/sched_ext/sched_ext_dump/enable";
const MARK: &str = ": sched_ext_dump: ";
/// KiB of each CPU's buffer: a dump comes from one CPU, and is a line for each task that can run, with its stack.
const BUFFER_KIB: &str = "256";
const READ_BYTES: usize = 64 << 10;
/// Most lines of a case.
const LINES_MAX: u32 = 20_000;
/// Most reads of a look.
const READS_A_LOOK: u32 = 64;

/// A dump that may come.
#[derive(Debug)]
pub(super) struct Dump {
    root: PathBuf,
    pipe: OwnedFd,
    /// The beginning of a line.
    rest: Vec<u8>,
    room: u32,
}

impl Dump {
    /// Listens; none: the kernel has no such tracepoint.
    pub(super) fn open() -> Option<Self> {
        Self::open_in(Path::new(mounts::TRACE))
    }

    fn open_in(root: &Path) -> Option<Self> {
        // Before the event is on: the kernel gives the buffers their usual size then, unless they have one.
        for (file, value) in [("buffer_size_kb", BUFFER_KIB), (ENABLE, "1"), ("tracing_on", "1")] {
            let path = root.join(file);
            fs::OpenOptions::new()
                .write(true)
                .open(&path)
                .and_then(|mut file| {
                    use std::io::Write;
                    file.write_all(value.as_bytes())
                })
                .ok()?;
        }
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let pipe = rustix::fs::open(root.join("trace_pipe"), flags, Mode::empty()).ok()?;
        Some(Self { root: root.to_owned(), pipe, rest: Vec::new(), room: LINES_MAX })
    }

    /// Listens no more: the buffers are as free as if it never had.
    ///
    /// # Errors
    /// That of the kernel.
    pub(super) fn close(self) -> Result<(), GuestError> {
        fs::write(self.root.join(ENABLE), "0").doing(|| format!("write 0 to {ENABLE} of tracefs"))
    }

    /// Sends the lines that have come since.
    ///
    /// # Errors
    /// That of the ring.
    pub(super) fn look(&mut self, reporter: &mut Reporter) -> Result<(), GuestError> {
        let mut buffer = vec![0; READ_BYTES];
        for _ in 0..READS_A_LOOK {
            let Ok(bytes @ 1..) = rustix::io::read(&self.pipe, &mut buffer) else { break };
            self.rest.extend(buffer.get(..bytes).unwrap_or_default());
            let Some(end) = self.rest.iter().rposition(|byte| *byte == b'\n') else { continue };
            let lines: Vec<u8> = self.rest.drain(..=end).collect();
            for line in String::from_utf8_lossy(&lines).lines().filter_map(text) {
                if self.room > 0 {
                    self.room -= 1;
                    reporter.send(What::SchedExtDump { line: line.into() })?;
                }
            }
            reporter.beat();
        }
        Ok(())
    }
}

/// What the kernel dumps in a line of the trace; none: the line is of something else, such as `bpf_printk`.
fn text(line: &str) -> Option<&str> {
    line.split_once(MARK).map(|(_, text)| text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ktstr_channel::{RingReader, Window};

    #[test]
    fn the_lines_of_the_tracepoint_are_sent() {
        let directory = tempfile::tempdir().expect("a directory");
        let root = directory.path();
        assert!(Dump::open_in(root).is_none());
        fs::create_dir_all(root.join("events/sched_ext/sched_ext_dump")).expect("makes");
        for file in ["buffer_size_kb", ENABLE, "tracing_on"] {
            fs::write(root.join(file), "").expect("writes");
        }
        let trace = " kworker/u18:2-45  [003] d..4.  11.158784: sched_ext_dump:   R x[7] -3028ms\n \
            x-7 [001] ..... 11.2: bpf_trace_printk: hello\n cut";
        fs::write(root.join("trace_pipe"), trace).expect("writes");
        let path = root.join("window");
        let host = Window::create(&path).expect("a window");
        let mut reporter = Reporter::over(&path, 0).expect("reaches it");
        let mut dump = Dump::open_in(root).expect("is there");
        dump.look(&mut reporter).expect("sends");
        let enabled = || fs::read_to_string(root.join(ENABLE)).expect("reads");
        assert_eq!(enabled(), "1");
        dump.close().expect("writes");
        assert_eq!(enabled(), "0");
        let whats: Vec<What> = RingReader::default().poll(&host).events.into_iter().map(|event| event.what).collect();
        assert_eq!(whats, [What::SchedExtDump { line: "  R x[7] -3028ms".into() }]);
    }
}
