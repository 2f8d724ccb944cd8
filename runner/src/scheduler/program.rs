//! What an executable says of itself: for which machine it is, which program loads it, which libraries it needs and where they
//! may be.

use object::elf::{FileHeader64, DT_NEEDED, DT_RPATH, DT_RUNPATH, EM_386, EM_AARCH64, EM_RISCV, EM_X86_64};
use object::elf::{ET_DYN, ET_EXEC, PT_INTERP};
use object::read::elf::{Dyn, FileHeader, ProgramHeader};
use object::{Endianness, StringTable};

/// A file that the guest cannot execute.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ProgramError {
    #[error(
        "is a script for {interpreter:?}: there is no such program in the guest. Name the scheduler's own executable"
    )]
    Script { interpreter: String },
    #[error("is not an ELF executable; its first bytes are {first}")]
    NoElf { first: String },
    #[error("is for {machine}, and the guest is x86-64. Build it for x86_64-unknown-linux-gnu")]
    Machine { machine: String },
    #[error("is an ELF file, but no program or library (e_type {kind}). A BPF object needs a loader around it")]
    Kind { kind: u16 },
    #[error("is a damaged ELF file: {problem}")]
    Malformed { problem: String },
}

/// An executable or a library.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Program {
    /// `PT_INTERP`: what loads it; none: it is static, or a library.
    pub(crate) interpreter: Option<String>,
    /// `DT_NEEDED`.
    pub(crate) needed: Vec<String>,
    /// Directories of `DT_RUNPATH` or `DT_RPATH`, `$ORIGIN` not yet replaced.
    pub(crate) run_path: Vec<String>,
}

impl Program {
    /// Reads the header and the dynamic section.
    pub(crate) fn parse(file: &[u8]) -> Result<Self, ProgramError> {
        check_kind(file)?;
        let malformed = |error: object::read::Error| ProgramError::Malformed { problem: error.to_string() };
        let header = FileHeader64::<Endianness>::parse(file).map_err(malformed)?;
        let endian = header.endian().map_err(malformed)?;
        match header.e_machine(endian) {
            EM_X86_64 => {}
            other => return Err(ProgramError::Machine { machine: machine(other) }),
        }
        match header.e_type(endian) {
            ET_EXEC | ET_DYN => {}
            kind => return Err(ProgramError::Kind { kind }),
        }
        let segments = header.program_headers(endian, file).map_err(malformed)?;
        let mut program = Self::default();
        for segment in segments {
            if segment.p_type(endian) == PT_INTERP {
                let data = segment.data(endian, file).map_err(|()| out_of_file("the name of its loader"))?;
                let name = data.split(|byte| *byte == 0).next().unwrap_or_default();
                program.interpreter = Some(String::from_utf8_lossy(name).into_owned());
            }
            if let Some(entries) = segment.dynamic(endian, file).map_err(malformed)? {
                program.read_dynamic(endian, entries, segments, file)?;
            }
        }
        Ok(program)
    }

    fn read_dynamic(
        &mut self,
        endian: Endianness,
        entries: &[object::elf::Dyn64<Endianness>],
        segments: &[object::elf::ProgramHeader64<Endianness>],
        file: &[u8],
    ) -> Result<(), ProgramError> {
        let value =
            |tag: u32| entries.iter().find(|entry| entry.tag32(endian) == Some(tag)).map(|entry| entry.d_val(endian));
        let Some((address, size)) = value(object::elf::DT_STRTAB).zip(value(object::elf::DT_STRSZ)) else {
            return Ok(());
        };
        let offset = segments.iter().find_map(|segment| {
            let start = segment.p_vaddr(endian);
            let inside = segment.p_type(endian) == object::elf::PT_LOAD
                && (start..start.saturating_add(segment.p_filesz(endian))).contains(&address);
            inside.then(|| segment.p_offset(endian) + (address - start))
        });
        let offset = offset.ok_or_else(|| out_of_file("its table of names"))?;
        let strings = StringTable::new(file, offset, offset.saturating_add(size));
        for entry in entries {
            let Some(tag @ (DT_NEEDED | DT_RUNPATH | DT_RPATH)) = entry.tag32(endian) else { continue };
            let at = u32::try_from(entry.d_val(endian)).map_err(|_| out_of_file("a name"))?;
            let text = strings.get(at).map_err(|()| out_of_file("a name"))?;
            let text = String::from_utf8_lossy(text).into_owned();
            match tag {
                DT_NEEDED => self.needed.push(text),
                _ => self.run_path.extend(text.split(':').filter(|part| !part.is_empty()).map(str::to_owned)),
            }
        }
        Ok(())
    }
}

fn out_of_file(what: &str) -> ProgramError {
    ProgramError::Malformed { problem: format!("{what} is not within the file") }
}

fn check_kind(file: &[u8]) -> Result<(), ProgramError> {
    if let Some(rest) = file.strip_prefix(b"#!") {
        let line = rest.split(|byte| *byte == b'\n').next().unwrap_or_default();
        return Err(ProgramError::Script { interpreter: String::from_utf8_lossy(line).trim().to_owned() });
    }
    if !file.starts_with(b"\x7fELF") {
        let first: Vec<String> = file.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        let first = if first.is_empty() { "none: it is empty".to_owned() } else { first.join(" ") };
        return Err(ProgramError::NoElf { first });
    }
    match file.get(4) {
        Some(2) => Ok(()),
        _ => Err(ProgramError::Machine { machine: "a 32-bit machine".into() }),
    }
}

fn machine(number: u16) -> String {
    match number {
        EM_AARCH64 => "arm64".into(),
        EM_386 => "x86 (32 bits)".into(),
        EM_RISCV => "RISC-V".into(),
        object::elf::EM_BPF => "BPF: it is an object that a loader takes".into(),
        other => format!("machine {other} of the ELF registry"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_run_in_the_guest_says_why() {
        let error = |bytes: &[u8]| Program::parse(bytes).expect_err("refused").to_string();
        assert!(error(b"#!/bin/sh\nexec x\n").starts_with("is a script for \"/bin/sh\": "));
        assert_eq!(error(b"BC"), "is not an ELF executable; its first bytes are 42 43");
        assert_eq!(error(b""), "is not an ELF executable; its first bytes are none: it is empty");
        assert!(error(b"\x7fELF\x01").starts_with("is for a 32-bit machine, "));
        let mut own = std::fs::read("/proc/self/exe").expect("reads");
        own[0x12] = 183;
        assert!(error(&own).starts_with("is for arm64, and the guest is x86-64"), "{}", error(&own));
        own[0x12] = 62;
        own[0x10] = 1;
        assert!(error(&own).starts_with("is an ELF file, but no program or library (e_type 1)"));
        assert!(error(&own[..0x30]).starts_with("is a damaged ELF file: "));
    }
}
