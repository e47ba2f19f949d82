//! Who holds what where: the members of every task, and of every node.

use alloc::boxed::Box;
use alloc::vec;

use crate::fleet::Hold;

/// The end of a list.
pub(super) const NONE: u32 = u32::MAX;

/// One member of a task, in the list of its task and in the list of its node.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Member {
    pub(super) hold: Hold,
    /// Index of its task.
    pub(super) task: u32,
    pub(super) next_of_task: u32,
    pub(super) next_of_node: u32,
    pub(super) last_of_node: u32,
}

/// All members, in one array; those not in use are a list of their own.
#[derive(Debug)]
pub(super) struct Members {
    members: Box<[Member]>,
    vacant: u32,
    len: u32,
    /// First member on the node with this index.
    of_node: Box<[u32]>,
}

impl Members {
    pub(super) fn new(members_max: u32, nodes_max: u32) -> Self {
        let member = |at: u32| Member {
            next_of_task: if at + 1 == members_max { NONE } else { at + 1 },
            ..Member::default()
        };
        Self {
            members: (0..members_max).map(member).collect(),
            vacant: if members_max == 0 { NONE } else { 0 },
            len: 0,
            of_node: vec![NONE; nodes_max as usize].into_boxed_slice(),
        }
    }

    pub(super) const fn bytes_needed(members_max: u32, nodes_max: u32) -> u64 {
        members_max as u64 * size_of::<Member>() as u64 + nodes_max as u64 * size_of::<u32>() as u64
    }

    /// Members in use.
    pub(super) const fn len(&self) -> u32 {
        self.len
    }

    /// Members that could be in use.
    pub(super) const fn capacity(&self) -> u32 {
        self.members.len() as u32
    }

    /// Puts a hold in front of the list of its task (`first`) and of its node; `false` if full.
    pub(super) fn push(&mut self, first: &mut u32, task: u32, hold: Hold) -> bool {
        let at = self.vacant;
        let Some(member) = self.members.get_mut(at as usize) else { return false };
        self.vacant = member.next_of_task;
        let of_node = &mut self.of_node[hold.node.index() as usize];
        *member =
            Member { hold, task, next_of_task: *first, next_of_node: *of_node, last_of_node: NONE };
        let behind = core::mem::replace(of_node, at);
        *first = at;
        self.len += 1;
        if let Some(behind) = self.members.get_mut(behind as usize) {
            behind.last_of_node = at;
        }
        true
    }

    /// Takes the first of a task's list out.
    pub(super) fn pop(&mut self, first: &mut u32) -> Option<Hold> {
        let at = *first;
        let Member { hold, next_of_task, next_of_node, last_of_node, .. } =
            *self.members.get(at as usize)?;
        if let Some(behind) = self.members.get_mut(next_of_node as usize) {
            behind.last_of_node = last_of_node;
        }
        match self.members.get_mut(last_of_node as usize) {
            Some(before) => before.next_of_node = next_of_node,
            None => self.of_node[hold.node.index() as usize] = next_of_node,
        }
        self.members[at as usize].next_of_task = self.vacant;
        self.vacant = at;
        *first = next_of_task;
        self.len -= 1;
        Some(hold)
    }

    /// The member at this position; for a whole list that changes meanwhile.
    pub(super) fn at(&self, at: u32) -> Option<&Member> {
        self.members.get(at as usize)
    }

    /// The members of the task whose list begins at `first`, the last one placed first.
    pub(super) fn of_task(&self, first: u32) -> impl Iterator<Item = &Member> {
        let at = |at: u32| self.members.get(at as usize);
        core::iter::successors(at(first), move |member| at(member.next_of_task))
    }

    /// The members on the node with this index, the last one placed first.
    pub(super) fn of_node(&self, index: u32) -> impl Iterator<Item = &Member> {
        let at = |at: u32| self.members.get(at as usize);
        let first = self.of_node.get(index as usize).copied().unwrap_or(NONE);
        core::iter::successors(at(first), move |member| at(member.next_of_node))
    }
}
