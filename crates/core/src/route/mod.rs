//! Which replica takes it?
//!
//! # What it decides
//! To which of several engines a request goes. The desk [`Router`] predicts, for each replica, the
//! seconds until the first token and what the request would cost others there, and takes the
//! cheapest.
//!
//! | question | answer |
//! |---|---|
//! | which replica? | [`Router::route`] |
//! | which pair, where one computes prompts and another decodes? | [`Router::route_pair`] |
//! | why? | [`Router::explain`] |
//! | what holds the router? | [`Router::stats`] |
//!
//! # Formula
//! [`price`]: everything in seconds of somebody's waiting, times what that waiting is worth.
//! [`replica`] says what is believed of a replica between reports, `index` what its cache holds.
//!
//! # What it hears
//! Nothing is needed but [`Router::route`] and [`Router::ended`]: an end with an answer tells how long
//! answers are and how long they stay, and its first token is taken to have come when it was foreseen.
//! A request whose prompt is behind the queue counts among those that decode. Each of the others makes
//! it better: [`Router::first_token`] says when a queue was done, and how fast; [`Router::started`]
//! what really was cached; [`Router::report`] what other routers sent; [`Router::stored`],
//! [`Router::removed`] and [`Router::cleared`] what a cache really holds (vLLM's KV events). Where
//! a replica tells no events, it is taken to hold what was routed to it, until as many other blocks
//! have come as its cache has.
//!
//! What is reported replaces what was thought; what was routed since is added to it. A replica
//! whose report is older than `route.stale_after_s` is passed over while another's is not. Where all
//! are, the cheapest by what was known last is chosen, and `stale` says so: what a host does then is
//! its own choice. One that is not ready yet has nothing to report, and counts as known until it is.
//!
//! # Bounds and cost
//! [`Router::route`]: O(blocks of the prompt + replicas). Replicas that cannot be the cheapest are not
//! priced: `board` knows for each what it would cost at least. Above `route.sample_above_replicas`
//! replicas it prices two, drawn by the number of the decision through the finalizer of splitmix64,
//! and the first of those that hold most of the prompt: O(blocks of the prompt). Nothing is left to
//! chance: the same calls give the same choices. All memory is taken in [`Router::new`];
//! [`Router::bytes_needed`] says how much.
//!
//! Of equal prices, the replica that was chosen least recently wins, then the first.
//!
//! # What it is bad at
//! - Several routers of one set of replicas know of each other what reports say, no sooner.
//! - It chooses at once and for good: no queue at the router, no second thoughts.
//! - Answers are taken to be as long as the last ones were, whoever asks.
//!
//! # Source
//! Costs by predicted time to first token: Mooncake (FAST'25), llm-d. Two choices: Mitzenmacher
//! (2001). Cache-aware routing: `SGLang`, Preble (ICLR'25), Dynamo. Measurements:
//! `docs/policies/route.md`.
//!
//! # How a host drives it
//! ```
//! use rampmeter::engine::Profile;
//! use rampmeter::policy::Policy;
//! use rampmeter::route::{ReplicaSpec, RouteRequest, Router, RouterOptions, hash_blocks};
//! use rampmeter::{Nanos, Tokens};
//!
//! let options = RouterOptions { blocks_max: 10_000, sets_max: 10_000, ..Default::default() };
//! let mut router = Router::new(&Policy::default(), &options)?;
//! let profile = Profile::named("llama-3.1-8b").ok_or("no such profile")?;
//! for _ in 0..2 {
//!     router.add_replica(Nanos::ZERO, &ReplicaSpec::of(profile)?)?;
//! }
//!
//! let prompt = vec![7; 1_000];
//! let mut hashes = [0; 64];
//! let blocks = hash_blocks(0, &prompt, options.block_tokens, &mut hashes);
//! let request = RouteRequest { prompt_tokens: Tokens(1_000), ..RouteRequest::default() };
//! let first = router.route(Nanos(1), &request, &hashes[..blocks])?.ok_or("nowhere")?;
//! assert_eq!(first.cached_tokens, Tokens(0));
//! router.first_token(Nanos::from_millis(50), first.request)?;
//! router.ended(Nanos::from_millis(900), first.request, Tokens(40))?;
//!
//! // The same prompt goes where it was computed, where only its end is left to do.
//! let again = router.route(Nanos::from_millis(950), &request, &hashes[..blocks])?;
//! let again = again.ok_or("nowhere")?;
//! assert_eq!((again.replica, again.cached_tokens), (first.replica, Tokens(992)));
//! assert!(again.ttft_s < first.ttft_s);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod adapters;
mod board;
mod choose;
mod events;
mod explain;
mod fleet;
mod flight;
mod hash;
mod index;
mod life;
mod means;
mod options;
mod pairs;
pub mod price;
pub mod replica;
mod report;
mod state;
mod stats;

use alloc::boxed::Box;
use alloc::vec;

pub use choose::{RouteRequest, Routed};
pub use explain::Candidate;
pub use flight::{Flight, RouteId};
pub use hash::hash_blocks;
pub use options::{REPLICAS_MAX, ReplicaSpec, ReplicaState, RouterOptions, TIERS, Tier};
pub use pairs::RoutedPair;
pub use price::Prices;
pub use replica::{Replica, ReplicaId, Status};
pub use stats::RouterStats;

use crate::error::{Error, check_range};
use crate::handle::Slab;
use crate::policy::{EngineMode, Policy, RouteRules};
use crate::units::Nanos;
use adapters::Adapters;
use board::Board;
use fleet::Roster;
use index::Index;
use means::Means;
use pairs::Decoders;

/// Chooses replicas for requests.
#[derive(Debug)]
pub struct Router {
    options: RouterOptions,
    rules: RouteRules,
    /// Steps that engines have planned while one runs.
    steps_ahead: u32,
    /// By class.
    delay_values: Box<[f64]>,
    /// Room to check a changed policy in: a place for each account.
    names: Box<[u32]>,
    replicas: Slab<Replica>,
    requests: Slab<Flight>,
    /// Those that may be chosen.
    roster: Roster,
    board: Board,
    index: Index,
    adapters: Adapters,
    decoders: Decoders,
    means: Means,
    decisions: u64,
    now: Nanos,
}

impl Router {
    /// A router without replicas. The only call that allocates.
    ///
    /// # Errors
    /// As [`Policy::validate`] and [`RouterOptions::validate`].
    pub fn new(policy: &Policy, options: &RouterOptions) -> Result<Self, Error> {
        policy.validate()?;
        options.validate()?;
        let delay_values: Box<[f64]> =
            policy.classes.iter().map(|class| class.delay_value).collect();
        Ok(Self {
            options: *options,
            rules: policy.route,
            steps_ahead: policy.limits.steps_in_flight_max - 1,
            delay_values,
            names: vec![0; policy.accounts.len()].into_boxed_slice(),
            replicas: Slab::new("replicas", options.replicas_max)?,
            requests: Slab::new("requests", options.requests_max)?,
            roster: Roster::new(options),
            board: Board::new(options, policy.route.stale_after),
            index: Index::new(options),
            adapters: Adapters::new(options),
            decoders: Decoders(
                vec![pairs::NO_DECODER; options.link_groups_max as usize].into_boxed_slice(),
            ),
            means: Means::default(),
            decisions: 0,
            now: Nanos::ZERO,
        })
    }

    /// Bytes that a router takes from the heap.
    #[must_use]
    pub fn bytes_needed(policy: &Policy, options: &RouterOptions) -> u64 {
        policy.classes.len() as u64 * size_of::<f64>() as u64
            + policy.accounts.len() as u64 * size_of::<u32>() as u64
            + Slab::<Replica>::bytes_needed(options.replicas_max)
            + Slab::<Flight>::bytes_needed(options.requests_max)
            + Roster::bytes_needed(options)
            + Board::bytes_needed(options)
            + Index::bytes_needed(options)
            + Adapters::bytes_needed(options)
            + Decoders::bytes_needed(options)
    }

    /// Takes a changed policy: delay values and rules of `[route]` hold from the next request on.
    /// Allocates nothing. O(accounts log accounts).
    ///
    /// # Errors
    /// As [`Policy::validate`]; [`Error::Range`] on `classes` if it has another number of them:
    /// requests name theirs by place; and if it has more accounts than the first policy. Nothing is
    /// changed then.
    pub fn set_policy(&mut self, policy: &Policy) -> Result<(), Error> {
        let accounts = policy.accounts.len();
        check_range("account entries", accounts as u64, 0, self.names.len() as u64)?;
        policy.validate_in(&mut self.names[..accounts])?;
        let (classes, built) = (policy.classes.len() as u64, self.delay_values.len() as u64);
        check_range("classes", classes, built, built)?;
        for (delay_value, class) in self.delay_values.iter_mut().zip(&policy.classes) {
            *delay_value = class.delay_value;
        }
        self.rules = policy.route;
        self.steps_ahead = policy.limits.steps_in_flight_max - 1;
        self.board.set_stale_after(policy.route.stale_after);
        Ok(())
    }

    /// Takes down on the board what has become of a replica.
    fn post(&mut self, replica: u32) {
        match self.replicas.at(replica) {
            Some(entry) => self.board.set(replica, entry),
            None if replica < self.options.replicas_max => self.board.clear(replica),
            // A request of a forged snapshot may be at a replica that never was.
            None => {}
        }
    }

    fn check_time(&self, now: Nanos) -> Result<(), Error> {
        if now < self.now {
            return Err(Error::TimeReversed { now_ns: now.get(), last_ns: self.now.get() });
        }
        Ok(())
    }

    /// True if the last report of a replica is too old to go by.
    fn is_stale(&self, now: Nanos, replica: &Replica) -> bool {
        let age = now.saturating_sub(replica.known_at());
        self.rules.stale_after > Nanos::ZERO && age > self.rules.stale_after
    }
}

/// Lists by mode: mixed, prefill, decode.
const MODES: usize = EngineMode::ALL.len();
