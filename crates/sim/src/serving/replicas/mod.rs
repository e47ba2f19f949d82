//! Several engines behind one router.
//!
//! # Model
//! Each replica is a simulated engine with a batch policy and a prefix cache of its own. A request
//! is routed when it arrives and goes to the dock of that replica at once: there it waits until the
//! replica is ready, for its adapter to be loaded, and for blocks that are in slower tiers; then its
//! engine sees it. What a router hears:
//! - of its own requests: begun, first token, end, at once, since answers stream through it;
//! - of every replica: a report at an interval, as it was when it was sent, after a delay;
//! - of caches and adapters, if they tell: what came and what went, after a delay.
//!
//! A replica may be slower than its step model says. One may fail: what it had is lost, the router
//! hears of it at once and routes its requests anew; it comes back with an empty cache. One may be
//! started while others serve.
//!
//! [`pairs`] has engines that compute prompts apart from those that decode.
//!
//! # What peers know
//! Peers that go by prefixes are shown what each cache really holds at that moment, which no real
//! router knows; `rampmeter` goes by its own index of what it routed, or by events. Peers know
//! neither slower tiers nor adapters, and take a replica when it is ready.
//!
//! # What it leaves out
//! The network between router and replicas, events that are lost, several routers, tokens that a
//! failed replica had already sent, the step that a load of an adapter makes longer.

pub mod cases;
mod dock;
mod ear;
mod foreseen;
mod news;
mod options;
pub mod pairs;
mod peers;
mod rampmeter;
mod report;
mod router;
mod run;
mod slots;
mod tiers;

pub use foreseen::{Difference, Foreseen, Seen};
pub use news::News;
pub use options::{
    AdapterOptions, ColdStart, Failure, REPLICAS_MAX, ReplicaOptions, TierOptions, Told,
};
pub use router::{Router, RouterKind, View};
pub use run::{serve, serve_watched};
