//! Packing, unpacking and what is refused.

use super::*;
use crate::Gpa;
use ktstr_model::topology::TopologySpec;
use ktstr_model::Mebibytes;
use std::os::unix::fs::{FileExt, MetadataExt};
use tempfile::TempDir;

const RAM_BYTES: u64 = 128 << 20;

/// A save of a machine that never was.
fn saved() -> (TempDir, SavedMachine) {
    let directory = tempfile::tempdir().expect("a directory");
    for node in 0..2 {
        let file = File::create(directory.path().join(ram_name(node))).expect("makes");
        file.set_len(RAM_BYTES).expect("grows");
        file.write_all_at(&[node as u8 + 1; 10_000], 5_000_000).expect("writes");
        file.write_all_at(&[0; 8192], 9_000_000).expect("writes");
    }
    std::fs::write(directory.path().join(STATE), b"CPUs and devices").expect("writes");
    let description = Description {
        format: FORMAT,
        emulator: "QEMU 10.0.13".into(),
        machine: vec!["-smp 4".into()],
        window: Some(64 << 20),
        host: None,
        files: Vec::new(),
    };
    let saved = SavedMachine::seal(directory.path(), 2, description).expect("is sealed");
    (directory, saved)
}

fn packed(saved: &SavedMachine) -> Vec<u8> {
    let file = tempfile::NamedTempFile::new().expect("a file");
    saved.pack(file.path()).expect("packs");
    std::fs::read(file.path()).expect("reads")
}

fn unpack(bytes: &[u8], directory: &Path) -> Result<SavedMachine, SavedError> {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), bytes).expect("writes");
    SavedMachine::unpack(file.path(), directory)
}

#[test]
fn what_is_unpacked_is_what_was_packed() {
    let (original, saved) = saved();
    let directory = tempfile::tempdir().expect("a directory");
    let unpacked = unpack(&packed(&saved), directory.path()).expect("unpacks");
    assert_eq!(unpacked.description(), saved.description());
    for name in ["ram0", "ram1", STATE, DESCRIPTION] {
        let read = |directory: &TempDir| std::fs::read(directory.path().join(name)).expect("reads");
        assert!(read(&original) == read(&directory), "{name} differs");
    }
    let blocks = std::fs::metadata(directory.path().join("ram0")).expect("is there").blocks();
    assert!(blocks * 512 < 64 << 10, "{blocks} blocks for three pages");
    assert_eq!(SavedMachine::open(directory.path()).expect("opens"), unpacked);
}

#[test]
fn the_memory_of_a_save_can_be_looked_at() {
    let (_directory, saved) = saved();
    let topology = |memory| TopologySpec {
        numa_nodes: 2,
        llcs: 2,
        cores_per_llc: 1,
        threads_per_core: 1,
        memory: Some(Mebibytes(memory)),
        distances: None,
    };
    let memory = |size| saved.memory(&topology(size).resolve("topology").expect("can be"));
    let seen = [5_000_000, RAM_BYTES + 5_000_000, 6_000_000].map(Gpa);
    let seen = seen.map(|at| memory(256).expect("fits").read_u64(at).expect("is there"));
    assert_eq!(seen, [0x0101_0101_0101_0101, 0x0202_0202_0202_0202, 0]);
    let error = memory(512).expect_err("does not fit").to_string();
    assert!(error.contains("has 134217728 bytes, and 268435456 bytes were saved"), "{error}");
}

#[test]
fn equal_saves_give_equal_bytes() {
    let ((_first, one), (_second, other)) = (saved(), saved());
    assert!(packed(&one) == packed(&other));
    assert!(packed(&one).len() < 2048, "{} bytes", packed(&one).len());
}

#[test]
fn a_directory_in_use_is_not_overwritten() {
    let (directory, saved) = saved();
    let error = unpack(&packed(&saved), directory.path()).expect_err("refused").to_string();
    assert!(error.ends_with("/ram0 of the saved machine"), "{error}");
}

#[test]
fn damaged_packs_are_refused() {
    let (_directory, saved) = saved();
    let bytes = packed(&saved);
    let refusal = |bytes: &[u8]| {
        let directory = tempfile::tempdir().expect("a directory");
        unpack(bytes, directory.path()).expect_err("refused").to_string()
    };
    for damaged in [&bytes[..bytes.len() / 2], b"not a pack", b"", &zstd::encode_all(&b"other"[..], 3).expect("packs")]
    {
        let error = refusal(damaged);
        assert!(error.contains("is not a saved machine that this program can use"), "{error}");
    }
    let mut content = zstd::decode_all(&bytes[..]).expect("is zstd");
    let at = content.windows(4).position(|window| window == [2; 4]).expect("has the second node's page");
    content[at] = 3;
    let error = refusal(&zstd::encode_all(&content[..], 3).expect("packs"));
    assert!(error.starts_with("the saved machine is damaged") && error.contains("/ram1 has "), "{error}");
}

#[test]
fn a_description_names_no_paths() {
    let (directory, _) = saved();
    let path = directory.path().join(DESCRIPTION);
    let text = std::fs::read_to_string(&path).expect("reads");
    std::fs::write(&path, text.replace("\"ram0\"", "\"../ram0\"")).expect("writes");
    let error = SavedMachine::open(directory.path()).expect_err("refused").to_string();
    assert!(error.contains("it names the file \"../ram0\""), "{error}");
}

#[test]
fn what_does_not_fit_is_named() {
    let (_directory, saved) = saved();
    let refusal = |change: &dyn Fn(&mut Description)| {
        let mut other = saved.description().clone();
        change(&mut other);
        other.check_fits(saved.description(), Path::new("/s")).expect_err("refused").to_string()
    };
    assert_eq!(
        refusal(&|saved| saved.emulator = "QEMU 11.1.2".into()),
        "the saved machine /s does not fit: the emulator is QEMU 10.0.13 here, and was QEMU 11.1.2 when it was saved; make a save \
         for this machine"
    );
    assert!(
        refusal(&|saved| saved.machine.push("-more".into())).contains("the machine is nothing here, and was `-more`")
    );
    assert!(refusal(&|saved| saved.window = None).contains("the window is 67108864 bytes here, and was none"));
    assert!(refusal(&|saved| saved.host = Some("CPU".into())).contains("the host's processor is any here, and was CPU"));
    let (same, wanted) = (saved.description(), Description { files: Vec::new(), ..saved.description().clone() });
    assert!(same.check_fits(&wanted, Path::new("/s")).is_ok());
}
