//! What a price depends on besides the node, and what of a node a price depends on.

use super::models::{SLOTS_MAX, Slots};
use crate::fleet::device::WHOLE_MILLI;
use crate::fleet::{
    DEVICES_PER_NODE_MAX, Demand, Device, DeviceDemand, Fleet, Health, NodeStatus, Sharing,
};

/// Most devices of a node.
pub(super) const DEVICES_MAX: usize = DEVICES_PER_NODE_MAX as usize;

/// What of a demand a price depends on: memory, models and labels only say whether it fits.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(in crate::place) struct Shape {
    pub(in crate::place) cpu_milli: u32,
    /// Devices; 0: none.
    pub(in crate::place) count: u8,
    /// Thousandths of each; of whole ones 1,000.
    pub(in crate::place) milli: u16,
}

impl Shape {
    /// The shape of a demand; `None` for partitions, and for shares of several devices.
    pub(in crate::place) const fn of(demand: &Demand) -> Option<Self> {
        let (count, milli) = match demand.devices {
            DeviceDemand::None => (0, 0),
            DeviceDemand::Whole { count, .. } => (count, WHOLE_MILLI),
            DeviceDemand::Share { count: 1, milli, .. } => (1, milli),
            DeviceDemand::Share { .. } | DeviceDemand::Partition { .. } => return None,
        };
        Some(Self { cpu_milli: demand.cpu_milli, count, milli })
    }

    /// Thousandths of devices that it takes.
    pub(super) const fn gpu_milli(self) -> u32 {
        self.count as u32 * self.milli as u32
    }

    /// Whether it is a part of one device.
    pub(super) const fn is_share(self) -> bool {
        self.count == 1 && self.milli < WHOLE_MILLI
    }
}

/// So many devices of which something is taken.
#[derive(Clone, Copy, Debug)]
pub(super) struct Move {
    pub(super) slot: u8,
    pub(super) count: u8,
    pub(super) from_milli: u16,
    pub(super) to_milli: u16,
}

/// Devices of a node of one slot, with as much left of each.
#[derive(Clone, Copy, Debug)]
pub(super) struct Left {
    pub(super) slot: u8,
    pub(super) count: u8,
    pub(super) milli: u16,
}

/// What of a node a price depends on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sight {
    pub(super) cpu_milli: u32,
    /// Of the model that most is priced by: that of the first device that can be given in parts or
    /// whole.
    pub(super) slot: u8,
    /// Whether shares can be taken; looked at where all devices are alike.
    pub(super) shared: bool,
    /// What is left of devices, without those of which nothing is: there are few amounts.
    left: [Left; DEVICES_MAX],
    left_len: usize,
    /// Thousandths that can be given, of devices in their order; of one that is not ready, or
    /// that is partitioned, none.
    pub(super) free_milli: [u16; DEVICES_MAX],
    pub(super) slots: [u8; DEVICES_MAX],
    /// Devices of which nothing is taken.
    pub(super) whole: u8,
}

impl Sight {
    /// A node without devices.
    pub(super) const fn of_cpu(cpu_milli: u32) -> Self {
        Self {
            cpu_milli,
            slot: 0,
            shared: false,
            left: [Left { slot: 0, count: 0, milli: 0 }; DEVICES_MAX],
            left_len: 0,
            free_milli: [0; DEVICES_MAX],
            slots: [0; DEVICES_MAX],
            whole: 0,
        }
    }

    pub(super) fn of(fleet: &Fleet, index: u32, slots: &Slots) -> Self {
        let node = fleet.at(index).filter(|node| node.status == NodeStatus::Ready);
        let mut sight = Self::of_cpu(node.map_or(0, |node| node.cpu_free_milli));
        if node.is_none() {
            return sight;
        }
        let devices = fleet.devices_at(index);
        let first = devices.iter().find(|device| is_given(device)).or(devices.first());
        if let Some(first) = first {
            sight.slot = slots.of(first.spec.model);
            sight.shared = first.spec.sharing == Sharing::Shared;
        }
        let (mut model, mut slot) = (first.map(|first| first.spec.model), sight.slot);
        for (at, device) in devices.iter().enumerate() {
            if model != Some(device.spec.model) {
                (model, slot) = (Some(device.spec.model), slots.of(device.spec.model));
            }
            sight.slots[at] = slot;
            if is_given(device) {
                sight.add(at, device.free_milli);
            }
        }
        sight
    }

    /// So much is left of a device whose slot is known.
    pub(super) fn add(&mut self, at: usize, milli: u16) {
        self.free_milli[at] = milli;
        if milli == 0 {
            return;
        }
        self.whole += u8::from(milli == WHOLE_MILLI);
        let slot = self.slots[at];
        let mut known = self.left[..self.left_len].iter_mut();
        if let Some(left) = known.find(|left| left.slot == slot && left.milli == milli) {
            left.count += 1;
        } else {
            self.left[self.left_len] = Left { slot, count: 1, milli };
            self.left_len += 1;
        }
    }

    pub(super) fn left(&self) -> &[Left] {
        &self.left[..self.left_len]
    }
}

/// Devices of a node of which nothing is taken, and its CPU that is left.
pub(super) fn idle_on(fleet: &Fleet, index: u32) -> (u8, u32) {
    let Some(node) = fleet.at(index).filter(|node| node.status == NodeStatus::Ready) else {
        return (0, 0);
    };
    let is_idle = |device: &&Device| device.free_milli == WHOLE_MILLI && is_given(device);
    let whole = fleet.devices_at(index).iter().filter(is_idle).count();
    (whole as u8, node.cpu_free_milli)
}

/// Whether something of it may be given, whole or in thousandths.
fn is_given(device: &Device) -> bool {
    device.health == Health::Ready && !matches!(device.spec.sharing, Sharing::Partitioned(_))
}

/// A measure that can price what is taken of one node.
pub(super) trait Prices {
    /// What is the same for all that leave the node as much CPU.
    type Level;

    fn with_cpu_left(&self, cpu_milli: u32) -> Self::Level;

    /// Makes of a level that with as much CPU or less.
    fn lower(&self, level: &mut Self::Level, cpu_milli: u32) {
        *level = self.with_cpu_left(cpu_milli);
    }

    /// Thousandths of devices that are lost where these devices are taken, plus [`BIAS_MILLI`].
    fn cost(&self, level: &Self::Level, moves: &[Move]) -> u32;

    /// The same where one device of those in this place of [`Sight::left`] goes to so much; for a
    /// node whose devices are all of one slot.
    fn cost_of_share(&self, level: &Self::Level, left: usize, to_milli: u16) -> u32;
}

/// Added to costs, so that none is below zero: an upper bound of what a node can be worth. Each of
/// 16 devices at most 1,000, and as much again for each size of gang.
pub(in crate::place) const BIAS_MILLI: u32 = 300_000;

const _: () = assert!(BIAS_MILLI as usize > DEVICES_MAX * DEVICES_MAX * WHOLE_MILLI as usize);

const _: () = assert!(SLOTS_MAX <= u8::MAX as usize);
