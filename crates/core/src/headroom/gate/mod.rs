//! May this come in at all?
//!
//! # What it decides
//! Whether a request starts now, waits, or is turned away, **by state, not by rate**: would it
//! still start in time behind what is queued? The desk [`Gate`] knows the servers, who runs and who
//! waits, and measures how fast work leaves; it needs no round trips, which take long service for a
//! queue.
//!
//! | call | answer |
//! |---|---|
//! | [`Gate::admit`] | start now, wait until, or turn away with a reason and when to come back |
//! | [`Gate::next`] | whose turn it is |
//! | [`Gate::dequeue`] | start it, or drop it: it waited too long, or gave way |
//! | [`Gate::ended`], [`Gate::left`] | none: this is what the gate learns from |
//! | [`Gate::given_up`] | who will not start, so that they hear it before it is their turn |
//!
//! # Formula
//! ```text
//! let in if   a server is free, or time(p) <= target                        [confidence]
//! n        =  waiting of its class and those above / mean work + 1 + running - servers
//! r        =  c * work a server-second * (1 - G_below) - work above a second;  at least G of it
//! ```
//! `time(p)` is when the `n`-th of the ends that come at rate `r` has come with confidence `p`.
//! With expiry at the head of the queue, who is late takes no server: a quarter is enough, and only
//! the hopeless are refused. Without, `p` = 0.99, and more deviations are added, a tenth of one for
//! each late start and a thousandth taken off for each in time, until as many are late as `p`
//! allows: ends of heavy-tailed work are less even than those that the formula knows. `G_below` are
//! the guarantees of classes below that have requests waiting. When there is no room, the account
//! furthest over its share goes first (`fairness`), even one that waits already.
//!
//! Until ten requests have ended nothing is known but the servers: whoever finds none free is
//! turned away.
//!
//! # Bounds and cost
//! O(levels * log accounts + classes) a call, and as much for each of up to 32 that expire in it: each
//! expires once. After a silence in which more did, nobody is turned away as late until they are
//! dropped. 56 bytes a request, 112 for each account and class.
//! Whoever waits is told an end by its target: it starts, expires, or is displaced, as soon as the
//! host asks ([`Gate::next_event`]). `lines` bounds what a guaranteed class waits for others, and
//! `fairness` what an account gets, so that nobody starves. More than there are servers never run,
//! whatever a host calls, but for those that ran when servers were taken away.
//!
//! # What it is bad at
//! - It does not know how long *this* request takes, unless its work says so; it says nothing about
//!   when it will end.
//! - It believes that what it was told runs does run. A host that forgets to say `ended` closes it.
//! - A class below others expects as much above it as lately: a sudden rush above makes what waits
//!   below expire.
//!
//! # Source
//! Own experiments, `docs/policies/headroom.md`: metering at the knee refuses while servers idle;
//! limiters that read total latency (Gradient2, AIMD) mistake service for queueing; fixed caps fit
//! one number of servers. Expiry: Floyd and Jacobson for queues, Nichols and Jacobson (RFC 8289).
//!
//! # How a host drives it
//! ```
//! use rampmeter::headroom::gate::{Admission, Dequeued, Gate};
//! use rampmeter::policy::{Account, Policy};
//! use rampmeter::Nanos;
//!
//! let policy = Policy::default().with_accounts([Account::new("chat", 1.0)]);
//! let mut gate = Gate::new(&policy, 2)?; // two servers
//! let chat = gate.policy_account(0).ok_or("no such account")?;
//! // Requests of 100 ms for a while: the gate learns how fast work leaves.
//! for request in 0..20 {
//!     let now = Nanos::from_millis(1_000 + 100 * request);
//!     let ticket = gate.admit(now, 0, chat, 1)?.ticket().ok_or("turned away")?;
//!     gate.ended(now.saturating_add(Nanos::from_millis(100)), ticket)?;
//! }
//! let now = Nanos::from_millis(4_000);
//! let running: Vec<_> = (0..2).map(|_| gate.admit(now, 0, chat, 1)).collect::<Result<_, _>>()?;
//! let Admission::Hold { ticket, until } = gate.admit(now, 0, chat, 1)? else { return Ok(()) };
//! assert_eq!(until, Nanos::from_millis(6_000)); // the target of the class: two seconds
//! // A server is free: whose turn is it, and does it still make sense?
//! let later = Nanos::from_millis(4_100);
//! gate.ended(later, running[0].ticket().ok_or("turned away")?)?;
//! assert_eq!(gate.next(later)?, Some(ticket));
//! assert!(matches!(gate.dequeue(later, ticket)?, Dequeued::Start { .. }));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod answer;
mod change;
mod confidence;
mod drain;
mod fairness;
mod lines;
mod moves;
mod outlook;
mod request;
mod state;
mod usage;

use alloc::boxed::Box;
use alloc::vec;

pub use answer::{Admission, Dequeued, GiveUpReason, GivenUp, Outlook, ShedReason, Stats};
pub use request::{Request, Ticket, WORK_MAX};

use crate::error::{Error, check_range};
use crate::handle::Slab;
use crate::heap::NONE;
use crate::policy::{GateRules, Policy};
use crate::share::{AccountId, Ledger};
use crate::units::Nanos;
use drain::Drain;
use fairness::{Fairness, Path};
use lines::{Line, List};
use outlook::Found;
use request::Stage;
use usage::Growing;

/// Most servers of one gate.
pub const SERVERS_MAX: u32 = 1 << 20;

/// Requests that must have ended before anybody waits: a rate is then known to a third.
const ENDS_NEEDED: u64 = 10;

/// Requests that a call drops as expired at most. A call lets one in, so that two would never fall
/// behind; after a silence, a call may take as long as this many, and the dead are gone after as many
/// times fewer calls.
const EXPIRED_PER_CALL: u32 = 32;

/// Who may come in, who waits, and for whom a server is free.
#[derive(Debug)]
pub struct Gate {
    rules: GateRules,
    /// Standard deviations of the confidence in force.
    z: f64,
    /// Added to them because too many of those held were late.
    caution: f64,
    ledger: Ledger,
    policy_accounts: Box<[AccountId]>,
    /// Names of the policy's accounts and classes, as keys: their places are those of what is kept.
    keys: Box<[u64]>,
    /// Requests of each account that are known.
    account_requests: Box<[u32]>,
    /// Room for putting the names of a changed policy in order.
    names: Box<[u32]>,
    requests: Slab<Request>,
    lines: Box<[Line]>,
    fairness: Box<[Fairness]>,
    growing: Growing,
    /// Held, and will not start; not yet read.
    given_up: List,
    drain: Drain,
    running: u32,
    servers: u32,
    sequence: u64,
    counts: Stats,
    now: Nanos,
}

impl Gate {
    /// A gate before so many servers (seats of engines), 0 to [`SERVERS_MAX`]. Requests known at
    /// once are `limits.requests_max`, accounts `limits.accounts_max`. The only call that
    /// allocates.
    ///
    /// # Errors
    /// As [`Policy::validate`]; [`Error::Range`] on `servers`; [`Error::Full`] if the policy names
    /// more accounts than it allows.
    pub fn new(policy: &Policy, servers: u32) -> Result<Self, Error> {
        policy.validate()?;
        check_range("servers", servers.into(), 0, SERVERS_MAX.into())?;
        let accounts_max = policy.limits.accounts_max;
        let mut ledger = Ledger::new(&change::ledger_options(accounts_max))?;
        let policy_accounts = change::open(&mut ledger, policy)?;
        let lines = policy
            .classes
            .iter()
            .map(|class| Line::new(change::target(policy, class), class.guaranteed_ratio));
        let mut fairness: Box<[Fairness]> =
            policy.classes.iter().map(|_| Fairness::new(accounts_max)).collect();
        for (account, named) in policy_accounts.iter().zip(&policy.accounts) {
            fairness.iter_mut().for_each(|it| it.open(account.index(), named.weight));
        }
        let mut keys = vec![0; policy.accounts.len() + policy.classes.len()].into_boxed_slice();
        for (key, (_, _, is)) in keys.iter_mut().zip(change::keys(policy)) {
            *key = is;
        }
        Ok(Self {
            rules: policy.gate,
            z: change::deviations(&policy.gate),
            caution: 0.0,
            ledger,
            account_requests: vec![0; accounts_max as usize].into_boxed_slice(),
            names: vec![0; policy_accounts.len()].into_boxed_slice(),
            policy_accounts,
            keys,
            requests: Slab::new("ticket", policy.limits.requests_max)?,
            lines: lines.collect(),
            fairness,
            growing: Growing::new(policy.gate.usage_memory),
            given_up: List::EMPTY,
            drain: Drain::default(),
            running: 0,
            servers,
            sequence: 0,
            counts: Stats::default(),
            now: Nanos::ZERO,
        })
    }

    /// Bytes that a gate for `policy` takes from the heap, to within its few fixed fields. The
    /// policy need not be valid.
    #[must_use]
    pub fn bytes_needed(policy: &Policy) -> u64 {
        let (classes, accounts) = (policy.classes.len() as u64, policy.accounts.len() as u64);
        let accounts_max = policy.limits.accounts_max;
        let each_class = (size_of::<Line>() + size_of::<Fairness>() + size_of::<u64>()) as u64
            + Fairness::bytes_needed(accounts_max);
        let each_named = (size_of::<AccountId>() + size_of::<u32>() + size_of::<u64>()) as u64;
        Ledger::bytes_needed(&change::ledger_options(accounts_max))
            .saturating_add(Slab::<Request>::bytes_needed(policy.limits.requests_max))
            .saturating_add(classes.saturating_mul(each_class))
            .saturating_add(accounts.saturating_mul(each_named))
            .saturating_add(u64::from(accounts_max) * size_of::<u32>() as u64)
    }

    /// A request of a class and account comes in with so much `work`: 1 where all are alike, else
    /// in any unit that says how long it keeps a server, the same for all (1 to [`WORK_MAX`]).
    ///
    /// # Errors
    /// [`Error::TimeReversed`]; [`Error::Range`] on `class` or `work`; [`Error::Stale`] for an
    /// unknown account.
    pub fn admit(
        &mut self,
        now: Nanos,
        class: u32,
        account: AccountId,
        work: u32,
    ) -> Result<Admission, Error> {
        self.check_time(now)?;
        self.check_class(class)?;
        check_range("work", work.into(), 1, WORK_MAX.into())?;
        let path = Path::of(&self.ledger, account)?;
        self.pass(now);
        if self.requests.is_full() {
            return Ok(self.shed(class, ShedReason::Full));
        }
        let found = self.found(class);
        if found == Found::Taken
            && let Some(reason) = self.obstacle(class, &path, work)
        {
            return Ok(self.shed(class, reason));
        }
        let ticket = self.requests.insert(Request::new(account, now, work, class as u8))?;
        self.account_requests[account.index() as usize] += 1;
        let growth = self.growing.at(now);
        self.fairness[class as usize].charge(&path, growth, work);
        if found == Found::Free {
            self.counts.admitted += 1;
            self.start(ticket.index());
            return Ok(Admission::Admit(ticket));
        }
        self.counts.held += 1;
        self.number(ticket.index());
        lines::join(&mut self.lines, &mut self.requests, ticket.index());
        self.fairness[class as usize].hold(&path, &mut self.requests, ticket.index());
        let until = now.saturating_add(self.lines[class as usize].target);
        Ok(Admission::Hold { ticket, until })
    }

    /// Why a request that finds no server cannot wait; `None` if it can, with room made for it.
    fn obstacle(&mut self, class: u32, path: &Path, work: u32) -> Option<ShedReason> {
        if self.servers == 0 {
            return Some(ShedReason::NoServers);
        }
        if self.drain.ended() < ENDS_NEEDED {
            return Some(ShedReason::NotEnoughData);
        }
        // Whoever is dead takes no server: while some are still counted nobody is known to be late.
        if self.starts_in_time(class) || self.is_behind() {
            return None;
        }
        let newcomer = (self.growing.at(self.now), work);
        let fairness = &self.fairness[class as usize];
        let missing = || self.missing(class);
        let victims = fairness.victims(&self.requests, &self.ledger, path, newcomer, missing);
        let Some((mut index, count)) = victims else { return Some(ShedReason::Late) };
        for _ in 0..count {
            let older = self.requests.at(index).map_or(NONE, |request| request.older);
            self.give_up(index, Stage::Displaced);
            index = older;
        }
        None
    }

    /// Whose turn it is, among those that wait; `None` if nobody does, or if no server is free. It
    /// stays in line until it is dequeued. Ask until `None` after each end, and when servers are
    /// added. A host may have an order of its own instead: what is promised to classes is then its
    /// own, too. O(classes * levels).
    ///
    /// # Errors
    /// [`Error::TimeReversed`].
    pub fn next(&mut self, now: Nanos) -> Result<Option<Ticket>, Error> {
        self.check_time(now)?;
        self.pass(now);
        if self.running >= self.servers {
            return Ok(None);
        }
        let first = |class, head| self.first(class, head);
        Ok(self.requests.handle_at(lines::next(&self.lines, &self.requests, first)))
    }

    /// Who is next of a class whose longest waiting is `head`.
    fn first(&self, class: usize, head: u32) -> u32 {
        self.fairness[class].first(&self.requests, &self.ledger, head)
    }

    /// A server is free for a request that was held: it starts, or is dropped, and its ticket is
    /// stale. With `gate.expiry` off nothing expires.
    ///
    /// # Errors
    /// [`Error::TimeReversed`]; [`Error::Stale`] for an unknown ticket; [`Error::Contradiction`]
    /// on `ticket` for one that runs, on `running` if it would start and no server is free.
    pub fn dequeue(&mut self, now: Nanos, ticket: Ticket) -> Result<Dequeued, Error> {
        self.check_time(now)?;
        let request = *self.requests.get(ticket)?;
        check_stage(ticket, &request, false)?;
        let Request { since, class, .. } = request;
        let waited = now.saturating_sub(since);
        let expires = self.rules.expiry && waited > self.lines[usize::from(class)].target;
        if request.stage == Stage::Waiting && !expires {
            self.check_free()?;
        }
        self.pass(now);
        let stage = self.requests.get(ticket)?.stage;
        match stage {
            Stage::Waiting if !expires => {
                self.unqueue(ticket.index());
                self.counts.started += 1;
                self.learn(waited > self.lines[usize::from(class)].target);
                self.start(ticket.index());
                return Ok(Dequeued::Start { waited });
            }
            Stage::Waiting => self.give_up(ticket.index(), Stage::Expired),
            Stage::Expired | Stage::Displaced | Stage::Running => {}
        }
        self.given_up.remove(&mut self.requests, ticket.index());
        self.forget(ticket)?;
        Ok(if stage == Stage::Displaced {
            Dequeued::Displaced { retry_after: self.retry_after(class.into()) }
        } else {
            Dequeued::Expired { waited }
        })
    }

    /// A request that ran left its server, whatever became of it; its ticket is stale.
    ///
    /// # Errors
    /// [`Error::TimeReversed`]; [`Error::Stale`] for an unknown ticket; [`Error::Contradiction`]
    /// for one that does not run.
    pub fn ended(&mut self, now: Nanos, ticket: Ticket) -> Result<(), Error> {
        self.check_time(now)?;
        let request = *self.requests.get(ticket)?;
        check_stage(ticket, &request, true)?;
        self.pass(now);
        self.running -= 1;
        self.drain.end(request.work, self.rules.memory_requests);
        self.forget(ticket)
    }

    /// A request is gone, wherever it was: cancelled, or its host with it. One that ran leaves its
    /// server as in [`Gate::ended`]; what one that waited was charged is given back.
    ///
    /// # Errors
    /// [`Error::TimeReversed`]; [`Error::Stale`] for an unknown ticket.
    pub fn left(&mut self, now: Nanos, ticket: Ticket) -> Result<(), Error> {
        self.check_time(now)?;
        let request = *self.requests.get(ticket)?;
        if request.stage == Stage::Running {
            return self.ended(now, ticket);
        }
        self.pass(now);
        let stage = self.requests.get(ticket)?.stage;
        if stage == Stage::Waiting {
            self.unqueue(ticket.index());
            self.refund(ticket.index());
        } else {
            self.given_up.remove(&mut self.requests, ticket.index());
        }
        self.forget(ticket)
    }

    /// A request that was held and will not start, the one longest so first; its ticket is stale
    /// then. `None` if there is none. Hosts answer these with a refusal at once; those that do not
    /// ask learn it when they dequeue. Until then each takes one of the `requests_max` places.
    ///
    /// # Errors
    /// [`Error::TimeReversed`].
    pub fn given_up(&mut self, now: Nanos) -> Result<Option<GivenUp>, Error> {
        self.check_time(now)?;
        self.pass(now);
        let Some(ticket) = self.requests.handle_at(self.given_up.first) else { return Ok(None) };
        let Request { class, account, stage, .. } = *self.requests.get(ticket)?;
        self.given_up.remove(&mut self.requests, ticket.index());
        self.forget(ticket)?;
        let displaced = stage == Stage::Displaced;
        let reason = if displaced { GiveUpReason::Displaced } else { GiveUpReason::Expired };
        let (class, retry_after) = (class.into(), self.retry_after(class.into()));
        Ok(Some(GivenUp { ticket, class, account, reason, retry_after }))
    }

    /// When to ask [`Gate::given_up`] again: now if somebody was given up already, else when the
    /// next that waits will have waited too long. `None` if nothing will happen by itself.
    #[must_use]
    pub fn next_event(&self, now: Nanos) -> Option<Nanos> {
        if self.given_up.len > 0 {
            return Some(now);
        }
        let until = |line: &Line| {
            let first = self.requests.at(line.list.first)?;
            Some(Nanos(first.since.saturating_add(line.target).get().saturating_add(1)))
        };
        let soonest = self.lines.iter().filter_map(until).min();
        soonest.filter(|_| self.rules.expiry).map(|at| at.max(now))
    }

    /// What it knows and did so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats {
            waiting: self.lines.iter().map(|line| line.list.len).sum(),
            running: self.running,
            servers: self.servers,
            given_up: self.given_up.len,
            ended: self.drain.ended(),
            ..self.counts
        }
    }

    /// Time passes: servers were busy, and who waited too long is dropped.
    fn pass(&mut self, now: Nanos) {
        self.drain.pass(now, self.running);
        self.now = now;
        if !self.rules.expiry {
            return;
        }
        for _ in 0..EXPIRED_PER_CALL {
            let index = lines::expired(&self.lines, &self.requests, now);
            if index == NONE {
                break;
            }
            self.give_up(index, Stage::Expired);
        }
    }

    /// True if more have waited too long than one call drops.
    fn is_behind(&self) -> bool {
        self.rules.expiry && lines::expired(&self.lines, &self.requests, self.now) != NONE
    }

    fn shed(&mut self, class: u32, reason: ShedReason) -> Admission {
        self.counts.shed[reason as usize] += 1;
        Admission::Shed { reason, retry_after: self.retry_after(class) }
    }

    fn check_time(&self, now: Nanos) -> Result<(), Error> {
        if now < self.now {
            return Err(Error::TimeReversed { now_ns: now.get(), last_ns: self.now.get() });
        }
        Ok(())
    }

    /// `Ok` if somebody may start.
    fn check_free(&self) -> Result<(), Error> {
        let [value, other_value] = [self.running, self.servers].map(u64::from);
        if value < other_value {
            return Ok(());
        }
        let (field, other) = ("running", "servers");
        Err(Error::Contradiction { field, value, other, other_value })
    }

    fn check_class(&self, class: u32) -> Result<(), Error> {
        check_range("class", class.into(), 0, self.lines.len() as u64 - 1).map(drop)
    }
}

/// `Ok` if the request runs, or does not, as it should.
fn check_stage(ticket: Ticket, request: &Request, runs: bool) -> Result<(), Error> {
    if (request.stage == Stage::Running) == runs {
        return Ok(());
    }
    let (field, other) = ("ticket", if runs { "does not run" } else { "runs already" });
    let other_value = request.stage as u64;
    Err(Error::Contradiction { field, value: ticket.to_raw(), other, other_value })
}
