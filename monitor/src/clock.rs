//! The guest's own clock, `CLOCK_MONOTONIC`, as `ktime_get_mono_fast_ns` computes it (kernel/time/timekeeping.c): what the kernel noted at
//! its last update, and since then what the counter tells, where that is known.

use crate::error::ReadError;
use crate::kernel::Kernel;
use crate::layout::{Layout, Slot, Span};
use crate::page_table::Gva;

/// How often the clock is read if the kernel updates it meanwhile.
const ATTEMPTS: usize = 3;
/// Names of the clock sources whose cycles are those of the time stamp counter begin with it.
const TSC: &[u8] = b"tsc";
/// In the order in which [`Clock::monotonic`] takes them.
const BASE: [&str; 7] = ["clock", "cycle_last", "mask", "mult", "shift", "xtime_nsec", "base"];

/// Where everything is in `tk_fast_mono`.
#[derive(Debug)]
pub struct Clock {
    tk_fast_mono: Gva,
    tk_fast: Span,
    sequence: Slot,
    /// The kernel changes one while readers take the other.
    bases: [[Slot; 7]; 2],
    /// `clocksource.name`.
    name: u64,
}

/// `CLOCK_MONOTONIC` in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Monotonic {
    /// What it shows.
    pub at: u64,
    /// Whether that is now, by the counter; if not, it is the kernel's last update: a tick ago, or more if all CPUs are idle.
    pub is_now: bool,
}

impl Clock {
    /// Looks everything up once.
    ///
    /// # Errors
    /// The kernel lacks what every kernel has.
    pub fn of(kernel: &Kernel) -> Result<Self, ReadError> {
        let mut layout = Layout::new(kernel.btf(), "tk_fast");
        let sequence = layout.field("seq.seqcount.sequence")?;
        let mut base = |index: usize| -> Result<[Slot; 7], ReadError> {
            let paths = BASE.map(|name| format!("base[{index}].{name}"));
            Ok(layout.fields(paths.each_ref().map(String::as_str))?)
        };
        let bases = [base(0)?, base(1)?];
        let name = kernel.btf().field("clocksource", "name")?.offset;
        Ok(Self { tk_fast_mono: kernel.symbol("tk_fast_mono")?, tk_fast: layout.span(), sequence, bases, name })
    }

    /// What the clock shows; `counter` is what the time stamp counter shows, if that is known.
    ///
    /// # Errors
    /// The clock cannot be read, or was updated with each look.
    pub fn monotonic(&self, kernel: &Kernel, counter: Option<u64>) -> Result<Monotonic, ReadError> {
        for _ in 0..ATTEMPTS {
            let content = self.tk_fast.read(kernel, self.tk_fast_mono)?;
            let sequence = content.number(&self.sequence);
            let again = self.tk_fast.read(kernel, self.tk_fast_mono)?;
            if again.number(&self.sequence) != sequence {
                continue;
            }
            let [even, odd] = &self.bases;
            let slots = if sequence & 1 == 0 { even } else { odd };
            let [clock, cycle_last, mask, mult, shift, xtime_nsec, base] = content.numbers(slots);
            let counter = counter.filter(|_| self.is_tsc(kernel, Gva(clock)));
            let cycles = counter.map_or(0, |counter| counter.saturating_sub(cycle_last) & mask);
            let shifted = u128::from(cycles) * u128::from(mult) + u128::from(xtime_nsec);
            let since = (shifted >> shift.min(127)) as u64;
            return Ok(Monotonic { at: base.saturating_add(since), is_now: counter.is_some() });
        }
        Err(ReadError::Torn("the clock"))
    }

    fn is_tsc(&self, kernel: &Kernel, clocksource: Gva) -> bool {
        let mut name = [0; TSC.len()];
        let read = kernel.word(clocksource.plus(self.name)).and_then(|at| kernel.read(Gva(at), &mut name));
        read.is_ok() && name == TSC
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::testkit::{direct, Machine, LINKED_AT, LOADED_AT};
    use ktstr_testing::BtfWriter;

    pub(crate) fn add_types(btf: &mut BtfWriter) {
        let (int, u64_, pointer) = (btf.int("int", 4, 0), btf.int("unsigned long", 8, 0), btf.pointer(0));
        let seqcount = btf.structure("seqcount", 4, &[("sequence", int, 0, 0)]);
        let latch = btf.structure("seqcount_latch_t", 4, &[("seqcount", seqcount, 0, 0)]);
        let base = [
            ("clock", pointer, 0, 0),
            ("mask", u64_, 64, 0),
            ("cycle_last", u64_, 128, 0),
            ("mult", int, 192, 0),
            ("shift", int, 224, 0),
            ("xtime_nsec", u64_, 256, 0),
            ("base", u64_, 320, 0),
        ];
        let base = btf.structure("tk_read_base", 48, &base);
        let bases = btf.array(base, 2);
        btf.structure("tk_fast", 104, &[("seq", latch, 0, 0), ("base", bases, 64, 0)]);
        btf.structure("clocksource", 8, &[("name", pointer, 0, 0)]);
    }

    #[test]
    fn the_clock_goes_on_with_the_counter_that_it_is_made_of() {
        // 1 s and 3 ns at 5000 cycles, 2 ns a cycle; the other base is being changed.
        let shows = |source: &[u8], sequence: u64, counter: Option<u64>| {
            let mut machine = Machine::new(LOADED_AT, 0);
            machine.symbols.push(("tk_fast_mono".into(), LINKED_AT + 0x12_0000));
            machine.put("tk_fast_mono", sequence);
            let at = machine.at("tk_fast_mono") + 8 + 48 * (sequence & 1);
            let words = [direct(0x8000).0, u64::MAX, 5000, 8 | 2 << 32, 3 << 2, 1_000_000_000];
            words.iter().zip((at..).step_by(8)).for_each(|(word, at)| machine.memory.put(at, *word));
            machine.memory.put(0x8000, direct(0x9000).0);
            machine.memory.write(0x9000, source);
            let mut types = BtfWriter::default();
            add_types(&mut types);
            let kernel = machine.open(&types).expect("is there");
            let Monotonic { at, is_now } =
                Clock::of(&kernel).and_then(|clock| clock.monotonic(&kernel, counter)).expect("is readable");
            (at - 1_000_000_000, is_now)
        };
        assert_eq!(shows(b"tsc\0", 6, Some(5010)), (23, true));
        assert_eq!(shows(b"tsc-early\0", 7, Some(5010)), (23, true));
        assert_eq!(shows(b"tsc\0", 6, Some(4000)), (3, true), "a counter that goes back");
        assert_eq!(shows(b"tsc\0", 6, None), (3, false));
        assert_eq!(shows(b"kvm-clock\0", 6, Some(5010)), (3, false));
    }
}
