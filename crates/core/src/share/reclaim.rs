//! Reclaim: who may take from whom, and how much.
//!
//! # What it decides
//! Whether an account that asks for more may have a running job of another one ended, and whose
//! jobs come first. Which of the jobs that it allows is the best one to end (lost work, the place
//! that it frees) is for the caller; so is taking within one account.
//!
//! # Formula
//! For every account, resource by resource, with everybody below it:
//! ```text
//! guaranteed = min(quota, limit)
//! entitled   = min(max(quota, fair_share), limit)
//! ```
//! A reclaimer wants `amounts`, of which `short` must come from others. Let `C` be the lowest
//! account above both it and the victim, or the root. It may have a job of the victim if
//! ```text
//! 1  every account on its way up to C, without C, then holds at most what it is entitled to
//!    (basis FairShare), or at most what it is guaranteed (basis Quota), in all that it takes
//! 2  C and everybody above it then hold no more than they are entitled to, or take nothing from
//!    what is free: held + amounts - short <= entitled wherever amounts > short
//! 3  the job holds some of a resource that is short, of which every account on the victim's way
//!    up to C, without C, now holds
//!    a  more than it is entitled to; or
//!    b  with basis Quota, more than it is guaranteed, and the job leaves each of them, in every
//!       resource, what it is guaranteed or what it has of that
//! 4  the job is not protected (`super::protection`)
//! ```
//! Each job is looked at alone, after those before it were taken away: a victim is above its
//! entitlement before each single job that it gives, and falls below by less than one job.
//!
//! # Bounds and cost
//! **It cannot oscillate.** Let `E` be the sum over all accounts and resources of what they hold
//! beyond their entitlement, and `Q` the vector of `sum of min(held, guaranteed)` over the
//! accounts of each level, deepest level first. Entitlements do not change by reclaim as long as a
//! job that was taken is asked for again: a share depends on the sum of held and asked.
//! - By 3a `E` falls by one at least. The victim's side only loses, and one account of it loses
//!   excess. The reclaimer's side has no excess, neither before nor after, by 1. `C` and those above
//!   get no more excess by 2: they gain `amounts` and lose `short` at least.
//! - By 3b `E` does not rise, for the same reasons, and `Q` rises in lexicographic order: at
//!   the reclaimer's own level it rises by `amounts`, the victim's side keeps its parts, and who
//!   else loses some stands above the reclaimer, at levels that count after it.
//!
//! So with no placement in between no state comes back, and at most `E` reclaims go by 3a.
//! A placement from what is free never lowers `Q`, and raises `E` only where somebody exceeds its
//! entitlement. Let a job that was reclaimed come back only within the entitlement of all above it
//! ([`ReclaimScope::fits`]) until somebody else comes or goes: then every job raises `E` once at
//! most, by its size at each level, and the number of reclaims by 3a is at most `E` in the
//! beginning plus the size of the jobs still to be placed, times the depth. Between two of them
//! `Q` only rises, and cannot exceed the guarantees.
//!
//! What is taken by reclaim is not taken back: the reclaimer is within its entitlement, and who is
//! that is nobody's victim by 3a, nor by 3b if it was within its guarantee.
//!
//! [`Ledger::may_reclaim`] and [`Ledger::reclaimable`] are O(depth * resources), a step of
//! [`Ledger::victims`] O(accounts * depth * resources). Nothing is allocated.
//!
//! # What it is bad at
//! - Children whose quotas add up to more than their parent's protect what the parent is not
//!   entitled to: each account on the way must be above its own (3).
//! - A victim of one large job may lose all it has for the sake of one unit. It may claim what it is
//!   entitled to with smaller jobs; [`Verdict::Yes`] says how far it falls, for the caller to weigh.
//! - Accounts above each other are not judged: work of an account's own that shall compete with its
//!   children needs a child of its own.
//! - It goes by sums: that what is freed is in the right place is for the caller to see.
//!
//! # Source
//! KAI scheduler's reclaim (a reclaimer within its fair share or deserved quota, victims above
//! theirs, most saturated first). Ours: one entitlement within the limit; rule 2, without which a
//! team exceeds its share by reclaiming a little and taking the rest from what is free; that who is
//! within its share gives up no part of its guarantee (3b); the potential and its proof.

use super::quota::Quotas;
use super::{AccountId, AccountTree, Amounts, DEPTH_MAX, Ledger};
use crate::error::{Error, check_range};
use crate::units::Nanos;

/// What somebody wants who cannot have it from what is free.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Reclamation {
    /// Who wants it.
    pub reclaimer: AccountId,
    /// All that it would hold more than now.
    pub amounts: Amounts,
    /// The part of `amounts` that others must give up; the rest is free. Where it matters *where*
    /// something is free, the part that is missing in the place that was chosen.
    pub short: Amounts,
}

/// A running job, or the smallest part of one that can be ended alone.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RunningJob {
    /// The account that itself holds what the job runs on.
    pub account: AccountId,
    /// What it runs on.
    pub amounts: Amounts,
    /// When it began to run.
    pub started: Nanos,
    /// From when on its work would be lost: its last checkpoint, or `started`.
    pub saved: Nanos,
}

impl RunningJob {
    /// `Ok` if it can be, at `now`.
    pub(super) fn check(&self, now: Nanos, resources: u32) -> Result<(), Error> {
        self.amounts.check("amounts", resources)?;
        let of = |field, value: Nanos, other, other_value: Nanos| {
            if value <= other_value {
                return Ok(());
            }
            let (value, other_value) = (value.get(), other_value.get());
            Err(Error::Contradiction { field, value, other, other_value })
        };
        of("started_ns", self.started, "saved_ns", self.saved)?;
        of("saved_ns", self.saved, "now_ns", now)
    }
}

/// What a reclaimer goes by.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Basis {
    /// It is guaranteed what it takes.
    Quota,
    /// What it takes is part of its fair share.
    FairShare,
}

/// How far up a reclaimer may look for victims: below which accounts above it. Depth 0 is the
/// root, so that everybody is in reach.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ReclaimScope {
    /// Depth of the highest account above the reclaimer below which all would be within what they
    /// are guaranteed. `None`: the reclaimer itself would not.
    pub quota_depth: Option<u32>,
    /// The same for what they are entitled to.
    pub share_depth: Option<u32>,
    /// The first account, from the reclaimer upwards, that would exceed what it is entitled to.
    pub over: Option<Holding>,
}

impl ReclaimScope {
    /// By what right it may look for victims below `depth`.
    pub(super) fn basis_below(&self, depth: u32) -> Option<Basis> {
        let reaches = |highest: Option<u32>| highest.is_some_and(|highest| highest <= depth);
        match (reaches(self.quota_depth), reaches(self.share_depth)) {
            (true, _) => Some(Basis::Quota),
            (false, true) => Some(Basis::FairShare),
            (false, false) => None,
        }
    }

    /// True if everybody would be within what they are entitled to, up to the root.
    #[must_use]
    pub const fn fits(&self) -> bool {
        self.over.is_none()
    }
}

/// What an account holds, or would hold, of a resource, and what it is compared with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Holding {
    /// The account, with everybody below it.
    pub account: AccountId,
    /// Index of the resource.
    pub resource: u32,
    /// What it holds or would hold.
    pub held: u64,
    /// What it is entitled to, or guaranteed; `u64::MAX`: anything.
    pub entitled: u64,
}

/// Whether a job may be taken.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// It may.
    Yes {
        /// By what right.
        basis: Basis,
        /// How far the victim's account then is below what it is entitled to: what an indivisible
        /// job takes too much.
        below: Amounts,
    },
    /// It may not.
    No {
        /// The first rule that is against it.
        why: Refusal,
    },
}

/// Why a job may not be taken.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Refusal {
    /// One of the accounts is the other, or stands above it.
    SameBranch,
    /// The job has nothing of what is short.
    NothingWanted,
    /// The reclaimer, or an account above it, would exceed what it is entitled to.
    ReclaimerOver(Holding),
    /// The victim, or an account above it, holds no more than it is entitled to (or guaranteed,
    /// where that is what the reclaimer goes by).
    VictimWithin(Holding),
    /// The victim holds no more than it is entitled to, and the job would leave it, or an account
    /// above it, less than it is guaranteed.
    VictimGuarantee(Holding),
    /// The job has not run for its least time.
    MinRuntime {
        /// Whose least run time it is.
        account: AccountId,
        /// When it will have.
        until: Nanos,
    },
    /// So much work may not be lost now.
    Budget {
        /// Whose budget it is.
        account: AccountId,
        /// Index of the resource.
        resource: u32,
        /// When the budget will have room for what is lost as of now; [`Nanos::MAX`]: never.
        free_at: Nanos,
    },
}

/// Index of the lowest account that is, or stands above, both; or of the root.
pub(super) fn common(tree: &AccountTree, mut one: u32, mut other: u32) -> u32 {
    for _ in 0..2 * DEPTH_MAX {
        if one == other {
            break;
        }
        let lower = if tree.depth_at(other) > tree.depth_at(one) { &mut other } else { &mut one };
        *lower = tree.parent_at(*lower);
    }
    one
}

impl Quotas {
    fn guaranteed(&self, at: usize) -> u64 {
        self.quota[at].min(self.limit[at])
    }

    pub(super) fn entitled(&self, at: usize) -> u64 {
        self.quota[at].max(self.fair_share[at]).min(self.limit[at])
    }

    pub(super) fn bound(&self, basis: Basis, at: usize) -> u64 {
        match basis {
            Basis::Quota => self.guaranteed(at),
            Basis::FairShare => self.entitled(at),
        }
    }

    /// The first resource of which an account would hold too much with `amounts` more.
    fn over(&self, index: u32, amounts: &Amounts, basis: Basis) -> Option<(u32, u64, u64)> {
        self.row(index).zip(amounts.0).enumerate().find_map(|(resource, (at, amount))| {
            let (held, bound) = (self.held[at].saturating_add(amount), self.bound(basis, at));
            (amount > 0 && held > bound).then_some((resource as u32, held, bound))
        })
    }

    /// Whether a job leaves the account what it is guaranteed, or what it has of that.
    fn breaks_guarantee(&self, index: u32, amounts: &Amounts) -> Option<(u32, u64, u64)> {
        self.row(index).zip(amounts.0).enumerate().find_map(|(resource, (at, amount))| {
            let (held, bound) = (self.held[at].saturating_sub(amount), self.guaranteed(at));
            (amount > 0 && held < bound).then_some((resource as u32, held, bound))
        })
    }
}

/// The accounts from `index` up to `above`, without that.
pub(super) fn way(tree: &AccountTree, index: u32, above: u32) -> impl Iterator<Item = u32> + '_ {
    core::iter::successors(Some(index), |index| Some(tree.parent_at(*index)))
        .take(DEPTH_MAX as usize)
        .take_while(move |index| *index != above)
}

impl Ledger {
    pub(super) fn check_claim(&self, claim: &Reclamation) -> Result<(), Error> {
        self.tree.check(claim.reclaimer)?;
        let resources = self.quotas.check_present()?;
        claim.amounts.check("amounts", resources)?;
        for (short, amount) in claim.short.0.into_iter().zip(claim.amounts.0) {
            check_range("short", short, 0, amount)?;
        }
        Ok(())
    }

    fn holding(&self, index: u32, (resource, held, entitled): (u32, u64, u64)) -> Holding {
        let account = self.tree.account_at(index).unwrap_or_default();
        Holding { account, resource, held, entitled }
    }

    /// How far up the reclaimer may look for victims (rules 1 and 2). With `short` all of
    /// `amounts`, [`ReclaimScope::fits`] says whether the account may have `amounts` without
    /// anybody above it exceeding what it is entitled to. O(depth * resources).
    ///
    /// # Errors
    /// [`Error::Stale`] for an unknown account; [`Error::Range`] for amounts that cannot be, for a
    /// `short` that is more than `amounts`, and on `resources` if there are none.
    pub fn may_reclaim(&self, claim: &Reclamation) -> Result<ReclaimScope, Error> {
        self.check_claim(claim)?;
        Ok(self.scope(claim))
    }

    pub(super) fn scope(&self, claim: &Reclamation) -> ReclaimScope {
        let (tree, index) = (&self.tree, claim.reclaimer.index());
        let mut free = claim.amounts;
        free.0.iter_mut().zip(claim.short.0).for_each(|(free, short)| *free -= short);
        let first_over = |amounts: &Amounts, basis| {
            way(tree, index, tree.root())
                .find_map(|at| self.quotas.over(at, amounts, basis).map(|over| (at, over)))
        };
        let depth = |basis| match first_over(&claim.amounts, basis) {
            None => Some(0),
            Some((at, _)) => (at != index).then(|| tree.depth_at(at)),
        };
        // An account that exceeds it by what is free alone does so wherever the rest comes from.
        if let Some((at, over)) = first_over(&free, Basis::FairShare) {
            let over = Some(self.holding(at, over));
            return ReclaimScope { quota_depth: None, share_depth: None, over };
        }
        let over = first_over(&claim.amounts, Basis::FairShare);
        ReclaimScope {
            quota_depth: depth(Basis::Quota),
            share_depth: depth(Basis::FairShare),
            over: over.map(|(at, over)| self.holding(at, over)),
        }
    }

    /// Whether the reclaimer may have this job ended, at `now` (all rules). Where a claim needs
    /// several jobs, the ledger must say what is held with those already chosen taken away, their
    /// loss charged, and `short` must be what is still missing: the caller tries with
    /// [`Ledger::release`] and [`Ledger::reclaimed`], and takes it back with [`Ledger::allocate`]
    /// and [`Ledger::reclaim_undone`] if not enough comes together. O(depth * resources).
    ///
    /// # Errors
    /// As [`Ledger::may_reclaim`]; [`Error::Stale`] for an unknown account of the job;
    /// [`Error::Range`] on `amounts` for more than that account itself holds;
    /// [`Error::Contradiction`] unless `started <= saved <= now`; [`Error::TimeReversed`] before
    /// the victim, or an account above it, was last reclaimed from.
    pub fn reclaimable(
        &self,
        now: Nanos,
        claim: &Reclamation,
        job: &RunningJob,
    ) -> Result<Verdict, Error> {
        self.check_claim(claim)?;
        self.tree.check(job.account)?;
        job.check(now, self.quotas.resources)?;
        let victim = job.account.index();
        let own = &self.quotas.held_own[self.quotas.row(victim)];
        for (amount, own) in job.amounts.0.into_iter().zip(own) {
            check_range("amounts", amount, 0, *own)?;
        }
        let above = common(&self.tree, claim.reclaimer.index(), victim);
        let basis = match self.basis(claim, job, above) {
            Ok(basis) => basis,
            Err(why) => return Ok(Verdict::No { why }),
        };
        Ok(match self.protection(now, job, above)? {
            Some(why) => Verdict::No { why },
            None => Verdict::Yes { basis, below: self.below(job) },
        })
    }

    /// By what right the claim may have the job, by rules 1 to 3.
    fn basis(&self, claim: &Reclamation, job: &RunningJob, above: u32) -> Result<Basis, Refusal> {
        let (tree, quotas, victim) = (&self.tree, &self.quotas, job.account.index());
        if above == victim || above == claim.reclaimer.index() {
            return Err(Refusal::SameBranch);
        }
        let scope = self.scope(claim);
        let basis = match (scope.basis_below(tree.depth_at(above)), scope.over) {
            (Some(basis), _) => basis,
            (None, Some(over)) => return Err(Refusal::ReclaimerOver(over)),
            // Whoever is over nothing reaches up to the root.
            (None, None) => Basis::FairShare,
        };
        let mut refusal = Refusal::NothingWanted;
        for resource in 0..quotas.resources as usize {
            if claim.short.0[resource] == 0 || job.amounts.0[resource] == 0 {
                continue;
            }
            let within = |basis: Basis| {
                way(tree, victim, above).find_map(|index| {
                    let at = quotas.row(index).start + resource;
                    let (held, bound) = (quotas.held[at], quotas.bound(basis, at));
                    let holding = self.holding(index, (resource as u32, held, bound));
                    (held <= bound).then_some(holding)
                })
            };
            if within(Basis::FairShare).is_none() {
                return Ok(basis);
            }
            if let Some(holding) = within(basis) {
                refusal = Refusal::VictimWithin(holding);
                continue;
            }
            let broken = way(tree, victim, above).find_map(|index| {
                let broken = quotas.breaks_guarantee(index, &job.amounts)?;
                Some(self.holding(index, broken))
            });
            let Some(broken) = broken else { return Ok(basis) };
            refusal = Refusal::VictimGuarantee(broken);
        }
        Err(refusal)
    }

    /// How far the account of a job is below what it is entitled to without it, as far as the job
    /// is the reason.
    fn below(&self, job: &RunningJob) -> Amounts {
        let (quotas, mut below) = (&self.quotas, Amounts::ZERO);
        let row = quotas.row(job.account.index());
        for ((below, amount), at) in below.0.iter_mut().zip(job.amounts.0).zip(row) {
            let (held, entitled) = (quotas.held[at], quotas.entitled(at));
            *below = entitled.min(held).saturating_sub(held - amount);
        }
        below
    }
}
