//! Process 1 of the guest once the payload is there: carries out the plan, or attaches a scheduler in a machine that is to be saved, or
//! runs a shell.

use ktstr_channel::payload;
use ktstr_guest::{agent, attached, shell, sys::process};
use ktstr_init::error::{Doing, GuestError};
use ktstr_init::{program, reporter::Reporter, stage_one};
use std::io::ErrorKind;

fn main() {
    program::run(open, |reporter| {
        if let Some(bytes) = part(payload::ATTACH)? {
            return attached::run(&postcard::from_bytes(&bytes).doing(|| decode(payload::ATTACH))?, reporter);
        }
        if let Some(bytes) = part(payload::SHELL)? {
            return shell::run(&postcard::from_bytes(&bytes).doing(|| decode(payload::SHELL))?, reporter);
        }
        let missing = || GuestError::new("read the plan", "there is none in the payload");
        let bytes = part(payload::PLAN)?.ok_or_else(missing)?;
        agent::run(&postcard::from_bytes(&bytes).doing(|| decode(payload::PLAN))?, reporter)
    })
}

fn open() -> Result<Reporter, GuestError> {
    // Before the window is there, which has more addresses than memory.
    process::keep_in_memory().doing(|| "keep the agent in memory".into())?;
    Reporter::open()
}

/// A part of the payload that stage one has unpacked, if it is there.
fn part(name: &str) -> Result<Option<Vec<u8>>, GuestError> {
    let path = stage_one::payload_path(name);
    match std::fs::read(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        read => read.map(Some).doing(|| format!("read {}", path.display())),
    }
}

fn decode(name: &str) -> String {
    format!("decode {name} of the payload")
}
