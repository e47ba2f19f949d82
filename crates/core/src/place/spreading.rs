//! Replicas that keep apart, so that one failure does not take them all.
//!
//! # What it decides
//! Where a task of a group may stand ([`Spreading::domain_members_max`], a filter) and what it
//! costs to stand next to others of the group: `crowding_s * members there already * delay_value`.
//! Members of the same gang count. A task is held to what it asks for itself: another one of its
//! group that asks for less may still come to stand beside it.
//!
//! # Bounds and cost
//! Tasks that run are chained by a hash of their group, 16 bytes a task; for every task of a group
//! the members of the group are counted once, O(nodes + members of the group), and each member
//! placed adds O(nodes of its domain).

use alloc::boxed::Box;
use alloc::vec;

use super::Entry;
use super::domains::Domains;
use super::members::{Members, NONE};
use super::task::{Domain, Spreading};
use crate::fleet::Fleet;
use crate::handle::Slab;

/// 2^32 over the golden ratio: consecutive numbers land far from each other (Knuth, The Art of
/// Computer Programming 3, section 6.4).
const SCATTER: u32 = 2_654_435_769;

/// A task in the chain of its bucket.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Link {
    /// [`NONE`]: it is in no chain.
    bucket: u32,
    next: u32,
    last: u32,
}

/// Who is of which group, and how many members of one group stand where.
#[derive(Debug)]
pub(super) struct Crowds {
    /// First task of each bucket; their number is a power of two.
    first: Box<[u32]>,
    links: Box<[Link]>,
    /// Members of the group looked at in the domain of each node.
    counts: Box<[u32]>,
}

impl Crowds {
    pub(super) fn new(tasks_max: u32, nodes_max: u32) -> Self {
        let link = Link { bucket: NONE, next: NONE, last: NONE };
        Self {
            first: vec![NONE; tasks_max.next_power_of_two() as usize].into_boxed_slice(),
            links: vec![link; tasks_max as usize].into_boxed_slice(),
            counts: vec![0; nodes_max as usize].into_boxed_slice(),
        }
    }

    pub(super) const fn bytes_needed(tasks_max: u32, nodes_max: u32) -> u64 {
        let words = tasks_max.next_power_of_two() as u64 + nodes_max as u64;
        words * size_of::<u32>() as u64 + tasks_max as u64 * size_of::<Link>() as u64
    }

    fn bucket(&self, group: u32) -> u32 {
        let bits = self.first.len().trailing_zeros();
        group.wrapping_mul(SCATTER).checked_shr(u32::BITS - bits).unwrap_or(0)
    }

    /// The task with this index runs, and is of this group.
    pub(super) fn join(&mut self, index: u32, group: u32) {
        self.leave(index);
        if group != 0 {
            let bucket = self.bucket(group);
            let next = core::mem::replace(&mut self.first[bucket as usize], index);
            self.links[index as usize] = Link { bucket, next, last: NONE };
            if let Some(behind) = self.links.get_mut(next as usize) {
                behind.last = index;
            }
        }
    }

    /// The task with this index is gone.
    pub(super) fn leave(&mut self, index: u32) {
        let link = &mut self.links[index as usize];
        let Link { bucket, next, last } = *link;
        if bucket == NONE {
            return;
        }
        link.bucket = NONE;
        if let Some(behind) = self.links.get_mut(next as usize) {
            behind.last = last;
        }
        match self.links.get_mut(last as usize) {
            Some(before) => before.next = next,
            None => self.first[bucket as usize] = next,
        }
    }

    /// Counts the members of the group for every node's domain.
    pub(super) fn count(
        &mut self,
        of: &Spreading,
        fleet: &Fleet,
        domains: &Domains,
        tasks: &Slab<Entry>,
        members: &Members,
    ) {
        if of.group == 0 {
            return;
        }
        self.counts.fill(0);
        let first = self.first[self.bucket(of.group) as usize];
        let chain = core::iter::successors(Some(first), |at| {
            self.links.get(*at as usize).map(|link| link.next)
        });
        for entry in chain.map_while(|at| (at != NONE).then(|| tasks.at(at))).flatten() {
            if entry.task.spreading.group != of.group {
                continue;
            }
            for member in members.of_task(entry.first_member) {
                let run = domains.of(fleet, of.domain, member.hold.node.index());
                if let Some(first) = domains.nodes(run).next() {
                    self.counts[first as usize] += 1;
                }
            }
        }
        if of.domain == Domain::Node {
            return;
        }
        // What was counted at the first node of each domain holds for all of them.
        let mut begin = 0;
        while let Some(run) = domains.next(of.domain, begin) {
            begin = run.end;
            let count = domains.nodes(run).next().map_or(0, |first| self.counts[first as usize]);
            domains.nodes(run).for_each(|node| self.counts[node as usize] = count);
        }
    }

    /// One member of the group more on a node, or one less.
    pub(super) fn moved(
        &mut self,
        of: &Spreading,
        fleet: &Fleet,
        domains: &Domains,
        index: u32,
        came: bool,
    ) {
        if of.group != 0 {
            for node in domains.nodes(domains.of(fleet, of.domain, index)) {
                let count = &mut self.counts[node as usize];
                *count = if came { *count + 1 } else { count.saturating_sub(1) };
            }
        }
    }

    /// Members of the group that stand in the domain of a node.
    pub(super) fn at(&self, of: &Spreading, index: u32) -> u32 {
        if of.group == 0 { 0 } else { self.counts[index as usize] }
    }

    /// Whether one more may.
    pub(super) fn may(&self, of: &Spreading, index: u32) -> bool {
        of.domain_members_max == 0 || self.at(of, index) < of.domain_members_max
    }
}
