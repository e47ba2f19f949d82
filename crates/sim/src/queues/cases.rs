//! The queues of the table.

use super::knee::Target;
use super::{Engine, Gaps, Queue, Servers, Service};

/// A queue with its target.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Case {
    /// How requests come and what they take, in words.
    pub name: &'static str,
    /// The queue.
    pub queue: Queue,
    /// Its target.
    pub target: Target,
}

/// Arrivals and service of the table.
const KINDS: [(&str, Gaps, Service); 8] = [
    ("Poisson, exponential", Gaps::Poisson, Service::Exponential),
    ("Poisson, fixed", Gaps::Poisson, Service::Fixed),
    ("Poisson, lognormal CV 2", Gaps::Poisson, Service::Lognormal { cv: 2.0 }),
    ("Poisson, Pareto 1.5", Gaps::Poisson, Service::Pareto { shape: 1.5 }),
    ("bursts CV 2, exponential", Gaps::Hyper { cv: 2.0 }, Service::Exponential),
    ("bursts CV 4, exponential", Gaps::Hyper { cv: 4.0 }, Service::Exponential),
    ("bursts CV 4, lognormal CV 2", Gaps::Hyper { cv: 4.0 }, Service::Lognormal { cv: 2.0 }),
    (
        "modulated .4/1.6, exponential",
        Gaps::Modulated { low: 0.4, stay_s: 5.0 },
        Service::Exponential,
    ),
];

/// Numbers of servers, with a target in service times for each: few servers need patience.
const SERVERS: [(u32, f64); 3] = [(1, 4.0), (8, 1.0), (64, 0.25)];

/// Engines: 64 seats, 100 tokens a request, two thirds of a full step due to the load.
const ENGINE: Engine = Engine { seats: 64, tokens: 100.0, loaded_share: 0.66 };

/// All cases; one request in twenty may be late.
pub fn all() -> impl Iterator<Item = Case> {
    let plain = SERVERS.into_iter().map(|(servers, wait_s)| (Servers::Plain(servers), wait_s));
    plain.chain([(Servers::Engine(ENGINE), 0.25)]).flat_map(|(servers, wait_s)| {
        KINDS.into_iter().map(move |(name, gaps, service)| Case {
            name,
            queue: Queue { gaps, service, servers },
            target: Target { wait_s, late_ratio_max: 0.05 },
        })
    })
}
