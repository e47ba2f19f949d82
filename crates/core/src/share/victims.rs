//! Whose jobs are looked at first by a reclaimer.
//!
//! # What it decides
//! The order in which accounts give: the most saturated branch first, at every level.
//!
//! # Formula
//! ```text
//! saturation = max over the resources that are short of  held / entitled
//! ```
//! Two accounts are compared where their ways down from the lowest account in common with the
//! reclaimer part: there the branch with the larger saturation gives first, then that of lower
//! index. Branches below different accounts in common are compared directly.
//!
//! # Bounds and cost
//! A step looks at every account: O(accounts * depth * resources). Fractions are compared as
//! products of 128 bits: nothing is rounded. Nothing is allocated.
//!
//! # What it is bad at
//! Taking many victims from many accounts without looking at the jobs in between: each job that is
//! taken changes the order, and the caller asks again.
//!
//! # Source
//! KAI scheduler: victims in order of saturation, level by level.

use core::cmp::Ordering;

use super::reclaim::{ReclaimScope, Reclamation, common, way};
use super::{AccountId, DEPTH_MAX, Ledger};
use crate::error::Error;

impl Ledger {
    /// The accounts that hold something that the claim is short of and may be asked for it by rules
    /// 1 to 3, in the order in which they should give: at each level, from below the lowest
    /// account in common with the reclaimer, first the branch that is most saturated, that is whose
    /// `held / entitled` is largest in what is short. Ties go to the lower index; an account's own
    /// jobs come after those below it. No memory; each step is O(accounts * depth * resources).
    ///
    /// # Errors
    /// As [`Ledger::may_reclaim`].
    pub fn victims(&self, claim: &Reclamation) -> Result<Victims<'_>, Error> {
        self.check_claim(claim)?;
        Ok(Victims { ledger: self, claim: *claim, scope: self.scope(claim), last: None })
    }

    /// The place of an account in the order of victims, if it is one.
    fn rank(&self, claim: &Reclamation, scope: &ReclaimScope, victim: u32) -> Option<Rank> {
        let (tree, quotas) = (&self.tree, &self.quotas);
        let above = common(tree, claim.reclaimer.index(), victim);
        if above == victim || above == claim.reclaimer.index() {
            return None;
        }
        let basis = scope.basis_below(tree.depth_at(above))?;
        let gives = |resource: usize| {
            let has = quotas.held_own[quotas.row(victim).start + resource] > 0;
            has && claim.short.0[resource] > 0
                && way(tree, victim, above).all(|index| {
                    let at = quotas.row(index).start + resource;
                    quotas.held[at] > quotas.bound(basis, at)
                })
        };
        if !(0..quotas.resources as usize).any(gives) {
            return None;
        }
        let mut rank = Rank { levels: [(u32::MAX, Ratio { held: 0, entitled: 1 }); LEVELS] };
        let levels = (tree.depth_at(victim) - tree.depth_at(above)) as usize;
        for (level, index) in rank.levels[..levels].iter_mut().rev().zip(way(tree, victim, above)) {
            *level = (index, self.saturation(claim, index));
        }
        Some(rank)
    }

    /// The largest ratio of held and entitled in what is short.
    fn saturation(&self, claim: &Reclamation, index: u32) -> Ratio {
        let mut most = Ratio { held: 0, entitled: 1 };
        for (at, short) in self.quotas.row(index).zip(claim.short.0) {
            let here = Ratio { held: self.quotas.held[at], entitled: self.quotas.entitled(at) };
            if short > 0 && here.cmp(&most).is_gt() {
                most = here;
            }
        }
        most
    }
}

const LEVELS: usize = DEPTH_MAX as usize;

/// `held / entitled`; of those without entitlement, all are equal.
#[derive(Clone, Copy, Debug)]
struct Ratio {
    held: u64,
    entitled: u64,
}

impl Ratio {
    fn cmp(&self, other: &Self) -> Ordering {
        let product = |one: u64, other: u64| u128::from(one) * u128::from(other);
        product(self.held, other.entitled).cmp(&product(other.held, self.entitled))
    }
}

/// The branches from the lowest account in common down to a victim, each with its saturation;
/// below the victim no account and no saturation.
#[derive(Clone, Copy, Debug)]
struct Rank {
    levels: [(u32, Ratio); LEVELS],
}

impl Rank {
    /// `Less` for who gives first.
    fn cmp(&self, other: &Self) -> Ordering {
        let differs = self.levels.iter().zip(&other.levels).find(|(one, other)| one.0 != other.0);
        differs
            .map_or(Ordering::Equal, |(one, other)| other.1.cmp(&one.1).then(one.0.cmp(&other.0)))
    }

    fn account(&self) -> u32 {
        let given = self.levels.iter().rev().find(|level| level.0 != u32::MAX);
        given.map_or(u32::MAX, |level| level.0)
    }
}

/// Victims of a claim, in order; see [`Ledger::victims`].
#[derive(Clone, Debug)]
pub struct Victims<'a> {
    ledger: &'a Ledger,
    claim: Reclamation,
    scope: ReclaimScope,
    last: Option<Rank>,
}

impl Iterator for Victims<'_> {
    type Item = AccountId;

    fn next(&mut self) -> Option<AccountId> {
        let is_later = |rank: &Rank| self.last.is_none_or(|last| last.cmp(rank).is_lt());
        let tree = self.ledger.tree();
        let next = tree
            .indices()
            .filter_map(|index| self.ledger.rank(&self.claim, &self.scope, index))
            .filter(is_later)
            .min_by(Rank::cmp)?;
        self.last = Some(next);
        tree.account_at(next.account())
    }
}
