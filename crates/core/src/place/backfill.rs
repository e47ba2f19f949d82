//! Who is promised a start, and what may start before?
//!
//! # What it decides
//! What becomes of a task that found no room, and of those that were promised some.
//!
//! | rule | whoever finds no room |
//! |---|---|
//! | [`Backfill::None`] | holds up everybody behind it, of all accounts |
//! | [`Backfill::Easy`] | has a reservation if nobody has one: the first that waits |
//! | [`Backfill::Conservative`] | has a reservation, while there are places for any |
//!
//! A reservation is for the earliest time at which there is room ([`super::future`]), with those
//! made before it kept. It is kept until its task starts or is released. It moves only
//!
//! - to an earlier time, when something ended before it should have; or
//! - to a later one, when its time has come and what should have ended has not, when one of its
//!   nodes is lost, or when those that end for somebody else there take their time; or
//! - away, when its time has come and it is held for urgent work ([`super::held`]).
//!
//! Reserved tasks are tried first in every cycle, in the order of their starts: anywhere, and where
//! they were promised if their time has come. So whatever else starts, a reserved task starts no
//! later than it was told, if no task runs longer than it said.
//!
//! **Reclaim.** For the first task of an account that finds no room, others may be told to end
//! (`reclaim_for`). What they free is reserved for it in the same step: nobody else can take it, so
//! that nobody is ended twice for the same start. It is kept until they are gone, however long that
//! takes. Such a reservation is not the one of [`Backfill::Easy`].
//!
//! # Bounds and cost
//! Working out a time is what costs. At most `cycle_replays_max` are worked out in one call; it ends
//! there, and the next one goes on. Tasks for which no time is known (others of unknown run time are
//! in their way, or they never fit) are remembered, so that nobody like them is looked at again
//! until something is given back.
//!
//! # What it is bad at
//! Where run times are not known there is nothing to reserve, and large tasks can wait for ever.
//!
//! # Source
//! Mu'alem and Feitelson, "Utilization, Predictability, Workloads, and User Runtime Estimates in
//! Scheduling the IBM SP2 with Backfilling", IEEE TPDS 2001.

use super::cycle::{Attempt, Cycle, CyclePlan};
use super::future::Start;
use super::gang::Gang;
use super::held::Asked;
use super::promises::{Place, Promise, Reservation};
use super::shapes::Shape;
use super::task::Task;
use super::{Entry, Placer, TaskId};
use crate::error::Error;
use crate::fleet::{DeviceChoice, Hold, NodeStatus};
use crate::handle::Handle;
use crate::policy::Backfill;
use crate::share::Ledger;
use crate::units::Nanos;

/// What becomes of a task that was looked at.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Blocked {
    /// It waits; those behind it are looked at.
    Waits,
    /// It does not wait in its queue any more: it has a reservation, or it has started.
    Leaves,
    /// Nobody behind it is looked at, and itself again in the next cycle.
    HoldsUp,
    /// What should be done with it does not fit into the plan or the work of this call.
    NotNow,
}

impl Placer {
    /// Starts that are promised, in no order.
    pub fn reservations(&self) -> impl Iterator<Item = Reservation> {
        self.promises
            .iter()
            .map(|(_, promise)| Reservation { task: promise.task, start_at: promise.starts })
    }

    /// Tries those first that were promised a start.
    pub(super) fn keep_promises(
        &mut self,
        ledger: &mut Ledger,
        plan: &mut CyclePlan<'_>,
        cycle: &mut Cycle,
        asked: &mut Asked<'_>,
    ) -> Result<(), Error> {
        let numbers = self.promises.next_number();
        let mut last = None;
        while let Some(handle) = self.promises.after(last) {
            let promise = *self.promises.get(handle)?;
            last = Some((promise.starts, promise.number));
            if promise.number >= numbers {
                continue;
            }
            let is_sound = self.is_sound(&promise);
            let is_due = promise.starts <= self.now || !is_sound;
            if !is_due && promise.given_back == self.given_back {
                continue;
            }
            if self.is_promised_held_back(&promise, asked)? {
                self.hold_promised(handle, is_due)?;
                continue;
            }
            if !plan.has_room_to_start(cycle) {
                cycle.more = true;
                return Ok(());
            }
            let mut attempt = self.try_promised(ledger, handle, is_due)?;
            if attempt == Attempt::NoRoom && is_due && is_sound && promise.is_reclaimed {
                if self.any_ends_for(promise.task) {
                    continue;
                }
                self.make_way(&promise)?;
                attempt = self.try_promised(ledger, handle, is_due)?;
            }
            match attempt {
                Attempt::Started => {
                    self.forget_promise(handle)?;
                    asked.started(&self.tasks.get(promise.task)?.task);
                    plan.start(cycle, promise.task);
                }
                Attempt::OverLimit if is_due => self.break_promise(handle)?,
                Attempt::OverLimit => self.promises.get_mut(handle)?.given_back = self.given_back,
                Attempt::NoRoom => self.renew(handle, is_due, plan, cycle)?,
            }
        }
        Ok(())
    }

    /// A reserved task is held for urgent work. If its time has come it waits in its turn again, and
    /// what it was promised is free for that.
    fn hold_promised(&mut self, handle: Handle<Promise>, is_due: bool) -> Result<(), Error> {
        if is_due {
            return self.break_promise(handle);
        }
        self.promises.get_mut(handle)?.given_back = self.given_back;
        Ok(())
    }

    /// Starts a reserved task anywhere, or, if its time has come, where it was promised.
    fn try_promised(
        &mut self,
        ledger: &mut Ledger,
        handle: Handle<Promise>,
        is_due: bool,
    ) -> Result<Attempt, Error> {
        let task = self.promises.get(handle)?.task;
        self.promises.set_own(Some(handle));
        let mut attempt = self.try_start(ledger, task, true);
        if is_due && attempt == Ok(Attempt::NoRoom) {
            attempt = self.try_start_reserved(ledger, handle);
        }
        self.promises.set_own(None);
        attempt
    }

    /// Those that were made to end for a task took their time, so that it will end later than was
    /// thought when others were promised its nodes: they wait like any other again.
    fn make_way(&mut self, promise: &Promise) -> Result<(), Error> {
        for _ in 0..self.promises.len() {
            let later = self.promises.iter().find(|(_, other)| {
                let is_shared =
                    |node| self.promises.places_of(other).any(|place: &Place| place.node == node);
                other.starts > self.now
                    && self.promises.places_of(promise).any(|place| is_shared(place.node))
            });
            let Some((later, _)) = later else { break };
            self.break_promise(later)?;
        }
        Ok(())
    }

    /// Starts a task on the nodes that it was promised.
    fn try_start_reserved(
        &mut self,
        ledger: &mut Ledger,
        handle: Handle<Promise>,
    ) -> Result<Attempt, Error> {
        let promise = *self.promises.get(handle)?;
        let task = self.tasks.get(promise.task)?.task;
        self.look_around(&task);
        let before = Gang::new(&task, promise.task.index());
        let (mut gang, mut next) = (before, promise.first);
        while let Some(&Place { node: index, plan, next_of_promise, .. }) =
            self.promises.place(next)
        {
            next = next_of_promise;
            if self.members.vacant_len() == 0 {
                break;
            }
            let Some(hold) = self.take_planned(index, plan, &task) else { break };
            self.keep(&mut gang, hold)?;
        }
        if gang.members_len < task.members_needed() {
            self.undo(&mut gang, &before)?;
            return Ok(Attempt::NoRoom);
        }
        self.set_running(promise.task, &gang)?;
        self.has_started(promise.task)?;
        self.tell_started(ledger, promise.task)?;
        Ok(Attempt::Started)
    }

    /// Takes for one member on a node, on the devices that are planned if they are free; `None` if
    /// there is no room that nobody else was promised.
    fn take_planned(
        &mut self,
        index: u32,
        plan: Option<DeviceChoice>,
        task: &Task,
    ) -> Option<Hold> {
        let node = self.fleet.id_at(index)?;
        let chosen = self.fleet.choose_devices(index, &task.member).ok()?;
        for devices in [plan.unwrap_or(chosen), chosen] {
            if self.allowed_at(index, task, devices).is_ok()
                && let Ok(hold) = self.fleet.take(node, &task.member, devices)
            {
                return Some(hold);
            }
        }
        None
    }

    /// Whether all nodes of a reservation can still be used.
    fn is_sound(&self, promise: &Promise) -> bool {
        let is_ready =
            |index| self.fleet.at(index).is_some_and(|node| node.status == NodeStatus::Ready);
        self.promises.places_of(promise).all(|place| is_ready(place.node))
    }

    /// Looks for a better time, or for any if the one that was promised is past.
    fn renew(
        &mut self,
        handle: Handle<Promise>,
        is_due: bool,
        plan: &mut CyclePlan<'_>,
        cycle: &mut Cycle,
    ) -> Result<(), Error> {
        let promise = *self.promises.get(handle)?;
        self.promises.get_mut(handle)?.given_back = self.given_back;
        let may_be_earlier = promise.early_ends != self.early_ends;
        if !is_due && !may_be_earlier
            || cycle.replays >= self.rules.cycle_replays_max
            || !plan.has_room_to_reserve(cycle)
        {
            return Ok(());
        }
        cycle.replays += 1;
        let task = self.tasks.get(promise.task)?.task;
        self.promises.set_own(Some(handle));
        let found = self.earliest(&task);
        self.promises.set_own(None);
        let Some(found) = found else {
            return if is_due { self.break_promise(handle) } else { Ok(()) };
        };
        if !is_due && found.at >= promise.starts {
            self.promises.get_mut(handle)?.early_ends = self.early_ends;
            return Ok(());
        }
        self.promises.remove(handle)?;
        self.future.forget_ends();
        self.clear_blocked();
        let is_kept = self.reserve(promise.task, found, promise.is_reclaimed)?;
        match self.promises.of_task(promise.task) {
            // It waits for what should be gone by now: that is what it was told already.
            Some(new) if found.at <= self.now => {
                let starts = promise.starts.min(self.now);
                self.promises.get_mut(new)?.starts = starts;
            }
            Some(_) if is_kept => plan.reserve(cycle, promise.task, found.at),
            _ => self.queue_again(promise.task)?,
        }
        Ok(())
    }

    /// What becomes of a task that found no room.
    pub(super) fn after_no_room(
        &mut self,
        ledger: &mut Ledger,
        id: TaskId,
        plan: &mut CyclePlan<'_>,
        cycle: &mut Cycle,
    ) -> Result<Blocked, Error> {
        let task = self.tasks.get(id)?.task;
        let has_place = self.may_promise() && self.promises.has_place(task.members_needed());
        if has_place && self.holdings.may_ask(task.account, self.cycles) {
            if self.is_thorough() || self.could_take(ledger, id)? {
                if cycle.replays >= self.rules.cycle_replays_max || !plan.has_room_to_reserve(cycle)
                {
                    return Ok(Blocked::NotNow);
                }
                cycle.replays += 1;
                self.holdings.ask(task.account, self.cycles);
                if self.take_for(ledger, id, plan, cycle)? {
                    return Ok(Blocked::Leaves);
                }
            } else {
                self.holdings.ask(task.account, self.cycles);
            }
        }
        if self.rules.backfill == Backfill::None {
            return Ok(Blocked::HoldsUp);
        }
        let (shape, number) = (Shape::new(&task), self.pending.shapes.of(id.index()));
        let run_time = task.ends(Nanos::ZERO);
        let is_known = !self.is_thorough() && self.hopeless.contains(&shape, number, run_time);
        if !has_place || !self.wants_promises() || is_known {
            return Ok(Blocked::Waits);
        }
        if cycle.replays >= self.rules.cycle_replays_max || !plan.has_room_to_reserve(cycle) {
            return Ok(Blocked::NotNow);
        }
        cycle.replays += 1;
        let Some(start) = self.earliest(&task) else {
            let is_promised = self.promises.len() > 0;
            cycle.replays += u32::from(is_promised);
            let is_hopeless = !is_promised || self.is_hopeless(&task);
            let from = if is_hopeless { Nanos::ZERO } else { run_time };
            self.hopeless.insert(&shape, number, from);
            return Ok(Blocked::Waits);
        };
        if self.reserve(id, start, false)? {
            plan.reserve(cycle, id, start.at);
            return Ok(Blocked::Leaves);
        }
        Ok(Blocked::Waits)
    }

    /// Makes others end for a task, if there are such, and reserves for it what they will free.
    fn take_for(
        &mut self,
        ledger: &mut Ledger,
        id: TaskId,
        plan: &mut CyclePlan<'_>,
        cycle: &mut Cycle,
    ) -> Result<bool, Error> {
        let ending = plan.room_for_ending(cycle);
        let Some(victims) = self.reclaim_for(self.now, ledger, id, ending)? else {
            return Ok(false);
        };
        cycle.ending_len += victims;
        cycle.replays += 1;
        self.prey.forget();
        self.future.forget_ends();
        let task = self.tasks.get(id)?.task;
        let Some(start) = self.earliest(&task) else { return Ok(false) };
        if !self.reserve(id, start, true)? {
            return Ok(false);
        }
        plan.reserve(cycle, id, start.at);
        Ok(true)
    }

    /// Whether there may be one more reservation, whoever has it.
    fn may_promise(&self) -> bool {
        self.promises.len() < self.rules.reservations_max
    }

    /// Whether whoever finds no room now has a reservation, if a time is known.
    fn wants_promises(&self) -> bool {
        match self.rules.backfill {
            Backfill::None => false,
            Backfill::Easy => !self.promises.is_anybody_waiting(),
            Backfill::Conservative => true,
        }
    }

    /// Whether it is known without a look at the nodes that a task that this pass has still to look
    /// at would wait, with nothing changed, whoever else is looked at before.
    pub(super) fn is_known_to_wait(&mut self, index: u32) -> bool {
        let Some(number) = self.pending.shapes.of(index) else { return false };
        let Some(shape) = self.pending.shapes.shape(number) else { return false };
        let Some(Entry { task, .. }) = self.tasks.at(index) else { return false };
        if self.is_like_held(task) {
            return true;
        }
        // What is because of what is promised, a start elsewhere may change.
        if !self.blocked.contains(shape, Some(number), Nanos::ZERO) {
            return false;
        }
        if !self.may_promise() {
            return true;
        }
        if self.holdings.may_ask(task.account, self.cycles) {
            return false;
        }
        let run_time = task.ends(Nanos::ZERO);
        !self.wants_promises()
            || self.hopeless.contains(shape, Some(number), run_time) && !self.could_anybody_end()
    }

    /// What is known for one call only is not known yet.
    pub(super) fn begin_call(&mut self) {
        self.pending.begin();
        self.prey.forget();
        self.future.forget_ends();
    }

    /// A pending task has started.
    pub(super) fn has_started(&mut self, id: TaskId) -> Result<(), Error> {
        self.future.forget_ends();
        self.prey.runs(self.tasks.get(id)?);
        Ok(())
    }

    /// Keeps the start that was found last for a task; `false`, with no reservation made, if there
    /// are not enough places for its members.
    pub(super) fn reserve(
        &mut self,
        id: TaskId,
        start: Start,
        is_reclaimed: bool,
    ) -> Result<bool, Error> {
        let task = self.tasks.get(id)?.task;
        let ends = task.ends(start.at);
        let handle = self.promises.insert(Promise {
            is_reclaimed,
            given_back: self.given_back,
            early_ends: self.early_ends,
            ..Promise::new(id, task.member, start.at, ends)
        })?;
        let mut wanted = task.members_needed();
        for index in 0..self.fleet.options().nodes_max {
            let members = self.place_of(start, index, wanted);
            let is_full = (0..members).any(|_| self.promises.add_place(handle, index).is_err());
            if is_full || members > 0 && !self.plan_node(index) {
                break;
            }
            wanted -= members;
            if wanted == 0 {
                self.future.add_end(ends, handle.index());
                return Ok(true);
            }
        }
        self.promises.remove(handle)?;
        Ok(false)
    }

    /// The task waits like any other again.
    fn break_promise(&mut self, handle: Handle<Promise>) -> Result<(), Error> {
        let task = self.promises.get(handle)?.task;
        self.forget_promise(handle)?;
        self.queue_again(task)
    }

    /// What was reserved may be taken by others.
    pub(super) fn forget_promise(&mut self, handle: Handle<Promise>) -> Result<(), Error> {
        self.promises.remove(handle)?;
        self.future.forget_ends();
        self.early_ends += 1;
        self.given_back += 1;
        self.clear_blocked();
        Ok(())
    }

    fn queue_again(&mut self, id: TaskId) -> Result<(), Error> {
        self.enqueue(id, self.pending.turn(id.index()))
    }

    /// Room may be found where there was none.
    pub(super) const fn clear_blocked(&mut self) {
        self.blocked.clear();
        self.hopeless.clear();
    }
}
