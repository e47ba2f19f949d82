//! What a placer knows of a task.

use super::TaskId;
use super::lost_work::Ends;
use super::members::NONE;
use super::price::Price;
use super::task::Task;
use crate::error::Error;
use crate::fleet::Lack;
use crate::snapshot::{Words, ensure};
use crate::units::Nanos;

/// How far a task has come.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[cfg_attr(feature = "document", derive(serde::Serialize, serde::Deserialize))]
pub enum Stage {
    /// It waits for a cycle to start it.
    #[default]
    Pending,
    /// It holds what it was given.
    Running,
    /// It holds what it was given, and was told to end for somebody else.
    Ending,
}

/// What a placer knows of a task.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// What it asked for.
    pub task: Task,
    /// How far it has come.
    pub stage: Stage,
    /// When it came.
    pub submitted: Nanos,
    /// When it started, unless it is pending.
    pub started: Nanos,
    /// Members that it has.
    pub members_len: u32,
    /// What its placement costs.
    pub price: Price,
    pub(super) first_member: u32,
    pub(super) ends: Ends,
}

impl Entry {
    /// A task that has just come.
    pub(super) fn pending(now: Nanos, task: &Task) -> Self {
        Self {
            task: *task,
            stage: Stage::Pending,
            submitted: now,
            started: now,
            members_len: 0,
            price: Price::default(),
            first_member: NONE,
            ends: Ends::default(),
        }
    }

    /// Tells itself as 34 words; its members are for others to tell.
    pub(super) fn save_state(&self, save: &mut dyn FnMut(u64)) {
        let Self { task, stage, submitted, started, members_len, price, first_member: _, ends } =
            self;
        task.save_state(save);
        for word in [*stage as u64, submitted.get(), started.get(), (*members_len).into()] {
            save(word);
        }
        price.save_state(save);
        ends.save_state(save);
    }

    /// Takes what was told.
    pub(super) fn load_state(words: &mut Words<'_>) -> Result<Self, Error> {
        let task = Task::load_state(words)?;
        let stages = [Stage::Pending, Stage::Running, Stage::Ending];
        let stage = stages[words.next_within("stage", 0, 2)? as usize];
        Ok(Self {
            task,
            stage,
            submitted: Nanos(words.next()?),
            started: Nanos(words.next()?),
            members_len: words.next_u32("members_len")?,
            price: Price::load_state(words)?,
            first_member: NONE,
            ends: Ends::load_state(words)?,
        })
    }

    /// `Ok` if what was taken can be at `now`: it has as many members as it may have.
    pub(super) fn check_restored(
        &self,
        now: Nanos,
        classes: u32,
        members_max: u32,
    ) -> Result<(), Error> {
        self.task.check(classes, members_max)?;
        let (least, most) = match self.stage {
            Stage::Pending => (0, 0),
            Stage::Running | Stage::Ending => (self.task.members_needed(), self.task.members),
        };
        ensure((least..=most).contains(&self.members_len))?;
        ensure(self.submitted <= now && self.started <= now && self.ends.saved <= now)
    }

    /// Thousandths of devices that its members hold.
    pub(super) fn gpu_milli(&self) -> u64 {
        u64::from(self.task.member.gpu_milli()) * u64::from(self.members_len)
    }
}

/// What [`super::Placer::place`] decided.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Placed {
    /// It runs, from now on.
    Running {
        /// The task.
        task: TaskId,
        /// Members placed, at the front of the caller's array.
        members_len: u32,
        /// What that costs.
        price: Price,
    },
    /// Nothing can take it now; it is forgotten.
    NoRoom {
        /// What the node that came closest lacks; [`Lack::Topology`] where there is room, but
        /// not in one domain.
        lack: Lack,
    },
}
