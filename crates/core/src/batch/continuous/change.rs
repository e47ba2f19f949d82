//! A request becomes more urgent, or less, after it came in.
//!
//! # What it decides
//! Nothing: it puts a request where it would stand had it come so, with the tokens it has.
//!
//! # Bounds and cost
//! O(log requests + log accounts + levels of accounts). The queue limits of the new class do not
//! turn a request away that is there already. A request moves to the late ones once more at most
//! after each change.

use super::request::{RequestId, Stage, Turn};
use super::{Batcher, Request};
use crate::error::{Error, check_range};
use crate::units::Nanos;

/// What is to be different about a request; `None` leaves it as it is.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[cfg_attr(feature = "document", derive(serde::Serialize, serde::Deserialize))]
pub struct Change {
    /// Index of its class in the policy. A new class brings its own target, counted from arrival,
    /// unless `deadline` is given, too, and its own limit on waiting, if that is the earlier one.
    pub class: Option<u16>,
    /// When its first token is due.
    pub deadline: Option<Nanos>,
    /// When it is given up if it has no seat by then; never later than the queue limits say.
    pub expires_at: Option<Nanos>,
}

impl Batcher {
    /// Changes a request's class, deadline or expiry, whatever stage it is in.
    ///
    /// A late request whose deadline moves out is in time again. One that runs has its later
    /// tokens charged in the new class, and keeps its seat. A deadline means nothing once the
    /// first token is out, an expiry nothing once there is a seat.
    ///
    /// # Errors
    /// [`Error::TimeReversed`]; [`Error::Stale`] for a request that is unknown or has ended;
    /// [`Error::Range`] for an unknown class.
    pub fn change(&mut self, now: Nanos, request: RequestId, change: &Change) -> Result<(), Error> {
        self.check_time(now)?;
        let old = self.requests.get(request)?;
        if old.stage == Stage::Ended {
            return Err(Error::Stale { field: "request", handle: request.to_raw() });
        }
        let class = change.class.map_or(u64::from(old.class), u64::from);
        let class = check_range("class", class, 0, self.classes.len() as u64 - 1)? as u8;
        let moved = class != old.class;
        let target_ns = self.classes[usize::from(class)].ttft_ns;
        // Who brought its first token along has no target for it.
        let has_target = moved && old.tokens_expected() == 0;
        let target = has_target.then(|| Nanos(old.arrival_ns.saturating_add(target_ns)));
        let due_ns = change.deadline.or(target).map_or(old.due_ns, Nanos::get);
        let expires_ns = change.expires_at.map_or(old.expires_ns, Nanos::get);
        let allowed_ns = self.queues.expires_ns(class, old.account, old.arrival_ns);
        let limited = moved || change.expires_at.is_some();
        let expires_ns = if limited { expires_ns.min(allowed_ns) } else { expires_ns };
        self.now = now;
        self.stalled = false;
        self.put_right(request.index(), class, due_ns, expires_ns);
        Ok(())
    }

    /// Moves a request to where it belongs with another class, deadline and expiry.
    fn put_right(&mut self, slot: u32, class: u8, due_ns: u64, expires_ns: u64) {
        let old = self.request(slot);
        let (stage, moved, redue) = (old.stage, class != old.class, due_ns != old.due_ns);
        // In its own class it keeps its place among the accounts: leaving would cost the account
        // what it is behind the others. Who stands aside has no such place.
        let anew = moved || old.obstacle.lets_pass();
        let waits = matches!(stage, Stage::Waiting | Stage::Late);
        if waits && moved {
            self.queues.change_class(self.requests.at(slot), class, self.now);
        }
        let in_queue = stage == Stage::Preempted && moved || waits && (moved || redue);
        if in_queue && anew {
            self.lines.leave(&mut self.requests, slot);
        } else if in_queue {
            self.lines.step_out(&mut self.requests, slot);
        }
        let chunk = self.limits.step_tokens_max.get();
        let request = self.request_mut(slot);
        (request.class, request.due_ns, request.expires_ns) = (class, due_ns, expires_ns);
        if moved {
            // What let it in was owed to the class that it had.
            request.turn = Turn::Order;
        }
        if waits {
            self.expiries.note(slot, expires_ns);
        }
        if !in_queue {
            return;
        }
        let request: &Request = self.request(slot);
        if stage == Stage::Preempted {
            let next_ns = super::form::next_token_ns(request, &self.classes[usize::from(class)]);
            return self.lines.enter_preempted(&mut self.requests, slot, next_ns);
        }
        let (deadline, prefill_s) = (Nanos(due_ns), request.prefill_seconds(&self.model, chunk));
        self.request_mut(slot).latest_start_ns = deadline.offset_seconds(-prefill_s).get();
        if anew {
            self.lines.enter(&mut self.requests, slot, deadline, prefill_s);
        } else {
            self.lines.step_in(&mut self.requests, slot, deadline, prefill_s);
        }
    }
}
