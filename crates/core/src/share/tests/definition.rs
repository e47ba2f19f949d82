//! Both rankings by history as they are written down, by recursion over every record.

use super::history::{Driven, HALF_LIFE};
use super::*;

/// The rankings as they are written down, from usage by the definition.
pub(super) struct Definition<'a> {
    pub(super) driven: &'a Driven,
}

impl Definition<'_> {
    /// Usage of an account, or of all.
    pub(super) fn usage(&self, of: Option<AccountId>) -> f64 {
        let counts = |way: &[AccountId]| of.is_none_or(|account| way.contains(&account));
        let weight = |at: u64| (-((self.driven.now - at) as f64) / HALF_LIFE as f64).exp2();
        let records = self.driven.records.iter().filter(|record| counts(&record.2));
        records.map(|(at, amount, _)| amount * weight(*at)).sum()
    }

    fn shares(&self, account: AccountId) -> Option<f64> {
        match self.driven.ledger.raw_shares(account).unwrap() {
            RawShares::Weight => self.driven.ledger.weight(account).ok(),
            RawShares::Number(number) => Some(number),
            RawShares::Parent => None,
        }
    }

    fn is_user(&self, account: AccountId) -> bool {
        self.driven.ledger.tree().children_len(account) == Ok(0)
    }

    /// Who shares below an account, in the place of those that stand aside their children.
    fn members(&self, above: Option<AccountId>) -> Vec<AccountId> {
        let children = self.driven.accounts().into_iter();
        let children = children.filter(|child| self.driven.ledger.parent(*child) == Ok(above));
        let mut members = Vec::new();
        for child in children {
            if self.shares(child).is_none() && !self.is_user(child) {
                members.extend(self.members(Some(child)));
            } else {
                members.push(child);
            }
        }
        members.sort_unstable_by_key(|member| member.index());
        members
    }

    /// Shares of the members of a level, summed up.
    fn level_shares(&self, members: &[AccountId]) -> f64 {
        members.iter().filter_map(|member| self.shares(*member)).sum()
    }

    fn level_fs(&self, member: AccountId, above: Option<AccountId>, sum: f64) -> f64 {
        let used = self.usage(Some(member));
        match self.shares(member) {
            None => f64::INFINITY,
            Some(0.0) => 0.0,
            Some(_) if used == 0.0 => f64::INFINITY,
            Some(shares) => (shares / sum) / (used / self.usage(above)),
        }
    }

    /// Slurm's ranks, counted from the first: all users below, depth first.
    pub(super) fn fair_tree(
        &self,
        above: Option<AccountId>,
        starts_tied: bool,
        ranks: &mut Vec<(AccountId, u32)>,
    ) {
        let members = self.members(above);
        let sum = self.level_shares(&members);
        let level = |member: &AccountId| self.level_fs(*member, above, sum);
        let mut sorted: Vec<_> = members.iter().map(|member| (level(member), *member)).collect();
        sorted.sort_by(|one, other| {
            other.0.total_cmp(&one.0).then(self.is_user(other.1).cmp(&self.is_user(one.1)))
        });
        let mut last = None;
        for (level, member) in sorted {
            let is_tied = last.map_or(starts_tied, |last| last == level);
            last = Some(level);
            if self.is_user(member) {
                let tied = ranks.last().filter(|_| is_tied);
                ranks.push((member, tied.map_or(ranks.len() as u32 + 1, |tied| tied.1)));
            } else {
                self.fair_tree(Some(member), is_tied, ranks);
            }
        }
    }

    /// Classic factors of everybody below, from those of the account above.
    pub(super) fn classic(
        &self,
        above: Option<AccountId>,
        (effective, part): (f64, f64),
        factors: &mut Vec<(AccountId, f64)>,
    ) {
        let factor = |effective: f64, part: f64| match part {
            0.0 => 0.0,
            part => (-(effective / part) / 1.5).exp2(),
        };
        let members = self.members(above);
        let (sum, all) = (self.level_shares(&members), self.usage(None));
        for member in members {
            let norm = if all > 0.0 { self.usage(Some(member)) / all } else { 0.0 };
            let Some(shares) = self.shares(member) else {
                factors.push((member, factor(effective, part)));
                continue;
            };
            let share = if sum > 0.0 { shares / sum } else { 0.0 };
            let own = match above {
                None => norm,
                Some(_) => norm + (effective - norm) * share,
            };
            factors.push((member, factor(own, part * share)));
            self.classic(Some(member), (own, part * share), factors);
        }
    }
}
