//! Process 1 of the guest: stage one.

use ktstr_init::{mounts, program, reporter::Reporter, stage_one};

fn main() {
    program::run(
        || {
            mounts::mount_for_window()?;
            Reporter::open()
        },
        |reporter| match stage_one::run(reporter)? {},
    )
}
