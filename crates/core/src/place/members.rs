//! Who holds what where: the members of every task, and of every node.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use crate::error::Error;
use crate::fleet::{Demand, DeviceChoice, Fleet, Hold, NodeId};
use crate::snapshot::{Words, ensure, pair};

/// The end of a list.
pub(super) const NONE: u32 = u32::MAX;

/// One member of a task, in the list of its task and in the list of its node.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Member {
    pub(super) hold: Hold,
    /// Index of its task.
    pub(super) task: u32,
    pub(super) next_of_task: u32,
    /// The one before it in the list of its task; so too for its node.
    pub(super) last_of_task: u32,
    pub(super) next_of_node: u32,
    pub(super) last_of_node: u32,
}

/// All members, in one array; those not in use are a list of their own.
#[derive(Debug)]
pub(super) struct Members {
    all: Box<[Member]>,
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
            all: (0..members_max).map(member).collect(),
            vacant: if members_max == 0 { NONE } else { 0 },
            len: 0,
            of_node: vec![NONE; nodes_max as usize].into_boxed_slice(),
        }
    }

    pub(super) const fn bytes_needed(members_max: u32, nodes_max: u32) -> u64 {
        members_max as u64 * size_of::<Member>() as u64 + nodes_max as u64 * size_of::<u32>() as u64
    }

    /// Members that could be in use.
    pub(super) const fn capacity(&self) -> u32 {
        self.all.len() as u32
    }

    /// Members in use.
    pub(super) const fn len(&self) -> u32 {
        self.len
    }

    /// Members that could still come into use.
    pub(super) const fn vacant_len(&self) -> u32 {
        self.capacity() - self.len
    }

    /// Puts a hold in front of the list of its task (`first`) and of its node; `false` if full.
    pub(super) fn push(&mut self, first: &mut u32, task: u32, hold: Hold) -> bool {
        let at = self.vacant;
        let Some(member) = self.all.get_mut(at as usize) else { return false };
        self.vacant = member.next_of_task;
        let of_node = &mut self.of_node[hold.node.index() as usize];
        *member = Member {
            hold,
            task,
            next_of_task: *first,
            last_of_task: NONE,
            next_of_node: *of_node,
            last_of_node: NONE,
        };
        let of_node_behind = core::mem::replace(of_node, at);
        let of_task_behind = core::mem::replace(first, at);
        self.len += 1;
        if let Some(behind) = self.all.get_mut(of_node_behind as usize) {
            behind.last_of_node = at;
        }
        if let Some(behind) = self.all.get_mut(of_task_behind as usize) {
            behind.last_of_task = at;
        }
        true
    }

    /// Takes the first of a task's list out. What was put in last and is taken out first leaves
    /// no trace.
    pub(super) fn pop(&mut self, first: &mut u32) -> Option<Hold> {
        self.remove(first, *first)
    }

    /// Takes the member at a place out of the list that begins at `first`.
    pub(super) fn remove(&mut self, first: &mut u32, at: u32) -> Option<Hold> {
        let Member { hold, next_of_task, last_of_task, next_of_node, last_of_node, .. } =
            *self.all.get(at as usize)?;
        if let Some(behind) = self.all.get_mut(next_of_node as usize) {
            behind.last_of_node = last_of_node;
        }
        match self.all.get_mut(last_of_node as usize) {
            Some(before) => before.next_of_node = next_of_node,
            None => self.of_node[hold.node.index() as usize] = next_of_node,
        }
        if let Some(behind) = self.all.get_mut(next_of_task as usize) {
            behind.last_of_task = last_of_task;
        }
        match self.all.get_mut(last_of_task as usize) {
            Some(before) => before.next_of_task = next_of_task,
            None => *first = next_of_task,
        }
        self.all[at as usize].next_of_task = self.vacant;
        self.vacant = at;
        self.len -= 1;
        Some(hold)
    }

    /// The member at a place.
    pub(super) fn at(&self, at: u32) -> Option<&Member> {
        self.all.get(at as usize)
    }

    /// The member at a place holds something else on the same node.
    pub(super) fn replace(&mut self, at: u32, hold: Hold) {
        debug_assert_eq!(self.all[at as usize].hold.node, hold.node, "it stays where it is");
        self.all[at as usize].hold = hold;
    }

    /// The members of the task whose list begins at `first`, the last one placed first.
    pub(super) fn of_task(&self, first: u32) -> impl Iterator<Item = &Member> {
        let at = |at: u32| self.all.get(at as usize);
        core::iter::successors(at(first), move |member| at(member.next_of_task))
    }

    /// The members on the node with this index, the last one placed first.
    pub(super) fn of_node(&self, index: u32) -> impl Iterator<Item = &Member> {
        let at = |at: u32| self.all.get(at as usize);
        let first = self.of_node.get(index as usize).copied().unwrap_or(NONE);
        core::iter::successors(at(first), move |member| at(member.next_of_node))
    }
}

/// As words: the lists, in order. What a member holds follows from what its task asks for and from
/// where it is; places in the array are given anew.
impl Members {
    /// Tells the members of the task whose list begins at `first`, 2 words each. O(members there)
    /// for each of them.
    pub(super) fn save_state(&self, first: u32, save: &mut dyn FnMut(u64)) {
        for member in self.of_task(first) {
            let Hold { node, devices, slices, .. } = member.hold;
            let next = |at: u32| self.all.get(at as usize);
            let behind = core::iter::successors(next(member.next_of_node), |behind| {
                next(behind.next_of_node)
            });
            save(node.to_raw());
            save(pair(u32::from(devices) | u32::from(slices) << 16, behind.count() as u32));
        }
    }

    /// Takes so many members of a task, told in the order of their list, and returns the first.
    /// [`Members::find_nodes`] is to follow.
    pub(super) fn load_state(
        &mut self,
        words: &mut Words<'_>,
        fleet: &Fleet,
        task: u32,
        demand: &Demand,
        len: u32,
    ) -> Result<u32, Error> {
        ensure(len > 0 && len <= self.vacant_len())?;
        let (first, end) = (self.len, self.len + len);
        for at in first..end {
            let node = NodeId::from_raw(words.next()?);
            let (place, behind) = words.next_pair()?;
            ensure(place >> 24 == 0)?;
            let place = DeviceChoice { devices: place as u16, slices: (place >> 16) as u8 };
            self.all[at as usize] = Member {
                hold: fleet.held_on(node, demand, place)?,
                task,
                next_of_task: if at + 1 == end { NONE } else { at + 1 },
                last_of_task: if at == first { NONE } else { at - 1 },
                // How many are behind it, until the lists of the nodes are made.
                next_of_node: behind,
                last_of_node: NONE,
            };
        }
        self.len = end;
        self.vacant = if end == self.capacity() { NONE } else { end };
        Ok(first)
    }

    /// Makes the lists of the nodes, of members that were just taken.
    pub(super) fn find_nodes(&mut self) -> Result<(), Error> {
        let found = self.all[..self.len as usize].iter().zip(0..);
        let mut order: Vec<(u32, u32, u32)> =
            found.map(|(m, at)| (m.hold.node.index(), m.next_of_node, at)).collect();
        order.sort_unstable();
        let (mut node_before, mut len) = (NONE, 0);
        for (node, behind, at) in order {
            len = if node == node_before { len + 1 } else { 0 };
            node_before = node;
            ensure(behind == len)?;
            let next_of_node = core::mem::replace(&mut self.of_node[node as usize], at);
            self.all[at as usize].next_of_node = next_of_node;
            if let Some(next) = self.all.get_mut(next_of_node as usize) {
                next.last_of_node = at;
            }
        }
        Ok(())
    }

    /// All that is held.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Hold> {
        let lists = self.of_node.iter().map(|first| self.all.get(*first as usize));
        lists.flat_map(|first| {
            core::iter::successors(first, |member| self.all.get(member.next_of_node as usize))
                .map(|member| &member.hold)
        })
    }
}
