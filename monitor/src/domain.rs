//! Scheduling domains (`struct sched_domain`, include/linux/sched/topology.h): over which CPUs each CPU balances, and how that goes.

use crate::error::ReadError;
use crate::kernel::Kernel;
use crate::layout::{text, Content, Layout, Slot, Span};
use crate::page_table::Gva;
use crate::runqueue::Runqueues;
use ktstr_btf::present;
use ktstr_model::sample::DomainSample;
use ktstr_model::CpuSet;
use std::collections::btree_map::Entry;
use std::collections::BTreeMap;

/// From SMT siblings to the whole machine there are six at most; more are damage.
const LEVELS_MAX: usize = 16;
/// Of a name such as `PKG`.
const NAME_BYTES_MAX: usize = 16;

/// In the order in which [`Domains::decoded`] takes them.
const NUMBERS: [&str; 6] = ["parent", "name", "flags", "balance_interval", "nr_balance_failed", "last_balance"];

/// Where everything is in a kernel's domains.
#[derive(Debug)]
pub(crate) struct Domains {
    /// Of `struct rq`.
    sd: Span,
    first: Slot,
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
        let mut rq = Layout::new(kernel.btf(), "rq");
        let first = rq.field("sd")?;
        // An array without a length behind all members; not every kernel's types name it.
        let Some(span) = kernel.btf().find("sched_domain").and_then(|id| kernel.btf().size(id)) else {
            return Ok(None);
        };
        domain.bytes(span, 8 * kernel.cpus().div_ceil(64) as u64);
        Ok(Some(Self { sd: rq.span(), first, numbers, domain: domain.span(), span }))
    }

    /// The domains of each of `cpus`, the smallest first: one level of all of them at once. They may be taken down meanwhile, when CPUs come
    /// and go.
    pub(crate) fn of_cpus(
        &self,
        kernel: &Kernel,
        runqueues: &Runqueues,
        cpus: &[u32],
    ) -> Vec<Result<Vec<DomainSample>, ReadError>> {
        let mut all: Vec<_> = cpus.iter().map(|_| Ok(Vec::new())).collect();
        let rqs = cpus.iter().map(|cpu| runqueues.cpu_rq(*cpu as usize).unwrap_or(Gva(0))).collect::<Vec<_>>();
        let mut level: Vec<(usize, Gva)> = Vec::new();
        for (index, (sd, rq)) in self.sd.read_many(kernel, &rqs).into_iter().zip(&rqs).enumerate() {
            match sd.map_or_else(|| self.sd.read(kernel, *rq), Ok) {
                Ok(sd) => level.push((index, Gva(sd.number(&self.first)))),
                Err(error) => all[index] = Err(error),
            }
        }
        // Names are few, and in the image.
        let mut names = BTreeMap::new();
        for _ in 0..LEVELS_MAX {
            level.retain(|(_, at)| *at != Gva(0));
            let at: Vec<Gva> = level.iter().map(|(_, at)| *at).collect();
            let contents = self.domain.read_many(kernel, &at);
            let mut next = Vec::new();
            for ((index, at), content) in level.into_iter().zip(contents) {
                let domain = content
                    .map_or_else(|| self.domain.read(kernel, at), Ok)
                    .and_then(|content| self.decoded(kernel, cpus[index], &content, &mut names));
                match (domain, &mut all[index]) {
                    (Ok((domain, parent)), Ok(domains)) => {
                        domains.push(domain);
                        next.push((index, parent));
                    }
                    (Err(error), of_cpu) => *of_cpu = Err(error),
                    (Ok(_), Err(_)) => {}
                }
            }
            level = next;
        }
        all
    }

    /// A domain, and the one above it.
    fn decoded(
        &self,
        kernel: &Kernel,
        cpu: u32,
        content: &Content,
        names: &mut BTreeMap<Gva, String>,
    ) -> Result<(DomainSample, Gva), ReadError> {
        let [parent, name, flags, balance_interval, nr_balance_failed, last_balance] = content.numbers(&self.numbers);
        let name = match names.entry(Gva(name)) {
            Entry::Occupied(known) => known.get().clone(),
            Entry::Vacant(entry) => {
                let mut bytes = [0; NAME_BYTES_MAX];
                kernel.read(Gva(name), &mut bytes)?;
                entry.insert(text(&bytes)).clone()
            }
        };
        let domain = DomainSample {
            cpu,
            name,
            span: CpuSet::from_words(&content.words(self.span, kernel.cpus().div_ceil(64))),
            flags: flags as u32,
            balance_interval: balance_interval as u32,
            nr_balance_failed: nr_balance_failed as u32,
            last_balance,
        };
        Ok((domain, Gva(parent)))
    }
}
