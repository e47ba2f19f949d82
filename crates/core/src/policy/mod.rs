//! What does the operator want? Classes with targets, accounts with weights, limits.
//!
//! [`Policy`] is the validated form that every desk takes. With the feature `document` it is read
//! from and written to TOML and JSON (see `policy::document`); the same text drives Rust, C,
//! Python, Slurm and the simulator.
//!
//! # Bounds and cost
//! Construction copies and checks everything once, O(classes + accounts). Nothing here is on a
//! hot path.

use alloc::boxed::Box;
use alloc::string::String;

use crate::units::{Nanos, Tokens};

/// Most classes in one policy.
pub const CLASSES_MAX: usize = 16;

/// A kind of work that shares one set of targets. Earlier classes go first.
#[derive(Clone, Debug, PartialEq)]
pub struct Class {
    /// Unique name.
    pub name: String,
    /// Time to first token that users of this class expect.
    pub ttft_target: Nanos,
    /// Time per output token after the first that they expect.
    pub tpot_target: Nanos,
    /// What one second of delay is worth; 1.0 = a second of an interactive user.
    pub delay_value: f64,
    /// Share of the engine's work (0..=1) kept for this class while it has work waiting, however
    /// busy the classes before it are.
    pub guaranteed_ratio: f64,
}

/// Who asks, and what share they deserve next to their siblings.
#[derive(Clone, Debug, PartialEq)]
pub struct Account {
    /// Unique name.
    pub name: String,
    /// Relative share while backlogged.
    pub weight: f64,
}

/// What the operator is judged by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Objectives {
    /// Share of offered requests (0..=1) that must meet both targets for the service to count as
    /// good: where the highway curve draws its line.
    pub attainment_min_ratio: f64,
    /// Floor of the run time in bounded slowdown, so that tiny requests do not dominate it.
    pub slowdown_floor: Nanos,
}

/// Capacities: everything has a limit, and full is an answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Requests that may be known at once, waiting and running together.
    pub requests_max: u32,
    /// Requests that may run at once (seats).
    pub running_max: u32,
    /// Accounts that may be open at once.
    pub accounts_max: u32,
    /// Tokens that one step may compute, prompts and decodes together.
    pub step_tokens_max: Tokens,
    /// Steps that may be formed and not yet observed, 1 to 4.
    pub steps_in_flight_max: u32,
    /// Longest prompt accepted.
    pub prompt_tokens_max: Tokens,
    /// Most output tokens of one request.
    pub output_tokens_max: Tokens,
}

/// How steps are filled.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BatchRules {
    /// Prompt tokens that a step may always take, however tight the decoding requests are.
    pub prefill_floor_tokens: Tokens,
    /// Share of `tpot_target` that steps are planned to keep; the rest absorbs prediction error.
    pub deadline_margin_ratio: f64,
    /// Prompts that are late or of a lower class fill a step only up to this share of the
    /// tightest running `tpot_target`.
    pub background_step_ratio: f64,
    /// How far past its fair turn an account may go for a request about to miss its target.
    pub urgency_credit_tokens: f64,
    /// Share of the work (0..=1) kept for requests that have already missed their target.
    pub late_ratio: f64,
    /// Cost of one prompt token, the unit of service.
    pub prompt_token_cost: f64,
    /// Cost of one prompt token found in the cache.
    pub cached_token_cost: f64,
    /// Cost of one output token, in prompt tokens.
    pub output_token_cost: f64,
    /// Times that one request may lose its KV before others are preferred as victims.
    pub preemptions_max: u32,
}

/// A validated policy: what every desk is built from.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// In order of precedence; 1 to [`CLASSES_MAX`].
    pub classes: Box<[Class]>,
    /// Accounts known beforehand; others may be opened at run time.
    pub accounts: Box<[Account]>,
    /// Weight of an account that the policy does not name.
    pub account_default_weight: f64,
    /// What the operator is judged by.
    pub objectives: Objectives,
    /// Capacities.
    pub limits: Limits,
    /// How steps are filled.
    pub batch: BatchRules,
}

impl Policy {
    /// Placeholder.
    pub fn validate(&self) -> Result<(), crate::Error> {
        Ok(())
    }
}
