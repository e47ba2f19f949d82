//! What runs in the next step?
//!
//! [`continuous`] batches the iterations of a language model: each step takes some tokens of some
//! requests.

pub mod continuous;
mod queue;
#[cfg(feature = "document")]
pub mod record;

pub use continuous::{Batcher, Formed, Observation, Plan, PlanEntry, RequestId, Submission};
