//! Who has waited for too long?
//!
//! # What it decides
//! A request without a seat is given up at the earliest of its own `expires_at` and of what the
//! queue limits of its class, its account and the accounts above allow after its arrival. Only
//! work that would be lost is: a request that lost its KV after its first token is never given up;
//! one that lost it before waits again for its first, and may be.
//!
//! # Bounds and cost
//! Nothing expired is ever let in: the head of the line is looked at before it gets a seat. Those
//! behind it are found by a sweep that looks at a 64th of the slots in a step, and only once the
//! earliest expiry known may have come: each is found within 128 steps (64 for a round, and what
//! was left of the round before), for 16 looks a step with 1,000 requests. What does not fit into
//! the caller's array is told by the next step.
//!
//! # What it is bad at
//! The earliest expiry is a lower bound: that of a request that has a seat by now makes one round
//! of the sweep look for nothing.

use super::Batcher;
use super::admission::Next;
use super::explain::Closed;
use super::form::Draft;
use super::plan::Expiry;
use super::prompts::Line;
use super::request::{Request, Stage};
use crate::batch::queue::NONE;
use crate::error::Error;
use crate::snapshot::{Words, ensure, pair};
use crate::units::Nanos;

/// Steps in which a sweep looks at all slots once. At 10 to 50 ms a step that is one to three
/// seconds, which nobody notices who has waited until the end.
const ROUND_STEPS: u32 = 64;

/// Where the sweep is, and when it is worth going on.
#[derive(Debug)]
pub(super) struct Expiries {
    /// Nothing that waits expires before this.
    next_ns: u64,
    /// The same of what this round has looked at, and of what came since it began.
    round_ns: u64,
    /// The slot to look at next.
    cursor: u32,
    /// Slots that were ever in use.
    slots_used: u32,
}

impl Expiries {
    pub(super) const fn new() -> Self {
        Self { next_ns: u64::MAX, round_ns: u64::MAX, cursor: 0, slots_used: 0 }
    }

    /// The request in this slot waits for its first token, or has a new expiry.
    pub(super) fn note(&mut self, slot: u32, expires_ns: u64) {
        self.slots_used = self.slots_used.max(slot + 1);
        self.next_ns = self.next_ns.min(expires_ns);
        self.round_ns = self.round_ns.min(expires_ns);
    }

    /// Goes on to the next slot. After the last one a round is over, and what it saw holds.
    fn advance(&mut self) {
        self.cursor += 1;
        if self.cursor >= self.slots_used {
            self.cursor = 0;
            self.next_ns = core::mem::replace(&mut self.round_ns, u64::MAX);
        }
    }

    /// When somebody has to look next; `None` if nothing expires.
    pub(super) const fn next_event(&self) -> Option<Nanos> {
        if self.next_ns == u64::MAX { None } else { Some(Nanos(self.next_ns)) }
    }

    pub(super) fn save_state(&self, save: &mut dyn FnMut(u64)) {
        let Self { next_ns, round_ns, cursor, slots_used } = self;
        save(*next_ns);
        save(*round_ns);
        save(pair(*cursor, *slots_used));
    }

    /// `slots` is how many there are.
    pub(super) fn load_state(&mut self, words: &mut Words<'_>, slots: u32) -> Result<(), Error> {
        (self.next_ns, self.round_ns) = (words.next()?, words.next()?);
        (self.cursor, self.slots_used) = words.next_pair()?;
        ensure(self.cursor < slots && self.slots_used <= slots)
    }
}

impl Batcher {
    /// When to call [`Batcher::form`] next: `now` if there may be something to form, the predicted
    /// end of the oldest step if all that is left is to wait for it, the moment when a request may
    /// expire if that is earlier, `None` if only a call of the host can change anything. A `form`
    /// that found nothing is not asked for again before something has changed.
    #[must_use]
    pub fn next_event(&self, now: Nanos) -> Option<Nanos> {
        let work = self.running_len > 0 || self.lines.len() > 0;
        let free = self.steps.len() < self.steps.capacity();
        if work && !self.stalled && free {
            return Some(now);
        }
        let landing = self.steps.oldest().map(|place| self.steps.record(place).ends_at);
        let expiry = self.expiries.next_event().filter(|_| free && self.lines.len() > 0);
        landing.into_iter().chain(expiry).min().map(|event| event.max(now))
    }

    /// When a request is given up that may wait until `wanted` by its own account.
    pub(super) fn expiry_of(&self, request: &Request, wanted: Option<Nanos>) -> u64 {
        let allowed_ns = self.queues.expires_ns(request.class, request.account, request.arrival_ns);
        wanted.map_or(allowed_ns, |wanted| wanted.get().min(allowed_ns))
    }

    /// Looks at some slots for requests that have expired; returns how many were given up.
    pub(super) fn sweep_expired(&mut self, out: &mut [Expiry]) -> u32 {
        let mut given_up = 0;
        for _ in 0..self.expiries.slots_used.div_ceil(ROUND_STEPS) {
            if self.expiries.next_ns > self.now.get() {
                break;
            }
            let slot = self.expiries.cursor;
            if self.is_expired(slot) {
                if !self.expire(slot, out, &mut given_up) {
                    break;
                }
            } else if let Some(request) = self.requests.at(slot)
                && matches!(request.stage, Stage::Waiting | Stage::Late)
            {
                self.expiries.round_ns = self.expiries.round_ns.min(request.expires_ns);
            }
            self.expiries.advance();
        }
        given_up
    }

    /// The next in line that has not expired. The others are given up; if the caller's array has
    /// no room to say so, the line is closed for this step.
    pub(super) fn next_alive(&mut self, draft: &Draft, line: &mut Line<'_>) -> Option<Next> {
        // Each round but the last takes a place in the array.
        loop {
            let next = self.lines.next(&mut self.requests, draft.start_ns, line.guarantees)?;
            if !self.is_expired(next.slot) {
                return Some(next);
            }
            if !self.expire(next.slot, line.expired, &mut line.expired_len) {
                (line.open, line.closed) = (false, Closed::Step(NONE));
                return None;
            }
        }
    }

    fn is_expired(&self, slot: u32) -> bool {
        self.requests.at(slot).is_some_and(|request| {
            matches!(request.stage, Stage::Waiting | Stage::Late)
                && request.expires_ns <= self.now.get()
        })
    }

    /// Gives a request up and says so; false, and nothing done, if there is no room to say it.
    fn expire(&mut self, slot: u32, out: &mut [Expiry], len: &mut u32) -> bool {
        let (Some(place), Some(id)) = (out.get_mut(*len as usize), self.requests.handle_at(slot))
        else {
            return false;
        };
        *place = Expiry { request: id, tag: self.request(slot).tag };
        *len += 1;
        self.refund_prompt(slot, 1);
        self.leave_line(slot);
        self.end(slot);
        self.queues.expired += 1;
        true
    }

    /// A waiting request goes without a seat: out of line, and out of what is counted as waiting.
    pub(super) fn leave_line(&mut self, slot: u32) {
        self.queues.leave(self.requests.at(slot), self.now, false);
        self.lines.leave(&mut self.requests, slot);
    }
}
