//! Process 1 of the guest once the payload is there: carries out the plan.

use ktstr_guest::{agent, sys::process};
use ktstr_init::error::{Doing, GuestError};
use ktstr_init::{program, reporter::Reporter, stage_one};
use ktstr_model::Plan;

fn main() {
    program::run(open, |reporter| agent::run(&read_plan()?, reporter))
}

fn open() -> Result<Reporter, GuestError> {
    // Before the window is there, which has more addresses than memory.
    process::keep_in_memory().doing(|| "keep the agent in memory".into())?;
    Reporter::open()
}

fn read_plan() -> Result<Plan, GuestError> {
    let path = stage_one::payload_path(ktstr_channel::payload::PLAN);
    let bytes = std::fs::read(&path).doing(|| format!("read {}", path.display()))?;
    postcard::from_bytes(&bytes).doing(|| format!("decode the plan in {}", path.display()))
}
