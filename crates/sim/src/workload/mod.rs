//! Requests to be served: what every simulator run is fed with.
//!
//! A [`crate::trace::Trace`], read or [generated](Generator), becomes a [`Workload`] when a
//! [`Mix`] has given its requests the classes and accounts they do not bring.

mod conversations;
pub mod generate;
pub mod mix;
mod presets;
pub mod scale;
pub mod system_prompts;

use rampmeter::Nanos;

pub use self::generate::{Extent, Generator, Preset};
pub use self::mix::Mix;
pub use self::scale::Offered;
pub use self::system_prompts::SystemPrompts;

/// One request of a workload.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// When it reaches the engine, from the start of the run.
    pub arrival: Nanos,
    /// Prompt tokens, at least 1.
    pub prompt_tokens: u32,
    /// Tokens it will produce, at least 1. The engine knows it, a policy must not look.
    pub output_tokens: u32,
    /// The most it may produce as the user stated it (`max_tokens`); what a policy may know.
    pub output_tokens_max: u32,
    /// Index into [`Workload::classes`].
    pub class: u16,
    /// Index into [`Workload::accounts`].
    pub account: u32,
    /// Chained hashes of the leading blocks of its prompt, for the prefix cache; each covers
    /// [`Workload::prefix_block_tokens`] tokens, the last one possibly fewer.
    pub prefix: Box<[u64]>,
}

/// Requests in order of arrival, with the names of their classes and accounts.
#[derive(Clone, Debug, PartialEq)]
pub struct Workload {
    /// Where it comes from, for reports.
    pub source: String,
    /// In order of arrival.
    pub requests: Vec<Request>,
    /// Classes in order of precedence, with their targets.
    pub classes: Vec<rampmeter::policy::Class>,
    /// Accounts with their weights.
    pub accounts: Vec<rampmeter::policy::Account>,
    /// Tokens that one entry of [`Request::prefix`] stands for.
    pub prefix_block_tokens: u32,
}
