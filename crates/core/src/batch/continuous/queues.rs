//! How much may wait, and when may come again what is turned away?
//!
//! # What it decides
//! Whether a request is let into the queues of its class and of its account; an account's limits
//! cover its parts. Counted are requests, and their prompt tokens, from submission to the first
//! seat: what lost its KV waits for another one and counts no more.
//!
//! # Formula
//! ```text
//! shed          requests + 1 > requests_max   or   tokens + prompt > tokens_max   (0: no limit)
//! retry after   tokens to go / pace of that queue
//! to go         tokens + prompt - tokens_max;   of requests: one of mean length
//! pace          of a class: as measured, see `pace`; without that, one TTFT target is said
//!               of an account: as measured; without that, an equal share of its class's pace
//! ```
//! A prompt that is longer than the limit may not come again: it is told [`Nanos::MAX`].
//!
//! # Bounds and cost
//! O(levels of accounts) for each request that comes, is let in or is taken back. What is said
//! holds if the queue drains as it did and nobody else comes first.
//!
//! # What it is bad at
//! It counts what waits, not how long that will take: a gate can do better with a model of the
//! load. Those who were told to come back at the same moment do.

mod state;

use alloc::boxed::Box;
use alloc::vec;

use super::pace::Pace;
use super::request::{Request, Shed, ShedReason};
use super::{Batcher, Lines};
use crate::error::{Error, check_range};
use crate::policy::{Policy, QueueLimits, Way};
use crate::share::AccountId;
use crate::units::Nanos;

/// Above an account of the first level.
const NOBODY: u32 = u32::MAX;

/// What is known of the queue of one class; see [`Batcher::class_stats`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClassStats {
    /// Requests that wait, late and preempted ones included.
    pub waiting: u32,
    /// Of these, requests found late: they can no longer meet their time to first token.
    pub late: u32,
    /// Prompt tokens of the requests that wait for their first seat.
    pub waiting_tokens: u64,
    /// Prompt tokens let in for each second in which something waited, of late; 0 while unknown.
    pub drain_tokens_per_s: f64,
}

#[derive(Clone, Copy, Debug)]
struct Queue {
    limits: QueueLimits,
    requests: u32,
    tokens: u64,
    pace: Pace,
}

impl Queue {
    const fn new(limits: QueueLimits) -> Self {
        Self { limits, requests: 0, tokens: 0, pace: Pace::NEW }
    }

    fn enter(&mut self, prompt: u32, now: Nanos) {
        if self.requests == 0 {
            self.pace.begin(now);
        }
        self.requests += 1;
        self.tokens += u64::from(prompt);
    }

    fn leave(&mut self, prompt: u32, now: Nanos) {
        self.pace.count(now);
        self.requests -= 1;
        self.tokens -= u64::from(prompt);
    }

    /// Prompt tokens that must go before this prompt may come, by the limit that it meets.
    fn excess(&self, prompt: u32) -> Option<(Limit, Option<f64>)> {
        let most = self.limits.requests_max;
        if most > 0 && self.requests >= most {
            let mean = self.tokens as f64 / f64::from(self.requests);
            return Some((Limit::Requests, Some(mean * f64::from(self.requests - most + 1))));
        }
        let (wanted, most) = (self.tokens + u64::from(prompt), self.limits.tokens_max);
        if most == 0 || wanted <= most {
            return None;
        }
        let fits_alone = u64::from(prompt) <= most;
        Some((Limit::Tokens, fits_alone.then_some((wanted - most) as f64)))
    }
}

/// Which of the two limits.
#[derive(Clone, Copy)]
enum Limit {
    Requests,
    Tokens,
}

#[derive(Clone, Copy, Debug)]
struct AccountQueue {
    queue: Queue,
    parent: u32,
}

#[derive(Debug)]
pub(super) struct Queues {
    classes: Box<[Queue]>,
    accounts: Box<[AccountQueue]>,
    /// Of accounts that the policy does not name.
    default_limits: QueueLimits,
    /// Accounts with requests of their own or of a part waiting.
    accounts_waiting: u32,
    pub(super) shed: u64,
    pub(super) expired: u64,
}

impl Queues {
    /// `accounts` are those of the policy, in its order.
    pub(super) fn new(policy: &Policy, accounts: &[AccountId]) -> Result<Self, Error> {
        let default_limits = policy.account_default_queue;
        let vacant = AccountQueue { queue: Queue::new(default_limits), parent: NOBODY };
        let mut queues = Self {
            classes: policy.classes.iter().map(|class| Queue::new(class.queue)).collect(),
            accounts: vec![vacant; policy.limits.accounts_max as usize].into_boxed_slice(),
            default_limits,
            accounts_waiting: 0,
            shed: 0,
            expired: 0,
        };
        let mut way = Way::default();
        for (place, account) in accounts.iter().enumerate() {
            let above = way.step(&policy.accounts, place)?;
            let parent = above.map_or(NOBODY, |above| accounts[above].index());
            queues.accounts[account.index() as usize].parent = parent;
        }
        queues.set_policy(policy, accounts);
        Ok(queues)
    }

    pub(super) fn bytes_needed(policy: &Policy) -> u64 {
        let accounts = u64::from(policy.limits.accounts_max);
        accounts * size_of::<AccountQueue>() as u64
            + (policy.classes.len() * size_of::<Queue>()) as u64
    }

    /// Takes changed limits; what waits stays, whatever they are.
    pub(super) fn set_policy(&mut self, policy: &Policy, accounts: &[AccountId]) {
        self.default_limits = policy.account_default_queue;
        for (queue, class) in self.classes.iter_mut().zip(&policy.classes) {
            queue.limits = class.queue;
        }
        for (account, named) in accounts.iter().zip(&policy.accounts) {
            self.accounts[account.index() as usize].queue.limits = named.queue;
        }
    }

    /// An account was opened that the policy does not name.
    pub(super) fn open(&mut self, account: AccountId, parent: Option<AccountId>) {
        let queue = Queue::new(self.default_limits);
        let parent = parent.map_or(NOBODY, AccountId::index);
        self.accounts[account.index() as usize] = AccountQueue { queue, parent };
    }

    /// When a request that arrived then is given up by what the limits of its class and account
    /// say.
    pub(super) fn expires_ns(&self, class: u8, account: AccountId, arrival_ns: u64) -> u64 {
        let mut wait_ns = wait_max_ns(&self.classes[usize::from(class)].limits);
        let mut index = account.index();
        while let Some(at) = self.accounts.get(index as usize) {
            wait_ns = wait_ns.min(wait_max_ns(&at.queue.limits));
            index = at.parent;
        }
        arrival_ns.saturating_add(wait_ns)
    }

    /// A request waits for its first seat.
    pub(super) fn enter(&mut self, request: Option<&Request>, now: Nanos) {
        let Some(request) = request else { return };
        self.classes[usize::from(request.class)].enter(request.prompt_tokens, now);
        let mut index = request.account.index();
        while let Some(at) = self.accounts.get_mut(index as usize) {
            self.accounts_waiting += u32::from(at.queue.requests == 0);
            at.queue.enter(request.prompt_tokens, now);
            index = at.parent;
        }
    }

    /// A request waits no longer: it was let in, or taken back. Only the first wait counts.
    pub(super) fn leave(&mut self, request: Option<&Request>, now: Nanos, let_in: bool) {
        let Some(request) = request.filter(|request| request.preemptions == 0) else { return };
        let tokens = if let_in { request.prompt_tokens } else { 0 };
        let class = &mut self.classes[usize::from(request.class)];
        class.leave(request.prompt_tokens, now);
        class.pace.let_in(tokens);
        let mut index = request.account.index();
        while let Some(at) = self.accounts.get_mut(index as usize) {
            at.queue.leave(request.prompt_tokens, now);
            at.queue.pace.let_in(tokens);
            self.accounts_waiting -= u32::from(at.queue.requests == 0);
            index = at.parent;
        }
    }

    /// A request that waits for its first seat goes from one class to another.
    pub(super) fn change_class(&mut self, request: Option<&Request>, class: u8, now: Nanos) {
        if let Some(request) = request.filter(|request| request.preemptions == 0) {
            self.classes[usize::from(request.class)].leave(request.prompt_tokens, now);
            self.classes[usize::from(class)].enter(request.prompt_tokens, now);
        }
    }

    /// The first limit that a request would exceed, from its class up the accounts; `target` is
    /// the TTFT target of its class.
    pub(super) fn check(&self, request: &Request, now: Nanos, target: Nanos) -> Option<Shed> {
        let class = &self.classes[usize::from(request.class)];
        let class_pace = class.pace.per_second(now, class.requests > 0);
        if let Some((limit, excess)) = class.excess(request.prompt_tokens) {
            let reason = match limit {
                Limit::Requests => ShedReason::ClassRequests,
                Limit::Tokens => ShedReason::ClassTokens,
            };
            return Some(Shed { reason, retry_after: retry_after(excess, class_pace, target) });
        }
        let share = 1.0 / f64::from(self.accounts_waiting.max(1));
        let mut index = request.account.index();
        while let Some(at) = self.accounts.get(index as usize) {
            if let Some((limit, excess)) = at.queue.excess(request.prompt_tokens) {
                let reason = match limit {
                    Limit::Requests => ShedReason::AccountRequests,
                    Limit::Tokens => ShedReason::AccountTokens,
                };
                let measured = at.queue.pace.per_second(now, at.queue.requests > 0);
                let pace = measured.or(class_pace.map(|pace| pace * share));
                return Some(Shed { reason, retry_after: retry_after(excess, pace, target) });
            }
            index = at.parent;
        }
        None
    }

    fn class_stats(&self, class: u16, lines: &Lines, now: Nanos) -> ClassStats {
        let queue = &self.classes[usize::from(class)];
        let (waiting, late) = lines.counts(usize::from(class));
        let pace = queue.pace.per_second(now, queue.requests > 0);
        ClassStats {
            waiting,
            late,
            waiting_tokens: queue.tokens,
            drain_tokens_per_s: pace.unwrap_or(0.0),
        }
    }
}

const fn wait_max_ns(limits: &QueueLimits) -> u64 {
    if limits.wait_max.get() == 0 { u64::MAX } else { limits.wait_max.get() }
}

/// How long it takes until `excess` tokens have gone, at least a nanosecond.
fn retry_after(excess: Option<f64>, pace: Option<f64>, unknown: Nanos) -> Nanos {
    let Some(excess) = excess else { return Nanos::MAX };
    pace.map_or(unknown, |pace| Nanos::from_seconds(excess / pace)).max(Nanos(1))
}

impl Batcher {
    /// Changes how much of an account, its parts included, may wait from now on. What waits stays,
    /// and so does when it expires. A changed policy sets the limits of the accounts that it names
    /// again. O(1).
    ///
    /// # Errors
    /// [`Error::Stale`] for an unknown account; [`Error::Range`] and [`Error::RangeReal`] for
    /// limits outside those of the keys of the policy.
    pub fn set_account_queue(
        &mut self,
        account: AccountId,
        limits: QueueLimits,
    ) -> Result<(), Error> {
        self.lines.ledger.weight(account)?;
        limits.check()?;
        self.queues.accounts[account.index() as usize].queue.limits = limits;
        Ok(())
    }

    /// What waits in one class, and how fast it drains. O(1).
    ///
    /// # Errors
    /// [`Error::Range`] for an unknown class.
    pub fn class_stats(&self, class: u16) -> Result<ClassStats, Error> {
        check_range("class", class.into(), 0, self.classes.len() as u64 - 1)?;
        Ok(self.queues.class_stats(class, &self.lines, self.now))
    }

    /// Whether a request that is valid is turned away all the same. If not, what its account may
    /// bring in has been taken.
    pub(super) fn shed(&mut self, request: &Request, now: Nanos) -> Option<Shed> {
        // Full is an error, and errors come first.
        if self.requests.is_full() {
            return None;
        }
        let target = Nanos(self.classes[usize::from(request.class)].ttft_ns);
        let full = self.queues.check(request, now, target);
        let shed = full.or_else(|| self.take_rate(request, now))?;
        self.now = now;
        self.queues.shed += 1;
        Some(shed)
    }
}
