//! How a task comes, starts and goes.
//!
//! # What it decides
//! Nothing: it keeps all books of a placer in step. Whatever starts, ends or goes back to waiting
//! passes here, so that no part of the desk is forgotten.
//!
//! # Bounds and cost
//! O(members of the task), and O(members * nodes) to place it.

use super::gang::Gang;
use super::members::NONE;
use super::timeline::expected_end;
use super::{Entry, Placed, Placer, Stage, Task, TaskId};
use crate::error::Error;
use crate::fleet::Hold;
use crate::units::Nanos;

impl Placer {
    /// Places a task now, or says what is in the way: then all is as it was, but that the task mix
    /// knows of one more arrival. The holds of its members go to the front of `out`.
    /// O(members * nodes).
    ///
    /// # Errors
    /// [`Error::Range`] or [`Error::RangeReal`] for a task that cannot be; [`Error::Full`] on
    /// `tasks` or `members`; [`Error::Stale`] on `account` for one that has taken the place of
    /// another one that tasks still belong to; [`Error::BufferTooSmall`] on `out` for fewer places
    /// than members wanted; [`Error::TimeReversed`]. Nothing is changed then.
    pub fn place(&mut self, now: Nanos, task: &Task, out: &mut [Hold]) -> Result<Placed, Error> {
        self.check_now(now)?;
        task.check(self.delay_values.len() as u32, self.options.task_members_max)?;
        if out.len() < task.members as usize {
            let (given, needed) = (out.len() as u64, task.members.into());
            return Err(Error::BufferTooSmall { field: "out", given, needed });
        }
        if self.tasks.is_full() {
            return Err(Error::Full { field: "tasks", capacity: self.tasks.capacity().into() });
        }
        self.check_members(task.members_needed())?;
        self.holdings.check(task.account)?;
        self.now = now;
        self.learn_arrival(task);
        let id = self.tasks.insert(Entry::pending(now, task))?;
        self.holdings.join(task.account);
        if let Err(lack) = self.start(id)? {
            self.tasks.remove(id)?;
            self.holdings.leave(task.account);
            return Ok(Placed::NoRoom { lack });
        }
        let &Entry { members_len, price, first_member, .. } = self.tasks.get(id)?;
        for (out, member) in out.iter_mut().zip(self.members.of_task(first_member)) {
            *out = member.hold;
        }
        Ok(Placed::Running { task: id, members_len, price })
    }

    /// A task is gone, whatever its stage: what it held is free.
    ///
    /// # Errors
    /// [`Error::Stale`] for an unknown task; [`Error::TimeReversed`].
    pub fn release(&mut self, now: Nanos, task: TaskId) -> Result<(), Error> {
        let entry = *self.tasks.get(task)?;
        self.check_now(now)?;
        self.now = now;
        if entry.stage == Stage::Pending {
            self.pending.take(self.queue_of(&entry.task), task.index());
            if let Some(promise) = self.promises.of_task(task) {
                self.forget_promise(promise)?;
            }
        } else {
            if entry.task.duration == Nanos::ZERO {
                // What was not told is known now; a task that has not run adds nothing.
                self.horizon.learn(entry.gpu_milli(), now.saturating_sub(entry.started));
            }
            self.stop(task)?;
        }
        self.holdings.leave(entry.task.account);
        self.tasks.remove(task).map(drop)
    }

    /// A running or ending task has ended and wants to run again: what it held is free, and it is
    /// pending with the number of times that it was made to end. O(members + log tasks).
    ///
    /// # Errors
    /// [`Error::Stale`] for an unknown task; [`Error::Contradiction`] for a pending one;
    /// [`Error::TimeReversed`].
    pub fn requeue(&mut self, now: Nanos, task: TaskId) -> Result<(), Error> {
        let entry = *self.tasks.get(task)?;
        self.check_now(now)?;
        if entry.stage == Stage::Pending {
            return Err(Error::Contradiction {
                field: "task",
                value: task.to_raw(),
                other: "stage",
                other_value: entry.stage as u64,
            });
        }
        self.now = now;
        self.stop(task)?;
        let turn = self.pending.arrive(entry.task.priority);
        self.enqueue(task, turn)
    }

    /// A task that has its members runs from now on.
    pub(super) fn set_running(&mut self, id: TaskId, gang: &Gang<'_>) -> Result<(), Error> {
        let &Gang { members_len, price, first_member, .. } = gang;
        let (stage, started) = (Stage::Running, self.now);
        let entry = self.tasks.get_mut(id)?;
        *entry = Entry { stage, started, members_len, price, first_member, ..*entry };
        let Entry { task, .. } = *entry;
        self.horizon.learn(entry.gpu_milli(), task.duration);
        self.tenants.join(entry);
        self.crowds.join(id.index(), task.spreading.group);
        self.holdings.hold(self.now, &task, members_len);
        self.warm_members(first_member, NONE, task.artifact);
        self.plan_around(first_member);
        Ok(())
    }

    /// A task that runs does not any more: it is pending, in no queue, as often made to end as
    /// before.
    pub(super) fn stop(&mut self, id: TaskId) -> Result<(), Error> {
        let entry = *self.tasks.get(id)?;
        let mut stopped = Entry::pending(self.now, &entry.task);
        stopped.submitted = entry.submitted;
        stopped.ends.preemptions = entry.ends.preemptions;
        *self.tasks.get_mut(id)? = stopped;
        self.tenants.leave(&entry);
        self.crowds.leave(id.index());
        self.holdings.give(self.now, &entry.task, entry.members_len);
        self.freed(expected_end(self.now, &entry) > self.now);
        self.give_all(entry.first_member)
    }

    /// Something is free that was not: whoever found no room may find some.
    pub(super) const fn freed(&mut self, is_early: bool) {
        self.given_back += 1;
        self.early_ends += is_early as u64;
        self.clear_blocked();
    }

    /// Gives back what the members of a list hold.
    pub(super) fn give_all(&mut self, mut first_member: u32) -> Result<(), Error> {
        while let Some(hold) = self.members.pop(&mut first_member) {
            self.fleet.give(&hold)?;
            self.stranding.changed(&self.fleet, &self.members, hold.node.index());
        }
        Ok(())
    }

    /// `Ok` if so many more members can be kept.
    pub(super) fn check_members(&self, more: u32) -> Result<(), Error> {
        if self.members.vacant_len() < more {
            return Err(Error::Full { field: "members", capacity: self.members.capacity().into() });
        }
        Ok(())
    }

    pub(super) fn check_now(&self, now: Nanos) -> Result<(), Error> {
        if now < self.now {
            return Err(Error::TimeReversed { now_ns: now.get(), last_ns: self.now.get() });
        }
        Ok(())
    }
}
