//! Quotas and holdings: what each account may have of each resource, has, and asks for.
//!
//! # What it decides
//! Nothing. It keeps the numbers that division, dominant shares and reclaim go by, for every
//! account the sum of its own and of everybody below it.
//!
//! # Bounds and cost
//! Every change is O(depth * resources). Amounts are whole numbers in the smallest unit of their
//! resource (milli-GPU, milli-CPU, MiB), so that sums are exact. Memory: 104 bytes and 72 more
//! for each resource, for each account.

use alloc::boxed::Box;
use alloc::vec;

use super::children::Children;
use super::division::Claim;
use super::reclaim::way;
use super::tree::{AccountTree, DEPTH_MAX};
use super::{AccountId, Ledger, LedgerOptions};
use crate::error::{Error, check_range};

mod state;

pub(super) use crate::policy::OVER_QUOTA_WEIGHT_MAX;
pub use crate::policy::{AMOUNT_MAX, AccountQuota, Amounts, RESOURCES_MAX};

/// All numbers of all accounts. Arrays of amounts have one row of `resources` for each account,
/// by index, and one for the root.
#[derive(Debug)]
pub(super) struct Quotas {
    pub(super) resources: u32,
    /// What there is to divide.
    pub(super) capacity: Amounts,
    pub(super) quota: Box<[u64]>,
    pub(super) limit: Box<[u64]>,
    pub(super) lending_limit: Box<[u64]>,
    pub(super) over_quota_weight: Box<[f64]>,
    pub(super) over_quota_priority: Box<[i32]>,
    /// Held by the account itself.
    pub(super) held_own: Box<[u64]>,
    /// Held by it and everybody below it.
    pub(super) held: Box<[u64]>,
    /// Asked for and not yet held, by the account itself.
    pub(super) asked_own: Box<[u64]>,
    /// The same with everybody below it.
    pub(super) asked: Box<[u64]>,
    /// Its part of the capacity as it was last divided, with everybody below it; zero before.
    pub(super) fair_share: Box<[u64]>,
    pub(super) children: Children,
    /// Room for dividing among all children of one account, and itself.
    pub(super) claims: Box<[Claim]>,
}

/// Adds or takes away in one place of every level.
#[derive(Clone, Copy)]
enum Change {
    Add,
    Take,
}

impl Quotas {
    pub(super) fn new(options: &LedgerOptions) -> Result<Self, Error> {
        check_range("resources", options.resources.into(), 0, RESOURCES_MAX as u64)?;
        let accounts = if options.resources == 0 { 0 } else { options.accounts_max as usize + 1 };
        let amounts = || vec![0; accounts * options.resources as usize].into_boxed_slice();
        let mut new = Self {
            resources: options.resources,
            capacity: Amounts::ZERO,
            quota: amounts(),
            limit: amounts(),
            lending_limit: amounts(),
            over_quota_weight: vec![1.0; accounts * options.resources as usize].into_boxed_slice(),
            over_quota_priority: vec![0; accounts].into_boxed_slice(),
            held_own: amounts(),
            held: amounts(),
            asked_own: amounts(),
            asked: amounts(),
            fair_share: amounts(),
            children: Children::new(accounts.saturating_sub(1) as u32),
            claims: vec![Claim::default(); accounts].into_boxed_slice(),
        };
        (0..accounts as u32).for_each(|index| new.reset(index));
        Ok(new)
    }

    pub(super) const fn bytes_needed(options: &LedgerOptions) -> u64 {
        if options.resources == 0 {
            return 0;
        }
        let each = 9 * size_of::<u64>() as u64 * options.resources as u64
            + size_of::<i32>() as u64
            + size_of::<Claim>() as u64;
        (options.accounts_max as u64 + 1)
            .saturating_mul(each)
            .saturating_add(Children::bytes_needed(options.accounts_max))
    }

    /// Forgets whoever had this index before.
    pub(super) fn reset(&mut self, index: u32) {
        if self.resources > 0 {
            self.set_rules(index, &AccountQuota::default());
            let row = self.row(index);
            for amounts in [
                &mut self.held_own,
                &mut self.held,
                &mut self.asked_own,
                &mut self.asked,
                &mut self.fair_share,
            ] {
                amounts[row.clone()].fill(0);
            }
        }
    }

    /// Kinds of resource, or the error of a ledger that has none.
    pub(super) fn check_present(&self) -> Result<u32, Error> {
        check_range("resources", self.resources.into(), 1, RESOURCES_MAX as u64)?;
        Ok(self.resources)
    }

    /// `Ok` if the account neither holds nor asks for anything.
    pub(super) fn check_idle(&self, account: AccountId) -> Result<(), Error> {
        let row = self.row(account.index());
        for (other, amounts) in [("held", &self.held), ("asked", &self.asked)] {
            if let Some(busy) = amounts[row.clone()].iter().find(|amount| **amount > 0) {
                return Err(Error::Contradiction {
                    field: "account",
                    value: account.to_raw(),
                    other,
                    other_value: *busy,
                });
            }
        }
        Ok(())
    }

    /// Where the amounts of the account with this index, or of the root, stand.
    pub(super) const fn row(&self, index: u32) -> core::ops::Range<usize> {
        let begin = index as usize * self.resources as usize;
        begin..begin + self.resources as usize
    }

    /// A row as amounts.
    pub(super) fn amounts(&self, of: &[u64], index: u32) -> Amounts {
        let mut amounts = Amounts::ZERO;
        amounts.0[..self.resources as usize].copy_from_slice(&of[self.row(index)]);
        amounts
    }

    pub(super) fn set_rules(&mut self, index: u32, rules: &AccountQuota) {
        let (row, used) = (self.row(index), self.resources as usize);
        self.quota[row.clone()].copy_from_slice(&rules.quota.0[..used]);
        self.limit[row.clone()].copy_from_slice(&rules.limit.0[..used]);
        self.lending_limit[row.clone()].copy_from_slice(&rules.lending_limit.0[..used]);
        self.over_quota_weight[row].copy_from_slice(&rules.over_quota_weight[..used]);
        self.over_quota_priority[index as usize] = rules.over_quota_priority;
    }

    fn rules(&self, index: u32) -> AccountQuota {
        let mut over_quota_weight = [1.0; RESOURCES_MAX];
        over_quota_weight[..self.resources as usize]
            .copy_from_slice(&self.over_quota_weight[self.row(index)]);
        AccountQuota {
            quota: self.amounts(&self.quota, index),
            limit: self.amounts(&self.limit, index),
            lending_limit: self.amounts(&self.lending_limit, index),
            over_quota_weight,
            over_quota_priority: self.over_quota_priority[index as usize],
        }
    }

    /// Changes what is held (or asked for) by an account and all above it, or nothing.
    fn change(
        &mut self,
        tree: &AccountTree,
        index: u32,
        amounts: &Amounts,
        change: Change,
        held: bool,
    ) -> Result<(), Error> {
        let (field, resources, root) = ("amounts", self.resources, tree.root());
        amounts.check(field, resources)?;
        let (row, top) = (self.row(index), self.row(root));
        let (own, all) = if held {
            (&mut self.held_own, &mut self.held)
        } else {
            (&mut self.asked_own, &mut self.asked)
        };
        for (resource, amount) in amounts.used(resources).iter().enumerate() {
            // The root has the largest sum: what fits there fits everywhere.
            let max = match change {
                Change::Add => AMOUNT_MAX - all[top.start + resource],
                Change::Take => own[row.start + resource],
            };
            check_range(field, *amount, 0, max)?;
        }
        let apply = |row: &mut [u64]| {
            for (sum, amount) in row.iter_mut().zip(amounts.used(resources)) {
                match change {
                    Change::Add => *sum += amount,
                    Change::Take => *sum -= amount,
                }
            }
        };
        apply(&mut own[row]);
        let mut index = index;
        for _ in 0..=DEPTH_MAX {
            let begin = index as usize * resources as usize;
            apply(&mut all[begin..begin + resources as usize]);
            if index == root {
                break;
            }
            index = tree.parent_at(index);
        }
        Ok(())
    }
}

impl Ledger {
    /// Kinds of resource that accounts hold.
    #[must_use]
    pub const fn resources(&self) -> u32 {
        self.quotas.resources
    }

    /// Says how much there is to divide.
    ///
    /// # Errors
    /// [`Error::Range`] for an amount over [`AMOUNT_MAX`], or of a resource that is not there.
    pub fn set_capacity(&mut self, capacity: &Amounts) -> Result<(), Error> {
        capacity.check("capacity", self.quotas.resources)?;
        self.quotas.capacity = *capacity;
        self.turns.update_all(&self.tree, &self.quotas);
        Ok(())
    }

    /// How much there is to divide.
    #[must_use]
    pub const fn capacity(&self) -> &Amounts {
        &self.quotas.capacity
    }

    /// Says what an account may have from now on; what it holds it keeps.
    ///
    /// # Errors
    /// [`Error::Stale`] for an unknown account; [`Error::Range`] for an amount over
    /// [`AMOUNT_MAX`] that is not `u64::MAX`, or of a resource that is not there;
    /// [`Error::RangeReal`] for a weight that is not in `0..=10^12`.
    pub fn set_quota(&mut self, account: AccountId, rules: &AccountQuota) -> Result<(), Error> {
        self.tree.check(account)?;
        let resources = self.quotas.check_present()?;
        rules.check(resources)?;
        self.replace_rules(account, rules);
        Ok(())
    }

    /// What an account may have.
    ///
    /// # Errors
    /// [`Error::Stale`] for an unknown account; [`Error::Range`] on `resources` if there are none.
    pub fn quota(&self, account: AccountId) -> Result<AccountQuota, Error> {
        self.tree.check(account)?;
        self.quotas.check_present()?;
        Ok(self.quotas.rules(account.index()))
    }

    /// The first account, from this one upwards, that would hold more than its limit if this one held
    /// so much more; `None`: nobody would. O(depth * resources).
    ///
    /// # Errors
    /// [`Error::Stale`] for an unknown account.
    pub fn first_over_limit(
        &self,
        account: AccountId,
        more: &Amounts,
    ) -> Result<Option<AccountId>, Error> {
        self.tree.check(account)?;
        let Quotas { held, limit, .. } = &self.quotas;
        let is_over = |index: &u32| {
            let mut amounts = self.quotas.row(*index).zip(more.0);
            amounts.any(|(at, more)| more > 0 && held[at].saturating_add(more) > limit[at])
        };
        let first = way(&self.tree, account.index(), self.tree.root()).find(is_over);
        Ok(first.and_then(|index| self.tree.account_at(index)))
    }

    /// The account asks for so much more than it holds. O(depth).
    ///
    /// # Errors
    /// [`Error::Stale`] for an unknown account; [`Error::Range`] for an amount of a resource that
    /// is not there, or with which all that is asked for would exceed [`AMOUNT_MAX`].
    pub fn ask(&mut self, account: AccountId, amounts: &Amounts) -> Result<(), Error> {
        self.tree.check(account)?;
        self.quotas.change(&self.tree, account.index(), amounts, Change::Add, false)
    }

    /// The account no longer asks for so much: it was given, or is not wanted any more. O(depth).
    ///
    /// # Errors
    /// [`Error::Stale`] for an unknown account; [`Error::Range`] for more than the account itself
    /// asked for.
    pub fn withdraw(&mut self, account: AccountId, amounts: &Amounts) -> Result<(), Error> {
        self.tree.check(account)?;
        self.quotas.change(&self.tree, account.index(), amounts, Change::Take, false)
    }

    /// The account holds so much more. What it may hold is for the caller to look at first: what
    /// really happened is not refused. O(depth).
    ///
    /// # Errors
    /// [`Error::Stale`] for an unknown account; [`Error::Range`] for an amount of a resource that
    /// is not there, or with which all that is held would exceed [`AMOUNT_MAX`].
    pub fn allocate(&mut self, account: AccountId, amounts: &Amounts) -> Result<(), Error> {
        self.tree.check(account)?;
        self.quotas.change(&self.tree, account.index(), amounts, Change::Add, true)?;
        self.borrowing.hold(&self.tree, &self.quotas, account.index(), amounts, true);
        self.turns.update(&self.tree, &self.quotas, account.index());
        Ok(())
    }

    /// The account holds so much less. O(depth).
    ///
    /// # Errors
    /// [`Error::Stale`] for an unknown account; [`Error::Range`] for more than the account itself
    /// holds.
    pub fn release(&mut self, account: AccountId, amounts: &Amounts) -> Result<(), Error> {
        self.tree.check(account)?;
        self.quotas.change(&self.tree, account.index(), amounts, Change::Take, true)?;
        self.borrowing.hold(&self.tree, &self.quotas, account.index(), amounts, false);
        self.turns.update(&self.tree, &self.quotas, account.index());
        Ok(())
    }

    /// What the account and everybody below it hold.
    ///
    /// # Errors
    /// [`Error::Stale`] for an unknown account.
    pub fn held(&self, account: AccountId) -> Result<Amounts, Error> {
        self.tree.check(account)?;
        Ok(self.quotas.amounts(&self.quotas.held, account.index()))
    }

    /// What the account and everybody below it get of the capacity as it was last divided.
    ///
    /// # Errors
    /// [`Error::Stale`] for an unknown account.
    pub fn fair_share(&self, account: AccountId) -> Result<Amounts, Error> {
        self.tree.check(account)?;
        Ok(self.quotas.amounts(&self.quotas.fair_share, account.index()))
    }

    /// What the account and everybody below it ask for beyond what they hold.
    ///
    /// # Errors
    /// [`Error::Stale`] for an unknown account.
    pub fn asked(&self, account: AccountId) -> Result<Amounts, Error> {
        self.tree.check(account)?;
        Ok(self.quotas.amounts(&self.quotas.asked, account.index()))
    }
}
