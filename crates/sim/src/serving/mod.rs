//! The serving simulator: an iteration-level continuous-batching engine under a policy.
pub mod observer;

pub use observer::Observer;
