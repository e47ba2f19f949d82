//! Quotas as words.
//!
//! # Formula
//! ```text
//! resources, capacity of each
//! each open account, by index:
//!   over-quota priority
//!   each resource:   quota, limit, lending limit, over-quota weight
//!                    held and asked for by the account itself, fair share
//! ```
//! What it holds with everybody below it follows from that. Nothing at all without resources.

use super::{AMOUNT_MAX, Change, OVER_QUOTA_WEIGHT_MAX, Quotas};
use crate::error::{Error, check_range};
use crate::share::Amounts;
use crate::share::tree::AccountTree;
use crate::snapshot::Words;

/// Largest fair share: all that is held and asked for.
const FAIR_SHARE_MAX: u64 = 2 * AMOUNT_MAX;

impl Quotas {
    /// Makes it as it was when new.
    pub(in crate::share) fn clear(&mut self) {
        self.capacity = Amounts::ZERO;
        self.children.clear();
        (0..self.over_quota_priority.len() as u32).for_each(|index| self.reset(index));
    }

    /// Tells what it knows about the open accounts.
    pub(in crate::share) fn save_state(&self, tree: &AccountTree, save: &mut dyn FnMut(u64)) {
        if self.resources == 0 {
            return;
        }
        save(self.resources.into());
        self.capacity.used(self.resources).iter().for_each(|amount| save(*amount));
        for index in tree.indices() {
            save(u64::from(self.over_quota_priority[index as usize].cast_unsigned()));
            for at in self.row(index) {
                save(self.quota[at]);
                save(self.limit[at]);
                save(self.lending_limit[at]);
                save(self.over_quota_weight[at].to_bits());
                save(self.held_own[at]);
                save(self.asked_own[at]);
                save(self.fair_share[at]);
            }
        }
    }

    /// Takes what [`Self::save_state`] told. After an error it must be cleared.
    pub(in crate::share) fn load_state(
        &mut self,
        tree: &AccountTree,
        words: &mut Words<'_>,
    ) -> Result<(), Error> {
        if self.resources == 0 {
            return Ok(());
        }
        self.clear();
        words.next_within("resources", self.resources, self.resources)?;
        for resource in 0..self.resources as usize {
            self.capacity.0[resource] = next_finite("capacity", words)?;
        }
        tree.indices().try_for_each(|index| self.load_account(tree, index, words))
    }

    fn load_account(
        &mut self,
        tree: &AccountTree,
        index: u32,
        words: &mut Words<'_>,
    ) -> Result<(), Error> {
        let priority = words.next_u32("over_quota_priority")?;
        self.over_quota_priority[index as usize] = priority.cast_signed();
        let (mut held, mut asked) = (Amounts::ZERO, Amounts::ZERO);
        for (resource, at) in self.row(index).enumerate() {
            self.quota[at] = next_limit("quota", words)?;
            self.limit[at] = next_limit("limit", words)?;
            self.lending_limit[at] = next_limit("lending_limit", words)?;
            self.over_quota_weight[at] =
                words.next_real("over_quota_weight", 0.0, OVER_QUOTA_WEIGHT_MAX)?;
            held.0[resource] = next_finite("held", words)?;
            asked.0[resource] = next_finite("asked", words)?;
            let share = words.next()?;
            self.fair_share[at] = check_range("fair_share", share, 0, FAIR_SHARE_MAX)?;
        }
        // Adding up as it was added up before finds sums that are too large.
        self.change(tree, index, &held, Change::Add, true)?;
        self.change(tree, index, &asked, Change::Add, false)
    }
}

fn next_finite(field: &'static str, words: &mut Words<'_>) -> Result<u64, Error> {
    check_range(field, words.next()?, 0, AMOUNT_MAX)
}

fn next_limit(field: &'static str, words: &mut Words<'_>) -> Result<u64, Error> {
    match words.next()? {
        u64::MAX => Ok(u64::MAX),
        amount => check_range(field, amount, 0, AMOUNT_MAX),
    }
}
