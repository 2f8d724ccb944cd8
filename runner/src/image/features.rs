//! What a kernel has, so far as a scheduler may ask for it: options from its configuration, and names of sched_ext and BPF from its
//! type information.
//!
//! ```text
//! .config ──▶ CONFIG_EXT_GROUP_SCHED …
//! .BTF    ──▶ scx_bpf_dsq_move (a kfunc), sched_ext_ops (a type), sched_ext_ops.cgroup_set_bandwidth (a member), SCX_OPS_… (a constant)
//! ```
//!
//! Versions say little: stable kernels and distributions take features from others.

use ktstr_btf::{Btf, Named};
use object::read::elf::{FileHeader, SectionHeader};
use object::Endianness;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Without this type a kernel has no sched_ext: every scheduler needs it.
pub(crate) const SCHED_EXT: &str = "sched_ext_ops";

/// What is known of a kernel.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Features {
    /// `CONFIG_X` of what is built in or a module; none: the configuration was not at hand.
    pub(crate) options: Option<BTreeSet<String>>,
    /// Names from its type information; none: it has no such information.
    pub(crate) names: Option<BTreeSet<String>>,
}

/// A kernel, and what cannot be said of it.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("whether the kernel has {feature} cannot be known without its configuration: name it (--config)")]
pub(crate) struct UnknownFeature {
    feature: String,
}

impl Features {
    /// Reads an ELF kernel with its sections, and its configuration.
    pub(crate) fn of(kernel: &[u8], config: Option<&str>) -> Self {
        // A kernel without type information, or with one that cannot be read, has no names: cases that need one are skipped and say so.
        Self { options: config.map(options), names: btf(kernel).and_then(names) }
    }

    /// The first of `wanted` that the kernel does not have, as the reason to skip a case.
    pub(crate) fn lacks(&self, wanted: &[String]) -> Result<Option<String>, UnknownFeature> {
        for feature in wanted {
            let known = if feature.starts_with("CONFIG_") { &self.options } else { &self.names };
            match known {
                Some(known) if known.contains(feature) => {}
                Some(_) => return Ok(Some(feature.clone())),
                None if feature.starts_with("CONFIG_") => return Err(UnknownFeature { feature: feature.clone() }),
                None => return Ok(Some(format!("{feature} (it has no type information: CONFIG_DEBUG_INFO_BTF)"))),
            }
        }
        Ok(None)
    }
}

fn options(config: &str) -> BTreeSet<String> {
    let set = |line: &str| {
        let (name, value) = line.split_once('=')?;
        (name.starts_with("CONFIG_") && matches!(value, "y" | "m")).then(|| name.to_owned())
    };
    config.lines().filter_map(set).collect()
}

/// Content of the section `.BTF`. A kernel that is prepared already has no sections, but the content is loaded and still there.
fn btf(kernel: &[u8]) -> Option<&[u8]> {
    section(kernel).or_else(|| loaded(kernel))
}

/// Type information by its header (include/uapi/linux/btf.h): magic, version 1, no flags, 24 bytes; types, and behind them their names.
fn loaded(kernel: &[u8]) -> Option<&[u8]> {
    const HEADER: [u8; 8] = [0x9f, 0xeb, 1, 0, 24, 0, 0, 0];
    kernel.windows(HEADER.len()).enumerate().filter(|(_, window)| *window == HEADER).find_map(|(at, _)| {
        let word = |number: usize| {
            let bytes = kernel.get(at + 8 + number * 4..)?.first_chunk()?;
            Some(u32::from_le_bytes(*bytes) as usize)
        };
        let (types, types_length, names, names_length) = (word(0)?, word(1)?, word(2)?, word(3)?);
        let whole = kernel.get(at..at.checked_add(24 + names)?.checked_add(names_length)?)?;
        (types == 0 && types_length == names && types_length > 0).then_some(whole)
    })
}

fn section(kernel: &[u8]) -> Option<&[u8]> {
    let header = object::elf::FileHeader64::<Endianness>::parse(kernel).ok()?;
    let endian = header.endian().ok()?;
    let sections = header.sections(endian, kernel).ok()?;
    sections.section_by_name(endian, b".BTF").and_then(|(_, section)| section.data(endian, kernel).ok())
}

fn names(btf: &[u8]) -> Option<BTreeSet<String>> {
    let btf = Btf::parse(btf).ok()?;
    let mut names = BTreeSet::new();
    for named in btf.named_types() {
        match named {
            Named::Function { name, arguments } => {
                let is_kfunc = name.starts_with("scx_bpf_") || name.starts_with("bpf_");
                if is_kfunc && !shows_hidden_argument(name, &arguments) {
                    names.insert(name.to_owned());
                }
            }
            Named::Struct { name, members } if name.starts_with("sched_ext_") || name.starts_with("scx_") => {
                names.extend(members.iter().map(|member| format!("{name}.{member}")));
                names.insert(name.to_owned());
            }
            Named::Struct { .. } => {}
            Named::Enum { constants } => {
                names.extend(constants.iter().filter(|name| name.starts_with("SCX_")).map(|name| (*name).to_owned()));
            }
        }
    }
    Some(names)
}

/// Whether no program can call a kfunc although it is there. The last argument of some (KF_IMPLICIT_ARGS, kernel/bpf/verifier.c, from 7.1) is
/// added by the verifier. It looks for the whole prototype under `<name>_impl`, which newer versions of pahole make; older ones leave the
/// argument where programs do not give it.
fn shows_hidden_argument(name: &str, arguments: &[&str]) -> bool {
    arguments.last() == Some(&"aux") && !name.ends_with("_impl")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn features() -> Features {
        let names = ["sched_ext_ops", "sched_ext_ops.exit"].map(str::to_owned);
        Features {
            options: Some(options("CONFIG_A=y\nCONFIG_B=m\n# CONFIG_C is not set\nCONFIG_HZ=250\n")),
            names: Some(names.into()),
        }
    }

    fn lacks(features: &Features, wanted: &[&str]) -> Result<Option<String>, String> {
        let wanted: Vec<String> = wanted.iter().map(|&name| name.into()).collect();
        features.lacks(&wanted).map_err(|error| error.to_string())
    }

    #[test]
    fn the_first_that_is_not_there_is_named() {
        assert_eq!(lacks(&features(), &["CONFIG_A", "CONFIG_B", "sched_ext_ops.exit"]), Ok(None));
        assert_eq!(lacks(&features(), &["CONFIG_A", "CONFIG_C", "CONFIG_D"]), Ok(Some("CONFIG_C".into())));
        assert_eq!(lacks(&features(), &["scx_bpf_new"]), Ok(Some("scx_bpf_new".into())));
        assert_eq!(lacks(&features(), &["CONFIG_HZ"]), Ok(Some("CONFIG_HZ".into())));
    }

    #[test]
    fn what_cannot_be_known_is_no_skip() {
        let blind = Features::default();
        let error = lacks(&blind, &["CONFIG_A"]).expect_err("is not known");
        assert!(error.starts_with("whether the kernel has CONFIG_A cannot be known"), "{error}");
        let reason = "sched_ext_ops (it has no type information: CONFIG_DEBUG_INFO_BTF)";
        assert_eq!(lacks(&blind, &[SCHED_EXT]), Ok(Some(reason.into())));
    }

    #[test]
    fn a_prepared_kernel_still_has_its_names() {
        // `struct sched_ext_ops {}` without members, and before it what only looks like a header.
        let names = b"\0sched_ext_ops\0";
        let kind = [1u32, 4 << 24, 0];
        let header = |types: u32| -> Vec<u8> {
            let words = [24, 0, types, types, names.len() as u32];
            [&[0x9f, 0xeb, 1, 0][..], &words.map(u32::to_le_bytes).concat()].concat()
        };
        let kinds: Vec<u8> = kind.iter().flat_map(|word| word.to_le_bytes()).collect();
        let kernel = [b"\x7fELF", &header(u32::MAX)[..], b"xxx", &header(12), &kinds, names, b"more"].concat();
        assert_eq!(Features::of(&kernel, None).names, Some([SCHED_EXT.to_owned()].into()));
    }

    #[test]
    fn a_kernel_without_sections_has_no_names() {
        assert_eq!(Features::of(b"\x7fELF", None), Features::default());
    }
}
