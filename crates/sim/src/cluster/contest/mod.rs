//! Where it runs, and when it is let in: placement rules and hold rules side by side on a cluster that
//! interactive and batch work share.
//!
//! # What it measures
//! Mean delay of all tasks, weighted by what a second of their delay is worth: waiting, and run time
//! lost to neighbours on the node. And the share of interactive tasks that start within
//! [`TARGET_S`] of their arrival.
//!
//! # What is the same for all
//! The traffic of a seed ([`traffic`]); the queue, which is the library's own cycle: interactive tasks
//! first, then by arrival, EASY backfill, no preemption; what tasks say of their run time, which is the
//! truth without neighbours. The rules differ in the node that is chosen ([`Placement`]) and in whether
//! a batch task that has room starts ([`Hold`]).
//!
//! # Source
//! The experiment is that of `docs/policies/place.md`; its ratios of interference are assumptions.

mod hold;
mod placement;
pub mod traffic;
mod world;

pub use hold::Hold;
pub use placement::Placement;
pub use traffic::{Bursts, Ground, Load, Traffic};
pub use world::{Case, Felt, run};

/// A start within so many seconds is in time.
pub const TARGET_S: f64 = 10.0;

/// Class of interactive work, as an index into the classes of the default policy.
pub const INTERACTIVE: u32 = 0;

/// Class of batch work.
pub const BATCH: u32 = 1;

/// Share of the run time that a task loses for each other one on the same device.
pub const SHARER_RATIO: f64 = 0.05;

/// The same for each neighbour on the node with one whole device.
pub const NEIGHBOUR_RATIO: f64 = 0.01;

/// The same for each neighbour with several.
pub const GANG_RATIO: f64 = 0.03;

#[cfg(test)]
mod tests;
