//! Serving counters: weighted virtual token counters with the lift rule, on a tree of accounts.
//!
//! # What it decides
//! Whose turn it is. Every account has a counter of the service that it and everybody below it
//! received, divided by its weight. Among siblings the turn goes to the smallest counter of those
//! that wait, then among its children in the same way, down to a request.
//!
//! # Formula
//! ```text
//! served:    v_a += cost / weight_a     for the account and each one above it
//!            cost = w_p * prompt + w_c * cached + w_q * output tokens
//! returns:   v_a  = max(v_a, min v of its active siblings)
//!            or, when none is active, max(v_a, v of the sibling that was active last),
//!            for the account and each one above it that was not active
//! eligible:  v_a <= min v of its active siblings + credit, and so for each one above it
//! ```
//! An account is *active* while requests of its own wait, or anybody below it is active. Any
//! account may have requests of its own: next to its children they compete as one more child, of
//! weight 1. Without children nothing competes with them, and in a flat list of accounts all this
//! is the published algorithm.
//!
//! Counters are kept per *lane*: a lane is a set of queues that compete with each other (the
//! batcher has one per class). An account that returns is lifted to its siblings in the same lane
//! only, so that being idle earns nothing, and being busy in one class costs nothing in another.
//!
//! # Bounds and cost
//! For two siblings at any level that are active in one lane during a whole interval, whatever
//! everybody else does, the service that they and those below them receive in it differs by
//! ```text
//! |S_a / weight_a - S_b / weight_b|  <=  U / weight_a + U / weight_b + 2 * credit
//! ```
//! at most: `U` the most service that anybody is charged from one turn of theirs until the next.
//! For requests that is `max(w_p * L, w_q * M)`, `L` the longest prompt, `M` the most tokens of
//! requests running at once, prompts included (`docs/policies/counters.md` has the proof). Arriving,
//! departing and being charged are O(depth * log accounts), asking for the minimum O(1), walking
//! the eligible ones O(eligible * depth). Counters are exact to one token up to 2^53 weighted
//! tokens. Memory: [`Ledger::bytes_needed`], 48 bytes for each account and lane.
//!
//! # What it is bad at
//! It equalises service, not waiting: an account that sends one request an hour waits its turn
//! like any other. It forgets nothing: there is no decay, and credit cannot be saved up. Credit
//! counts at every level: a request may be ahead by as much at each.
//!
//! # Source
//! Virtual token counter: Sheng et al., "Fairness in Serving Large Language Models", OSDI 2024,
//! algorithm 2 and theorem 4.4. Fair queueing level by level: Bennett and Zhang, "Hierarchical
//! Packet Fair Queueing Algorithms", SIGCOMM 1996. The credit is ours: it widens the published
//! bound by its own size.

use super::lane::Lane;
use super::walk::{self, Eligible, Lead, Rival};
use super::{AccountId, AccountTree, Ledger};
use crate::error::{Error, check_real};

/// Largest cost and credit, 2^53 prompt tokens: up to there `f64` counts every single one.
pub(super) const SERVICE_MAX: f64 = 9_007_199_254_740_992.0;

impl Ledger {
    /// One more request of `account` waits in `lane`. With the first one it becomes active, and so
    /// does everybody above it that was not: their counters are lifted. O(depth * log accounts).
    ///
    /// # Errors
    /// [`Error::Stale`] for an unknown account, [`Error::Range`] for an unknown lane,
    /// [`Error::Full`] if 2^32 - 1 requests wait there already.
    pub fn arrive(&mut self, lane: u32, account: AccountId) -> Result<(), Error> {
        let (tree, lane) = self.tree_and_lane(lane, account)?;
        lane.arrive(tree, account.index())
    }

    /// One request of `account` in `lane` waits no longer (it runs, or it was cancelled).
    /// O(depth * log accounts).
    ///
    /// # Errors
    /// [`Error::Stale`] for an unknown account; [`Error::Range`] for an unknown lane, and on
    /// `waiting` when none was waiting.
    pub fn depart(&mut self, lane: u32, account: AccountId) -> Result<(), Error> {
        let (tree, lane) = self.tree_and_lane(lane, account)?;
        lane.depart(tree, account.index())
    }

    /// Charges service of `cost` (in prompt tokens, see the formula) to `account` and everybody
    /// above it. O(depth * log accounts).
    ///
    /// # Errors
    /// [`Error::RangeReal`] unless `0 <= cost <= 2^53`; [`Error::Stale`] for an unknown account,
    /// [`Error::Range`] for an unknown lane.
    pub fn charge(&mut self, lane: u32, account: AccountId, cost: f64) -> Result<(), Error> {
        check_real("cost", cost, 0.0, SERVICE_MAX)?;
        let (tree, counters) = self.tree_and_lane(lane, account)?;
        counters.charge(tree, account.index(), cost);
        self.exchange.charged(lane, account.index(), cost);
        Ok(())
    }

    /// Weighted service that `account` and everybody below it received in `lane`, lifts among its
    /// siblings included.
    ///
    /// # Errors
    /// [`Error::Stale`] for an unknown account, [`Error::Range`] for an unknown lane.
    pub fn counter(&self, lane: u32, account: AccountId) -> Result<f64, Error> {
        self.tree.check(account)?;
        Ok(self.lane(lane)?.counter(account.index()))
    }

    /// Requests of `account` itself that wait in `lane`; those of accounts below it do not count.
    ///
    /// # Errors
    /// [`Error::Stale`] for an unknown account, [`Error::Range`] for an unknown lane.
    pub fn waiting(&self, lane: u32, account: AccountId) -> Result<u32, Error> {
        self.tree.check(account)?;
        Ok(self.lane(lane)?.seat(account.index()).waiting)
    }

    /// The smallest counter among the accounts directly below the root that are active in `lane`;
    /// `None` when nobody waits.
    ///
    /// # Errors
    /// [`Error::Range`] for an unknown lane.
    pub fn counter_min(&self, lane: u32) -> Result<Option<f64>, Error> {
        Ok(self.lane(lane)?.counter_min(self.tree.root()))
    }

    /// The accounts with requests of their own in `lane` whose turn it is within `credit`, by
    /// index ([`AccountId::index`]) and with their counter. The order means nothing; the same
    /// calls since the ledger was made bring the same order.
    ///
    /// # Errors
    /// [`Error::Range`] for an unknown lane, [`Error::RangeReal`] unless
    /// `0 <= credit <= 2^53`.
    pub fn eligible(
        &self,
        lane: u32,
        credit: f64,
    ) -> Result<impl Iterator<Item = (u32, f64)> + '_, Error> {
        check_real("credit", credit, 0.0, SERVICE_MAX)?;
        Ok(Eligible::new(&self.tree, self.lane(lane)?, credit))
    }

    /// How far an account is ahead of the smallest counter, at the level where it is most so: its
    /// own requests among its children, or it or an account above among their siblings. Its turn
    /// is within a credit that is at least that. O(depth).
    ///
    /// # Errors
    /// [`Error::Stale`] for an unknown account, [`Error::Range`] for an unknown lane.
    pub fn lead(&self, lane: u32, account: AccountId) -> Result<Lead, Error> {
        self.tree.check(account)?;
        Ok(walk::lead(&self.tree, self.lane(lane)?, account.index()))
    }

    /// Two accounts where they compete: as what they are part of, or are, below the lowest account
    /// above both. O(depth).
    ///
    /// # Errors
    /// [`Error::Stale`] for an unknown account, the second one by its index; [`Error::Range`] for
    /// an unknown lane.
    pub fn rivals(
        &self,
        lane: u32,
        account: AccountId,
        other: u32,
    ) -> Result<(Rival, Rival), Error> {
        self.tree.check(account)?;
        let other_id = self.tree.account_at(other);
        other_id.ok_or(Error::Stale { field: "account", handle: other.into() })?;
        Ok(walk::rivals(&self.tree, self.lane(lane)?, account.index(), other))
    }

    fn lane(&self, lane: u32) -> Result<&Lane, Error> {
        self.lanes.get(lane as usize).ok_or(unknown_lane(lane, self.lanes.len()))
    }

    /// The tree and one lane, for a call about an account that must be open.
    fn tree_and_lane(
        &mut self,
        lane: u32,
        account: AccountId,
    ) -> Result<(&AccountTree, &mut Lane), Error> {
        self.tree.check(account)?;
        let unknown = unknown_lane(lane, self.lanes.len());
        Ok((&self.tree, self.lanes.get_mut(lane as usize).ok_or(unknown)?))
    }
}

const fn unknown_lane(lane: u32, lanes: usize) -> Error {
    Error::Range {
        field: "lane",
        value: lane as u64,
        min: 0,
        max: (lanes as u64).saturating_sub(1),
    }
}
