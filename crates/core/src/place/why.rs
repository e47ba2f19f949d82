//! Why does it not start?
//!
//! # What it decides
//! Nothing: it counts the nodes by what they lack first ([`Lack`], in that order), and names the
//! nearest one.
//!
//! # Formula
//! Nearest is the node that comes last in the order of [`Lack`], since all before it is there; of
//! several the one with the smallest shortfall (what it needs less what it has), then the lowest
//! index.
//!
//! # Bounds and cost
//! O(nodes * devices + members), with the fleet copied once.
//!
//! # What it is bad at
//! Members that fit are counted as the first that fits takes them, in the order of nodes; all members
//! are alike, so that the count is right unless replicas must keep apart.

use super::room::Room;
use super::task::{Domain, Task};
use super::{NodeId, Placer};
use crate::error::Error;
use crate::fleet::device::WHOLE_MILLI;
use crate::fleet::{DeviceDemand, Lack};
use crate::units::Nanos;

/// What is in the way of a task.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "document", derive(serde::Serialize))]
pub struct Why {
    /// Nodes that there are: `fits` and all `lacks` together.
    pub nodes: u32,
    /// Nodes that could take a member now.
    pub fits: u32,
    /// Nodes by the first thing that they lack, in the order of [`Lack::ALL`].
    pub lacks: [u32; Lack::ALL.len()],
    /// Members that would find room now, all in one domain where they must be, at most as many as
    /// wanted.
    pub members_fit: u32,
    /// Members without which it does not start.
    pub members_needed: u32,
    /// Of the nodes that lack something the nearest one.
    pub nearest: Option<Nearest>,
    /// The last cycle held batch work like it for urgent work: it waits even where there is room.
    pub held: bool,
}

/// A node that could nearly take a member, and what it lacks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "document", derive(serde::Serialize))]
pub struct Nearest {
    /// The node.
    pub node: NodeId,
    /// What it lacks first.
    pub lack: Lack,
    /// How much of that it has: thousandths of a core, MiB, devices, labels as they should be,
    /// members; 0 for what cannot be counted.
    pub has: u64,
    /// How much it needs; 1 for what cannot be counted.
    pub needs: u64,
}

impl Nearest {
    const fn shortfall(&self) -> u64 {
        self.needs.saturating_sub(self.has)
    }

    fn beats(&self, other: &Self) -> bool {
        self.lack > other.lack || self.lack == other.lack && self.shortfall() < other.shortfall()
    }
}

impl Why {
    /// Nodes that lack this first.
    #[must_use]
    pub fn lacking(&self, lack: Lack) -> u32 {
        self.lacks[lack as usize]
    }

    /// True if it could start now.
    #[must_use]
    pub const fn starts(&self) -> bool {
        self.members_fit >= self.members_needed && !self.held
    }
}

impl Placer {
    /// What is in the way of a task, pending or imagined. Nothing is changed.
    /// O(nodes * devices + members).
    ///
    /// # Errors
    /// [`Error::Range`] or [`Error::RangeReal`] for a task that cannot be;
    /// [`Error::TimeReversed`].
    pub fn why(&mut self, now: Nanos, task: &Task) -> Result<Why, Error> {
        self.check_now(now)?;
        task.check(self.delay_values.len() as u32, self.options.task_members_max)?;
        self.look_around(task);
        let held = self.is_like_held(task);
        let Self { scratch, fleet, domains, crowds, promises, .. } = self;
        scratch.fleet.copy_from(fleet)?;
        let mut room = Room { now, fleet: &mut scratch.fleet, domains, crowds, promises };
        let needed = task.members_needed();
        let topology = task.topology;
        let within = if topology.required { topology.within } else { Domain::Fleet };
        let mut why = Why {
            nodes: 0,
            fits: 0,
            lacks: [0; Lack::ALL.len()],
            members_fit: 0,
            members_needed: needed,
            nearest: None,
            held,
        };
        let mut begin = 0;
        while let Some(run) = domains.next(within, begin) {
            begin = run.end;
            let members = room.members_in(run, task, task.members, &mut scratch.placed);
            why.members_fit = why.members_fit.max(members);
            for index in domains.nodes(run) {
                let Some(node) = room.fleet.id_at(index) else { continue };
                why.nodes += 1;
                let lack = match room.choice(index, task) {
                    Ok(_) if within == Domain::Fleet || members >= needed => {
                        why.fits += 1;
                        continue;
                    }
                    Ok(_) => Lack::Topology,
                    Err(lack) => lack,
                };
                why.lacks[lack as usize] += 1;
                let (has, needs) = match lack {
                    Lack::Topology => (members.into(), needed.into()),
                    _ => room.has_and_needs(index, task, lack),
                };
                let near = Nearest { node, lack, has, needs };
                if why.nearest.is_none_or(|nearest| near.beats(&nearest)) {
                    why.nearest = Some(near);
                }
            }
        }
        Ok(why)
    }
}

impl Room<'_> {
    /// How much a node has of what it lacks, and how much it needs.
    fn has_and_needs(&self, index: u32, task: &Task, lack: Lack) -> (u64, u64) {
        let Some(node) = self.fleet.at(index) else { return (0, 1) };
        let demand = &task.member;
        match lack {
            Lack::Labels => {
                let right =
                    task.labels_required & node.labels | task.labels_forbidden & !node.labels;
                let asked = task.labels_required.count_ones() + task.labels_forbidden.count_ones();
                (right.count_ones().into(), asked.into())
            }
            Lack::Cpu => (node.cpu_free_milli.into(), demand.cpu_milli.into()),
            Lack::Memory => (node.memory_free_mib.into(), demand.memory_mib.into()),
            Lack::Devices | Lack::DeviceMemory | Lack::LinkGroup => {
                let has = self.devices_with(index, task, lack);
                (has.into(), demand.devices.devices().into())
            }
            Lack::Spread => {
                let most = u64::from(task.spreading.domain_members_max);
                (most, u64::from(self.crowds.at(&task.spreading, index)) + 1)
            }
            _ => (0, 1),
        }
    }

    /// Devices with enough free; with enough memory free as well, where that is what is lacking; in
    /// one link group, where that is.
    fn devices_with(&self, index: u32, task: &Task, lack: Lack) -> u32 {
        let devices = self.fleet.devices_at(index);
        let (milli, memory_mib) = match task.member.devices {
            DeviceDemand::Whole { memory_mib, .. } => (WHOLE_MILLI, memory_mib),
            DeviceDemand::Share { milli, memory_mib, .. } => (milli, memory_mib),
            DeviceDemand::None | DeviceDemand::Partition { .. } => return 0,
        };
        let memory_mib = if lack == Lack::Devices { 0 } else { memory_mib };
        let serves = |at: &usize| {
            let device = &devices[*at];
            super::room::serves(device, &task.member)
                && device.free_milli >= milli
                && device.memory_free_mib >= memory_mib
        };
        let in_group = |group: u8| {
            let of_group = (0..devices.len()).filter(|at| devices[*at].spec.link_group == group);
            of_group.filter(serves).count() as u32
        };
        if lack == Lack::LinkGroup {
            let groups = devices.iter().map(|device| device.spec.link_group);
            return groups.map(in_group).max().unwrap_or(0);
        }
        (0..devices.len()).filter(serves).count() as u32
    }
}

#[cfg(test)]
mod tests;
