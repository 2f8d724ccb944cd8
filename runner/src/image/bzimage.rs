//! The kernel inside a bzImage: Documentation/arch/x86/boot.rst.

use super::kernel::KernelError;
use std::io::Read;

const BOOT_SIGNATURE_OFFSET: usize = 0x1fe;
const BOOT_SIGNATURE: u16 = 0xaa55;
const SETUP_SECTS_OFFSET: usize = 0x1f1;
/// Size of the protected-mode code in units of 16 bytes.
const SYSSIZE_OFFSET: usize = 0x1f4;
const HEADER_OFFSET: usize = 0x202;
const PAYLOAD_OFFSET: usize = 0x248;
const PAYLOAD_LENGTH: usize = 0x24c;
const SECTOR_BYTES: usize = 512;
/// Setup sectors of images that say 0, for the sake of the oldest boot loaders.
const SETUP_SECTS_DEFAULT: usize = 4;
/// Largest kernel that is unpacked; a real one has 60 to 200 MB, with debug information up to 1 GB.
const KERNEL_BYTES_MAX: u64 = 2 << 30;

/// Whether `image` has the signature and header of a bzImage.
pub(super) fn is_bzimage(image: &[u8]) -> bool {
    word(image, BOOT_SIGNATURE_OFFSET) == Some(BOOT_SIGNATURE)
        && image.get(HEADER_OFFSET..HEADER_OFFSET + 4) == Some(b"HdrS")
}

/// The ELF kernel that the image unpacks when it starts.
pub(super) fn unpack(image: &[u8]) -> Result<Vec<u8>, KernelError> {
    let setup_sects = match image.get(SETUP_SECTS_OFFSET).copied().unwrap_or(0) {
        0 => SETUP_SECTS_DEFAULT,
        sectors => usize::from(sectors),
    };
    let start = (setup_sects + 1) * SECTOR_BYTES;
    let expected = start as u64 + u64::from(long(image, SYSSIZE_OFFSET)?) * 16;
    // The header rounds the size up to 16 bytes, the file need not.
    if (image.len() as u64) + 16 <= expected {
        return Err(KernelError::Truncated { seen: image.len() as u64, expected });
    }
    let offset = start.saturating_add(long(image, PAYLOAD_OFFSET)? as usize);
    let length = long(image, PAYLOAD_LENGTH)? as usize;
    let payload = image
        .get(offset..offset.saturating_add(length))
        .ok_or(KernelError::Truncated { seen: image.len() as u64, expected: offset as u64 + length as u64 })?;
    decompress(payload)
}

fn decompress(payload: &[u8]) -> Result<Vec<u8>, KernelError> {
    match payload {
        [0x28, 0xb5, 0x2f, 0xfd, ..] => {
            // The build appends the unpacked size to the frame: stop at the end of the frame.
            let decoder = zstd::Decoder::with_buffer(payload).map_err(|source| KernelError::Damaged { source })?;
            read(decoder.single_frame())
        }
        [0x1f, 0x8b, ..] => read(flate2::bufread::GzDecoder::new(payload)),
        [0x7f, b'E', b'L', b'F', ..] => Ok(payload.to_vec()),
        [0xfd, b'7', b'z', b'X', b'Z', ..] => Err(KernelError::Compression("xz")),
        [0x02, 0x21, 0x4c, 0x18, ..] => Err(KernelError::Compression("lz4")),
        [0x5d, 0, ..] => Err(KernelError::Compression("lzma")),
        [b'B', b'Z', b'h', ..] => Err(KernelError::Compression("bzip2")),
        [0x89, b'L', b'Z', b'O', ..] => Err(KernelError::Compression("lzo")),
        _ => Err(KernelError::Compression("an unknown method")),
    }
}

fn read(decoder: impl Read) -> Result<Vec<u8>, KernelError> {
    let mut kernel = Vec::new();
    decoder
        .take(KERNEL_BYTES_MAX)
        .read_to_end(&mut kernel)
        .map(|_| kernel)
        .map_err(|source| KernelError::Damaged { source })
}

fn word(image: &[u8], offset: usize) -> Option<u16> {
    image.get(offset..offset + 2)?.try_into().ok().map(u16::from_le_bytes)
}

fn long(image: &[u8], offset: usize) -> Result<u32, KernelError> {
    let bytes = image.get(offset..offset + 4).and_then(|bytes| bytes.try_into().ok());
    bytes
        .map(u32::from_le_bytes)
        .ok_or(KernelError::Truncated { seen: image.len() as u64, expected: offset as u64 + 4 })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A bzImage with one setup sector around `payload`.
    pub(in crate::image) fn bzimage(payload: &[u8]) -> Vec<u8> {
        let mut image = vec![0; 1024];
        let mut put = |offset: usize, bytes: &[u8]| image[offset..offset + bytes.len()].copy_from_slice(bytes);
        put(SETUP_SECTS_OFFSET, &[1]);
        put(SYSSIZE_OFFSET, &(payload.len().div_ceil(16) as u32).to_le_bytes());
        put(BOOT_SIGNATURE_OFFSET, &BOOT_SIGNATURE.to_le_bytes());
        put(HEADER_OFFSET, b"HdrS");
        put(PAYLOAD_LENGTH, &(payload.len() as u32).to_le_bytes());
        image.extend_from_slice(payload);
        image
    }

    #[test]
    fn unpacks_what_the_kernel_build_packs() {
        let kernel = b"\x7fELF and so on".repeat(100);
        let mut zstd = zstd::encode_all(kernel.as_slice(), 3).expect("compresses");
        zstd.extend_from_slice(&(kernel.len() as u32).to_le_bytes());
        assert_eq!(unpack(&bzimage(&zstd)).expect("unpacks"), kernel);
        let mut gzip = flate2::bufread::GzEncoder::new(kernel.as_slice(), flate2::Compression::fast());
        let mut packed = Vec::new();
        gzip.read_to_end(&mut packed).expect("compresses");
        packed.extend_from_slice(&(kernel.len() as u32).to_le_bytes());
        assert_eq!(unpack(&bzimage(&packed)).expect("unpacks"), kernel);
    }

    #[test]
    fn names_what_it_cannot_unpack() {
        let error = unpack(&bzimage(b"\xfd7zXZ\0 and so on, and so on")).expect_err("refused").to_string();
        assert_eq!(error, "the kernel is compressed with xz; gzip, zstd and none are known: set CONFIG_KERNEL_ZSTD=y");
    }
}
