//! From what GPUs say to what the policy library decides by.
//!
//! The core calls no driver and has no clock; these translate a snapshot into its words, and leave
//! the calls to the host.

pub mod fleet;
pub mod kv;
pub mod signals;
