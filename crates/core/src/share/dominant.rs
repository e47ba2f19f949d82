//! Dominant shares: who is furthest below its share of what it needs most.
//!
//! # What it decides
//! Whose task is next when tasks need several resources at once ([`Ledger::most_deserving`]), and
//! how two accounts compare ([`ResourceShares`]).
//!
//! # Formula
//! ```text
//! share_r(a)   = held_r(a) / capacity_r          0 if it holds none; 1 if it holds some of none
//! dominant(a)  = max_r share_r(a) / weight(a)
//! entitled(a)  = max_r held_r / (quota_r, else limit_r, else capacity_r)
//! turn         = the smallest level among siblings, then among its children, down to an account
//!                that has a next task; equal levels: its own before its children, then by index
//!
//! level(a)     = max_r U_r(a) / weight(a)
//! U_r(a)       = min(share_r(a), (m + s) * sum over its parts c of  weight_c * U_r(c) / max U(c))
//!                share_r(a) where no part has a next task
//! m            = smallest level among its parts that have a next task
//! s            = by how much the next task of that part raises it
//! ```
//! The parts of an account are its children and what it holds itself, which is a part of weight 1.
//! A part that has no next task, because it wants nothing or because what it wants is used up, is
//! *blocked*: it does not set `m`. So the growth of one child counts although its sibling cannot
//! grow, and what a sibling took long ago is not held against a child that comes late.
//!
//! # Bounds and cost
//! O(depth * resources) for a share. Whose turn it is, is kept up to date:
//! [`Ledger::most_deserving`] is O(depth), and what changes it, [`Ledger::set_next_task`],
//! [`Ledger::allocate`], [`Ledger::release`] and [`Ledger::set_weight`], O(depth * (resources +
//! log accounts)); a new capacity O(accounts * resources). All answers follow from who holds what
//! and has which next task, not from the way there. Parts are summed in steps of 2^-28 of a share
//! of the parent's `m + s`. Turns take 48 bytes for each
//! account, and 24 for each resource of it. Nothing allocates.
//!
//! # What it is bad at
//! An account whose children are served unevenly, because one of them came late, counts as if all
//! had been served like the poorest, so that its siblings wait until that one has caught up. It
//! looks at what is held now: neither at time nor at the past. Shares are of the whole cluster: it
//! does not know on which node a task fits.
//!
//! # Source
//! Ghodsi et al., "Dominant Resource Fairness", NSDI 2011. Hierarchies: Bhattacharya et al.,
//! "Hierarchical Scheduling for Diverse Datacenter Workloads", `SoCC` 2013 (rescaling to the poorest
//! child that is not blocked). Ours: the scale is where the poorest child will stand after its next
//! task (the paper's tasks are infinitely small: with whole ones, an account of a thousand children
//! would count as one until each of them has one more), and nothing is scaled up. Share of what is
//! guaranteed, else of the limit, and the order of shares: Apache `YuniKorn`.

pub(super) mod turns;

use core::cmp::Ordering;

use super::quota::{AMOUNT_MAX, Amounts, Quotas, RESOURCES_MAX};
use super::{AccountId, Ledger};
use crate::error::{Error, check_real};

/// Part of `total` that is held: nothing of anything is nothing, something of nothing is all.
#[must_use]
pub fn share(held: u64, total: u64) -> f64 {
    match (held, total) {
        (0, _) => 0.0,
        (_, 0) => 1.0,
        (held, total) => held as f64 / total as f64,
    }
}

/// What a holding is measured against: what is guaranteed, else the most that is allowed. `None`
/// when neither is set.
#[must_use]
pub const fn entitlement(guaranteed: Option<u64>, allowed: Option<u64>) -> Option<u64> {
    match guaranteed {
        Some(_) => guaranteed,
        None => allowed,
    }
}

/// Shares of several resources, largest first, to be compared from there on.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ResourceShares {
    sorted: [f64; RESOURCES_MAX],
    len: u8,
}

impl ResourceShares {
    /// Of at most [`RESOURCES_MAX`] shares, in any order. They may be of more than everything, or
    /// of less than nothing: differences of shares compare in the same way.
    ///
    /// # Errors
    /// [`Error::BufferTooSmall`] for more than that; [`Error::RangeReal`] for one that is not a
    /// number.
    pub fn new(shares: &[f64]) -> Result<Self, Error> {
        let mut sorted = [0.0; RESOURCES_MAX];
        let places = sorted.get_mut(..shares.len()).ok_or(Error::BufferTooSmall {
            field: "shares",
            given: RESOURCES_MAX as u64,
            needed: shares.len() as u64,
        })?;
        for (place, share) in places.iter_mut().zip(shares) {
            // The sum makes the negative zero one that compares equal to zero.
            *place = check_real("share", *share, f64::NEG_INFINITY, f64::INFINITY)? + 0.0;
        }
        places.sort_unstable_by(|one, other| other.total_cmp(one));
        Ok(Self { sorted, len: shares.len() as u8 })
    }

    /// The shares, largest first.
    #[must_use]
    pub fn as_slice(&self) -> &[f64] {
        self.sorted.get(..self.len.into()).unwrap_or(&self.sorted)
    }

    /// The largest; zero if there are none.
    #[must_use]
    pub fn dominant(&self) -> f64 {
        self.as_slice().first().copied().unwrap_or(0.0)
    }

    /// Compares the largest, then the second and so on; one that is not there counts as zero.
    #[must_use]
    pub fn compare(&self, other: &Self) -> Ordering {
        // Places beyond `len` are zero.
        let pairs = self.sorted.iter().zip(&other.sorted);
        pairs
            .map(|(one, other)| one.total_cmp(other))
            .find(|order| order.is_ne())
            .unwrap_or(Ordering::Equal)
    }

    /// How many times as large the largest is as that of `other`: 1 if both are zero, infinite if
    /// only that of `other` is.
    #[must_use]
    pub fn ratio(&self, other: &Self) -> f64 {
        match (self.dominant(), other.dominant()) {
            (0.0, 0.0) => 1.0,
            (share, 0.0) => f64::INFINITY.copysign(share),
            (share, other) => share / other,
        }
    }
}

/// The largest share of an account, and of what.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct DominantShare {
    /// Divided by the weight where the call says so; zero if the account holds nothing.
    pub share: f64,
    /// Number of the resource, the first of those with the largest share; `None` if the account
    /// holds nothing.
    pub resource: Option<u32>,
}

impl DominantShare {
    /// The largest of these shares.
    fn of(shares: &[f64]) -> Self {
        let mut dominant = Self::default();
        for (resource, share) in (0..).zip(shares) {
            if *share > dominant.share {
                dominant = Self { share: *share, resource: Some(resource) };
            }
        }
        dominant
    }
}

impl Quotas {
    /// What an account may count as its own of one resource: its quota, else its limit, else
    /// everything.
    fn quota_or_limit(&self, place: usize, resource: usize) -> u64 {
        let quota = (self.quota[place] > 0).then_some(self.quota[place]);
        let limit = (self.limit[place] <= AMOUNT_MAX).then_some(self.limit[place]);
        entitlement(quota, limit).unwrap_or(self.capacity.0[resource])
    }
}

impl Ledger {
    /// The largest share of the capacity that the account holds with everybody below it, divided
    /// by its weight. O(resources).
    ///
    /// # Errors
    /// [`Error::Stale`] for an unknown account; [`Error::Range`] on `resources` if there are none.
    pub fn dominant_share(&self, account: AccountId) -> Result<DominantShare, Error> {
        let (weight, capacity) = (self.tree.weight(account)?, self.quotas.capacity);
        let shares = self.shares_of(account, |_, resource| capacity.0[resource])?;
        let DominantShare { share, resource } = DominantShare::of(&shares);
        Ok(DominantShare { share: share / weight, resource })
    }

    /// The shares of the capacity that the account holds with everybody below it, for comparing
    /// it with others. Weights do not count. O(resources).
    ///
    /// # Errors
    /// As [`Ledger::dominant_share`].
    pub fn resource_shares(&self, account: AccountId) -> Result<ResourceShares, Error> {
        let capacity = self.quotas.capacity;
        let shares = self.shares_of(account, |_, resource| capacity.0[resource])?;
        ResourceShares::new(&shares[..self.quotas.resources as usize])
    }

    /// The largest share that the account holds, with everybody below it, of what it is entitled
    /// to: of its quota, where that is not zero, else of its limit, where it has one, else of the
    /// capacity. Over 1 where it holds more than that. O(resources).
    ///
    /// # Errors
    /// As [`Ledger::dominant_share`].
    pub fn entitled_share(&self, account: AccountId) -> Result<DominantShare, Error> {
        let entitled = |place, resource| self.quotas.quota_or_limit(place, resource);
        Ok(DominantShare::of(&self.shares_of(account, entitled)?))
    }

    fn shares_of(
        &self,
        account: AccountId,
        total: impl Fn(usize, usize) -> u64,
    ) -> Result<[f64; RESOURCES_MAX], Error> {
        self.tree.check(account)?;
        self.quotas.check_present()?;
        let mut shares = [0.0; RESOURCES_MAX];
        for (resource, place) in self.quotas.row(account.index()).enumerate() {
            shares[resource] = share(self.quotas.held[place], total(place, resource));
        }
        Ok(shares)
    }

    /// Says which task the account itself would be given next; `None`: it wants nothing, or what
    /// it wants cannot be given now. It stays so until this is called again: a task that has been
    /// given is followed by one of the same size. O(depth * (resources + log accounts)).
    ///
    /// # Errors
    /// [`Error::Range`] on `dominant` for a ledger that keeps no turns, and for an amount over
    /// [`AMOUNT_MAX`] or of a resource that is not there; [`Error::Stale`] for an unknown account.
    pub fn set_next_task(
        &mut self,
        account: AccountId,
        task: Option<&Amounts>,
    ) -> Result<(), Error> {
        self.turns.check()?;
        self.tree.check(account)?;
        if let Some(task) = task {
            task.check("task", self.quotas.resources)?;
        }
        self.turns.set_next_task(&self.tree, &self.quotas, account.index(), task);
        Ok(())
    }

    /// The task that the account itself would be given next.
    ///
    /// # Errors
    /// As [`Ledger::dominant_level`].
    pub fn next_task(&self, account: AccountId) -> Result<Option<Amounts>, Error> {
        self.turns.check()?;
        self.tree.check(account)?;
        Ok(self.turns.task(&self.quotas, account.index()))
    }

    /// The account whose next task should be given now; `None` if nobody has one. O(depth).
    ///
    /// If the task does not fit, its account is to be told so by [`Ledger::set_next_task`] with
    /// `None`, and it is somebody else's turn.
    ///
    /// # Errors
    /// [`Error::Range`] on `dominant` for a ledger that keeps no turns.
    pub fn most_deserving(&self) -> Result<Option<AccountId>, Error> {
        self.turns.check()?;
        Ok(self.turns.first(&self.tree, &self.quotas).and_then(|index| self.tree.account_at(index)))
    }

    /// The level by which the account competes with its siblings: the formula is in
    /// [`crate::share::dominant`]. O(1).
    ///
    /// # Errors
    /// [`Error::Range`] on `dominant` for a ledger that keeps no turns; [`Error::Stale`] for an
    /// unknown account.
    pub fn dominant_level(&self, account: AccountId) -> Result<f64, Error> {
        self.turns.check()?;
        self.tree.check(account)?;
        Ok(self.turns.level(account.index()))
    }
}
