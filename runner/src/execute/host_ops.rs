//! Ops of a case that the host does: before anything boots, whether they can be; while the guest runs, which one it waits for.
//!
//! ```text
//! guest ──ops wanted──▶ window ──HostOps::carry_out──▶ the thread that looks at the kernel ──▶ host event, window ──ops done──▶ guest
//! ```
//!
//! What stands in the window is the guest's word: it gets the next op of the plan when it asks for that one, and nothing else.

use crate::execute::in_full;
use crate::inputs::Inputs;
use ktstr_channel::Window;
use ktstr_model::host_op::HostOpResult;
use ktstr_model::{Case, FieldError, GuestNanos, HostOp};
use ktstr_monitor::{check, Image};
use ktstr_recording::HostEvent;
use std::sync::Arc;

/// The ops of one case, and how far they are.
pub(super) struct HostOps {
    ops: Vec<HostOp>,
    done: usize,
    window: Arc<Window>,
}

impl HostOps {
    pub(super) fn new(ops: &[HostOp], window: &Arc<Window>) -> Self {
        Self { ops: ops.to_vec(), done: 0, window: window.clone() }
    }

    /// Whether none is left to do.
    pub(super) fn is_over(&self) -> bool {
        self.done >= self.ops.len()
    }

    /// Does the op that the guest waits for, if it does; `how` gives nothing if the machine has gone away. `say` is told before the guest is, so that it comes
    /// before what the guest says next.
    pub(super) fn carry_out(
        &mut self,
        at: Option<GuestNanos>,
        how: impl FnOnce(&HostOp) -> Option<Result<HostOpResult, String>>,
        say: impl FnOnce(HostEvent),
    ) {
        let wanted = self.ops.get(self.done).filter(|_| self.window.ops_wanted() == self.done as u64 + 1);
        let Some(result) = wanted.and_then(how) else { return };
        say(HostEvent::Op { op: self.done as u32, at, result: result.unwrap_or_else(HostOpResult::Failed) });
        self.done += 1;
        self.window.ops_are_done(self.done as u64);
    }
}

/// Whether the ops of `cases` can be, so far as the kernel's image tells.
///
/// # Errors
/// The first one that cannot, with its path.
pub(crate) fn check_ops(cases: &[Case], inputs: &Inputs) -> Result<(), FieldError> {
    let image = match &inputs.image {
        Some(image) => image.as_deref().map_err(String::as_str),
        None => Err("it is not among the inputs of this run"),
    };
    // Those of most cases are the same.
    let mut checked: &[HostOp] = &[];
    for case in cases.iter().filter(|case| !case.host_ops.is_empty()) {
        if case.host_ops != checked {
            case.host_ops.iter().try_for_each(|op| check_op(op, image))?;
            checked = &case.host_ops;
        }
    }
    Ok(())
}

fn check_op(op: &HostOp, image: Result<&Image, &str>) -> Result<(), FieldError> {
    let image = image.map_err(|problem| {
        FieldError::new(&op.path, format!("the kernel's image cannot be looked into, as this needs: {problem}"))
    })?;
    check(image, op).map_err(|error| FieldError::new(&op.path, in_full(&error)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ktstr_model::host_op::{Access, Variable};
    use ktstr_model::monitor::SeriesSpec;

    #[test]
    fn the_guest_gets_what_is_planned_in_order_and_no_more() {
        let directory = tempfile::tempdir().expect("a directory");
        let window = Arc::new(Window::create(&directory.path().join("window")).expect("a window"));
        let series = SeriesSpec { name: String::new(), map: "m".into(), field: String::new(), key: None, of_all: None };
        let op = |step| HostOp {
            step,
            path: "p".into(),
            variable: Variable::Map(series.clone()),
            access: Access::Read { expect: None },
        };
        let mut ops = HostOps::new(&[op(0), op(1), op(2)], &window);
        let mut said = Vec::new();
        // What the guest writes into the window, what doing it comes to, and how many are done then.
        for (wanted, result, expected) in [
            (0, Some(Ok(1)), 0),
            (2, Some(Ok(1)), 0),
            (u64::MAX, Some(Ok(1)), 0),
            (1, None, 0),
            (1, Some(Ok(5)), 1),
            (1, Some(Ok(1)), 1),
            (3, Some(Ok(1)), 1),
            (2, Some(Err("the kernel is nowhere")), 2),
            (3, Some(Ok(-7)), 3),
            (4, Some(Ok(1)), 3),
            (0, Some(Ok(1)), 3),
        ] {
            window.want_ops(wanted);
            // It may write here, too, and gains nothing.
            window.ops_are_done(99);
            let how = |op: &HostOp| {
                assert_eq!(u64::from(op.step) + 1, wanted);
                Some(result?.map(HostOpResult::Read).map_err(str::to_owned))
            };
            let before = ops.done;
            ops.carry_out(Some(GuestNanos(wanted)), how, |event| {
                assert_eq!(window.ops_done(), 99, "the guest goes on before it is said");
                said.push(event);
            });
            assert_eq!(ops.done, expected, "{wanted} {result:?}");
            assert_eq!(window.ops_done(), if ops.done == before { 99 } else { wanted });
        }
        assert!(ops.is_over());
        let event = |op, result| HostEvent::Op { op, at: Some(GuestNanos(u64::from(op) + 1)), result };
        let failed = HostOpResult::Failed("the kernel is nowhere".into());
        assert_eq!(said, [event(0, HostOpResult::Read(5)), event(1, failed), event(2, HostOpResult::Read(-7))]);
    }
}
