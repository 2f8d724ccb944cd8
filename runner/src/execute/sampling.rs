//! Samples of the guest's kernel while a case runs, taken in a thread of their own:
//!
//! ```text
//! instants of guest time, or a timer ──▶ Sampler ──channel──▶ Sampling ──take──▶ host events, samples
//! ```
//!
//! The same thread does the ops that the guest waits for ([`HostOps`]), each behind a sample.
//!
//! Under the virtual clock the machine stands still at each look, on a grid of guest time, so that equal runs have equal samples. Elsewhere the
//! guest runs on meanwhile. A machine that boots is looked at as soon as its kernel has come far enough.

use super::host_ops::HostOps;
use crate::execute::in_full;
use ktstr_model::sample::EXIT_ERROR;
use ktstr_model::{GuestNanos, HostOp, MonitorSpec, Sample};
use ktstr_monitor::{dump, Image, Sampler, SeriesProblem};
use ktstr_recording::HostEvent;
use ktstr_vmm::{GuestMemory, Instant, Instants, Machine, MachineError};
use std::collections::VecDeque;
use std::sync::mpsc::{channel, Receiver, RecvTimeoutError, Sender, TryRecvError};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

/// How often the end is looked for while no instant comes.
const LOOK: Duration = Duration::from_millis(100);

/// Where the guest runs on meanwhile, a look is followed by so many times as long without one: a slow host takes fewer samples.
const REST: u32 = 20;

/// What the thread says.
enum Seen {
    Event(HostEvent),
    Sample(GuestNanos, Box<Sample>),
}

/// A machine that is looked at, or is not.
#[derive(Default)]
pub(super) struct Sampling {
    thread: Option<Looking>,
    /// Samples that are not recorded yet, in the order of time.
    samples: VecDeque<(GuestNanos, Box<Sample>)>,
    /// Whether samples that come now are of no use.
    is_over: bool,
}

struct Looking {
    seen: Receiver<Seen>,
    /// Dropped, it ends the thread.
    end: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What is looked at.
struct Watched {
    image: Arc<Image>,
    memory: Arc<GuestMemory>,
    spec: MonitorSpec,
    /// Where the machine stands still for a look; none: it goes on.
    instants: Option<Instants>,
    ops: HostOps,
    say: Sender<Seen>,
    ended: Receiver<()>,
}

impl Sampling {
    /// Begins to look at `machine`, at its instants if it has some for that.
    ///
    /// # Errors
    /// Why that cannot be.
    pub(super) fn start(
        image: Arc<Image>,
        spec: &MonitorSpec,
        ops: HostOps,
        machine: &mut dyn Machine,
        at_instants: bool,
    ) -> Result<Self, String> {
        let instants = at_instants.then(|| machine.instants()).transpose().map_err(|error| in_full(&error))?;
        let (say, seen) = channel();
        let (end, ended) = channel();
        let memory = Arc::new(machine.memory().clone());
        let watched = Watched { image, memory, spec: spec.clone(), instants, ops, say, ended };
        let thread = std::thread::Builder::new().name("sampling".into()).spawn(|| watched.look());
        let thread = thread.map_err(|error| format!("no thread to look at the kernel: {error}"))?;
        let thread = Looking { seen, end: Some(end), thread: Some(thread) };
        Ok(Self { thread: Some(thread), ..Self::default() })
    }

    /// Host events that came since the last call. Samples that came are kept.
    pub(super) fn take_events(&mut self) -> Vec<HostEvent> {
        let Self { thread, samples, is_over } = self;
        let mut events = Vec::new();
        for seen in thread.iter().flat_map(|thread| thread.seen.try_iter()) {
            match seen {
                Seen::Event(event) => events.push(event),
                Seen::Sample(at, sample) if !*is_over => samples.push_back((at, sample)),
                Seen::Sample(..) => {}
            }
        }
        events
    }

    /// The next sample, if it is not of after `until`.
    pub(super) fn next_sample(&mut self, until: GuestNanos) -> Option<(GuestNanos, Box<Sample>)> {
        self.samples.front().filter(|(at, _)| *at <= until)?;
        self.samples.pop_front()
    }

    /// Ends the looks; what was seen can still be taken. Waits for a look that goes on, for which the machine may stand still.
    pub(super) fn end(&mut self) {
        if let Some(looking) = &mut self.thread {
            looking.end = None;
            let _ = looking.thread.take().map(JoinHandle::join);
        }
    }

    /// Ends the looks, without waiting: what was seen after the last call of [`Sampling::take_events`] is not recorded.
    pub(super) fn end_here(&mut self) {
        self.samples.clear();
        self.is_over = true;
        self.thread.iter_mut().for_each(|looking| looking.end = None);
    }
}

impl Watched {
    fn look(mut self) {
        let mut instants = self.instants.take();
        let mut sampler: Option<Sampler> = None;
        let mut dumped = false;
        let mut began = std::time::Instant::now();
        let mut problem = "the machine ended before its kernel was looked at".to_owned();
        loop {
            if !matches!(self.ended.try_recv(), Err(TryRecvError::Empty)) {
                break;
            }
            let instant = match instants.as_mut().map(|instants| instants.next(LOOK)) {
                Some(Ok(None)) => continue,
                Some(Err(MachineError::Ended)) => break,
                Some(Ok(instant)) => instant,
                Some(Err(error)) => {
                    problem = in_full(&error);
                    sampler = None;
                    break;
                }
                None => {
                    let took = began.elapsed();
                    let interval = Duration::from_nanos(self.spec.interval.0).max(took * REST);
                    match self.ended.recv_timeout(interval) {
                        Err(RecvTimeoutError::Timeout) => began = std::time::Instant::now(),
                        _ => break,
                    }
                    None
                }
            };
            if sampler.is_none() {
                match Sampler::open(self.image.clone(), self.memory.clone(), &self.spec) {
                    Ok(found) => sampler = Some(self.found(found)),
                    Err(error) => {
                        problem = in_full(&error);
                        // A guest that waits has a kernel that is up.
                        let Self { ops, say, .. } = &mut self;
                        ops.carry_out(None, |_| Some(Err(problem.clone())), |event| drop(say.send(Seen::Event(event))));
                        if !error.is_early() && self.ops.is_over() {
                            break;
                        }
                    }
                }
            }
            let Some(sampler) = &mut sampler else { continue };
            // A machine that goes away has no more to show.
            let counter = instant.as_ref().map(|instant| instant.at.0);
            let Some((at, sample)) = sampler.sample(counter) else { break };
            let is_over = sample.scx.as_ref().is_some_and(|scx| scx.exit_kind >= EXIT_ERROR);
            for SeriesProblem { series, problem } in sampler.take_problems() {
                let _ = self.say.send(Seen::Event(HostEvent::SeriesUnreadable { series, problem }));
            }
            let _ = self.say.send(Seen::Sample(at, Box::new(sample)));
            let Self { ops, say, .. } = &mut self;
            let how = |op: &HostOp| Some(sampler.carry_out(op)?.map_err(|error| in_full(&error)));
            ops.carry_out(Some(at), how, |event| drop(say.send(Seen::Event(event))));
            if is_over && !std::mem::replace(&mut dumped, true) {
                self.dump(instant.as_ref());
            }
        }
        if sampler.is_none() {
            let _ = self.say.send(Seen::Event(HostEvent::Unmonitored { problem }));
        }
    }

    /// The kernel throws the scheduler out. Registers can be asked for only at an instant: elsewhere the machine goes on meanwhile.
    fn dump(&self, instant: Option<&Instant<'_>>) {
        let registers = instant.map(Instant::registers).transpose();
        let missing = registers.as_ref().err().map(|error| format!("registers: {}", in_full(error)));
        let registers = registers.ok().flatten().unwrap_or_default();
        let counter = instant.map(|instant| instant.at.0);
        let mut dump = dump(self.image.clone(), self.memory.clone(), counter, &registers);
        dump.missing.extend(missing);
        let _ = self.say.send(Seen::Event(HostEvent::Dump(Box::new(dump))));
    }

    fn found(&self, sampler: Sampler) -> Sampler {
        let event = HostEvent::Monitored {
            slide: sampler.slide(),
            events: sampler.events(),
            absent: sampler.absent().to_vec(),
        };
        let _ = self.say.send(Seen::Event(event));
        sampler
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks that say what the test says.
    fn sampling() -> (Sampling, Sender<Seen>, Receiver<()>) {
        let (say, seen) = channel();
        let (end, ended) = channel();
        let looking = Looking { seen, end: Some(end), thread: None };
        (Sampling { thread: Some(looking), ..Sampling::default() }, say, ended)
    }

    fn say_sample(say: &Sender<Seen>, at: u64) {
        say.send(Seen::Sample(GuestNanos(at), Box::default())).expect("is heard");
    }

    #[test]
    fn samples_wait_until_the_guest_says_something_later() {
        let (mut sampling, say, ended) = sampling();
        let monitored = HostEvent::Monitored { slide: 0, events: vec![], absent: vec![] };
        say.send(Seen::Event(monitored.clone())).expect("is heard");
        [10, 20, 30].iter().for_each(|at| say_sample(&say, *at));
        assert_eq!(sampling.take_events(), [monitored]);
        let mut until = |at| {
            let next = std::iter::from_fn(|| sampling.next_sample(GuestNanos(at)));
            next.map(|(at, _)| at.0).collect::<Vec<_>>()
        };
        assert_eq!((until(9), until(20), until(20), until(u64::MAX)), (vec![], vec![10, 20], vec![], vec![30]));
        assert_eq!(ended.try_recv(), Err(TryRecvError::Empty), "the looks go on");
    }

    #[test]
    fn behind_the_end_only_what_went_wrong_is_taken() {
        let (mut sampling, say, ended) = sampling();
        say_sample(&say, 10);
        assert_eq!(sampling.take_events(), []);
        sampling.end_here();
        assert_eq!(ended.try_recv(), Err(TryRecvError::Disconnected), "the looks end");
        say_sample(&say, 20);
        let problem = HostEvent::Unmonitored { problem: "x".into() };
        say.send(Seen::Event(problem.clone())).expect("is heard");
        sampling.end();
        assert_eq!(sampling.take_events(), [problem]);
        assert!(sampling.next_sample(GuestNanos(u64::MAX)).is_none());
    }
}
