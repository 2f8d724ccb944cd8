//! A person at a terminal: a pty with a program on it.

use rustix::fd::OwnedFd;
use rustix::process::{kill_process, Pid, Signal};
use rustix::pty::{grantpt, ioctl_tiocgptpeer, openpt, unlockpt, OpenptFlags};
use rustix::termios::{tcgetattr, tcsetwinsize, Winsize};
use std::path::Path;
use std::process::{Child, Command, ExitStatus};

/// A program on a terminal of its own.
#[derive(Debug)]
pub struct Pty {
    master: OwnedFd,
    /// Held open, so that the terminal is there after the program.
    slave: OwnedFd,
    child: Child,
    seen: Vec<u8>,
}

impl Pty {
    /// Starts `program` on a terminal of 24 rows and 80 columns.
    ///
    /// # Panics
    /// If that cannot be.
    #[must_use]
    pub fn start(program: &Path, arguments: &[&str]) -> Self {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = openpt(flags).expect("a terminal");
        grantpt(&master).and_then(|()| unlockpt(&master)).expect("is ours");
        let slave = ioctl_tiocgptpeer(&master, flags).expect("its other end");
        let end = || slave.try_clone().expect("another one");
        let mut command = Command::new(program);
        command.args(arguments).env("TERM", "xterm-256color").stdin(end()).stdout(end()).stderr(end());
        let child = command.spawn().expect("starts");
        drop(command);
        let pty = Self { master, slave, child, seen: Vec::new() };
        pty.resize(24, 80);
        pty
    }

    /// Process id of the program.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.child.id().try_into().expect("a process id")
    }

    /// The terminal's settings, in words.
    #[must_use]
    pub fn settings(&self) -> String {
        let settings = tcgetattr(&self.slave).expect("is a terminal");
        format!(
            "{:?} {:?} {:?} {:?} {:?}",
            settings.input_modes,
            settings.output_modes,
            settings.control_modes,
            settings.local_modes,
            settings.special_codes
        )
    }

    /// Gives it another size. The terminal is not that of the program's session, so that the signal is ours to send.
    pub fn resize(&self, rows: u16, columns: u16) {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&self.master, size).expect("takes it");
    }

    /// Sends a signal to the program.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(self.pid()).expect("a process id"), signal).expect("sends");
    }

    /// Types.
    pub fn type_in(&self, text: &str) {
        let mut rest = text.as_bytes();
        while !rest.is_empty() {
            let written = rustix::io::write(&self.master, rest).expect("takes it");
            rest = &rest[written..];
        }
    }

    /// Reads what is shown up to `text`, and gives what came since the last time.
    pub fn wait_for(&mut self, text: &str) -> String {
        loop {
            let shown = String::from_utf8_lossy(&self.seen).into_owned();
            if let Some(at) = shown.find(text) {
                let end = at + text.len();
                self.seen = shown.as_bytes()[end..].to_vec();
                return shown[..end].to_owned();
            }
            let mut buffer = [0; 4096];
            // Whoever waits for what does not come has the test's own timeout.
            let read = rustix::io::read(&self.master, &mut buffer).expect("reads");
            self.seen.extend(&buffer[..read]);
        }
    }

    /// Waits for the end of the program.
    pub fn wait(&mut self) -> ExitStatus {
        self.child.wait().expect("waits")
    }
}

impl Drop for Pty {
    fn drop(&mut self) {
        // Of a test that failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
