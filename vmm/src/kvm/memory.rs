//! The machine's memory: files mapped into this process, each mapping a slot of KVM's.
#![allow(unsafe_code)]

use super::host::refused;
use crate::memory::Segment;
use crate::memory_map::file_ranges;
use crate::saved::for_each_page;
use crate::window::OpenWindow;
use crate::{ram, StartError};
use ktstr_model::Topology;
use kvm_bindings::kvm_userspace_memory_region;
use kvm_ioctls::VmFd;
use std::fs::File;
use std::io;
use std::sync::Arc;
use vm_memory::mmap::MmapRegionBuilder;
use vm_memory::{
    Bytes, FileOffset, GuestAddress, GuestMemoryBackend, GuestMemoryMmap, GuestMemoryRegion, GuestRegionMmap,
    MemoryRegionAddress,
};

/// What a guest's writes do to the files of its RAM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Writes {
    /// They arrive there.
    Shared,
    /// They stay with the machine, page by page.
    Private,
}

/// A virtual machine and the memory that it may use.
#[derive(Debug)]
pub(super) struct Vm {
    pub(super) fd: VmFd,
    memory: GuestMemoryMmap,
}

impl Vm {
    /// Gives `fd` the memory. Whoever lets CPUs of `fd` run keeps the result for as long.
    pub(super) fn new(fd: VmFd, memory: GuestMemoryMmap) -> Result<Self, StartError> {
        for (slot, region) in memory.iter().enumerate() {
            let address =
                region.get_host_address(MemoryRegionAddress(0)).map_err(|error| unmapped(io::Error::other(error)))?;
            let region = kvm_userspace_memory_region {
                slot: slot as u32,
                flags: 0,
                guest_phys_addr: region.start_addr().0,
                memory_size: region.len(),
                userspace_addr: address as u64,
            };
            // SAFETY: the range is one mapping of `memory`, which this value owns: it is unmapped after `fd` is closed (the order of
            // the fields), and each thread that runs a CPU of this machine holds the value itself.
            unsafe { fd.set_user_memory_region(region) }.map_err(refused("give the machine its memory"))?;
        }
        Ok(Self { fd, memory })
    }

    /// Everything that is mapped.
    pub(super) fn memory(&self) -> &GuestMemoryMmap {
        &self.memory
    }

    /// The memory as it is read and written from outside. What is private to this process is reached through `/proc`, so that a file that
    /// shrank is an error and not a signal.
    pub(super) fn observed(
        &self,
        topology: &Topology,
        files: &[Arc<File>],
        writes: Writes,
        window: Option<OpenWindow>,
    ) -> Result<crate::GuestMemory, StartError> {
        if writes == Writes::Shared {
            return Ok(ram::shared(topology, files, window));
        }
        let own = Arc::new(File::options().read(true).write(true).open("/proc/self/mem").map_err(unmapped)?);
        // Nodes are mapped apart, so each range is looked up.
        let mut segments = Vec::new();
        for range in crate::memory_map::ram_ranges(topology) {
            let at = self
                .memory
                .get_host_address(GuestAddress(range.start.0))
                .map_err(|error| unmapped(io::Error::other(error)))?;
            let mapping: Arc<dyn std::fmt::Debug + Send + Sync> = Arc::new(self.memory.clone());
            let segment = Segment::new(range.start, range.bytes, own.clone(), at as u64);
            segments.push(segment.holding(mapping));
        }
        segments.extend(window.map(OpenWindow::into_segment));
        Ok(crate::GuestMemory::new(segments).of_process(std::process::id(), own))
    }
}

/// Maps the files of a machine's RAM, one a node, and its window.
pub(super) fn map(
    topology: &Topology,
    files: &[Arc<File>],
    writes: Writes,
    window: Option<&OpenWindow>,
) -> Result<GuestMemoryMmap, StartError> {
    let mut regions = Vec::new();
    for range in file_ranges(topology) {
        let file = files.get(range.node).ok_or_else(|| unmapped(io::Error::other("a node has no file")))?;
        regions.push(region(file.clone(), range.offset, range.start.0, range.bytes, writes)?);
    }
    if let Some(window) = window {
        let file = window.file.try_clone().map_err(unmapped)?;
        regions.push(region(Arc::new(file), 0, window.at.0, window.bytes, Writes::Shared)?);
    }
    GuestMemoryMmap::from_regions(regions).map_err(|error| unmapped(io::Error::other(error)))
}

/// Copies what is in the files of a save to where the machine has its RAM.
pub(super) fn fill(memory: &GuestMemoryMmap, topology: &Topology, files: &[Arc<File>]) -> Result<(), StartError> {
    for (node, file) in files.iter().enumerate() {
        let ranges: Vec<_> = file_ranges(topology).into_iter().filter(|range| range.node == node).collect();
        let copied = for_each_page(file, |offset, page| {
            let range = ranges.iter().rfind(|range| range.offset <= offset).ok_or(io::ErrorKind::InvalidData)?;
            let at = GuestAddress(range.start.0 + (offset - range.offset));
            memory.write_slice(page, at).map_err(io::Error::other)
        });
        copied.map_err(|source| StartError::Host { doing: "copy the machine's memory", source })?;
    }
    Ok(())
}

fn region(file: Arc<File>, offset: u64, at: u64, bytes: u64, writes: Writes) -> Result<GuestRegionMmap, StartError> {
    let flags = match writes {
        Writes::Shared => libc::MAP_SHARED,
        Writes::Private => libc::MAP_PRIVATE,
    };
    let mapping = MmapRegionBuilder::new(bytes as usize)
        .with_file_offset(FileOffset::from_arc(file, offset))
        .with_mmap_prot(libc::PROT_READ | libc::PROT_WRITE)
        .with_mmap_flags(flags | libc::MAP_NORESERVE)
        .build()
        .map_err(|error| unmapped(io::Error::other(error)))?;
    GuestRegionMmap::new(mapping, GuestAddress(at))
        .ok_or_else(|| unmapped(io::Error::other("it ends beyond all addresses")))
}

fn unmapped(source: io::Error) -> StartError {
    StartError::Host { doing: "map the machine's memory", source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ktstr_model::topology::TopologySpec;
    use ktstr_model::Mebibytes;
    use std::os::unix::fs::FileExt;

    #[test]
    fn what_a_save_has_is_where_the_guest_has_it() {
        let spec = TopologySpec {
            numa_nodes: 2,
            llcs: 2,
            cores_per_llc: 1,
            threads_per_core: 1,
            memory: Some(Mebibytes(5 << 10)),
            distances: None,
        };
        let topology = spec.resolve("t").expect("can be");
        let directory = tempfile::tempdir().expect("a directory");
        let save = ram::make_in(directory.path(), &topology).expect("sparse files");
        for range in file_ranges(&topology) {
            let file = save.get(range.node).expect("a file a node");
            file.write_all_at(&range.start.0.to_le_bytes(), range.offset + 4096).expect("writes");
        }
        let own = map(&topology, &ram::make(&topology).expect("memory"), Writes::Shared, None).expect("is mapped");
        fill(&own, &topology, &save).expect("is copied");
        let ranges = file_ranges(&topology);
        // The first node ends above 4 GiB, so one of them is in two places.
        assert_eq!(ranges.len(), 3);
        for range in ranges {
            let word: u64 = own.read_obj(GuestAddress(range.start.0 + 4096)).expect("is there");
            assert_eq!(word, range.start.0);
        }
    }
}
