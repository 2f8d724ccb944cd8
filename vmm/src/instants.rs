//! Instants of guest time at which a machine stands still, so that the host can look: [`crate::MachineSpec::instants`].
//!
//! ```text
//! next() ◀──guest time── machine stands ══ host reads memory, registers ══ drop(Instant) ──time to stand next──▶ machine goes on
//! ```
//!
//! The other end is in the emulator (`gate/src/instants.rs` and `gate/src/registers.rs` say what is sent).

use crate::{CpuRegisters, MachineError};
use ktstr_model::Nanos;
use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// In place of a time: registers are asked for.
const REGISTERS: u64 = 0;
/// Time for the answer: there is nothing to wait for.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);
const NOT_SHOWN: &str = "none, since it does not show them to us (one of the symbols qemu_get_cpu, cpu_thread_is_idle and gdb_read_register, or of \
                         g_byte_array_new, …_set_size and …_unref, is missing); the toolchain's emulator does";

/// The instants of one machine, from its first. It stands at each until somebody has looked; if this is dropped, it goes on for ever. May be used
/// in another thread than the machine.
#[derive(Debug)]
pub struct Instants {
    stream: UnixStream,
    interval: Nanos,
    cpus: u32,
}

impl Instants {
    /// Instants that are the multiples of `interval`, of a machine with so many CPUs that has the other end of `stream`.
    pub(crate) fn new(stream: UnixStream, interval: Nanos, cpus: u32) -> Self {
        Self { stream, interval, cpus }
    }

    /// Waits until the machine stands at its next instant, at most for `timeout`; `None` if it does not by then.
    ///
    /// # Errors
    /// The machine has ended, or the host failed.
    pub fn next(&mut self, timeout: Duration) -> Result<Option<Instant<'_>>, MachineError> {
        match self.read(timeout) {
            Ok([now]) => Ok(Some(Instant { at: Nanos(now), of: self })),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(failed("wait for an instant of guest time", error)),
        }
    }

    fn read<const WORDS: usize>(&self, timeout: Duration) -> std::io::Result<[u64; WORDS]> {
        // Nothing at all would mean no limit.
        self.stream.set_read_timeout(Some(timeout.max(Duration::from_micros(1))))?;
        let mut words = [[0; size_of::<u64>()]; WORDS];
        (&self.stream).read_exact(words.as_flattened_mut())?;
        Ok(words.map(u64::from_ne_bytes))
    }

    fn registers(&self) -> Result<Vec<CpuRegisters>, MachineError> {
        let host = |error| failed("ask for registers at an instant of guest time", error);
        (&self.stream).write_all(&REGISTERS.to_ne_bytes()).map_err(host)?;
        match self.read(ANSWER_TIMEOUT).map_err(host)? {
            [0] => Ok(Vec::new()),
            [count] if count == u64::from(self.cpus) => {
                (0..self.cpus).map(|cpu| Ok(of_words(cpu, self.read(ANSWER_TIMEOUT).map_err(host)?))).collect()
            }
            [count] => Err(other(format!("those of {count} CPUs, and the machine has {}", self.cpus))),
        }
    }
}

fn failed(doing: &'static str, source: std::io::Error) -> MachineError {
    match source.kind() {
        ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => MachineError::Ended,
        _ => MachineError::Host { doing, source },
    }
}

fn other(problem: String) -> MachineError {
    MachineError::Answer { command: "registers".into(), problem }
}

fn of_words(cpu: u32, [halted, rip, rsp, rbp, rflags, cs, cr0, cr2, cr3, cr4]: [u64; 10]) -> CpuRegisters {
    const PROTECTED: u64 = 1;
    // A CPU that has not left real mode yet has addresses there.
    let privilege = if cr0 & PROTECTED == 0 { 0 } else { (cs & 3) as u8 };
    CpuRegisters { cpu, rip, rsp, rbp, rflags, cr0, cr2, cr3, cr4, privilege, halted: halted != 0 }
}

/// The machine stands still while this lives: no CPU and no device changes its memory. It takes no commands meanwhile, and can be stopped.
#[derive(Debug)]
pub struct Instant<'a> {
    /// Guest time since the machine was made, on its virtual clock: what a time stamp counter of 1 GHz counts. The multiple of the
    /// interval that it stands for, or later: where all CPUs had a turn, or, when all had halted, where the next timer is due.
    pub at: Nanos,
    of: &'a Instants,
}

impl Instant<'_> {
    /// Registers of all CPUs, in the order of their numbers. The arithmetic flags are not up to date, and a CPU that waits in `hlt` but is about to
    /// be woken has not halted.
    ///
    /// # Errors
    /// The emulator does not show them; or the machine has ended, or answers with something else: then this is its last instant.
    pub fn registers(&self) -> Result<Vec<CpuRegisters>, MachineError> {
        let registers = self.of.registers().inspect_err(|_| {
            // What is left of the answer is no time.
            let _ = self.of.stream.shutdown(Shutdown::Both);
        })?;
        if registers.is_empty() {
            return Err(other(NOT_SHOWN.into()));
        }
        Ok(registers)
    }
}

impl Drop for Instant<'_> {
    fn drop(&mut self) {
        // A machine that has ended does not take it.
        let _ = (&self.of.stream).write_all(&following(self.at, self.of.interval).0.to_ne_bytes());
    }
}

/// The first multiple of `interval` behind `at`.
fn following(at: Nanos, interval: Nanos) -> Nanos {
    let interval = interval.0.max(1);
    Nanos((at.0 / interval + 1).saturating_mul(interval))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_millis(20);

    #[test]
    fn instants_are_on_a_grid() {
        for (at, interval, expected) in
            [(0, 10, 10), (9, 10, 10), (10, 10, 20), (37, 10, 40), (5, 0, 6), (u64::MAX, 1 << 40, u64::MAX)]
        {
            assert_eq!(following(Nanos(at), Nanos(interval)), Nanos(expected), "behind {at} by {interval}");
        }
    }

    #[test]
    fn a_machine_goes_on_when_the_host_has_looked_and_not_before() {
        let (ours, mut theirs) = UnixStream::pair().expect("a pair");
        let mut instants = Instants::new(ours, Nanos(10), 2);
        assert!(instants.next(Duration::ZERO).expect("can be watched").is_none(), "it does not stand");
        theirs.write_all(&37u64.to_ne_bytes()).expect("writes");
        theirs.set_read_timeout(Some(SOON)).expect("sets");
        let mut due = [0; 8];
        let instant = instants.next(SOON).expect("can be watched").expect("stands");
        assert_eq!(instant.at, Nanos(37));
        assert_eq!(theirs.read(&mut due).expect_err("nothing yet").kind(), ErrorKind::WouldBlock);
        drop(instant);
        theirs.read_exact(&mut due).expect("reads");
        assert_eq!(u64::from_ne_bytes(due), 40);
        drop(theirs);
        assert!(matches!(instants.next(SOON), Err(MachineError::Ended)));
    }

    #[test]
    fn nobody_who_looks_is_an_end_at_the_machine() {
        let (ours, mut theirs) = UnixStream::pair().expect("a pair");
        drop(Instants::new(ours, Nanos(10), 2));
        assert_eq!(theirs.read(&mut [0; 8]).expect("reads"), 0);
    }

    /// What is answered, by one who has heard the question, if `answer` is what comes.
    fn registers(answer: &[u64]) -> (Result<Vec<CpuRegisters>, MachineError>, bool) {
        let (ours, mut theirs) = UnixStream::pair().expect("a pair");
        let mut instants = Instants::new(ours, Nanos(10), 2);
        let words = [37].iter().chain(answer);
        theirs.write_all(&words.flat_map(|word| word.to_ne_bytes()).collect::<Vec<_>>()).expect("writes");
        theirs.shutdown(Shutdown::Write).expect("shuts down");
        let instant = instants.next(SOON).expect("can be watched").expect("stands");
        let registers = instant.registers();
        drop(instant);
        let mut heard = Vec::new();
        drop(instants);
        theirs.read_to_end(&mut heard).expect("reads");
        assert_eq!(heard[..8], REGISTERS.to_ne_bytes());
        (registers, heard[8..] == 40u64.to_ne_bytes())
    }

    #[test]
    fn registers_are_asked_for_before_it_goes_on() {
        let user = [0, 0x10, 0x20, 0x30, 0x202, 0x33, 0x8000_0011, 0x40, 0x50, 0x60];
        let early = [1, 0x11, 0, 0, 2, 0x803, 0x10, 0, 0, 0];
        let (registers, goes_on) = registers(&[&[2][..], &user, &early].concat());
        let expected = [
            CpuRegisters {
                cpu: 0,
                rip: 0x10,
                rsp: 0x20,
                rbp: 0x30,
                rflags: 0x202,
                cr0: 0x8000_0011,
                cr2: 0x40,
                cr3: 0x50,
                cr4: 0x60,
                privilege: 3,
                halted: false,
            },
            CpuRegisters {
                cpu: 1,
                rip: 0x11,
                rsp: 0,
                rbp: 0,
                rflags: 2,
                cr0: 0x10,
                cr2: 0,
                cr3: 0,
                cr4: 0,
                privilege: 0,
                halted: true,
            },
        ];
        assert_eq!((registers.expect("come"), goes_on), (expected.to_vec(), true));
    }

    #[test]
    fn says_why_there_are_no_registers() {
        let cases: [(&[u64], &str, bool); 4] = [
            (&[0], "the emulator answered `registers` with: none, since it does not show them", true),
            (&[3], "the emulator answered `registers` with: those of 3 CPUs, and the machine has 2", false),
            (&[2, 1, 2, 3], "the machine has ended", false),
            (&[], "the machine has ended", false),
        ];
        for (answer, expected, goes_on) in cases {
            let (registers, went_on) = registers(answer);
            let error = registers.expect_err("none").to_string();
            assert!(error.starts_with(expected), "{answer:?}: {error}");
            assert_eq!(went_on, goes_on, "{answer:?}");
        }
    }
}
