//! Scheduling domains (`struct sched_domain`, include/linux/sched/topology.h): over which CPUs each CPU balances, and how that goes.

use crate::error::ReadError;
use crate::kernel::Kernel;
use crate::object::{Layout, Slot, Span};
use crate::page_table::Gva;
use crate::runqueue::Runqueues;
use ktstr_btf::present;
use ktstr_model::sample::DomainSample;
use ktstr_model::CpuSet;

/// From SMT siblings to the whole machine there are six at most; more are damage.
const LEVELS_MAX: usize = 16;
/// Of a name such as `PKG`.
const NAME_BYTES_MAX: usize = 16;

/// In the order in which [`Domains::of_cpu`] takes them.
const NUMBERS: [&str; 6] = ["parent", "name", "flags", "balance_interval", "nr_balance_failed", "last_balance"];

/// Where everything is in a kernel's domains.
#[derive(Debug)]
pub(crate) struct Domains {
    /// Of `struct rq`.
    sd: u64,
    domain: Span,
    numbers: [Slot; 6],
    /// `span`.
    span: u64,
}

impl Domains {
    /// Looks everything up once; `None`: the kernel has no domains, or none with names.
    pub(crate) fn of(kernel: &Kernel) -> Result<Option<Self>, ReadError> {
        let mut domain = Layout::new(kernel.btf(), "sched_domain");
        let Some(numbers) = present(domain.fields(NUMBERS))? else { return Ok(None) };
        let sd = kernel.btf().field("rq", "sd")?.offset;
        // An array without a length behind all members; not every kernel's types name it.
        let Some(span) = kernel.btf().find("sched_domain").and_then(|id| kernel.btf().size(id)) else {
            return Ok(None);
        };
        Ok(Some(Self { sd, numbers, domain: domain.span(), span }))
    }

    /// The domains of a CPU, the smallest first. They may be taken down meanwhile, when CPUs come and go.
    pub(crate) fn of_cpu(
        &self,
        kernel: &Kernel,
        runqueues: &Runqueues,
        cpu: u32,
    ) -> Result<Vec<DomainSample>, ReadError> {
        let mut at = Gva(kernel.word(runqueues.cpu_rq(cpu as usize)?.plus(self.sd))?);
        let mut domains = Vec::new();
        let mut cpus = vec![0; kernel.cpus().div_ceil(64) * 8];
        while at != Gva(0) && domains.len() < LEVELS_MAX {
            let content = self.domain.read(kernel, at)?;
            let [parent, name, flags, balance_interval, nr_balance_failed, last_balance] =
                content.numbers(&self.numbers);
            kernel.read(at.plus(self.span), &mut cpus)?;
            let words = cpus.chunks_exact(8).filter_map(|word| word.first_chunk().copied().map(u64::from_le_bytes));
            domains.push(DomainSample {
                cpu,
                name: text(kernel, Gva(name))?,
                span: CpuSet::from_words(&words.collect::<Vec<_>>()),
                flags: flags as u32,
                balance_interval: balance_interval as u32,
                nr_balance_failed: nr_balance_failed as u32,
                last_balance,
            });
            at = Gva(parent);
        }
        Ok(domains)
    }
}

/// The text at an address, up to its first NUL.
fn text(kernel: &Kernel, at: Gva) -> Result<String, ReadError> {
    let mut bytes = [0; NAME_BYTES_MAX];
    kernel.read(at, &mut bytes)?;
    let text = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    Ok(String::from_utf8_lossy(text).into_owned())
}
