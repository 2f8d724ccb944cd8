//! The BPF object of a scheduler: opened, set up and loaded.

use std::path::Path;

use libbpf_rs::{MapCore, MapFlags, MapMut, Object, ObjectBuilder, OpenObject};

use crate::args::{Args, Fault, UserFault};
use crate::control::{self, Knob, CONTROL};
use crate::known;
use crate::topology::Topology;
use crate::Problem;

/// A scheduler: the name of its struct_ops map, which is that of the scheduler in the kernel, and the object.
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    object: &'static [u8],
}

const FIFO: Kind = Kind { name: "ktstr_fifo", object: include_bytes!(concat!(env!("OUT_DIR"), "/fifo.bpf.o")) };
const LLC: Kind = Kind { name: "ktstr_llc", object: include_bytes!(concat!(env!("OUT_DIR"), "/llc.bpf.o")) };
const VERIFIER: Kind =
    Kind { name: "ktstr_verifier", object: include_bytes!(concat!(env!("OUT_DIR"), "/verifier.bpf.o")) };

/// Size of the debug dump that the kernel makes; the map that keeps it is as large.
const DUMP_BYTES: u32 = 32768;

impl Kind {
    /// The one that is asked for.
    pub(crate) fn of(args: &Args) -> Kind {
        match (args.user_fault(UserFault::Verifier), args.llc) {
            (Some(_), _) => VERIFIER,
            (None, true) => LLC,
            (None, false) => FIFO,
        }
    }

    /// Opens and loads the object, and sets all knobs, so that the first task is scheduled as the arguments say.
    pub(crate) fn load(&self, args: &Args) -> Result<Object, Problem> {
        // A copy, because libelf wants it aligned.
        let aligned = self.object.to_vec();
        let mut open = ObjectBuilder::default().open_memory(&aligned)?;
        self.set_ops(&mut open, args)?;
        let mut object = open.load().map_err(|e| format!("{}: could not load: {e:#}", self.name))?;
        let topology = Topology::read(Path::new("/sys/devices/system/cpu"))?;
        set_knobs(&map(&mut object, CONTROL)?, args, &topology)?;
        let mut target = [0; 16];
        target[..args.target.len()].copy_from_slice(args.target.as_bytes());
        map(&mut object, "ktstr_target")?.update(&0_u32.to_ne_bytes(), &target, MapFlags::ANY)?;
        known::set(&mut object)?;
        if args.llc {
            let llcs = map(&mut object, "ktstr_cpu_llc")?;
            for (cpu, llc) in (0_u32..).zip(&topology.llc_of_cpu) {
                llcs.update(&cpu.to_ne_bytes(), &llc.to_ne_bytes(), MapFlags::ANY)?;
            }
        }
        Ok(object)
    }

    /// The numbers at the start of `struct sched_ext_ops` in `bpf/kernel.bpf.h`.
    fn set_ops(&self, open: &mut OpenObject, args: &Args) -> Result<(), Problem> {
        let mut ops = open
            .maps_mut()
            .find(|map| map.name() == self.name)
            .ok_or_else(|| format!("the object has no map {}", self.name))?;
        let value = ops.initial_value_mut().ok_or_else(|| format!("{} has no value before it is loaded", self.name))?;
        let numbers = [args.timeout_ms.to_ne_bytes(), DUMP_BYTES.to_ne_bytes()].concat();
        value.get_mut(..numbers.len()).ok_or("struct sched_ext_ops is too short")?.copy_from_slice(&numbers);
        Ok(())
    }
}

fn set_knobs(control: &MapMut, args: &Args, topology: &Topology) -> Result<(), Problem> {
    let set_up = [
        (Knob::SliceNs, args.slice_us * 1000),
        (Knob::Cpus, topology.llc_of_cpu.len() as u64),
        (Knob::Llcs, u64::from(topology.llcs)),
        (Knob::Steal, u64::from(args.steal)),
        (Knob::Loader, u64::from(std::process::id())),
    ];
    let faults = args.fault.iter().filter_map(|fault| match fault {
        Fault::Knob(setting) => Some((setting.knob, setting.value)),
        Fault::User(..) => None,
    });
    for (knob, value) in set_up.into_iter().chain(faults) {
        control::set(control, knob, value)?;
    }
    Ok(())
}

/// A map of the object.
pub(crate) fn map<'a>(object: &'a mut Object, name: &str) -> Result<MapMut<'a>, Problem> {
    let mut maps = object.maps_mut();
    maps.find(|map| map.name() == name).ok_or_else(|| format!("the object has no map {name}").into())
}
