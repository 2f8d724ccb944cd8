//! Which of the planned cases this process runs: `[Case] ──filter──▶ ──shard──▶ [Case]`. Pure.

mod filter;
mod shard;

pub(crate) use filter::Filter;
pub(crate) use shard::Shard;
