//! One machine from its start to its end, and everything that is seen of it on the way into a recording.

use super::ending::{of_exit, of_silence};
use super::host_ops::HostOps;
use super::sampling::Sampling;
use super::steal::Steal;
use super::watch::{Silence, Watch};
use super::{in_full, Executor};
use crate::inputs::Origin;
use crate::report::Stage;
use crate::snapshot::kernel_line;
use ktstr_channel::{payload, RingReader, Window, WINDOW_BYTES};
use ktstr_model::event::What;
use ktstr_model::{Case, Clock, GuestNanos, StartMode};
use ktstr_monitor::dump;
use ktstr_recording::{Ending, HostEvent, HostNanos, WriteError, Writer};
use ktstr_vmm::{command_line, Machine, MachineBackend, MachineSpec, Start, StartError};
use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often the window is looked at: half of it is the mean delay of an event, and a look costs a few microseconds.
const POLL: Duration = Duration::from_millis(1);
/// How often the watch is asked and the console is read; these cost system calls.
const LOOK: Duration = Duration::from_millis(20);

/// Behind all samples.
const FOR_EVER: GuestNanos = GuestNanos(u64::MAX);
/// Most bytes of a console that are recorded: a kernel that prints without end must not fill the disk.
const CONSOLE_BYTES_MAX: usize = 16 << 20;

/// What the host could not do.
#[derive(Debug)]
pub(super) struct HostFailure {
    doing: &'static str,
    problem: String,
}

impl HostFailure {
    fn new(doing: &'static str, error: &dyn Error) -> Self {
        Self { doing, problem: in_full(error) }
    }
}

/// Either end of an attempt that does not come to its own.
#[derive(Debug)]
pub(super) enum Broken {
    /// The host failed, which can be recorded.
    Host(HostFailure),
    /// The recording itself cannot be written.
    Write(WriteError),
}

impl From<WriteError> for Broken {
    fn from(error: WriteError) -> Self {
        Self::Write(error)
    }
}

/// A case that is being run.
pub(super) struct Attempt<'a> {
    executor: &'a Executor<'a>,
    case: &'a Case,
    writer: Writer,
    on_stage: &'a mut dyn FnMut(Stage),
    since: Instant,
    reader: RingReader,
    booted: bool,
    /// What the host takes from the machine.
    steal: Steal,
    /// What looks at the guest's kernel.
    sampling: Sampling,
    /// Bytes of the console that are still recorded.
    console_room: usize,
}

impl<'a> Attempt<'a> {
    pub(super) fn new(
        executor: &'a Executor<'a>,
        case: &'a Case,
        writer: Writer,
        on_stage: &'a mut dyn FnMut(Stage),
    ) -> Self {
        Self {
            executor,
            case,
            writer,
            on_stage,
            since: Instant::now(),
            steal: Steal::new(Instant::now()),
            sampling: Sampling::default(),
            reader: RingReader::default(),
            booted: false,
            console_room: CONSOLE_BYTES_MAX,
        }
    }

    /// Starts the machine and follows it to its end.
    pub(super) fn run(&mut self) -> Result<(), Broken> {
        (self.on_stage)(Stage::Starting);
        let backend = self
            .executor
            .backend
            .map_err(|problem| Broken::Host(HostFailure { doing: "make a machine", problem: problem.to_owned() }))?;
        let directory = tempfile::Builder::new()
            .prefix("machine-")
            .tempdir_in(self.executor.scratch)
            .map_err(|error| host("make a directory for the machine", &error))?;
        let window = Arc::new(self.make_window(&directory.path().join("window"))?);
        let spec = self.machine_spec(backend, directory.path())?;
        let mut machine = match backend.start(&spec) {
            Ok(machine) => machine,
            Err(error) => return self.not_started(&error),
        };
        self.host(&HostEvent::MachineStarted {
            backend_version: machine.version().to_owned(),
            command_line: spec.command_line.clone(),
        })?;
        (self.on_stage)(Stage::Booting);
        self.look_at(machine.as_mut(), &window, spec.instants.is_some())?;
        let ending = self.follow(machine.as_mut(), &window)?;
        // The last messages and the last lines come with the end.
        self.sampling.end();
        self.take_events(&window)?;
        // A guest that ends the machine runs on a little behind its last event, and not each time as far.
        if !matches!(ending, Ending::Guest { .. }) {
            self.record_samples(FOR_EVER)?;
        }
        while self.take_console(machine.as_mut())? {}
        self.steal.look(&machine.vcpu_times(), Instant::now());
        self.steal.take().map_or(Ok(()), |event| self.host(&event))?;
        self.host(&HostEvent::Ended(ending))?;
        Ok(())
    }

    /// Records what the host could not do.
    pub(super) fn host_failed(&mut self, broken: Broken) -> Result<(), WriteError> {
        match broken {
            Broken::Host(HostFailure { doing, problem }) => {
                self.record_samples(FOR_EVER)?;
                self.host(&HostEvent::HostFailed { doing: doing.into(), problem })
            }
            Broken::Write(error) => Err(error),
        }
    }

    pub(super) fn finish(self) -> Result<(), WriteError> {
        self.writer.finish().map(drop)
    }

    /// The window with everything that the guest is to do; the machine may start at any time after that.
    fn make_window(&self, path: &Path) -> Result<Window, Broken> {
        let window = Window::create(path).map_err(|error| host("make the window", &error))?;
        let plan = postcard::to_stdvec(&self.case.plan).map_err(|error| host("pack the plan", &error))?;
        let inputs = self.executor.inputs;
        let mut blobs = vec![(payload::PLAN, plan.as_slice())];
        // In an attached machine the agent and the scheduler run already.
        if self.case.start != StartMode::Attached {
            blobs.push((payload::AGENT, inputs.agent.as_slice()));
            blobs.extend(inputs.scheduler.iter().map(|archive| (payload::SCHEDULER, archive.as_slice())));
        }
        payload::lay(&window, &blobs).map_err(|error| host("fill the window", &error))?;
        window.go();
        Ok(window)
    }

    fn machine_spec(&self, backend: &dyn MachineBackend, directory: &Path) -> Result<MachineSpec, Broken> {
        let Case { topology, clock, placement, seed, kernel_args, .. } = self.case;
        let window_at = backend.window_at(topology);
        let executor = self.executor;
        let no_origin = || no_origin(self.case.start);
        let (start, kernel, initramfs, command_line) = match (self.case.start, &executor.inputs.origin) {
            (StartMode::Boot, Origin::Boot { kernel, initramfs }) => {
                let line = command_line(Some((window_at, WINDOW_BYTES as u64)), kernel_args);
                (Start::Boot, kernel.clone(), Some(initramfs.clone()), line)
            }
            (StartMode::Snapshot | StartMode::Attached, Origin::Snapshots { .. }) => {
                let snapshot = executor.inputs.snapshot_of(self.case).ok_or_else(no_origin)?;
                let saved = executor.inputs.expansion.of(snapshot, executor.scratch);
                let saved = saved.map_err(|error| host("prepare the machine", &error))?;
                (Start::Saved(saved), PathBuf::new(), None, kernel_line(window_at, kernel_args))
            }
            _ => return Err(no_origin()),
        };
        Ok(MachineSpec {
            start,
            topology: topology.clone(),
            clock: *clock,
            virtualization: false,
            placement: *placement,
            seed: *seed,
            instants: self.case.monitor.as_ref().filter(|_| self.has_instants(backend)).map(|spec| spec.interval),
            kernel,
            initramfs,
            command_line,
            window: Some(directory.join("window")),
            directory: directory.to_owned(),
        })
    }

    /// Whether the machine is to stand still for each look at its kernel.
    fn has_instants(&self, backend: &dyn MachineBackend) -> bool {
        matches!(self.executor.inputs.image, Some(Ok(_))) && backend.capabilities().instants.contains(&self.case.clock)
    }

    /// Begins to look at the guest's kernel, if the case asks for that.
    fn look_at(&mut self, machine: &mut dyn Machine, window: &Arc<Window>, at_instants: bool) -> Result<(), Broken> {
        let Some(spec) = &self.case.monitor else { return Ok(()) };
        let ops = HostOps::new(&self.case.host_ops, window);
        let sampling = match &self.executor.inputs.image {
            Some(Ok(image)) => Sampling::start(image.clone(), spec, ops, machine, at_instants),
            Some(Err(problem)) => Err(problem.clone()),
            None => Err("its image is not among the inputs of this run".into()),
        };
        match sampling {
            Ok(sampling) => self.sampling = sampling,
            // The guest would wait for ops in vain.
            Err(problem) if !self.case.host_ops.is_empty() => {
                return Err(Broken::Host(HostFailure { doing: "do the ops of the case", problem }));
            }
            Err(problem) => self.host(&HostEvent::Unmonitored { problem })?,
        }
        Ok(())
    }

    fn not_started(&mut self, error: &StartError) -> Result<(), Broken> {
        match error {
            StartError::EmulatorEnded { status, log } | StartError::EmulatorUnusable { problem: status, log } => {
                let ending = Ending::EmulatorFailed { status: status.clone(), log: log.clone() };
                Ok(self.host(&HostEvent::Ended(ending))?)
            }
            error => Err(host("start the machine", error)),
        }
    }

    fn follow(&mut self, machine: &mut dyn Machine, window: &Window) -> Result<Ending, Broken> {
        let Case { clock, topology, .. } = self.case;
        let mut watch = Watch::new(*clock, topology.cpus(), Instant::now());
        let mut next_look = Instant::now();
        loop {
            if let Some(exit) = machine.wait(POLL).map_err(|error| host("watch the machine", &error))? {
                return Ok(of_exit(exit));
            }
            self.take_events(window)?;
            let now = Instant::now();
            if self.steal.is_due(now) {
                self.steal.look(&machine.vcpu_times(), now);
            }
            if now < next_look {
                continue;
            }
            next_look = now + LOOK;
            self.take_console(machine)?;
            if let Some(reason) = self.executor.stop.reason() {
                let exit = machine.stop().map_err(|error| host("stop the machine", &error))?;
                return Ok(of_silence(exit, || Ending::Interrupted { reason }));
            }
            if let Some(silence) = watch.check(self.booted, window.beats(), machine.cpu_time(), now) {
                return self.give_up(machine, silence);
            }
        }
    }

    fn give_up(&mut self, machine: &mut dyn Machine, silence: Silence) -> Result<Ending, Broken> {
        // A machine that does not answer has no registers to show, which is no reason to say nothing.
        let registers = machine.pause().and_then(|()| machine.registers()).unwrap_or_default();
        if let Some(Ok(image)) = &self.executor.inputs.image {
            let dump = dump(image.clone(), Arc::new(machine.memory().clone()), None, &registers);
            self.host(&HostEvent::Dump(Box::new(dump)))?;
        }
        let exit = machine.stop().map_err(|error| host("stop the machine", &error))?;
        Ok(of_silence(exit, || silence.ending(&registers)))
    }

    fn take_events(&mut self, window: &Window) -> Result<(), WriteError> {
        let polled = self.reader.poll(window);
        // What was seen before the guest wrote these events is known by now.
        self.sampling.take_events().iter().try_for_each(|event| self.host(event))?;
        if self.case.clock == Clock::Real {
            self.record_samples(FOR_EVER)?;
        }
        for event in &polled.events {
            self.record_samples(event.at)?;
            self.writer.guest(event)?;
            self.steal.heard(Instant::now(), event.at);
            match &event.what {
                What::Booted(_) => {
                    self.booted = true;
                    self.host(&HostEvent::GuestStarted)?;
                }
                What::StepStarted { step } => {
                    let steps = self.case.plan.steps.len() as u32;
                    (self.on_stage)(Stage::Running { step: *step, steps });
                    if *step == 0 {
                        self.steal.begin();
                        self.host(&HostEvent::ScenarioStarted)?;
                    }
                }
                // What the guest does now is to end the machine.
                What::Finished | What::BrokenOff => self.sampling.end_here(),
                _ => {}
            }
        }
        match polled.problem {
            Some(problem) => {
                let event = HostEvent::ChannelProblem { offset: problem.offset(), problem: problem.to_string() };
                self.host(&event)
            }
            None => Ok(()),
        }
    }

    /// Records the samples of before `until`.
    fn record_samples(&mut self, until: GuestNanos) -> Result<(), WriteError> {
        while let Some((at, sample)) = self.sampling.next_sample(until) {
            self.writer.sample(at, &sample)?;
        }
        Ok(())
    }

    /// What is new on the console, or a part of it; whether there may be more that is wanted.
    fn take_console(&mut self, machine: &mut dyn Machine) -> Result<bool, Broken> {
        if self.console_room == 0 {
            return Ok(false);
        }
        let bytes = machine.console().map_err(|error| host("read the console", &error))?;
        let taken = bytes.len().min(self.console_room);
        self.console_room -= taken;
        self.writer.console(bytes.get(..taken).unwrap_or_default())?;
        if self.console_room == 0 {
            self.writer.console(b"\n[the console is recorded up to here]\n")?;
        }
        Ok(!bytes.is_empty())
    }

    fn host(&mut self, event: &HostEvent) -> Result<(), WriteError> {
        let at = HostNanos(u64::try_from(self.since.elapsed().as_nanos()).unwrap_or(u64::MAX));
        self.writer.host(at, event)
    }
}

fn no_origin(start: StartMode) -> Broken {
    let problem = format!("the case starts as \"{}\", and there is nothing for that among its inputs", start.name());
    Broken::Host(HostFailure { doing: "prepare the machine", problem })
}

fn host(doing: &'static str, error: &dyn Error) -> Broken {
    Broken::Host(HostFailure::new(doing, error))
}
