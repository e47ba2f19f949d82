//! Evidence for rampmeter: traces and a workload generator, an iteration-level serving simulator
//! that runs the same compiled core as production, the policies that engines ship today, and
//! reports.
//!
//! Everything is seeded; two runs of the same input give identical bytes.

pub mod cluster;
pub mod dynamic;
pub mod engine;
pub mod error;
mod input;
mod json;
mod nearest;
pub mod queues;
pub mod report;
pub mod results;
pub mod routers;
pub mod serving;
pub mod trace;
pub mod workload;

pub use error::InputError;
pub use input::{document as read_document, shown};
