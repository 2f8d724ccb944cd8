//! From a kernel image as a build or a distribution gives it to one that starts fast: unpacked once, not at every boot.

use super::features::Features;
use super::{bzimage, elf};
use serde::{Deserialize, Serialize};

/// What is known of a prepared kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KernelInfo {
    /// As `uname -r` says; empty if the image does not tell.
    pub(crate) release: String,
    /// As in Bazel's platforms.
    pub(crate) arch: String,
    /// What schedulers may ask for.
    pub(crate) features: Features,
}

/// A kernel image that cannot be booted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KernelError {
    #[error("not a kernel image: it starts with {0}; a bzImage or an ELF vmlinux would do")]
    NotAKernel(String),
    #[error("the kernel is for {0}, the machine is x86-64")]
    Architecture(&'static str),
    #[error("the kernel image is truncated: {seen} bytes of {expected}")]
    Truncated { seen: u64, expected: u64 },
    #[error("the kernel is compressed with {0}; gzip, zstd and none are known: set CONFIG_KERNEL_ZSTD=y")]
    Compression(&'static str),
    #[error("the compressed kernel inside the image is damaged")]
    Damaged { source: std::io::Error },
    #[error("the kernel is not a valid ELF file: {0}")]
    Malformed(String),
    #[error("the kernel has no PVH entry: set CONFIG_PVH=y")]
    NoEntry,
    #[error("the argument `kaslr`: this kernel is an ELF file, and only a bzImage moves itself. Boot the bzImage, or leave out `kaslr`")]
    StaysInPlace,
}

/// Unpacks, checks and cuts a kernel, of which the configuration may be known. The result is an ELF file with a PVH entry and the loaded
/// segments only.
pub(crate) fn prepare(image: &[u8], config: Option<&str>) -> Result<(Vec<u8>, KernelInfo), KernelError> {
    let kernel = if bzimage::is_bzimage(image) {
        bzimage::unpack(image)?
    } else if image.starts_with(b"\x7fELF") {
        image.to_vec()
    } else if image.get(0x38..0x3c) == Some(b"ARM\x64") || image.get(4..8) == Some(b"zimg") {
        return Err(KernelError::Architecture("arm64"));
    } else {
        return Err(KernelError::NotAKernel(beginning(image)));
    };
    let features = Features::of(&kernel, config);
    let kernel = elf::bootable(kernel)?;
    let info = KernelInfo { release: release(&kernel), arch: "x86_64".into(), features };
    Ok((kernel, info))
}

/// Checks that a kernel can move itself.
pub(crate) fn check_moves(image: &[u8]) -> Result<(), KernelError> {
    bzimage::is_bzimage(image).then_some(()).ok_or(KernelError::StaysInPlace)
}

fn beginning(image: &[u8]) -> String {
    match image.get(..4) {
        Some(bytes) => bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" "),
        None => format!("{} bytes in all", image.len()),
    }
}

/// The release in `linux_banner` (init/version-timestamp.c): "Linux version 7.3.4 (".
fn release(kernel: &[u8]) -> String {
    const BANNER: &[u8] = b"Linux version ";
    const RELEASE_BYTES_MAX: usize = 64;
    let found = kernel.windows(BANNER.len()).enumerate().filter(|(_, window)| *window == BANNER);
    let texts = found.filter_map(|(at, _)| {
        let rest = kernel.get(at + BANNER.len()..)?;
        let release = rest.iter().take(RELEASE_BYTES_MAX).take_while(|byte| byte.is_ascii_graphic()).copied().collect();
        String::from_utf8(release).ok().filter(|text: &String| text.starts_with(|c: char| c.is_ascii_digit()))
    });
    texts.into_iter().next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::bzimage::tests::bzimage;
    use super::*;
    use proptest::prelude::*;

    /// An ELF file of one loaded segment that holds everything, with a PVH note if `entry`.
    fn kernel(machine: u16, entry: bool) -> Vec<u8> {
        let note: &[u8] = b"\x04\0\0\0\x04\0\0\0\x12\0\0\0Xen\0\0\0\0\x01";
        let body: Vec<u8> = [if entry { note } else { &[] }, b"Linux version 7.3.4-test (builder)"].concat();
        let segment = |kind: u32, offset: u64, length: u64| {
            let mut header = [kind.to_le_bytes(), 5u32.to_le_bytes()].concat();
            [offset, 0x10_0000, 0x10_0000, length, length, 4].iter().for_each(|v| header.extend(v.to_le_bytes()));
            header
        };
        let start = 64 + 2 * 56;
        let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0".to_vec();
        file.extend(machine.to_le_bytes());
        file.extend(1u32.to_le_bytes());
        [0x10_0000u64, 64, 0x1000].iter().for_each(|v| file.extend(v.to_le_bytes()));
        file.extend(0u32.to_le_bytes());
        [64u16, 56, 2, 64, 0, 0].iter().for_each(|v| file.extend(v.to_le_bytes()));
        file.extend(segment(1, 0, start + body.len() as u64));
        file.extend(segment(4, start, if entry { note.len() as u64 } else { 0 }));
        file.extend(body);
        file
    }

    fn refusal(image: &[u8]) -> String {
        prepare(image, None).expect_err("refused").to_string()
    }

    #[test]
    fn cuts_what_is_not_loaded() {
        let plain = kernel(62, true);
        let with_symbols = [plain.as_slice(), &[1; 5000]].concat();
        let (prepared, info) = prepare(&with_symbols, None).expect("a kernel");
        assert_eq!(prepared.len(), plain.len());
        assert_eq!(info.release, "7.3.4-test");
    }

    #[test]
    fn a_packed_kernel_gives_the_same_bytes() {
        let plain = kernel(62, true);
        let packed = bzimage(&zstd::encode_all(plain.as_slice(), 3).expect("compresses"));
        assert_eq!(prepare(&packed, None).expect("a kernel"), prepare(&plain, None).expect("a kernel"));
    }

    #[test]
    fn refuses_what_is_no_kernel() {
        assert_eq!(
            refusal(b"#!/bin/sh\n"),
            "not a kernel image: it starts with 23 21 2f 62; a bzImage or an ELF vmlinux would do"
        );
        assert_eq!(
            refusal(b""),
            "not a kernel image: it starts with 0 bytes in all; a bzImage or an ELF vmlinux would do"
        );
        assert_eq!(refusal(&kernel(183, true)), "the kernel is for arm64, the machine is x86-64");
        assert_eq!(refusal(&kernel(62, false)), "the kernel has no PVH entry: set CONFIG_PVH=y");
        let mut arm = vec![0; 64];
        arm[0x38..0x3c].copy_from_slice(b"ARM\x64");
        assert_eq!(refusal(&arm), "the kernel is for arm64, the machine is x86-64");
    }

    #[test]
    fn only_a_bzimage_moves() {
        let (elf, packed) = (kernel(62, true), bzimage(b"x"));
        assert!(check_moves(&packed).is_ok());
        assert_eq!(
            check_moves(&elf).expect_err("refused").to_string(),
            "the argument `kaslr`: this kernel is an ELF file, and only a bzImage moves itself. Boot the bzImage, or leave out `kaslr`"
        );
    }

    #[test]
    fn refuses_a_truncated_image() {
        let whole = bzimage(&zstd::encode_all(kernel(62, true).as_slice(), 3).expect("compresses"));
        let error = refusal(&whole[..whole.len() - 40]);
        assert!(error.starts_with("the kernel image is truncated: "), "{error}");
        let elf = kernel(62, true);
        assert!(refusal(&elf[..elf.len() - 1]).starts_with("the kernel image is truncated: "));
    }

    proptest! {
        #[test]
        fn no_image_panics(mut bytes in proptest::collection::vec(any::<u8>(), 0..2000), what in 0..4) {
            let start: Vec<u8> = match what {
                0 => b"\x7fELF\x02\x01".to_vec(),
                1 => kernel(62, true),
                2 => bzimage(&bytes),
                _ => Vec::new(),
            };
            let length = start.len().min(bytes.len());
            bytes[..length].copy_from_slice(&start[..length]);
            let _ = prepare(&bytes, None);
        }
    }
}
