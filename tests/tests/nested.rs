//! What the host of `//tests/nested` offers: KVM that runs a processor. This program runs there.
//!
//! A virtual CPU begins 16 bytes below 4 GiB. There is a page that tells it to write a number into the page and to halt.

#![allow(unsafe_code)]

use std::ffi::c_ulong;
use std::fs::File;
use std::io::Error;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr::null_mut;

// include/uapi/linux/kvm.h
const KVM_GET_API_VERSION: c_ulong = 0xae00;
const KVM_CREATE_VM: c_ulong = 0xae01;
const KVM_GET_VCPU_MMAP_SIZE: c_ulong = 0xae04;
const KVM_CREATE_VCPU: c_ulong = 0xae41;
const KVM_SET_USER_MEMORY_REGION: c_ulong = 0x4020_ae46;
const KVM_RUN: c_ulong = 0xae80;
const KVM_EXIT_HLT: u32 = 5;
/// Offset of `exit_reason` in `struct kvm_run`, in words of 4 bytes.
const EXIT_REASON: usize = 2;

const PAGE_BYTES: usize = 4096;
const PAGE_AT: u64 = 0xffff_f000;
const CODE: usize = 0xff0;
/// Where the number goes; by the code segment of a CPU that has just been reset, whose base is 0xffff0000, this is 0xf800.
const NUMBER: usize = 0x800;

#[repr(C, align(4096))]
struct Page([u8; PAGE_BYTES]);

/// `struct kvm_userspace_memory_region`.
#[repr(C)]
struct Region {
    slot: u32,
    flags: u32,
    guest: u64,
    bytes: u64,
    host: u64,
}

fn ioctl(fd: &impl AsRawFd, request: c_ulong, argument: usize) -> i32 {
    // SAFETY: each request of this file takes a number, or the address of a `Region` that lives.
    let result = unsafe { libc::ioctl(fd.as_raw_fd(), request, argument) };
    assert!(result >= 0, "request {request:#x}: {}", Error::last_os_error());
    result
}

fn owned(fd: i32) -> OwnedFd {
    // SAFETY: KVM has just made it, for us.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

#[test]
fn a_virtual_cpu_runs_until_it_halts() {
    assert!(std::fs::exists("/sys/module/kvm_amd").expect("looks"), "the host of nested tests has kvm_amd");
    let kvm = File::options().read(true).write(true).open("/dev/kvm").expect("opens");
    assert_eq!(ioctl(&kvm, KVM_GET_API_VERSION, 0), 12);
    let machine = owned(ioctl(&kvm, KVM_CREATE_VM, 0));

    // mov al, 42; mov cs:[0xf800], al; hlt
    let code = [0xb0, 42, 0x2e, 0xa2, 0x00, 0xf8, 0xf4];
    let mut page = Box::new(Page([0; PAGE_BYTES]));
    page.0[CODE..CODE + code.len()].copy_from_slice(&code);
    let page = Box::into_raw(page);
    let region = Region { slot: 0, flags: 0, guest: PAGE_AT, bytes: PAGE_BYTES as u64, host: page as u64 };
    ioctl(&machine, KVM_SET_USER_MEMORY_REGION, &raw const region as usize);

    let cpu = owned(ioctl(&machine, KVM_CREATE_VCPU, 0));
    let bytes = usize::try_from(ioctl(&kvm, KVM_GET_VCPU_MMAP_SIZE, 0)).expect("a size");
    let access = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a new mapping at an address of the kernel's choice touches no memory that is in use.
    let run = unsafe { libc::mmap(null_mut(), bytes, access, libc::MAP_SHARED, cpu.as_raw_fd(), 0) };
    assert_ne!(run, libc::MAP_FAILED, "{}", Error::last_os_error());
    ioctl(&cpu, KVM_RUN, 0);

    // SAFETY: `run` begins with a `struct kvm_run`, which KVM writes only in KVM_RUN.
    let reason = unsafe { run.cast::<u32>().add(EXIT_REASON).read_volatile() };
    // SAFETY: `page` is never freed; only the machine writes there, and its CPU stands still.
    let number = unsafe { page.cast::<u8>().add(NUMBER).read_volatile() };
    assert_eq!((reason, number), (KVM_EXIT_HLT, 42));
}
