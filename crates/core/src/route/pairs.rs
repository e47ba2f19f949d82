//! Which pair takes it, where prompts and answers are computed by different engines?
//!
//! # What it decides
//! A replica that computes the prompt, and one that takes its KV over and decodes.
//!
//! # Formula
//! ```text
//! ttft     = ttft of the prefill replica + max(0, room of the decode replica - that) + transfer
//!            + step of the decode replica
//! transfer = blocks of the prompt * bytes of a block / bytes a second, within a link group or not
//! step     = half of the step that runs there, those that are planned, and its first own
//! cost     = v * (ttft of the prefill replica + transfer + room + step) + others, on both
//! ```
//! The room (seats and KV memory) is awaited while the prompt is computed; in the cost it counts in
//! full, so that the choice falls apart into two: of the decode replicas only the best in each link
//! group and the best of all can be part of the best pair.
//!
//! # Bounds and cost
//! O(blocks of the prompt + prefill replicas + decode replicas + link groups).
//!
//! # What it is bad at
//! Links that are busy: bandwidth is what the options say. A prefix that the decode replica holds
//! is moved again.
//!
//! # Source
//! Splitting the two phases: `DistServe` (OSDI'24), Splitwise (ISCA'24); the choice of a pair with
//! its transfer: Mooncake (FAST'25).

use alloc::boxed::Box;

use super::Router;
use super::choose::RouteRequest;
use super::flight::RouteId;
use super::options::RouterOptions;
use super::price::{Asked, Prices};
use super::replica::{Replica, ReplicaId};
use crate::error::Error;
use crate::policy::EngineMode;
use crate::units::{Nanos, Tokens};

/// A pair for a request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RoutedPair {
    /// Name of the request in the calls that tell what became of it.
    pub request: RouteId,
    /// Computes the prompt.
    pub prefill: ReplicaId,
    /// Takes the KV over and decodes.
    pub decode: ReplicaId,
    /// Seconds to hand the KV on; part of `ttft_s`.
    pub transfer_s: f64,
    /// Predicted seconds until the first token is out at the decode replica.
    pub ttft_s: f64,
    /// What was compared, in value-seconds.
    pub cost: f64,
    /// Prompt tokens that the prefill replica is taken to have, or to load.
    pub cached_tokens: Tokens,
    /// One of the two has not reported in time, and no other that does its half has.
    pub stale: bool,
}

/// A decode replica with its price, ordered by what is preferred.
#[derive(Clone, Copy, Debug)]
pub(super) struct Decoder {
    stale: bool,
    cost: f64,
    chosen: u64,
    replica: u32,
    room_s: f64,
    step_s: f64,
}

/// No decode replica.
pub(super) const NO_DECODER: Decoder = Decoder {
    stale: true,
    cost: f64::INFINITY,
    chosen: 0,
    replica: u32::MAX,
    room_s: 0.0,
    step_s: 0.0,
};

impl Decoder {
    fn is_better_than(&self, other: &Self) -> bool {
        let key = |it: &Self| (it.stale, it.cost, it.chosen, it.replica);
        key(self) < key(other)
    }

    fn is_there(&self) -> bool {
        self.replica != NO_DECODER.replica
    }
}

/// The best decode replica of each link group, while a pair is chosen.
#[derive(Debug)]
pub(super) struct Decoders(pub(super) Box<[Decoder]>);

impl Decoders {
    pub(super) const fn bytes_needed(options: &RouterOptions) -> u64 {
        options.link_groups_max as u64 * size_of::<Decoder>() as u64
    }
}

/// The best pair so far.
#[derive(Clone, Copy, Debug)]
struct Pair {
    stale: bool,
    cost: f64,
    chosen: u64,
    prefill: u32,
    decode: Decoder,
    prices: Prices,
}

impl Pair {
    fn is_better_than(&self, other: &Self) -> bool {
        let key =
            |pair: &Self| (pair.stale, pair.cost, pair.chosen, pair.prefill, pair.decode.replica);
        key(self) < key(other)
    }
}

impl Router {
    /// Sends a request to the cheapest pair of a prefill and a decode replica. `None` unless there
    /// is one of each: nothing is changed then. Of the calls that follow, `started` and
    /// `first_token` are about the prompt; decoding begins with the first token. O(blocks of the
    /// prompt + replicas + link groups).
    ///
    /// # Errors
    /// As [`Router::route`].
    pub fn route_pair(
        &mut self,
        now: Nanos,
        request: &RouteRequest,
        hashes: &[u64],
    ) -> Result<Option<RoutedPair>, Error> {
        self.check_request(now, request)?;
        self.check_room()?;
        self.index.walk(hashes);
        let asked = self.asked(now, request);
        let any = self.best_decoders(&asked);
        let Some(best) = self.best_pair(&asked, request.adapter, any) else { return Ok(None) };
        let flight = self.flight(&asked, best.prefill, best.decode.replica, best.prices);
        let prefill = self.replicas.handle_at(best.prefill);
        let decode = self.replicas.handle_at(best.decode.replica);
        let (Some(flight), Some(prefill), Some(decode)) = (flight, prefill, decode) else {
            return Ok(None);
        };
        let id = self.requests.insert(flight)?;
        self.send(&asked, request, hashes, &flight, &best.prices);
        if let Ok(entry) = self.replicas.get_mut(decode) {
            entry.waiting = entry.waiting.saturating_add(1);
            entry.kv_free = entry.kv_free.saturating_sub(flight.decode.blocks.into());
            entry.chosen = self.decisions;
        }
        let Prices { ttft_s, transfer_s, cached_tokens, cost, .. } = best.prices;
        let waits_s = (best.decode.room_s - (ttft_s - transfer_s)).max(0.0);
        Ok(Some(RoutedPair {
            request: id,
            prefill,
            decode,
            transfer_s,
            ttft_s: ttft_s + waits_s + best.decode.step_s,
            cost: cost + best.decode.cost,
            cached_tokens,
            stale: best.stale,
        }))
    }

    /// Seconds that the KV of a prompt takes between two link groups.
    fn transfer_s(&self, prompt_tokens: u32, from: u32, to: u32) -> f64 {
        let blocks = Tokens(prompt_tokens).blocks(self.options.block_tokens);
        let tokens = f64::from(blocks.get()) * f64::from(self.options.block_tokens);
        let bytes = tokens * self.options.kv_bytes_per_token as f64;
        let near = from == to;
        bytes / if near { self.options.link_bytes_per_s } else { self.options.network_bytes_per_s }
    }

    /// Finds the best decode replica of each link group, and returns the best of all.
    fn best_decoders(&mut self, asked: &Asked) -> Decoder {
        self.decoders.0.fill(NO_DECODER);
        let mut any = NO_DECODER;
        for replica in self.roster.of(EngineMode::Decode) {
            let Some(entry) = self.replicas.at(*replica) else { continue };
            let decoder = Decoder {
                stale: self.is_stale(asked.now, entry),
                chosen: entry.chosen,
                replica: *replica,
                ..asked.decoder(entry)
            };
            let best = &mut self.decoders.0[entry.spec.link_group as usize];
            if decoder.is_better_than(best) {
                *best = decoder;
            }
            if decoder.is_better_than(&any) {
                any = decoder;
            }
        }
        any
    }

    fn best_pair(&self, asked: &Asked, adapter: u64, any: Decoder) -> Option<Pair> {
        let mut best: Option<Pair> = None;
        for prefill in self.roster.of(EngineMode::Prefill) {
            let Some(entry) = self.replicas.at(*prefill) else { continue };
            let prices = self.prices(asked, adapter, *prefill, entry);
            let stale = self.is_stale(asked.now, entry);
            let group = entry.spec.link_group;
            let near = self.decoders.0[group as usize];
            for decode in [near, any] {
                let Some(decoding) = self.replicas.at(decode.replica) else { continue };
                let transfer_s =
                    self.transfer_s(asked.prompt_tokens, group, decoding.spec.link_group);
                let cost = prices.cost + asked.delay_value * transfer_s;
                let pair = Pair {
                    stale: stale || decode.stale,
                    cost: cost + decode.cost,
                    chosen: entry.chosen,
                    prefill: *prefill,
                    decode,
                    prices: Prices {
                        transfer_s,
                        ttft_s: prices.ttft_s + transfer_s,
                        cost,
                        ..prices
                    },
                };
                if decode.is_there() && best.is_none_or(|best| pair.is_better_than(&best)) {
                    best = Some(pair);
                }
            }
        }
        best
    }
}

impl Asked {
    /// What decoding somewhere costs: waiting for room, and slowing each other down.
    fn decoder(&self, replica: &Replica) -> Decoder {
        let (seats_s, kv_s) = self.room_s(replica, 0);
        let room_s = seats_s.max(kv_s);
        let interference_s = self.decoding_s(replica);
        let (steps, pace) = (replica.steps(), replica.pace.ratio());
        let context = f64::from(self.prompt_tokens);
        let own_s = pace * (steps.decode_s + steps.one_more_s(context));
        let step_s = (0.5 + self.steps_ahead) * replica.step_s(&steps, pace) + own_s;
        let cost = self.delay_value * (room_s + step_s) + self.interference_weight * interference_s;
        Decoder { cost, room_s, step_s, ..NO_DECODER }
    }
}
