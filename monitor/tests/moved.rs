//! Kernels that KASLR moves, found while they boot: the same seed moves them alike, another one elsewhere.
//!
//! `KTSTR_MOVED` has a line for each: the kernel's ELF file, and the bzImage that it is from, with a blank between them. Only its
//! decompressor moves a kernel. `KTSTR_EMULATOR` is an installed emulator.

use ktstr_model::{Clock, MonitorSpec, Nanos, Placement, Topology};
use ktstr_monitor::{Image, Kernel, Sampler};
use ktstr_vmm::{command_line, Emulator, MachineBackend, MachineSpec, Start, TcgBackend, KASLR};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

const INTERVAL: Nanos = Nanos(20_000_000);

#[test]
#[ignore = "wants kernels, named by KTSTR_MOVED, and an emulator, named by KTSTR_EMULATOR"]
fn a_kernel_is_found_wherever_it_was_moved_to() {
    let kernels = std::env::var("KTSTR_MOVED").expect("KTSTR_MOVED names kernels");
    let emulator = Emulator::installed(Path::new(&std::env::var("KTSTR_EMULATOR").expect("KTSTR_EMULATOR")));
    let backend = TcgBackend::new(emulator);
    assert!(!kernels.trim().is_empty(), "KTSTR_MOVED names no kernels");
    for line in kernels.lines() {
        let (elf, compressed) = line.split_once(' ').expect("two files");
        let image = Arc::new(Image::open(Path::new(elf)).expect("has symbols and types"));
        let slides = [1, 1, 2].map(|seed| slide(&backend, &image, Path::new(compressed), seed));
        println!("{elf}: {slides:x?}");
        assert_eq!(slides[0], slides[1], "the same seed");
        assert!(slides[0] != slides[2] && slides.iter().all(|slide| *slide != 0), "{slides:x?}");
    }
}

/// How far the kernel of a machine with this seed was moved.
fn slide(backend: &TcgBackend, image: &Arc<Image>, compressed: &Path, seed: u64) -> u64 {
    let directory = tempfile::tempdir().expect("a directory");
    let spec = MachineSpec {
        start: Start::Boot,
        topology: Topology::new(1, 1, 2, 1).expect("can be"),
        clock: Clock::Virtual,
        virtualization: false,
        placement: Placement::default(),
        seed,
        instants: Some(INTERVAL),
        kernel: compressed.to_owned(),
        initramfs: None,
        command_line: command_line(None, &[KASLR.into()]),
        window: None,
        directory: directory.path().to_owned(),
    };
    let mut machine = backend.start(&spec).expect("starts");
    let memory = Arc::new(machine.memory().clone());
    let mut instants = machine.instants().expect("has instants");
    loop {
        let instant = instants.next(Duration::from_secs(60)).expect("goes on").expect("stands");
        let begun = Instant::now();
        let Ok(kernel) = Kernel::open(image.clone(), memory.clone()) else { continue };
        println!("  seed {seed}: found in {:?}, {} ms after its start", begun.elapsed(), instant.at.0 / 1_000_000);
        let mut sampler = Sampler::open(image.clone(), memory.clone(), &MonitorSpec::default()).expect("is there");
        let (_, sample) = sampler.sample(Some(instant.at.0)).expect("is there");
        assert_eq!(sample.torn, 0, "{sample:?}");
        assert!(!sample.cpus.is_empty() && sample.tasks.expect("looks").complete);
        return kernel.slide();
    }
}
