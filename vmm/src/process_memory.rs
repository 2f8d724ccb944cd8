//! Many places in the memory of a process, with one call (process_vm_readv(2)).

#![allow(unsafe_code)]

use std::os::raw::c_ulong;

/// No call takes more (IOV_MAX).
const PLACES_MAX: usize = 1024;

/// Fills each of `parts` with the bytes from its address on in the process `pid`; whether all of them could be read.
pub(crate) fn read(pid: u32, parts: &mut [(u64, &mut [u8])]) -> bool {
    let Ok(pid) = libc::pid_t::try_from(pid) else { return false };
    parts.chunks_mut(PLACES_MAX).all(|parts| {
        let whole: usize = parts.iter().map(|(_, into)| into.len()).sum();
        let place = |at: *mut libc::c_void, bytes: &[u8]| libc::iovec { iov_base: at, iov_len: bytes.len() };
        let there: Vec<_> = parts.iter().map(|(at, into)| place(*at as *mut libc::c_void, into)).collect();
        let here: Vec<_> = parts.iter_mut().map(|(_, into)| place(into.as_mut_ptr().cast(), into)).collect();
        let count = parts.len() as c_ulong;
        // SAFETY: `here` has the places and lengths of slices that are borrowed for this call, and the kernel writes to no others;
        // `there` are addresses of the other process, which the kernel checks.
        let read = unsafe { libc::process_vm_readv(pid, here.as_ptr(), count, there.as_ptr(), count, 0) };
        usize::try_from(read) == Ok(whole)
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn all_places_or_none() {
        let from = b"abcdefgh".to_vec();
        let at = from.as_ptr() as u64;
        let (mut first, mut second) = ([0; 2], [0; 3]);
        assert!(super::read(std::process::id(), &mut [(at + 1, &mut first), (at + 5, &mut second)]));
        assert_eq!((&first, &second), (b"bc", b"fgh"));
        assert!(!super::read(std::process::id(), &mut [(at, &mut first), (8, &mut second)]));
        let mut many = vec![[0; 1]; 3000];
        let mut parts: Vec<(u64, &mut [u8])> = many.iter_mut().map(|byte| (at + 7, byte.as_mut_slice())).collect();
        assert!(super::read(std::process::id(), &mut parts));
        assert!(many.iter().all(|byte| byte == b"h"));
    }
}
