//! What several test binaries share: a host that trusts nothing, snapshots that are wrong, and the
//! same random numbers everywhere.

#![allow(dead_code, unreachable_pub, reason = "each test binary uses the part that it needs")]

pub mod forgery;
pub mod gates;
mod host;
mod prng;
mod setup;
pub mod swarm;

pub use host::Host;
pub use prng::Prng;
pub use setup::{Setup, model};
