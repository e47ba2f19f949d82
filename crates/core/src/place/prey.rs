//! Could anybody be made to end for a task at all?
//!
//! # What it decides
//! Whether [`Placer::reclaim_for`] is worth a call. It tries every node, which takes as long as an
//! earliest start; mostly an account has no right to take from others, and nobody of its own to take
//! from. This says so from what is kept for each account; what it lets through may still come to
//! nothing.
//!
//! # Formula
//! ```text
//! somebody could end   others end for the task already, or for nobody who still waits for that
//!                  or  a preemptible task of lower priority runs in its account
//!                  or  a preemptible task of another account runs, and the account could hold what
//!                      is wanted within its quota or share below some account above it
//!                      (`share::reclaim`, rule 1, the same whatever of it is short), or tasks of
//!                      its own end, without which it could
//! ```
//!
//! # Bounds and cost
//! O(tasks) for the first question of a call, O(depth) for each after it. Memory: 24 bytes an
//! account.

use alloc::boxed::Box;
use alloc::vec;

use super::room::needed;
use super::{Entry, Placer, Stage, TaskId};
use crate::error::Error;
use crate::share::{AccountId, Ledger, Reclamation};

/// Who of an account could end.
#[derive(Clone, Copy, Debug, Default)]
struct Own {
    /// The survey that this is from.
    number: u64,
    /// Lowest priority of those that run and are preemptible; `None`: there are none.
    priority: Option<i32>,
    /// Some were told to end.
    is_ending: bool,
}

/// Who could end, as of one call.
#[derive(Debug)]
pub(super) struct Prey {
    accounts: Box<[Own]>,
    /// Counts up, so that what was said of accounts before is forgotten at once.
    number: u64,
    is_current: bool,
    /// Two accounts with somebody preemptible, if there are so many.
    preemptible: [Option<AccountId>; 2],
    /// Some were told to end, for whomever.
    is_ending: bool,
    /// Some end for nobody who still waits for it.
    is_for_nobody: bool,
}

impl Prey {
    pub(super) fn new(accounts_max: u32) -> Self {
        Self {
            accounts: vec![Own::default(); accounts_max as usize].into_boxed_slice(),
            number: 0,
            is_current: false,
            preemptible: [None; 2],
            is_ending: false,
            is_for_nobody: false,
        }
    }

    pub(super) const fn bytes_needed(accounts_max: u32) -> u64 {
        accounts_max as u64 * size_of::<Own>() as u64
    }

    /// What is known may not be true any more.
    pub(super) const fn forget(&mut self) {
        self.is_current = false;
    }

    fn clear(&mut self) {
        self.number += 1;
        self.preemptible = [None; 2];
        (self.is_ending, self.is_for_nobody) = (false, false);
        self.is_current = true;
    }

    fn of(&self, account: AccountId) -> Own {
        let own = self.accounts.get(account.index() as usize).copied();
        own.filter(|own| own.number == self.number).unwrap_or_default()
    }

    fn of_mut(&mut self, account: AccountId) -> Option<&mut Own> {
        let number = self.number;
        let own = self.accounts.get_mut(account.index() as usize)?;
        if own.number != number {
            *own = Own { number, ..Own::default() };
        }
        Some(own)
    }

    /// A task runs.
    pub(super) fn runs(&mut self, entry: &Entry) {
        let task = &entry.task;
        if !task.preemptible || !self.is_current {
            return;
        }
        if let Some(own) = self.of_mut(task.account) {
            own.priority = Some(own.priority.map_or(task.priority, |low| low.min(task.priority)));
        }
        if !self.preemptible.contains(&Some(task.account)) {
            self.preemptible = [Some(task.account), self.preemptible[0]];
        }
    }

    fn ends(&mut self, entry: &Entry, is_for_nobody: bool) {
        if let Some(own) = self.of_mut(entry.task.account) {
            own.is_ending = true;
        }
        self.is_ending = true;
        self.is_for_nobody |= is_for_nobody;
    }

    fn has_others(&self, account: AccountId) -> bool {
        self.preemptible.iter().flatten().any(|other| *other != account)
    }
}

impl Placer {
    /// Whether somebody could be made to end for a pending task, or is ending for it.
    ///
    /// # Errors
    /// [`Error::Stale`] for an unknown task, or an account that the ledger does not know.
    pub(super) fn could_take(&mut self, ledger: &Ledger, id: TaskId) -> Result<bool, Error> {
        if !self.prey.is_current {
            self.survey();
        }
        let entry = self.tasks.get(id)?;
        let (task, prey) = (&entry.task, &self.prey);
        let parent = ledger.parent(task.account)?;
        let own = prey.of(task.account);
        let is_own_lower = own.priority.is_some_and(|priority| priority < task.priority);
        if entry.ends.claims || prey.is_for_nobody || is_own_lower {
            return Ok(true);
        }
        if !prey.has_others(task.account) {
            return Ok(false);
        }
        // What ends below an account above it is not told apart.
        if own.is_ending || prey.is_ending && parent.is_some() {
            return Ok(true);
        }
        let mut amounts = needed(&task.member, task.members_needed());
        let resources = ledger.resources() as usize;
        amounts.0.iter_mut().skip(resources).for_each(|amount| *amount = 0);
        let claim = Reclamation { reclaimer: task.account, amounts, short: amounts };
        let scope = ledger.may_reclaim(&claim);
        Ok(scope.is_ok_and(|scope| scope.quota_depth.is_some() || scope.share_depth.is_some()))
    }

    /// Whether anybody could be made to end for anybody, or is ending. O(tasks) for the first
    /// question of a call.
    pub(super) fn could_anybody_end(&mut self) -> bool {
        if !self.prey.is_current {
            self.survey();
        }
        self.prey.is_ending || self.prey.preemptible[0].is_some()
    }

    /// Looks at all that run. O(tasks).
    fn survey(&mut self) {
        let Self { prey, tasks, .. } = self;
        prey.clear();
        for (_, entry) in tasks.iter() {
            match entry.stage {
                Stage::Pending => {}
                Stage::Running => prey.runs(entry),
                Stage::Ending => {
                    let waiting = tasks.get(entry.ends.beneficiary);
                    let is_waited_for = waiting
                        .is_ok_and(|other| other.stage == Stage::Pending && other.ends.claims);
                    prey.ends(entry, !is_waited_for);
                }
            }
        }
    }
}
