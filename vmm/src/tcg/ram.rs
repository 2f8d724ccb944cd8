//! The files of a machine's RAM, and how they are read from outside.

use super::launch::OpenWindow;
use super::memory_map;
use crate::memory::Segment;
use crate::saved::{for_each_page, ram_name};
use crate::{GuestMemory, SavedError, StartError};
use ktstr_model::Topology;
use rustix::fs::MemfdFlags;
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::sync::Arc;

/// RAM that goes with the machine.
pub(super) fn make(topology: &Topology) -> Result<Vec<Arc<File>>, StartError> {
    let make = |bytes: u64| -> io::Result<Arc<File>> {
        let file = File::from(rustix::fs::memfd_create("ram", MemfdFlags::CLOEXEC)?);
        file.set_len(bytes)?;
        Ok(Arc::new(file))
    };
    let host = |source| StartError::Host { doing: "make the machine's memory", source };
    memory_map::node_bytes(topology).into_iter().map(make).collect::<io::Result<_>>().map_err(host)
}

/// RAM that stays, as new files of a save.
pub(super) fn make_in(directory: &Path, topology: &Topology) -> Result<Vec<Arc<File>>, StartError> {
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

/// RAM of the save in `from`, copied into new files of another save.
pub(super) fn copy_in(from: &Path, directory: &Path, topology: &Topology) -> Result<Vec<Arc<File>>, StartError> {
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
pub(super) fn open_in(directory: &Path, topology: &Topology) -> Result<Vec<Arc<File>>, StartError> {
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

/// Memory that the emulator shares with the files of `ram`.
pub(super) fn shared(topology: &Topology, ram: &[Arc<File>], window: Option<OpenWindow>) -> GuestMemory {
    let from: Vec<(Arc<File>, u64)> = ram.iter().map(|file| (file.clone(), 0)).collect();
    guest_memory(topology, &from, window)
}

/// Memory that is private to the process `pid` where the guest has written to it: read through the process.
pub(super) fn private(
    pid: u32,
    topology: &Topology,
    ram: &[Arc<File>],
    window: Option<OpenWindow>,
) -> Result<GuestMemory, StartError> {
    let find = || -> io::Result<Vec<(Arc<File>, u64)>> {
        let memory = Arc::new(File::open(format!("/proc/{pid}/mem"))?);
        let maps = std::fs::read_to_string(format!("/proc/{pid}/maps"))?;
        let locate = |file: &Arc<File>| {
            let inode = file.metadata()?.ino();
            let missing = || io::Error::other("the emulator has not mapped the RAM of the save");
            Ok((memory.clone(), mapped_at(&maps, inode).ok_or_else(missing)?))
        };
        ram.iter().map(locate).collect()
    };
    let from = find().map_err(|source| StartError::Host { doing: "reach the machine's private memory", source })?;
    Ok(guest_memory(topology, &from, window))
}

/// Where the beginning of the file `inode` is mapped. Mappings are lines of `start-end access offset device inode path`
/// (proc_pid_maps(5)); one that covers the whole file may be shown in adjacent pieces.
fn mapped_at(maps: &str, inode: u64) -> Option<u64> {
    maps.lines().find_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        let (range, _access, offset, _device) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
        let of_file = fields.next()?.parse() == Ok(inode) && u64::from_str_radix(offset, 16) == Ok(0);
        let (start, _) = range.split_once('-')?;
        u64::from_str_radix(start, 16).ok().filter(|_| of_file)
    })
}

/// All memory, with the RAM of each node in a file from an offset on.
fn guest_memory(topology: &Topology, ram: &[(Arc<File>, u64)], window: Option<OpenWindow>) -> GuestMemory {
    let ranges = memory_map::ram_ranges(topology).into_iter();
    let mut segments: Vec<Segment> = ranges
        .filter_map(|range| {
            let (file, from) = ram.get(range.node)?;
            Some(Segment { start: range.start, bytes: range.bytes, file: file.clone(), offset: from + range.offset })
        })
        .collect();
    segments.extend(window.map(|OpenWindow { file, bytes, at }| Segment {
        start: at,
        bytes,
        file: Arc::new(file),
        offset: 0,
    }));
    GuestMemory::new(segments)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_mapping_of_a_file_is_found_by_its_inode() {
        let maps = "5000-6000 r--p 00001000 fe:00 77 /a b\n7fc000000000-7fc010000000 rw-p 00000000 fe:00 77 /a b\n\
            9000-a000 rw-p 00000000 00:00 0\n";
        assert_eq!(super::mapped_at(maps, 77), Some(0x7fc0_0000_0000));
        assert_eq!(super::mapped_at(maps, 78), None);
    }
}
