//! What the CPUs of a machine did that hung: by their registers, and by the dump of its kernel where there is one.

use ktstr_model::dump::CpuDump;
use ktstr_model::Dump;
use ktstr_recording::CpuState;

/// CPUs, and callers on each, that are shown.
const CPUS_SHOWN: usize = 8;
const CALLERS_SHOWN: usize = 5;

/// A line for each CPU; below it the functions that led there, if they are known and it does not idle. Dumps of other moments do not count: a scheduler
/// may have died before.
pub(crate) fn states<'a>(cpus: &[CpuState], mut dumps: impl Iterator<Item = &'a Dump>) -> String {
    let dump = dumps.find(|dump| cpus.iter().all(|cpu| dump.cpus.iter().any(|of| is_there(cpu, of))));
    let mut lines: Vec<String> = Vec::new();
    for cpu in cpus.iter().take(CPUS_SHOWN) {
        let dumped = dump.and_then(|dump| dump.cpus.iter().find(|of| of.cpu == cpu.cpu));
        lines.push(match (dump, dumped) {
            (Some(dump), Some(of)) => format!("{cpu}{}", running(dump, of)),
            _ => cpu.to_string(),
        });
        lines.extend(dumped.filter(|of| !of.halted).into_iter().flat_map(way));
    }
    if cpus.len() > CPUS_SHOWN {
        lines.push(format!("and {} more", cpus.len() - CPUS_SHOWN));
    }
    lines.join("\n")
}

fn is_there(cpu: &CpuState, of: &CpuDump) -> bool {
    of.cpu == cpu.cpu && of.registers.iter().any(|(name, value)| name == "rip" && *value == cpu.instruction)
}

/// `, running kworker/0:1 (pid 12)`.
fn running(dump: &Dump, of: &CpuDump) -> String {
    let seen = dump.sample.cpus.iter().find(|cpu| cpu.cpu == of.cpu);
    let task = seen.filter(|cpu| cpu.curr != 0).map(|cpu| format!(", running {} (pid {})", cpu.comm, cpu.curr));
    task.unwrap_or_default()
}

/// Where it is, and how it came there.
fn way(of: &CpuDump) -> Vec<String> {
    let mut lines: Vec<String> =
        of.backtrace.iter().take(1 + CALLERS_SHOWN).map(|frame| format!("    {frame}")).collect();
    if of.backtrace.len() > lines.len() {
        lines.push(format!("    and {} more", of.backtrace.len() - lines.len()));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use ktstr_model::dump::FrameDump;

    #[test]
    fn the_way_is_that_of_the_dump_of_this_moment() {
        let dump = |rip: u64, name: &str| {
            let backtrace = vec![FrameDump { at: rip, name: Some(name.into()) }];
            let cpu = CpuDump { registers: vec![("rip".into(), rip)], backtrace, ..CpuDump::default() };
            Dump { cpus: vec![cpu], ..Dump::default() }
        };
        let dumps = [dump(0x10, "scx_exit+0x1"), dump(0x20, "spin+0x2")];
        let said = |instruction| {
            let cpu = CpuState { cpu: 0, instruction, interrupts: false, halted: false, user: false };
            states(&[cpu], dumps.iter())
        };
        assert_eq!(said(0x20), "CPU 0: in the kernel at 0x20, interrupts off\n    spin+0x2");
        assert_eq!(said(0x30), "CPU 0: in the kernel at 0x30, interrupts off");
    }
}
