//! The table: every key of a policy but the names, one row each, one file for each section.
//!
//! "The simulation" in the rows below is an iteration-level simulation of Llama-3.1-8B with
//! measured kernel times, 128 seats, targets of 2 s and 50 ms, eight accounts of which one is
//! greedy. Load 1.0 is what first-come-first-served with 2,048-token steps completes when
//! saturated; pairs of figures are chat / code traffic; attainment is the share of interactive
//! requests that met both targets.

mod account;
mod admission;
mod batch;
mod class;
mod history;
mod limits;
mod objectives;
mod placement;
mod quota;
mod route;

pub(crate) use account::{ACCOUNT, ACCOUNT_DEFAULT};
pub(crate) use admission::{GATE, HOLD};
pub(crate) use batch::BATCH;
pub(crate) use class::CLASS;
pub(crate) use history::HISTORY;
pub(crate) use limits::LIMITS;
pub(crate) use objectives::OBJECTIVES;
pub(crate) use placement::PLACEMENT;
pub(crate) use quota::QUOTA;
pub(crate) use route::ROUTE;

/// Most requests known at once: 2^20, 160 MiB of state at 160 bytes each.
const REQUESTS_MAX: u64 = 1 << 20;

/// Most tokens in one step: 2^20, more than the longest contexts of today computed in one go.
const STEP_TOKENS_MAX: u64 = 1 << 20;

/// Most prompt tokens in a queue: as many requests as can be known, each as long as can be.
const QUEUE_TOKENS_MAX: u64 = REQUESTS_MAX * SEQUENCE_TOKENS_MAX;

/// Longest wait that can be a limit, in seconds: a day, as for targets.
const QUEUE_WAIT_MAX_S: f64 = 86_400.0;

/// Longest prompt or output: 2^24 tokens, above the longest context announced (10 million). The
/// sum of both stays far inside 32 bits, and each is exact in an `f32`.
pub(crate) const SEQUENCE_TOKENS_MAX: u64 = 1 << 24;
