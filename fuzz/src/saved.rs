//! Files of a saved machine: packed, unpacked, and the state of CPUs and devices.

use crate::input::{memory_file, Input};
use ktstr_vmm::kvm::fuzzing;
use ktstr_vmm::SavedMachine;
use std::fs;
use std::io::Write;
use std::path::Path;

/// What a packed save begins with, under its compression.
const MAGIC: &[u8] = b"ktstr save 0001\n";

/// The first byte says what the rest is.
///
/// # Panics
/// If a save that was unpacked is none.
pub fn saved(input: &[u8]) {
    let mut input = Input(input);
    match input.u8() % 4 {
        0 => unpack(input.0),
        1 => {
            // Description and pages, behind which there is nothing to compress.
            let length = input.u16().into();
            let text = input.bytes(length);
            let plain = [MAGIC, &(text.len() as u32).to_le_bytes(), text, input.0].concat();
            unpack(&zstd::encode_all(plain.as_slice(), 1).expect("memory"));
        }
        2 => in_directory(&[("state", input.0)], |directory| drop(fuzzing::read_state(directory))),
        _ => {
            let length = input.u16().into();
            let files = [("saved.json", input.bytes(length)), ("ram0", input.0), ("state", input.0)];
            in_directory(&files, |directory| drop(SavedMachine::open(directory)));
        }
    }
}

fn unpack(packed: &[u8]) {
    let (mut file, path) = memory_file();
    file.write_all(packed).expect("writes");
    in_directory(&[], |directory| {
        if let Ok(saved) = SavedMachine::unpack(&path, directory) {
            let opened = SavedMachine::open(directory).expect("what was unpacked");
            assert_eq!(opened, saved);
        }
    });
}

/// Calls `look` with a directory of these files, which goes.
fn in_directory(files: &[(&str, &[u8])], look: impl FnOnce(&Path)) {
    let directory = tempfile::tempdir().expect("a directory");
    files.iter().for_each(|(name, content)| fs::write(directory.path().join(name), content).expect("writes"));
    look(directory.path());
}
