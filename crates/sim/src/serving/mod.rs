//! The serving simulator: an iteration-level continuous-batching engine under a policy.
//!
//! [`run::run`] drives a [`scheduler::Scheduler`] over a workload; the policy plans each step
//! through [`state::EngineState`], which checks every command and owns the paged KV cache
//! ([`kv::KvPool`]). [`peers`] holds the policies that engines ship today, [`spec`] their names.

mod bound;
pub mod capacity;
pub mod contender;
pub mod gated;
pub mod kv;
pub mod observer;
pub mod peers;
mod rampmeter;
mod refusal;
#[cfg(test)]
mod refusal_tests;
pub mod replay;
pub mod replicas;
mod rules;
pub mod run;
pub mod scheduler;
pub mod spec;
pub mod state;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
pub mod validate;

pub use bound::service_bound;
pub use capacity::{Capacity, measure as measure_capacity};
pub use contender::Contender;
pub use gated::GateKind;
pub use kv::KvPool;
pub use observer::Observer;
pub use rampmeter::{Rampmeter, read_policy};
pub use refusal::Refusal;
pub use rules::BrokenRule;
pub use run::{Replica, RunError, RunOptions, run};
pub use scheduler::{Outcome, Scheduler, StepReport};
pub use spec::PolicySpec;
pub use state::{Change, EngineState, Facts, Planned};
