//! Which tasks should move, so that stranded GPUs come back?
//!
//! # What it decides
//! It proposes migrations; nothing moves by itself. The host moves whom it likes and says so
//! ([`Placer::moved`]).
//!
//! # Formula
//! ```text
//! gain = weight * (strands_here - strands_there) * pi * holding_s  -  lost_work
//! ```
//! with what the task's member strands where it is and where it would be, as the measure of
//! stranding sees both with the task taken out (devices on each side chosen as that measure does), the
//! holding time of the task, and what is lost if it ends now: work since its last checkpoint, and
//! loading again. The move of the largest gain is proposed first, as long as it is above zero; the
//! next ones are looked for as if those before it were done.
//!
//! # Bounds and cost
//! Only running, preemptible tasks of one member whose least run time is over are moved, each once,
//! and never to
//! another place on the same node; none that must keep apart from others. Looked at are the 64 that could gain most if there
//! were a place for them that strands nothing. O(tasks * devices + moves * 64 * nodes * devices).
//!
//! # What it is bad at
//! - Two tasks that would have to change places; a gang; a task that gains only by a credit (a place
//!   where it fills a hole) is looked at late.
//! - A move that frees a place for another one counts for the first of them only as what it strands.
//!
//! # Source
//! Asked for as scheduled defragmentation with cost against value (KAI 1311, 1500). The price is the
//! one that placing goes by.

use super::room::Room;
use super::scratch::{MOVABLE_MAX, Scratch};
use super::task::Task;
use super::{Entry, Placer, Stage, TaskId};
use crate::error::{Error, check_range};
use crate::fleet::{DeviceChoice, Hold};
use crate::units::Nanos;

const MILLI: f64 = 1_000.0;

/// A migration that would pay.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "document", derive(serde::Serialize))]
#[repr(C)]
pub struct Move {
    /// The task.
    pub task: TaskId,
    /// What it holds, once the moves before this one are done.
    pub from: Hold,
    /// What it would hold.
    pub to: Hold,
    /// GPUs that come back, in thousandths.
    pub stranded_milli: i64,
    /// What moving costs, in seconds of delay.
    pub lost_work_s: f64,
    /// What it brings beyond that, in seconds of delay; above zero.
    pub gain_s: f64,
}

/// What [`Placer::compact`] proposes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "document", derive(serde::Serialize))]
pub struct Compaction {
    /// Moves, at the front of the caller's array, to be done in this order.
    pub moves_len: u32,
    /// GPUs that come back, in thousandths.
    pub stranded_milli: i64,
    /// What all of them bring, in seconds of delay.
    pub gain_s: f64,
}

impl Placer {
    /// Proposes at most `max_moves` migrations. Nothing is changed.
    /// O(tasks * devices + moves * 64 * nodes * devices).
    ///
    /// # Errors
    /// [`Error::BufferTooSmall`] on `out` for fewer places than moves; [`Error::TimeReversed`].
    pub fn compact(
        &mut self,
        now: Nanos,
        max_moves: u32,
        out: &mut [Move],
    ) -> Result<Compaction, Error> {
        self.check_now(now)?;
        if out.len() < max_moves as usize {
            let (given, needed) = (out.len() as u64, max_moves.into());
            return Err(Error::BufferTooSmall { field: "out", given, needed });
        }
        self.domains.refresh(&self.fleet);
        self.scratch.fleet.copy_from(&self.fleet)?;
        let movable_len = self.list_movable(now);
        let mut compaction = Compaction::default();
        for out in &mut out[..max_moves as usize] {
            let Some((at, best)) = self.best_move(now, movable_len) else { break };
            let mut room = self.room(now);
            room.end(&best.from);
            room.go_on(&best.to);
            self.scratch.movable[at].1 = TaskId::default();
            compaction.moves_len += 1;
            compaction.stranded_milli += best.stranded_milli;
            compaction.gain_s += best.gain_s;
            *out = best;
        }
        Ok(compaction)
    }

    /// A running task of one member has moved, as proposed or elsewhere: from now on it holds `to`,
    /// and has no work that is not saved. O(devices).
    ///
    /// # Errors
    /// [`Error::Stale`] for an unknown task or node; [`Error::Contradiction`] on `task` for one that
    /// does not run; [`Error::Range`] on `members` for one of several members; [`Error::Full`] for
    /// what is not free; [`Error::TimeReversed`]. Nothing is changed then.
    pub fn moved_to(&mut self, now: Nanos, task: TaskId, to: &Hold) -> Result<(), Error> {
        let entry = *self.running(task, "task")?;
        self.check_now(now)?;
        check_range("members", entry.members_len.into(), 1, 1)?;
        let Some(from) = self.members.at(entry.first_member).map(|member| member.hold) else {
            return Err(Error::Stale { field: "tasks", handle: task.to_raw() });
        };
        let demand = &entry.task.member;
        self.fleet.node(to.node)?;
        self.fleet.give(&from)?;
        let there = DeviceChoice { devices: to.devices, slices: to.slices };
        let wanted = demand.devices.devices();
        let enough =
            check_range("devices", to.devices.count_ones().into(), wanted.into(), wanted.into());
        let taken = enough.and_then(|_| self.fleet.take(to.node, demand, there));
        let hold = match taken {
            Ok(hold) => hold,
            // It stays where nothing new may be put, too.
            Err(error) => return self.fleet.put_back(&from).and(Err(error)),
        };
        self.now = now;
        let mut first_member = entry.first_member;
        self.members.pop(&mut first_member);
        // There is room: one was just taken out.
        let kept = self.members.push(&mut first_member, task.index(), hold);
        debug_assert!(kept, "one member was taken out");
        let of_task = self.tasks.get_mut(task)?;
        of_task.first_member = first_member;
        of_task.ends.saved = now;
        self.stranding.changed(&self.fleet, &self.members, from.node.index());
        self.stranding.changed(&self.fleet, &self.members, to.node.index());
        self.warm.used(to.node.index(), entry.task.artifact);
        // Somebody may find room where it was; what is promised where it is now is planned around it.
        self.freed(true);
        self.plan_around(first_member);
        Ok(())
    }

    fn room(&mut self, now: Nanos) -> Room<'_> {
        let Self { scratch, crowds, domains, promises, .. } = self;
        Room { now, fleet: &mut scratch.fleet, domains, crowds, promises }
    }

    /// Lists the tasks that could gain most by moving, the best first.
    fn list_movable(&mut self, now: Nanos) -> usize {
        let mut len = 0;
        for at in 0..self.tasks.capacity() {
            let Some(id) = self.tasks.handle_at(at) else { continue };
            let Some(entry) = self.tasks.at(at).copied().filter(|entry| may_move(now, entry))
            else {
                continue;
            };
            let lost_work_s = self.worth().lost_work_s(now, &entry);
            let second_s = self.stranding_second_s(&entry.task);
            let Some(from) = self.members.at(entry.first_member).map(|member| member.hold) else {
                continue;
            };
            let Some(here_milli) = self.strands_at_home(now, &entry.task, &from) else { continue };
            let most_s = here_milli as f64 / MILLI * second_s - lost_work_s;
            let movable = &mut self.scratch.movable;
            let goes_before = |other: &(f64, TaskId)| most_s > other.0;
            if len < MOVABLE_MAX {
                len += 1;
            } else if !goes_before(&movable[len - 1]) {
                continue;
            }
            let place = movable[..len - 1].iter().position(goes_before).unwrap_or(len - 1);
            movable[place..len].rotate_right(1);
            movable[place] = (most_s, id);
        }
        len
    }

    /// What a task strands where it is.
    fn strands_at_home(&mut self, now: Nanos, task: &Task, from: &Hold) -> Option<i64> {
        let mut room = self.room(now);
        room.end(from);
        let Self { scratch, stranding, .. } = self;
        let here = stranding.price(&scratch.fleet, from.node.index(), &task.member);
        self.room(now).go_on(from);
        here.ok().map(|(milli, _)| milli)
    }

    /// The move that brings most, of those listed.
    fn best_move(&mut self, now: Nanos, movable_len: usize) -> Option<(usize, Move)> {
        let mut best: Option<(usize, Move)> = None;
        for at in 0..movable_len {
            let id = self.scratch.movable[at].1;
            let Ok(entry) = self.tasks.get(id).copied() else { continue };
            let second_s = self.stranding_second_s(&entry.task);
            let Some(one) = self.best_place(now, id, &entry, second_s) else { continue };
            if best.is_none_or(|(_, best)| one.gain_s > best.gain_s) {
                best = Some((at, one));
            }
        }
        best
    }

    /// The best place for one task, if moving there pays.
    fn best_place(&mut self, now: Nanos, id: TaskId, entry: &Entry, second_s: f64) -> Option<Move> {
        let task = &entry.task;
        let lost_work_s = self.worth().lost_work_s(now, entry);
        let from = self.members.at(entry.first_member)?.hold;
        let Self { scratch, crowds, domains, promises, stranding, .. } = self;
        let Scratch { fleet, .. } = scratch;
        let mut room = Room { now, fleet, domains, crowds, promises };
        let home = from.node.index();
        room.end(&from);
        let place = stranding.cheapest(&room, domains.everywhere(), task, |index| index != home);
        let here = stranding.price(room.fleet, home, &task.member);
        room.go_on(&from);
        let (there_milli, index, choice) = place?;
        let stranded_milli = here.ok()?.0 - there_milli;
        let gain_s = stranded_milli as f64 / MILLI * second_s - lost_work_s;
        if gain_s <= 0.0 {
            return None;
        }
        let to = room.put_on(index, task, choice)?;
        room.take_away(task, &to);
        Some(Move { task: id, from, to, stranded_milli, lost_work_s, gain_s })
    }
}

fn may_move(now: Nanos, entry: &Entry) -> bool {
    entry.stage == Stage::Running
        && entry.members_len == 1
        && entry.task.preemptible
        && entry.task.spreading.domain_members_max == 0
        && now >= entry.started.saturating_add(entry.task.min_runtime)
}

#[cfg(test)]
mod tests;
