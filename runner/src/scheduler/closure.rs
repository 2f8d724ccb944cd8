//! A program with everything that it needs to be loaded: `DT_NEEDED`, and what those need, and so on.
//!
//! Libraries are looked for as ld.so(8) does it, but for its environment and its cache: the run path of whoever needs it, then
//! the directories that were given, and no others. Names that the first one has brought are not looked for again.

use super::program::{Program, ProgramError};
use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};

/// A program that cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClosureError {
    #[error("cannot read the scheduler {}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("the scheduler {} {source}", path.display())]
    Program { path: PathBuf, source: ProgramError },
    #[error("{} needs the library {name}, which is in none of {}; give it to the scheduler: `libraries` of ktstr_scheduler, or --scheduler-libraries", by.display(), searched.join(", "))]
    Missing { name: String, by: PathBuf, searched: Vec<String> },
}

/// A program and what is to be loaded with it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Closure {
    pub(crate) program: Vec<u8>,
    /// What loads it: the path in the guest, and the content.
    pub(crate) interpreter: Option<(String, Vec<u8>)>,
    /// By the name by which they are needed.
    pub(crate) libraries: BTreeMap<String, Vec<u8>>,
}

/// Reads a program and finds its libraries in `directories`.
pub(crate) fn find(path: &Path, directories: &[PathBuf]) -> Result<Closure, ClosureError> {
    let read = |path: &Path| {
        let bytes = std::fs::read(path).map_err(|source| ClosureError::Read { path: path.into(), source })?;
        let program = Program::parse(&bytes).map_err(|source| ClosureError::Program { path: path.into(), source })?;
        Ok::<_, ClosureError>((bytes, program))
    };
    let (bytes, program) = read(path)?;
    let mut closure = Closure { program: bytes, interpreter: None, libraries: BTreeMap::new() };
    let mut loader = None;
    if let Some(interpreter) = &program.interpreter {
        let name = interpreter.rsplit('/').next().unwrap_or(interpreter).to_owned();
        let found = search(&name, path, &program, directories)?;
        let bytes = std::fs::read(&found).map_err(|source| ClosureError::Read { path: found, source })?;
        closure.interpreter = Some((interpreter.clone(), bytes));
        loader = Some(name);
    }
    let mut open: VecDeque<(PathBuf, Program)> = VecDeque::from([(path.to_owned(), program)]);
    while let Some((by, program)) = open.pop_front() {
        for name in &program.needed {
            // The loader is there before any library.
            if closure.libraries.contains_key(name) || loader.as_ref() == Some(name) {
                continue;
            }
            let found = search(name, &by, &program, directories)?;
            let (bytes, library) = read(&found)?;
            closure.libraries.insert(name.clone(), bytes);
            open.push_back((found, library));
        }
    }
    Ok(closure)
}

/// The file of a library that `by` needs.
fn search(name: &str, by: &Path, program: &Program, directories: &[PathBuf]) -> Result<PathBuf, ClosureError> {
    let real = by.canonicalize().unwrap_or_else(|_| by.to_owned());
    let origin = real.parent().unwrap_or(Path::new("")).display().to_string();
    let run_path = program
        .run_path
        .iter()
        .map(|directory| PathBuf::from(directory.replace("${ORIGIN}", &origin).replace("$ORIGIN", &origin)));
    let all: Vec<PathBuf> = run_path.chain(directories.iter().cloned()).collect();
    let found = all.iter().map(|directory| directory.join(name)).find(|file| file.is_file() && is_for_the_guest(file));
    found.ok_or_else(|| ClosureError::Missing {
        name: name.into(),
        by: by.into(),
        searched: all.iter().map(|directory| directory.display().to_string()).collect(),
    })
}

/// Libraries for other machines, and linker scripts, may have the name, too.
fn is_for_the_guest(file: &Path) -> bool {
    let mut head = [0; 20];
    let read = std::fs::File::open(file).and_then(|mut file| std::io::Read::read_exact(&mut file, &mut head));
    // 64 bits, x86-64.
    read.is_ok() && head.starts_with(b"\x7fELF\x02") && head.get(18..20) == Some(&[62, 0])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scheduler::of_this_machine;

    #[test]
    fn a_program_of_this_machine_comes_with_its_loader_and_the_c_library() {
        // The tests are static; a shell is not.
        let closure = find(Path::new("/bin/sh"), &of_this_machine()).expect("is whole");
        let (loader, bytes) = closure.interpreter.expect("is dynamic");
        assert!(loader.starts_with('/') && !bytes.is_empty(), "{loader}");
        assert!(closure.libraries.contains_key("libc.so.6"), "{:?}", closure.libraries.keys());
        assert!(!closure.libraries.keys().any(|name| loader.ends_with(name.as_str())));
    }

    #[test]
    fn a_missing_library_is_named_with_who_needs_it() {
        let nowhere = [PathBuf::from("/nowhere"), PathBuf::from("/else")];
        let error = find(Path::new("/bin/sh"), &nowhere).expect_err("nothing there").to_string();
        assert!(error.starts_with("/bin/sh needs the library ld-linux"), "{error}");
        assert!(error.contains(", which is in none of /nowhere, /else; give it"), "{error}");
        let directory = tempfile::tempdir().expect("a directory");
        let script = directory.path().join("scx");
        std::fs::write(&script, "#!/usr/bin/env python3\n").expect("writes");
        let error = find(&script, &nowhere).expect_err("refused").to_string();
        assert!(error.starts_with(&format!("the scheduler {} is a script for ", script.display())), "{error}");
    }
}
