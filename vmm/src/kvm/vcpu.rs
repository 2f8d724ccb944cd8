//! A CPU of the machine as a thread of this process, which runs the guest for as long as it may.

use super::control::{Control, Ending, Go};
use super::devices::{Devices, Effect};
use super::memory::Vm;
use crate::HostTime;
use kvm_ioctls::{VcpuExit, VcpuFd};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, Once, OnceLock, PoisonError};
use std::thread::JoinHandle;
use vmm_sys_util::signal::{register_signal_handler, Killable, SIGRTMIN};

/// What the threads of a machine share.
pub(super) struct Shared {
    pub(super) control: Control,
    pub(super) devices: Devices,
    /// Held by each thread, so that the guest's memory is there while its CPUs run.
    pub(super) vm: Vm,
}

/// A CPU and its thread.
pub(super) struct Vcpu {
    /// Held by the thread while the CPU runs, free while it stands.
    fd: Arc<Mutex<VcpuFd>>,
    thread: Option<JoinHandle<()>>,
    times: Arc<Times>,
}

/// Host time of a thread, which is gone from `/proc` when the thread is.
#[derive(Debug, Default)]
struct Times {
    thread: OnceLock<rustix::thread::Pid>,
    last: OnceLock<HostTime>,
}

impl Vcpu {
    /// Starts the thread of CPU `number`, `on` a CPU of the host that it stays on; it waits for the machine to be resumed.
    pub(super) fn start(number: u32, fd: VcpuFd, on: Option<usize>, shared: &Arc<Shared>) -> io::Result<Self> {
        accept_kicks();
        let (fd, times) = (Arc::new(Mutex::new(fd)), Arc::new(Times::default()));
        let runner = Runner { number, on, fd: fd.clone(), shared: shared.clone(), times: times.clone() };
        let thread = std::thread::Builder::new().name(format!("CPU {number}/KVM")).spawn(move || runner.run())?;
        Ok(Self { fd, thread: Some(thread), times })
    }

    /// The CPU, which has to stand: otherwise this waits until it does.
    pub(super) fn fd(&self) -> MutexGuard<'_, VcpuFd> {
        self.fd.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls the CPU out of the guest.
    pub(super) fn kick(&self) {
        if let Some(thread) = &self.thread {
            // A thread that has ended needs no call.
            let _ = thread.kill(SIGRTMIN());
        }
    }

    /// Waits for the end of the thread, which was told to end.
    pub(super) fn join(&mut self) {
        if let Some(thread) = self.thread.take() {
            // If it panicked, the machine's ending says so.
            let _ = thread.join();
        }
    }

    /// What the host gave it so far.
    pub(super) fn host_time(&self) -> HostTime {
        let Some(thread) = self.times.thread.get() else { return HostTime::default() };
        // In this order: a thread leaves its times before it goes.
        HostTime::of_thread("self", *thread).or_else(|| self.times.last.get().copied()).unwrap_or_default()
    }
}

/// Installs a handler that does nothing: the signal's arrival is what ends `KVM_RUN`.
fn accept_kicks() {
    static ONCE: Once = Once::new();
    extern "C" fn ignore(_: libc::c_int, _: *mut libc::siginfo_t, _: *mut libc::c_void) {}
    ONCE.call_once(|| {
        if let Err(error) = register_signal_handler(SIGRTMIN(), ignore) {
            tracing::error!(%error, "no handler for the signal that stops virtual CPUs");
        }
    });
}

/// What a CPU's thread works with.
struct Runner {
    number: u32,
    on: Option<usize>,
    fd: Arc<Mutex<VcpuFd>>,
    shared: Arc<Shared>,
    times: Arc<Times>,
}

impl Drop for Runner {
    fn drop(&mut self) {
        let _ = self.times.last.set(HostTime::of_thread("self", rustix::thread::gettid()).unwrap_or_default());
        if std::thread::panicking() {
            self.shared.control.lost(Ending::Failed(format!("the thread of CPU {} panicked", self.number)));
        }
    }
}

impl Runner {
    fn run(self) {
        if let Some(Err(error)) = self.on.map(super::pin::stay_on) {
            let problem = format!("CPU {} cannot be kept on one of the host: {error}", self.number);
            self.shared.control.end(Ending::Failed(problem));
        }
        let _ = self.times.thread.set(rustix::thread::gettid());
        while self.shared.control.pass() == Go::Run {
            let mut fd = self.fd.lock().unwrap_or_else(PoisonError::into_inner);
            while !self.shared.control.calls() {
                self.enter(&mut fd);
            }
            // An access that the guest has made is finished before anyone looks at the CPU: this does not go back to the guest.
            fd.set_kvm_immediate_exit(1);
            let _ = fd.run();
            fd.set_kvm_immediate_exit(0);
        }
    }

    /// Runs the guest until it wants something.
    fn enter(&self, fd: &mut VcpuFd) {
        let Shared { control, devices, .. } = self.shared.as_ref();
        let effect = match fd.run() {
            Ok(exit) => self.answer(devices, exit),
            // A call, or a CPU that has just been woken by another one.
            Err(error) if matches!(error.errno(), libc::EINTR | libc::EAGAIN) => Effect::None,
            Err(error) => self.failed(format!("{}", io::Error::from(error))),
        };
        match effect {
            Effect::None => {}
            Effect::Save => control.stand_at_save(),
            Effect::End(ending) => control.end(ending),
        }
    }

    fn answer(&self, devices: &Devices, exit: VcpuExit<'_>) -> Effect {
        match exit {
            VcpuExit::IoOut(port, data) => return devices.write(port, data),
            VcpuExit::IoIn(port, data) => devices.read(port, data),
            // There is nothing behind addresses without memory.
            VcpuExit::MmioRead(_, data) => data.fill(0xff),
            VcpuExit::MmioWrite(..) | VcpuExit::Intr | VcpuExit::Hlt | VcpuExit::IoapicEoi(_) => {}
            VcpuExit::Shutdown => return Effect::End(Ending::TripleFault),
            VcpuExit::FailEntry(reason, cpu) => {
                return self.failed(format!(
                    "the hardware refused to enter the guest, reason {reason:#x}, on CPU {cpu} of the host"
                ))
            }
            other => return self.failed(format!("{other:?}")),
        }
        Effect::None
    }

    fn failed(&self, problem: String) -> Effect {
        Effect::End(Ending::Failed(format!("KVM cannot run CPU {}: {problem}", self.number)))
    }
}
