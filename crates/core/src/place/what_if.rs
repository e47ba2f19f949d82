//! What if a node came, or failed, or a task were gone?
//!
//! # What it decides
//! Nothing: changes are made on a copy of the fleet that costs nothing to discard, and questions are
//! answered on it.
//!
//! # Bounds and cost
//! The copy is O(nodes * devices), a question O(members * nodes). The copy was allocated when the
//! placer was made. The placer itself is not changed.
//!
//! # What it is bad at
//! - Nodes for imagined members are chosen by what they strand alone, ties by index: warm artifacts,
//!   links and neighbours do not move what is imagined.
//! - Imagined tasks do not count as replicas that others must keep apart from.

use super::promises::Promises;
use super::room::Room;
use super::scratch::Scratch;
use super::spreading::Crowds;
use super::stranding::Stranding;
use super::task::{Domain, Task};
use super::{Entry, Members, NodeId, Placer, TaskId};
use crate::error::{Error, check_range};
use crate::fleet::{Fleet, Hold, NodeSpec};
use crate::handle::Slab;
use crate::units::Nanos;

/// Something that might happen.
#[derive(Clone, Copy, Debug)]
pub enum Change<'a> {
    /// A node comes.
    AddNode(NodeSpec<'a>),
    /// A node goes; tasks with a member on it end.
    RemoveNode(NodeId),
    /// A node is lost; tasks with a member on it end.
    FailNode(NodeId),
    /// Nothing more starts on a node.
    DrainNode(NodeId),
    /// A node may be given work again.
    ReturnNode(NodeId),
    /// A task ends.
    Release(TaskId),
    /// A task starts, with as many members as find room.
    Place(&'a Task),
}

/// A copy of a placer's fleet on which something has happened.
#[derive(Debug)]
pub struct WhatIf<'a> {
    now: Nanos,
    classes: u32,
    scratch: &'a mut Scratch,
    tasks: &'a Slab<Entry>,
    members: &'a Members,
    crowds: &'a mut Crowds,
    promises: &'a Promises,
    stranding: &'a Stranding,
    not_placed: u32,
}

impl Placer {
    /// The fleet as it would be after these changes, one after the other, to ask questions. The
    /// placer stays as it is.
    ///
    /// # Errors
    /// [`Error::TimeReversed`], and those of [`WhatIf::change`].
    pub fn what_if(&mut self, now: Nanos, changes: &[Change<'_>]) -> Result<WhatIf<'_>, Error> {
        self.check_now(now)?;
        let classes = self.delay_values.len() as u32;
        let Self { scratch, fleet, tasks, members, crowds, promises, stranding, .. } = self;
        scratch.fleet.copy_from(fleet)?;
        scratch.domains.changed();
        scratch.marks.fill(false);
        let mut what_if = WhatIf {
            now,
            classes,
            scratch,
            tasks,
            members,
            crowds,
            promises,
            stranding,
            not_placed: 0,
        };
        changes.iter().try_for_each(|change| what_if.change(change))?;
        Ok(what_if)
    }
}

impl WhatIf<'_> {
    /// The fleet as it would be.
    #[must_use]
    pub const fn fleet(&self) -> &Fleet {
        &self.scratch.fleet
    }

    /// Tasks of [`Change::Place`] that found no room.
    #[must_use]
    pub const fn not_placed(&self) -> u32 {
        self.not_placed
    }

    /// One more thing happens. O(nodes * members) for a task that starts, O(members of all tasks
    /// there) for a node that goes, else O(members).
    ///
    /// # Errors
    /// [`Error::Stale`] for an unknown node or task, also for one that is gone already; those of
    /// [`Fleet::add_node`] and of [`Placer::place`] for what cannot be.
    pub fn change(&mut self, change: &Change<'_>) -> Result<(), Error> {
        match *change {
            Change::AddNode(spec) => {
                self.scratch.fleet.add_node(&spec)?;
                self.scratch.domains.changed();
            }
            Change::RemoveNode(node) => {
                self.end_on(node)?;
                self.scratch.fleet.remove_node(node)?;
                self.scratch.domains.changed();
            }
            Change::FailNode(node) => {
                self.end_on(node)?;
                self.scratch.fleet.fail_node(node)?;
            }
            Change::DrainNode(node) => self.scratch.fleet.drain_node(node)?,
            Change::ReturnNode(node) => self.scratch.fleet.return_node(node)?,
            Change::Release(task) => {
                self.tasks.get(task)?;
                if self.scratch.marks[task.index() as usize] {
                    return Err(Error::Stale { field: "tasks", handle: task.to_raw() });
                }
                self.end(task.index())?;
            }
            Change::Place(task) => {
                let mut out = 0;
                self.place_with(task, &mut |_| out += 1)?;
                self.not_placed += u32::from(out == 0);
            }
        }
        Ok(())
    }

    /// Members of a task that would find room, at most as many as it wants; in one domain where they
    /// must be. O(nodes + members).
    ///
    /// # Errors
    /// [`Error::Range`] or [`Error::RangeReal`] for a task that cannot be.
    pub fn members_fit(&mut self, task: &Task) -> Result<u32, Error> {
        self.look_around(task)?;
        let Self { scratch, crowds, promises, now, .. } = self;
        let Scratch { fleet, domains, placed, .. } = &mut **scratch;
        let mut room = Room { now: *now, fleet, domains, crowds, promises };
        let topology = task.topology;
        let within = if topology.required { topology.within } else { Domain::Fleet };
        let (mut most, mut begin) = (0, 0);
        while let Some(run) = domains.next(within, begin) {
            begin = run.end;
            most = most.max(room.members_in(run, task, task.members, placed));
        }
        Ok(most)
    }

    /// Starts a task with as many members as find room: their holds go to the front of `out`, and
    /// stay taken. Returns how many; 0: fewer than it needs, and nothing is taken.
    ///
    /// # Errors
    /// As [`WhatIf::members_fit`]; [`Error::BufferTooSmall`] on `out` for fewer places than members
    /// wanted.
    pub fn place(&mut self, task: &Task, out: &mut [Hold]) -> Result<u32, Error> {
        if out.len() < task.members as usize {
            let (given, needed) = (out.len() as u64, task.members.into());
            return Err(Error::BufferTooSmall { field: "out", given, needed });
        }
        let mut len = 0;
        self.place_with(task, &mut |hold| {
            out[len as usize] = hold;
            len += 1;
        })?;
        Ok(len)
    }

    fn place_with(&mut self, task: &Task, tell: &mut dyn FnMut(Hold)) -> Result<(), Error> {
        self.look_around(task)?;
        let Self { scratch, crowds, promises, stranding, now, .. } = self;
        let Scratch { fleet, domains, placed, .. } = &mut **scratch;
        let mut room = Room { now: *now, fleet, domains, crowds, promises };
        let topology = task.topology;
        let within = if topology.required { topology.within } else { Domain::Fleet };
        let mut begin = 0;
        while let Some(run) = domains.next(within, begin) {
            begin = run.end;
            let mut len = 0;
            while len < task.members {
                let best = stranding.cheapest(&room, run, task, |_| true);
                let hold = best.and_then(|(_, index, choice)| room.put_on(index, task, choice));
                let Some(hold) = hold else { break };
                placed[len as usize] = hold;
                len += 1;
            }
            let holds = &placed[..len as usize];
            if len >= task.members_needed() {
                for hold in holds {
                    tell(*hold);
                }
                return Ok(());
            }
            holds.iter().rev().for_each(|hold| room.take_away(task, hold));
        }
        Ok(())
    }

    /// Before a question about a task.
    fn look_around(&mut self, task: &Task) -> Result<(), Error> {
        let members_max = (self.scratch.placed.len() / 2) as u64;
        check_range("members", task.members.into(), 1, members_max)?;
        task.check(self.classes, members_max as u32)?;
        let Scratch { fleet, domains, marks, .. } = &mut *self.scratch;
        domains.refresh(fleet);
        self.crowds.count(&task.spreading, fleet, domains, self.tasks, self.members);
        // Whoever is gone is no replica any more.
        for (_, entry) in self.tasks.iter().filter(|(id, _)| marks[id.index() as usize]) {
            if entry.task.spreading.group == task.spreading.group {
                for member in self.members.of_task(entry.first_member) {
                    let index = member.hold.node.index();
                    self.crowds.moved(&task.spreading, fleet, domains, index, false);
                }
            }
        }
        Ok(())
    }

    /// All tasks with a member on a node end.
    fn end_on(&mut self, node: NodeId) -> Result<(), Error> {
        self.scratch.fleet.node(node)?;
        let members = self.members;
        for member in members.of_node(node.index()) {
            // A node that is new in the copy may stand where another one was removed.
            if member.hold.node == node && !self.scratch.marks[member.task as usize] {
                self.end(member.task)?;
            }
        }
        Ok(())
    }

    fn end(&mut self, task: u32) -> Result<(), Error> {
        self.scratch.marks[task as usize] = true;
        let (tasks, members) = (self.tasks, self.members);
        let first = tasks.at(task).map_or(u32::MAX, |entry| entry.first_member);
        members.of_task(first).try_for_each(|member| self.scratch.fleet.give(&member.hold))
    }
}

#[cfg(test)]
mod tests;
