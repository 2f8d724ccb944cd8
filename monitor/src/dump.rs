//! Everything at once, for when something is over: `Image, Memory, registers ──dump──▶ Dump`.
//!
//! A guest in such a state may be damaged: each part is read for itself, and what cannot be read is named and left out.

use crate::bpf::{Element, Map, Maps};
use crate::error::{KernelError, ReadError};
use crate::image::Image;
use crate::kernel::Kernel;
use crate::list::End;
use crate::page_table::Gva;
use crate::sampler::Sampler;
use crate::scx::{Dsq, Scx};
use crate::segments::Memory;
use crate::task::Tasks;
use crate::unwind::Unwinder;
use crate::Runqueues;
use ktstr_btf::{Btf, Member, TypeId};
use ktstr_model::dump::{CpuDump, DsqDump, Dump, ElementDump, FrameDump, MapDump};
use ktstr_model::MonitorSpec;
use ktstr_vmm::CpuRegisters;
use std::sync::Arc;

/// Elements of one map, fields of one element and bytes of one value that are shown.
const ELEMENTS_SHOWN: usize = 64;
const FIELDS_SHOWN: usize = 256;
const VALUE_BYTES_SHOWN: u64 = 1 << 20;
/// Tasks of one queue that are shown.
const TASKS_SHOWN: usize = 256;

/// Reads everything; `counter` is as of [`Sampler::sample`]. `registers` may be none, if they cannot be known.
///
/// # Errors
/// As [`Sampler::open`]; or the machine is gone.
pub fn dump(
    image: Arc<Image>,
    memory: Arc<dyn Memory>,
    counter: Option<u64>,
    registers: &[CpuRegisters],
) -> Result<Dump, KernelError> {
    // One that has not said anything of any task yet.
    let mut sampler = Sampler::open(image, memory, &MonitorSpec::default())?;
    let (at, sample) = sampler.sample(counter).ok_or(KernelError::Gone)?;
    let kernel = sampler.kernel();
    let mut dump = Dump { at, sample, ..Dump::default() };
    let unwinder = dump.or_missing("backtraces", Unwinder::of(kernel));
    dump.cpus = registers.iter().map(|of| cpu(kernel, unwinder.as_ref(), of)).collect();
    let dsqs = dump.or_missing("dispatch queues", dsqs(kernel));
    dump.dsqs = dsqs.unwrap_or_default();
    let maps = dump.or_missing("BPF maps", Maps::of(kernel).and_then(|maps| Ok((maps.all(kernel)?, maps))));
    for (map, maps) in maps.iter().flat_map(|(all, maps)| all.iter().map(move |map| (map, maps))) {
        let shown = dump.or_missing(&format!("map {}", map.name), map_dump(kernel, maps, map));
        dump.maps.extend(shown);
    }
    Ok(dump)
}

trait OrMissing {
    fn or_missing<T>(&mut self, what: &str, result: Result<T, ReadError>) -> Option<T>;
}

impl OrMissing for Dump {
    fn or_missing<T>(&mut self, what: &str, result: Result<T, ReadError>) -> Option<T> {
        result.map_err(|error| self.missing.push(format!("{what}: {error}"))).ok()
    }
}

fn cpu(kernel: &Kernel, unwinder: Option<&Unwinder>, of: &CpuRegisters) -> CpuDump {
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
    let frames = unwinder.map(|unwinder| unwinder.cpu(kernel, of)).unwrap_or_default();
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
fn dsqs(kernel: &Kernel) -> Result<Vec<DsqDump>, ReadError> {
    let Some(scx) = Scx::of(kernel)? else { return Ok(Vec::new()) };
    let Some(root) = scx.scx_root(kernel)? else { return Ok(Vec::new()) };
    let (tasks, runqueues) = (Tasks::of(kernel)?, Runqueues::of(kernel)?);
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

fn map_dump(kernel: &Kernel, maps: &Maps, map: &Map) -> Result<MapDump, ReadError> {
    let elements = maps.elements(kernel, map)?.unwrap_or_default();
    let types = maps.types(kernel, map)?;
    let fields = types.as_ref().filter(|_| map.value_type != TypeId(0));
    let leaves = fields.map(|types| types.leaves(map.value_type, FIELDS_SHOWN)).unwrap_or_default();
    let typed = types.as_ref().map(|types| (types, leaves.as_slice()));
    let mut shown = Vec::new();
    for element in elements.iter().take(ELEMENTS_SHOWN) {
        match map.is_per_cpu() {
            false => shown.push(element_dump(kernel, map, element, (element.value, None), typed)?),
            true => {
                for cpu in 0..kernel.cpus() {
                    let place = (kernel.of_cpu(element.value, cpu)?, Some(cpu as u32));
                    shown.push(element_dump(kernel, map, element, place, typed)?);
                }
            }
        }
    }
    let more = elements.len().saturating_sub(ELEMENTS_SHOWN) as u64;
    Ok(MapDump { name: map.name.clone(), id: map.id, elements: shown, more })
}

fn element_dump(
    kernel: &Kernel,
    map: &Map,
    element: &Element,
    (value, cpu): (Gva, Option<u32>),
    typed: Option<(&Btf, &[Member])>,
) -> Result<ElementDump, ReadError> {
    let mut bytes = vec![0; map.value_bytes.min(VALUE_BYTES_SHOWN) as usize];
    kernel.read(value, &mut bytes)?;
    let whole = || vec![(String::new(), hexadecimal(&bytes))];
    let fields = match typed {
        Some((types, leaves)) if !leaves.is_empty() => leaves
            .iter()
            .map(|Member { name, field }| {
                let at = bytes.get(field.offset as usize..).unwrap_or_default();
                let most = field.shape.bytes(types).unwrap_or_default().min(at.len() as u64) as usize;
                (name.clone(), types.decode(&field.shape, &at[..most]).to_string())
            })
            .collect(),
        _ => whole(),
    };
    Ok(ElementDump { key: key(&element.key), cpu, fields })
}

/// A number where it can be one.
fn key(bytes: &[u8]) -> String {
    match bytes.len() {
        0..=8 => {
            let mut word = [0; 8];
            word.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
            u64::from_le_bytes(word).to_string()
        }
        _ => hexadecimal(bytes),
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    const SHOWN: usize = 64;
    let digits: String = bytes.iter().take(SHOWN).map(|byte| format!("{byte:02x}")).collect();
    if bytes.len() > SHOWN {
        format!("{digits}… ({} bytes)", bytes.len())
    } else {
        digits
    }
}
