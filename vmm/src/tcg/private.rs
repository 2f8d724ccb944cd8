//! Memory of a machine that started from a save: private to the emulator where the guest has written to it.

use crate::window::OpenWindow;
use crate::{ram, GuestMemory, StartError};
use ktstr_model::Topology;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

/// The memory of the process `pid`, read and written through the process: its mapping is private, so what is written is its own.
pub(super) fn private(
    pid: u32,
    topology: &Topology,
    ram: &[Arc<File>],
    window: Option<OpenWindow>,
) -> Result<GuestMemory, StartError> {
    let find = || -> io::Result<Vec<(Arc<File>, u64)>> {
        let memory = Arc::new(File::options().read(true).write(true).open(format!("/proc/{pid}/mem"))?);
        let maps = std::fs::read_to_string(format!("/proc/{pid}/maps"))?;
        let locate = |file: &Arc<File>| {
            let inode = file.metadata()?.ino();
            let missing = || io::Error::other("the emulator has not mapped the RAM of the save");
            Ok((memory.clone(), mapped_at(&maps, inode).ok_or_else(missing)?))
        };
        ram.iter().map(locate).collect()
    };
    let from = find().map_err(|source| StartError::Host { doing: "reach the machine's private memory", source })?;
    let memory = ram::guest_memory(topology, &from, window);
    Ok(match from.into_iter().next() {
        Some((file, _)) => memory.of_process(pid, file),
        None => memory,
    })
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
