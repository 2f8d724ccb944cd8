//! The files of a machine's RAM, a file a node, and how they are read from outside.

use crate::memory::{map, Segment};
use crate::memory_map;
use crate::saved::{for_each_page, ram_name};
use crate::window::OpenWindow;
use crate::{GuestMemory, MachineSpec, SavedError, Start, StartError};
use ktstr_model::placement::HUGE_PAGE;
use ktstr_model::{Mebibytes, Topology};
use rustix::fs::{FallocateFlags, MemfdFlags, SealFlags};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

/// RAM that goes with the machine.
pub(crate) fn make(topology: &Topology) -> Result<Vec<Arc<File>>, StartError> {
    let make = |bytes: u64| -> io::Result<Arc<File>> {
        let file = File::from(rustix::fs::memfd_create("ram", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?);
        file.set_len(bytes)?;
        sealed(file)
    };
    let host = |source| StartError::Host { doing: "make the machine's memory", source };
    memory_map::node_bytes(topology).into_iter().map(make).collect::<io::Result<_>>().map_err(host)
}

/// As [`make`], of huge pages that nobody can take away any more: a pool that is empty is an error here and not a fault of a guest.
pub(crate) fn make_huge(topology: &Topology) -> Result<Vec<Arc<File>>, StartError> {
    let make = |bytes: u64| -> io::Result<Arc<File>> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING | MemfdFlags::HUGETLB | MemfdFlags::HUGE_2MB;
        let file = File::from(rustix::fs::memfd_create("ram", flags)?);
        file.set_len(bytes)?;
        rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, bytes)?;
        sealed(file)
    };
    let Mebibytes(page) = HUGE_PAGE;
    let (needed, free) = (topology.memory().0 / page, free_huge_pages());
    let refused = |source| StartError::HugePages { needed, free, source };
    memory_map::node_bytes(topology).into_iter().map(make).collect::<io::Result<_>>().map_err(refused)
}

/// A file that nobody can make shorter.
fn sealed(file: File) -> io::Result<Arc<File>> {
    rustix::fs::fcntl_add_seals(&file, SealFlags::SHRINK)?;
    Ok(Arc::new(file))
}

/// Documentation/admin-guide/mm/hugetlbpage.rst: those that are free and that nobody has reserved.
fn free_huge_pages() -> u64 {
    let pool = Path::new("/sys/kernel/mm/hugepages/hugepages-2048kB");
    let read = |name| std::fs::read_to_string(pool.join(name)).ok()?.trim().parse::<u64>().ok();
    let (free, reserved) = (read("free_hugepages"), read("resv_hugepages"));
    free.unwrap_or(0).saturating_sub(reserved.unwrap_or(0))
}

/// RAM that stays, as new files of a save.
pub(crate) fn make_in(directory: &Path, topology: &Topology) -> Result<Vec<Arc<File>>, StartError> {
    let make = |(node, bytes): (usize, u64)| {
        let path = directory.join(ram_name(node));
        let open = || -> io::Result<File> {
            let file = File::options().read(true).write(true).create_new(true).open(&path)?;
            file.set_len(bytes)?;
            Ok(file)
        };
        let unusable = |source| SavedError::File { doing: "write", path: path.clone(), source };
        Ok(Arc::new(open().map_err(unusable)?))
    };
    memory_map::node_bytes(topology).into_iter().enumerate().map(make).collect()
}

/// RAM of a machine that is to be saved into the new or empty directory `into`.
pub(crate) fn to_be_saved(spec: &MachineSpec, into: &Path) -> Result<Vec<Arc<File>>, StartError> {
    let unwritable = |source| SavedError::File { doing: "write", path: into.to_owned(), source };
    std::fs::create_dir_all(into).map_err(unwritable)?;
    match &spec.start {
        Start::Boot => make_in(into, &spec.topology),
        Start::Saved(saved) => copy_in(saved.directory(), into, &spec.topology),
    }
}

/// RAM of the save in `from`, copied into new files of another save.
fn copy_in(from: &Path, directory: &Path, topology: &Topology) -> Result<Vec<Arc<File>>, StartError> {
    let old = open_in(from, topology)?;
    let new = make_in(directory, topology)?;
    for (node, (old, new)) in old.iter().zip(&new).enumerate() {
        let path = directory.join(ram_name(node));
        for_each_page(old, |offset, page| new.write_all_at(page, offset)).map_err(|source| SavedError::File {
            doing: "write",
            path,
            source,
        })?;
    }
    Ok(new)
}

/// RAM of a save, to be read only.
pub(crate) fn open_in(directory: &Path, topology: &Topology) -> Result<Vec<Arc<File>>, StartError> {
    let open = |(node, bytes): (usize, u64)| {
        let path = directory.join(ram_name(node));
        let unusable = |source| SavedError::File { doing: "read", path: path.clone(), source };
        let file = File::open(&path).map_err(unusable)?;
        let seen = file.metadata().map_err(unusable)?.len();
        if seen != bytes {
            let (seen, expected) = (format!("{seen} bytes"), format!("{bytes} bytes"));
            return Err(StartError::from(SavedError::Damaged { path, seen, expected }));
        }
        Ok(Arc::new(file))
    };
    memory_map::node_bytes(topology).into_iter().enumerate().map(open).collect()
}

/// Memory that the guest shares with the files of `ram`.
pub(crate) fn shared(topology: &Topology, ram: &[Arc<File>], window: Option<OpenWindow>) -> GuestMemory {
    let from: Vec<(Arc<File>, u64)> = ram.iter().map(|file| (file.clone(), 0)).collect();
    guest_memory(topology, &from, window)
}

/// All memory, with the RAM of each node in a file from an offset on.
pub(crate) fn guest_memory(topology: &Topology, ram: &[(Arc<File>, u64)], window: Option<OpenWindow>) -> GuestMemory {
    let ranges = memory_map::ram_ranges(topology).into_iter();
    let mappings: Vec<_> = ram.iter().map(|(file, _)| map(file)).collect();
    let mut segments: Vec<Segment> = ranges
        .filter_map(|range| {
            let (file, from) = ram.get(range.node)?;
            let segment = Segment::new(range.start, range.bytes, file.clone(), from + range.offset);
            Some(segment.mapped(mappings.get(range.node)?.clone()))
        })
        .collect();
    segments.extend(window.map(OpenWindow::into_segment));
    GuestMemory::new(segments)
}
