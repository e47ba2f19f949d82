//! One node from now on: what of it is free when, if everything ends when it should.
//!
//! # What it decides
//! How many members of a task a node can take from some time on, with every promise on it kept.
//!
//! # Formula
//! ```text
//! end of a running task   started + duration            unknown duration: never
//!   that is over it       now + (now - that)            as much longer as it is over already
//!   that was told to end  now
//! ```
//! Time passes from one start of a promise to the next. What has ended by then is given back, then
//! the members of the promise are put where the fleet would put them, until they end.
//!
//! # Bounds and cost
//! O(promises there * (promises + members there)). A node is copied to the stack. At most
//! [`PLAYED_MAX`] members that are promised something are played at once; with more, the answer is
//! no.

use super::task::Task;
use super::{Entry, Placer, Stage};
use crate::fleet::{
    DEVICES_PER_NODE_MAX, Demand, Device, DeviceChoice, Hold, Node, NodeId, give_to, hold_of,
    take_from,
};
use crate::units::Nanos;

/// Members with a promise that are played on one node at once: 16 devices in 8 parts each.
const PLAYED_MAX: usize = 128;

/// Whoever wants to go on the node.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate<'a> {
    pub(super) demand: &'a Demand,
    /// The devices, for one member; `None`: those that the fleet would choose.
    pub(super) devices: Option<DeviceChoice>,
    pub(super) starts: Nanos,
    pub(super) ends: Nanos,
    /// How many members at most.
    pub(super) members: u32,
}

/// When a member that is played ends, and what it holds.
type Played = (Nanos, Hold);

#[derive(Debug)]
pub(super) struct Timeline<'a> {
    placer: &'a Placer,
    id: NodeId,
    node: Node,
    devices: [Device; DEVICES_PER_NODE_MAX as usize],
    /// What ends by then is given back.
    at: Option<Nanos>,
    played: [Played; PLAYED_MAX],
    played_len: usize,
    /// Members of the candidate that found room.
    pub(super) put_len: u32,
}

/// When a task that starts now ends.
pub(super) fn end_of(starts: Nanos, task: &Task) -> Nanos {
    if task.duration == Nanos::ZERO {
        return Nanos::MAX;
    }
    let warm_up = if task.artifact == 0 { Nanos::ZERO } else { task.warm_up };
    starts.saturating_add(warm_up).saturating_add(task.duration)
}

/// When a task that holds something, or is just being given it, is expected to end.
pub(super) fn expected_end(now: Nanos, entry: &Entry) -> Nanos {
    match entry.stage {
        Stage::Ending => now,
        Stage::Pending => end_of(now, &entry.task),
        Stage::Running => {
            let ends = end_of(entry.started, &entry.task);
            ends.max(now.saturating_add(now.saturating_sub(ends)))
        }
    }
}

impl<'a> Timeline<'a> {
    /// The node with this index as it is now; `None` if there is none.
    pub(super) fn new(placer: &'a Placer, index: u32) -> Option<Self> {
        let fleet = &placer.fleet;
        let (id, node) = (fleet.id_at(index)?, *fleet.at(index)?);
        let mut devices = [Device::default(); DEVICES_PER_NODE_MAX as usize];
        let there = fleet.devices_at(index);
        devices[..there.len()].copy_from_slice(there);
        let played = [(Nanos::MAX, Hold::default()); PLAYED_MAX];
        Some(Self { placer, id, node, devices, at: None, played, played_len: 0, put_len: 0 })
    }

    /// How many members of the candidate find room if all promises are kept; `None`: not all are,
    /// with that many.
    pub(super) fn play(&mut self, candidate: &Candidate<'_>) -> Option<u32> {
        let promises = &self.placer.promises;
        let now = self.placer.now;
        let (mut last, mut is_put) = (None, false);
        loop {
            let next = promises
                .on_node(self.id.index())
                .map(|(promise, members)| ((promise.starts, promise.number), promise, members))
                .filter(|(order, ..)| last.is_none_or(|last| *order > last))
                .min_by_key(|(order, ..)| *order);
            let starts = next.map_or(Nanos::MAX, |(_, promise, _)| promise.starts.max(now));
            // Of those with the same start, whoever has the devices already goes first.
            let is_turn = candidate.devices.is_some() || starts > candidate.starts;
            if !is_put && (is_turn || next.is_none()) {
                self.put_candidate(candidate, next.is_some());
                is_put = true;
            }
            let Some((order, promise, members)) = next else { return Some(self.put_len) };
            self.advance(starts);
            for _ in 0..members {
                self.put(&promise.demand, None, promise.ends, true).then_some(())?;
            }
            last = Some(order);
        }
    }

    fn put_candidate(&mut self, candidate: &Candidate<'_>, is_watched: bool) {
        self.advance(candidate.starts);
        while self.put_len < candidate.members
            && self.put(candidate.demand, candidate.devices, candidate.ends, is_watched)
        {
            self.put_len += 1;
        }
    }

    /// Puts one member on the node, if there is room; if it is watched, until it ends.
    fn put(
        &mut self,
        demand: &Demand,
        devices: Option<DeviceChoice>,
        ends: Nanos,
        is_watched: bool,
    ) -> bool {
        let len = usize::from(self.node.devices_len);
        let here = &mut self.devices[..len];
        let fleet = &self.placer.fleet;
        let choice = devices.or_else(|| fleet.choose_on(&self.node, here, demand).ok());
        let Some(choice) = choice else { return false };
        let hold = hold_of(self.id, demand, choice);
        if is_watched {
            let Some(place) = self.played.get_mut(self.played_len) else { return false };
            *place = (ends, hold);
            self.played_len += 1;
        }
        take_from(&mut self.node, here, &hold);
        true
    }

    /// Gives back what ends by `to`, and did not before.
    fn advance(&mut self, to: Nanos) {
        let Placer { members, tasks, now, .. } = self.placer;
        let here = &mut self.devices[..usize::from(self.node.devices_len)];
        for member in members.of_node(self.id.index()) {
            let Some(entry) = tasks.at(member.task) else { continue };
            let ends = expected_end(*now, entry);
            if ends <= to && self.at.is_none_or(|at| ends > at) {
                give_to(&mut self.node, here, &member.hold);
            }
        }
        let mut at = 0;
        while at < self.played_len {
            let (ends, hold) = self.played[at];
            if ends <= to {
                give_to(&mut self.node, here, &hold);
                self.played_len -= 1;
                self.played[at] = self.played[self.played_len];
            } else {
                at += 1;
            }
        }
        self.at = Some(to);
    }
}
