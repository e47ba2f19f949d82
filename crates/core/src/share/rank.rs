//! Two rankings by history, with Slurm's numbers: the classic factor and Fair Tree.
//!
//! # What it decides
//! Who used least of what it should have had, as a factor from 0 to 1 (1 goes first), as an order
//! of all users, or as the one that is first among those that want something. A *user* is an
//! account without children.
//!
//! # Formula
//! ```text
//! classic    F  = 2^(-(UE / S) / d)
//!            S  = product of the parts of shares from the root down
//!            UN = usage / usage of all
//!            UE = UN directly below the root, else UN + (UE_parent - UN) * part
//!            S = 0: F = 0                 shares of the parent: its UE and S (the root's are 1)
//! Fair Tree  LevelFS = part / (usage / usage of the level above)
//!            no shares: 0   no usage, or a user with the shares of its parent: infinity
//!            order: depth first, in each level by falling LevelFS, users before tied accounts
//!            F = (users - rank + 1) / users      rank 1 is first, ties share a rank
//! ```
//! `d` damps differences. *Ties* in Fair Tree: members of one level with the same `LevelFS`. A user
//! that ties with the member before it has its rank; the first user of an account that ties with
//! the member before it has the last rank that was given. Children of tied accounts are *not*
//! merged into one level: Slurm documents that, but its code looks for further accounts to merge
//! only among users, finds none, and every figure of its own tests agrees with either reading.
//!
//! # Bounds and cost
//! All of it without memory beyond that of the ledger, and without recursion. After accounts or
//! shares have changed, O(accounts * log accounts) once.
//!
//! | call | cost |
//! |---|---|
//! | [`Ledger::next_ranked`], classic | O(depth) |
//! | [`Ledger::next_ranked`], Fair Tree | O(depth), and the members that tie within 2^-50 |
//! | [`Ledger::factor`], classic | O(depth) |
//! | [`Ledger::factor`], Fair Tree; [`Ledger::standing`] | as a whole ranking |
//! | [`Ledger::rank_users`], [`Ledger::standings`] | O(users * log users), classic times depth |
//!
//! # What it is bad at
//! Equal shares of the past are not equal waiting. Fair Tree's factors are ranks: they do not say
//! how far apart two users are, and one charge can move many of them.
//!
//! # Source
//! Slurm's `priority/multifactor`, documented as "Classic Fairshare" and "Fair Tree" (R. Cox and
//! L. Morrison, Brigham Young University). Whoever is first is found by the heaps of `level`.

use super::history::RawShares;
use super::level::Levels;
use super::tree::{AccountTree, DEPTH_MAX};
use super::{AccountId, Ledger};
use crate::error::{Error, check_real};
use crate::units::Nanos;

/// Range of the classic damping, Slurm's `FairShareDampeningFactor`: at 1 who used its share has
/// factor 1/2; the larger, the later the factor falls.
pub const DAMPING_MIN: f64 = 1.0;
/// See [`DAMPING_MIN`].
pub const DAMPING_MAX: f64 = 65_535.0;

/// By which rule history becomes a factor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Ranking {
    /// Usage over shares, all levels in one number.
    Classic {
        /// [`DAMPING_MIN`] to [`DAMPING_MAX`].
        damping: f64,
    },
    /// Level by level: no user of an account goes before any of a sibling that used less.
    FairTree,
}

/// A user in its place.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[repr(C)]
pub struct Ranked {
    /// The user.
    pub account: AccountId,
    /// 0 to 1; 1 goes first.
    pub factor: f64,
    /// 1 and up; ties share one.
    pub rank: u32,
}

/// Where an account stands, and what follows from what: the columns of `sshare -l`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Standing {
    /// As they were set.
    pub shares: RawShares,
    /// Classic: its part of everything, `S`. Fair Tree: its part of its level.
    pub shares_norm: f64,
    /// Usage as it counts now, in the host's unit.
    pub usage: f64,
    /// Its part of the usage of all, `UN`; 0 while there is none.
    pub usage_norm: f64,
    /// Classic: `UE`. Fair Tree: its part of the usage of its level.
    pub usage_effective: f64,
    /// Above 1: it used less than its share of its level. `None` for an account that stands aside.
    pub level_fs: Option<f64>,
    /// 0 to 1; 1 goes first. In Fair Tree accounts with children have none.
    pub factor: Option<f64>,
    /// 1 and up among all users, ties share one; `None` for an account with children.
    pub rank: Option<u32>,
    /// Users in the ledger.
    pub users: u32,
}

impl Ledger {
    /// Sets whether an account is to be found by [`Ledger::next_ranked`], because it has something
    /// that waits. It counts while the account has no children. At first nobody is.
    /// O(depth * log accounts).
    ///
    /// # Errors
    /// [`Error::Range`] on `half_life_ns` without one; [`Error::Stale`] for an unknown account.
    pub fn set_ranked(&mut self, account: AccountId, ranked: bool) -> Result<(), Error> {
        self.history.decay.check()?;
        self.tree.check(account)?;
        self.history.levels.set_ranked(&self.tree, account.index(), ranked);
        Ok(())
    }

    /// The user with the best rank among those that [`Ledger::set_ranked`] named; among ties one
    /// that depends on usage, shares and indices alone. `None`: there is none.
    ///
    /// # Errors
    /// As [`Ledger::factor`] about the ranking.
    pub fn next_ranked(&mut self, ranking: Ranking) -> Result<Option<AccountId>, Error> {
        self.settle(ranking)?;
        let index = match ranking {
            Ranking::Classic { .. } => self.history.levels.first_classic(&self.tree),
            Ranking::FairTree => self.history.levels.first_fair(&self.tree),
        };
        Ok(self.tree.account_at(index))
    }

    /// The factor of an account; `None` for one with children in Fair Tree. It does not change as
    /// time passes.
    ///
    /// # Errors
    /// [`Error::Range`] on `half_life_ns` without one; [`Error::RangeReal`] for a `damping` outside
    /// [`DAMPING_MIN`]..=[`DAMPING_MAX`]; [`Error::Stale`] for an unknown account.
    pub fn factor(&mut self, account: AccountId, ranking: Ranking) -> Result<Option<f64>, Error> {
        self.tree.check(account)?;
        self.settle(ranking)?;
        let levels = &mut self.history.levels;
        match ranking {
            Ranking::Classic { damping } => {
                let debt = levels.debt(&self.tree, account.index());
                Ok(Some(classic_factor(levels, &self.tree, debt, damping)))
            }
            Ranking::FairTree => {
                let rank = fair_rank(levels, &self.tree, account.index());
                Ok(rank.map(|rank| fair_factor(levels.users, rank)))
            }
        }
    }

    /// Writes all users to the front of `out`, the first one first, and returns their number.
    ///
    /// # Errors
    /// As [`Ledger::factor`] about the ranking; [`Error::BufferTooSmall`] if `out` has less room
    /// than there are users.
    pub fn rank_users(&mut self, ranking: Ranking, out: &mut [Ranked]) -> Result<usize, Error> {
        self.settle(ranking)?;
        let (tree, levels) = (&self.tree, &mut self.history.levels);
        let (given, needed) = (out.len() as u64, u64::from(levels.users));
        if given < needed {
            return Err(Error::BufferTooSmall { field: "out", given, needed });
        }
        let mut places = out.iter_mut();
        let mut put = |index: u32, rank: u32, factor: f64| {
            if let (Some(place), Some(account)) = (places.next(), tree.account_at(index)) {
                *place = Ranked { account, factor, rank };
            }
        };
        match ranking {
            Ranking::Classic { damping } => rank_classic(levels, tree, damping, &mut put),
            Ranking::FairTree => {
                let users = levels.users;
                rank_fair_tree(levels, tree, &mut |index, rank| {
                    put(index, rank, fair_factor(users, rank));
                });
            }
        }
        Ok(needed as usize)
    }

    /// Where an account stands at `now`, and why.
    ///
    /// # Errors
    /// As [`Ledger::factor`]; [`Error::TimeReversed`] before the last record.
    pub fn standing(
        &mut self,
        now: Nanos,
        account: AccountId,
        ranking: Ranking,
    ) -> Result<Standing, Error> {
        self.usage(now, account)?;
        let factor = self.factor(account, ranking)?;
        let (tree, index) = (&self.tree, account.index());
        let levels = &mut self.history.levels;
        let rank = match ranking {
            _ if levels.seat(index).has_children => None,
            Ranking::Classic { .. } => Some(classic_rank(levels, tree, index)),
            Ranking::FairTree => fair_rank(levels, tree, index),
        };
        Ok(Standing { factor, rank, ..self.standing_unranked(now, index, ranking) })
    }

    /// Where every account stands at `now`: written to `out` at its index. Costs as
    /// [`Ledger::rank_users`], where [`Ledger::standing`] takes as much for one account.
    ///
    /// # Errors
    /// As [`Ledger::factor`] about the ranking; [`Error::TimeReversed`] before the last record;
    /// [`Error::BufferTooSmall`] for an `out` with fewer than `accounts_max` elements.
    pub fn standings(
        &mut self,
        now: Nanos,
        ranking: Ranking,
        out: &mut [Standing],
    ) -> Result<(), Error> {
        self.history.decay.check_time(now)?;
        self.settle(ranking)?;
        let (given, needed) = (out.len() as u64, u64::from(self.tree.capacity()));
        if given < needed {
            return Err(Error::BufferTooSmall { field: "out", given, needed });
        }
        for index in self.tree.indices() {
            out[index as usize] = self.standing_unranked(now, index, ranking);
        }
        let (tree, levels) = (&self.tree, &mut self.history.levels);
        match ranking {
            Ranking::Classic { damping } => {
                for index in tree.indices() {
                    let debt = levels.debt(tree, index);
                    let factor = classic_factor(levels, tree, debt, damping);
                    out[index as usize].factor = Some(factor);
                }
                rank_classic(levels, tree, damping, &mut |index, rank, _| {
                    out[index as usize].rank = Some(rank);
                });
            }
            Ranking::FairTree => {
                let users = levels.users;
                rank_fair_tree(levels, tree, &mut |index, rank| {
                    let standing = &mut out[index as usize];
                    (standing.factor, standing.rank) = (Some(fair_factor(users, rank)), Some(rank));
                });
            }
        }
        Ok(())
    }

    /// All of a standing but the factor and the rank, for levels that are settled.
    fn standing_unranked(&self, now: Nanos, index: u32, ranking: Ranking) -> Standing {
        let (tree, levels) = (&self.tree, &self.history.levels);
        let seat = levels.seat(index);
        let used = seat.used.get();
        let (shares_norm, usage_effective) = match ranking {
            Ranking::Classic { .. } => classic_terms(levels, tree, index),
            Ranking::FairTree => (seat.part, quotient(used, levels.seat(seat.above).used.get())),
        };
        Standing {
            shares: seat.shares,
            shares_norm,
            usage: self.history.decay.at(now, used),
            usage_norm: quotient(used, levels.seat(tree.root()).used.get()),
            usage_effective,
            level_fs: (!levels.stands_aside(index)).then(|| levels.level_fs(index)),
            factor: None,
            rank: None,
            users: levels.users,
        }
    }

    /// Works out what has changed, for a question about ranks.
    fn settle(&mut self, ranking: Ranking) -> Result<(), Error> {
        self.history.decay.check()?;
        if let Ranking::Classic { damping } = ranking {
            check_real("damping", damping, DAMPING_MIN, DAMPING_MAX)?;
        }
        self.history.levels.settle(&self.tree);
        Ok(())
    }
}

/// A part of a whole; none of nothing.
fn quotient(part: f64, whole: f64) -> f64 {
    if part == 0.0 { 0.0 } else { part / whole }
}

fn classic_factor(levels: &Levels, tree: &AccountTree, debt: f64, damping: f64) -> f64 {
    let used = levels.seat(tree.root()).used.get();
    let ratio = if debt == f64::INFINITY { debt } else { quotient(debt, used) };
    libm::exp2(-ratio / damping)
}

fn fair_factor(users: u32, rank: u32) -> f64 {
    f64::from(users - rank.min(users) + 1) / f64::from(users)
}

/// `S` and `UE` of an account, from below: what is above it counts with the product of the parts
/// below.
fn classic_terms(levels: &Levels, tree: &AccountTree, index: u32) -> (f64, f64) {
    let (root, seat) = (tree.root(), levels.seat(index));
    let all = levels.seat(root).used.get();
    let mut at = if seat.shares == RawShares::Parent { seat.above } else { index };
    if at == root {
        return (1.0, quotient(all, all));
    }
    let (mut shares, mut effective) = (1.0, 0.0);
    for _ in 0..DEPTH_MAX {
        if at == root {
            break;
        }
        let seat = levels.seat(at);
        let used = quotient(seat.used.get(), all);
        effective += shares * if seat.above == root { used } else { used * (1.0 - seat.part) };
        shares *= seat.part;
        at = seat.above;
    }
    (shares, effective)
}

/// One more than the number of users with a smaller debt.
fn classic_rank(levels: &Levels, tree: &AccountTree, index: u32) -> u32 {
    let own = levels.debt(tree, index);
    let before = |other: &u32| !levels.seat(*other).has_children && levels.debt(tree, *other) < own;
    1 + tree.indices().filter(before).count() as u32
}

/// Tells all users by rising debt.
fn rank_classic(
    levels: &mut Levels,
    tree: &AccountTree,
    damping: f64,
    put: &mut dyn FnMut(u32, u32, f64),
) {
    let mut len = 0;
    for index in tree.indices() {
        if levels.seat(index).has_children {
            continue;
        }
        let debt = levels.debt(tree, index);
        levels.order[len] = u128::from(debt.to_bits()) << 32 | u128::from(index);
        len += 1;
    }
    levels.order[..len].sort_unstable();
    let (mut last, mut rank, mut factor) = (None, 0, 0.0);
    for (place, entry) in levels.order[..len].iter().enumerate() {
        let debt = f64::from_bits((entry >> 32) as u64);
        if last != Some(debt) {
            (last, rank) = (Some(debt), place as u32 + 1);
            factor = classic_factor(levels, tree, debt, damping);
        }
        put(*entry as u32, rank, factor);
    }
}

/// The rank of one user in Fair Tree; `None` for an account with children.
fn fair_rank(levels: &mut Levels, tree: &AccountTree, index: u32) -> Option<u32> {
    let mut found = None;
    rank_fair_tree(levels, tree, &mut |other, rank| {
        if other == index {
            found = Some(rank);
        }
    });
    found
}

/// One level on the way down.
#[derive(Clone, Copy, Default)]
struct Level {
    /// The account whose members these are.
    above: u32,
    /// Where the next member stands in the order.
    next: usize,
    /// Place of the member before it, without the mark of accounts.
    last: Option<u64>,
    /// The account ties with the member before it.
    is_tied: bool,
}

/// Tells all users with their ranks, depth first, the first one first.
fn rank_fair_tree(levels: &mut Levels, tree: &AccountTree, put: &mut dyn FnMut(u32, u32)) {
    let mut len = 0;
    for index in tree.indices() {
        if levels.stands_aside(index) {
            continue;
        }
        // (account above, place in its level, index), each in its own bits.
        let above = u128::from(levels.seat(index).above) << 96;
        let place = u128::from(levels.fair_place(index)) << 32;
        levels.order[len] = above | place | u128::from(index);
        len += 1;
    }
    levels.order[..len].sort_unstable();
    let order = &levels.order[..len];
    let level = |above: u32, is_tied| {
        let next = order.partition_point(|entry| ((entry >> 96) as u32) < above);
        Level { above, next, last: None, is_tied }
    };
    let mut way = [Level::default(); DEPTH_MAX as usize + 1];
    way[0] = level(tree.root(), false);
    let (mut depth, mut told, mut rank) = (0, 0, 0);
    // Each member is taken once, and each account with members left once.
    for _ in 0..=2 * len {
        let here = &mut way[depth];
        let entry = order.get(here.next).filter(|entry| (**entry >> 96) as u32 == here.above);
        let Some(entry) = entry else {
            let Some(above) = depth.checked_sub(1) else { return };
            depth = above;
            continue;
        };
        let (index, place) = (*entry as u32, (entry >> 33) as u64 & (u64::MAX >> 1));
        let is_tied = here.last.map_or(here.is_tied, |last| last == place);
        (here.next, here.last) = (here.next + 1, Some(place));
        if levels.seat(index).has_children {
            depth += 1;
            way[depth] = level(index, is_tied);
            continue;
        }
        if !is_tied {
            rank = told + 1;
        }
        told += 1;
        put(index, rank);
    }
}
