//! Fuzz targets: functions that take any bytes and give them to what reads what a guest, or a file, says. None may panic, hang or grow.
//!
//! ```text
//! bytes ──Input──▶ accesses, windows, files, texts ──target──▶ the code as the runner calls it
//! ```
//!
//! With the feature `engine` each is a program that libFuzzer drives (`src/bin/`); without it unit tests call them with the corpora. Where a
//! checksum stands in front of a reader, a target puts it right: otherwise no changed byte would get behind it.

#![allow(clippy::panic)]

mod btf;
mod console;
mod devices;
mod input;
mod memory;
mod page_tables;
mod recording;
mod ring;
mod saved;
#[cfg(test)]
mod seeds;
mod symbols;
mod walkers;

pub use btf::btf;
pub use console::console;
pub use devices::devices;
pub use memory::memory;
pub use page_tables::page_tables;
pub use recording::recording;
pub use ring::ring;
pub use saved::saved;
pub use symbols::symbols;
pub use walkers::walkers;

/// A target with a fault, by which a test sees that a fault is found and told.
///
/// # Panics
/// If the input begins with `hey`.
pub fn planted(input: &[u8]) {
    assert!(!input.starts_with(b"hey"), "planted");
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    /// Bazel runs tests in the root, cargo in the folder of the crate.
    fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
        let root = ["fuzz/corpus", "corpus"].map(Path::new).into_iter().find(|root| root.is_dir()).expect("corpora");
        let files = std::fs::read_dir(root.join(target)).expect("a corpus");
        let read = |path: PathBuf| (path.clone(), std::fs::read(path).expect("reads"));
        files.map(|file| read(file.expect("a file").path())).collect()
    }

    #[test]
    fn corpora_do_no_harm_nor_do_parts_of_them() {
        type Target = fn(&[u8]);
        let targets: [(&str, Target); 10] = [
            ("btf", super::btf),
            ("console", super::console),
            ("devices", super::devices),
            ("memory", super::memory),
            ("page_tables", super::page_tables),
            ("recording", super::recording),
            ("ring", super::ring),
            ("saved", super::saved),
            ("symbols", super::symbols),
            ("walkers", super::walkers),
        ];
        for (name, target) in targets {
            let files = corpus(name);
            assert!(!files.is_empty(), "{name} has no corpus");
            for (path, bytes) in files {
                println!("{}", path.display());
                (0..=8).for_each(|eighths| target(&bytes[..bytes.len() * eighths / 8]));
            }
        }
    }

    /// After a change of the format they have to be recorded again.
    #[test]
    fn recordings_of_the_corpus_are_recordings() {
        for (path, bytes) in corpus("recording").iter().filter(|(path, _)| path.extension().is_some()) {
            let read = ktstr_recording::Recording::from_bytes(bytes, "seed");
            assert!(read.is_ok_and(|recording| recording.damage.is_none()), "{}", path.display());
        }
    }
}
