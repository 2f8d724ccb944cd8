//! The gate: a word that says what the thread of the CPUs does.

use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

/// The emulator is still made.
const NOT_SEEN: u32 = 0;
const RUN: u32 = 1;
const WAIT: u32 = 2;
/// They stand still until the host has looked, however long that takes.
pub(crate) const STAND: u32 = 3;

/// Closed while the CPUs run.
#[derive(Debug)]
pub(crate) struct Gate {
    cpus: AtomicU32,
    /// Address of the condition on which the CPUs wait; zero before they first did.
    condition: AtomicUsize,
}

impl Gate {
    pub(crate) const fn new() -> Self {
        Self { cpus: AtomicU32::new(NOT_SEEN), condition: AtomicUsize::new(0) }
    }

    /// The thread of the CPUs is about to wait on `condition`; true if that is the one on which it waits when there is nothing to
    /// run: the first one ever. The word that it gives is to be woken.
    pub(crate) fn cpus_wait(&self, condition: usize) -> Option<&AtomicU32> {
        let first = self.condition.compare_exchange(0, condition, Ordering::SeqCst, Ordering::SeqCst);
        if first.unwrap_or_else(|known| known) != 0 && !self.is_of_cpus(condition) {
            return None;
        }
        self.cpus.store(WAIT, Ordering::SeqCst);
        Some(&self.cpus)
    }

    /// The thread of the CPUs has come back.
    pub(crate) fn cpus_run(&self) {
        self.cpus.store(RUN, Ordering::SeqCst);
    }

    /// The thread of the CPUs is about to stand still in the middle of its work.
    pub(crate) fn cpus_stand(&self) {
        self.cpus.store(STAND, Ordering::SeqCst);
    }

    /// Somebody is about to wake who waits on `condition`. From here on the CPUs count as running: their thread comes back some
    /// time later, and the gate is not to be open meanwhile.
    pub(crate) fn wakes(&self, condition: usize) {
        if self.is_of_cpus(condition) {
            self.cpus_run();
        }
    }

    fn is_of_cpus(&self, condition: usize) -> bool {
        self.condition.load(Ordering::SeqCst) == condition
    }

    /// The main loop goes through. `sleep` returns when the word may no longer be what it is given, or false when that took too
    /// long.
    pub(crate) fn pass(&self, mut sleep: impl FnMut(&AtomicU32, u32) -> bool) {
        loop {
            let seen = self.cpus.load(Ordering::SeqCst);
            if !matches!(seen, RUN | STAND) || !sleep(&self.cpus, seen) {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HALT: usize = 0x10;
    const OTHER: usize = 0x20;

    /// How often the main loop sleeps before it is through, if it gives up at the fourth time.
    fn sleeps(gate: &Gate) -> u32 {
        let mut slept = 0;
        gate.pass(|_, _| {
            slept += 1;
            slept < 4
        });
        slept
    }

    #[test]
    fn is_closed_exactly_while_the_cpus_run() {
        let gate = Gate::new();
        type Step<'a> = (&'a str, &'a dyn Fn(&Gate), bool);
        let steps: &[Step<'_>] = &[
            ("nothing was seen", &|_| (), true),
            ("woken before it ever waited", &|gate| gate.wakes(HALT), true),
            ("the machine stands still", &|gate| assert!(gate.cpus_wait(HALT).is_some()), true),
            ("another condition is signalled", &|gate| gate.wakes(OTHER), true),
            ("woken, and not yet back", &|gate| gate.wakes(HALT), false),
            ("back", &Gate::cpus_run, false),
            ("waits for something else", &|gate| assert!(gate.cpus_wait(OTHER).is_none()), false),
            ("all have halted", &|gate| assert!(gate.cpus_wait(HALT).is_some()), true),
            ("back by itself", &Gate::cpus_run, false),
            ("the host looks", &Gate::cpus_stand, false),
            ("it has looked", &Gate::cpus_run, false),
        ];
        for (step, does, open) in steps {
            does(&gate);
            assert_eq!(sleeps(&gate) == 0, *open, "{step}");
        }
    }

    #[test]
    fn the_main_loop_goes_on_when_the_cpus_wait_and_when_that_takes_too_long() {
        let gate = Gate::new();
        gate.cpus_wait(HALT);
        gate.cpus_run();
        assert_eq!(sleeps(&gate), 4, "gives up");
        let mut slept = 0;
        gate.pass(|word, seen| {
            assert_eq!(word.load(Ordering::SeqCst), seen, "a sleep on a word that has changed would not end");
            slept += 1;
            if slept == 2 {
                gate.cpus_wait(HALT);
            }
            true
        });
        assert_eq!(slept, 2, "woken once for nothing");
    }
}
