//! The agent of a machine that is saved with the scheduler under test attached.
//!
//! ```text
//! SchedulerPlan ──attach──▶ save point ──▶ in each machine from the save: new window, go word ──▶ Plan ──agent──▶ as in any other
//!                     └──▶ gone: settle, then the machine ends and is not saved
//! ```
//!
//! The scheduler's process, its pipes and the place in the kernel's log live on in the save. What was sent on the way is sent again
//! by each machine that starts from it, so that a recording has one history from the boot to the end.

use crate::agent;
use crate::under_test::UnderTest;
use crate::workers::Workers;
use ktstr_channel::payload;
use ktstr_init::error::{Doing, GuestError};
use ktstr_init::machine::read_machine;
use ktstr_init::reporter::Reporter;
use ktstr_init::save_point;
use ktstr_model::{Plan, SchedulerPlan, What};
use std::path::Path;

/// Attaches `scheduler`, stops the machine to be saved, and carries out the plan of each machine that starts from the save.
///
/// # Errors
/// The first thing that could not be done.
pub fn run(scheduler: &SchedulerPlan, reporter: &mut Reporter) -> Result<(), GuestError> {
    agent::come_first()?;
    reporter.keep();
    // Stage one has said so to the host of this machine only.
    reporter.send(What::Booted(read_machine(Path::new("/sys"), Path::new("/proc"))))?;
    let mut under_test = UnderTest::default();
    let mut workers = Workers::new(&Plan::default())?;
    // Whether cases want the kernel's trace buffers is not known yet.
    under_test.attach(scheduler, false, &mut workers, reporter)?;
    if under_test.is_gone() {
        under_test.settle(&mut workers, reporter)?;
        return reporter.send(What::BrokenOff);
    }
    save_point::reach()?;
    reporter.start_over()?;
    reporter.wait_for_go();
    let plan = read_plan(reporter)?;
    check(&plan, scheduler)?;
    agent::go_on(&plan, under_test, reporter)
}

/// The plan of the machine that has started, straight from its window.
fn read_plan(reporter: &mut Reporter) -> Result<Plan, GuestError> {
    let doing = || "read the plan".to_owned();
    let blobs = reporter.payload()?;
    let blob = payload::find(&blobs, payload::PLAN).doing(doing)?;
    let mut bytes = Vec::with_capacity(blob.bytes);
    reporter.unpack(blob, &mut bytes)?;
    postcard::from_bytes(&bytes).doing(doing)
}

fn check(plan: &Plan, attached: &SchedulerPlan) -> Result<(), GuestError> {
    if plan.scheduler.as_ref() == Some(attached) {
        return Ok(());
    }
    let wanted =
        plan.scheduler.as_ref().map_or_else(|| "none".into(), |wanted| format!("{} {:?}", wanted.name, wanted.args));
    let problem = format!(
        "the plan is for the scheduler {wanted}, and {} {:?} is attached in the save",
        attached.name, attached.args
    );
    Err(GuestError::new("go on with the plan", problem))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ktstr_channel::Window;
    use ktstr_model::Nanos;

    fn scheduler(argument: &str) -> SchedulerPlan {
        let (name, args) = ("scx_x".into(), vec![argument.into()]);
        SchedulerPlan { name, args, files: vec![], attach_max: Nanos(1), detach_max: Nanos(1) }
    }

    #[test]
    fn the_plan_comes_from_the_window() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("window");
        let host = Window::create(&path).expect("a window");
        let plan = Plan { seed: 7, scheduler: Some(scheduler("-a")), ..Plan::default() };
        let bytes = postcard::to_stdvec(&plan).expect("packs");
        payload::lay(&host, &[(payload::PLAN, &bytes)]).expect("fits");
        let mut reporter = Reporter::over(&path, 0).expect("reaches it");
        assert_eq!(read_plan(&mut reporter), Ok(plan));
    }

    #[test]
    fn a_plan_for_another_scheduler_is_refused() {
        let plan = |scheduler| Plan { scheduler, ..Plan::default() };
        assert_eq!(check(&plan(Some(scheduler("-a"))), &scheduler("-a")), Ok(()));
        let error = check(&plan(Some(scheduler("-b"))), &scheduler("-a")).expect_err("refused").to_string();
        assert_eq!(
            error,
            "failed to go on with the plan: the plan is for the scheduler scx_x [\"-b\"], and scx_x [\"-a\"] is attached in the save"
        );
        assert!(check(&plan(None), &scheduler("-a")).is_err());
    }
}
