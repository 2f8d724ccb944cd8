//! Is this host's KVM real? `/dev/kvm ──a loop in a machine of one page, timed──▶ ratio to the host ──▶ Kvm`.
//!
//! Where hardware virtualization is missing, `/dev/kvm` may still be there: software stands behind it that runs one instruction of a
//! plain machine in the time of hundreds, and no kernel gets far. Neither the device nor the names of modules tell; time does. So a
//! machine with one CPU counts down in real mode, which such software has to emulate, and the same loop runs on the host. Only their
//! ratio is looked at, and the best of some short rounds: a busy host makes both slower, and none of them faster.
//!
//! This file has no dependencies but the standard library: a repository rule compiles it alone, to choose a platform for the host.
#![allow(unsafe_code)]

use std::ffi::{c_int, c_ulong, c_void};
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::fd::{AsRawFd, FromRawFd};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// The device.
pub const DEVICE: &str = "/dev/kvm";
/// The only version of the interface (Documentation/virt/kvm/api.rst, `KVM_GET_API_VERSION`).
pub(super) const API_VERSION: c_int = 12;
/// Times the host's time, from which on it is software. Hardware gives 1 to 3, also below an emulator; kvm_pvm some 4000.
const SOFTWARE_FROM: f64 = 30.0;
/// What a measurement may take: a few milliseconds on hardware, a quarter of a second on software.
const PATIENCE: Duration = Duration::from_secs(10);
/// Iterations of a round, the second if the first was soon over.
const SHORT: u64 = 20_000;
const LONG: u64 = 1_000_000;
const SOON: Duration = Duration::from_millis(2);
const ROUNDS: usize = 5;

/// What `/dev/kvm` is worth.
#[derive(Debug, Clone, PartialEq)]
pub enum Kvm {
    /// Hardware runs the guest, in `ratio` times the host's time.
    Genuine {
        /// Guest's time to host's.
        ratio: f64,
    },
    /// Software does.
    Software {
        /// Guest's time to host's.
        ratio: f64,
    },
    /// There is no device.
    Absent,
    /// This process may not open it.
    Denied,
    /// It has another version of the interface.
    Version(i32),
    /// It is there, and does not work.
    Broken {
        /// What was tried.
        doing: &'static str,
        /// How that went.
        problem: String,
    },
}

/// What stands behind the device, by the looks of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunsIt {
    /// Modules of the kernel that have to do with it.
    pub modules: Vec<String>,
    /// Those of the CPU's flags `vmx` and `svm` that are there.
    pub flags: Vec<&'static str>,
}

/// The whole answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// What counts.
    pub kvm: Kvm,
    /// What may explain it.
    pub runs_it: RunsIt,
}

impl Answer {
    /// Whether kernels can run on it.
    pub fn is_genuine(&self) -> bool {
        matches!(self.kvm, Kvm::Genuine { .. })
    }
}

impl Kvm {
    /// In one word.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Genuine { .. } => "genuine",
            Self::Software { .. } => "software",
            Self::Absent => "absent",
            Self::Denied => "denied",
            Self::Version(_) | Self::Broken { .. } => "broken",
        }
    }

    /// Guest's time to host's, if it came to that.
    pub fn ratio(&self) -> Option<f64> {
        match self {
            Self::Genuine { ratio } | Self::Software { ratio } => Some(*ratio),
            _ => None,
        }
    }
}

impl fmt::Display for Answer {
    /// One line, with what to do if it is not genuine.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kvm, runs_it } = self;
        let behind = runs_it.modules.join(", ");
        match kvm {
            Kvm::Genuine { ratio } => write!(f, "{DEVICE} is genuine ({behind}), {ratio:.1} times the host's time"),
            Kvm::Software { ratio } => {
                write!(f, "{DEVICE} is software virtualization ({behind}), {ratio:.0} times slower than the host")
            }
            Kvm::Absent if runs_it.flags.is_empty() => {
                let todo = "in a virtual machine, have nested virtualization switched on; otherwise in the firmware";
                write!(f, "there is no {DEVICE}, and the CPU shows neither vmx nor svm; {todo}")
            }
            Kvm::Absent => {
                let module = if runs_it.flags.contains(&"svm") { "kvm_amd" } else { "kvm_intel" };
                let todo = format!("load the module {module}, or have the container or sandbox let the device through");
                write!(f, "there is no {DEVICE}, though the CPU has {}; {todo}", runs_it.flags.join(", "))
            }
            Kvm::Denied => {
                write!(
                    f,
                    "this process may not open {DEVICE}; add its user to the device's group, which is usually kvm"
                )
            }
            Kvm::Version(version) => {
                write!(f, "{DEVICE} ({behind}) has version {version} of the interface; {API_VERSION} would do, any Linux since 2.6.22")
            }
            Kvm::Broken { doing, problem } => {
                write!(f, "{DEVICE} ({behind}) does not work: cannot {doing}: {problem}; the kernel's log may say why")
            }
        }
    }
}

/// Looks at this host. Takes up to a quarter of a second, and never more than ten.
pub fn look() -> Answer {
    let (tell, told) = mpsc::channel();
    // A guest that does not end keeps its thread; this process goes on, and takes the thread along when it ends.
    let measured = match std::thread::Builder::new().spawn(move || tell.send(measure())) {
        Ok(_) => told.recv_timeout(PATIENCE).unwrap_or_else(|_| {
            Err(Kvm::Broken { doing: "end a loop of a guest", problem: format!("not within {PATIENCE:?}") })
        }),
        Err(error) => Err(Kvm::Broken { doing: "start a thread for a guest", problem: error.to_string() }),
    };
    Answer { kvm: decide(measured), runs_it: RunsIt::of_this_host() }
}

/// The verdict, from the ratio or from what came before there was one.
fn decide(measured: Result<f64, Kvm>) -> Kvm {
    match measured {
        Ok(ratio) if ratio < SOFTWARE_FROM => Kvm::Genuine { ratio },
        Ok(ratio) => Kvm::Software { ratio },
        Err(problem) => problem,
    }
}

/// What an error of opening the device means.
fn not_opened(error: &io::Error) -> Kvm {
    // What stands behind a device that has no driver.
    const ENODEV: i32 = 19;
    const ENXIO: i32 = 6;
    match (error.kind(), error.raw_os_error()) {
        (ErrorKind::NotFound, _) | (_, Some(ENODEV | ENXIO)) => Kvm::Absent,
        (ErrorKind::PermissionDenied, _) => Kvm::Denied,
        _ => Kvm::Broken { doing: "open it", problem: error.to_string() },
    }
}

impl RunsIt {
    fn of_this_host() -> Self {
        let names = fs::read_dir("/sys/module").into_iter().flatten().flatten();
        let names = names.map(|entry| entry.file_name().to_string_lossy().into_owned());
        Self::from(names, &fs::read_to_string("/proc/cpuinfo").unwrap_or_default())
    }

    fn from(modules: impl Iterator<Item = String>, cpu_info: &str) -> Self {
        let mut modules: Vec<String> = modules.filter(|name| name == "kvm" || name.starts_with("kvm_")).collect();
        modules.sort();
        if modules.len() > 1 {
            // What all of them share says nothing.
            modules.retain(|name| name != "kvm");
        }
        if modules.is_empty() {
            modules.push("no module of that name".into());
        }
        let flags = cpu_info.lines().find(|line| line.starts_with("flags")).unwrap_or_default();
        let flags = ["vmx", "svm"].into_iter().filter(|flag| flags.split_whitespace().any(|word| word == *flag));
        Self { modules, flags: flags.collect() }
    }
}

/// Guest's time to host's for one iteration.
fn measure() -> Result<f64, Kvm> {
    let mut guest = Guest::new()?;
    let mut best = |iterations: u64, rounds: usize| -> Result<Duration, Kvm> {
        (0..rounds).try_fold(Duration::MAX, |best, _| guest.run(iterations).map(|time| best.min(time)))
    };
    // What the way into the guest and out of it costs is no part of it.
    let entry = best(1, ROUNDS)?;
    let (iterations, rounds) = if best(SHORT, 1)? < SOON { (LONG, ROUNDS) } else { (SHORT, ROUNDS) };
    let guest = best(iterations, rounds)?.saturating_sub(entry);
    let host = (0..ROUNDS).map(|_| host(LONG)).min().unwrap_or_default();
    Ok(guest.as_secs_f64() / iterations as f64 * LONG as f64 / host.as_secs_f64().max(1e-9))
}

/// The time of the same loop on the host.
fn host(iterations: u64) -> Duration {
    let since = Instant::now();
    // SAFETY: it counts a register of its own down to zero, and touches no memory.
    unsafe { std::arch::asm!("2:", "dec {0}", "jnz 2b", inout(reg) iterations => _, options(nomem, nostack)) };
    since.elapsed()
}

const PAGE: usize = 4096;
/// Where the guest's page is.
const GUEST_PAGE: u64 = 0x1000;
/// `dec ecx; jnz` back to it`; hlt`, in real mode.
const LOOP: [u8; 5] = [0x66, 0x49, 0x75, 0xfc, 0xf4];

// include/uapi/linux/kvm.h, x86-64.
const KVM_GET_API_VERSION: c_ulong = 0xae00;
const KVM_CREATE_VM: c_ulong = 0xae01;
const KVM_GET_VCPU_MMAP_SIZE: c_ulong = 0xae04;
const KVM_CREATE_VCPU: c_ulong = 0xae41;
const KVM_SET_USER_MEMORY_REGION: c_ulong = 0x4020_ae46;
const KVM_RUN: c_ulong = 0xae80;
const KVM_SET_REGS: c_ulong = 0x4090_ae82;
const KVM_GET_SREGS: c_ulong = 0x8138_ae83;
const KVM_SET_SREGS: c_ulong = 0x4138_ae84;
const KVM_EXIT_HLT: u32 = 5;
/// Offset of `exit_reason` in `struct kvm_run`.
const EXIT_REASON: usize = 8;
/// `struct kvm_regs` and `struct kvm_sregs` in words of 64 bits.
type Regs = [u64; 18];
type Sregs = [u64; 39];
const RCX: usize = 2;
const RIP: usize = 16;
const RFLAGS: usize = 17;

const PROT_READ_WRITE: c_int = 3;
const MAP_SHARED: c_int = 1;
const MAP_PRIVATE_ANONYMOUS: c_int = 0x22;

extern "C" {
    fn ioctl(fd: c_int, request: c_ulong, ...) -> c_int;
    fn mmap(
        address: *mut c_void,
        length: usize,
        protection: c_int,
        flags: c_int,
        fd: c_int,
        offset: i64,
    ) -> *mut c_void;
    fn munmap(address: *mut c_void, length: usize) -> c_int;
}

/// A machine of one CPU and one page. Fields are dropped in their order: the page goes last.
struct Guest {
    cpu: File,
    run: Mapping,
    _vm: File,
    _page: Mapping,
}

impl Guest {
    fn new() -> Result<Self, Kvm> {
        let kvm = OpenOptions::new().read(true).write(true).open(DEVICE).map_err(|error| not_opened(&error))?;
        match call(&kvm, "ask for its version", KVM_GET_API_VERSION, 0)? {
            API_VERSION => {}
            other => return Err(Kvm::Version(other)),
        }
        let page = Mapping::new("get a page for a guest", PAGE, MAP_PRIVATE_ANONYMOUS, -1)?;
        // SAFETY: the page is longer than the loop, and nothing else knows it yet.
        unsafe { std::ptr::copy_nonoverlapping(LOOP.as_ptr(), page.start.cast(), LOOP.len()) };
        let vm = file(call(&kvm, "make a machine", KVM_CREATE_VM, 0)?);
        // slot and flags, guest-physical address, size, address here.
        let region: [u64; 4] = [0, GUEST_PAGE, PAGE as u64, page.start as u64];
        call(&vm, "give a machine memory", KVM_SET_USER_MEMORY_REGION, region.as_ptr() as c_ulong)?;
        let cpu = file(call(&vm, "make a CPU", KVM_CREATE_VCPU, 0)?);
        let length = call(&kvm, "ask for the size of a CPU's page", KVM_GET_VCPU_MMAP_SIZE, 0)?;
        let length = usize::try_from(length).unwrap_or_default().max(PAGE);
        let run = Mapping::new("map a CPU's page", length, MAP_SHARED, cpu.as_raw_fd())?;
        let mut sregs: Sregs = [0; 39];
        call(&cpu, "read a CPU's registers", KVM_GET_SREGS, sregs.as_mut_ptr() as c_ulong)?;
        // The code segment comes first: base, limit, selector. It begins at the reset vector, and is to begin at 0.
        sregs[0] = 0;
        sregs[1] &= !(0xffff << 32);
        call(&cpu, "write a CPU's registers", KVM_SET_SREGS, sregs.as_ptr() as c_ulong)?;
        Ok(Self { cpu, run, _vm: vm, _page: page })
    }

    /// How long it takes for so many iterations.
    fn run(&mut self, iterations: u64) -> Result<Duration, Kvm> {
        let mut regs: Regs = [0; 18];
        (regs[RCX], regs[RIP], regs[RFLAGS]) = (iterations, GUEST_PAGE, 2);
        call(&self.cpu, "write a CPU's registers", KVM_SET_REGS, regs.as_ptr() as c_ulong)?;
        let since = Instant::now();
        // Signals are other threads' affair, but a debugger's or a stopped process's call comes back, too.
        while let Err(error) = raw_call(&self.cpu, KVM_RUN, 0) {
            if error.kind() != ErrorKind::Interrupted {
                return Err(Kvm::Broken { doing: "run a guest", problem: error.to_string() });
            }
        }
        let time = since.elapsed();
        // SAFETY: the mapping is at least a page, the kernel writes the word before KVM_RUN returns.
        let exit = unsafe { self.run.start.cast::<u8>().add(EXIT_REASON).cast::<u32>().read_volatile() };
        match exit {
            KVM_EXIT_HLT => Ok(time),
            other => Err(Kvm::Broken { doing: "run a guest", problem: format!("it left with the reason {other}") }),
        }
    }
}

fn call(file: &File, doing: &'static str, request: c_ulong, argument: c_ulong) -> Result<c_int, Kvm> {
    raw_call(file, request, argument).map_err(|error| Kvm::Broken { doing, problem: error.to_string() })
}

fn raw_call(file: &File, request: c_ulong, argument: c_ulong) -> io::Result<c_int> {
    // SAFETY: only called from here, with an argument that is a number, or the address of what the request reads or writes.
    match unsafe { ioctl(file.as_raw_fd(), request, argument) } {
        -1 => Err(io::Error::last_os_error()),
        result => Ok(result),
    }
}

/// A descriptor that KVM has just made.
fn file(fd: c_int) -> File {
    // SAFETY: it is new, and nobody else has it.
    unsafe { File::from_raw_fd(fd) }
}

/// Memory that goes with the value.
struct Mapping {
    start: *mut c_void,
    length: usize,
}

impl Mapping {
    fn new(doing: &'static str, length: usize, flags: c_int, fd: c_int) -> Result<Self, Kvm> {
        // SAFETY: a new mapping, at an address of the kernel's choice.
        let start = unsafe { mmap(std::ptr::null_mut(), length, PROT_READ_WRITE, flags, fd, 0) };
        if start as isize == -1 {
            return Err(Kvm::Broken { doing, problem: io::Error::last_os_error().to_string() });
        }
        Ok(Self { start, length })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: it was mapped just so, and nothing refers to it any more.
        unsafe { munmap(self.start, self.length) };
    }
}

#[cfg(test)]
mod tests;
