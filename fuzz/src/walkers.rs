//! Everything that the monitor reads of a kernel, in memory of which any word may be anything, and may change from one sample to the next.

pub(crate) mod kernel;
mod types;

use crate::input::Input;
use kernel::{direct, kernel, PLACES, TASKS};
use ktstr_model::host_op::{Access, HostOp, KernelVariable, Variable};
use ktstr_model::monitor::{OfAll, SeriesSpec};
use ktstr_model::{MonitorSpec, Nanos};
use ktstr_monitor::testkit::Fake;
use ktstr_monitor::{dump, Clock, Gva, Image, Kernel, Maps, Memory, Modules, Runqueues, Sampler, Scx, Tasks, Unwinder};
use ktstr_vmm::{CpuRegisters, Gpa, MemoryError};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock};

/// What one input may cost: reads of memory, and bytes that they give.
const READS_MAX: usize = 1 << 20;
const BYTES_MAX: usize = 1 << 28;

/// The kernel's memory, with words in place of what was there.
struct Changed {
    before: &'static Fake,
    words: Mutex<Vec<(u64, [u8; 8])>>,
    reads: AtomicUsize,
    bytes: AtomicUsize,
}

impl Memory for Changed {
    fn read(&self, at: Gpa, into: &mut [u8]) -> Result<(), MemoryError> {
        self.reads.fetch_add(1, Relaxed);
        self.bytes.fetch_add(into.len(), Relaxed);
        self.before.read(at, into)?;
        let end = at.0 + into.len() as u64;
        let words = self.words.lock().expect("is whole");
        for (start, word) in words.iter().filter(|(start, _)| *start < end && at.0 < start + 8) {
            // Bytes of the word that the read has, too.
            let (from, skipped) = (start.saturating_sub(at.0) as usize, at.0.saturating_sub(*start) as usize);
            let to = into.get_mut(from..).unwrap_or_default();
            to.iter_mut().zip(word.iter().skip(skipped)).for_each(|(to, from)| *to = *from);
        }
        Ok(())
    }

    fn overwrite(&self, at: Gpa, from: &[u8]) -> Result<(), MemoryError> {
        let mut word = [0; 8];
        self.read(at, &mut word)?;
        // Numbers of variables are no longer.
        word[..from.len()].copy_from_slice(from);
        self.words.lock().expect("is whole").push((at.0, word));
        Ok(())
    }

    fn ranges(&self) -> Vec<(Gpa, u64)> {
        self.before.ranges()
    }
}

impl Changed {
    fn new() -> Self {
        Self { before: &whole().1, words: Mutex::default(), reads: AtomicUsize::new(0), bytes: AtomicUsize::new(0) }
    }

    fn reset(&self) {
        self.words.lock().expect("is whole").clear();
        self.reads.store(0, Relaxed);
        self.bytes.store(0, Relaxed);
    }

    fn check(&self) {
        let (reads, bytes) = (self.reads.load(Relaxed), self.bytes.load(Relaxed));
        assert!(reads <= READS_MAX && bytes <= BYTES_MAX, "{reads} reads of {bytes} bytes");
    }

    /// Takes changes up to the end of one look: which place, how; which word; what. Gives whether that was the last one.
    fn change(&self, input: &mut Input<'_>) -> bool {
        let mut words = self.words.lock().expect("is whole");
        while !input.is_empty() {
            let (what, word) = (input.u8(), u64::from(input.u8()));
            let Some(place) = PLACES.get(usize::from(what >> 2)) else { return false };
            let mut pointer = || {
                let place = PLACES[usize::from(input.u8()) % PLACES.len()];
                direct(place + u64::from(input.u8()))
            };
            match what & 3 {
                0 => words.push((place + 8 * word, pointer().to_le_bytes())),
                1 => words.push((place + 8 * word, input.u64().to_le_bytes())),
                // Half of one.
                2 => {
                    let at = place + 4 * word;
                    let mut whole = [0; 8];
                    let _ = self.before.read(Gpa(at), &mut whole);
                    whole[..4].copy_from_slice(&input.u32().to_le_bytes());
                    words.push((at, whole));
                }
                // Where the value is beyond a hole, or is in the image.
                _ => words.push((place + 8 * word, pointer().wrapping_add(u64::from(input.u16()) << 16).to_le_bytes())),
            }
        }
        true
    }
}

fn whole() -> &'static (Arc<Image>, Fake) {
    static WHOLE: OnceLock<(Arc<Image>, Fake)> = OnceLock::new();
    WHOLE.get_or_init(kernel)
}

/// A kernel, and where everything is in it.
struct Opened {
    memory: Arc<Changed>,
    kernel: Kernel,
    tasks: Tasks,
    runqueues: Runqueues,
    scx: Scx,
    maps: Maps,
    clock: Clock,
    unwinder: Unwinder,
}

thread_local! {
    /// Opened before anything is changed: that takes longer than to walk through it.
    static OPENED: Opened = Opened::of(Arc::new(Changed::new())).expect("is a kernel");
}

/// What looks, and with which registers; then changes before each look.
///
/// # Panics
/// If a look costs more than it may, or says more than there can be.
pub fn walkers(input: &[u8]) {
    let mut input = Input(input);
    let what = input.u8();
    let [counter, rip, rsp, rbp] = match what & 0x80 {
        0 => [5010, 0xffff_ffff_8113_1004, direct(0xb018), direct(0xb040)],
        _ => [input.u64(), input.u64(), input.u64(), input.u64()],
    };
    let (privilege, counter) = (what >> 2 & 3, (what & 0x40 != 0).then_some(counter));
    let control =
        CpuRegisters { cpu: 0, rip, rsp, rbp, rflags: 0, cr0: 0, cr2: 0, cr3: 0, cr4: 0, privilege, halted: false };
    if what & 3 == 3 {
        return OPENED.with(|opened| {
            opened.memory.reset();
            opened.memory.change(&mut input);
            opened.walk(&control, counter);
            opened.memory.check();
        });
    }
    let memory = Arc::new(Changed::new());
    memory.change(&mut input);
    match what & 3 {
        0 => drop(dump(whole().0.clone(), memory.clone(), counter, &[control])),
        1 => Opened::of(memory.clone()).iter().for_each(|opened| opened.walk(&control, counter)),
        _ => samples(&memory, counter, input),
    }
    memory.check();
}

impl Opened {
    fn of(memory: Arc<Changed>) -> Option<Self> {
        let kernel = Kernel::open(whole().0.clone(), memory.clone()).ok()?;
        Some(Self {
            tasks: Tasks::of(&kernel).ok()?,
            runqueues: Runqueues::of(&kernel).ok()?,
            scx: Scx::of(&kernel).ok()??,
            maps: Maps::of(&kernel).ok()?,
            clock: Clock::of(&kernel).ok()?,
            unwinder: Unwinder::of(&kernel).ok()?,
            kernel,
            memory,
        })
    }

    /// Through everything.
    fn walk(&self, registers: &CpuRegisters, counter: Option<u64>) {
        let Self { kernel, tasks, runqueues, scx, maps, clock, unwinder, .. } = self;
        let _ = (clock.monotonic(kernel, counter), unwinder.cpu(kernel, registers));
        let all = tasks.all(kernel).map(|all| all.tasks).unwrap_or_default();
        for task in &all {
            let _ = (tasks.is_throttled(kernel, task), task.waiting(counter.unwrap_or_default()));
        }
        for at in TASKS.map(|at| Gva(direct(at))) {
            let _ = unwinder.task(kernel, at);
            let object = kernel.object("task_struct", at).expect("is a type");
            for path in ["comm", "scx.dsq->nr", "se.cfs_rq->throttle_count"] {
                let _ = object.field(path).map(|value| value.to_string());
            }
        }
        for cpu in 0..kernel.cpus() {
            let _ = runqueues.read(kernel, cpu);
            let local = runqueues.cpu_rq(cpu).and_then(|rq| scx.local_dsq(kernel, rq));
            let _ = local.and_then(|dsq| scx.tasks(kernel, &dsq, 1000));
        }
        let _ = scx.state(kernel);
        if let Ok(Some(root)) = scx.scx_root(kernel) {
            let _ = (scx.events(kernel, root), scx.exit_kind(kernel, root));
            for dsq in scx.dsqs(kernel, root).map(|(dsqs, _)| dsqs).unwrap_or_default() {
                let _ = scx.tasks(kernel, &dsq, 1000);
            }
        }
        if let Ok(modules) = Modules::of(kernel) {
            let _ = modules.around(kernel, Gva(registers.rip));
            if let Ok(module) = modules.find(kernel, "module") {
                let _ = (modules.symbol(kernel, &module, "wrk"), modules.types(kernel, &module));
            }
        }
        for map in maps.all(kernel).unwrap_or_default() {
            let _ = (maps.types(kernel, &map), maps.elements(kernel, &map), maps.element(kernel, &map, 1));
        }
    }
}

/// Samples and ops with changes between them.
fn samples(memory: &Arc<Changed>, counter: Option<u64>, mut input: Input<'_>) {
    let series = |map: &str, field: &str, key, of_all| SeriesSpec {
        name: "s".into(),
        map: map.into(),
        field: field.into(),
        key,
        of_all,
    };
    let series = vec![
        series("bss", "nr_queued", None, None),
        series("counts", "", Some(1), Some(OfAll::Sum)),
        series("counts", "", None, Some(OfAll::Max)),
        series("by_pid", "pair[1]", Some(11), None),
        series("by_pid", "pair[0]", None, Some(OfAll::Min)),
        series("per_cpu", "", None, Some(OfAll::Sum)),
    ];
    let ops: Vec<HostOp> =
        series.iter().flat_map(|series| both(&Variable::Map(series.clone()))).chain(of_kernel()).collect();
    let spec = MonitorSpec { tasks: Nanos(1), series, ..MonitorSpec::default() };
    let Ok(mut sampler) = Sampler::open(whole().0.clone(), memory.clone(), &spec) else { return };
    for _ in 0..3 {
        let Some((_, sample)) = sampler.sample(counter) else { return };
        assert!(sample.series.len() == 6 && sample.cpus.len() <= 1024, "{sample:?}");
        let _ = sampler.take_problems();
        for op in &ops {
            let Some(_) = sampler.carry_out(op) else { return };
        }
        if memory.change(&mut input) {
            return;
        }
    }
}

/// A variable is read and written.
fn both(variable: &Variable) -> [HostOp; 2] {
    [Access::Read { expect: None }, Access::Write(1)].map(|access| HostOp {
        step: 0,
        path: String::new(),
        variable: variable.clone(),
        access,
    })
}

fn of_kernel() -> impl Iterator<Item = HostOp> {
    let fields = [
        ("runqueues", "nr_running", "rq", 1),
        ("runqueues", "curr->scx.dsq->nr", "rq", 0),
        ("module:each", "nr_running", "rq", 1),
    ];
    fields.into_iter().flat_map(|(symbol, field, of_type, cpu)| {
        let (of_type, cpu) = (Some(of_type.to_owned()), Some(cpu));
        both(&Variable::Kernel(KernelVariable { symbol: symbol.into(), field: field.into(), of_type, cpu }))
    })
}
