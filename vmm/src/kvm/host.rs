//! The host's KVM, and what it says when it refuses.

use super::genuine::{API_VERSION, DEVICE};
use crate::StartError;
use kvm_ioctls::Kvm;
use std::io;

/// Opens the host's KVM.
///
/// # Errors
/// There is none, or this process may not use it.
pub(super) fn open() -> Result<Kvm, StartError> {
    let absent = |source| StartError::NoKvm { device: DEVICE.into(), source };
    let kvm = Kvm::new().map_err(|error| absent(error.into()))?;
    match kvm.get_api_version() {
        API_VERSION => Ok(kvm),
        other => Err(absent(io::Error::other(format!("it has version {other} of the interface, not {API_VERSION}")))),
    }
}

/// What KVM refused, as an error of the start.
pub(super) fn refused(doing: &'static str) -> impl Fn(kvm_ioctls::Error) -> StartError {
    move |error| StartError::Host { doing, source: error.into() }
}
