//! What became of a request, and what that says of its replica.
//!
//! # Bounds and cost
//! O(1) each, but for what becomes of all requests of a replica: O(requests).

use super::Router;
use super::flight::{Flight, Phase, RouteId, Stop};
use super::replica::{CONTEXT_MAX, Replica, ReplicaId, SPAN_MAX_S};
use crate::error::{Error, check_range};
use crate::policy::SEQUENCE_TOKENS_MAX;
use crate::units::{Nanos, Tokens};

/// Ends over which the mean stay at one replica reaches: known to 18% where stays vary as much as
/// they last, and new within seconds at 100 ends a second.
const STAY_MEMORY: f64 = 32.0;

impl Router {
    /// A replica began to compute the prompt of a request, and found `cached_tokens` of it. O(1).
    ///
    /// # Errors
    /// [`Error::TimeReversed`]; [`Error::Stale`]; [`Error::Range`] on `cached_tokens` beyond the
    /// prompt; [`Error::Contradiction`] if it had begun before.
    pub fn started(
        &mut self,
        now: Nanos,
        request: RouteId,
        cached_tokens: Tokens,
    ) -> Result<(), Error> {
        self.check_time(now)?;
        let flight = *self.requests.get(request)?;
        let cached = cached_tokens.get();
        check_range("cached_tokens", cached.into(), 0, flight.prompt_tokens.into())?;
        check_before("started", flight.phase, Phase::Begun)?;
        self.now = now;
        if let Some(replica) = self.at(flight.prefill) {
            let computed = flight.prompt_tokens - cached;
            let work_s = super::price::work_s(replica, computed, cached);
            // It and those behind it are still to be computed.
            let left_s = work_s + replica.behind_s(&flight);
            let foreseen = replica.free_at.offset_seconds(work_s - flight.work_s);
            replica.free_at = foreseen.max(now.offset_seconds(left_s));
            replica.begun_s = replica.begun_s.max(flight.routed_s);
            let ratio = if flight.work_s > 0.0 { work_s / flight.work_s } else { 1.0 };
            leave_queue(replica, now, &flight);
            replica.running = replica.running.saturating_add(1);
            let known = self.requests.get_mut(request)?;
            (known.cached_tokens, known.work_s) = (cached, work_s);
            known.alone_s = (flight.alone_s * ratio).min(SPAN_MAX_S);
            known.shared_s = (flight.shared_s * ratio).min(SPAN_MAX_S);
        }
        let known = self.requests.get_mut(request)?;
        (known.phase, known.since) = (Phase::Begun, now);
        self.post(flight.prefill.replica.index());
        Ok(())
    }

    /// The first token of a request is out. O(1).
    ///
    /// # Errors
    /// [`Error::TimeReversed`]; [`Error::Stale`]; [`Error::Contradiction`] if it was out before.
    pub fn first_token(&mut self, now: Nanos, request: RouteId) -> Result<(), Error> {
        self.check_time(now)?;
        let flight = *self.requests.get(request)?;
        check_before("first_token", flight.phase, Phase::Decoding)?;
        self.now = now;
        if let Some(replica) = self.at(flight.prefill) {
            let queued = replica.last_first > flight.since;
            let since = replica.last_first.max(flight.since);
            let took_s = now.saturating_sub(since).as_seconds();
            let expected_s = if queued { flight.shared_s } else { flight.alone_s };
            // Without a word of when it began, what held it up would count as slowness.
            if flight.phase == Phase::Begun || !flight.is_held_up {
                replica.pace.note(took_s, expected_s);
            }
            replica.last_first = now;
            replica.begun_s = replica.begun_s.max(flight.routed_s);
            if flight.is_pair() || flight.phase == Phase::Routed {
                leave_queue(replica, now, &flight);
            }
            replica.untold = false;
            // Prompts come first, first served: what is left was routed after it.
            replica.free_at = now.offset_seconds(replica.behind_s(&flight));
            if flight.is_pair() {
                give_back(replica, flight.prefill);
            }
        }
        if flight.is_pair()
            && let Some(decode) = self.at(flight.decode)
        {
            decode.waiting = decode.waiting.saturating_sub(1);
        }
        if let Some(decode) = self.at(flight.decode) {
            if flight.is_pair() || flight.phase == Phase::Routed {
                decode.running = decode.running.saturating_add(1);
            }
            let context_tokens = decode.context_tokens.saturating_add(flight.context_tokens.into());
            decode.context_tokens = context_tokens.min(CONTEXT_MAX);
        }
        let known = self.requests.get_mut(request)?;
        (known.phase, known.since) = (Phase::Decoding, now);
        self.post(flight.decode.replica.index());
        Ok(())
    }

    /// A request ended, with so many tokens of answer: it was done, cancelled, or failed. Its
    /// handle is stale from now on. One with an answer had its first token, said or not: where it
    /// was not, it is taken to have come when it was foreseen. Say 0 tokens of one that went before
    /// its first token. O(1).
    ///
    /// # Errors
    /// [`Error::TimeReversed`]; [`Error::Stale`]; [`Error::Range`] on `output_tokens` above 2^24.
    pub fn ended(
        &mut self,
        now: Nanos,
        request: RouteId,
        output_tokens: Tokens,
    ) -> Result<(), Error> {
        self.check_time(now)?;
        let tokens = output_tokens.get();
        check_range("output_tokens", tokens.into(), 0, SEQUENCE_TOKENS_MAX)?;
        let flight = self.requests.remove(request)?;
        self.now = now;
        if flight.phase == Phase::Decoding {
            let first = flight.since;
            self.was_answered(now, &flight, first, output_tokens);
            if let Some(replica) = self.at(flight.decode) {
                replica.one_less(true);
                replica.context_tokens =
                    replica.context_tokens.saturating_sub(flight.context_tokens.into());
            }
        } else if tokens > 0 {
            self.first_token_was_untold(now, &flight);
            let first = flight.due.max(flight.since).min(now);
            self.was_answered(now, &flight, first, output_tokens);
        } else {
            self.left_early(now, &flight);
        }
        if flight.is_pair() {
            self.post(flight.prefill.replica.index());
        }
        self.post(flight.decode.replica.index());
        Ok(())
    }

    /// A request ended whose first token was out at `first`.
    fn was_answered(&mut self, now: Nanos, flight: &Flight, first: Nanos, output_tokens: Tokens) {
        let stay_s = now.saturating_sub(first).as_seconds();
        self.means.ended(output_tokens.get(), stay_s);
        if let Some(replica) = self.at(flight.decode) {
            let is_new = replica.stay_s == 0.0;
            replica.stay_s += if is_new { stay_s } else { (stay_s - replica.stay_s) / STAY_MEMORY };
            give_back(replica, flight.decode);
            let blocks = replica.spec.kv.blocks_for(output_tokens).get();
            replica.horizon.takes(now, blocks, replica.spec.kv.blocks().get());
        }
    }

    /// A request ended that was answered, and nobody said when its first token was out. Its prompt
    /// was computed, and those before it; how fast is not known.
    fn first_token_was_untold(&mut self, now: Nanos, flight: &Flight) {
        if let Some(replica) = self.at(flight.prefill) {
            let behind_s = replica.behind_s(flight);
            replica.free_at = replica.free_at.min(now.offset_seconds(behind_s));
            replica.untold = true;
            replica.begun_s = replica.begun_s.max(flight.routed_s);
            leave_queue(replica, now, flight);
            if flight.is_pair() {
                give_back(replica, flight.prefill);
            }
        }
        if flight.is_pair()
            && let Some(decode) = self.at(flight.decode)
        {
            decode.waiting = decode.waiting.saturating_sub(1);
        }
    }

    /// A request went before its first token.
    fn left_early(&mut self, now: Nanos, flight: &Flight) {
        if let Some(replica) = self.at(flight.prefill) {
            // What was routed after it stays; of its own work what is not done yet goes.
            leave_queue(replica, now, flight);
            let own_s = replica.left_s(now) - replica.behind_s(flight);
            replica.free_at = replica.free_at.offset_seconds(-own_s.clamp(0.0, flight.work_s));
            give_back(replica, flight.prefill);
        }
        if flight.is_pair()
            && let Some(decode) = self.at(flight.decode)
        {
            decode.waiting = decode.waiting.saturating_sub(1);
            give_back(decode, flight.decode);
        }
    }

    /// A replica is gone: requests that cannot go on without it give their places back.
    pub(super) fn lose_requests(&mut self, now: Nanos, replica: ReplicaId) {
        for place in 0..self.requests.capacity() {
            let Some(flight) = self.requests.at(place).copied() else { continue };
            let computing = flight.phase != Phase::Decoding;
            let needs_prefill = computing && flight.prefill.replica == replica;
            if !needs_prefill && flight.decode.replica != replica {
                continue;
            }
            if let Some(request) = self.requests.handle_at(place)
                && self.requests.remove(request).is_ok()
                && computing
            {
                self.left_early(now, &flight);
                self.post(flight.prefill.replica.index());
                self.post(flight.decode.replica.index());
            }
        }
    }

    /// The replica of a stop, if it is still the one that the request went to.
    fn at(&mut self, stop: Stop) -> Option<&mut Replica> {
        let replica = self.replicas.get_mut(stop.replica).ok()?;
        (replica.incarnation == stop.incarnation).then_some(replica)
    }
}

/// A request whose first token nobody had told of is no longer among those that wait or are begun.
fn leave_queue(replica: &mut Replica, now: Nanos, flight: &Flight) {
    replica.presume(now, flight.context_tokens);
    let is_done = replica.untold && replica.left_s(now) <= replica.behind_s(flight);
    // Who it is of those that are presumed to decode is not known: it takes the mean along.
    let mean = replica.context_tokens / u64::from(replica.running.max(1));
    let ran = replica.one_less(is_done || flight.phase != Phase::Routed);
    if ran && flight.phase == Phase::Routed {
        replica.context_tokens -= mean;
    }
}

/// Blocks that a request held are free.
fn give_back(replica: &mut Replica, stop: Stop) {
    let all = i64::from(replica.spec.kv.blocks().get());
    replica.kv_free = replica.kv_free.saturating_add(stop.blocks.into()).min(all);
}

/// `Ok` if a request has not come so far yet.
fn check_before(field: &'static str, phase: Phase, next: Phase) -> Result<(), Error> {
    if (phase as u64) < next as u64 {
        return Ok(());
    }
    Err(Error::Contradiction {
        field,
        value: next as u64,
        other: "phase",
        other_value: phase as u64,
    })
}
