//! What the host takes from the CPUs of a machine: `[HostTime] ──look──▶ Steal ──take──▶ HostEvent::Steal`.
//!
//! The kernel adds a wait of a thread for a CPU to its account when the wait ends. So no wait is longer than what the account grew by
//! between two looks; the nearer these are, the nearer it comes.

use ktstr_model::GuestNanos;
use ktstr_recording::{CpuSteal, HostEvent};
use ktstr_vmm::HostTime;
use std::time::{Duration, Instant};

/// Time between two looks for each CPU: a look at one costs some 5 microseconds, so all looks together a hundredth of a CPU.
const PER_CPU: Duration = Duration::from_micros(500);
/// Longest time between two looks.
const TICK_MAX: Duration = Duration::from_millis(20);

/// What was seen so far.
#[derive(Debug)]
pub(super) struct Steal {
    next: Instant,
    cpus: Vec<CpuSteal>,
    /// How long each has waited, at the last look.
    waited: Vec<Duration>,
    /// When the last event of the guest came, and what it says of the time.
    guest: Option<(Instant, GuestNanos)>,
}

impl Steal {
    /// For a machine that has just been started.
    pub(super) fn new(now: Instant) -> Self {
        Self { next: now, cpus: Vec::new(), waited: Vec::new(), guest: None }
    }

    /// An event of the guest came, with its time.
    pub(super) fn heard(&mut self, now: Instant, at: GuestNanos) {
        self.guest = Some((now, at));
    }

    /// The scenario begins: what was before does not count.
    pub(super) fn begin(&mut self) {
        self.cpus.clear();
    }

    /// Whether it is time for a look.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        now >= self.next
    }

    /// Takes note of the times of all CPUs; of none if they are not known.
    pub(super) fn look(&mut self, times: &[HostTime], now: Instant) {
        self.next = now + (PER_CPU * times.len() as u32).min(TICK_MAX);
        let guest = self.guest.map(|(heard, at)| GuestNanos(at.0.saturating_add(nanos(now.duration_since(heard)))));
        self.waited.resize(times.len().max(self.waited.len()), Duration::ZERO);
        for (cpu, (time, waited)) in (0..).zip(times.iter().zip(&mut self.waited)) {
            if self.cpus.len() <= cpu {
                self.cpus.push(CpuSteal { cpu: cpu as u32, ..CpuSteal::default() });
            }
            let more = nanos(time.waited.saturating_sub(*waited));
            *waited = time.waited.max(*waited);
            let Some(steal) = self.cpus.get_mut(cpu) else { continue };
            steal.total_ns = steal.total_ns.saturating_add(more);
            if more > steal.longest_ns {
                (steal.longest_ns, steal.longest_at) = (more, guest);
            }
        }
    }

    /// What is recorded; none: nothing is known.
    pub(super) fn take(&mut self) -> Option<HostEvent> {
        let cpus = std::mem::take(&mut self.cpus);
        (!cpus.is_empty()).then_some(HostEvent::Steal(cpus))
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn times(waited: &[u32]) -> Vec<HostTime> {
        waited.iter().map(|waited| HostTime { ran: MS, waited: MS * *waited }).collect()
    }

    fn seen(cpu: u32, total_ms: u64, longest_ms: u64, at_ms: Option<u64>) -> CpuSteal {
        let at = at_ms.map(|at| GuestNanos(at * 1_000_000));
        CpuSteal { cpu, total_ns: total_ms * 1_000_000, longest_ns: longest_ms * 1_000_000, longest_at: at }
    }

    #[test]
    fn the_longest_is_the_largest_step_between_two_looks() {
        let start = Instant::now();
        let mut steal = Steal::new(start);
        // Before the scenario.
        steal.look(&times(&[900, 3]), start);
        steal.begin();
        steal.heard(start + MS * 10, GuestNanos(2_000_000_000));
        steal.look(&times(&[902, 3]), start + MS * 12);
        steal.look(&times(&[986, 3]), start + MS * 100);
        // The machine is gone, and knows nothing more.
        steal.look(&[], start + MS * 102);
        steal.look(&times(&[991, 0]), start + MS * 104);
        let expected = vec![seen(0, 91, 84, Some(2090)), seen(1, 0, 0, None)];
        assert_eq!(steal.take(), Some(HostEvent::Steal(expected)));
    }

    #[test]
    fn what_is_not_known_is_not_recorded() {
        let mut steal = Steal::new(Instant::now());
        steal.look(&[], Instant::now());
        assert_eq!(steal.take(), None);
    }

    #[test]
    fn many_cpus_are_looked_at_less_often() {
        let start = Instant::now();
        let due = |cpus: usize| {
            let mut steal = Steal::new(start);
            steal.look(&times(&vec![0; cpus]), start);
            (0..).find(|ms| steal.is_due(start + MS * *ms)).expect("at some time")
        };
        assert_eq!([due(4), due(40), due(256)], [2, 20, 20]);
    }
}
