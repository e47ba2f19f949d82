//! Several engines behind one router.
//!
//! # Model
//! Each replica is a simulated engine with a batch policy and a prefix cache of its own. A request
//! is routed when it arrives and goes to that replica at once. What a router hears:
//! - of its own requests: begun, first token, end, at once, since answers stream through it;
//! - of every replica: a report at an interval, as it was when it was sent, after a delay.
//!
//! A replica may be slower than its step model says. One may fail: what it had is lost, the router
//! hears of it at once and routes its requests anew; it comes back with an empty cache.
//!
//! # What peers know
//! Peers that go by prefixes are shown what each cache really holds at that moment, which no real
//! router knows; `rampmeter` goes by its own index of what it routed.
//!
//! # What it leaves out
//! The network between router and replicas, KV events, several routers, tokens that a failed
//! replica had already sent.

mod peers;
mod rampmeter;
mod router;
mod run;

pub use router::{Router, RouterKind, View};
pub use run::{Failure, REPLICAS_MAX, ReplicaOptions, serve};
