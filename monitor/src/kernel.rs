//! A kernel, found in the memory of a machine.
//!
//! ```text
//! Image (link addresses) ─┬─Kernel::open─▶ slide, root of the page tables, direct map, per-CPU offsets
//! Memory (physical)      ─┘                   symbol, per_cpu ──▶ Gva ──read──▶ bytes
//! ```
//!
//! Memory is all that it takes to find it. A kernel that nothing moved lies where its image says. KASLR moves it in physical memory and in virtual
//! addresses, each by multiples of 2 MiB: it is where `linux_banner` stands word for word, `init_top_pgt` is in it, and the first page of
//! 2 MiB that this maps above `__START_KERNEL_map` is `_text` (arch/x86/kernel/head64.c, `__startup_64`).

use crate::error::{KernelError, ReadError};
use crate::image::Image;
use crate::page_table::{Format, Gva, X86_64_4_LEVELS, X86_64_5_LEVELS};
use crate::segments::Memory;
use crate::symbols::Address;
use ktstr_btf::Btf;
use ktstr_model::cpuset::CPUS_MAX;
use ktstr_vmm::Gpa;
use std::ops::Range;
use std::sync::Arc;

/// `__START_KERNEL_map` and `KERNEL_IMAGE_SIZE` with KASLR.
const KERNEL_MAP: Range<u64> = 0xffff_ffff_8000_0000..0xffff_ffff_c000_0000;
/// Images begin at multiples of it.
const ALIGNMENT: usize = 2 << 20;
/// `system_state` until the first task is scheduled (include/linux/kernel.h).
const SYSTEM_BOOTING: u32 = 0;
/// Without `page_offset_base`: `__PAGE_OFFSET_BASE_L4`.
const PAGE_OFFSET: u64 = 0xffff_8880_0000_0000;
/// No machine has more memory in the direct map.
const DIRECT_MAP_BYTES: u64 = 1 << 46;

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

impl Kernel {
    /// Finds the kernel of `image` in `memory`.
    ///
    /// # Errors
    /// It is not there, or not through its boot.
    pub fn open(image: Arc<Image>, memory: Arc<dyn Memory>) -> Result<Self, KernelError> {
        let linked = |name: &'static str| match image.symbols().find(name) {
            Some(Address::Linked(at)) => Ok(at),
            _ => Err(KernelError::NoSymbol(name)),
        };
        let (init_top_pgt, end) = (linked("init_top_pgt")?, linked("_end")?);
        let (mut seen, mut found) = (false, None);
        for text_at in places(&image, &*memory).filter(|at| is_at(&image, &*memory, *at)) {
            seen = true;
            // The kernel's own table: those of processes come and go.
            let root = Gpa(text_at.0.wrapping_add(init_top_pgt.wrapping_sub(image.text())));
            let slide = |format| Some((format, root, text_at, slide(&image, &*memory, format, root, text_at)?));
            found = [&X86_64_4_LEVELS, &X86_64_5_LEVELS].into_iter().find_map(slide);
            if found.is_some() {
                break;
            }
        }
        let nowhere = if seen { KernelError::Boots } else { KernelError::NotFound };
        let (format, root, text_at, slide) = found.ok_or(nowhere)?;
        let text = image.text().wrapping_add(slide)..end.wrapping_add(slide);
        let mut kernel =
            Self { image, memory, format, root, slide, text, text_at, direct_map: None, per_cpu: Vec::new() };
        // Before, CPUs have no areas of their own, and the direct map may not be complete.
        if kernel.half(kernel.symbol("system_state")?)? == SYSTEM_BOOTING {
            return Err(KernelError::Boots);
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
        Ok(self.words(self.symbol("__per_cpu_offset")?, cpus as usize)?)
    }

    /// Its image.
    pub fn image(&self) -> &Arc<Image> {
        &self.image
    }

    /// Its types.
    pub fn btf(&self) -> &Btf {
        self.image.btf()
    }

    /// Whether it is still there: memory of a machine that is gone cannot be read, or not as before.
    pub fn is_there(&self) -> bool {
        is_at(&self.image, &*self.memory, self.text_at)
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

    /// Writes `from` to the bytes from `at`.
    ///
    /// # Errors
    /// A part of the range is not mapped, not in memory, or cannot be written.
    pub fn write(&self, at: Gva, from: &[u8]) -> Result<(), ReadError> {
        let (mut at, mut rest) = (at, from);
        while !rest.is_empty() {
            let (physical, left) = self.locate(at)?.ok_or(ReadError::Unmapped(at))?;
            let (now, later) = rest.split_at(rest.len().min(usize::try_from(left).unwrap_or(usize::MAX)));
            self.memory.overwrite(physical, now)?;
            at = at.plus(now.len() as u64);
            rest = later;
        }
        Ok(())
    }

    /// Fills each of `parts` with the bytes from its address on: with few calls, where many reads would be one each.
    pub(crate) fn read_many<'p>(&self, parts: impl Iterator<Item = (Gva, &'p mut [u8])>) -> Result<(), ReadError> {
        let mut located = Vec::with_capacity(parts.size_hint().0);
        for (mut at, mut rest) in parts {
            while !rest.is_empty() {
                let (physical, left) = self.locate(at)?.ok_or(ReadError::Unmapped(at))?;
                let (now, later) = rest.split_at_mut(rest.len().min(usize::try_from(left).unwrap_or(usize::MAX)));
                at = at.plus(now.len() as u64);
                rest = later;
                located.push((physical, now));
            }
        }
        Ok(self.memory.read_many(&mut located)?)
    }

    /// Fills `into` with the same `pieces` of each of `objects`, if memory has a cheap way ([`Memory::gather`]); whether it has.
    pub(crate) fn gather(&self, objects: &[Gva], pieces: &[Range<usize>], into: &mut [u8]) -> bool {
        let bytes = pieces.last().map_or(0, |last| last.end as u64);
        let physical = |at: &Gva| self.locate(*at).ok()?.filter(|(_, left)| *left >= bytes).map(|(at, _)| at);
        let located: Option<Vec<Gpa>> = objects.iter().map(physical).collect();
        located.is_some_and(|objects| self.memory.gather(&objects, pieces, into))
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

    /// `count` words from `at`, with one read.
    pub(crate) fn words(&self, at: Gva, count: usize) -> Result<Vec<u64>, ReadError> {
        let mut bytes = vec![0; 8 * count];
        self.read(at, &mut bytes)?;
        let words = bytes.chunks_exact(8).filter_map(|word| word.first_chunk().copied().map(u64::from_le_bytes));
        Ok(words.collect())
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

/// Where the image may lie: first where it is linked.
fn places<'a>(image: &Image, memory: &'a dyn Memory) -> impl Iterator<Item = Gpa> + 'a {
    let steps = memory.ranges().into_iter().flat_map(|(start, bytes)| {
        (start.0.next_multiple_of(ALIGNMENT as u64)..start.0.saturating_add(bytes)).step_by(ALIGNMENT)
    });
    std::iter::once(image.unmoved(image.text())).chain(steps).map(Gpa)
}

fn is_at(image: &Image, memory: &dyn Memory, text_at: Gpa) -> bool {
    let mut seen = vec![0; image.banner().len()];
    let banner_at = text_at.0.checked_add(image.banner_at() - image.text());
    banner_at.is_some_and(|at| memory.read(Gpa(at), &mut seen).is_ok()) && seen == image.banner()
}

/// How far the table at `root` has moved the image from its link addresses, if it maps it.
fn slide(image: &Image, memory: &dyn Memory, format: &Format, root: Gpa, text_at: Gpa) -> Option<u64> {
    let mapped = |at: u64| format.translate(memory, root, Gva(at)).ok().flatten().map(|mapping| mapping.at);
    let starts = std::iter::once(image.text()).chain(KERNEL_MAP.step_by(ALIGNMENT));
    let start = starts.into_iter().find(|start| mapped(*start) == Some(text_at))?;
    Some(start.wrapping_sub(image.text()))
}
