//! Room on a copy of the fleet: where something is tried that may come to nothing.

use super::domains::{Domains, Run};
use super::promises::Promises;
use super::spreading::Crowds;
use super::stranding::Stranding;
use super::task::Task;
use crate::fleet::device::WHOLE_MILLI;
use crate::fleet::{
    DEVICES_PER_NODE_MAX, Demand, Device, DeviceChoice, DeviceDemand, Fleet, Health, Hold, Lack,
    Sharing,
};
use crate::share::Amounts;
use crate::units::Nanos;

/// A copy of the fleet, and what says who may go where.
#[derive(Debug)]
pub(super) struct Room<'a> {
    pub(super) now: Nanos,
    pub(super) fleet: &'a mut Fleet,
    pub(super) domains: &'a Domains,
    pub(super) crowds: &'a mut Crowds,
    pub(super) promises: &'a Promises,
}

impl Room<'_> {
    /// Where one more member would stand on a node, or what the node lacks. O(devices).
    pub(super) fn choice(&self, index: u32, task: &Task) -> Result<DeviceChoice, Lack> {
        let node = self.fleet.at(index).ok_or(Lack::Status)?;
        let missing = task.labels_required & !node.labels;
        // What the node is comes before what is free of it.
        let choice = match self.fleet.choose_devices(index, &task.member) {
            Err(Lack::Status) => return Err(Lack::Status),
            _ if missing | task.labels_forbidden & node.labels != 0 => return Err(Lack::Labels),
            choice => choice?,
        };
        if !self.crowds.may(&task.spreading, index) {
            return Err(Lack::Spread);
        }
        let ends = task.ends(self.now);
        if !self.promises.leave_alone(index, ends) {
            return Err(Lack::Reserved);
        }
        Ok(choice)
    }

    /// Puts one more member on a node, if it fits.
    pub(super) fn put(&mut self, index: u32, task: &Task) -> Option<Hold> {
        let choice = self.choice(index, task).ok()?;
        self.put_on(index, task, choice)
    }

    /// Puts one more member on devices of a node, if that is free.
    pub(super) fn put_on(&mut self, index: u32, task: &Task, choice: DeviceChoice) -> Option<Hold> {
        let hold = self.fleet.take(self.fleet.id_at(index)?, &task.member, choice).ok()?;
        self.crowds.moved(&task.spreading, self.fleet, self.domains, index, true);
        Some(hold)
    }

    /// Takes a member away that was put there.
    pub(super) fn take_away(&mut self, task: &Task, hold: &Hold) {
        self.end(hold);
        let index = hold.node.index();
        self.crowds.moved(&task.spreading, self.fleet, self.domains, index, false);
    }

    /// What is held is free.
    pub(super) fn end(&mut self, hold: &Hold) {
        let given = self.fleet.give(hold);
        debug_assert!(given.is_ok(), "what is held can be given back");
    }

    /// What was held is held again.
    pub(super) fn go_on(&mut self, hold: &Hold) {
        let taken = self.fleet.put_back(hold);
        debug_assert!(taken.is_ok(), "what was held is free");
    }

    /// Members that find room in a domain, at most `most`: the first that fits takes one after the
    /// other. The room is as before. O(nodes + members), with `out` for the members found.
    pub(super) fn members_in(&mut self, run: Run, task: &Task, most: u32, out: &mut [Hold]) -> u32 {
        let (domains, mut len) = (self.domains, 0);
        for index in domains.nodes(run) {
            while len < most.min(out.len() as u32) {
                let Some(hold) = self.put(index, task) else { break };
                out[len as usize] = hold;
                len += 1;
            }
        }
        for hold in out[..len as usize].iter().rev() {
            self.take_away(task, hold);
        }
        len
    }

    /// What others would have to give up on a node, at least, for one more member: thousandths of
    /// devices, of cores, MiB. Whole where no part of it is in the right place. O(devices^2).
    pub(super) fn missing(&self, index: u32, demand: &Demand) -> Amounts {
        let mut missing = needed(demand, 1);
        let Some(node) = self.fleet.at(index) else { return missing };
        missing.0[1] = missing.0[1].saturating_sub(node.cpu_free_milli.into());
        missing.0[2] = missing.0[2].saturating_sub(node.memory_free_mib.into());
        let devices_only = Demand { cpu_milli: 0, memory_mib: 0, ..*demand };
        if self.fleet.choose_devices(index, &devices_only).is_ok() {
            missing.0[0] = 0;
        } else if missing.0[0] > 0 {
            let there = u64::from(in_place(self.fleet.devices_at(index), demand));
            // Where amounts are there and still do not do, it is the place that is wrong.
            let short = missing.0[0].saturating_sub(there);
            missing.0[0] = if short == 0 { missing.0[0] } else { short };
        }
        missing
    }
}

impl Stranding {
    /// What one more member strands where it strands least, in a room, on nodes that may be: the
    /// node, and its devices. The lowest index on a tie. O(nodes of the domain * devices).
    pub(super) fn cheapest(
        &self,
        room: &Room<'_>,
        run: Run,
        task: &Task,
        may_be: impl Fn(u32) -> bool,
    ) -> Option<(i64, u32, DeviceChoice)> {
        let mut best: Option<(i64, u32, DeviceChoice)> = None;
        for index in room.domains.nodes(run) {
            if !may_be(index) || room.choice(index, task).is_err() {
                continue;
            }
            let Ok((milli, choice)) = self.price(room.fleet, index, &task.member) else { continue };
            if best.is_none_or(|best| milli < best.0) {
                best = Some((milli, index, choice));
            }
        }
        best
    }
}

/// What so many members take: thousandths of devices, of cores, MiB.
pub(super) fn needed(demand: &Demand, members: u32) -> Amounts {
    let mut amounts = Amounts::ZERO;
    let each = [demand.gpu_milli(), demand.cpu_milli, demand.memory_mib];
    for (amount, each) in amounts.0.iter_mut().zip(each) {
        *amount = u64::from(each) * u64::from(members);
    }
    amounts
}

/// Whether a device would do if all of it were free; not for partitions.
pub(super) fn serves(device: &Device, demand: &Demand) -> bool {
    let whole = matches!(demand.devices, DeviceDemand::Whole { .. });
    let kind = match device.spec.sharing {
        Sharing::Shared => true,
        Sharing::Exclusive => whole,
        Sharing::Partitioned(_) => false,
    };
    kind && device.health == Health::Ready && demand.models.contains(device.spec.model)
}

/// Thousandths of a demand that are free on the devices that have most of it, in one link group
/// where it must be one.
fn in_place(devices: &[Device], demand: &Demand) -> u32 {
    let (count, milli, memory_mib) = match demand.devices {
        DeviceDemand::Whole { count, memory_mib } => (count, WHOLE_MILLI, memory_mib),
        DeviceDemand::Share { count, milli, memory_mib } => (count, milli, memory_mib),
        DeviceDemand::None | DeviceDemand::Partition { .. } => return 0,
    };
    let free = |device: &Device| {
        let serves = serves(device, demand) && device.memory_free_mib >= memory_mib;
        if serves { device.free_milli.min(milli) } else { 0 }
    };
    let most_of = |group: Option<u8>| {
        let mut free_milli = [0; DEVICES_PER_NODE_MAX as usize];
        for (milli, device) in free_milli.iter_mut().zip(devices) {
            let is_in = group.is_none_or(|group| group == device.spec.link_group);
            *milli = if is_in { free(device) } else { 0 };
        }
        free_milli.sort_unstable_by(|one, other| other.cmp(one));
        free_milli.iter().take(count.into()).map(|milli| u32::from(*milli)).sum()
    };
    if demand.one_link_group {
        devices.iter().map(|device| most_of(Some(device.spec.link_group))).max().unwrap_or(0)
    } else {
        most_of(None)
    }
}
