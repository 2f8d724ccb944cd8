//! Floors of bounds: below them a clock shows gaps, latencies and unfairness that no scheduler made.
//!
//! ```text
//! (back end, clock, CPUs), Bound ──ClockOfMachine::cannot_tell──▶ [BelowFloor]
//! ```
//!
//! Planning refuses such a bound before anything boots; judging a recording warns of it.
//!
//! Under the virtual clock all CPUs of the emulator draw from one instruction clock in turn: each turn is the time to the
//! next timer divided by the number of CPUs, and the ticks of all CPUs are work on that clock, too. So a CPU stands still while
//! the others have their turns, and the more so the more of them there are. Under the real clock the CPUs of the emulator are
//! threads of the host, which stand still whenever the host runs something else.
//!
//! The numbers are measured, each row on machines of just that many CPUs: the worst that workers saw who had their CPU for
//! themselves (spinners, sleepers and ping-pong pairs, alone and beside spinners on all other CPUs) or their fair share of all,
//! over several seeds, and about a half more. They hold for a kernel with 250 ticks a second, and those of the real clock for a host of
//! two CPUs that had more to run. The guide on clocks has the floors, which a test compares with these, and what was measured
//! beside them.

use crate::{Backend, Bound, Case, Clock, Nanos};
use std::fmt;

const US: u64 = 1_000;
const MS: u64 = 1_000_000;

/// Floors of machines of up to `cpus` CPUs: times in nanoseconds, `spread` as a part of the mean.
struct Row {
    cpus: u32,
    p50: u64,
    p99: u64,
    /// Of the 99.9th percentile and of the largest latency, which one wakeup decides alike.
    max: u64,
    gap: u64,
    spread: f64,
}

const fn row(cpus: u32, p50: u64, p99: u64, max: u64, gap: u64, spread: f64) -> Row {
    Row { cpus, p50, p99, max, gap, spread }
}

/// In the order of CPUs.
const VIRTUAL: &[Row] = &[
    row(1, 100 * US, 200 * US, 500 * US, MS, 0.0),
    row(2, 200 * US, 3 * MS, 3 * MS, 8 * MS, 0.02),
    row(4, MS, 8 * MS, 10 * MS, 20 * MS, 0.08),
    row(8, 3 * MS, 10 * MS, 20 * MS, 30 * MS, 0.15),
    row(16, 6 * MS, 30 * MS, 50 * MS, 100 * MS, 0.6),
    row(24, 14 * MS, 120 * MS, 120 * MS, 200 * MS, 0.7),
    row(32, 60 * MS, 700 * MS, 700 * MS, 1_000 * MS, 2.0),
];

/// In the order of CPUs.
const REAL_EMULATED: &[Row] = &[
    row(1, MS, 25 * MS, 100 * MS, 100 * MS, 0.01),
    row(4, 2 * MS, 150 * MS, 200 * MS, 400 * MS, 0.06),
    row(16, 70 * MS, 800 * MS, 1_000 * MS, 1_500 * MS, 0.6),
];

/// A machine as far as its clock is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockOfMachine {
    /// What runs the machine.
    pub backend: Backend,
    /// What its time follows.
    pub clock: Clock,
    /// Number of its CPUs.
    pub cpus: u32,
}

/// Something that has a floor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// The longest time between two iterations.
    Gap,
    /// The median of wakeup latencies.
    LatencyP50,
    /// Their 99th percentile.
    LatencyP99,
    /// Their 99.9th percentile.
    LatencyP999,
    /// The largest of them.
    LatencyMax,
    /// The spread of CPU time.
    Spread,
    /// The distance of CPU time from a share. That of one worker from the mean is no larger than the spread of all.
    Share,
    /// The time for which a CPU is idle: it has to come to its turn before it can take a task, as before a gap ends.
    Idle,
}

/// A value of a [`Measure`], printed as users write it.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub enum Quantity {
    /// A time.
    Time(Nanos),
    /// A part of a mean or of a share.
    Part(f64),
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Time(time) => time.fmt(f),
            Self::Part(part) => part.fmt(f),
        }
    }
}

impl Measure {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Gap,
        Self::LatencyP50,
        Self::LatencyP99,
        Self::LatencyP999,
        Self::LatencyMax,
        Self::Spread,
        Self::Share,
        Self::Idle,
    ];

    /// The field of `checks` that bounds it.
    pub fn field(self) -> &'static str {
        match self {
            Self::Gap => "max_gap",
            Self::LatencyP50 => "max_wakeup_latency.p50",
            Self::LatencyP99 => "max_wakeup_latency.p99",
            Self::LatencyP999 => "max_wakeup_latency.p999",
            Self::LatencyMax => "max_wakeup_latency.max",
            Self::Spread => "max_spread",
            Self::Share => "weight_share",
            Self::Idle => "work_conserving",
        }
    }

    /// Its bound, if `bound` sets one.
    fn bound_in(self, bound: &Bound) -> Option<Quantity> {
        let time = match (self, bound) {
            (Self::Spread, Bound::MaxSpread(part)) | (Self::Share, Bound::WeightShare(part)) => {
                return Some(Quantity::Part(*part))
            }
            (Self::Gap, Bound::MaxGap(time)) | (Self::Idle, Bound::WorkConserving(time)) => Some(*time),
            (Self::LatencyP50, Bound::MaxWakeupLatency(bounds)) => bounds.p50,
            (Self::LatencyP99, Bound::MaxWakeupLatency(bounds)) => bounds.p99,
            (Self::LatencyP999, Bound::MaxWakeupLatency(bounds)) => bounds.p999,
            (Self::LatencyMax, Bound::MaxWakeupLatency(bounds)) => bounds.max,
            _ => None,
        };
        time.map(Quantity::Time)
    }
}

/// A bound that asks for more than a clock can tell. It reads "1ms is below what the virtual clock can tell with 16 CPUs: the
/// floor is 100ms".
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BelowFloor {
    /// Field of `checks` with the bound.
    pub field: &'static str,
    /// The bound.
    pub bound: Quantity,
    /// The least that it would have to be.
    pub floor: Quantity,
    /// Whose clock it is.
    pub machine: ClockOfMachine,
}

impl fmt::Display for BelowFloor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { bound, floor, machine, .. } = self;
        let cpus = match machine.cpus {
            1 => "1 CPU".to_owned(),
            more => format!("{more} CPUs"),
        };
        let of = match machine.clock {
            Clock::Virtual => "",
            Clock::Real => " of the emulator",
        };
        let clock = machine.clock.name();
        write!(f, "{bound} is below what the {clock} clock{of} can tell with {cpus}: the floor is {floor}")
    }
}

impl ClockOfMachine {
    /// That of a case.
    pub fn of(case: &Case) -> Self {
        Self { backend: case.backend, clock: case.clock, cpus: case.topology.cpus() }
    }

    /// The floor of a bound; none where CPUs run in parallel and the clock is theirs.
    pub fn floor(self, of: Measure) -> Option<Quantity> {
        let rows = match (self.backend, self.clock) {
            (Backend::Tcg, Clock::Virtual) => VIRTUAL,
            (Backend::Tcg, Clock::Real) => REAL_EMULATED,
            (Backend::Kvm, _) => return None,
        };
        // Beyond the last row it is not known how high the floor is, but that it is not lower.
        let row = rows.iter().find(|row| self.cpus <= row.cpus).or(rows.last())?;
        let time = match of {
            Measure::Gap | Measure::Idle => row.gap,
            Measure::LatencyP50 => row.p50,
            Measure::LatencyP99 => row.p99,
            Measure::LatencyP999 | Measure::LatencyMax => row.max,
            Measure::Spread | Measure::Share => return Some(Quantity::Part(row.spread)),
        };
        Some(Quantity::Time(Nanos(time)))
    }

    /// What of `bound` is below its floor. Bounds on iterations have none.
    pub fn cannot_tell(self, bound: &Bound) -> Vec<BelowFloor> {
        let below = |of: Measure| {
            let (set, floor) = (of.bound_in(bound)?, self.floor(of)?);
            (set < floor).then(|| BelowFloor { field: of.field(), bound: set, floor, machine: self })
        };
        Measure::ALL.into_iter().filter_map(below).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::LatencyBounds;
    use proptest::prelude::*;

    fn machine(backend: Backend, clock: Clock, cpus: u32) -> ClockOfMachine {
        ClockOfMachine { backend, clock, cpus }
    }

    fn emulated(clock: Clock, cpus: u32) -> ClockOfMachine {
        machine(Backend::Tcg, clock, cpus)
    }

    /// A bound of `of`; a spread of so many millionths.
    fn bound(of: Measure, value: u64) -> Bound {
        let time = Some(Nanos(value));
        Bound::MaxWakeupLatency(match of {
            Measure::Gap => return Bound::MaxGap(Nanos(value)),
            Measure::Idle => return Bound::WorkConserving(Nanos(value)),
            Measure::Spread => return Bound::MaxSpread(value as f64 / 1e6),
            Measure::Share => return Bound::WeightShare(value as f64 / 1e6),
            Measure::LatencyP50 => LatencyBounds { p50: time, ..Default::default() },
            Measure::LatencyP99 => LatencyBounds { p99: time, ..Default::default() },
            Measure::LatencyP999 => LatencyBounds { p999: time, ..Default::default() },
            Measure::LatencyMax => LatencyBounds { max: time, ..Default::default() },
        })
    }

    #[test]
    fn tables_are_in_order() {
        for rows in [VIRTUAL, REAL_EMULATED] {
            assert!(rows.windows(2).all(|pair| pair[0].cpus < pair[1].cpus));
            for Row { cpus, p50, p99, max, gap, spread } in rows {
                assert!(p50 <= p99 && p99 <= max && max <= gap, "{cpus} CPUs");
                assert!((0.0..=2.0).contains(spread), "{cpus} CPUs");
            }
        }
    }

    #[test]
    fn a_machine_between_two_rows_has_the_floor_of_the_larger() {
        let floor = |cpus| emulated(Clock::Virtual, cpus).floor(Measure::Gap);
        assert_eq!(floor(3), floor(4));
        assert_ne!(floor(2), floor(3));
        assert_eq!(floor(1000), floor(32), "the last one, whatever comes after it");
    }

    #[test]
    fn cpus_that_run_in_parallel_have_no_floor() {
        for of in Measure::ALL {
            assert_eq!(machine(Backend::Kvm, Clock::Real, 4).floor(of), None);
        }
        assert_eq!(machine(Backend::Kvm, Clock::Real, 64).cannot_tell(&Bound::MaxGap(Nanos(1))), []);
    }

    #[test]
    fn each_percentile_is_named() {
        let one = Some(Nanos(1));
        let bounds = LatencyBounds { p50: one, p99: one, p999: one, max: one };
        let below = emulated(Clock::Real, 2).cannot_tell(&Bound::MaxWakeupLatency(bounds));
        let fields: Vec<&str> = below.iter().map(|below| below.field).collect();
        let parts = ["p50", "p99", "p999", "max"].map(|part| format!("max_wakeup_latency.{part}"));
        assert_eq!(fields, parts);
    }

    proptest! {
        #[test]
        fn a_bound_is_refused_exactly_below_its_floor(cpus in 1u32..300, virtually: bool, value in 0u64..5_000_000_000, of in 0usize..Measure::ALL.len()) {
            let machine = emulated(if virtually { Clock::Virtual } else { Clock::Real }, cpus);
            let bound = bound(Measure::ALL[of], value);
            let set = Measure::ALL[of].bound_in(&bound).expect("has one");
            let below = machine.cannot_tell(&bound);
            prop_assert_eq!(below.is_empty(), set >= machine.floor(Measure::ALL[of]).expect("has one"));
            prop_assert!(below.iter().all(|below| below.field == Measure::ALL[of].field() && below.bound == set));
        }

        #[test]
        fn more_cpus_have_no_lower_floor(cpus in 1u32..300, more in 0u32..300, virtually: bool, of in 0usize..Measure::ALL.len()) {
            let clock = if virtually { Clock::Virtual } else { Clock::Real };
            let floor = |cpus| emulated(clock, cpus).floor(Measure::ALL[of]);
            prop_assert!(floor(cpus) <= floor(cpus + more));
        }
    }
}
