//! How the kernel says that it has thrown a scheduler out (`scx_disable_workfn` in kernel/sched/ext.c):
//!
//! ```text
//! sched_ext: BPF scheduler "mine" disabled (scx_bpf_error)          the reason: scx_exit_reason()
//! sched_ext: mine: no such CPU: 77                                  the message, if there is one
//!    scx_bpf_error_bstr+0x75/0x80                                   the backtrace of an error, innermost first
//!    bpf_prog_0d2f8e5a3c6b7a91_mine_dispatch+0x9e/0x2bf
//! ```

use super::SchedulerRun;
use ktstr_model::{Cause, GuestNanos};

/// The reason of an ordinary end.
const BY_USER: &str = "unregistered from user space";
/// Reasons that are no errors. All others are, those that later kernels add, too.
const NO_ERRORS: [&str; 5] =
    [BY_USER, "unregistered from BPF", "unregistered from the main kernel", "disabled by sysrq-S", "parent exiting"];
/// Lines of a backtrace that are kept.
const BACKTRACE_MAX: usize = 12;

/// The kernel's account of an end.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct KernelExit {
    /// When the guest read it.
    pub(super) at: GuestNanos,
    /// Whether the log says before it that the scheduler was attached.
    pub(super) attached: bool,
    pub(super) reason: String,
    pub(super) message: String,
    pub(super) backtrace: Vec<String>,
}

impl KernelExit {
    pub(super) fn is_error(&self) -> bool {
        !NO_ERRORS.contains(&self.reason.as_str())
    }

    pub(super) fn is_by_user(&self) -> bool {
        self.reason == BY_USER
    }

    pub(super) fn cause(&self) -> Cause {
        match self.reason.as_str() {
            "scx_bpf_error" => Cause::BpfError,
            "runnable task stall" => Cause::Stall,
            _ if self.is_error() => Cause::RuntimeError,
            _ => Cause::Unregistered,
        }
    }

    /// The BPF program that was at work, innermost: `mine_dispatch`.
    pub(super) fn program(&self) -> Option<&str> {
        self.backtrace.iter().find_map(|frame| {
            let (tag, name) = frame.strip_prefix("bpf_prog_")?.split_once('_')?;
            let is_tag = tag.len() == 16 && tag.bytes().all(|byte| byte.is_ascii_hexdigit());
            is_tag.then(|| name.split('+').next().unwrap_or(name))
        })
    }
}

/// Whether a line says that a scheduler is attached.
pub(super) fn says_enabled(line: &str) -> bool {
    line.strip_prefix("sched_ext: BPF scheduler \"").is_some_and(|rest| rest.contains("\" enabled"))
}

/// All ends that the log tells of, in order.
pub(super) fn exits(run: &SchedulerRun<'_>) -> Vec<KernelExit> {
    let mut exits: Vec<KernelExit> = Vec::new();
    let (mut attached, mut name) = (false, "");
    // What the next lines may still add to the last end.
    let mut open = false;
    for (at, line) in &run.log {
        let text = line.text.as_str();
        attached |= says_enabled(text);
        if let Some((of, reason)) = disabled(text) {
            let (reason, message, backtrace) = (reason.to_owned(), String::new(), Vec::new());
            exits.push(KernelExit { at: *at, attached, reason, message, backtrace });
            (attached, name, open) = (false, of, true);
            continue;
        }
        let Some(exit) = exits.last_mut().filter(|_| open) else { continue };
        let said = text.strip_prefix("sched_ext: ").and_then(|rest| rest.strip_prefix(name)?.strip_prefix(": "));
        match (said, frame(text)) {
            (Some(said), _) if exit.message.is_empty() && exit.backtrace.is_empty() => exit.message = said.to_owned(),
            (None, Some(frame)) if exit.backtrace.len() < BACKTRACE_MAX => exit.backtrace.push(frame.to_owned()),
            (None, Some(_)) => {}
            _ => open = false,
        }
    }
    exits
}

/// Name and reason of `sched_ext: BPF scheduler "mine" disabled (reason)`.
fn disabled(line: &str) -> Option<(&str, &str)> {
    let rest = line.strip_prefix("sched_ext: BPF scheduler \"")?;
    let (name, rest) = rest.split_once("\" disabled (")?;
    Some((name, rest.trim_end().strip_suffix(')')?))
}

/// `function+0x75/0x80`, without the space in front and what may follow (the module).
fn frame(line: &str) -> Option<&str> {
    let text = line.strip_prefix(' ')?.trim();
    let (name, rest) = text.split_once("+0x")?;
    (!name.contains(' ') && rest.contains("/0x")).then_some(text)
}
