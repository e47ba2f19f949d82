//! The capacity of a ledger, divided from the root down.

use super::{Claim, Division, Excess, Level, divide_checked};
use crate::error::{Error, check_range};
use crate::share::quota::Quotas;
use crate::share::tree::AccountTree;
use crate::share::{Amounts, Ledger};

/// What a fair share of one resource is made of.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(C)]
pub struct ShareParts {
    /// What the account and everybody below it hold and ask for.
    pub wanted: u64,
    /// As much of that as its limit, and those of accounts below it, let be served.
    pub request: u64,
    /// As much of the request as its quota guarantees.
    pub guaranteed: u64,
    /// Its fair share. Less than `guaranteed` where the accounts above were given too little to
    /// keep what is guaranteed below them; what is more comes from what others leave over.
    pub share: u64,
}

impl Ledger {
    /// Divides the capacity among all accounts: [`Ledger::fair_share`] answers by it from now on.
    /// O(accounts * resources * log siblings), and as much again as there are levels when accounts
    /// were opened or closed since.
    ///
    /// # Errors
    /// [`Error::Range`] on `resources` if there are none, and for `units` outside `1..=2^62`;
    /// [`Error::RangeReal`] for a `usage_weight` outside `0..=10^6`, or a `usage` of an open account
    /// that is negative or not finite; [`Error::BufferTooSmall`] for a `usage` with fewer than
    /// `accounts_max * resources` elements.
    pub fn divide(&mut self, division: &Division<'_>) -> Result<(), Error> {
        let resources = self.quotas.check_present()?;
        division.check(&self.tree, resources)?;
        let Division { usage_weight, usage, units } = division;
        let past = |index: u32, resource: usize| {
            usage.get(index as usize * resources as usize + resource).copied().unwrap_or(0.0)
        };
        self.quotas.divide(&self.tree, &Rules { usage_weight: *usage_weight, units, past });
        Ok(())
    }

    /// What the fair share of every account is made of, of one resource: written to `out` at the
    /// index of each open account. It belongs to the last [`Ledger::divide`] as long as nothing
    /// but time has passed since. O(accounts), and as [`Ledger::divide`] after a change of accounts.
    ///
    /// # Errors
    /// [`Error::Range`] for a `resource` that is not there; [`Error::BufferTooSmall`] for an `out`
    /// with fewer than `accounts_max` elements.
    pub fn share_parts(&mut self, resource: u32, out: &mut [ShareParts]) -> Result<(), Error> {
        let resources = self.quotas.check_present()?;
        check_range("resource", resource.into(), 0, u64::from(resources) - 1)?;
        let (given, needed) = (out.len() as u64, u64::from(self.tree.capacity()));
        if given < needed {
            return Err(Error::BufferTooSmall { field: "out", given, needed });
        }
        self.quotas.children.update(&self.tree);
        self.quotas.share_parts(&self.tree, resource as usize, out);
        Ok(())
    }
}

/// How to divide, with `past` saying what an account, by its index, held on average of a resource.
/// It is not asked if `usage_weight` is zero.
pub(super) struct Rules<'a, F> {
    pub(super) usage_weight: f64,
    pub(super) units: &'a Amounts,
    pub(super) past: F,
}

impl<F: Fn(u32, usize) -> f64> Rules<'_, F> {
    fn usage(&self, index: u32, resource: usize) -> f64 {
        if self.usage_weight > 0.0 { (self.past)(index, resource) } else { 0.0 }
    }
}

impl Quotas {
    pub(super) fn divide(
        &mut self,
        tree: &AccountTree,
        rules: &Rules<'_, impl Fn(u32, usize) -> f64>,
    ) {
        self.children.update(tree);
        self.sum_requests(tree);
        for resource in 0..self.resources as usize {
            self.divide_below(tree, tree.root(), resource, rules);
            for at in 0..self.children.top_down().len() {
                let parent = self.children.top_down()[at];
                if !self.children.of(parent).is_empty() {
                    self.divide_below(tree, parent, resource, rules);
                }
            }
        }
    }

    /// Writes into `fair_share` what each account with everybody below it asks for and holds, as far
    /// as it may have it: more would lie idle there while siblings want it.
    fn sum_requests(&mut self, tree: &AccountTree) {
        let resources = self.resources as usize;
        for (sum, (held, asked)) in
            self.fair_share.iter_mut().zip(self.held_own.iter().zip(&self.asked_own))
        {
            *sum = held + asked;
        }
        for index in self.children.top_down().iter().rev() {
            let (row, above) = (self.row(*index), self.row(tree.parent_at(*index)));
            for resource in 0..resources {
                let at = row.start + resource;
                let sum = self.servable(at, self.fair_share[at]);
                self.fair_share[at] = sum;
                // All together hold and ask for at most 2^63.
                self.fair_share[above.start + resource] += sum;
            }
        }
        let root = self.row(tree.root());
        self.fair_share[root].copy_from_slice(&self.capacity.0[..resources]);
    }

    /// As much of what is wanted in this place as the account there may have.
    fn servable(&self, place: usize, wanted: u64) -> u64 {
        let nothing_more = self.over_quota_weight[place] == 0.0;
        let most = if nothing_more { self.quota[place] } else { u64::MAX };
        wanted.min(self.limit[place]).min(most)
    }

    /// Writes the parts of the shares of one resource to the index of each account.
    fn share_parts(&self, tree: &AccountTree, resource: usize, out: &mut [ShareParts]) {
        let place = |index: u32| index as usize * self.resources as usize + resource;
        for index in tree.indices() {
            let at = place(index);
            out[index as usize] = ShareParts {
                wanted: self.held[at] + self.asked[at],
                request: self.held_own[at] + self.asked_own[at],
                guaranteed: 0,
                share: self.fair_share[at],
            };
        }
        for index in self.children.top_down().iter().rev() {
            let (at, above) = (place(*index), tree.parent_at(*index));
            let request = self.servable(at, out[*index as usize].request);
            let guaranteed = request.min(self.quota[at]);
            let parts = &mut out[*index as usize];
            (parts.request, parts.guaranteed) = (request, guaranteed);
            if above != tree.root() {
                out[above as usize].request += request;
            }
        }
    }

    /// Divides the share of an account, or of the root, of one resource among its children, whose
    /// `fair_share` is what they ask for until then.
    fn divide_below(
        &mut self,
        tree: &AccountTree,
        parent: u32,
        resource: usize,
        rules: &Rules<'_, impl Fn(u32, usize) -> f64>,
    ) {
        let resources = self.resources as usize;
        let place = |index: u32| index as usize * resources + resource;
        let total = self.fair_share[place(parent)];
        let usage = |index: u32| rules.usage(index, resource);
        let part_of_total = |usage: f64| usage / total.max(1) as f64;
        let (mut len, mut usage_below) = (0, 0.0);
        for child in self.children.of(parent) {
            let at = place(*child);
            usage_below += usage(*child);
            if self.fair_share[at] == 0 {
                continue;
            }
            self.claims[len] = Claim {
                id: *child,
                over_quota_priority: self.over_quota_priority[*child as usize],
                quota: self.quota[at],
                limit: self.limit[at],
                request: self.fair_share[at],
                over_quota_weight: self.over_quota_weight[at],
                usage: part_of_total(usage(*child)),
                opened_at: tree.opened_at(*child),
                ..Claim::default()
            };
            len += 1;
        }
        let own = self.held_own[place(parent)] + self.asked_own[place(parent)];
        if own > 0 {
            self.claims[len] = Claim {
                id: parent,
                request: own,
                usage: part_of_total((usage(parent) - usage_below).max(0.0)),
                opened_at: tree.opened_at(parent),
                ..Claim::default()
            };
            len += 1;
        }
        let excess = if parent == tree.root() { Excess::Keep } else { Excess::Cut };
        let (unit, usage_weight) = (rules.units.0[resource], rules.usage_weight);
        let claims = &mut self.claims[..len];
        divide_checked(&Level { total, unit, usage_weight, excess }, claims);
        for claim in claims.iter().filter(|claim| claim.id != parent) {
            self.fair_share[place(claim.id)] = claim.share;
        }
    }
}
