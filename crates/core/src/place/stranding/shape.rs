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

/// What of a node a price depends on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sight {
    pub(super) cpu_milli: u32,
    /// Of the model that most is priced by: that of the first device that can be given in parts or
    /// whole.
    pub(super) slot: u8,
    /// Whether shares can be taken; looked at where all devices are alike.
    pub(super) shared: bool,
    pub(super) devices_len: usize,
    /// Thousandths that can be given, of devices in their order; of one that is not ready, or
    /// that is partitioned, none.
    pub(super) free_milli: [u16; DEVICES_MAX],
    pub(super) slots: [u8; DEVICES_MAX],
    /// Devices of which nothing is taken.
    pub(super) whole: u8,
}

impl Sight {
    pub(super) fn of(fleet: &Fleet, index: u32, slots: &Slots) -> Self {
        let node = fleet.at(index).filter(|node| node.status == NodeStatus::Ready);
        let mut sight = Self {
            cpu_milli: node.map_or(0, |node| node.cpu_free_milli),
            slot: 0,
            shared: false,
            devices_len: 0,
            free_milli: [0; DEVICES_MAX],
            slots: [0; DEVICES_MAX],
            whole: 0,
        };
        if node.is_none() {
            return sight;
        }
        let devices = fleet.devices_at(index);
        sight.devices_len = devices.len();
        let first = devices.iter().find(|device| is_given(device)).or(devices.first());
        if let Some(first) = first {
            sight.slot = slots.of(first.spec.model);
            sight.shared = first.spec.sharing == Sharing::Shared;
        }
        for (at, device) in devices.iter().enumerate() {
            sight.slots[at] = slots.of(device.spec.model);
            if is_given(device) {
                sight.free_milli[at] = device.free_milli;
                sight.whole += u8::from(device.free_milli == WHOLE_MILLI);
            }
        }
        sight
    }

    /// What is left of devices, each amount once, the least first, without those of which nothing
    /// is; and how many amounts there are.
    pub(super) fn remainders(&self) -> ([u16; DEVICES_MAX], usize) {
        let mut sorted = self.free_milli;
        sorted[..self.devices_len].sort_unstable();
        let (mut out, mut len) = ([0; DEVICES_MAX], 0);
        for &milli in &sorted[..self.devices_len] {
            if milli > 0 && (len == 0 || out[len - 1] != milli) {
                out[len] = milli;
                len += 1;
            }
        }
        (out, len)
    }
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

    /// Thousandths of devices that are lost where these devices are taken, plus [`BIAS_MILLI`].
    fn cost(&self, level: &Self::Level, moves: &[Move]) -> u32;
}

/// Added to costs, so that none is below zero: an upper bound of what a node can be worth. Each of
/// 16 devices at most 1,000, and as much again for each size of gang.
pub(in crate::place) const BIAS_MILLI: u32 = 300_000;

const _: () = assert!(BIAS_MILLI as usize > DEVICES_MAX * DEVICES_MAX * WHOLE_MILLI as usize);

const _: () = assert!(SLOTS_MAX <= u8::MAX as usize);
