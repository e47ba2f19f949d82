//! Members that start together, or not at all.
//!
//! # What it decides
//! A task starts with all its members, or with as many as find room if that is enough
//! ([`Task::members_needed`]); else everything is as it was before, to the last bit.
//!
//! # How
//! One member after the other goes to its cheapest node; what a member takes is taken at once, so
//! that the next one sees it. To try something is to do it and to undo it: what went in last comes
//! out first, which leaves no trace in the lists either.
//!
//! # Bounds and cost
//! O(members * nodes); with a wish for one domain as `links` says.
//!
//! # What it is bad at
//! One member after the other is not the best for all of them together.

use super::choose::Choice;
use super::domains::Run;
use super::members::NONE;
use super::price::Price;
use super::task::Task;
use super::{Placer, TaskId};
use crate::error::Error;
use crate::fleet::{Hold, Lack};

/// What slows a gang already: it begins with its last member and goes at the pace of its slowest.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Pace {
    /// A member must load its artifact.
    pub(super) cold: bool,
    /// Members are in several of the domains that they should be in one of.
    pub(super) apart: bool,
    /// The devices of a member are in several link groups.
    pub(super) crossing: bool,
    /// Largest share of the run time that a member loses for its neighbours.
    pub(super) interference_ratio: f64,
}

/// A task on its way, and the members that it has so far.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gang<'a> {
    pub(super) task: &'a Task,
    /// Of the task.
    pub(super) index: u32,
    pub(super) first_member: u32,
    pub(super) members_len: u32,
    /// Of the members placed since it was looked at.
    pub(super) price: Price,
    pub(super) pace: Pace,
}

impl<'a> Gang<'a> {
    /// Without members.
    pub(super) fn new(task: &'a Task, index: u32) -> Self {
        Self {
            task,
            index,
            first_member: NONE,
            members_len: 0,
            price: Price::default(),
            pace: Pace::default(),
        }
    }
}

impl Placer {
    /// Starts a pending task, or changes nothing and says what is in the way: what the node that
    /// came closest lacks, or [`Lack::Devices`] where there is no place left in the list of
    /// members.
    pub(super) fn start(&mut self, id: TaskId) -> Result<Result<(), Lack>, Error> {
        let task = self.tasks.get(id)?.task;
        let (needed, vacant) = (task.members_needed(), self.members.vacant_len());
        if vacant < needed {
            return Ok(Err(Lack::Devices));
        }
        self.look_around(&task);
        let mut gang = Gang::new(&task, id.index());
        if let Err(lack) = self.place_gang(&mut gang, needed, task.members.min(vacant))? {
            return Ok(Err(lack));
        }
        self.set_running(id, &gang)?;
        Ok(Ok(()))
    }

    /// Whether a pending task would start now: it is placed, and taken back.
    pub(super) fn would_start(&mut self, id: TaskId) -> Result<bool, Error> {
        let task = self.tasks.get(id)?.task;
        let needed = task.members_needed();
        if self.members.vacant_len() < needed {
            return Ok(false);
        }
        self.look_around(&task);
        let before = Gang::new(&task, id.index());
        let mut gang = before;
        if self.place_gang(&mut gang, needed, needed)?.is_err() {
            return Ok(false);
        }
        self.undo(&mut gang, &before)?;
        Ok(true)
    }

    /// Before nodes are compared for a task: what of the placer is worked out for it alone.
    pub(super) fn look_around(&mut self, task: &Task) {
        self.domains.refresh(&self.fleet);
        self.tenant = self.average_tenant();
        let Self { crowds, fleet, domains, tasks, members, .. } = self;
        crowds.count(&task.spreading, fleet, domains, tasks, members);
    }

    /// The members of a list from `first` on until `end` have loaded their artifact.
    pub(super) fn warm_members(&mut self, first: u32, end: u32, artifact: u32) {
        let mut at = first;
        while let Some(member) = self.members.at(at).filter(|_| at != end) {
            self.warm.used(member.hold.node.index(), artifact);
            at = member.next_of_task;
        }
    }

    /// Places members of a gang in a domain until it has as many as wanted; else says what is in
    /// the way, and those that found room stay.
    pub(super) fn fill(
        &mut self,
        gang: &mut Gang<'_>,
        wanted: u32,
        run: Run,
    ) -> Result<Option<Lack>, Error> {
        while gang.members_len < wanted {
            match self.choose(gang, run) {
                Ok(choice) => self.add(gang, &choice)?,
                Err(lack) => return Ok(Some(lack)),
            }
        }
        Ok(None)
    }

    fn add(&mut self, gang: &mut Gang<'_>, choice: &Choice) -> Result<(), Error> {
        let hold = self.fleet.take(choice.node, &gang.task.member, choice.devices)?;
        self.keep(gang, hold)?;
        gang.price = gang.price.plus(&choice.price);
        gang.pace = choice.pace;
        Ok(())
    }

    /// What was taken is a member of the gang from now on.
    pub(super) fn keep(&mut self, gang: &mut Gang<'_>, hold: Hold) -> Result<(), Error> {
        if !self.members.push(&mut gang.first_member, gang.index, hold) {
            self.fleet.give(&hold)?;
            return Err(Error::Full { field: "members", capacity: self.members.capacity().into() });
        }
        self.moved(gang.task, hold.node.index(), true);
        gang.members_len += 1;
        Ok(())
    }

    /// Takes members back until the gang is as it was.
    pub(super) fn undo<'a>(&mut self, gang: &mut Gang<'a>, before: &Gang<'a>) -> Result<(), Error> {
        while gang.members_len > before.members_len {
            let Some(hold) = self.members.pop(&mut gang.first_member) else { break };
            gang.members_len -= 1;
            self.fleet.give(&hold)?;
            self.moved(gang.task, hold.node.index(), false);
        }
        *gang = *before;
        Ok(())
    }

    /// A member of a task came to a node, or left it.
    pub(super) fn moved(&mut self, task: &Task, index: u32, came: bool) {
        self.stranding.changed(&self.fleet, &self.members, index);
        self.crowds.moved(&task.spreading, &self.fleet, &self.domains, index, came);
    }
}
