//! Routers that are in use today, each by its published rule.
//!
//! # Sources
//! - `p2c`: Mitzenmacher, "The power of two choices" (2001); Ray Serve's default.
//! - `prefix_first`: `SGLang`'s gateway, cache-aware policy: with more than 32 requests between the
//!   most and the least loaded, and 1.1 times as many, the least loaded; else the longest match if
//!   it is more than half of the prompt; else the smallest tree, here the fewest prompt tokens
//!   routed so far.
//! - `dynamo`: NVIDIA Dynamo's KV router at its defaults: `prompt blocks to compute, with those of
//!   requests before it + blocks of requests that are active`, least first.
//!
//! # What it leaves out
//! Dynamo's softmax temperature (0 by default), and blocks that several active requests share: each
//! counts its own.

use rampmeter::Nanos;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use std::collections::HashMap;

use super::router::{Router, View};
use crate::trace::{Purpose, random_stream};

/// More requests than this between the most and the least loaded are too many (`SGLang`).
const IMBALANCE: u32 = 32;

/// So many times the least loaded are too many (`SGLang`).
const IMBALANCE_RATIO: f64 = 1.1;

/// Share of a prompt above which a match decides (`SGLang`).
const MATCH_RATIO: f64 = 0.5;

type Answer = Result<Option<usize>, rampmeter::Error>;

/// Requests that each replica has.
#[derive(Debug, Default)]
struct Counts {
    of: Vec<u32>,
    went: HashMap<u32, usize>,
}

impl Counts {
    fn new(replicas: u32) -> Self {
        Self { of: vec![0; replicas as usize], went: HashMap::new() }
    }

    fn add(&mut self, request: u32, replica: usize) {
        self.of[replica] += 1;
        self.went.insert(request, replica);
    }

    fn take(&mut self, request: u32) -> Option<usize> {
        let replica = self.went.remove(&request)?;
        self.of[replica] -= 1;
        Some(replica)
    }

    fn least(&self, view: &View<'_, '_>) -> Option<usize> {
        view.up().min_by_key(|replica| (self.of[*replica], *replica))
    }
}

/// One after the other.
#[derive(Debug, Default)]
pub(super) struct RoundRobin {
    next: usize,
}

impl Router for RoundRobin {
    fn route(&mut self, _now: Nanos, _request: u32, view: &View<'_, '_>) -> Answer {
        let up: Vec<usize> = view.up().collect();
        self.next += 1;
        Ok((!up.is_empty()).then(|| up[self.next % up.len()]))
    }
}

/// Who has the fewest requests.
#[derive(Debug)]
pub(super) struct LeastRequests(Counts);

impl LeastRequests {
    pub(super) fn new(replicas: u32) -> Self {
        Self(Counts::new(replicas))
    }
}

impl Router for LeastRequests {
    fn route(&mut self, _now: Nanos, request: u32, view: &View<'_, '_>) -> Answer {
        let least = self.0.least(view);
        if let Some(replica) = least {
            self.0.add(request, replica);
        }
        Ok(least)
    }

    fn ended(&mut self, _now: Nanos, request: u32, _tokens: u32) -> Result<(), rampmeter::Error> {
        self.0.take(request);
        Ok(())
    }
}

/// Of two drawn, who has fewer requests.
#[derive(Debug)]
pub(super) struct PowerOfTwo {
    counts: Counts,
    random: ChaCha8Rng,
}

impl PowerOfTwo {
    pub(super) fn new(replicas: u32, seed: u64) -> Self {
        let random = random_stream(seed, Purpose::Routing, 0);
        Self { counts: Counts::new(replicas), random }
    }
}

impl Router for PowerOfTwo {
    fn route(&mut self, _now: Nanos, request: u32, view: &View<'_, '_>) -> Answer {
        let mut up: Vec<usize> = view.up().collect();
        if up.is_empty() {
            return Ok(None);
        }
        let first = up.swap_remove(self.random.random_range(0..up.len()));
        let mut chosen = first;
        if !up.is_empty() {
            let second = up[self.random.random_range(0..up.len())];
            if self.counts.of[second] < self.counts.of[first] {
                chosen = second;
            }
        }
        self.counts.add(request, chosen);
        Ok(Some(chosen))
    }

    fn ended(&mut self, _now: Nanos, request: u32, _tokens: u32) -> Result<(), rampmeter::Error> {
        self.counts.take(request);
        Ok(())
    }
}

/// The longest cached prefix, unless loads are far apart.
#[derive(Debug)]
pub(super) struct PrefixFirst {
    counts: Counts,
    /// Prompt tokens that went to each replica.
    tokens: Vec<u64>,
}

impl PrefixFirst {
    pub(super) fn new(replicas: u32) -> Self {
        Self { counts: Counts::new(replicas), tokens: vec![0; replicas as usize] }
    }

    fn choose(&self, request: u32, view: &View<'_, '_>) -> Option<usize> {
        let least = self.counts.least(view)?;
        let fewest = self.counts.of[least];
        let most = view.up().map(|replica| self.counts.of[replica]).max()?;
        if most - fewest > IMBALANCE && f64::from(most) > IMBALANCE_RATIO * f64::from(fewest) {
            return Some(least);
        }
        let cached = |replica: &usize| view.cached_tokens(*replica, request);
        let best = view.up().max_by_key(|replica| (cached(replica), usize::MAX - replica))?;
        let prompt = f64::from(view.request(request).prompt_tokens);
        if f64::from(cached(&best)) > MATCH_RATIO * prompt {
            return Some(best);
        }
        view.up().min_by_key(|replica| (self.tokens[*replica], *replica))
    }
}

impl Router for PrefixFirst {
    fn route(&mut self, _now: Nanos, request: u32, view: &View<'_, '_>) -> Answer {
        let chosen = self.choose(request, view);
        if let Some(replica) = chosen {
            self.counts.add(request, replica);
            self.tokens[replica] += u64::from(view.request(request).prompt_tokens);
        }
        Ok(chosen)
    }

    fn ended(&mut self, _now: Nanos, request: u32, _tokens: u32) -> Result<(), rampmeter::Error> {
        self.counts.take(request);
        Ok(())
    }
}

/// Prompt blocks to compute plus blocks that are active.
#[derive(Debug)]
pub(super) struct Dynamo {
    block_tokens: f64,
    /// By replica: prompt tokens not computed yet, and blocks of its requests.
    prefill_tokens: Vec<f64>,
    blocks: Vec<f64>,
    /// By request: its replica, and what of both is its own.
    active: HashMap<u32, (usize, f64, f64)>,
}

impl Dynamo {
    pub(super) fn new(replicas: u32, block_tokens: u32) -> Self {
        Self {
            block_tokens: block_tokens.into(),
            prefill_tokens: vec![0.0; replicas as usize],
            blocks: vec![0.0; replicas as usize],
            active: HashMap::new(),
        }
    }
}

impl Router for Dynamo {
    fn route(&mut self, _now: Nanos, request: u32, view: &View<'_, '_>) -> Answer {
        let prompt = f64::from(view.request(request).prompt_tokens);
        let blocks = (prompt / self.block_tokens).ceil();
        let mut best: Option<(f64, usize, f64)> = None;
        for replica in view.up() {
            let new = prompt - f64::from(view.cached_tokens(replica, request));
            let prefill = (self.prefill_tokens[replica] + new) / self.block_tokens;
            let cost = prefill + self.blocks[replica] + blocks;
            if best.is_none_or(|(least, ..)| cost < least) {
                best = Some((cost, replica, new));
            }
        }
        let Some((_, replica, new)) = best else { return Ok(None) };
        self.prefill_tokens[replica] += new;
        self.blocks[replica] += blocks;
        self.active.insert(request, (replica, new, blocks));
        Ok(Some(replica))
    }

    fn first_token(&mut self, _now: Nanos, request: u32) -> Result<(), rampmeter::Error> {
        if let Some((replica, new, _)) = self.active.get_mut(&request) {
            self.prefill_tokens[*replica] -= std::mem::take(new);
        }
        Ok(())
    }

    fn ended(&mut self, _now: Nanos, request: u32, _tokens: u32) -> Result<(), rampmeter::Error> {
        if let Some((replica, new, blocks)) = self.active.remove(&request) {
            self.prefill_tokens[replica] -= new;
            self.blocks[replica] -= blocks;
        }
        Ok(())
    }
}
