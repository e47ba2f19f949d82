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

    /// All of it in one word, in the order of the CPU that it takes.
    pub(super) const fn word(self) -> u64 {
        (self.cpu_milli as u64) << 32 | (self.milli as u64) << 8 | self.count as u64
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

    /// A ready node whose devices are all ready, of one model and given in one way.
    pub(super) fn of_alike(fleet: &Fleet, index: u32, slots: &Slots) -> Self {
        let mut sight = Self::of_cpu(fleet.at(index).map_or(0, |node| node.cpu_free_milli));
        let devices = fleet.devices_at(index);
        if let Some(first) = devices.first() {
            sight.slot = slots.of(first.spec.model);
            sight.shared = first.spec.sharing == Sharing::Shared;
            sight.slots = [sight.slot; DEVICES_MAX];
        }
        for (at, device) in devices.iter().enumerate() {
            sight.add(at, device.free_milli);
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

/// What of one node's devices a shape takes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Portion {
    pub(super) count: u8,
    pub(super) milli: u16,
}

impl Portion {
    pub(super) const fn of(shape: Shape) -> Self {
        Self { count: shape.count, milli: shape.milli }
    }

    /// Whether it is a part of one device.
    pub(super) const fn is_share(self) -> bool {
        self.count == 1 && self.milli < WHOLE_MILLI
    }
}

/// One of several shapes that are priced together.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Row {
    pub(super) cpu_milli: u32,
    /// Place of what it takes of devices among all that is taken of them.
    pub(super) portion: u8,
    /// Place of its price.
    pub(super) at: u8,
}

/// Shapes that are priced together.
#[derive(Clone, Copy, Debug)]
pub(super) struct ShapeRows<'a> {
    /// The one that takes the least CPU first.
    pub(super) by_cpu: &'a [Row],
    /// What they take of devices, each once.
    pub(super) portions: &'a [Portion],
}

/// A measure that can price what is taken of one node, in steps of its own.
pub(super) trait Prices {
    /// What is the same for all that leave the node as much CPU.
    type Level;
    /// What is the same for all that take as much of its devices.
    type Taken: Copy;

    fn with_cpu_left(&self, cpu_milli: u32) -> Self::Level;

    /// Makes of a level that with as much CPU or less.
    fn lower(&self, level: &mut Self::Level, cpu_milli: u32);

    /// What is known of a portion for which there is room, on a node whose devices are all of one
    /// slot.
    fn taken(&self, portion: Portion) -> Self::Taken;

    /// What is lost where it is taken, of a share where it is taken best.
    fn steps_of(&self, level: &mut Self::Level, taken: &Self::Taken) -> i16;

    /// What is lost where these devices are taken.
    fn steps(&self, level: &Self::Level, moves: &[Move]) -> i16;

    /// So many steps in thousandths of devices.
    fn milli(steps: i16) -> i64;
}

const _: () = assert!(SLOTS_MAX <= u8::MAX as usize);
