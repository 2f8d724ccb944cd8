//! The frame of both programs: whatever happens inside, the host gets to know, and the machine ends.
//!
//! ```text
//! the window cannot be reached    a line on the console        exit code EXIT_NO_WINDOW
//! an error or a panic             What::Failed in the ring     exit code EXIT_FAILED
//! done                            What::Finished in the ring   exit code EXIT_FINISHED
//! ```

use crate::console;
use crate::error::GuestError;
use crate::reporter::Reporter;
use crate::sys::exit::exit_machine;
use ktstr_channel::{EXIT_FAILED, EXIT_FINISHED, EXIT_NO_WINDOW};
use ktstr_model::What;
use std::panic::{self, catch_unwind, AssertUnwindSafe, PanicHookInfo};
use std::sync::Mutex;

/// What the last panic said.
static PANIC: Mutex<Option<String>> = Mutex::new(None);

/// Runs a program: `open` reaches the window, `body` does the work.
pub fn run(
    open: impl FnOnce() -> Result<Reporter, GuestError>,
    body: impl FnOnce(&mut Reporter) -> Result<(), GuestError>,
) -> ! {
    panic::set_hook(Box::new(remember));
    let mut reporter = match guarded(open) {
        Ok(reporter) => reporter,
        Err(error) => {
            console::say(&error.to_string());
            exit_machine(EXIT_NO_WINDOW)
        }
    };
    let Err(error) = guarded(|| body(&mut reporter)) else { exit_machine(EXIT_FINISHED) };
    console::say(&error.to_string());
    if let Err(error) = reporter.send(What::Failed(error.into())) {
        console::say(&error.to_string());
    }
    exit_machine(EXIT_FAILED)
}

/// Makes an error of a panic.
fn guarded<T>(body: impl FnOnce() -> Result<T, GuestError>) -> Result<T, GuestError> {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|_| {
        let message = PANIC.lock().ok().and_then(|mut panic| panic.take());
        Err(GuestError::new("go on", message.unwrap_or_else(|| "a panic without a message".into())))
    })
}

/// Keeps what a panic says for the report. A worker that panics has no way to the ring: for it the console must do.
fn remember(panic: &PanicHookInfo<'_>) {
    let message = panic.to_string();
    console::say(&message);
    if let Ok(mut last) = PANIC.lock() {
        *last = Some(message);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_an_error_with_its_message() {
        panic::set_hook(Box::new(remember));
        let error = guarded(|| -> Result<(), GuestError> { panic!("seven") }).expect_err("it panicked");
        let _ = panic::take_hook();
        assert!(error.to_string().starts_with("failed to go on: "), "{error}");
        assert!(error.problem.contains("seven") && error.problem.contains("program.rs"), "{error}");
    }
}
