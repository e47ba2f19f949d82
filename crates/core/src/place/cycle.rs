//! Which of all that wait start now?
//!
//! # What it decides
//! One call of [`Placer::cycle`] goes over the pending tasks once, in order, and starts those that
//! find room without breaking a promise to somebody before them.
//!
//! # Formula
//! ```text
//! 1  the ledger is told what started and ended since        holdings
//! 2  reserved tasks, by their start                         backfill, promises
//! 3  the others, by account (order), priority, arrival:     pending
//!      over a limit of its account or of one above: passed over
//!      batch work with room that is held for urgent work: it waits  held
//!      room for as many members as it needs, at once: it starts
//!      else: others end for it, it gets a reservation, it waits, or it holds up all behind it
//! ```
//!
//! # States
//! A pass over all pending tasks may take several calls, each of at most `cycle_tasks_max` tasks. A
//! call goes on where the last one stopped, so that everybody is looked at once in each pass,
//! however long it takes. What was freed meanwhile is offered first to those with reservations,
//! which every call begins with, then to whoever is next, and in the next pass to all from the
//! first. [`Cycle::more`] says that the pass is not over, or that an array of the plan was full.
//!
//! # Bounds and cost
//! Each task looked at costs one start, or, if it is no easier than one that was just turned away,
//! only that comparison ([`super::blocked`]). Where that is true of all that are left in a queue,
//! they are passed over together. Nothing allocates.
//!
//! # What it is bad at
//! Limits do not make an elastic task smaller: it starts if its account may have all members. Once
//! a task has a reservation, its place in the order is that: a more urgent one that comes later
//! starts first only if it is out before or finds room beside it.

use super::backfill::Blocked;
use super::held::{Asked, Holding};
use super::holdings::{amounts_of, held_by};
use super::promises::Reservation;
use super::shapes::Shape;
use super::task::Task;
use super::{Entry, Placer, TaskId};
use crate::error::Error;
use crate::policy::{Backfill, PendingOrder};
use crate::share::Ledger;
use crate::units::Nanos;

/// Where a cycle writes what is to be done. An array that is full ends the cycle; what did not go
/// in comes in the next one. Without any room for what must go into an array nothing of the kind is
/// ever done.
#[derive(Debug)]
pub struct CyclePlan<'a> {
    /// Tasks that run from now on.
    pub started: &'a mut [TaskId],
    /// Running tasks that the host must end, so that others can start. They hold what they have
    /// until they are released.
    pub ending: &'a mut [TaskId],
    /// Tasks that were promised a start, or another one than before.
    pub reserved: &'a mut [Reservation],
}

/// What a cycle did.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Cycle {
    /// Tasks at the front of [`CyclePlan::started`].
    pub started_len: u32,
    /// Tasks at the front of [`CyclePlan::ending`].
    pub ending_len: u32,
    /// Reservations at the front of [`CyclePlan::reserved`].
    pub reserved_len: u32,
    /// Pending tasks without a reservation that were looked at.
    pub looked_at: u32,
    /// Of them, how many found no room.
    pub no_room: u32,
    /// Of them, how many would exceed a limit of their account or of one above it.
    pub over_limit: u32,
    /// Of them, how many are batch work that is held for urgent work: [`Placer::cycle_holding`].
    pub held: u32,
    /// Others that were not looked at: known, like all that were left in their queue, to find no
    /// room.
    pub passed_over: u32,
    /// Earliest starts that were worked out, and searches for tasks that could end for others.
    pub replays: u32,
    /// Not everybody was looked at: call again.
    pub more: bool,
}

/// How trying to start a task ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Attempt {
    Started,
    OverLimit,
    NoRoom,
}

impl CyclePlan<'_> {
    pub(super) const fn has_room_to_start(&self, cycle: &Cycle) -> bool {
        (cycle.started_len as usize) < self.started.len()
    }

    pub(super) const fn has_room_to_reserve(&self, cycle: &Cycle) -> bool {
        (cycle.reserved_len as usize) < self.reserved.len()
    }

    pub(super) fn room_for_ending(&mut self, cycle: &Cycle) -> &mut [TaskId] {
        self.ending.get_mut(cycle.ending_len as usize..).unwrap_or_default()
    }

    pub(super) fn start(&mut self, cycle: &mut Cycle, task: TaskId) {
        if let Some(place) = self.started.get_mut(cycle.started_len as usize) {
            *place = task;
            cycle.started_len += 1;
        }
    }

    pub(super) fn reserve(&mut self, cycle: &mut Cycle, task: TaskId, start_at: Nanos) {
        if let Some(place) = self.reserved.get_mut(cycle.reserved_len as usize) {
            *place = Reservation { task, start_at };
            cycle.reserved_len += 1;
        }
    }
}

impl Placer {
    /// Goes over the pending tasks: see [`crate::place::cycle`]. The ledger is told what starts
    /// now, and what started and ended since the last call; it must be the same one each time, with
    /// `gpu_milli`, `cpu_milli` and `memory_mib` as its first resources, and told its capacity by
    /// the host.
    ///
    /// # Errors
    /// [`Error::TimeReversed`]; [`Error::Range`] for a ledger that does not keep what the order
    /// goes by, with nothing changed; as [`Placer::settle`].
    pub fn cycle(
        &mut self,
        now: Nanos,
        ledger: &mut Ledger,
        plan: &mut CyclePlan<'_>,
    ) -> Result<Cycle, Error> {
        self.cycle_asking(now, ledger, plan, &mut Asked::new(None))
    }

    /// The same, but that batch work waits where `holding` says so: see [`crate::place::held`].
    ///
    /// # Errors
    /// As [`Placer::cycle`] and [`Holding::check`]; [`Error::Range`] on `urgent_class` that is no
    /// class of the policy.
    pub fn cycle_holding(
        &mut self,
        now: Nanos,
        ledger: &mut Ledger,
        plan: &mut CyclePlan<'_>,
        holding: &dyn Holding,
    ) -> Result<Cycle, Error> {
        self.cycle_asking(now, ledger, plan, &mut Asked::new(Some(holding)))
    }

    fn cycle_asking(
        &mut self,
        now: Nanos,
        ledger: &mut Ledger,
        plan: &mut CyclePlan<'_>,
        asked: &mut Asked<'_>,
    ) -> Result<Cycle, Error> {
        self.check_now(now)?;
        self.check_order(ledger)?;
        self.check_asked(now, asked)?;
        self.settle(now, ledger)?;
        self.begin_call();
        self.begin_asking(asked);
        let mut cycle = Cycle::default();
        self.keep_promises(ledger, plan, &mut cycle, asked)?;
        if cycle.more {
            return Ok(cycle);
        }
        self.announce_all(ledger)?;
        let passed = self.pass(ledger, plan, &mut cycle, asked);
        self.withdraw_all(ledger)?;
        self.cycles += u64::from(!cycle.more);
        passed.map(|()| cycle)
    }

    fn pass(
        &mut self,
        ledger: &mut Ledger,
        plan: &mut CyclePlan<'_>,
        cycle: &mut Cycle,
        asked: &mut Asked<'_>,
    ) -> Result<(), Error> {
        let tasks_max = match self.rules.cycle_tasks_max {
            0 => u32::MAX,
            tasks_max => tasks_max,
        };
        let mut again = None;
        while let Some((queue, index)) = self.next_looked_at(ledger, again)? {
            if self.is_held_up() {
                return Ok(());
            }
            let Some(id) = self.tasks.handle_at(index) else { return Ok(()) };
            if cycle.looked_at >= tasks_max || !plan.has_room_to_start(cycle) {
                cycle.more = true;
                return Ok(());
            }
            cycle.looked_at += 1;
            again = match self.look_at(ledger, id, plan, cycle, asked)? {
                Blocked::HoldsUp => return Ok(()),
                Blocked::NotNow => {
                    cycle.more = true;
                    return Ok(());
                }
                Blocked::Leaves => {
                    self.pending.take(queue, index);
                    None
                }
                Blocked::Waits => self.see(queue, index, cycle),
            };
            if again.is_none() {
                self.announce(ledger, queue)?;
            }
        }
        self.pending.end_pass();
        Ok(())
    }

    /// Starts a task, or says what becomes of it; who starts waits no more either.
    fn look_at(
        &mut self,
        ledger: &mut Ledger,
        id: TaskId,
        plan: &mut CyclePlan<'_>,
        cycle: &mut Cycle,
        asked: &mut Asked<'_>,
    ) -> Result<Blocked, Error> {
        if self.is_held_back(ledger, id, asked)? {
            cycle.held += 1;
            return Ok(Blocked::Waits);
        }
        match self.try_start(ledger, id, false)? {
            Attempt::Started => {
                asked.started(&self.tasks.get(id)?.task);
                plan.start(cycle, id);
                Ok(Blocked::Leaves)
            }
            Attempt::OverLimit => {
                cycle.over_limit += 1;
                Ok(Blocked::Waits)
            }
            Attempt::NoRoom => {
                cycle.no_room += 1;
                self.after_no_room(ledger, id, plan, cycle)
            }
        }
    }

    /// The next task, of this queue if it is known to be that one's turn again.
    fn next_looked_at(
        &self,
        ledger: &mut Ledger,
        again: Option<u32>,
    ) -> Result<Option<(u32, u32)>, Error> {
        let first = again.and_then(|queue| Some((queue, self.pending.first(queue)?)));
        if first.is_some() { Ok(first) } else { self.next_in_order(ledger) }
    }

    /// This pass has looked at a task and left everything as it was; so it does with the others of the
    /// queue of whom nothing else would come. The queue, if its next task is as good as this one for
    /// whoever says whose turn it is: then it is its turn again.
    fn see(&mut self, queue: u32, index: u32, cycle: &mut Cycle) -> Option<u32> {
        self.pending.see(queue, index);
        if self.is_thorough() {
            return None;
        }
        let passed_over = self.pass_over_known(queue);
        cycle.passed_over += passed_over;
        if passed_over > 0 {
            return None;
        }
        let next = self.tasks.at(self.pending.first(queue)?)?;
        let entry = self.tasks.at(index)?;
        let held = |entry: &Entry| held_by(&entry.task, entry.task.members);
        let is_same = self.rules.order != PendingOrder::DominantShare || held(entry) == held(next);
        is_same.then_some(queue)
    }

    /// Whether what is known is not used.
    #[cfg(test)]
    pub(super) const fn is_thorough(&self) -> bool {
        self.is_thorough
    }

    #[cfg(not(test))]
    #[expect(clippy::unused_self, reason = "it is asked for")]
    pub(super) const fn is_thorough(&self) -> bool {
        false
    }

    /// Whether nothing may start because somebody waits for what others are ending for.
    fn is_held_up(&self) -> bool {
        self.rules.backfill == Backfill::None && self.promises.len() > 0
    }

    /// Starts a task if its account may have so much and there is room.
    pub(super) fn try_start(
        &mut self,
        ledger: &mut Ledger,
        id: TaskId,
        is_promised: bool,
    ) -> Result<Attempt, Error> {
        let task = &self.tasks.get(id)?.task;
        if !is_within_limits(ledger, task)? {
            return Ok(Attempt::OverLimit);
        }
        let (shape, ends) = (Shape::new(task), task.ends(self.now));
        let number = if is_promised { None } else { self.pending.shapes.of(id.index()) };
        // With what is reserved for itself there may be room where others found none.
        if !is_promised && !self.is_thorough() && self.blocked.contains(&shape, number, ends) {
            return Ok(Attempt::NoRoom);
        }
        let task = self.tasks.get(id)?.task;
        if self.start(id)?.is_err() {
            if self.would_fit_where_promised(&task) {
                self.blocked.insert(&shape, number, ends);
            } else {
                let least = self.least_missing(&task);
                self.blocked.insert(&least, number, Nanos::ZERO);
            }
            return Ok(Attempt::NoRoom);
        }
        self.has_started(id)?;
        self.tell_started(ledger, id)?;
        Ok(Attempt::Started)
    }

    /// Whether a member finds room now on a node where something is promised: then it may be for
    /// that alone that the task was turned away, and a shorter one may start.
    fn would_fit_where_promised(&self, task: &Task) -> bool {
        self.promises
            .iter()
            .flat_map(|(_, promise)| self.promises.places_of(promise))
            .any(|place| self.fleet.choose_devices(place.node, &task.member).is_ok())
    }

    /// Tells the ledger about a task that has just started; if it refuses, nothing has.
    pub(super) fn tell_started(&mut self, ledger: &mut Ledger, id: TaskId) -> Result<(), Error> {
        let Entry { task, .. } = *self.tasks.get(id)?;
        self.tell(ledger, task.account).or_else(|error| self.undo_start(id).and(Err(error)))
    }

    /// A task that has just started has not.
    fn undo_start(&mut self, id: TaskId) -> Result<(), Error> {
        self.stop(id)
    }
}

/// Whether the account of a task, and everybody above it, may hold what it wants, too.
pub(super) fn is_within_limits(ledger: &Ledger, task: &Task) -> Result<bool, Error> {
    let is_known = ledger.tree().account_at(task.account.index()) == Some(task.account);
    if ledger.resources() == 0 || !is_known {
        return Ok(true);
    }
    let wanted = amounts_of(&held_by(task, task.members), ledger.resources());
    Ok(ledger.first_over_limit(task.account, &wanted)?.is_none())
}
