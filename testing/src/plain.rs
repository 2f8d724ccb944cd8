//! The case that tests begin with: one CPU that has nothing to do.

use ktstr_model::{Backend, Case, Clock, Placement, Plan, StartMode, Topology};

/// A case without steps, checks and inputs.
pub fn plain_case() -> Case {
    Case {
        name: "t[1n1l1c1t][s0]".into(),
        topology: Topology::new(1, 1, 1, 1).expect("can be"),
        backend: Backend::Tcg,
        clock: Clock::Virtual,
        start: StartMode::Boot,
        placement: Placement::default(),
        seed: 0,
        profile: None,
        monitor: None,
        kernel_args: vec![],
        plan: Plan { seed: 0, cgroups: vec![], groups: vec![], steps: vec![], trace: vec![], scheduler: None },
        host_ops: vec![],
        checks: vec![],
        expect_failure: None,
        inputs: vec![],
    }
}
