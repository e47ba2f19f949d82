//! Engines that compute prompts, and engines that take their KV over and decode.
//!
//! # Model
//! A request is routed to a pair. Its prompt is computed on the first; then its KV goes over a link,
//! one prompt after the other from each engine that computes prompts; then the second has it in its
//! cache, computes what is left of the last block, and decodes. The first token is out there. Replicas
//! of one link group reach each other over a fast link, others over the network. A router hears what
//! becomes of its requests at once, and a report of every replica at an interval, after a delay.
//!
//! # What peers do
//! Each half is chosen by the peer's own rule, as if the other did not matter: that is how routers in
//! front of two pools work.
//!
//! # What it leaves out
//! Failures, tiers, adapters, KV that goes over while the rest is computed, and blocks that the second
//! replica has already: they go over again.

mod halves;
mod run;

use rampmeter::Nanos;
use rampmeter::error::{check_range, check_real};

use super::options::REPLICAS_MAX;
use crate::serving::run::{RunError, RunOptions};

pub use run::serve;

/// The engines of both kinds, and what is between them.
#[derive(Clone, Debug, PartialEq)]
pub struct PairOptions {
    /// The link group of each that computes prompts.
    pub prefill: Vec<u32>,
    /// The link group of each that decodes.
    pub decode: Vec<u32>,
    /// Bytes a second within a link group.
    pub link_bytes_per_s: f64,
    /// Bytes a second between link groups.
    pub network_bytes_per_s: f64,
    /// KV bytes of a token.
    pub kv_bytes_per_token: u64,
    /// How each engine runs.
    pub run: RunOptions,
    /// From one report of a replica to its next.
    pub report_every: Nanos,
    /// From sending a report until the router has it.
    pub report_delay: Nanos,
}

impl PairOptions {
    /// Groups of so many of each kind. Llama-3.1-8B has 131,072 bytes of KV a token; 400 Gbit/s within a
    /// group and 25 Gbit/s between groups. Reports every second, heard 50 ms later.
    pub fn new(groups: u32, prefill_each: u32, decode_each: u32) -> Self {
        let of = |each| (0..groups).flat_map(|group| (0..each).map(move |_| group)).collect();
        Self {
            prefill: of(prefill_each),
            decode: of(decode_each),
            link_bytes_per_s: 50e9,
            network_bytes_per_s: 3.125e9,
            kv_bytes_per_token: 131_072,
            run: RunOptions::default(),
            report_every: Nanos::from_millis(1_000),
            report_delay: Nanos::from_millis(50),
        }
    }

    /// Seconds that the KV of a prompt takes, by the link groups that it leaves and goes to. Whole
    /// blocks go over.
    pub(super) fn transfer_s(&self, tokens: u32, block_tokens: u32, from: u32, to: u32) -> f64 {
        let blocks = f64::from(tokens.div_ceil(block_tokens.max(1)));
        let bytes = blocks * f64::from(block_tokens.max(1)) * self.kv_bytes_per_token as f64;
        bytes / if from == to { self.link_bytes_per_s } else { self.network_bytes_per_s }
    }

    fn groups(&self) -> u32 {
        self.prefill.iter().chain(&self.decode).map(|group| group + 1).max().unwrap_or(1)
    }

    fn check(&self) -> Result<(), RunError> {
        check_range("prefill_replicas", self.prefill.len() as u64, 1, REPLICAS_MAX)?;
        check_range("decode_replicas", self.decode.len() as u64, 1, REPLICAS_MAX)?;
        check_range("report_every_ns", self.report_every.get(), 1, u64::MAX)?;
        check_real("link_bytes_per_s", self.link_bytes_per_s, 1e3, 1e15)?;
        check_real("network_bytes_per_s", self.network_bytes_per_s, 1e3, 1e15)?;
        Ok(())
    }
}
