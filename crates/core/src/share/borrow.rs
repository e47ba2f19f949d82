//! Dominant share of the borrowed part: who has borrowed most of what others lend.
//!
//! # What it decides
//! Nothing. It says how much of what could be borrowed an account has borrowed, over its own quota
//! and that of everybody below it: who borrows least may borrow next, who borrows most gives back
//! first.
//!
//! # Formula
//! ```text
//! pooled(a)    = quota(a) + sum over children c of lent(c)      what a and those below it can use
//! local(a)     = max(0, pooled(a) - lending_limit(a))           what only they can use
//! lent(a)      = pooled(a) - local(a)
//! used(a)      = held by a itself + sum over children c of max(0, used(c) - local(c))
//! borrowed(a)  = max(0, used(a) - pooled(a))
//! usable(a)    = min(limit(a), local(a) + usable(parent))
//! usable(root) = sum over its children of lent + capacity that is nobody's quota
//! share(a)     = ceil(1000 * max over r of borrowed_r(a) / usable_r(parent) / weight(a))
//! ```
//! all of them for each resource. A quota without limit counts as 2^62. Whoever borrows what nobody
//! can lend has borrowed all of it: 1000. The same resource of another kind (a GPU model, a price)
//! is another resource.
//!
//! # Bounds and cost
//! A query is O(depth * resources). `pooled` and `used` are kept up to date: changing a quota or
//! what is held costs O(depth * resources) more. 24 bytes for each account and resource. The sums
//! are exact; the share is rounded up after divisions in `f64`.
//!
//! # What it is bad at
//! It knows nothing of need: an account that borrows one GPU of two lent counts as much as one that
//! borrows half of a thousand. Below its quota an account counts as zero, however far.
//!
//! # Source
//! Kueue, fair sharing of borrowed quota (weighted share of cohorts and cluster queues). There a
//! limit is written as quota plus borrowing limit, the top of a tree of cohorts borrows from
//! nobody, and what nobody can lend does not count. Here accounts directly below the root borrow
//! from each other.

use alloc::boxed::Box;
use alloc::vec;

use super::quota::{AMOUNT_MAX, AccountQuota, Amounts, Quotas, RESOURCES_MAX};
use super::tree::{AccountTree, DEPTH_MAX};
use super::{AccountId, Ledger, LedgerOptions};
use crate::error::{Error, check_range};

/// How much an account has borrowed of what others lend.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct BorrowedShare {
    /// Largest part of what can be borrowed, in thousandths, rounded up, divided by the weight.
    pub permille: u64,
    /// Number of the resource, the first of those with the largest part; `None` if nothing is
    /// borrowed.
    pub resource: Option<u32>,
    /// Whether anything is borrowed.
    pub borrowing: bool,
}

/// The borrowed part of what can be borrowed, in thousandths, rounded up, divided by `weight`;
/// `u64::MAX` for who borrows with a weight of zero, or less.
#[must_use]
pub fn borrowed_permille(borrowed: u128, usable: u128, weight: f64) -> u64 {
    match (borrowed, usable) {
        (0, _) => 0,
        _ if weight.is_nan() || weight <= 0.0 => u64::MAX,
        (borrowed, usable) => libm::ceil(permille(borrowed, usable) / weight) as u64,
    }
}

/// Not rounded, of weight 1.
fn permille(borrowed: u128, usable: u128) -> f64 {
    // Multiplied first: a quotient that is a whole number comes out as one.
    if usable == 0 { 1000.0 } else { 1000.0 * borrowed as f64 / usable as f64 }
}

/// Sums that follow from quotas and from what is held.
#[derive(Debug)]
pub(super) struct Borrowing {
    /// Rows by account index, and one for the root. Empty: nothing is kept.
    pub(super) pooled: Box<[u128]>,
    pub(super) used: Box<[u64]>,
    /// All quotas together, for each resource.
    quotas_sum: [u128; RESOURCES_MAX],
}

/// What changes in the sums of an account.
#[derive(Clone, Copy)]
struct Difference {
    pooled: i128,
    used: i64,
}

impl Difference {
    const fn reversed(self) -> Self {
        Self { pooled: -self.pooled, used: -self.used }
    }
}

impl Borrowing {
    pub(super) fn new(options: &LedgerOptions) -> Self {
        let accounts = if options.borrowing { options.accounts_max as usize + 1 } else { 0 };
        let places = accounts * options.resources as usize;
        Self {
            pooled: vec![0; places].into_boxed_slice(),
            used: vec![0; places].into_boxed_slice(),
            quotas_sum: [0; RESOURCES_MAX],
        }
    }

    pub(super) const fn bytes_needed(options: &LedgerOptions) -> u64 {
        if !options.borrowing {
            return 0;
        }
        (options.accounts_max as u64 + 1) * options.resources as u64 * 24
    }

    /// Whether sums are kept.
    fn is_kept(&self) -> bool {
        !self.pooled.is_empty()
    }

    /// Begins with an account that is new: no quota, nothing held.
    pub(super) fn reset(&mut self, quotas: &Quotas, index: u32) {
        if self.is_kept() {
            self.pooled[quotas.row(index)].fill(0);
            self.used[quotas.row(index)].fill(0);
        }
    }

    /// Takes out the quota of an account: it is about to be closed, or to have another quota.
    /// [`Self::join`] puts the new one in.
    pub(super) fn leave(&mut self, tree: &AccountTree, quotas: &Quotas, index: u32) {
        if !self.is_kept() {
            return;
        }
        for (resource, place) in quotas.row(index).enumerate() {
            let own = finite(quotas.quota[place]);
            let part = self.part_above(quotas, place).reversed();
            self.carry(tree, quotas, tree.parent_at(index), resource, part);
            self.pooled[place] -= own;
            self.quotas_sum[resource] -= own;
        }
    }

    /// Puts in the quota of an account that had left.
    pub(super) fn join(&mut self, tree: &AccountTree, quotas: &Quotas, index: u32) {
        if !self.is_kept() {
            return;
        }
        for (resource, place) in quotas.row(index).enumerate() {
            let own = finite(quotas.quota[place]);
            self.pooled[place] += own;
            self.quotas_sum[resource] += own;
            let part = self.part_above(quotas, place);
            self.carry(tree, quotas, tree.parent_at(index), resource, part);
        }
    }

    /// The account holds so much more, or less.
    pub(super) fn hold(
        &mut self,
        tree: &AccountTree,
        quotas: &Quotas,
        index: u32,
        amounts: &Amounts,
        is_more: bool,
    ) {
        if !self.is_kept() {
            return;
        }
        for (resource, amount) in amounts.used(quotas.resources).iter().enumerate() {
            let more = Difference { pooled: 0, used: amount.cast_signed() };
            let difference = if is_more { more } else { more.reversed() };
            self.carry(tree, quotas, index, resource, difference);
        }
    }

    /// Everything anew from quotas and holdings: a walk over all indices for each level.
    pub(super) fn rebuild(&mut self, tree: &AccountTree, quotas: &Quotas) {
        if !self.is_kept() {
            return;
        }
        self.clear();
        self.used.copy_from_slice(&quotas.held_own);
        for depth in (1..=DEPTH_MAX).rev() {
            for index in tree.indices().filter(|index| tree.depth_at(*index) == depth) {
                let above = quotas.row(tree.parent_at(index));
                for ((resource, place), above) in quotas.row(index).enumerate().zip(above) {
                    let own = finite(quotas.quota[place]);
                    self.pooled[place] += own;
                    self.quotas_sum[resource] += own;
                    let part = self.part_above(quotas, place);
                    self.add(above, part);
                }
            }
        }
    }

    /// Makes it as it was when new.
    pub(super) fn clear(&mut self) {
        self.pooled.fill(0);
        self.used.fill(0);
        self.quotas_sum = [0; RESOURCES_MAX];
    }

    /// What only the account and those below it can use.
    fn local(&self, quotas: &Quotas, place: usize) -> u128 {
        match quotas.lending_limit[place] {
            u64::MAX => 0,
            lent_max => self.pooled[place].saturating_sub(lent_max.into()),
        }
    }

    /// What the account adds to the sums of the one above.
    fn part_above(&self, quotas: &Quotas, place: usize) -> Difference {
        let local = self.local(quotas, place);
        Difference {
            pooled: (self.pooled[place] - local).cast_signed(),
            // At most what it uses.
            used: (u128::from(self.used[place]).saturating_sub(local) as u64).cast_signed(),
        }
    }

    fn add(&mut self, place: usize, difference: Difference) {
        self.pooled[place] = self.pooled[place].saturating_add_signed(difference.pooled);
        self.used[place] = self.used[place].saturating_add_signed(difference.used);
    }

    /// Changes the sums of an account, and of those above as far as that reaches.
    fn carry(
        &mut self,
        tree: &AccountTree,
        quotas: &Quotas,
        index: u32,
        resource: usize,
        difference: Difference,
    ) {
        let (mut index, mut difference) = (index, difference);
        for _ in 0..=DEPTH_MAX {
            if difference.pooled == 0 && difference.used == 0 {
                break;
            }
            let place = quotas.row(index).start + resource;
            if index == tree.root() {
                self.add(place, difference);
                break;
            }
            let before = self.part_above(quotas, place);
            self.add(place, difference);
            let after = self.part_above(quotas, place);
            difference =
                Difference { pooled: after.pooled - before.pooled, used: after.used - before.used };
            index = tree.parent_at(index);
        }
    }

    /// What an account and those below it could use of one resource if nobody used any.
    fn usable(&self, tree: &AccountTree, quotas: &Quotas, index: u32, resource: usize) -> u128 {
        let (mut path, mut depth, mut above) = ([0; DEPTH_MAX as usize], 0, index);
        while above != tree.root() && depth < path.len() {
            path[depth] = above;
            above = tree.parent_at(above);
            depth += 1;
        }
        let capacity = u128::from(quotas.capacity.0[resource]);
        let nobodys = capacity.saturating_sub(self.quotas_sum[resource]);
        let lent = self.pooled[quotas.row(tree.root()).start + resource];
        path[..depth].iter().rev().fold(lent + nobodys, |usable, index| {
            let place = quotas.row(*index).start + resource;
            let usable = usable + self.local(quotas, place);
            match quotas.limit[place] {
                u64::MAX => usable,
                limit => usable.min(limit.into()),
            }
        })
    }
}

/// A quota as a number.
fn finite(quota: u64) -> u128 {
    quota.min(AMOUNT_MAX).into()
}

impl Ledger {
    /// How much the account has borrowed, with everybody below it, of what others lend.
    /// O(depth * resources).
    ///
    /// # Errors
    /// [`Error::Range`] on `borrowing` for a ledger that does not keep it; [`Error::Stale`] for an
    /// unknown account.
    pub fn borrowed_share(&self, account: AccountId) -> Result<BorrowedShare, Error> {
        self.borrowed_share_with(account, &Amounts::ZERO)
    }

    /// The same as if the account were given `amounts` more, all of which nobody below it has
    /// quota for. O(depth * resources).
    ///
    /// # Errors
    /// As [`Ledger::borrowed_share`]; [`Error::Range`] for an amount over [`AMOUNT_MAX`] or of a
    /// resource that is not there.
    pub fn borrowed_share_with(
        &self,
        account: AccountId,
        amounts: &Amounts,
    ) -> Result<BorrowedShare, Error> {
        check_range("borrowing", self.borrowing.is_kept().into(), 1, 1)?;
        let weight = self.tree.weight(account)?;
        amounts.check("amounts", self.quotas.resources)?;
        let (sums, parent) = (&self.borrowing, self.tree.parent_at(account.index()));
        let (mut share, mut most) = (BorrowedShare::default(), 0.0);
        for (resource, place) in (0..).zip(self.quotas.row(account.index())) {
            let used = u128::from(sums.used[place]) + u128::from(amounts.0[resource as usize]);
            let borrowed = used.saturating_sub(sums.pooled[place]);
            let usable = sums.usable(&self.tree, &self.quotas, parent, resource as usize);
            if borrowed > 0 && permille(borrowed, usable) > most {
                most = permille(borrowed, usable);
                let permille = borrowed_permille(borrowed, usable, weight);
                share = BorrowedShare { permille, resource: Some(resource), borrowing: true };
            }
        }
        Ok(share)
    }

    /// Gives an account other rules, and the sums above it what follows from them.
    pub(super) fn replace_rules(&mut self, account: AccountId, rules: &AccountQuota) {
        self.borrowing.leave(&self.tree, &self.quotas, account.index());
        self.quotas.set_rules(account.index(), rules);
        self.borrowing.join(&self.tree, &self.quotas, account.index());
    }
}
