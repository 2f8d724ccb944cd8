//! The emulator's command line: a pure function of the machine.

use super::files;
use crate::memory_map::{node_bytes, WINDOW_BYTES_MAX};
use crate::MachineSpec;
use ktstr_model::{Clock, Topology};
use std::ffi::{OsStr, OsString};
use std::os::fd::RawFd;
use std::path::Path;

/// What the emulator finds already open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Inherited {
    /// Its end of the control socket.
    pub(super) control: RawFd,
    /// A file for the RAM of each node.
    pub(super) ram: Vec<RawFd>,
    /// The window's file and its size.
    pub(super) window: Option<(RawFd, u64)>,
}

/// Where a machine's first state comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin<'a> {
    /// A kernel, at its entry.
    Boot(Boot<'a>),
    /// The same, on a machine that the guest can stop for a save.
    Save(Boot<'a>),
    /// A save, whose RAM files are only read. What is loaded as a kernel is never run: the saved machine has had one, and the
    /// emulator wants the same parts to be there.
    Saved { stub: RawFd },
    /// A save, on a machine that the guest can stop for another save: its RAM files are those of the new one.
    SavedToSave { stub: RawFd },
}

/// What is booted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Boot<'a> {
    pub(super) kernel: &'a Path,
    pub(super) initramfs: Option<&'a Path>,
    pub(super) command_line: &'a str,
}

/// The CPU model: its dies are last-level caches on QEMU 10 and 11. Newer ones abort with dies, `max` puts L3 elsewhere.
const CPU_MODEL: &str = "SapphireRapids";
/// All that the emulator can do, by AMD's vendor, which Linux wants to see for SVM. Its L3 is not the die's. Family and model
/// are those of Zen 2: with the older ones of `max`, Linux takes a whole package for an LLC, in the guests of this guest, too.
const CPU_MODEL_WITH_SVM: &str = "max,+svm,family=23,model=49,stepping=0";
/// From this APIC id on CPUs need interrupt remapping to be reached (Intel SDM vol. 3A, 11.12: x2APIC ids of 32 bits).
const X2APIC_FROM: u32 = 255;
/// One instruction is 2^3 ns: guest time passes at 125 million instructions a second.
const ICOUNT_SHIFT: u32 = 3;
const MIB: u64 = 1 << 20;

/// All arguments of a machine that starts stopped.
pub(super) fn arguments(spec: &MachineSpec, origin: Origin<'_>, inherited: &Inherited) -> Vec<OsString> {
    let topology = &spec.topology;
    let mut line = Line::default();
    line.words(&["-nodefaults", "-no-user-config", "-display none", "-no-reboot", "-S"]);
    control(&mut line, inherited.control);
    console(&mut line);
    line.pair("-d", "cpu_reset").pair("-D", files::RESETS);
    machine(&mut line, spec, inherited.window.is_some());
    // The guest's writes to the files of a save stay with the machine; other files are the guest's memory.
    let sharing = if matches!(origin, Origin::Saved { .. }) { "share=off,readonly=on,rom=off" } else { "share=on" };
    memory(&mut line, topology, &inherited.ram, sharing);
    nodes(&mut line, topology);
    if let Some((file, bytes)) = inherited.window {
        line.pair(
            "-object",
            format!("memory-backend-file,id=window,size={bytes},mem-path=/proc/self/fd/{file},share=on"),
        );
        line.pair("-device", "nvdimm,memdev=window,id=nvdimm-window");
    }
    time(&mut line, spec.clock);
    if spec.clock == Clock::Virtual {
        // The gate knows threads by their names.
        line.pair("-seed", spec.seed.to_string()).pair("-name", "debug-threads=on");
    }
    match origin {
        Origin::Boot(boot) => kernel(&mut line, boot),
        Origin::Save(boot) => {
            stop_for_a_save(&mut line);
            kernel(&mut line, boot);
        }
        Origin::Saved { stub } => incoming(&mut line, stub),
        Origin::SavedToSave { stub } => {
            stop_for_a_save(&mut line);
            incoming(&mut line, stub);
        }
    }
    line.0
}

/// The options that a machine has in common with those that can start from its save, in the order of the command line.
pub(super) fn identity(spec: &MachineSpec, window: bool) -> Vec<String> {
    let mut line = Line::default();
    machine(&mut line, spec, window);
    memory(&mut line, &spec.topology, &[], "");
    nodes(&mut line, &spec.topology);
    time(&mut line, spec.clock);
    let words: Vec<String> = line.0.into_iter().map(|word| word.to_string_lossy().into_owned()).collect();
    words.chunks(2).map(|pair| pair.join(" ")).collect()
}

fn kernel(line: &mut Line, boot: Boot<'_>) {
    line.pair("-kernel", boot.kernel);
    if let Some(initramfs) = boot.initramfs {
        line.pair("-initrd", initramfs);
    }
    line.pair("-append", boot.command_line);
}

fn incoming(line: &mut Line, stub: RawFd) {
    line.pair("-incoming", "defer");
    line.pair("-kernel", format!("/proc/self/fd/{stub}"));
}

/// A device by which the guest stops the machine. It has no state of its own, so the machines that start from the save do without
/// it: a guest that writes there again goes on, and a kernel that tells it of a panic is not stopped before its reset.
fn stop_for_a_save(line: &mut Line) {
    let (port, value) = (ktstr_channel::ports::SAVE_PORT, ktstr_channel::ports::SAVE_VALUE);
    line.pair("-device", format!("pvpanic,ioport={port:#x},events={value}"));
    line.pair("-action", "panic=pause");
}

fn control(line: &mut Line, socket: RawFd) {
    line.pair("-chardev", format!("socket,id=control,fd={socket},server=off"));
    line.pair("-mon", "chardev=control,mode=control");
}

fn console(line: &mut Line) {
    line.pair("-chardev", format!("file,id=console,path={}", files::CONSOLE));
    line.pair("-serial", "chardev:console");
    line.pair("-device", format!("isa-debug-exit,iobase={:#x},iosize=4", ktstr_channel::ports::EXIT_PORT));
}

fn machine(line: &mut Line, spec: &MachineSpec, window: bool) {
    let topology = &spec.topology;
    let memory = if topology.numa_nodes() == 1 { ",memory-backend=ram0" } else { "" };
    let window = if window { ",nvdimm=on" } else { "" };
    line.pair("-M", format!("q35,smm=off,sata=off,smbus=off,i8042=off,vmport=off{memory}{window}"));
    line.pair("-cpu", if spec.virtualization { CPU_MODEL_WITH_SVM } else { CPU_MODEL });
    let (sockets, dies) = (topology.numa_nodes(), topology.llcs_per_node());
    let (cores, threads) = (topology.cores_per_llc(), topology.threads_per_core());
    line.pair("-smp", format!("{},sockets={sockets},dies={dies},cores={cores},threads={threads}", topology.cpus()));
    if topology.largest_apic_id() >= X2APIC_FROM {
        line.pair("-device", "intel-iommu,intremap=on,eim=on");
    }
}

fn memory(line: &mut Line, topology: &Topology, files: &[RawFd], sharing: &str) {
    let ram = topology.memory().0;
    line.pair("-m", format!("{ram}M,slots=1,maxmem={}M", ram + WINDOW_BYTES_MAX / MIB));
    for (node, (bytes, file)) in node_bytes(topology).into_iter().zip(files).enumerate() {
        let path = format!("/proc/self/fd/{file}");
        line.pair("-object", format!("memory-backend-file,id=ram{node},size={bytes},mem-path={path},{sharing}"));
    }
}

/// A machine with one node has no NUMA tables, as a small real one.
fn nodes(line: &mut Line, topology: &Topology) {
    let count = topology.numa_nodes();
    if count == 1 {
        return;
    }
    for node in 0..count {
        line.pair("-numa", format!("node,nodeid={node},memdev=ram{node}"));
    }
    for node in 0..count {
        line.pair("-numa", format!("cpu,node-id={node},socket-id={node}"));
    }
    for (from, row) in topology.distances().unwrap_or_default().iter().enumerate() {
        for (to, distance) in row.iter().enumerate().filter(|(to, _)| *to != from) {
            line.pair("-numa", format!("dist,src={from},dst={to},val={distance}"));
        }
    }
}

fn time(line: &mut Line, clock: Clock) {
    match clock {
        Clock::Real => line.pair("-accel", "tcg,thread=multi"),
        Clock::Virtual => line
            .pair("-accel", "tcg,thread=single")
            .pair("-icount", format!("shift={ICOUNT_SHIFT},sleep=off"))
            .pair("-rtc", "base=2026-01-01T00:00:00,clock=vm"),
    };
}

/// A command line that grows.
#[derive(Debug, Default)]
struct Line(Vec<OsString>);

impl Line {
    /// Adds options without values that need quoting; each text is split at its spaces.
    fn words(&mut self, texts: &[&str]) {
        self.0.extend(texts.iter().flat_map(|text| text.split(' ')).map(OsString::from));
    }

    fn pair(&mut self, option: &str, value: impl AsRef<OsStr>) -> &mut Self {
        self.0.extend([OsString::from(option), value.as_ref().to_owned()]);
        self
    }
}

#[cfg(test)]
mod tests;
