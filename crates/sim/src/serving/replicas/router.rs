//! What a router is asked and told, and the names of those that there are.

use std::fmt;
use std::str::FromStr;

use rampmeter::Nanos;
use rampmeter::route::ReplicaState;

use super::foreseen::Foreseen;
use super::news::News;
use super::options::ReplicaOptions;
use super::peers::{Dynamo, LeastRequests, PowerOfTwo, PrefixFirst, RoundRobin};
use super::rampmeter::Rampmeter;
use crate::InputError;
use crate::engine::Engine;
use crate::nearest::unknown;
use crate::serving::run::Replica;
use crate::workload::{Request, Workload};

/// The option that wrong names are reported under.
const OPTION: &str = "--router";

/// What a router may look at when it chooses.
pub struct View<'a, 'w> {
    pub(super) workload: &'w Workload,
    pub(super) replicas: &'a [Replica<'w>],
    pub(super) up: &'a [bool],
}

impl View<'_, '_> {
    /// The request; its output is not to be looked at.
    pub fn request(&self, request: u32) -> &Request {
        &self.workload.requests[request as usize]
    }

    /// Replicas that have not failed, in order.
    pub fn up(&self) -> impl Iterator<Item = usize> {
        self.up.iter().enumerate().filter_map(|(replica, up)| up.then_some(replica))
    }

    /// Prompt tokens of a request that the cache of a replica holds at this moment.
    pub fn cached_tokens(&self, replica: usize, request: u32) -> u32 {
        let kv = self.replicas[replica].state().kv();
        kv.cached_tokens(request, self.request(request).prompt_tokens)
    }
}

/// Chooses a replica for each request. Replicas are numbered from 0.
pub trait Router {
    /// The replica that takes a request; `None` if it must wait for one to come back.
    ///
    /// # Errors
    /// A wrong call of the library, which is a mistake of the simulator.
    fn route(
        &mut self,
        now: Nanos,
        request: u32,
        view: &View<'_, '_>,
    ) -> Result<Option<usize>, rampmeter::Error>;

    /// The prompt of a request is being computed; so much of it was cached.
    ///
    /// # Errors
    /// As [`Router::route`].
    fn started(
        &mut self,
        _now: Nanos,
        _request: u32,
        _cached: u32,
    ) -> Result<(), rampmeter::Error> {
        Ok(())
    }

    /// Its first token is out.
    ///
    /// # Errors
    /// As [`Router::route`].
    fn first_token(&mut self, _now: Nanos, _request: u32) -> Result<(), rampmeter::Error> {
        Ok(())
    }

    /// It ended after so many tokens, or was lost with its replica.
    ///
    /// # Errors
    /// As [`Router::route`].
    fn ended(&mut self, _now: Nanos, _request: u32, _tokens: u32) -> Result<(), rampmeter::Error> {
        Ok(())
    }

    /// A report of a replica came.
    ///
    /// # Errors
    /// As [`Router::route`].
    fn report(
        &mut self,
        _now: Nanos,
        _replica: usize,
        _state: &ReplicaState,
    ) -> Result<(), rampmeter::Error> {
        Ok(())
    }

    /// A replica failed; or it came back, or is ready for the first time.
    ///
    /// # Errors
    /// As [`Router::route`].
    fn changed(&mut self, _now: Nanos, _replica: usize, _up: bool) -> Result<(), rampmeter::Error> {
        Ok(())
    }
    /// A replica that was not there before was started, and will be ready then.
    ///
    /// # Errors
    /// As [`Router::route`].
    fn starts(
        &mut self,
        _now: Nanos,
        _replica: usize,
        _ready_at: Nanos,
    ) -> Result<(), rampmeter::Error> {
        Ok(())
    }

    /// A replica published what became of its cache or its adapters.
    ///
    /// # Errors
    /// As [`Router::route`].
    fn published(
        &mut self,
        _now: Nanos,
        _replica: usize,
        _news: News,
    ) -> Result<(), rampmeter::Error> {
        Ok(())
    }

    /// What it says of a request that it has just routed; `None` if it says nothing.
    fn foreseen(&self, _request: u32) -> Option<Foreseen> {
        None
    }
}

/// A router as the user names it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RouterKind {
    /// One after the other.
    RoundRobin,
    /// Who has the fewest requests.
    LeastRequests,
    /// Of two drawn, who has fewer requests.
    PowerOfTwo,
    /// The longest cached prefix, unless loads are far apart (`SGLang`'s gateway).
    PrefixFirst,
    /// Prompt blocks to compute plus blocks that decode (Dynamo).
    Dynamo,
    /// The library's own.
    Rampmeter,
}

impl RouterKind {
    /// Every router.
    pub const ALL: [Self; 6] = [
        Self::RoundRobin,
        Self::LeastRequests,
        Self::PowerOfTwo,
        Self::PrefixFirst,
        Self::Dynamo,
        Self::Rampmeter,
    ];

    /// Its name on the command line and in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::RoundRobin => "round_robin",
            Self::LeastRequests => "least_requests",
            Self::PowerOfTwo => "p2c",
            Self::PrefixFirst => "prefix_first",
            Self::Dynamo => "dynamo",
            Self::Rampmeter => "rampmeter",
        }
    }

    /// A router of this kind for these replicas.
    pub(super) fn build(
        self,
        workload: &Workload,
        engine: &Engine,
        options: &ReplicaOptions,
        seed: u64,
    ) -> Result<Box<dyn Router>, rampmeter::Error> {
        let replicas = options.replicas;
        Ok(match self {
            Self::RoundRobin => Box::new(RoundRobin::default()),
            Self::LeastRequests => Box::new(LeastRequests::new(replicas)),
            Self::PowerOfTwo => Box::new(PowerOfTwo::new(replicas, seed)),
            Self::PrefixFirst => Box::new(PrefixFirst::new(replicas)),
            Self::Dynamo => Box::new(Dynamo::new(replicas, engine.kv.block_tokens())),
            Self::Rampmeter => Box::new(Rampmeter::new(workload, engine, options)?),
        })
    }
}

impl fmt::Display for RouterKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for RouterKind {
    type Err = InputError;

    fn from_str(text: &str) -> Result<Self, InputError> {
        let known = Self::ALL.into_iter().find(|kind| kind.name() == text);
        known.ok_or_else(|| {
            InputError::new(OPTION, unknown(text, "router", Self::ALL.map(Self::name)))
        })
    }
}
