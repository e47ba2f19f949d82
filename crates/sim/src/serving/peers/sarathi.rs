//! Stall-free batching: decodes first, and prompts in chunks behind them.
//!
//! # What it decides
//! Each step takes, in this order: every decoding request; the next chunks of prompts already
//! begun; new prompts in order of arrival. Prompt tokens stop where the step holds `chunk` tokens,
//! *decodes included*; so the time between two tokens of an answer is bounded by one such step.
//!
//! # Formula
//! ```text
//! prompt tokens of a step <= max(0, chunk - tokens already in the step)
//! ```
//!
//! # What it is bad at
//! One fixed chunk cannot be right at every load: a small one costs throughput, a large one costs
//! time per token. With more decodes than `chunk` no prompt moves at all.
//!
//! # Source
//! Sarathi-Serve (OSDI '24, arXiv 2403.02310), algorithm 3 and `sarathi_scheduler.py`. Simplified:
//! the watermark of 1% of the blocks at admission is left out; the memory of a prompt is taken
//! chunk by chunk after the check that all of it fits.

use super::base::{Rules, RunningOrder};

/// Tokens of a step unless `chunk` says otherwise: the paper's middle setting, which keeps
/// 7-billion-parameter models on one GPU under 100 ms a step.
pub const CHUNK_TOKENS_DEFAULT: u32 = 512;

/// Decodes, begun prompts, new prompts.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sarathi;

impl Rules for Sarathi {
    fn running_order(&self) -> RunningOrder {
        RunningOrder::DecodesFirst
    }

    fn chunk_counts_decodes(&self) -> bool {
        true
    }
}
