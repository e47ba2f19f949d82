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
//! a member of the promise is put on the devices of its plan, or, where all is planned anew, on
//! those that the fleet would choose, until it ends.
//!
//! # Bounds and cost
//! O(promised members there * (promised + running members there)). A node is copied to the stack.
//! At most [`PLAYED_MAX`] promised members are played; with more, the answer is no.

use super::{Entry, Placer, Stage};
use crate::fleet::NodeId;
use crate::fleet::{
    DEVICES_PER_NODE_MAX, Demand, Device, DeviceChoice, DeviceDemand, Hold, ModelSet, Node,
    check_free, give_to, take_from,
};
use crate::units::Nanos;

/// Members with a promise that are played on one node at once: 16 devices in 8 parts each.
pub(super) const PLAYED_MAX: usize = 128;

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

impl Candidate<'_> {
    /// Nobody wants to go there: only the promises are played.
    pub(super) const NOBODY: Candidate<'static> = Candidate {
        demand: &Demand {
            cpu_milli: 0,
            memory_mib: 0,
            devices: DeviceDemand::None,
            models: ModelSet::ANY,
            one_link_group: false,
        },
        devices: None,
        starts: Nanos::ZERO,
        ends: Nanos::ZERO,
        members: 0,
    };
}

/// On which devices promised members go.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Planning {
    /// Those that are planned; where none are, those that the fleet would choose.
    Kept,
    /// Those that the fleet would choose.
    Anew,
}

/// When a member that is played ends, and what it holds.
type Played = (Nanos, Hold);

/// A copy of a node, to take from and give back to.
#[derive(Debug)]
struct View<'a> {
    placer: &'a Placer,
    id: NodeId,
    node: Node,
    devices: [Device; DEVICES_PER_NODE_MAX as usize],
}

#[derive(Debug)]
pub(super) struct Timeline<'a> {
    view: View<'a>,
    /// What ends by then is given back.
    at: Option<Nanos>,
    played: [Played; PLAYED_MAX],
    played_len: usize,
    planning: Planning,
    /// Where each promised member went.
    plan: [(u32, DeviceChoice); PLAYED_MAX],
    plan_len: usize,
    /// Members of the candidate that found room.
    put_len: u32,
}

/// What came of it: all promises are kept.
#[derive(Debug)]
pub(super) struct Outcome {
    /// Members of the candidate that found room.
    pub(super) put_len: u32,
    plan: [(u32, DeviceChoice); PLAYED_MAX],
    plan_len: usize,
}

impl Outcome {
    /// Promised members, by place, and the devices that they have.
    pub(super) fn plan(&self) -> &[(u32, DeviceChoice)] {
        self.plan.get(..self.plan_len).unwrap_or_default()
    }
}

/// When a task that holds something, or is just being given it, is expected to end.
pub(super) fn expected_end(now: Nanos, entry: &Entry) -> Nanos {
    match entry.stage {
        Stage::Ending => now,
        Stage::Pending => entry.task.ends(now),
        Stage::Running => {
            let ends = entry.task.ends(entry.started);
            ends.max(now.saturating_add(now.saturating_sub(ends)))
        }
    }
}

/// Members that the node with this index takes, where nothing is promised.
pub(super) fn takes_alone(placer: &Placer, index: u32, candidate: &Candidate<'_>) -> u32 {
    let Some(mut view) = View::new(placer, index) else { return 0 };
    view.give_running(None, candidate.starts);
    let mut takes = 0;
    while takes < candidate.members && view.put(candidate.demand, None).is_some() {
        takes += 1;
    }
    takes
}

impl<'a> View<'a> {
    /// The node with this index as it is now; `None` if there is none.
    fn new(placer: &'a Placer, index: u32) -> Option<Self> {
        let fleet = &placer.fleet;
        let (id, node) = (fleet.id_at(index)?, *fleet.at(index)?);
        let mut devices = [Device::default(); DEVICES_PER_NODE_MAX as usize];
        let there = fleet.devices_at(index);
        devices[..there.len()].copy_from_slice(there);
        Some(Self { placer, id, node, devices })
    }

    /// Gives back what runs now and ends by `to`, but not by `after`.
    fn give_running(&mut self, after: Option<Nanos>, to: Nanos) {
        let Placer { members, tasks, now, .. } = self.placer;
        for member in members.of_node(self.id.index()) {
            let Some(entry) = tasks.at(member.task) else { continue };
            let ends = expected_end(*now, entry);
            if ends <= to && after.is_none_or(|after| ends > after) {
                self.give(&member.hold);
            }
        }
    }

    fn give(&mut self, hold: &Hold) {
        let here = &mut self.devices[..usize::from(self.node.devices_len)];
        give_to(&mut self.node, here, hold);
    }

    /// Puts one member on the node, if there is room.
    fn put(&mut self, demand: &Demand, devices: Option<DeviceChoice>) -> Option<Hold> {
        let here = &mut self.devices[..usize::from(self.node.devices_len)];
        let choice = match devices {
            Some(devices) => devices,
            None => self.placer.fleet.choose_on(&self.node, here, demand).ok()?,
        };
        let hold = self.placer.fleet.hold_of(self.id, here, demand, choice);
        check_free(&self.node, here, &hold).ok()?;
        take_from(&mut self.node, here, &hold);
        Some(hold)
    }
}

impl<'a> Timeline<'a> {
    /// The node with this index as it is now; `None` if there is none.
    pub(super) fn new(placer: &'a Placer, index: u32, planning: Planning) -> Option<Self> {
        Some(Self {
            view: View::new(placer, index)?,
            at: None,
            played: [(Nanos::MAX, Hold::default()); PLAYED_MAX],
            played_len: 0,
            planning,
            plan: [(0, DeviceChoice::default()); PLAYED_MAX],
            plan_len: 0,
            put_len: 0,
        })
    }

    /// How many members of the candidate find room if all promises are kept; `None`: not all are,
    /// with that many.
    pub(super) fn play(mut self, candidate: &Candidate<'_>) -> Option<Outcome> {
        let View { placer, id, .. } = self.view;
        let (promises, now) = (&placer.promises, placer.now);
        let (mut last, mut is_put) = (None, false);
        for _ in 0..=PLAYED_MAX {
            let next = promises
                .on_node(id.index())
                .filter(|(turn, ..)| last.is_none_or(|last| *turn > last))
                .min_by_key(|(turn, ..)| *turn);
            let starts = next.map_or(Nanos::MAX, |(_, promise, _)| promise.starts.max(now));
            // Of those with the same start, whoever has the devices already goes first.
            let is_turn = candidate.devices.is_some() || starts > candidate.starts;
            if !is_put && (is_turn || next.is_none()) {
                self.put_candidate(candidate, next.is_some());
                is_put = true;
            }
            let Some((turn, promise, place)) = next else {
                let Self { put_len, plan, plan_len, .. } = self;
                return Some(Outcome { put_len, plan, plan_len });
            };
            self.advance(starts);
            let planned = place.plan.filter(|_| self.planning == Planning::Kept);
            let devices = self.put(&promise.demand, planned, promise.ends, true)?;
            *self.plan.get_mut(self.plan_len)? = (turn.2, devices);
            self.plan_len += 1;
            last = Some(turn);
        }
        None
    }

    fn put_candidate(&mut self, candidate: &Candidate<'_>, is_watched: bool) {
        self.advance(candidate.starts);
        while self.put_len < candidate.members
            && self.put(candidate.demand, candidate.devices, candidate.ends, is_watched).is_some()
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
    ) -> Option<DeviceChoice> {
        let hold = self.view.put(demand, devices)?;
        if is_watched {
            *self.played.get_mut(self.played_len)? = (ends, hold);
            self.played_len += 1;
        }
        Some(DeviceChoice { devices: hold.devices, slices: hold.slices })
    }

    /// Gives back what ends by `to`, and did not before.
    fn advance(&mut self, to: Nanos) {
        self.view.give_running(self.at, to);
        let mut at = 0;
        while at < self.played_len {
            let (ends, hold) = self.played[at];
            if ends <= to {
                self.view.give(&hold);
                self.played_len -= 1;
                self.played[at] = self.played[self.played_len];
            } else {
                at += 1;
            }
        }
        self.at = Some(to);
    }
}
