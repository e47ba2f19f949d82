//! What the ledger says about a set of victims, tried on the ledger itself and undone.

use super::super::room::needed;
use super::super::{Entry, Stage, Task, TaskId};
use crate::error::Error;
use crate::handle::Slab;
use crate::share::{AccountId, Amounts, DEPTH_MAX, Ledger, Reclamation, RunningJob, Verdict};
use crate::units::Nanos;

/// A claim on a ledger, and what was tried for it.
#[derive(Debug)]
pub(super) struct Books<'a> {
    pub(super) now: Nanos,
    ledger: &'a mut Ledger,
    account: AccountId,
    priority: i32,
    /// All that the claim is for.
    amounts: Amounts,
}

impl<'a> Books<'a> {
    /// # Errors
    /// [`Error::Stale`] where the ledger does not know the task's account.
    pub(super) fn new(now: Nanos, ledger: &'a mut Ledger, task: &Task) -> Result<Self, Error> {
        ledger.parent(task.account)?;
        let amounts = counted(ledger, needed(&task.member, task.members_needed()));
        Ok(Self { now, ledger, account: task.account, priority: task.priority, amounts })
    }

    fn claim(&self, short: &Amounts) -> Reclamation {
        let mut short = counted(self.ledger, *short);
        short.0.iter_mut().zip(self.amounts.0).for_each(|(short, most)| *short = most.min(*short));
        Reclamation { reclaimer: self.account, amounts: self.amounts, short }
    }

    fn job(&self, entry: &Entry) -> RunningJob {
        RunningJob {
            account: entry.task.account,
            amounts: counted(self.ledger, needed(&entry.task.member, entry.members_len)),
            started: entry.started,
            saved: entry.saved(),
        }
    }

    /// Whether the task may be made to end within its own account.
    pub(super) fn is_own(&self, entry: &Entry) -> bool {
        entry.task.account == self.account
    }

    /// Whether the task may be made to end now, while so much is short.
    pub(super) fn allows(&self, entry: &Entry, short: &Amounts) -> bool {
        if self.is_own(entry) {
            return entry.task.priority < self.priority
                && self.now >= entry.started.saturating_add(self.min_runtime());
        }
        // What the ledger does not know of, or knows otherwise, is nobody's to take.
        let verdict = self.ledger.reclaimable(self.now, &self.claim(short), &self.job(entry));
        matches!(verdict, Ok(Verdict::Yes { .. }))
    }

    /// Least run time of the account, else of the nearest above it that says one.
    fn min_runtime(&self) -> Nanos {
        let mut account = Some(self.account);
        for _ in 0..DEPTH_MAX {
            let Some(at) = account else { break };
            let Ok(limits) = self.ledger.reclaim_limits(at) else { break };
            if let Some(min_runtime) = limits.min_runtime {
                return min_runtime;
            }
            account = self.ledger.parent(at).ok().flatten();
        }
        Nanos::ZERO
    }

    /// The task is taken, and charged; `false` with nothing changed where the ledger refuses it.
    pub(super) fn take(&mut self, entry: &Entry) -> bool {
        let job = self.job(entry);
        if self.ledger.release(job.account, &job.amounts).is_err() {
            return false;
        }
        if self.is_own(entry) || self.charge(entry) {
            return true;
        }
        self.hold(&job);
        false
    }

    /// Undoes [`Books::take`].
    pub(super) fn undo(&mut self, entry: &Entry) {
        let job = self.job(entry);
        self.hold(&job);
        if !self.is_own(entry) {
            let undone = self.ledger.reclaim_undone(self.now, self.account, &job);
            debug_assert!(undone.is_ok(), "what was charged can be given back");
        }
    }

    /// Charges the loss of a victim, if it is one of another account.
    pub(super) fn charge(&mut self, entry: &Entry) -> bool {
        let job = self.job(entry);
        self.is_own(entry) || self.ledger.reclaimed(self.now, self.account, &job).is_ok()
    }

    fn hold(&mut self, job: &RunningJob) {
        let held = self.ledger.allocate(job.account, &job.amounts);
        debug_assert!(held.is_ok(), "what was held fits");
    }

    /// Whether the account, without the victims that were taken, may hold what it claims: within
    /// the entitlement of all above it, or where its own victims held as much as it claims.
    pub(super) fn may_hold(&self, own: &Amounts) -> bool {
        if self.amounts.0.iter().zip(own.0).all(|(amount, own)| *amount <= own) {
            return true;
        }
        self.ledger.may_reclaim(&self.claim(&self.amounts)).is_ok_and(|scope| scope.fits())
    }

    /// Adds what a victim of the account itself holds.
    pub(super) fn add_own(&self, own: &mut Amounts, entry: &Entry) {
        let job = self.job(entry);
        own.0.iter_mut().zip(job.amounts.0).for_each(|(own, amount)| *own += amount);
    }

    /// What was decided before and has not happened yet is taken as if it had: who ends holds
    /// nothing, for whom others end holds what it claims. `done` remembers whom that was true of.
    pub(super) fn foresee(&mut self, tasks: &Slab<Entry>, claimer: TaskId, done: &mut [bool]) {
        for (id, entry) in tasks.iter() {
            let claims = entry.stage == Stage::Pending && entry.ends.claims && id != claimer;
            done[id.index() as usize] = if entry.stage == Stage::Ending {
                let (account, amounts) = self.outstanding(entry);
                self.ledger.release(account, &amounts).is_ok()
            } else if claims {
                let (account, amounts) = self.outstanding(entry);
                self.ledger.allocate(account, &amounts).is_ok()
            } else {
                false
            };
        }
    }

    /// Undoes [`Books::foresee`], and forgets whom it was true of.
    pub(super) fn forget(&mut self, tasks: &Slab<Entry>, done: &mut [bool]) {
        // Whoever ends is given back last, in case that together is more than a ledger can hold.
        for stage in [Stage::Pending, Stage::Ending] {
            for (id, entry) in tasks.iter().filter(|(_, entry)| entry.stage == stage) {
                if core::mem::take(&mut done[id.index() as usize]) {
                    let (account, amounts) = self.outstanding(entry);
                    let undone = match stage {
                        Stage::Ending => self.ledger.allocate(account, &amounts),
                        Stage::Pending | Stage::Running => self.ledger.release(account, &amounts),
                    };
                    debug_assert!(undone.is_ok(), "what was tried can be undone");
                }
            }
        }
    }

    fn outstanding(&self, entry: &Entry) -> (AccountId, Amounts) {
        let pending = entry.stage == Stage::Pending;
        let members = if pending { entry.task.members_needed() } else { entry.members_len };
        (entry.task.account, counted(self.ledger, needed(&entry.task.member, members)))
    }
}

/// Only what the ledger counts.
fn counted(ledger: &Ledger, mut amounts: Amounts) -> Amounts {
    amounts.0.iter_mut().skip(ledger.resources() as usize).for_each(|amount| *amount = 0);
    amounts
}
