//! The initial RAM file system: Documentation/driver-api/early-userspace/buffer-format.rst, format "newc".

const DIRECTORY: u32 = 0o040_755;
const EXECUTABLE: u32 = 0o100_755;
const CHARACTER_DEVICE: u32 = 0o020_600;

struct Entry<'a> {
    name: &'a str,
    mode: u32,
    /// Major and minor number of a device.
    device: (u32, u32),
    data: &'a [u8],
}

/// An uncompressed archive with `init` as `/init`, the console and the directories that it mounts on.
pub(crate) fn initramfs(init: &[u8]) -> Vec<u8> {
    let directory = |name| Entry { name, mode: DIRECTORY, device: (0, 0), data: &[] };
    let entries = [
        directory("dev"),
        // The kernel opens it for init before anything is mounted.
        Entry { name: "dev/console", mode: CHARACTER_DEVICE, device: (5, 1), data: &[] },
        directory("proc"),
        directory("run"),
        directory("sys"),
        directory("tmp"),
        Entry { name: "init", mode: EXECUTABLE, device: (0, 0), data: init },
        Entry { name: "TRAILER!!!", mode: 0, device: (0, 0), data: &[] },
    ];
    let mut archive = Vec::with_capacity(init.len() + 4096);
    for (number, entry) in entries.iter().enumerate() {
        append(&mut archive, number as u32 + 1, entry);
    }
    archive
}

fn append(archive: &mut Vec<u8>, inode: u32, entry: &Entry<'_>) {
    let (major, minor) = entry.device;
    let fields = [
        inode,
        entry.mode,
        0, // uid
        0, // gid
        1, // links
        0, // time of modification
        entry.data.len() as u32,
        0, // device of the file system
        0,
        major,
        minor,
        entry.name.len() as u32 + 1,
        0, // checksum, which "newc" has none of
    ];
    archive.extend_from_slice(b"070701");
    fields.iter().for_each(|field| archive.extend_from_slice(format!("{field:08x}").as_bytes()));
    archive.extend_from_slice(entry.name.as_bytes());
    archive.push(0);
    pad(archive);
    archive.extend_from_slice(entry.data);
    pad(archive);
}

fn pad(archive: &mut Vec<u8>) {
    archive.resize(archive.len().next_multiple_of(4), 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_input_gives_equal_bytes() {
        assert_eq!(initramfs(b"init"), initramfs(b"init"));
    }

    #[test]
    fn every_entry_starts_at_a_multiple_of_4() {
        let archive = initramfs(b"seven..");
        let starts: Vec<usize> =
            archive.windows(6).enumerate().filter(|(_, window)| *window == b"070701").map(|(at, _)| at).collect();
        assert_eq!(starts.len(), 8);
        assert!(starts.iter().all(|start| start % 4 == 0), "{starts:?}");
        assert!(archive.len().is_multiple_of(4));
    }
}
