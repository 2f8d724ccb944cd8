//! The kernel's dump of a scheduler that it has thrown out (`scx_dump_state` in kernel/sched/ext.c), as its
//! tracepoint has it, and as schedulers print it:
//!
//! ```text
//! kworker/u18:2[45] triggered exit kind 1026 on CPU 3:
//! CPU 5   : nr_run=2 flags=0x1 cpu_rel=0 ops_qseq=812 pnt_seq=4031
//!           curr=spin/1[812] class=ext_sched_class
//!
//!  *R spin/1[812] -4ms
//!      …
//!   R kworker/5:2[61] -5200ms              from 7.1 on with the scheduler in between: `kworker/5:2[61] *root -5200ms`
//!      scx_state/flags=3/0x9 dsq_flags=0x0 ops_state/qseq=2/0
//! ```

/// Lines of a dump that are shown.
const SHOWN: usize = 14;

/// Where a task was when it stalled.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Place<'a> {
    pub(super) cpu: u32,
    /// What had the CPU: name and process id; empty if that is the kernel's watchdog, which made the dump.
    pub(super) current: &'a str,
    /// Its scheduling class.
    pub(super) class: &'a str,
    /// The part of the dump that is about this CPU, cut.
    pub(super) lines: Vec<&'a str>,
}

/// The CPU on whose runqueue `task` (`name[pid]`) was; none: there is no dump, or the task is not in it.
pub(super) fn find<'a>(lines: impl Iterator<Item = &'a str>, task: &str) -> Option<Place<'a>> {
    let mut place: Option<Place<'a>> = None;
    let (mut found, mut keep, mut watchdog) = (false, true, None);
    for text in lines {
        if let Some((by, _)) = text.split_once(" triggered exit kind ") {
            watchdog = Some(by.trim());
        }
        if let Some(cpu) = cpu_of(text) {
            if found {
                break;
            }
            place = Some(Place { cpu, current: "", class: "", lines: Vec::new() });
            keep = true;
        }
        let Some(place) = &mut place else { continue };
        if let Some((current, class)) = current_of(text) {
            let of_the_test = watchdog != Some(current);
            (place.current, place.class) = (if of_the_test { current } else { "" }, class);
        }
        // Of the CPU what comes in front of its tasks, and of these only the one that stalled.
        if is_any_task(text) {
            keep = is_task(text, task);
            found |= keep;
        }
        if keep && !text.trim().is_empty() && place.lines.len() < SHOWN {
            place.lines.push(text.trim_end());
        }
    }
    place.filter(|_| found)
}

/// `CPU 5   : nr_run=…`.
fn cpu_of(line: &str) -> Option<u32> {
    let (number, rest) = line.strip_prefix("CPU ")?.split_once(':')?;
    rest.trim_start().starts_with("nr_run=").then(|| number.trim().parse().ok())?
}

/// `curr=name[pid] class=name_sched_class`. A name may have spaces.
fn current_of(line: &str) -> Option<(&str, &str)> {
    let (current, class) = line.trim().strip_prefix("curr=")?.rsplit_once(" class=")?;
    Some((current, class))
}

/// The first line of a task: `-5200ms` at its end, a state in the third column.
fn is_any_task(line: &str) -> bool {
    let ago = line.trim_end().rsplit(' ').next().and_then(|word| word.strip_suffix("ms")?.parse::<i64>().ok());
    ago.is_some() && line.starts_with(' ') && line.as_bytes().get(2).is_some_and(u8::is_ascii_alphabetic)
}

/// ` *R name[pid] -5200ms`.
fn is_task(line: &str, task: &str) -> bool {
    // A mark, or a space, and the state are in front of the name.
    let rest = line.get(3..).and_then(|rest| rest.trim_start().strip_prefix(task)?.strip_prefix(' '));
    rest.is_some_and(|rest| rest.trim_end().ends_with("ms"))
}
