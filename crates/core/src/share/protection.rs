//! What reclaim must leave alone: jobs that have just begun, and accounts that have lost enough.
//!
//! # What it decides
//! Whether a running job is protected from reclaim by its least run time, or because its account,
//! or one above it, has lost as much work as it may lose for now.
//!
//! # Formula
//! ```text
//! protected:  now - started < min_runtime          of the account, else of the nearest above
//! loss:       ceil(amount * (now - saved) / 1 s)   for each resource, in unit-seconds
//! budget:     spent + loss <= loss_budget          for the account and each one above it that
//!                                                  does not hold the reclaimer as well
//! spent falls by loss_budget every loss_window, down to zero
//! ```
//! A budget counts *lost work*, amount times time, and not preemptions: a count makes a gang of
//! 512 GPUs that has run for a day as cheap as one GPU of a minute ago. Work that is saved
//! (`saved`: the last checkpoint) is not lost, so that jobs that save often can be moved often.
//! With a loss of amount times a fixed time, the host makes it a count.
//!
//! # Bounds and cost
//! In any span of time `t` no more than `loss_budget * (1 + t / loss_window)` is taken on
//! the advice of [`Ledger::reclaimable`]. `spent` is kept in unit-seconds times nanoseconds of the
//! window, where it falls by just `loss_budget` each nanosecond: nothing is rounded but a loss, up
//! to a whole unit-second. O(depth * resources) for each call. Memory: 24 bytes, and 24 more for
//! each resource, for each account.
//!
//! # What it is bad at
//! A job that would lose more than the whole budget is never taken: a budget must be larger than
//! the largest loss that the operator accepts at once, or large jobs must save their work. The loss
//! is what ran since it was saved; what starting again costs is not in it.
//!
//! # Source
//! The least run time is that of KAI (`reclaimMinRuntime`, which it looks up on the way from the
//! queue to the root as well). The budget is a token bucket; that it counts lost work is ours.

use alloc::boxed::Box;
use alloc::vec;

use super::quota::AMOUNT_MAX;
use super::reclaim::{Refusal, RunningJob, common, way};
use super::{AccountId, AccountTree, Amounts, DEPTH_MAX, Ledger, LedgerOptions};
use crate::error::{Error, check_range};
use crate::snapshot::Words;
use crate::units::Nanos;

/// Longest window and least run time, 2^62 ns (146 years): a loss times a window fits in 128 bits.
const SPAN_MAX: u64 = 1 << 62;

/// Nanoseconds in one second.
const SECOND: u128 = 1_000_000_000;

/// Stands for a least run time that is that of the account above.
const INHERITED: u64 = u64::MAX;

/// The window of a ledger that was not told any: with no budget it is of no effect.
const WINDOW_UNTOLD: Nanos = Nanos(3_600_000_000_000);

/// How an account, with everybody below it, is protected from reclaim.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ReclaimLimits {
    /// Jobs that have run for less are left alone, at most 2^62 ns. `None`: as the account above
    /// says, and zero where none does.
    pub min_runtime: Option<Nanos>,
    /// The most work that may be lost at once, and again in each window, in unit-seconds of each
    /// resource; `u64::MAX`: any.
    pub loss_budget: Amounts,
    /// The time in which the whole budget comes back, 1 to 2^62 ns.
    pub loss_window: Nanos,
}

impl Default for ReclaimLimits {
    /// Least run time of the account above, no budget (with a window of an hour).
    fn default() -> Self {
        Self { min_runtime: None, loss_budget: Amounts::UNLIMITED, loss_window: WINDOW_UNTOLD }
    }
}

/// The protection of all accounts; rows as those of the quotas, without one for the root.
#[derive(Debug)]
pub(super) struct Protections {
    resources: usize,
    min_runtime: Box<[u64]>,
    window: Box<[u64]>,
    /// When `spent` was true.
    settled: Box<[u64]>,
    budget: Box<[u64]>,
    /// In unit-seconds times nanoseconds of the window.
    spent: Box<[u128]>,
}

impl Protections {
    pub(super) fn new(options: &LedgerOptions) -> Self {
        let resources = options.resources as usize;
        let accounts = if resources == 0 { 0 } else { options.accounts_max as usize };
        let each = || vec![0; accounts].into_boxed_slice();
        let mut new = Self {
            resources,
            min_runtime: each(),
            window: each(),
            settled: each(),
            budget: vec![0; accounts * resources].into_boxed_slice(),
            spent: vec![0; accounts * resources].into_boxed_slice(),
        };
        new.clear();
        new
    }

    pub(super) const fn bytes_needed(options: &LedgerOptions) -> u64 {
        if options.resources == 0 {
            return 0;
        }
        let each = 3 * 8 + (8 + size_of::<u128>() as u64) * options.resources as u64;
        (options.accounts_max as u64).saturating_mul(each)
    }

    /// Forgets whoever had this index before.
    pub(super) fn reset(&mut self, index: u32) {
        if self.resources > 0 {
            let (row, index) = (self.row(index), index as usize);
            self.min_runtime[index] = INHERITED;
            self.window[index] = WINDOW_UNTOLD.get();
            self.settled[index] = 0;
            self.budget[row.clone()].fill(u64::MAX);
            self.spent[row].fill(0);
        }
    }

    /// Makes it as it was when new.
    pub(super) fn clear(&mut self) {
        (0..self.window.len() as u32).for_each(|index| self.reset(index));
    }

    /// Tells what it knows about the open accounts.
    pub(super) fn save_state(&self, tree: &AccountTree, save: &mut dyn FnMut(u64)) {
        if self.resources == 0 {
            return;
        }
        for index in tree.indices() {
            let row = self.row(index);
            for of in [&self.min_runtime, &self.window, &self.settled] {
                save(of[index as usize]);
            }
            for (budget, spent) in self.budget[row.clone()].iter().zip(&self.spent[row]) {
                [*budget, *spent as u64, (*spent >> 64) as u64].into_iter().for_each(&mut *save);
            }
        }
    }

    /// Takes what [`Self::save_state`] told.
    pub(super) fn load_state(
        &mut self,
        tree: &AccountTree,
        words: &mut Words<'_>,
    ) -> Result<(), Error> {
        self.clear();
        if self.resources == 0 {
            return Ok(());
        }
        for index in tree.indices() {
            let row = self.row(index);
            let min_runtime = words.next()?;
            if min_runtime != INHERITED {
                check_range("min_runtime_ns", min_runtime, 0, SPAN_MAX)?;
            }
            let window = check_range("loss_window_ns", words.next()?, 1, SPAN_MAX)?;
            self.min_runtime[index as usize] = min_runtime;
            self.window[index as usize] = window;
            self.settled[index as usize] = words.next()?;
            for at in row {
                let budget = words.next()?;
                if budget != u64::MAX {
                    check_range("loss_budget", budget, 0, AMOUNT_MAX)?;
                }
                let (low, high) = (words.next()?, words.next()?);
                // Unlimited ones are not counted; others never hold more than 2^62 of each.
                let max = if budget == u64::MAX { 0 } else { u128::from(AMOUNT_MAX) };
                let (spent, max) =
                    (u128::from(high) << 64 | u128::from(low), max * u128::from(window));
                if spent > max {
                    let max = (max >> 64) as u64;
                    return Err(Error::Range { field: "loss spent", value: high, min: 0, max });
                }
                (self.budget[at], self.spent[at]) = (budget, spent);
            }
        }
        Ok(())
    }

    const fn row(&self, index: u32) -> core::ops::Range<usize> {
        let begin = index as usize * self.resources;
        begin..begin + self.resources
    }

    /// What is still spent of one resource at `now`, which is not before it was settled.
    fn spent_at(&self, now: Nanos, index: u32, resource: usize) -> u128 {
        let at = self.row(index).start + resource;
        let passed = now.get().saturating_sub(self.settled[index as usize]);
        self.spent[at].saturating_sub(u128::from(self.budget[at]) * u128::from(passed))
    }

    /// `Ok` if the account was not settled after `now`.
    fn check_time(&self, now: Nanos, index: u32) -> Result<(), Error> {
        let last_ns = self.settled[index as usize];
        if now.get() < last_ns {
            return Err(Error::TimeReversed { now_ns: now.get(), last_ns });
        }
        Ok(())
    }

    /// Which account's budget has no room for a loss, of what, and when it will.
    fn refusal(&self, now: Nanos, index: u32, loss: &Loss) -> Option<(u32, Nanos)> {
        let window = u128::from(self.window[index as usize]);
        let budgets = &self.budget[self.row(index)];
        for (resource, (budget, loss)) in budgets.iter().zip(loss).enumerate() {
            if *budget == u64::MAX {
                continue;
            }
            let budget = u128::from(*budget);
            if *loss > budget {
                return Some((resource as u32, Nanos::MAX));
            }
            let room = (budget - loss) * window;
            let excess = self.spent_at(now, index, resource).saturating_sub(room);
            if excess > 0 {
                let wait = if budget == 0 { u128::MAX } else { excess.div_ceil(budget) };
                let wait = Nanos(u64::try_from(wait).unwrap_or(u64::MAX));
                return Some((resource as u32, now.saturating_add(wait)));
            }
        }
        None
    }

    /// Charges a loss, or gives it back.
    fn charge(&mut self, now: Nanos, index: u32, loss: &Loss, gives_back: bool) {
        let window = u128::from(self.window[index as usize]);
        let begin = self.row(index).start;
        for (resource, loss) in loss.iter().take(self.resources).enumerate() {
            if self.budget[begin + resource] != u64::MAX {
                let spent = self.spent_at(now, index, resource);
                let most = u128::from(AMOUNT_MAX) * window;
                let loss = loss.min(&u128::from(AMOUNT_MAX)) * window;
                self.spent[begin + resource] = if gives_back {
                    spent.saturating_sub(loss)
                } else {
                    spent.saturating_add(loss).min(most)
                };
            }
        }
        self.settled[index as usize] = now.get();
    }
}

/// Work lost, in unit-seconds of each resource.
type Loss = [u128; super::RESOURCES_MAX];

fn loss(now: Nanos, job: &RunningJob) -> Loss {
    let lost = u128::from(now.saturating_sub(job.saved).get());
    job.amounts.0.map(|amount| (u128::from(amount) * lost).div_ceil(SECOND))
}

impl Ledger {
    /// Says how an account is protected from reclaim from now on. What it has lost of late stays
    /// lost, and comes back at the new pace.
    ///
    /// # Errors
    /// [`Error::Stale`] for an unknown account; [`Error::Range`] for a span or a budget outside the
    /// ranges of [`ReclaimLimits`], and on `resources` if there are none.
    pub fn set_reclaim_limits(
        &mut self,
        account: AccountId,
        limits: &ReclaimLimits,
    ) -> Result<(), Error> {
        self.tree.check(account)?;
        self.quotas.check_present()?;
        let min_runtime = match limits.min_runtime {
            Some(span) => check_range("min_runtime_ns", span.get(), 0, SPAN_MAX)?,
            None => INHERITED,
        };
        let window = check_range("loss_window_ns", limits.loss_window.get(), 1, SPAN_MAX)?;
        for (resource, budget) in limits.loss_budget.0.into_iter().enumerate() {
            let max = if resource < self.quotas.resources as usize { AMOUNT_MAX } else { 0 };
            if budget != u64::MAX {
                check_range("loss_budget", budget, 0, max)?;
            }
        }
        let (of, index) = (&mut self.protections, account.index() as usize);
        of.min_runtime[index] = min_runtime;
        let before = u128::from(core::mem::replace(&mut of.window[index], window));
        for (at, budget) in of.row(account.index()).zip(limits.loss_budget.0) {
            let spent = of.spent[at].div_ceil(before) * u128::from(window);
            of.spent[at] = if budget == u64::MAX { 0 } else { spent };
            of.budget[at] = budget;
        }
        Ok(())
    }

    /// How an account is protected from reclaim.
    ///
    /// # Errors
    /// [`Error::Stale`] for an unknown account; [`Error::Range`] on `resources` if there are none.
    pub fn reclaim_limits(&self, account: AccountId) -> Result<ReclaimLimits, Error> {
        self.tree.check(account)?;
        self.quotas.check_present()?;
        let (of, index) = (&self.protections, account.index());
        let mut loss_budget = Amounts::UNLIMITED;
        loss_budget.0[..of.resources].copy_from_slice(&of.budget[of.row(index)]);
        let min_runtime = of.min_runtime[index as usize];
        Ok(ReclaimLimits {
            min_runtime: (min_runtime != INHERITED).then_some(Nanos(min_runtime)),
            loss_budget,
            loss_window: Nanos(of.window[index as usize]),
        })
    }

    /// What may still be lost of each resource at `now`, in whole unit-seconds; `u64::MAX` where
    /// nothing limits it. That of the account alone: those above it may have less left.
    ///
    /// # Errors
    /// [`Error::Stale`] for an unknown account; [`Error::Range`] on `resources` if there are none;
    /// [`Error::TimeReversed`] before it was last reclaimed from.
    pub fn loss_left(&self, now: Nanos, account: AccountId) -> Result<Amounts, Error> {
        let limits = self.reclaim_limits(account)?;
        let (of, index) = (&self.protections, account.index());
        of.check_time(now, index)?;
        let mut left = limits.loss_budget;
        for (resource, left) in left.0.iter_mut().enumerate().take(of.resources) {
            if *left != u64::MAX {
                let spent = of.spent_at(now, index, resource);
                let spent = spent.div_ceil(limits.loss_window.get().into());
                *left = left.saturating_sub(u64::try_from(spent).unwrap_or(u64::MAX));
            }
        }
        Ok(left)
    }

    /// The job was taken for `reclaimer`, at `now`: the work that it loses is charged to its
    /// account and to each one above it that does not hold the reclaimer as well. What really
    /// happened is not refused, whatever the budget. Where a claim needs several jobs, each is
    /// charged before the next one is looked at: together they must not exceed the budget. What
    /// the account holds is changed by [`Ledger::release`] and [`Ledger::ask`].
    /// O(depth * resources).
    ///
    /// # Errors
    /// [`Error::Stale`] for an unknown account; [`Error::Range`] on `resources` if there are none;
    /// [`Error::Range`] or [`Error::Contradiction`] for a job that cannot be, as in
    /// [`Ledger::reclaimable`]; [`Error::TimeReversed`] before an account was last reclaimed from.
    pub fn reclaimed(
        &mut self,
        now: Nanos,
        reclaimer: AccountId,
        job: &RunningJob,
    ) -> Result<(), Error> {
        self.charge_loss(now, reclaimer, job, false)
    }

    /// The job that [`Ledger::reclaimed`] charged at the same `now` goes on after all, because the
    /// claim came to nothing: the charge is given back, to the unit. O(depth * resources).
    ///
    /// # Errors
    /// As [`Ledger::reclaimed`].
    pub fn reclaim_undone(
        &mut self,
        now: Nanos,
        reclaimer: AccountId,
        job: &RunningJob,
    ) -> Result<(), Error> {
        self.charge_loss(now, reclaimer, job, true)
    }

    fn charge_loss(
        &mut self,
        now: Nanos,
        reclaimer: AccountId,
        job: &RunningJob,
        gives_back: bool,
    ) -> Result<(), Error> {
        self.tree.check(reclaimer)?;
        self.tree.check(job.account)?;
        self.quotas.check_present()?;
        job.check(now, self.quotas.resources)?;
        let above = common(&self.tree, reclaimer.index(), job.account.index());
        let loss = loss(now, job);
        // All are looked at before one is changed.
        for at in way(&self.tree, job.account.index(), above) {
            self.protections.check_time(now, at)?;
        }
        for at in way(&self.tree, job.account.index(), above) {
            self.protections.charge(now, at, &loss, gives_back);
        }
        Ok(())
    }

    /// Why a job is protected from an account whose lowest account in common with it is `above`.
    pub(super) fn protection(
        &self,
        now: Nanos,
        job: &RunningJob,
        above: u32,
    ) -> Result<Option<Refusal>, Error> {
        let of = &self.protections;
        let named = |index: u32| self.tree.account_at(index).unwrap_or_default();
        let loss = loss(now, job);
        let mut refusal = None;
        let (mut is_taken_from, mut min_runtime) = (true, None);
        let mut index = job.account.index();
        for _ in 0..DEPTH_MAX {
            if index == self.tree.root() {
                break;
            }
            is_taken_from &= index != above;
            if is_taken_from {
                of.check_time(now, index)?;
                if refusal.is_none()
                    && let Some((resource, free_at)) = of.refusal(now, index, &loss)
                {
                    refusal = Some(Refusal::Budget { account: named(index), resource, free_at });
                }
            }
            let told = of.min_runtime[index as usize];
            if min_runtime.is_none() && told != INHERITED {
                min_runtime = Some((index, told));
            }
            index = self.tree.parent_at(index);
        }
        if let Some((index, span)) = min_runtime {
            let until = job.started.saturating_add(Nanos(span));
            if now < until {
                refusal = Some(Refusal::MinRuntime { account: named(index), until });
            }
        }
        Ok(refusal)
    }
}
