//! From the start of a scheduler to its end.

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use libbpf_rs::{MapCore, MapFlags, Object};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::low_level;

use crate::args::{Args, UserFault};
use crate::exit::ExitRecord;
use crate::object::{map, Kind};
use crate::Problem;

/// How often the counters of the BPF programs are read.
const LOOK: Duration = Duration::from_millis(50);

/// The keys of the map of counters: `enum counter` in `bpf/common.bpf.h`.
const DISPATCHES: u32 = 0;
const EXITED: u32 = 1;

/// Runs the scheduler, again when the kernel asks for it, until it is told to stop or fails.
pub(crate) fn run(args: &Args) -> Result<ExitCode, Problem> {
    let kind = Kind::of(args);
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&stop))?;
    }
    while start(&kind, args, &stop)?.wants_restart() {
        println!("{}: the kernel asks for a restart", kind.name);
    }
    Ok(ExitCode::SUCCESS)
}

fn start(kind: &Kind, args: &Args, stop: &AtomicBool) -> Result<ExitRecord, Problem> {
    let name = kind.name;
    println!("{name}: loading");
    if args.user_fault(UserFault::PanicLoad).is_some() {
        panic!("on purpose, before {name} is loaded");
    }
    let mut object = kind.load(args)?;
    println!("{name}: loaded");
    if args.user_fault(UserFault::Hang).is_some() {
        while !stop.load(Ordering::Relaxed) {
            thread::sleep(LOOK);
        }
        // Ends as a program that knows nothing of signals.
        low_level::emulate_default_handler(SIGTERM)?;
    }
    let busy = args.user_fault(UserFault::Busy).map(Busy::with_sleepers);
    let link = map(&mut object, name)?.attach_struct_ops().map_err(|e| format!("{name}: could not attach: {e:#}"))?;
    drop(busy);
    println!("{name}: attached");
    if args.user_fault(UserFault::ErrorLine).is_some() {
        eprintln!("[ERROR] {name}: on purpose: could not read a statistic; going on without it");
    }
    watch(&mut object, args, stop)?;
    // Detaches, and comes back when the kernel has taken the scheduler out.
    drop(link);
    let value = map(&mut object, "ktstr_exit")?.lookup(&0_u32.to_ne_bytes(), MapFlags::ANY)?;
    let record = ExitRecord::parse(&value.unwrap_or_default())?;
    record.report()?;
    Ok(record)
}

/// Threads that sleep, and threads that spin, two for each CPU, until it is dropped. The kernel makes sched_ext tasks of a process's
/// threads in the order of their start: first of the one that attaches, last of those that spin, which until then come before it.
struct Busy(Arc<AtomicBool>);

impl Busy {
    fn with_sleepers(sleepers: u64) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        for _ in 0..sleepers {
            let stop = Arc::clone(&stop);
            thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    thread::park();
                }
            });
        }
        for _ in 0..2 * thread::available_parallelism().map_or(1, usize::from) {
            let stop = Arc::clone(&stop);
            thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        Self(stop)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Waits until somebody or the kernel ends the scheduler, or a fault of the loader does.
fn watch(object: &mut Object, args: &Args, stop: &AtomicBool) -> Result<(), Problem> {
    let (panics, exits) = (args.user_fault(UserFault::PanicRun), args.user_fault(UserFault::Exit));
    while !stop.load(Ordering::Relaxed) && counter(object, EXITED)? == 0 {
        let dispatched = counter(object, DISPATCHES)?;
        if panics.is_some_and(|after| dispatched >= after) {
            panic!("on purpose, after {dispatched} dispatches");
        }
        if exits.is_some_and(|after| dispatched >= after) {
            println!("stops on purpose, after {dispatched} dispatches");
            break;
        }
        thread::sleep(LOOK);
    }
    Ok(())
}

fn counter(object: &mut Object, which: u32) -> Result<u64, Problem> {
    let value = map(object, "ktstr_counters")?.lookup(&which.to_ne_bytes(), MapFlags::ANY)?;
    let value = value.ok_or("the map of counters lacks one")?;
    Ok(u64::from_ne_bytes(value.as_slice().try_into()?))
}
