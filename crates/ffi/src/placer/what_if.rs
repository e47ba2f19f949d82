//! What if a node came, or failed, or a task were gone?

use rampmeter::Nanos;
use rampmeter::fleet::NodeId;
use rampmeter::place::TaskId;
use rampmeter::place::what_if::{Change, WhatIf};

use super::fleet::with_node;
use super::life::holds_mut;
use super::tasks::taken_task;
use super::{
    beyond, none_set, rampmeter_hold, rampmeter_node, rampmeter_placer, rampmeter_task,
    rampmeter_totals,
};
use crate::boundary::{Outcome, change};
use crate::error::rampmeter_error;
use crate::memory::{Out, OutSized, array, array_mut, versioned};
use crate::status::rampmeter_status;

/// Most tasks that one call of rampmeter_placer_what_if() asks about.
pub const RAMPMETER_WHAT_IF_TASKS_MAX: usize = 64;

/// Something that might happen: a node comes.
pub const RAMPMETER_IF_ADD_NODE: u32 = 1;
/// A node goes; tasks with a member on it end.
pub const RAMPMETER_IF_REMOVE_NODE: u32 = 2;
/// A node is lost; tasks with a member on it end.
pub const RAMPMETER_IF_FAIL_NODE: u32 = 3;
/// Nothing more starts on a node.
pub const RAMPMETER_IF_DRAIN_NODE: u32 = 4;
/// A node may be given work again.
pub const RAMPMETER_IF_RETURN_NODE: u32 = 5;
/// A task ends.
pub const RAMPMETER_IF_RELEASE: u32 = 6;
/// A task starts, with as many members as find room.
pub const RAMPMETER_IF_PLACE: u32 = 7;

/// Something that might happen. Set all of it to 0, then what it is.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_if {
    /// RAMPMETER_IF_...
    pub kind: u32,
    /// Must be 0.
    pub reserved: u32,
    /// Handle of the node or task that is there already; not read for one that comes or starts.
    pub handle: u64,
    /// The node that comes; else not read.
    pub node: *const rampmeter_node,
    /// The task that starts; else not read.
    pub task: *const rampmeter_task,
}

/// What would be. Set `size` before.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_what_if {
    /// Bytes of this structure as the caller knows it.
    pub size: u32,
    /// Tasks of RAMPMETER_IF_PLACE that found no room.
    pub not_placed: u32,
    /// What would be there.
    pub total: rampmeter_totals,
    /// What of that would be free.
    pub free: rampmeter_totals,
}
versioned!(rampmeter_what_if, 72);

impl rampmeter_if {
    /// Lets it happen on the copy.
    ///
    /// # Safety
    /// As [`with_node`] and [`taken_task`].
    unsafe fn happen(&self, what_if: &mut WhatIf<'_>) -> Outcome {
        none_set("changes[].reserved", self.reserved.into())?;
        let node = NodeId::from_raw(self.handle);
        let change = match self.kind {
            RAMPMETER_IF_ADD_NODE => {
                // SAFETY: passed on.
                return unsafe {
                    with_node(self.node, |spec| what_if.change(&Change::AddNode(*spec)))
                };
            }
            RAMPMETER_IF_PLACE => {
                // SAFETY: passed on.
                let task = unsafe { taken_task(self.task)? };
                return Ok(what_if.change(&Change::Place(&task))?);
            }
            RAMPMETER_IF_REMOVE_NODE => Change::RemoveNode(node),
            RAMPMETER_IF_FAIL_NODE => Change::FailNode(node),
            RAMPMETER_IF_DRAIN_NODE => Change::DrainNode(node),
            RAMPMETER_IF_RETURN_NODE => Change::ReturnNode(node),
            RAMPMETER_IF_RELEASE => Change::Release(TaskId::from_raw(self.handle)),
            other => return Err(beyond("changes[].kind", other.into(), 7)),
        };
        Ok(what_if.change(&change)?)
    }
}

/// What would be if all `changes` happened, one after the other, on a copy of the fleet that nobody
/// else sees: `answer` says what would be free, and `members_fit` for each of `tasks` how many of its
/// members would then find room, at most as many as it wants; each is asked about as if the others
/// did not come. Nodes that come have no handle. Not for the hot path: the fleet is copied.
///
/// Fails: E_STALE (also what is gone already), E_RANGE, E_RANGE_REAL, E_FULL, E_CONTRADICTION,
/// E_TIME_REVERSED, E_SIZE, E_TOO_NEW, E_POINTER. Allocates: no. Blocks: no. Threads: one at a time
/// for each placer. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_placer_what_if(
    placer: *mut rampmeter_placer,
    now_ns: u64,
    changes: *const rampmeter_if,
    changes_len: usize,
    tasks: *const *const rampmeter_task,
    tasks_len: usize,
    answer: *mut rampmeter_what_if,
    members_fit: *mut u32,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change(placer, error, |placer| {
            let out = OutSized::new(answer, "answer")?;
            let changes = array(changes, changes_len, "changes")?;
            let tasks = array(tasks, tasks_len, "tasks")?;
            if tasks.len() > RAMPMETER_WHAT_IF_TASKS_MAX {
                let (value, max) = (tasks_len as u64, RAMPMETER_WHAT_IF_TASKS_MAX as u64);
                return Err(beyond("tasks_len", value, max));
            }
            let members_fit = array_mut(members_fit, tasks_len, "members_fit")?;
            let mut what_if = placer.what_if(Nanos(now_ns), &[])?;
            changes.iter().try_for_each(|change| change.happen(&mut what_if))?;
            let fleet = what_if.fleet();
            let told = rampmeter_what_if {
                size: 0,
                not_placed: what_if.not_placed(),
                total: fleet.total().into(),
                free: fleet.free().into(),
            };
            // Kept here until none can fail any more.
            let mut fit = [0; RAMPMETER_WHAT_IF_TASKS_MAX];
            for (fit, task) in fit.iter_mut().zip(tasks) {
                *fit = what_if.members_fit(&taken_task(*task)?)?;
            }
            members_fit.copy_from_slice(&fit[..tasks_len]);
            out.set(told);
            Ok(())
        })
    }
}

/// Where a task would start if all `changes` happened: what its members would hold goes to the front
/// of `out`, which needs as many places as members are wanted; `*members_len` says how many; 0: there
/// would be fewer than it needs. Otherwise as rampmeter_placer_what_if().
///
/// Fails: as there, and E_BUFFER_TOO_SMALL. And so on: as there. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_placer_place_if(
    placer: *mut rampmeter_placer,
    now_ns: u64,
    changes: *const rampmeter_if,
    changes_len: usize,
    task: *const rampmeter_task,
    out: *mut rampmeter_hold,
    capacity: usize,
    members_len: *mut u32,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change(placer, error, |placer| {
            let len = Out::new(members_len, "members_len")?;
            let (task, out) = (taken_task(task)?, holds_mut(out, capacity)?);
            let changes = array(changes, changes_len, "changes")?;
            let mut what_if = placer.what_if(Nanos(now_ns), &[])?;
            changes.iter().try_for_each(|change| change.happen(&mut what_if))?;
            len.set(what_if.place(&task, out)?);
            Ok(())
        })
    }
}
