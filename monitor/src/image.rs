//! What a kernel's image tells about every machine that runs it: symbols, types, and how to recognise it in memory.
//!
//! The image is the ELF file that machines boot. Distributions strip it, so it has neither sections nor a symbol table: its own tables
//! for oops messages and for BPF have both ([`Symbols`], `__start_BTF`).

use crate::symbols::{Address, Symbols};
use ktstr_btf::{Btf, BtfError};
use object::elf::{FileHeader64, PF_W, PT_LOAD};
use object::read::elf::{FileHeader, ProgramHeader};
use object::LittleEndian;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

/// An image from which nothing can be learnt.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The file.
    #[error("cannot read the kernel")]
    Read(#[from] io::Error),
    /// The file is no kernel.
    #[error("the kernel is no ELF file with a segment of code")]
    NoElf,
    /// It has no tables.
    #[error("the kernel has no symbols: it needs CONFIG_KALLSYMS, and to be 6.5 or later")]
    NoSymbols,
    /// A symbol that every kernel has.
    #[error("the kernel has no symbol {0}: it needs CONFIG_KALLSYMS_ALL")]
    NoSymbol(&'static str),
    /// It does not describe its types.
    #[error("the kernel has no type information: it needs CONFIG_DEBUG_INFO_BTF")]
    NoBtf,
    /// It describes them in a way that is not known.
    #[error("the kernel's type information cannot be used")]
    Btf(#[from] BtfError),
}

/// The segment with code and read-only data.
pub(crate) struct Segment {
    pub(crate) offset: u64,
    pub(crate) bytes: u64,
    pub(crate) virt: u64,
    pub(crate) phys: u64,
}

/// A kernel's image.
#[derive(Debug)]
pub struct Image {
    symbols: Symbols,
    btf: Arc<Btf>,
    banner: Vec<u8>,
    banner_at: u64,
    text: u64,
    /// From link address to the physical address without any relocation.
    to_phys: u64,
}

const HEAD_BYTES: usize = 4096;
/// What is searched at once, and how much of it again with what follows: tables of tokens have about 1.5 KiB.
const CHUNK: usize = 1 << 20;
const OVERLAP: usize = 1 << 16;
/// Names lie before the tokens, offsets behind them: 3.2 MB and 1.4 MB in a kernel with 200,000 symbols. Larger ones are tried next.
const AROUND: [(u64, u64); 2] = [(4 << 20, 2 << 20), (32 << 20, 8 << 20)];
const BTF_BYTES_MAX: u64 = 64 << 20;
const BANNER: &[u8] = b"Linux version ";
const BANNER_BYTES_MAX: u64 = 512;

impl Image {
    /// Reads the ELF file at `path`.
    ///
    /// # Errors
    /// The file cannot be read or is no kernel; it has no symbols or no types.
    pub fn open(path: &Path) -> Result<Self, ImageError> {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        let mut head = vec![0; HEAD_BYTES.min(usize::try_from(length).unwrap_or(HEAD_BYTES))];
        file.read_exact_at(&mut head, 0)?;
        let code = code(&head).filter(|code| code.offset.checked_add(code.bytes).is_some_and(|end| end <= length));
        let code = code.ok_or(ImageError::NoElf)?;
        Self::of(&|at, into| file.read_exact_at(into, code.offset + at), &code)
    }

    /// Takes the segment with the code; `read` gives its bytes. Most of it is never looked at twice, so it is not kept.
    pub(crate) fn of(read: &dyn Fn(u64, &mut [u8]) -> io::Result<()>, code: &Segment) -> Result<Self, ImageError> {
        // The bytes from `at` on, at most `most`.
        let bytes = |at: u64, most: u64| -> io::Result<Vec<u8>> {
            let mut bytes = vec![0; code.bytes.saturating_sub(at).min(most) as usize];
            // A damaged image has symbols outside of it: there is nothing to read, and no such offset.
            if !bytes.is_empty() {
                read(at, &mut bytes)?;
            }
            Ok(bytes)
        };
        let mut symbols = None;
        let mut chunk = vec![0; CHUNK + OVERLAP];
        for at in (0..code.bytes).step_by(CHUNK) {
            let length = (code.bytes - at).min(chunk.len() as u64) as usize;
            let chunk = chunk.get_mut(..length).unwrap_or_default();
            read(at, chunk)?;
            let Some(tokens) = Symbols::tokens_in(chunk) else { continue };
            let tokens = at + tokens as u64;
            for (before, behind) in AROUND {
                let start = tokens.saturating_sub(before) & !7;
                symbols = Symbols::find_in(bytes(start, tokens + behind - start)?, code.virt.wrapping_add(start));
                if symbols.is_some() {
                    break;
                }
            }
            break;
        }
        let symbols = symbols.ok_or(ImageError::NoSymbols)?;
        // Where in the segment a symbol is.
        let place = |name: &'static str| match symbols.find(name) {
            Some(Address::Linked(at)) => Some(at.wrapping_sub(code.virt)),
            _ => None,
        };
        let (start, stop) = place("__start_BTF").zip(place("__stop_BTF")).ok_or(ImageError::NoBtf)?;
        let btf = Btf::parse(bytes(start, stop.saturating_sub(start).min(BTF_BYTES_MAX))?)?;
        let banner_at = place("linux_banner").ok_or(ImageError::NoSymbol("linux_banner"))?;
        let banner = bytes(banner_at, BANNER_BYTES_MAX)?;
        let end = banner.iter().position(|byte| *byte == 0).unwrap_or_default();
        let banner = banner.get(..end).filter(|text| text.starts_with(BANNER)).ok_or(ImageError::NoElf)?.to_vec();
        let text = place("_text").filter(|text| *text <= banner_at).ok_or(ImageError::NoSymbol("_text"))?;
        let (text, banner_at) = (code.virt.wrapping_add(text), code.virt.wrapping_add(banner_at));
        Ok(Self { symbols, btf: Arc::new(btf), banner, banner_at, text, to_phys: code.phys.wrapping_sub(code.virt) })
    }

    /// Its symbols, at their link addresses.
    pub fn symbols(&self) -> &Symbols {
        &self.symbols
    }

    /// Its types.
    pub fn btf(&self) -> &Arc<Btf> {
        &self.btf
    }

    /// What it says of itself: version, compiler and build.
    pub fn banner(&self) -> &[u8] {
        &self.banner
    }

    /// Link address of that text.
    pub(crate) fn banner_at(&self) -> u64 {
        self.banner_at
    }

    /// Link address of its beginning.
    pub(crate) fn text(&self) -> u64 {
        self.text
    }

    /// Where a link address is in physical memory if the image was not moved.
    pub(crate) fn unmoved(&self, linked: u64) -> u64 {
        linked.wrapping_add(self.to_phys)
    }
}

fn code(head: &[u8]) -> Option<Segment> {
    let header = FileHeader64::<LittleEndian>::parse(head).ok()?;
    let endian = LittleEndian;
    let segment = header
        .program_headers(endian, head)
        .ok()?
        .iter()
        .find(|segment| segment.p_type(endian) == PT_LOAD && segment.p_flags(endian) & PF_W == 0)?;
    Some(Segment {
        offset: segment.p_offset(endian),
        bytes: segment.p_filesz(endian),
        virt: segment.p_vaddr(endian),
        phys: segment.p_paddr(endian),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::{Machine, LINKED_AT, LOADED_AT};

    #[test]
    fn nothing_is_read_outside_of_the_segment() {
        let bytes = Machine::new(LOADED_AT, 0).segment(&crate::tests::types().finish());
        let read = |at: u64, into: &mut [u8]| {
            assert!(at + into.len() as u64 <= bytes.len() as u64, "{} bytes at {at:#x}", into.len());
            into.copy_from_slice(&bytes[at as usize..][..into.len()]);
            Ok(())
        };
        // Its program header says that it is linked behind all of its symbols.
        let virt = LINKED_AT + (1 << 28);
        let code = Segment { offset: 0x1000, bytes: bytes.len() as u64, virt, phys: LOADED_AT };
        assert!(matches!(Image::of(&read, &code), Err(ImageError::Btf(_))));
    }
}
