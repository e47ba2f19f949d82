//! The policies that engines ship today, over one shared mechanism.
//!
//! [`base`] does what they have in common: a running list, chunked prefill within the token
//! budget, KV allocation, preemption with recompute, admission of whole prompts. Each peer says
//! only where it differs, through [`Rules`].

pub mod base;
mod fcfs;
mod past_future;
mod priority;
mod sarathi;
#[cfg(test)]
mod tests;
mod vtc;
mod waiting;

pub use base::{Peer, PeerOptions, Rules, RunningOrder};
pub use fcfs::Fcfs;
pub use past_future::{PastFuture, SPARE_PERCENT_DEFAULT};
pub use priority::Priority;
pub use sarathi::{CHUNK_TOKENS_DEFAULT as SARATHI_CHUNK_TOKENS_DEFAULT, Sarathi};
pub use vtc::{OUTPUT_TOKEN_COST_DEFAULT, Vtc};
pub use waiting::{Place, Waiting};
