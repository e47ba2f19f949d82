//! What goes before a request that waits: as the next step will find the queues, and by turns.
//!
//! # What it decides
//! Nothing: it counts, for `explain`, which has the formula and what it is bad at.
//!
//! # Bounds and cost
//! Two walks over a queue for each account and class that is looked at: O(requests that wait +
//! accounts * (classes + levels)). Nothing is kept.

use super::Batcher;
use super::admission::Roots;
use super::aside::Obstacle;
use super::explain::{Explanation, Reason};
use super::form::seconds_between;
use super::request::{Request, Stage};
use crate::batch::queue::{Key, NONE};
use crate::units::Nanos;

/// The key of the last in any queue.
const LAST: Key = Key { at_ns: u64::MAX, sequence: u64::MAX };

/// Where a request stands among those of its class, or would if its account had its turn.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Place {
    pub(super) late: bool,
    key: Key,
}

/// When the next step is formed, and when it would begin.
#[derive(Clone, Copy)]
pub(super) struct Moment {
    pub(super) now: Nanos,
    pub(super) start: Nanos,
}

/// The queues of an account in a class as the next step will find them.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    batcher: &'a Batcher,
    pub(super) roots: Roots,
    pub(super) at: Moment,
    /// The first that is in time: those before it are late.
    first_in_time: Key,
}

impl<'a> View<'a> {
    pub(super) fn new(batcher: &'a Batcher, class: u8, account: u32, at: Moment) -> Self {
        let roots = batcher.lines.roots_at(class, account);
        let mut view = Self { batcher, roots, at, first_in_time: LAST };
        let in_time = batcher.queue(roots.in_time).filter(|slot| {
            let request = batcher.request(*slot);
            at.start.get() <= request.latest_start_ns && !is_expired(request, at.now)
        });
        let first = in_time.map(|slot| batcher.lines.forest.key(slot)).min();
        view.first_in_time = first.unwrap_or(LAST);
        view
    }

    pub(super) fn slots(&self) -> impl Iterator<Item = u32> + use<'a> {
        self.batcher.queue(self.roots.in_time).chain(self.batcher.queue(self.roots.late))
    }

    pub(super) fn place(&self, slot: u32) -> Place {
        let lines = &self.batcher.lines;
        let request = self.batcher.request(slot);
        let (was_late, triage) = (request.stage == Stage::Late, self.batcher.rules.triage);
        let key = lines.forest.key(slot);
        let late = if was_late {
            triage
        } else {
            triage && self.at.start.get() > request.latest_start_ns && key < self.first_in_time
        };
        let at_ns = match (late, was_late) {
            (true, _) => request.arrival_ns,
            (false, false) => key.at_ns,
            (false, true) => {
                let prefill_s = seconds_between(request.latest_start_ns, request.due_ns);
                let ratio = self.batcher.rules.work_delay_ratio;
                Nanos(request.due_ns).offset_seconds(ratio * prefill_s).get()
            }
        };
        Place { late, key: Key { at_ns, sequence: request.sequence } }
    }
}

/// Some of the requests that wait.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sum {
    pub(super) requests: u32,
    /// Tokens that they have to compute.
    pub(super) tokens: u64,
    /// Prompt tokens, those of which KV is cached included.
    prompt_tokens: u64,
}

impl Sum {
    fn add(&mut self, request: &Request) {
        self.requests += 1;
        self.tokens += u64::from(request.goal_tokens.saturating_sub(request.cached_tokens));
        self.prompt_tokens += u64::from(request.prompt_tokens);
    }

    const fn and(self, other: Self) -> Self {
        Self {
            requests: self.requests + other.requests,
            tokens: self.tokens + other.tokens,
            prompt_tokens: self.prompt_tokens + other.prompt_tokens,
        }
    }

    /// The first of these, up to so many prompt tokens.
    fn cut(self, prompt_tokens: f64) -> Self {
        let ratio = (prompt_tokens / self.prompt_tokens.max(1) as f64).clamp(0.0, 1.0);
        Self {
            requests: libm::ceil(f64::from(self.requests) * ratio) as u32,
            tokens: (self.tokens as f64 * ratio) as u64,
            prompt_tokens: (self.prompt_tokens as f64 * ratio) as u64,
        }
    }
}

impl Batcher {
    /// The slots of a queue, in no particular order.
    fn queue(&self, root: u32) -> impl Iterator<Item = u32> + use<'_> {
        let some = |slot: u32| (slot != NONE).then_some(slot);
        let next = move |slot: &u32| some(self.lines.forest.next_within(*slot, LAST));
        core::iter::successors(some(root), next)
    }

    /// What goes before a request that waits: in all, and of its own class.
    pub(super) fn ahead_of(&self, view: &View<'_>, slot: u32) -> (Sum, Sum) {
        let request = self.request(slot);
        let mut earlier = Sum::default();
        for class in 0..request.class {
            let lost = self.queue(self.lines.preempted[usize::from(class)]);
            lost.for_each(|slot| earlier.add(self.request(slot)));
            for account in 0..self.lines.accounts_max {
                let view = View { roots: self.lines.roots_at(class, account), ..*view };
                view.slots().for_each(|slot| earlier.add(self.request(slot)));
            }
        }
        let (mut lost, mut in_class) = (Sum::default(), Sum::default());
        let is_lost = request.stage == Stage::Preempted;
        let key = self.lines.forest.key(slot);
        for other in self.queue(self.lines.preempted[usize::from(request.class)]) {
            if !is_lost || self.lines.forest.key(other) < key {
                lost.add(self.request(other));
            }
        }
        if !is_lost {
            in_class = self.ahead_in_class(view, slot);
        }
        (earlier.and(lost).and(in_class), in_class)
    }

    /// What goes before a request in its class, by the order and by the turns of the accounts.
    fn ahead_in_class(&self, view: &View<'_>, slot: u32) -> Sum {
        let request = self.request(slot);
        let place = view.place(slot);
        let (own, _) = self.before(view, place);
        let mut ahead = own;
        for account in 0..self.lines.accounts_max {
            let other = View::new(self, request.class, account, view.at);
            let nobody = other.roots.in_time == NONE && other.roots.late == NONE;
            if account == request.account.index() || nobody {
                continue;
            }
            let (before, all) = self.before(&other, place);
            ahead = ahead.and(self.by_turns(request, own, account, before, all));
        }
        ahead
    }

    /// Of the queues of an account, what stands before a place, and everything.
    fn before(&self, view: &View<'_>, place: Place) -> (Sum, Sum) {
        let (mut before, mut all) = (Sum::default(), Sum::default());
        for slot in view.slots() {
            all.add(self.request(slot));
            if view.place(slot) < place {
                before.add(self.request(slot));
            }
        }
        (before, all)
    }

    /// How much of another account goes before a request, of whose own account `own` does.
    fn by_turns(&self, request: &Request, own: Sum, other: u32, before: Sum, all: Sum) -> Sum {
        let rivals = self.lines.ledger.rivals(request.class.into(), request.account, other);
        let cost = self.rules.prompt_token_cost;
        let Ok((mine, theirs)) = rivals else { return before };
        if cost <= 0.0 {
            return before;
        }
        let paid = own.prompt_tokens as f64 * cost / mine.weight;
        let parity = mine.counter + paid - theirs.counter;
        let tokens = |lead: f64| (lead * theirs.weight / cost).max(0.0);
        let least = tokens(parity - self.lines.credit);
        let most = tokens(parity + self.lines.credit);
        let by_order = before.prompt_tokens as f64;
        if by_order < least {
            all.cut(least)
        } else if by_order > most {
            before.cut(most)
        } else {
            before
        }
    }

    /// When a request that waits should get its seat, by what is ahead of it in its class.
    pub(super) fn predicted_start(
        &self,
        at: Moment,
        slot: u32,
        why: &Explanation,
        in_class: Sum,
    ) -> Nanos {
        let at_once = matches!(why.reason, Reason::Next | Reason::StepsInFlight);
        if at_once || why.obstacle == Obstacle::InFlight {
            return at.start;
        }
        let request = self.request(slot);
        let pace = self.class_stats(request.class.into()).map_or(0.0, |of| of.drain_tokens_per_s);
        if why.obstacle == Obstacle::Adapter || pace <= 0.0 {
            return Nanos::MAX;
        }
        let tokens = in_class.prompt_tokens + u64::from(request.prompt_tokens);
        at.now.offset_seconds(tokens as f64 / pace).max(at.start)
    }
}

/// A step that is formed now gives it up.
pub(super) fn is_expired(request: &Request, now: Nanos) -> bool {
    let waits = matches!(request.stage, Stage::Waiting | Stage::Late);
    waits && request.expires_ns <= now.get()
}
