//! Everything at once, for when something is over: `Image, Memory, registers ──dump──▶ Dump`.
//!
//! A guest in such a state may be damaged: each part is read for itself, and what cannot be read is named and left out.

use crate::bpf::{Map, Maps};
use crate::error::{KernelError, ReadError};
use crate::image::Image;
use crate::kernel::Kernel;
use crate::list::End;
use crate::page_table::Gva;
use crate::sampler::Sampler;
use crate::scx::{Dsq, Scx};
use crate::segments::Memory;
use crate::task::Tasks;
use crate::unwind::{Frame, Unwinder};
use crate::Runqueues;
use ktstr_btf::{Btf, Field, Member, TypeId};
use ktstr_model::dump::{CpuDump, DsqDump, Dump, ElementDump, FrameDump, MapDump};
use ktstr_model::MonitorSpec;
use ktstr_vmm::CpuRegisters;
use std::sync::Arc;

/// Maps, elements of one and fields of one element that are shown.
const MAPS_SHOWN: usize = 256;
const ELEMENTS_SHOWN: u64 = 64;
const FIELDS_SHOWN: usize = 256;
/// Bytes of one value that are read, and those shown of a text and of a value without types.
const VALUE_BYTES_MAX: u64 = 1 << 20;
const TEXT_BYTES_SHOWN: u64 = 256;
const BYTES_SHOWN: u64 = 64;
/// What all fields may take, and each one at least.
const ALL_BYTES_SHOWN: usize = 16 << 20;
const FIELD_BYTES: usize = 64;
/// Tasks of one queue that are shown.
const TASKS_SHOWN: usize = 256;

/// Reads everything that can be read; `counter` is as of [`Sampler::sample`]. `registers` may be none, if they cannot be known.
pub fn dump(image: Arc<Image>, memory: Arc<dyn Memory>, counter: Option<u64>, registers: &[CpuRegisters]) -> Dump {
    // One that has not said anything of any task yet.
    let sampler = Sampler::open(image, memory, &MonitorSpec::default());
    let seen = sampler.and_then(|mut sampler| Ok((sampler.sample(counter).ok_or(KernelError::Gone)?, sampler)));
    let mut dump = Dump::default();
    match seen {
        Ok(((at, sample), sampler)) => {
            (dump.at, dump.sample) = (at, sample);
            add_kernel(&mut dump, &sampler, registers);
        }
        Err(error) => {
            dump.cpus = registers.iter().map(|of| cpu(of, Vec::new())).collect();
            dump.missing.push(format!("the kernel: {error}"));
        }
    }
    dump
}

fn add_kernel(dump: &mut Dump, sampler: &Sampler, registers: &[CpuRegisters]) {
    let (kernel, tasks, runqueues, scx) = sampler.parts();
    let unwinder = dump.or_missing("backtraces", Unwinder::of(kernel));
    let way = |of| unwinder.as_ref().map(|unwinder| unwinder.cpu(kernel, of)).unwrap_or_default();
    dump.cpus = registers.iter().map(|of| cpu(of, way(of))).collect();
    let problem = unwinder.as_ref().and_then(Unwinder::problem);
    dump.missing.extend(problem.map(|error| format!("modules in backtraces: {error}")));
    if let Some(scx) = scx {
        dump.dsqs = dump.or_missing("dispatch queues", dsqs(kernel, scx, tasks, runqueues)).unwrap_or_default();
    }
    let maps = dump.or_missing("BPF maps", Maps::of(kernel).and_then(|maps| Ok((maps.all(kernel)?, maps))));
    let mut left = ALL_BYTES_SHOWN;
    let Some((all, maps)) = maps else { return };
    for map in all.iter().take(MAPS_SHOWN) {
        let shown = dump.or_missing(&format!("map {}", map.name), map_dump(kernel, &maps, map, &mut left));
        dump.maps.extend(shown);
    }
    if all.len() > MAPS_SHOWN {
        dump.missing.push(format!("maps: {} of {} are shown", MAPS_SHOWN, all.len()));
    }
}

trait OrMissing {
    fn or_missing<T>(&mut self, what: &str, result: Result<T, ReadError>) -> Option<T>;
}

impl OrMissing for Dump {
    fn or_missing<T>(&mut self, what: &str, result: Result<T, ReadError>) -> Option<T> {
        result.map_err(|error| self.missing.push(format!("{what}: {error}"))).ok()
    }
}

fn cpu(of: &CpuRegisters, frames: Vec<Frame>) -> CpuDump {
    let CpuRegisters { rip, rsp, rbp, rflags, cr0, cr2, cr3, cr4, .. } = *of;
    let registers = [
        ("rip", rip),
        ("rsp", rsp),
        ("rbp", rbp),
        ("rflags", rflags),
        ("cr0", cr0),
        ("cr2", cr2),
        ("cr3", cr3),
        ("cr4", cr4),
    ];
    CpuDump {
        cpu: of.cpu,
        registers: registers.map(|(name, value)| (name.to_owned(), value)).into(),
        interrupts: of.interrupts_enabled(),
        halted: of.halted,
        user: of.privilege == 3,
        backtrace: frames.into_iter().map(|frame| FrameDump { at: frame.at.0, name: frame.name }).collect(),
    }
}

/// Queues with tasks.
fn dsqs(kernel: &Kernel, scx: &Scx, tasks: &Tasks, runqueues: &Runqueues) -> Result<Vec<DsqDump>, ReadError> {
    let Some(root) = scx.scx_root(kernel)? else { return Ok(Vec::new()) };
    let mut shown = Vec::new();
    let mut show = |dsq: &Dsq, cpu| {
        if dsq.nr > 0 {
            let (queued, end) = scx.tasks(kernel, dsq, TASKS_SHOWN)?;
            let pids = queued.iter().map(|at| Ok(tasks.read(kernel, *at)?.pid)).collect::<Result<_, ReadError>>()?;
            shown.push(DsqDump { id: dsq.id, cpu, pids, complete: end == End::Complete });
        }
        Ok::<_, ReadError>(())
    };
    for cpu in 0..kernel.cpus() {
        show(&scx.local_dsq(kernel, runqueues.cpu_rq(cpu)?)?, Some(cpu as u32))?;
    }
    scx.dsqs(kernel, root)?.0.iter().try_for_each(|dsq| show(dsq, None))?;
    Ok(shown)
}

fn map_dump(kernel: &Kernel, maps: &Maps, map: &Map, left: &mut usize) -> Result<MapDump, ReadError> {
    let elements = maps.elements(kernel, map)?.ok_or(ReadError::UnknownKind)?;
    let types = maps.types(kernel, map)?;
    let fields = types.as_ref().filter(|_| map.value_type != TypeId(0));
    let leaves = fields.map(|types| types.leaves(map.value_type, FIELDS_SHOWN)).unwrap_or_default();
    let typed = types.as_ref().filter(|_| !leaves.is_empty()).map(|types| (types, leaves.as_slice()));
    let mut dumped = MapDump { name: map.name.clone(), id: map.id, elements: Vec::new(), more: 0 };
    for (element, index) in elements.iter().zip(0..) {
        if index >= ELEMENTS_SHOWN || *left == 0 {
            dumped.more = elements.len() as u64 - index;
            break;
        }
        let cpus = if map.is_per_cpu() { kernel.cpus() } else { 1 };
        for cpu in (0..cpus).map(|cpu| map.is_per_cpu().then_some(cpu)) {
            let at = cpu.map_or(Ok(element.value), |cpu| kernel.of_cpu(element.value, cpu))?;
            let fields = fields_of(kernel, map, at, typed)?;
            let bytes: usize = fields.iter().map(|(name, value)| FIELD_BYTES + name.len() + value.len()).sum();
            *left = left.saturating_sub(bytes);
            dumped.elements.push(ElementDump { key: key(&element.key), cpu: cpu.map(|cpu| cpu as u32), fields });
        }
    }
    Ok(dumped)
}

/// What a value is made of, with names where its types are known.
fn fields_of(
    kernel: &Kernel,
    map: &Map,
    at: Gva,
    typed: Option<(&Btf, &[Member])>,
) -> Result<Vec<(String, String)>, ReadError> {
    let end = |types: &Btf, Field { offset, shape, .. }: &Field| {
        offset.saturating_add(shape.bytes(types).unwrap_or_default())
    };
    let shown = match typed {
        Some((types, leaves)) => leaves.iter().map(|leaf| end(types, &leaf.field)).max().unwrap_or_default(),
        None => BYTES_SHOWN,
    };
    let mut bytes = vec![0; map.value_bytes.min(shown).min(VALUE_BYTES_MAX) as usize];
    kernel.read(at, &mut bytes)?;
    let Some((types, leaves)) = typed else { return Ok(vec![(String::new(), hexadecimal(&bytes, map.value_bytes))]) };
    let shown = |Member { name, field }: &Member| {
        let at = bytes.get(field.offset as usize..).unwrap_or_default();
        let most = field.shape.bytes(types).unwrap_or_default().min(TEXT_BYTES_SHOWN).min(at.len() as u64);
        (name.clone(), types.decode(&field.shape, &at[..most as usize]).to_string())
    };
    Ok(leaves.iter().map(shown).collect())
}

/// A number where it can be one.
fn key(bytes: &[u8]) -> String {
    match bytes.len() {
        0..=8 => {
            let mut word = [0; 8];
            word.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
            u64::from_le_bytes(word).to_string()
        }
        length => hexadecimal(bytes, length as u64),
    }
}

/// The first ones of so many bytes.
fn hexadecimal(bytes: &[u8], of: u64) -> String {
    let digits: String = bytes.iter().take(BYTES_SHOWN as usize).map(|byte| format!("{byte:02x}")).collect();
    if of > BYTES_SHOWN {
        format!("{digits}… ({of} bytes)")
    } else {
        digits
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bpf::tests::{machine, types};
    use crate::bpf::ARRAY;

    #[test]
    fn what_is_shown_of_maps_has_an_end() {
        // Two elements of 100 bytes, and how many of them are shown with so much left.
        let more = [(0x8008, 100 << 32 | 4), (0x8030, 104), (0x8038, 7)];
        let kernel = machine(ARRAY, &more).open(&types()).expect("is there");
        let maps = Maps::of(&kernel).expect("are there");
        let map = maps.all(&kernel).expect("are readable").remove(0);
        for (mut left, shown, more) in [(ALL_BYTES_SHOWN, 2, 0), (FIELD_BYTES, 1, 1), (0, 0, 2)] {
            let dumped = map_dump(&kernel, &maps, &map, &mut left).expect("is readable");
            assert_eq!((dumped.elements.len(), dumped.more), (shown, more));
            let value = format!("07{}… (100 bytes)", "00".repeat(63));
            let first = dumped.elements.first().map(|element| element.fields.clone());
            assert_eq!(first, (shown > 0).then(|| vec![(String::new(), value)]));
        }
    }
}
