//! Process 1 of the guest once the payload is there: carries out the plan.

use ktstr_guest::error::{Doing, GuestError};
use ktstr_guest::{agent, program, reporter::Reporter, stage_one};
use ktstr_model::Plan;

fn main() {
    program::run(Reporter::open, |reporter| agent::run(&read_plan()?, reporter))
}

fn read_plan() -> Result<Plan, GuestError> {
    let path = stage_one::payload_path(ktstr_channel::payload::PLAN);
    let bytes = std::fs::read(&path).doing(|| format!("read {}", path.display()))?;
    postcard::from_bytes(&bytes).doing(|| format!("decode the plan in {}", path.display()))
}
