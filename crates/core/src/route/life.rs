//! What became of a request, and what that says of its replica.
//!
//! # Bounds and cost
//! O(1) each.

use super::Router;
use super::flight::{Flight, Phase, RouteId, Stop};
use super::replica::{CONTEXT_MAX, Replica, SPAN_MAX_S};
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
            let left_s = work_s + (replica.routed_s - flight.routed_s).max(0.0);
            let foreseen = replica.free_at.offset_seconds(work_s - flight.work_s);
            replica.free_at = foreseen.max(now.offset_seconds(left_s));
            replica.begun_s = replica.begun_s.max(flight.routed_s);
            let ratio = if flight.work_s > 0.0 { work_s / flight.work_s } else { 1.0 };
            replica.waiting = replica.waiting.saturating_sub(1);
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
            replica.pace.note(took_s, expected_s);
            replica.last_first = now;
            replica.begun_s = replica.begun_s.max(flight.routed_s);
            // Prompts come first, first served: what is left was routed after it.
            let left_s = (replica.routed_s - flight.routed_s).max(0.0);
            replica.free_at = now.offset_seconds(left_s);
            if flight.is_pair() || flight.phase == Phase::Routed {
                leave_queue(replica, &flight);
            }
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
    /// handle is stale from now on. O(1).
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
        if flight.phase != Phase::Decoding {
            self.left_early(now, &flight);
            self.post(flight.prefill.replica.index());
            return Ok(());
        }
        let stay_s = now.saturating_sub(flight.since).as_seconds();
        self.means.ended(tokens, stay_s);
        if let Some(replica) = self.at(flight.decode) {
            let first = replica.stay_s == 0.0;
            replica.stay_s += if first { stay_s } else { (stay_s - replica.stay_s) / STAY_MEMORY };
            replica.running = replica.running.saturating_sub(1);
            replica.context_tokens =
                replica.context_tokens.saturating_sub(flight.context_tokens.into());
            give_back(replica, flight.decode);
            let blocks = replica.spec.kv.blocks_for(output_tokens).get();
            replica.horizon.takes(now, blocks, replica.spec.kv.blocks().get());
        }
        self.post(flight.decode.replica.index());
        Ok(())
    }

    /// A request went before its first token.
    fn left_early(&mut self, now: Nanos, flight: &Flight) {
        if let Some(replica) = self.at(flight.prefill) {
            replica.free_at = replica.free_at.offset_seconds(-flight.work_s).max(now);
            leave_queue(replica, flight);
            give_back(replica, flight.prefill);
        }
        if flight.is_pair()
            && let Some(decode) = self.at(flight.decode)
        {
            decode.waiting = decode.waiting.saturating_sub(1);
            give_back(decode, flight.decode);
        }
    }

    /// The replica of a stop, if it is still the one that the request went to.
    fn at(&mut self, stop: Stop) -> Option<&mut Replica> {
        let replica = self.replicas.get_mut(stop.replica).ok()?;
        (replica.incarnation == stop.incarnation).then_some(replica)
    }
}

/// A request whose prompt was not done is no longer among those that wait or are begun.
fn leave_queue(replica: &mut Replica, flight: &Flight) {
    match flight.phase {
        Phase::Routed => replica.waiting = replica.waiting.saturating_sub(1),
        Phase::Begun | Phase::Decoding => replica.running = replica.running.saturating_sub(1),
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
