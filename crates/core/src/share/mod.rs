//! Who deserves it? Weighted virtual token counters with the lift rule.
//!
//! # What it decides
//! Whose turn it is. Every account has a counter of the service it received, divided by its
//! weight; the account with the smallest counter among those that wait goes first.
//!
//! # Formula
//! ```text
//! served:    v_a += cost / weight_a      cost = w_p * prompt + w_c * cached + w_q * output tokens
//! returns:   v_a  = max(v_a, min of v over the accounts that wait)
//!            or, when nobody waits, max(v_a, v of the account that stopped waiting last)
//! eligible:  v_a <= min v + credit
//! ```
//! Counters are kept per *lane*: a lane is a set of queues that compete with each other (the
//! batcher has one per class). An account that returns is lifted to its siblings in the same lane
//! only, so that being idle earns nothing, and being busy in one class costs nothing in another.
//!
//! # Bounds and cost
//! For two accounts of weight 1 that wait in one lane during a whole interval, whatever everybody
//! else does, the service they receive in that interval differs by at most
//! `2 * (max(w_p * L, w_q * M) + credit)`: `L` the longest prompt, `M` the most output tokens of
//! requests running at once; weights divide the service. (Lifting or charging is O(log accounts),
//! asking for the minimum O(1), walking the eligible ones O(eligible).) Counters are exact to one
//! token up to 2^53 weighted tokens. Memory: [`Ledger::bytes_needed`].
//!
//! # What it is bad at
//! It equalises service, not waiting: an account that sends one request an hour waits its turn
//! like any other. It forgets nothing: there is no decay, and credit cannot be saved up.
//!
//! # Source
//! Virtual token counter: Sheng et al., "Fairness in Serving Large Language Models", OSDI 2024,
//! algorithm 2 and theorem 4.4. The credit is ours: it widens the published bound by its own size.

mod lane;

use alloc::boxed::Box;

use crate::error::{Error, check_range, check_real};
use crate::handle::{Handle, Slab};
use lane::Lane;

/// Smallest and largest weight of an account: beyond a million to one, a share means nothing.
pub const WEIGHT_MIN: f64 = 0.001;
/// See [`WEIGHT_MIN`].
pub const WEIGHT_MAX: f64 = 1000.0;

/// Largest cost and credit, 2^53 prompt tokens: up to there `f64` counts every single one.
const SERVICE_MAX: f64 = 9_007_199_254_740_992.0;

/// An account as the ledger keeps it; named by an [`AccountId`].
#[derive(Debug)]
pub struct AccountEntry {
    weight: f64,
}

/// Names an open account of one ledger.
pub type AccountId = Handle<AccountEntry>;

/// Size of a [`Ledger`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct LedgerOptions {
    /// Accounts that may be open at once, 1 to 2^24.
    pub accounts_max: u32,
    /// Lanes, 1 to 64.
    pub lanes: u32,
}

/// Counters of all accounts in all lanes.
#[derive(Debug)]
pub struct Ledger {
    accounts: Slab<AccountEntry>,
    lanes: Box<[Lane]>,
}

impl Ledger {
    /// A ledger with no account open. The only call that allocates.
    ///
    /// # Errors
    /// [`Error::Range`] for sizes outside those of [`LedgerOptions`].
    pub fn new(options: &LedgerOptions) -> Result<Self, Error> {
        check_range("accounts_max", u64::from(options.accounts_max), 1, 1 << 24)?;
        check_range("lanes", u64::from(options.lanes), 1, 64)?;
        let lanes = (0..options.lanes).map(|_| Lane::new(options.accounts_max)).collect();
        Ok(Self { accounts: Slab::new("account", options.accounts_max)?, lanes })
    }

    /// Bytes that a ledger of this size takes from the heap.
    #[must_use]
    pub const fn bytes_needed(options: &LedgerOptions) -> u64 {
        Slab::<AccountEntry>::bytes_needed(options.accounts_max).saturating_add(
            (options.lanes as u64).saturating_mul(Lane::bytes_needed(options.accounts_max)),
        )
    }

    /// Opens an account; its counters begin at zero and are lifted when it first waits.
    ///
    /// # Errors
    /// [`Error::RangeReal`] for a weight outside [`WEIGHT_MIN`]..=[`WEIGHT_MAX`];
    /// [`Error::Full`] when `accounts_max` are open.
    pub fn open(&mut self, weight: f64) -> Result<AccountId, Error> {
        check_real("weight", weight, WEIGHT_MIN, WEIGHT_MAX)?;
        let account = self.accounts.insert(AccountEntry { weight })?;
        for lane in &mut self.lanes {
            lane.reset(account.index());
        }
        Ok(account)
    }

    /// Closes an account that waits nowhere; its id is stale from now on.
    ///
    /// # Errors
    /// [`Error::Stale`] for an unknown account, [`Error::Contradiction`] while it still waits.
    pub fn close(&mut self, account: AccountId) -> Result<(), Error> {
        self.accounts.get(account)?;
        for (index, lane) in self.lanes.iter().enumerate() {
            let waiting = lane.waiting(account.index());
            if waiting > 0 {
                return Err(Error::Contradiction {
                    field: "account",
                    value: account.to_raw(),
                    other: "waiting in lane",
                    other_value: index as u64,
                });
            }
        }
        self.accounts.remove(account).map(drop)
    }

    /// Changes the weight for all service from now on; what was received stays received.
    ///
    /// # Errors
    /// As [`Ledger::open`]; [`Error::Stale`] for an unknown account.
    pub fn set_weight(&mut self, account: AccountId, weight: f64) -> Result<(), Error> {
        check_real("weight", weight, WEIGHT_MIN, WEIGHT_MAX)?;
        self.accounts.get_mut(account)?.weight = weight;
        Ok(())
    }

    /// The weight of an account.
    ///
    /// # Errors
    /// [`Error::Stale`] for an unknown account.
    pub fn weight(&self, account: AccountId) -> Result<f64, Error> {
        Ok(self.accounts.get(account)?.weight)
    }

    /// One more request of `account` waits in `lane`; the first one lifts its counter.
    ///
    /// # Errors
    /// [`Error::Stale`] for an unknown account, [`Error::Range`] for an unknown lane.
    pub fn arrive(&mut self, lane: u32, account: AccountId) -> Result<(), Error> {
        self.accounts.get(account)?;
        self.lane_mut(lane)?.arrive(account.index());
        Ok(())
    }

    /// One request of `account` in `lane` waits no longer (it runs, or it was cancelled).
    ///
    /// # Errors
    /// As [`Ledger::arrive`]; [`Error::Range`] on `waiting` when none was waiting.
    pub fn depart(&mut self, lane: u32, account: AccountId) -> Result<(), Error> {
        self.accounts.get(account)?;
        self.lane_mut(lane)?.depart(account.index())
    }

    /// Charges service of `cost` (in prompt tokens, see the formula) to `account`.
    ///
    /// # Errors
    /// [`Error::RangeReal`] unless `0 <= cost <= 2^53`; otherwise as [`Ledger::arrive`].
    pub fn charge(&mut self, lane: u32, account: AccountId, cost: f64) -> Result<(), Error> {
        check_real("cost", cost, 0.0, SERVICE_MAX)?;
        let weight = self.accounts.get(account)?.weight;
        self.lane_mut(lane)?.charge(account.index(), cost / weight);
        Ok(())
    }

    /// Weighted service that `account` received in `lane`, lifts included.
    ///
    /// # Errors
    /// As [`Ledger::arrive`].
    pub fn counter(&self, lane: u32, account: AccountId) -> Result<f64, Error> {
        self.accounts.get(account)?;
        Ok(self.lane(lane)?.counter(account.index()))
    }

    /// Requests of `account` that wait in `lane`.
    ///
    /// # Errors
    /// As [`Ledger::arrive`].
    pub fn waiting(&self, lane: u32, account: AccountId) -> Result<u32, Error> {
        self.accounts.get(account)?;
        Ok(self.lane(lane)?.waiting(account.index()))
    }

    /// The smallest counter among the accounts that wait in `lane`; `None` when none waits.
    ///
    /// # Errors
    /// [`Error::Range`] for an unknown lane.
    pub fn counter_min(&self, lane: u32) -> Result<Option<f64>, Error> {
        Ok(self.lane(lane)?.counter_min())
    }

    /// The accounts that wait in `lane` with a counter at most `credit` above the smallest, by
    /// index ([`AccountId::index`]), in no particular but always the same order.
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
        Ok(self.lane(lane)?.within(credit))
    }

    /// Accounts open.
    #[must_use]
    pub const fn accounts_len(&self) -> u32 {
        self.accounts.len()
    }

    fn lane(&self, lane: u32) -> Result<&Lane, Error> {
        self.lanes.get(lane as usize).ok_or(unknown_lane(lane, self.lanes.len()))
    }

    fn lane_mut(&mut self, lane: u32) -> Result<&mut Lane, Error> {
        let unknown = unknown_lane(lane, self.lanes.len());
        self.lanes.get_mut(lane as usize).ok_or(unknown)
    }
}

const fn unknown_lane(lane: u32, lanes: usize) -> Error {
    Error::Range { field: "lane", value: lane as u64, min: 0, max: lanes as u64 - 1 }
}

#[cfg(test)]
mod tests;
