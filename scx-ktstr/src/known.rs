//! Values in maps that stay as they are set here, for whoever reads maps from outside: see `bpf/known.bpf.h`.

use libbpf_rs::{num_possible_cpus, MapCore, MapFlags, Object};

use crate::object::map;
use crate::Problem;

/// Key of the one element of `ktstr_known`.
const KEY: u64 = 0x1122_3344_5566;

/// Sets them.
pub(crate) fn set(object: &mut Object) -> Result<(), Problem> {
    map(object, "ktstr_known")?.update(&KEY.to_ne_bytes(), &value(), MapFlags::ANY)?;
    let cpus = num_possible_cpus()? as u64;
    let values: Vec<Vec<u8>> = (1000..1000 + cpus).map(|value| value.to_ne_bytes().to_vec()).collect();
    Ok(map(object, "ktstr_known_cpu")?.update_percpu(&0_u32.to_ne_bytes(), &values, MapFlags::ANY)?)
}

/// `struct known`.
fn value() -> Vec<u8> {
    let large: u64 = 0xffff_ffff_ffff_fff0;
    let (negative, blue, bits): (i32, u32, u32) = (-5, 7, 5 | 123_456 << 3);
    let words = [negative as u32, blue, 10, 20, 30, bits].map(u32::to_ne_bytes).concat();
    [&large.to_ne_bytes()[..], &words, b"ktstr\0\0\0"].concat()
}
