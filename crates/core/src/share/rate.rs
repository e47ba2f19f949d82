//! Rate limits: how many requests and tokens an account may bring in per minute.
//!
//! # What it decides
//! Whether a request may come in now, and if not, the nanosecond at which it may. The limits of an
//! account hold for itself and everybody below it together: a request takes from the buckets of
//! its account and of each one above, or from none of them.
//!
//! # Formula
//! ```text
//! a bucket    holds  capacity = max(per_minute * burst, one request or token)
//!             fills  with per_minute / 60 s, all the time, until it is full
//! comes in    level >= min(cost, capacity)    in every bucket on the way up; then level -= cost
//! produced    level -= tokens                 level < 0 is debt, which time pays off
//! given back  level  = min(capacity, level + tokens)
//! retry after ceil((min(cost, capacity) - level) * 60 s / per_minute)    the longest of them
//! ```
//! Kept is one number instead of a level and its time. In units of a token-nanosecond per minute
//! one token is `6 * 10^10`, a nanosecond brings `per_minute`, and everything is a whole number:
//! ```text
//! full_at  =  per_minute * (the time at which the bucket is full if nobody takes any more)
//! level    =  capacity - max(0, full_at - per_minute * now)
//! taking   :  full_at = max(full_at, per_minute * now) + cost
//! ```
//!
//! # Bounds and cost
//! Exact: no rounding anywhere, however often or seldom somebody looks, and at any rate and burst.
//! In any time `t` an account brings in at most `max(capacity, its largest request) + per_minute *
//! t / 60 s`. A request that is told to come again after
//! `retry_after` is within its limits then, and not a nanosecond earlier, unless somebody takes in
//! between. Debt ends with the clock (2^64 ns, 584 years) at the latest: what goes beyond is not
//! counted. Every call is O(depth); while no account has a limit, O(1). Memory: 64 bytes an
//! account.
//!
//! # What it is bad at
//! It knows nothing of load: an idle engine turns requests away, and a full one lets them in. Who
//! was quiet brings in twice its rate during one burst: what was there and what is added. A request
//! larger than its bucket needs a full one, which smaller ones of the same account can keep from
//! filling. A bucket that is full loses what comes: one of a single request loses, each time, the
//! rest of the nanosecond in which it became full.
//!
//! # Source
//! Token bucket: Turner, "New Directions in Communications (or Which Way to the Information
//! Age?)", IEEE Communications Magazine 24(10), 1986. One time stamp instead of level and time:
//! the generic cell rate algorithm, virtual scheduling, ITU-T I.371; there in cells of one size and
//! an interval that is a whole number, here scaled by the rate so that it need not be.

mod state;

use alloc::boxed::Box;
use alloc::vec;

use super::tree::DEPTH_MAX;
use super::{AccountId, AccountTree, Ledger, LedgerOptions};
use crate::error::{Error, check_range};
use crate::policy::RateLimits;
use crate::units::Nanos;

/// One request or token in token-nanoseconds per minute: the nanoseconds of a minute.
const UNIT: u128 = 60_000_000_000;

/// Which of the two limits of an account.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RateKind {
    /// Requests per minute.
    Requests,
    /// Tokens per minute.
    Tokens,
}

impl RateKind {
    const ALL: [Self; 2] = [Self::Requests, Self::Tokens];

    const fn per_minute(self, limits: &RateLimits) -> u64 {
        match self {
            Self::Requests => limits.requests_per_minute as u64,
            Self::Tokens => limits.tokens_per_minute,
        }
    }
}

/// Whether a request is within the limits of its account and of all above it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RateDecision {
    /// It is.
    Within,
    /// It is not, and nothing was taken. Where it is over several limits, this is the one that
    /// holds it up longest.
    Over {
        /// Which limit.
        limit: RateKind,
        /// Whose: the account or one above it.
        account: AccountId,
        /// In how long it is within all of them, exactly, if nobody takes before; at least 1 ns.
        retry_after: Nanos,
    },
}

/// What is taken or given back: requests and tokens in [`UNIT`]s, by [`RateKind`].
type Costs = [u128; 2];

fn costs(requests: u32, tokens: u64) -> Costs {
    [u128::from(requests) * UNIT, u128::from(tokens) * UNIT]
}

/// The limits of one account and how far they are used.
#[derive(Clone, Copy, Debug, Default)]
struct Meter {
    limits: RateLimits,
    /// By [`RateKind`]; see the formula. At most `per_minute * 2^64`.
    full_at: [u128; 2],
}

impl Meter {
    const fn is_limited(&self) -> bool {
        self.limits.requests_per_minute > 0 || self.limits.tokens_per_minute > 0
    }

    /// The bucket of one limit; `None` where there is no limit.
    fn bucket(&self, kind: RateKind) -> Option<Bucket> {
        let per_minute = kind.per_minute(&self.limits);
        let (burst, full_at) = (self.limits.burst, self.full_at[kind as usize]);
        (per_minute > 0).then_some(Bucket { per_minute, burst, full_at })
    }

    /// Puts every bucket in the state that `change` makes of it.
    fn update(&mut self, costs: Costs, change: impl Fn(&Bucket, u128) -> u128) {
        for kind in RateKind::ALL {
            if let Some(bucket) = self.bucket(kind) {
                self.full_at[kind as usize] = change(&bucket, costs[kind as usize]);
            }
        }
    }
}

/// One limit, and how far it is used. No product of two numbers of 64 bits exceeds 128.
#[derive(Clone, Copy)]
struct Bucket {
    per_minute: u64,
    burst: Nanos,
    full_at: u128,
}

impl Bucket {
    fn capacity(&self) -> u128 {
        self.brought_by(self.burst).max(UNIT)
    }

    /// What the rate brings in this time.
    fn brought_by(&self, time: Nanos) -> u128 {
        u128::from(self.per_minute) * u128::from(time.get())
    }

    /// What may be missing in the bucket when this cost comes in: a request that is larger than
    /// the bucket needs a full one.
    fn may_miss(&self, cost: u128) -> u128 {
        self.capacity().saturating_sub(cost)
    }

    fn admits(&self, now: Nanos, cost: u128) -> bool {
        self.full_at.saturating_sub(self.brought_by(now)) <= self.may_miss(cost)
    }

    /// The first moment at which it admits this cost.
    fn admits_at(&self, cost: u128) -> Nanos {
        let wanted = self.full_at.saturating_sub(self.may_miss(cost));
        // At most 2^64 - 1 because `full_at` is at most so many times the rate.
        Nanos(wanted.div_ceil(self.per_minute.into()) as u64)
    }

    /// `full_at` after this was taken, whether it was there or not.
    fn without(&self, now: Nanos, cost: u128) -> u128 {
        let full_at = self.full_at.max(self.brought_by(now)).saturating_add(cost);
        full_at.min(self.brought_by(Nanos::MAX))
    }

    /// `full_at` of a bucket of another rate or size with the same level, as far as it fits.
    fn refitted(&self, now: Nanos, old: &Self) -> u128 {
        let missing = old.full_at.saturating_sub(old.brought_by(now));
        let (holds, held) = (self.capacity(), old.capacity());
        let missing = match held.checked_sub(missing) {
            Some(level) => holds.saturating_sub(level),
            None => holds.saturating_add(missing - held),
        };
        Self { full_at: 0, ..*self }.without(now, missing)
    }
}

/// The limits of all accounts.
#[derive(Debug)]
pub(super) struct Rates {
    /// By account index; empty in a ledger without rates.
    meters: Box<[Meter]>,
    /// Accounts with a limit.
    limited: u32,
    /// The latest time told.
    now: Nanos,
}

impl Rates {
    pub(super) fn new(options: &LedgerOptions) -> Self {
        let meters = if options.rates { options.accounts_max as usize } else { 0 };
        let meters = vec![Meter::default(); meters].into_boxed_slice();
        Self { meters, limited: 0, now: Nanos::ZERO }
    }

    pub(super) const fn bytes_needed(options: &LedgerOptions) -> u64 {
        if options.rates { options.accounts_max as u64 * size_of::<Meter>() as u64 } else { 0 }
    }

    /// Forgets whoever has or had this index.
    pub(super) fn reset(&mut self, index: u32) {
        if let Some(meter) = self.meters.get_mut(index as usize) {
            self.limited -= u32::from(meter.is_limited());
            *meter = Meter::default();
        }
    }

    /// Makes it as it was when new.
    pub(super) fn clear(&mut self) {
        self.meters.fill(Meter::default());
        (self.limited, self.now) = (0, Nanos::ZERO);
    }

    /// `Ok` if there are rates, and it is not earlier than it was.
    fn check(&self, now: Nanos) -> Result<(), Error> {
        check_range("rates", u64::from(!self.meters.is_empty()), 1, 1)?;
        if now < self.now {
            return Err(Error::TimeReversed { now_ns: now.get(), last_ns: self.now.get() });
        }
        Ok(())
    }

    fn set(&mut self, now: Nanos, index: u32, limits: &RateLimits) {
        let Some(meter) = self.meters.get_mut(index as usize) else { return };
        let mut new = Meter { limits: *limits, full_at: [0; 2] };
        for kind in RateKind::ALL {
            if let (Some(old), Some(bucket)) = (meter.bucket(kind), new.bucket(kind)) {
                new.full_at[kind as usize] = bucket.refitted(now, &old);
            }
        }
        self.limited -= u32::from(meter.is_limited());
        self.limited += u32::from(new.is_limited());
        *meter = new;
    }

    /// The limit that holds this up longest: the first of equals, on the way up.
    fn decide(&self, tree: &AccountTree, now: Nanos, index: u32, costs: Costs) -> RateDecision {
        let mut decision = RateDecision::Within;
        let mut latest = now;
        for (index, meter) in self.way_up(tree, index) {
            for kind in RateKind::ALL {
                let (Some(bucket), cost) = (meter.bucket(kind), costs[kind as usize]) else {
                    continue;
                };
                if bucket.admits(now, cost) {
                    continue;
                }
                let at = bucket.admits_at(cost);
                if at > latest
                    && let Some(account) = tree.account_at(index)
                {
                    let retry_after = at.saturating_sub(now);
                    decision = RateDecision::Over { limit: kind, account, retry_after };
                    latest = at;
                }
            }
        }
        decision
    }

    /// The account and everybody above it.
    fn way_up<'a>(
        &'a self,
        tree: &'a AccountTree,
        index: u32,
    ) -> impl Iterator<Item = (u32, &'a Meter)> {
        let way = core::iter::successors(Some(index), |index| Some(tree.parent_at(*index)));
        // The root has no meter.
        way.take(DEPTH_MAX as usize)
            .map_while(|index| self.meters.get(index as usize).map(|meter| (index, meter)))
    }

    /// Changes every bucket of the account and of everybody above it.
    fn update(
        &mut self,
        tree: &AccountTree,
        mut index: u32,
        costs: Costs,
        change: impl Fn(&Bucket, u128) -> u128,
    ) {
        for _ in 0..DEPTH_MAX {
            let Some(meter) = self.meters.get_mut(index as usize) else { break };
            meter.update(costs, &change);
            index = tree.parent_at(index);
        }
    }

    fn take(&mut self, tree: &AccountTree, now: Nanos, index: u32, costs: Costs) {
        self.update(tree, index, costs, |bucket, cost| bucket.without(now, cost));
    }
}

impl Ledger {
    /// Sets how much `account` and everybody below it may bring in, from `now` on. Every value is
    /// valid; zero in a rate is no limit.
    ///
    /// What a bucket holds, or owes, it keeps, as far as it fits into the new size: a changed rate
    /// neither gives anything nor takes anything but what there is no more room for. A limit where
    /// there was none begins with a full bucket. O(1).
    ///
    /// # Errors
    /// [`Error::Stale`] for an unknown account; [`Error::Range`] on `rates` in a ledger without;
    /// [`Error::TimeReversed`] before the time of an earlier call about rates of any account.
    pub fn set_rates(
        &mut self,
        now: Nanos,
        account: AccountId,
        limits: &RateLimits,
    ) -> Result<(), Error> {
        self.tree.check(account)?;
        self.rates.check(now)?;
        self.rates.now = now;
        self.rates.set(now, account.index(), limits);
        Ok(())
    }

    /// What was set last; no limit before.
    ///
    /// # Errors
    /// [`Error::Stale`] for an unknown account; [`Error::Range`] on `rates` in a ledger without.
    pub fn rates(&self, account: AccountId) -> Result<RateLimits, Error> {
        self.tree.check(account)?;
        self.rates.check(Nanos::MAX)?;
        Ok(self
            .rates
            .meters
            .get(account.index() as usize)
            .map_or_else(RateLimits::default, |m| m.limits))
    }

    /// Whether any account has a limit. O(1).
    #[must_use]
    pub const fn has_rate_limits(&self) -> bool {
        self.rates.limited > 0
    }

    /// One request with so many tokens comes in: takes it out of the buckets of `account` and of
    /// everybody above it if all of them hold enough, and else out of none. A request of more
    /// tokens than a bucket can hold is let in when that is full, and goes into debt; without
    /// that it could never be served. O(depth).
    ///
    /// # Errors
    /// As [`Ledger::set_rates`].
    pub fn admit_rate(
        &mut self,
        now: Nanos,
        account: AccountId,
        tokens: u64,
    ) -> Result<RateDecision, Error> {
        let decision = self.rate_check(now, account, tokens)?;
        self.rates.now = now;
        if decision == RateDecision::Within && self.rates.limited > 0 {
            self.rates.take(&self.tree, now, account.index(), costs(1, tokens));
        }
        Ok(decision)
    }

    /// What [`Ledger::admit_rate`] would answer; takes nothing. O(depth).
    ///
    /// # Errors
    /// As [`Ledger::set_rates`].
    pub fn rate_check(
        &self,
        now: Nanos,
        account: AccountId,
        tokens: u64,
    ) -> Result<RateDecision, Error> {
        self.tree.check(account)?;
        self.rates.check(now)?;
        if self.rates.limited == 0 {
            return Ok(RateDecision::Within);
        }
        Ok(self.rates.decide(&self.tree, now, account.index(), costs(1, tokens)))
    }

    /// Takes tokens that have come out already, whether they are there or not: an account that
    /// owes some brings nothing in until time has paid them. O(depth).
    ///
    /// # Errors
    /// As [`Ledger::set_rates`].
    pub fn charge_rate(
        &mut self,
        now: Nanos,
        account: AccountId,
        tokens: u64,
    ) -> Result<(), Error> {
        self.tree.check(account)?;
        self.rates.check(now)?;
        self.rates.now = now;
        if self.rates.limited > 0 {
            self.rates.take(&self.tree, now, account.index(), costs(0, tokens));
        }
        Ok(())
    }

    /// Gives back requests and tokens that were taken and then not used. No bucket gets more than
    /// full by it. O(depth).
    ///
    /// # Errors
    /// As [`Ledger::set_rates`].
    pub fn refund_rate(
        &mut self,
        now: Nanos,
        account: AccountId,
        requests: u32,
        tokens: u64,
    ) -> Result<(), Error> {
        self.tree.check(account)?;
        self.rates.check(now)?;
        self.rates.now = now;
        if self.rates.limited > 0 {
            let costs = costs(requests, tokens);
            let back = |bucket: &Bucket, cost| bucket.full_at.saturating_sub(cost);
            self.rates.update(&self.tree, account.index(), costs, back);
        }
        Ok(())
    }

    /// The latest time told in a call about rates.
    pub(crate) const fn rates_now(&self) -> Nanos {
        self.rates.now
    }
}
