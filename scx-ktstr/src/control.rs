//! The map of knobs: how the scheduler is set up before it is loaded, and how faults are switched while it runs.
//!
//! `bpftool map dump name ktstr_control` shows it, and any program may write it: a number for each knob.

use libbpf_rs::query::MapInfoIter;
use libbpf_rs::{MapCore, MapFlags, MapHandle};

use crate::args::Setting;
use crate::Problem;

/// Name of the map, and where it is in other programs' lists of maps.
pub(crate) const CONTROL: &str = "ktstr_control";

/// The keys of the map, in the order of `enum knob` in `bpf/common.bpf.h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Knob {
    SliceNs,
    Cpus,
    Llcs,
    Steal,
    Loader,
    Drop,
    Error,
    NotAllowed,
    NoKick,
    Starve,
    Invert,
    Wrap,
    KickWait,
    StarveKthreads,
    CountTwice,
    OneCpu,
}

impl Knob {
    /// Those that make something wrong.
    pub(crate) const FAULTS: [(&'static str, Knob); 11] = [
        ("drop", Knob::Drop),
        ("error", Knob::Error),
        ("not-allowed", Knob::NotAllowed),
        ("no-kick", Knob::NoKick),
        ("starve", Knob::Starve),
        ("invert", Knob::Invert),
        ("wrap", Knob::Wrap),
        ("kick-wait", Knob::KickWait),
        ("starve-kthreads", Knob::StarveKthreads),
        ("count-twice", Knob::CountTwice),
        ("one-cpu", Knob::OneCpu),
    ];
}

/// Sets a knob.
pub(crate) fn set(map: &impl MapCore, knob: Knob, value: u64) -> Result<(), Problem> {
    map.update(&(knob as u32).to_ne_bytes(), &value.to_ne_bytes(), MapFlags::ANY)
        .map_err(|e| format!("could not set knob {knob:?} to {value}: {e:#}").into())
}

/// Sets a knob of each scheduler that is loaded.
pub(crate) fn switch(setting: &Setting) -> Result<(), Problem> {
    let mut found = 0;
    for info in MapInfoIter::default().filter(|info| info.name.as_bytes() == CONTROL.as_bytes()) {
        set(&MapHandle::from_map_id(info.id)?, setting.knob, setting.value)?;
        found += 1;
    }
    if found == 0 {
        return Err(format!("no scheduler of scx-ktstr is loaded: no BPF map has the name {CONTROL}").into());
    }
    println!("scx-ktstr: {:?} is {} now", setting.knob, setting.value);
    Ok(())
}
