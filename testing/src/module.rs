//! Writes a kernel module of known values, for any kernel: no compiler, no headers.
//!
//! What `struct module` looks like and where the kernel's types end is all that is needed of a kernel. There is neither a `vermagic` nor checksums of
//! symbols: a kernel with CONFIG_MODULE_FORCE_LOAD takes that for `modprobe --force`. Nothing in it ever runs.

use crate::BtfWriter;

/// What it has to know of its kernel.
#[derive(Debug, Clone, Copy)]
pub struct ModuleFacts {
    /// Bytes of `struct module`, and where its name is.
    pub module: (u64, u64),
    /// Where the kernel's types end: see [`BtfWriter::on_top`].
    pub end: (u32, u32),
    /// The kernel's types `u64` and `s32`.
    pub numbers: [u32; 2],
}

/// Its name.
pub const NAME: &str = "ktstr_known";
/// Variables and a function, with their sections, where they are there, and bytes.
const SYMBOLS: [(&str, u16, u64, u64); 4] =
    [("known", DATA, 0, 64), ("counter", DATA, 64, 8), ("each", PER_CPU, 0, 8), ("function", TEXT, 16, 6)];
/// Numbers of sections, as [`known_module`] has them.
const TEXT: u16 = 1;
const DATA: u16 = 2;
const PER_CPU: u16 = 3;
const STRINGS: u32 = 8;
/// `Elf64_Shdr`: SHT_*, SHF_*.
const HEADER: usize = 64;
const SECTION_HEADER: usize = 64;
const PROGBITS: u32 = 1;
const SYMTAB: u32 = 2;
const STRTAB: u32 = 3;
const WRITE: u64 = 1;
const ALLOC: u64 = 2;
const EXECUTE: u64 = 4;

/// The values: `struct known known` and `u64 counter`.
fn data() -> Vec<u8> {
    let deep = [10u32, 20, 30, 40].map(u32::to_le_bytes).concat();
    let bits = (5u32 | 123_456 << 3).to_le_bytes();
    let text = *b"known text\0\0\0\0\0\0";
    let large = 0xffff_ffff_ffff_fff0u64.to_le_bytes();
    // At 0, 8, 12, 16, 32, 48 and, behind the struct, 64.
    [&large[..], &(-5i32).to_le_bytes(), &bits, &text, &deep, &[0; 16], &42u64.to_le_bytes()].concat()
}

fn types(facts: ModuleFacts) -> Vec<u8> {
    let mut btf = BtfWriter::on_top(facts.end);
    let [u64_, s32] = facts.numbers;
    let (char_, bits) = (btf.int("char", 1, 1), btf.int("unsigned int", 4, 0));
    let (text, numbers) = (btf.array(char_, 16), btf.array(bits, 4));
    let inner = btf.structure("known_inner", 16, &[("deep", numbers, 0, 0)]);
    let members = [
        ("large", u64_, 0, 0),
        ("negative", s32, 64, 0),
        ("low_bits", bits, 96, 3),
        ("high_bits", bits, 99, 29),
        ("text", text, 128, 0),
        ("inner", inner, 256, 0),
    ];
    let known = btf.structure("known", 64, &members);
    btf.section(".data", 72, &[("known", known, 0, 64), ("counter", u64_, 64, 8)]);
    btf.section(".data..percpu", 8, &[("each", u64_, 0, 8)]);
    btf.finish()
}

/// `insmod` loads it.
pub fn known_module(facts: ModuleFacts) -> Vec<u8> {
    let mut this = vec![0; facts.module.0 as usize];
    this[facts.module.1 as usize..][..NAME.len()].copy_from_slice(NAME.as_bytes());
    let (mut strings, mut symbols) = (vec![0], vec![0; 24]);
    for (name, section, at, bytes) in SYMBOLS {
        symbols.extend((strings.len() as u32).to_le_bytes());
        // STB_GLOBAL; STT_OBJECT or STT_FUNC.
        symbols.extend([if section == TEXT { 0x12 } else { 0x11 }, 0]);
        symbols.extend(section.to_le_bytes());
        symbols.extend([at, bytes].map(u64::to_le_bytes).concat());
        strings.extend([name.as_bytes(), b"\0"].concat());
    }
    let info = format!("license=GPL\0name={NAME}\0");
    // What never runs may as well be traps.
    let sections: [Section; 9] = [
        (".text", PROGBITS, ALLOC | EXECUTE, vec![0xcc; 22], [0, 0], 0),
        (".data", PROGBITS, ALLOC | WRITE, data(), [0, 0], 0),
        (".data..percpu", PROGBITS, ALLOC | WRITE, 7u64.to_le_bytes().into(), [0, 0], 0),
        (".modinfo", PROGBITS, ALLOC, info.into_bytes(), [0, 0], 0),
        (".gnu.linkonce.this_module", PROGBITS, ALLOC | WRITE, this, [0, 0], 0),
        (".BTF", PROGBITS, 0, types(facts), [0, 0], 0),
        // Only the first symbol is local.
        (".symtab", SYMTAB, 0, symbols, [STRINGS, 1], 24),
        (".strtab", STRTAB, 0, strings, [0, 0], 0),
        (".shstrtab", STRTAB, 0, Vec::new(), [0, 0], 0),
    ];
    elf(sections.into())
}

/// Name, kind, flags, content, link and info, bytes of an entry.
type Section = (&'static str, u32, u64, Vec<u8>, [u32; 2], u64);

/// A relocatable file with these sections behind the empty one; the last one gets their names.
fn elf(mut sections: Vec<Section>) -> Vec<u8> {
    let names = sections.iter().fold(vec![0], |names, section| [&names, section.0.as_bytes(), b"\0"].concat());
    let count = sections.len() as u16 + 1;
    sections.last_mut().expect("has names").3 = names;
    let (mut content, mut headers, mut name) = (Vec::new(), vec![0; SECTION_HEADER], 1u32);
    for (of, kind, flags, bytes, link, entry) in &sections {
        content.resize(content.len().next_multiple_of(64), 0);
        headers.extend([name, *kind].map(u32::to_le_bytes).concat());
        headers.extend([*flags, 0, (HEADER + content.len()) as u64, bytes.len() as u64].map(u64::to_le_bytes).concat());
        headers.extend(link.map(u32::to_le_bytes).concat());
        headers.extend([64, *entry].map(u64::to_le_bytes).concat());
        content.extend(bytes);
        name += of.len() as u32 + 1;
    }
    content.resize(content.len().next_multiple_of(64), 0);
    let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    let (relocatable, x86_64, version) = (1u16, 62u16, 1u32);
    file.extend([relocatable, x86_64].map(u16::to_le_bytes).concat());
    file.extend(version.to_le_bytes());
    file.extend([0, 0, (HEADER + content.len()) as u64].map(u64::to_le_bytes).concat());
    file.extend(0u32.to_le_bytes());
    file.extend([HEADER as u16, 0, 0, SECTION_HEADER as u16, count, count - 1].map(u16::to_le_bytes).concat());
    [file, content, headers].concat()
}
