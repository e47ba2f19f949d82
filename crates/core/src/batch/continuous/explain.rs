//! Why is a request not in the batch, and when will it be?
//!
//! # What it decides
//! Nothing: it reads what the other files decide by, and changes nothing.
//!
//! # Formula
//! ```text
//! head       who closed the line in the last step, until one is observed; else who is first now
//! reason     of the head: no seat, an obstacle, no room in the step that was formed last;
//!            of everybody else: by what the head goes before it
//! ahead      all of earlier classes, and of its own class what goes before it:
//!            of its own account by the order;  of each other account
//!            clamp(by the order, min(waiting, parity - credit), min(waiting, parity + credit))
//! parity     service until the counter of the other one is where its own will be then:
//!            (v + own / weight - v_other) * weight_other,  where their accounts part
//! start      now + (prompt tokens of its class ahead + its own prompt) / pace of its class
//! ```
//! The first that can no longer be in time count as late, as they will when a step looks at them.
//!
//! # Bounds and cost
//! O(requests that wait + accounts * (classes + levels)), no allocation. `form` notes what closed
//! the line, and that is all it costs where nobody asks.
//!
//! - [`Reason::Next`]: the next `form`, with nothing changed in between, lets it in or closes the
//!   line before it; then the same question has another answer.
//! - [`Reason::Account`]: its counter, or that of an account above, is beyond the smallest at its
//!   level by more than the credit. [`Reason::Class`]: somebody of that class waits.
//! - [`Reason::Obstacle`]: the obstacle is there now, or was when the line last came to it.
//!
//! # What it is bad at
//! Who comes later and goes before it is not foreseen, nor is a guarantee that will let it in.
//! Parity takes prompts for all that is charged; requests that stand aside are not among those
//! ahead. The predicted start knows no more of a class than its pace, and nothing of adapters:
//! `docs/policies/batch.md` says how far off it was.

use super::Batcher;
use super::ahead::{Moment, Place, View, is_expired};
use super::aside::Obstacle;
use super::request::{Request, RequestId, Stage};
use crate::batch::queue::NONE;
use crate::error::Error;
use crate::units::Nanos;

/// Why a request has no seat.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[cfg_attr(feature = "document", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "document", serde(rename_all = "snake_case"))]
#[repr(u8)]
pub enum Reason {
    /// Nobody is in line.
    #[default]
    Nobody = 0,
    /// It has one.
    Running = 1,
    /// A prefill engine is done with it.
    HandedOver = 2,
    /// It has ended.
    Ended = 3,
    /// It is first in line, and nothing is known to be against it: the next step lets it in.
    Next = 4,
    /// It is first in line; all seats are taken.
    Seats = 5,
    /// It is first in line; the step formed last had no tokens or no time left for it.
    StepBudget = 6,
    /// It is first in line; somebody had to give way, so the step formed last let nobody in.
    GaveWay = 7,
    /// It is first in line; as many steps are in flight as may be.
    StepsInFlight = 8,
    /// Something of its own keeps it out: see [`Explanation::obstacle`].
    Obstacle = 9,
    /// It stood aside; its obstacle is gone, and it is back in line with the next step.
    ComesBack = 10,
    /// It waited for too long: it is given up when a step next comes to it.
    Expired = 11,
    /// Another class goes first: an earlier one, or one that is owed service.
    Class = 12,
    /// Requests of its class that lost their KV in the middle of an answer go first.
    Interrupted = 13,
    /// It is the turn of other accounts.
    Account = 14,
    /// Late requests that their account owes service go first.
    LateShare = 15,
    /// It can no longer meet its target; those who can go first.
    Late = 16,
    /// Others of its class, whose account has its turn, too, are due earlier.
    Order = 17,
}

/// Why a request is not in the batch; see [`Batcher::explain`].
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C)]
pub struct Explanation {
    /// When it should get its seat; [`Nanos::MAX`] where that is not known: it waits for an
    /// adapter, or nothing of its class was let in yet. `MAX`, too, unless it waits.
    pub predicted_start: Nanos,
    /// Prompt tokens that those ahead have to compute.
    pub ahead_tokens: u64,
    /// Requests that go before it as things stand.
    pub ahead_requests: u32,
    /// Class of the head.
    pub head_class: u16,
    /// What keeps the head out.
    pub head_reason: Reason,
    /// Which obstacle, where that is the head's reason.
    pub head_obstacle: Obstacle,
    /// Who is first in line; the null handle if nobody is.
    pub head: RequestId,
    /// Weighted service of its account in its class, at the level at which it is furthest ahead of
    /// the smallest: its own, or that of an account above.
    pub account_counter: f64,
    /// The smallest counter there.
    pub account_counter_min: f64,
    /// How far beyond that it may be and still have its turn.
    pub credit: f64,
    /// Why it has no seat.
    pub reason: Reason,
    /// Which obstacle, where that is the reason.
    pub obstacle: Obstacle,
    /// Where it is.
    pub stage: Stage,
    /// Its class is owed service: the first of that class goes before all classes.
    pub class_is_owed: bool,
    /// Its account owes service to its late requests in this class: the oldest of them goes first.
    pub late_is_owed: bool,
}

/// What closed the line in a step.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Closed {
    /// Nothing, or what can be seen from outside: all seats are taken, or nobody waits.
    #[default]
    Open,
    /// The tokens or the time of the step, at whoever is in this slot, or in general ([`NONE`]).
    Step(u32),
    /// An obstacle of whoever is in this slot.
    Obstacle(u32),
    /// Somebody gave way.
    GaveWay,
}

/// What closed the line in the step that was formed last, and what was known then.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Closing {
    closed: Closed,
    sequence: u64,
    observations: u32,
}

impl Closing {
    /// No step has been observed since.
    pub(super) const fn is_known(&self, observations: u32) -> bool {
        self.observations == observations
    }
}

impl Batcher {
    /// Why a request is not in the batch, who goes before it, and when it should get its seat.
    /// Changes nothing. O(requests that wait + accounts * (classes + levels)).
    ///
    /// ```
    /// use rampmeter::batch::continuous::{Batcher, Reason, Submission};
    /// # use rampmeter::engine::Profile;
    /// # use rampmeter::policy::{Account, Policy};
    /// use rampmeter::{Nanos, Tokens};
    /// # let policy = Policy::default().with_accounts([Account::new("a", 1.0)]);
    /// # let profile = Profile::named("llama-3.1-8b").ok_or("no such profile")?;
    /// # let mut batcher = Batcher::new(&policy, profile.kv()?, profile.step_model()?)?;
    /// let account = batcher.policy_account(0).ok_or("no such account")?;
    /// let submission = Submission { account, prompt_tokens: Tokens(700), ..Submission::default() };
    /// let first = batcher.submit(Nanos::ZERO, &submission)?.queued().ok_or("shed")?;
    /// let second = batcher.submit(Nanos::ZERO, &submission)?.queued().ok_or("shed")?;
    ///
    /// assert_eq!(batcher.explain(Nanos::ZERO, first)?.reason, Reason::Next);
    /// let why = batcher.explain(Nanos::ZERO, second)?;
    /// assert_eq!((why.reason, why.head), (Reason::Order, first));
    /// assert_eq!((why.ahead_requests, why.ahead_tokens), (1, 700));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::TimeReversed`]; [`Error::Stale`] for a request that is unknown or has ended and
    /// left every step.
    pub fn explain(&self, now: Nanos, request: RequestId) -> Result<Explanation, Error> {
        self.check_time(now)?;
        let Request { stage, class, account, .. } = *self.requests.get(request)?;
        let slot = request.index();
        let at = Moment { now, start: self.steps.ends_at().map_or(now, |end| end.max(now)) };
        let lead = self.lines.ledger.lead(class.into(), account)?;
        let view = View::new(self, class, account.index(), at);
        let mut why = Explanation {
            predicted_start: Nanos::MAX,
            ahead_tokens: 0,
            ahead_requests: 0,
            head_class: 0,
            head_reason: Reason::Nobody,
            head_obstacle: Obstacle::None,
            head: RequestId::default(),
            account_counter: lead.counter,
            account_counter_min: lead.counter_min,
            credit: self.lines.credit,
            reason: Reason::Nobody,
            obstacle: Obstacle::None,
            stage,
            class_is_owed: self.lines.debts.is_owed(class.into()),
            late_is_owed: view.roots.late_owed > 0.0,
        };
        let head = self.head_for(at, slot);
        if let Some(head) = head {
            why.head = self.requests.handle_at(head).unwrap_or_default();
            why.head_class = self.request(head).class.into();
            (why.head_reason, why.head_obstacle) = self.reason_of_head(head);
        }
        (why.reason, why.obstacle) = self.reason(&view, slot, head);
        let waits = matches!(stage, Stage::Waiting | Stage::Late | Stage::Preempted);
        if waits && !matches!(why.reason, Reason::Expired) {
            let (ahead, in_class) = match head {
                Some(head) if head == slot => Default::default(),
                _ => self.ahead_of(&view, slot),
            };
            (why.ahead_requests, why.ahead_tokens) = (ahead.requests, ahead.tokens);
            why.predicted_start = self.predicted_start(at, slot, &why, in_class);
        }
        Ok(why)
    }

    /// Notes what closed the line in the step that was just formed.
    pub(super) fn note_closing(&mut self, line_closed: Closed, preempted_len: u32) {
        let closed = if preempted_len > 0 { Closed::GaveWay } else { line_closed };
        let (sequence, observations) = (self.sequence, self.observations);
        self.closing = Closing { closed, sequence, observations };
    }

    /// What closed the line in the last step, as far as that can still be said of this request: it
    /// waited then, and no step has been observed since.
    fn closed_for(&self, slot: u32) -> Closed {
        let waited = self.request(slot).sequence < self.closing.sequence;
        let known = waited && self.closing.is_known(self.observations);
        if known { self.closing.closed } else { Closed::Open }
    }

    /// Whether a slot is in use by a request that is in line.
    fn is_in_line(&self, slot: u32) -> bool {
        self.requests.at(slot).is_some_and(|request| {
            let waits = matches!(request.stage, Stage::Waiting | Stage::Late | Stage::Preempted);
            waits && !request.obstacle.lets_pass()
        })
    }

    /// Who is first in line, as far as it matters for the request in `slot`.
    fn head_for(&self, at: Moment, slot: u32) -> Option<u32> {
        if let Closed::Step(head) | Closed::Obstacle(head) = self.closed_for(slot)
            && self.is_in_line(head)
            && self.closed_for(head) != Closed::Open
            && !is_expired(self.request(head), at.now)
        {
            return Some(head);
        }
        let waits = |class: &usize| self.lines.waiting[*class] > 0;
        let owed = |class: &usize| waits(class) && self.lines.debts.is_owed(*class);
        let classes = 0..self.classes.len();
        let order = classes.clone().filter(owed).chain(classes.filter(waits));
        order.into_iter().find_map(|class| self.head_of_class(class as u8, at))
    }

    /// Who is first in line in a class.
    fn head_of_class(&self, class: u8, at: Moment) -> Option<u32> {
        let preempted = self.lines.preempted[usize::from(class)];
        if preempted != NONE {
            return Some(preempted);
        }
        let eligible = self.lines.ledger.eligible(class.into(), self.lines.credit).ok()?;
        let first = self.first_of(class, at, eligible.map(|(account, _)| account));
        // Where only those have their turn who are given up, it is anybody's after that.
        first.or_else(|| self.first_of(class, at, 0..self.lines.accounts_max))
    }

    /// The first in line of some accounts in a class.
    fn first_of(&self, class: u8, at: Moment, accounts: impl Iterator<Item = u32>) -> Option<u32> {
        let mut first: Option<(Place, u32)> = None;
        let mut owed: Option<(Place, u32)> = None;
        for account in accounts {
            let view = View::new(self, class, account, at);
            for slot in view.slots() {
                if is_expired(self.request(slot), at.now) {
                    continue;
                }
                let place = (view.place(slot), slot);
                first = Some(first.map_or(place, |best| best.min(place)));
                if place.0.late && view.roots.late_owed > 0.0 {
                    owed = Some(owed.map_or(place, |best| best.min(place)));
                }
            }
        }
        owed.or(first).map(|(_, slot)| slot)
    }

    /// What keeps out the one who is first in line.
    fn reason_of_head(&self, head: u32) -> (Reason, Obstacle) {
        if self.running_len >= self.limits.running_max {
            return (Reason::Seats, Obstacle::None);
        }
        let request = self.request(head);
        let seen = self.obstacle_now(request);
        if seen != Obstacle::None {
            return (Reason::Obstacle, seen);
        }
        let reason = match self.closed_for(head) {
            Closed::Step(_) => Reason::StepBudget,
            Closed::GaveWay => Reason::GaveWay,
            // One that cannot be seen from here: it stood when the line was closed.
            Closed::Obstacle(at) if at == head && !can_be_seen(request.obstacle) => {
                return (Reason::Obstacle, request.obstacle);
            }
            _ if self.steps.len() == self.steps.capacity() => Reason::StepsInFlight,
            _ => Reason::Next,
        };
        (reason, Obstacle::None)
    }

    /// The obstacle of one in line, as far as it can be seen without claiming anything.
    fn obstacle_now(&self, request: &Request) -> Obstacle {
        if self.lines.groups.is_computed_by_another(request.group) {
            return Obstacle::SharedPrompt;
        }
        if request.in_flight != 0 {
            return Obstacle::InFlight;
        }
        if !self.lines.adapters.may_open(request.adapter) {
            return Obstacle::Adapter;
        }
        let fits = self.memory.fits(request, self.shared_blocks(request));
        if fits { Obstacle::None } else { Obstacle::Memory }
    }

    fn reason(&self, view: &View<'_>, slot: u32, head: Option<u32>) -> (Reason, Obstacle) {
        let request = self.request(slot);
        let reason = match request.stage {
            Stage::Running => Reason::Running,
            Stage::HandedOver => Reason::HandedOver,
            Stage::Ended => Reason::Ended,
            _ if is_expired(request, view.at.now) => Reason::Expired,
            _ if request.obstacle.lets_pass() => {
                let adapter = request.obstacle == Obstacle::Adapter;
                if adapter && self.lines.adapters.is_open(request.adapter) {
                    return (Reason::ComesBack, Obstacle::None);
                }
                return (Reason::Obstacle, request.obstacle);
            }
            _ if head == Some(slot) => return self.reason_of_head(slot),
            _ => self.place_behind(view, slot, head),
        };
        (reason, Obstacle::None)
    }

    /// By what the head goes before a request in line.
    fn place_behind(&self, view: &View<'_>, slot: u32, head: Option<u32>) -> Reason {
        let request = self.request(slot);
        let head = head.map(|head| (head, self.request(head)));
        if head.is_some_and(|(_, head)| head.class != request.class) {
            return Reason::Class;
        }
        if request.stage == Stage::Preempted {
            return Reason::Order;
        }
        if head.is_some_and(|(_, head)| head.stage == Stage::Preempted) {
            return Reason::Interrupted;
        }
        let account = request.account.index();
        let eligible = self.lines.ledger.eligible(request.class.into(), self.lines.credit);
        if !eligible.is_ok_and(|mut all| all.any(|(index, _)| index == account)) {
            return Reason::Account;
        }
        // Without a head there is nobody alive whose turn it is, and this account has its turn.
        let Some((head, of)) = head else { return Reason::Order };
        let head = View::new(self, of.class, of.account.index(), view.at).place(head);
        match (view.place(slot).late, head.late) {
            (true, false) => Reason::Late,
            (false, true) => Reason::LateShare,
            _ => Reason::Order,
        }
    }
}

/// Obstacles that can be seen at any time.
const fn can_be_seen(obstacle: Obstacle) -> bool {
    matches!(
        obstacle,
        Obstacle::None
            | Obstacle::Memory
            | Obstacle::InFlight
            | Obstacle::Adapter
            | Obstacle::SharedPrompt
    )
}
