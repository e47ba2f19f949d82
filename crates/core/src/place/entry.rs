//! What a placer knows of a task.

use super::TaskId;
use super::lost_work::Ends;
use super::members::NONE;
use super::price::Price;
use super::task::Task;
use crate::fleet::Lack;
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
