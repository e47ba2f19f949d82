//! The cheapest replica, and what a choice changes.
//!
//! # Bounds and cost
//! O(blocks of the prompt + replicas), of which few are priced (see [`super::board`]); or without the
//! replicas where they are sampled: then at most [`DRAWS`] draws and one holder of the prefix are
//! priced.

use super::Router;
use super::flight::{Flight, Phase, RouteId, Stop};
use super::hash::mix;
use super::price::{Asked, Prices, alone_s, work_s};
use super::replica::{Replica, ReplicaId, SPAN_MAX_S};
use crate::error::{Error, check_range};
use crate::policy::{EngineMode, SEQUENCE_TOKENS_MAX};
use crate::units::{Nanos, Tokens};

/// Draws of a sample: two that may be chosen, and in place of stale ones some more.
const DRAWS: u64 = 8;

/// Replicas of a sample that have reported in time.
const SAMPLED: u32 = 2;

/// A request that is to be routed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct RouteRequest {
    /// Index of its class in the policy.
    pub class: u16,
    /// Tokens of its prompt, at least 1.
    pub prompt_tokens: Tokens,
    /// The adapter that it needs; 0: none.
    pub adapter: u64,
}

/// Where a request goes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Routed {
    /// Name of the request in the calls that tell what became of it.
    pub request: RouteId,
    /// The replica that takes it.
    pub replica: ReplicaId,
    /// Predicted seconds until its first token.
    pub ttft_s: f64,
    /// What was compared, in value-seconds: with what others lose.
    pub cost: f64,
    /// Prompt tokens that the replica is taken to have, or to load.
    pub cached_tokens: Tokens,
    /// No replica has reported in time; this one is the best by what was known last. A host for
    /// which no answer is better than a late one ends it with 0 tokens and turns it away.
    pub stale: bool,
    /// Replicas that were priced, or passed over because their price could not be lower.
    pub candidates: u32,
}

/// A replica with its price. Ordered by what is preferred.
#[derive(Clone, Copy, Debug)]
pub(super) struct Choice {
    pub(super) replica: u32,
    pub(super) prices: Prices,
    pub(super) stale: bool,
    chosen: u64,
}

impl Choice {
    fn is_better_than(&self, other: &Self) -> bool {
        let key = |choice: &Self| (choice.stale, choice.prices.cost, choice.chosen, choice.replica);
        key(self) < key(other)
    }
}

impl Router {
    /// Sends a request to the cheapest replica. `hashes` are the names of its full blocks of
    /// [`super::RouterOptions::block_tokens`] tokens, in order; none where nothing is known.
    /// `None` if no replica that computes whole requests may be chosen: nothing is changed then.
    /// O(blocks of the prompt + replicas).
    ///
    /// # Errors
    /// [`Error::TimeReversed`]; [`Error::Range`] on `class` and `prompt_tokens`; [`Error::Full`] on
    /// `requests`.
    pub fn route(
        &mut self,
        now: Nanos,
        request: &RouteRequest,
        hashes: &[u64],
    ) -> Result<Option<Routed>, Error> {
        self.check_request(now, request)?;
        self.check_room()?;
        self.index.walk(hashes);
        let asked = self.asked(now, request);
        let (choice, candidates) = self.cheapest(&asked, request.adapter);
        let Some(choice) = choice else { return Ok(None) };
        let Some(replica) = self.replicas.handle_at(choice.replica) else { return Ok(None) };
        let flight = self.flight(&asked, choice.replica, choice.replica, choice.prices);
        let Some(flight) = flight else { return Ok(None) };
        let request_id = self.requests.insert(flight)?;
        self.send(&asked, request, hashes, &flight, &choice.prices);
        Ok(Some(Routed {
            request: request_id,
            replica,
            ttft_s: choice.prices.ttft_s,
            cost: choice.prices.cost,
            cached_tokens: choice.prices.cached_tokens,
            stale: choice.stale,
            candidates,
        }))
    }

    pub(super) fn check_request(&self, now: Nanos, request: &RouteRequest) -> Result<(), Error> {
        self.check_time(now)?;
        let classes = self.delay_values.len() as u64;
        check_range("class", request.class.into(), 0, classes - 1)?;
        let tokens = u64::from(request.prompt_tokens.get());
        check_range("prompt_tokens", tokens, 1, SEQUENCE_TOKENS_MAX)?;
        Ok(())
    }

    pub(super) fn check_room(&self) -> Result<(), Error> {
        if self.requests.is_full() {
            let capacity = u64::from(self.requests.capacity());
            return Err(Error::Full { field: "requests", capacity });
        }
        Ok(())
    }

    /// What prices depend on besides the replica.
    pub(super) fn asked(&self, now: Nanos, request: &RouteRequest) -> Asked {
        let delay_value = self.delay_values[usize::from(request.class)];
        // Who only decodes has no queue of prompts.
        let compute =
            [EngineMode::Mixed, EngineMode::Prefill].map(|mode| self.roster.of(mode).len());
        let replicas = compute.iter().sum::<usize>().max(1) as f64;
        Asked {
            now,
            prompt_tokens: request.prompt_tokens.get(),
            block_tokens: self.options.block_tokens,
            delay_value,
            delay_value_mean: self.means.delay_value,
            output_tokens: self.means.output_tokens,
            computed_tokens: self.means.computed_tokens,
            stay_s: self.means.stay_s,
            rate_per_s: self.means.rate_per_s() / replicas,
            interference_weight: self.rules.interference_weight,
            later_weight: self.rules.later_weight,
            steps_ahead: f64::from(self.steps_ahead),
        }
    }

    /// The cheapest of those that compute prompts and decode, for the prompt of the last walk, and
    /// how many were looked at.
    fn cheapest(&mut self, asked: &Asked, adapter: u64) -> (Option<Choice>, u32) {
        let all = self.roster.of(EngineMode::Mixed);
        if all.len() as u64 > u64::from(self.rules.sample_above_replicas) {
            return self.cheapest_sampled(asked, adapter);
        }
        let all = all.len() as u32;
        let Some(lowest) = self.board.work_out(asked, self.index.held()) else {
            return (None, all);
        };
        let mut best = self.choice(asked, adapter, lowest);
        let mut next = 0;
        while let cost = best.map_or(f64::INFINITY, |best| best.prices.cost)
            && let Some(replica) = self.board.next_below(next, cost)
        {
            next = replica + 1;
            let choice = self.choice(asked, adapter, replica).filter(|it| it.replica != lowest);
            if let Some(choice) = choice
                && best.is_none_or(|best| choice.is_better_than(&best))
            {
                best = Some(choice);
            }
        }
        (best, all)
    }

    /// The cheapest of two draws and of the first of those that hold most of the prompt.
    fn cheapest_sampled(&self, asked: &Asked, adapter: u64) -> (Option<Choice>, u32) {
        let all = self.roster.of(EngineMode::Mixed);
        let holder = self.index.longest().filter(|replica| self.may_be_chosen(*replica));
        let mut best = holder.and_then(|replica| self.choice(asked, adapter, replica));
        let (mut looked_at, mut fresh) = (u32::from(best.is_some()), 0);
        for draw in 0..DRAWS {
            // The high half of a product with a word: even over all, without a division.
            let word = mix(self.decisions.wrapping_mul(DRAWS).wrapping_add(draw));
            let place = ((u128::from(word) * all.len() as u128) >> 64) as usize;
            let Some(choice) = self.choice(asked, adapter, all[place]) else { continue };
            looked_at += 1;
            fresh += u32::from(!choice.stale);
            if best.is_none_or(|best| choice.is_better_than(&best)) {
                best = Some(choice);
            }
            if fresh == SAMPLED {
                break;
            }
        }
        (best, looked_at)
    }

    fn may_be_chosen(&self, replica: u32) -> bool {
        let listed = self.roster.of(EngineMode::Mixed);
        let entry = self.replicas.at(replica);
        entry.is_some_and(|entry| listed.get(entry.place as usize) == Some(&replica))
    }

    /// A replica with its price.
    fn choice(&self, asked: &Asked, adapter: u64, replica: u32) -> Option<Choice> {
        let entry = self.replicas.at(replica)?;
        let prices = self.prices(asked, adapter, replica, entry);
        let stale = self.is_stale(asked.now, entry);
        Some(Choice { replica, prices, stale, chosen: entry.chosen })
    }

    pub(super) fn prices(
        &self,
        asked: &Asked,
        adapter: u64,
        replica: u32,
        entry: &Replica,
    ) -> Prices {
        let matched = self.index.matched(replica, entry.forgets_before());
        let load_s = entry.spec.adapter_load_s;
        asked.prices(entry, matched, self.adapters.wait_s(asked.now, replica, adapter, load_s))
    }

    /// The request as it will be known, with its prompt computed on one replica and its answer on
    /// another, or on the same.
    pub(super) fn flight(
        &self,
        asked: &Asked,
        prefill: u32,
        decode: u32,
        prices: Prices,
    ) -> Option<Flight> {
        let entry = self.replicas.at(prefill)?;
        let cached_tokens = prices.cached_tokens.get();
        let computed = asked.prompt_tokens.saturating_sub(cached_tokens);
        let pace = entry.pace.ratio();
        let stop = |replica: u32, tokens: u32| -> Option<Stop> {
            let entry = self.replicas.at(replica)?;
            let blocks = entry.spec.kv.blocks_for(Tokens(tokens)).get();
            let id = self.replicas.handle_at(replica)?;
            Some(Stop { replica: id, incarnation: entry.incarnation, blocks })
        };
        let work_s = work_s(entry, computed, cached_tokens);
        let moved = if prefill == decode { computed } else { asked.prompt_tokens };
        Some(Flight {
            prefill: stop(prefill, computed)?,
            decode: stop(decode, moved)?,
            phase: Phase::Routed,
            routed_at: asked.now,
            since: asked.now.max(entry.spec.ready_at).offset_seconds(prices.step_s),
            due: asked.now.offset_seconds(prices.ttft_s),
            prompt_tokens: asked.prompt_tokens,
            cached_tokens,
            context_tokens: asked.prompt_tokens.saturating_add((asked.output_tokens / 2.0) as u32),
            work_s,
            is_held_up: prices.is_held_up(),
            routed_s: (entry.routed_s + work_s).min(SPAN_MAX_S),
            alone_s: alone_s(entry, computed, cached_tokens).min(SPAN_MAX_S),
            shared_s: (work_s / pace).min(SPAN_MAX_S),
        })
    }

    /// Keeps the books of a choice: the replica has that much more to do, and will hold the prompt.
    pub(super) fn send(
        &mut self,
        asked: &Asked,
        request: &RouteRequest,
        hashes: &[u64],
        flight: &Flight,
        prices: &Prices,
    ) {
        let replica = flight.prefill.replica;
        self.now = asked.now;
        self.decisions += 1;
        let computed = asked.prompt_tokens.saturating_sub(flight.cached_tokens);
        self.means.routed(asked.now, asked.delay_value, computed);
        let place = replica.index();
        self.index.hold_prompt(asked.now, hashes, place);
        let adapter_at = asked.now.offset_seconds(prices.adapter_s);
        self.adapters.hold(place, request.adapter, self.decisions, adapter_at);
        if let Ok(entry) = self.replicas.get_mut(replica) {
            let blocks = flight.prefill.blocks;
            let begins = entry.free_at.max(asked.now).max(entry.spec.ready_at);
            entry.free_at = begins.offset_seconds(prices.step_s + flight.work_s);
            entry.recent.push(asked.now, entry.routed_s, blocks);
            entry.routed_s = flight.routed_s;
            entry.waiting = entry.waiting.saturating_add(1);
            entry.kv_free = entry.kv_free.saturating_sub(blocks.into());
            entry.horizon.takes(asked.now, blocks, entry.spec.kv.blocks().get());
            entry.chosen = self.decisions;
            entry.presume(asked.now, flight.context_tokens);
        }
        self.post(place);
    }
}
