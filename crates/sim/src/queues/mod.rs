//! Queues simulated event by event: the independent judge of the core's formulas for waiting.
//!
//! Nothing here is shared with `rampmeter::headroom`: requests come in, wait in line, are served
//! and leave, one event after the other. [`simulate`] does that for ordinary servers and for an
//! engine that batches, [`knee`] finds the load at which too many wait beyond the target, and
//! [`contest`] holds what the desk says, from the events alone, against it.

pub mod cases;
pub mod contest;
mod engine;
pub mod gates;
pub mod knee;
mod servers;
pub mod sources;

pub use engine::Engine;
pub use sources::{Gaps, Service};

/// What serves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Servers {
    /// So many servers of one speed.
    Plain(u32),
    /// One engine that batches.
    Engine(Engine),
}

/// A queue: how requests come, what they take (mean 1 s of a full server), and what serves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Queue {
    /// How they come.
    pub gaps: Gaps,
    /// What they take.
    pub service: Service,
    /// What serves.
    pub servers: Servers,
}

impl Queue {
    /// Requests that can be served at once.
    #[must_use]
    pub const fn seats(&self) -> u32 {
        match self.servers {
            Servers::Plain(servers) => servers,
            Servers::Engine(engine) => engine.seats,
        }
    }
}

/// What happens to a request; times in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Event {
    /// It comes.
    Arrived,
    /// It is served from now on.
    Started {
        /// How long it waited.
        waited_s: f64,
    },
    /// It is done.
    Ended {
        /// How long it was served.
        ran_s: f64,
    },
}

/// Sends `requests` requests through a queue at `load` times its capacity, and tells of every event
/// in order of time. Those that are not done when the last has started are left out.
pub fn simulate(queue: &Queue, load: f64, requests: u64, seed: u64, tell: impl FnMut(f64, Event)) {
    let arrivals = sources::Requests::new(queue, load, seed).take(requests as usize);
    match queue.servers {
        Servers::Plain(servers) => servers::run(servers as usize, arrivals, tell),
        Servers::Engine(engine) => engine.run(arrivals, tell),
    }
}
