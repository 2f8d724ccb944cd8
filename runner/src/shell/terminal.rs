//! The terminal of the person, which is given to the guest and always taken back.
//!
//! Its settings are restored by whoever comes first: the end of [`Raw`], be it by an error or a panic, the panic's message, which has to
//! be readable, or the thread that waits for signals. So they are kept where all of them reach them.

use rustix::termios::{isatty, tcgetattr, tcgetwinsize, tcsetattr, OptionalActions, Termios};
use std::io;
use std::sync::{Mutex, Once, PoisonError};

/// Settings of standard input before it was given away; none: it has not been, or they are restored.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);
/// The hook for panics is installed once.
static HOOK: Once = Once::new();

/// The terminal while each byte goes to the guest: no echo, no lines, no signals.
#[derive(Debug)]
pub(super) struct Raw(());

impl Raw {
    /// Gives the terminal away.
    ///
    /// # Errors
    /// Standard input is no terminal.
    pub(super) fn enter() -> io::Result<Self> {
        HOOK.call_once(|| {
            let before = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                restore();
                before(panic);
            }));
        });
        let settings = tcgetattr(rustix::stdio::stdin())?;
        let mut raw = settings.clone();
        raw.make_raw();
        // Kept first: from here on there may be something to restore.
        *before() = Some(settings);
        let raw_now = tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, &raw);
        let this = Self(());
        raw_now?;
        Ok(this)
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        restore();
    }
}

/// Takes the terminal back, if it was given away. Never waits for the terminal.
pub(super) fn restore() {
    if let Some(settings) = before().take() {
        // A terminal that is gone needs no settings.
        let _ = tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, &settings);
    }
}

fn before() -> std::sync::MutexGuard<'static, Option<Termios>> {
    BEFORE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether standard input is a terminal.
pub(super) fn is_there() -> bool {
    isatty(rustix::stdio::stdin())
}

/// Rows and columns of the terminal; 0: not known.
pub(super) fn size() -> (u16, u16) {
    tcgetwinsize(rustix::stdio::stdin()).map_or((0, 0), |size| (size.ws_row, size.ws_col))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::pty::{grantpt, ioctl_tiocgptpeer, openpt, unlockpt, OpenptFlags};

    #[test]
    fn a_panic_leaves_the_terminal_as_it_was() {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY;
        let master = openpt(flags).expect("a terminal");
        grantpt(&master).and_then(|()| unlockpt(&master)).expect("is ours");
        let slave = ioctl_tiocgptpeer(&master, flags).expect("its other end");
        // No other test of this program reads anything.
        rustix::stdio::dup2_stdin(&slave).expect("becomes standard input");
        assert!(is_there());
        let settings = || tcgetattr(&slave).map(|settings| format!("{settings:?}")).expect("is a terminal");
        let before = settings();
        let raw = Mutex::new(String::new());
        let panicked = std::panic::catch_unwind(|| {
            let _raw = Raw::enter().expect("is a terminal");
            *raw.lock().expect("is free") = settings();
            assert_eq!(1, 2, "on purpose");
        });
        assert!(panicked.is_err());
        let raw = raw.into_inner().unwrap_or_else(PoisonError::into_inner);
        assert!(!raw.is_empty() && raw != before);
        assert_eq!(settings(), before);
        // The second time there is nothing to restore.
        restore();
        assert_eq!(settings(), before);
    }
}
