//! What the CPUs of a machine are to do, and what became of it: the one state that threads share.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How a machine came to its end by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ending {
    /// The guest wrote to its debug exit.
    Guest(u8),
    PowerOff,
    Reset,
    TripleFault,
    /// A CPU cannot go on, and it is not the guest's doing.
    Failed(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Run,
    Stand,
    End,
}

#[derive(Debug)]
struct State {
    wanted: Wanted,
    /// CPUs whose threads wait in [`Control::pass`] or have ended.
    standing: usize,
    /// Whether the guest stopped itself for a save.
    at_save: bool,
    ending: Option<Ending>,
}

/// The state, and a way to wait for its change.
#[derive(Debug)]
pub(super) struct Control {
    cpus: usize,
    state: Mutex<State>,
    changed: Condvar,
}

/// What a CPU's thread is to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Go {
    Run,
    End,
}

impl Control {
    /// For a machine whose CPUs wait for [`Control::resume`].
    pub(super) fn new(cpus: usize) -> Self {
        let state = State { wanted: Wanted::Stand, standing: 0, at_save: false, ending: None };
        Self { cpus, state: Mutex::new(state), changed: Condvar::new() }
    }

    /// A thread that panicked has changed one field at most, so the state is still good.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>, at_most: Duration) -> MutexGuard<'a, State> {
        self.changed.wait_timeout(state, at_most).unwrap_or_else(PoisonError::into_inner).0
    }

    /// Called by the thread of a CPU before it runs: waits for as long as the CPU is to stand.
    pub(super) fn pass(&self) -> Go {
        let mut state = self.state();
        state.standing += 1;
        self.changed.notify_all();
        while state.wanted == Wanted::Stand {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.wanted == Wanted::End {
            return Go::End;
        }
        state.standing -= 1;
        Go::Run
    }

    /// Whether a running CPU is to look at [`Control::pass`].
    pub(super) fn calls(&self) -> bool {
        self.state().wanted != Wanted::Run
    }

    /// The machine came to its end; the first one counts.
    pub(super) fn end(&self, ending: Ending) {
        let mut state = self.state();
        state.ending.get_or_insert(ending);
        state.wanted = Wanted::End;
        self.changed.notify_all();
    }

    /// The thread of a CPU is gone without having been told to.
    pub(super) fn lost(&self, ending: Ending) {
        self.state().standing += 1;
        self.end(ending);
    }

    /// Whether CPUs run.
    pub(super) fn runs(&self) -> bool {
        self.state().wanted == Wanted::Run
    }

    /// The guest stopped itself for a save.
    pub(super) fn stand_at_save(&self) {
        let mut state = self.state();
        if state.wanted == Wanted::Run {
            state.wanted = Wanted::Stand;
            state.at_save = true;
        }
        self.changed.notify_all();
    }

    /// Has all CPUs stand, and waits until they do. A CPU that runs is called by `kick`, again and again: the call before its entry into
    /// the guest would be lost. `false` if the machine is at its end instead.
    pub(super) fn stand(&self, kick: impl Fn()) -> bool {
        let mut state = self.state();
        if state.wanted == Wanted::Run {
            state.wanted = Wanted::Stand;
        }
        while state.wanted == Wanted::Stand && state.standing < self.cpus {
            drop(state);
            kick();
            state = self.wait(self.state(), KICK_AGAIN);
        }
        state.wanted == Wanted::Stand
    }

    /// Lets all CPUs run, unless the machine is at its end.
    pub(super) fn resume(&self) {
        let mut state = self.state();
        if state.wanted == Wanted::Stand {
            state.wanted = Wanted::Run;
        }
        self.changed.notify_all();
    }

    /// Has all threads end, and waits until they have left [`Control::pass`] for the last time.
    pub(super) fn finish(&self, kick: impl Fn()) {
        let mut state = self.state();
        state.wanted = Wanted::End;
        self.changed.notify_all();
        while state.standing < self.cpus {
            drop(state);
            kick();
            state = self.wait(self.state(), KICK_AGAIN);
        }
    }

    /// How the machine came to its end, once it has; waits at most until `deadline`.
    pub(super) fn ending(&self, deadline: Instant) -> Option<Ending> {
        let mut state = self.state();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if state.ending.is_some() || left.is_zero() {
                return state.ending.clone();
            }
            state = self.wait(state, left);
        }
    }

    /// Whether the guest has stopped itself for a save; waits a moment for that or for an end.
    pub(super) fn at_save(&self, at_most: Duration) -> bool {
        let state = self.state();
        if state.at_save || state.ending.is_some() {
            return state.at_save;
        }
        self.wait(state, at_most).at_save
    }
}

/// How long a call has to arrive before it is made again.
const KICK_AGAIN: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::Arc;

    const NOW: Duration = Duration::ZERO;

    /// A thread that runs as a CPU does, without a guest.
    fn cpu(control: &Arc<Control>, turns: &Arc<AtomicUsize>) -> std::thread::JoinHandle<()> {
        let (control, turns) = (control.clone(), turns.clone());
        std::thread::spawn(move || {
            while control.pass() == Go::Run {
                while !control.calls() {
                    turns.fetch_add(1, Ordering::Relaxed);
                    std::thread::yield_now();
                }
            }
        })
    }

    #[test]
    fn cpus_stand_and_run_as_they_are_told() {
        let (control, turns) = (Arc::new(Control::new(2)), Arc::new(AtomicUsize::new(0)));
        let threads = [cpu(&control, &turns), cpu(&control, &turns)];
        let count = || turns.load(Ordering::Relaxed);
        assert!(control.stand(|| ()));
        assert_eq!(count(), 0);
        control.resume();
        while count() == 0 {
            std::thread::yield_now();
        }
        assert!(control.stand(|| ()));
        let stood = count();
        std::thread::sleep(Duration::from_millis(5));
        assert_eq!(count(), stood);
        control.finish(|| ());
        threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
    }

    #[test]
    fn the_first_ending_counts_and_ends_all() {
        let (control, turns) = (Arc::new(Control::new(1)), Arc::new(AtomicUsize::new(0)));
        let thread = cpu(&control, &turns);
        assert_eq!(control.ending(Instant::now() + NOW), None);
        control.resume();
        control.end(Ending::PowerOff);
        control.end(Ending::Reset);
        assert_eq!(control.ending(Instant::now() + NOW), Some(Ending::PowerOff));
        assert!(!control.stand(|| ()));
        thread.join().expect("no panic");
    }
}
