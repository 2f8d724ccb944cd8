//! A kernel, found in the memory of a machine.
//!
//! ```text
//! Image (link addresses) ─┐
//! Memory (physical)      ─┼─Kernel::open─▶ slide, root of the page tables, direct map, per-CPU offsets
//! CR3 of the CPUs        ─┘                   symbol, per_cpu ──▶ Gva ──read──▶ bytes
//! ```
//!
//! It is found without a search through memory. A kernel that nothing moved lies where its image says; else the page tables of any CPU tell
//! the slide: the first page of 2 MiB that is mapped above `__START_KERNEL_map` is `_text` (arch/x86/kernel/head64.c, `__startup_64`). Either
//! is believed only if `linux_banner` is there, word for word.

use crate::error::{KernelError, ReadError};
use crate::image::Image;
use crate::page_table::{Format, Gva, X86_64_4_LEVELS, X86_64_5_LEVELS};
use crate::segments::Memory;
use crate::symbols::Address;
use ktstr_btf::Btf;
use ktstr_vmm::Gpa;
use std::ops::Range;
use std::sync::Arc;

/// `__START_KERNEL_map` and `KERNEL_IMAGE_SIZE` with KASLR.
const KERNEL_MAP: Range<u64> = 0xffff_ffff_8000_0000..0xffff_ffff_c000_0000;
/// Images begin at multiples of it.
const ALIGNMENT: usize = 2 << 20;
/// Bits of CR3 that are an address, and the one that tells the user's tables from the kernel's with page-table isolation.
const CR3_ADDRESS: u64 = 0x000f_ffff_ffff_f000;
const CR3_USER: u64 = 1 << 12;
/// Without `page_offset_base`: `__PAGE_OFFSET_BASE_L4`.
const PAGE_OFFSET: u64 = 0xffff_8880_0000_0000;
/// No machine has more memory in the direct map.
const DIRECT_MAP_BYTES: u64 = 1 << 46;
/// NR_CPUS_RANGE_END of x86.
const CPUS_MAX: u32 = 8192;

/// A kernel in a machine.
pub struct Kernel {
    image: Arc<Image>,
    memory: Arc<dyn Memory>,
    format: &'static Format,
    root: Gpa,
    slide: u64,
    /// Where the image is, in both spaces.
    text: Range<u64>,
    text_at: Gpa,
    /// Where all physical memory is mapped, if that was seen.
    direct_map: Option<u64>,
    /// `__per_cpu_offset` of each possible CPU.
    per_cpu: Vec<u64>,
}

/// Where a kernel was found.
struct Found {
    format: &'static Format,
    root: Gpa,
    slide: u64,
    text_at: Gpa,
}

impl Kernel {
    /// Finds the kernel of `image` in `memory`. `cr3` is what CPUs of the machine have there; a kernel that was not moved is found
    /// without any.
    ///
    /// # Errors
    /// It is not there, or has no per-CPU areas yet.
    pub fn open(image: Arc<Image>, memory: Arc<dyn Memory>, cr3: &[u64]) -> Result<Self, KernelError> {
        let linked = |name: &'static str| match image.symbols().find(name) {
            Some(Address::Linked(at)) => Ok(at),
            _ => Err(KernelError::NoSymbol(name)),
        };
        let (init_top_pgt, end) = (linked("init_top_pgt")?, linked("_end")?);
        let unmoved = Gpa(image.unmoved(init_top_pgt));
        let found = [&X86_64_4_LEVELS, &X86_64_5_LEVELS].into_iter().find_map(|format| {
            let moved = || cr3.iter().find_map(|cr3| moved(&image, &*memory, format, *cr3));
            verified(&image, &*memory, format, unmoved, 0).or_else(moved)
        });
        let found = found.ok_or(KernelError::NotFound { tables: cr3.len() })?;
        let text = image.text();
        let mut kernel = Self {
            // The kernel's own table: those of processes come and go.
            root: Gpa(found.text_at.0.wrapping_add(init_top_pgt.wrapping_sub(text))),
            format: found.format,
            slide: found.slide,
            text: text.wrapping_add(found.slide)..end.wrapping_add(found.slide),
            text_at: found.text_at,
            direct_map: None,
            per_cpu: Vec::new(),
            image,
            memory,
        };
        if kernel.walk(Gva(kernel.text.start)).ok().flatten().map(|(at, _)| at) != Some(found.text_at) {
            kernel.root = found.root;
        }
        let base = kernel.symbol("page_offset_base").and_then(|at| kernel.word(at)).unwrap_or(PAGE_OFFSET);
        let seen = kernel.walk(Gva(base.wrapping_add(kernel.text_at.0))).ok().flatten();
        kernel.direct_map = seen.filter(|(at, _)| *at == kernel.text_at).map(|_| base);
        kernel.per_cpu = kernel.per_cpu_offsets()?;
        Ok(kernel)
    }

    fn per_cpu_offsets(&self) -> Result<Vec<u64>, KernelError> {
        let cpus = self.symbol("nr_cpu_ids").and_then(|at| self.half(at))?;
        if cpus == 0 || cpus > CPUS_MAX {
            return Err(KernelError::Cpus(cpus));
        }
        let mut bytes = vec![0; 8 * cpus as usize];
        self.read(self.symbol("__per_cpu_offset")?, &mut bytes)?;
        let words = bytes.chunks_exact(8).filter_map(|word| word.first_chunk().copied().map(u64::from_le_bytes));
        Ok(words.collect())
    }

    /// Its image.
    pub fn image(&self) -> &Arc<Image> {
        &self.image
    }

    /// Its types.
    pub fn btf(&self) -> &Btf {
        self.image.btf()
    }

    /// How far KASLR has moved it.
    pub fn slide(&self) -> u64 {
        self.slide
    }

    /// Number of possible CPUs.
    pub fn cpus(&self) -> usize {
        self.per_cpu.len()
    }

    /// Address of a symbol. Of a per-CPU variable see [`Kernel::per_cpu`].
    ///
    /// # Errors
    /// The kernel has no such symbol.
    pub fn symbol(&self, name: &str) -> Result<Gva, ReadError> {
        match self.image.symbols().find(name) {
            Some(Address::Linked(at)) => Ok(Gva(at).plus(self.slide)),
            Some(Address::Absolute(at)) => Ok(Gva(at)),
            None => Err(ReadError::NoSymbol(name.to_owned())),
        }
    }

    /// Whether the kernel has a symbol.
    pub fn has_symbol(&self, name: &str) -> bool {
        self.image.symbols().find(name).is_some()
    }

    /// Name of the function or variable of the image that an address lies in, and how far.
    pub fn symbol_at(&self, at: Gva) -> Option<(String, u64)> {
        let linked = at.minus(self.slide).0;
        self.text.contains(&at.0).then(|| self.image.symbols().around_address(linked)).flatten()
    }

    /// Address of the per-CPU variable `name` of `cpu`.
    ///
    /// # Errors
    /// There is no such variable or CPU.
    pub fn per_cpu(&self, name: &str, cpu: usize) -> Result<Gva, ReadError> {
        self.of_cpu(self.symbol(name)?, cpu)
    }

    /// What a pointer to per-CPU memory (`__percpu`) means on `cpu`.
    ///
    /// # Errors
    /// There is no such CPU.
    pub fn of_cpu(&self, pointer: Gva, cpu: usize) -> Result<Gva, ReadError> {
        // Whether symbols are offsets (up to 6.14) or link addresses: the sum is right for either (arch/x86/kernel/setup_percpu.c).
        let offset = self.per_cpu.get(cpu).ok_or(ReadError::NoCpu { cpu, cpus: self.per_cpu.len() })?;
        Ok(pointer.plus(*offset))
    }

    /// Fills `into` with the bytes from `at`.
    ///
    /// # Errors
    /// A part of the range is not mapped or not in memory.
    pub fn read(&self, at: Gva, into: &mut [u8]) -> Result<(), ReadError> {
        let (mut at, mut rest) = (at, into);
        while !rest.is_empty() {
            let (physical, left) = self.locate(at)?.ok_or(ReadError::Unmapped(at))?;
            let (now, later) = rest.split_at_mut(rest.len().min(usize::try_from(left).unwrap_or(usize::MAX)));
            self.memory.read(physical, now)?;
            at = at.plus(now.len() as u64);
            rest = later;
        }
        Ok(())
    }

    /// The word at `at`.
    ///
    /// # Errors
    /// As [`Kernel::read`].
    pub fn word(&self, at: Gva) -> Result<u64, ReadError> {
        let mut word = [0; 8];
        self.read(at, &mut word)?;
        Ok(u64::from_le_bytes(word))
    }

    /// The 32-bit word at `at`.
    ///
    /// # Errors
    /// As [`Kernel::read`].
    pub fn half(&self, at: Gva) -> Result<u32, ReadError> {
        let mut half = [0; 4];
        self.read(at, &mut half)?;
        Ok(u32::from_le_bytes(half))
    }

    /// Image and direct map are known; the rest is walked for.
    fn locate(&self, at: Gva) -> Result<Option<(Gpa, u64)>, ReadError> {
        if self.text.contains(&at.0) {
            return Ok(Some((Gpa(self.text_at.0 + (at.0 - self.text.start)), self.text.end - at.0)));
        }
        let direct =
            self.direct_map.and_then(|base| at.0.checked_sub(base)).filter(|within| *within < DIRECT_MAP_BYTES);
        match direct {
            Some(within) => Ok(Some((Gpa(within), DIRECT_MAP_BYTES - within))),
            None => self.walk(at),
        }
    }

    fn walk(&self, at: Gva) -> Result<Option<(Gpa, u64)>, ReadError> {
        let mapping = self.format.translate(&*self.memory, self.root, at)?;
        Ok(mapping.map(|mapping| (mapping.at, mapping.left)))
    }
}

/// The kernel with this root and slide, if it is the one of the image.
fn verified(image: &Image, memory: &dyn Memory, format: &'static Format, root: Gpa, slide: u64) -> Option<Found> {
    let text_at = format.translate(memory, root, Gva(image.text()).plus(slide)).ok()??.at;
    let mut seen = vec![0; image.banner().len()];
    memory.read(Gpa(text_at.0.checked_add(image.banner_at() - image.text())?), &mut seen).ok()?;
    (seen == image.banner()).then_some(Found { format, root, slide, text_at })
}

/// The kernel with this CR3, wherever KASLR put it.
fn moved(image: &Image, memory: &dyn Memory, format: &'static Format, cr3: u64) -> Option<Found> {
    [cr3 & CR3_ADDRESS & !CR3_USER, cr3 & CR3_ADDRESS].into_iter().find_map(|root| {
        let is_mapped = |at: &u64| matches!(format.translate(memory, Gpa(root), Gva(*at)), Ok(Some(_)));
        let start = KERNEL_MAP.step_by(ALIGNMENT).find(is_mapped)?;
        verified(image, memory, format, Gpa(root), start.wrapping_sub(image.text()))
    })
}
