//! Which devices of a node would a demand take?
//!
//! # Formula
//! ```text
//! part of one device       the one with the least left
//! several, or whole ones   of the smallest link group with enough; else of the smallest NUMA node
//!                          with enough; else of all. In a link group, too, of the smallest NUMA
//!                          node with enough. Of those the ones with the least left
//! a partition              the place with the least loss of room ([`super::partition`]), on
//!                          whichever device; then the device with the least left
//! ```
//! The lower index of equals. "Least left" is by thousandths, then by memory.
//!
//! # Bounds and cost
//! O(devices^2) with at most 16 devices; a partition O(devices * starts).

use super::device::WHOLE_MILLI;
use super::partition::Layouts;
use super::{
    DEVICES_PER_NODE_MAX, Demand, Device, DeviceChoice, DeviceDemand, Fleet, Health, Lack, Node,
    NodeId, NodeStatus, Sharing,
};
use crate::error::Error;

impl Fleet {
    /// The first thing that a node lacks for a demand; `None`: it fits. Labels, failure domains
    /// and promises are not known here. O(devices^2).
    ///
    /// # Errors
    /// [`Error::Stale`] for an unknown node.
    pub fn lack(&self, node: NodeId, demand: &Demand) -> Result<Option<Lack>, Error> {
        self.nodes.get(node)?;
        Ok(self.choose_devices(node.index(), demand).err())
    }

    /// Which devices of a node a demand would take where nothing else is said, or what the node
    /// lacks. O(devices^2).
    ///
    /// # Errors
    /// [`Error::Stale`] for an unknown node.
    pub fn choice(
        &self,
        node: NodeId,
        demand: &Demand,
    ) -> Result<Result<DeviceChoice, Lack>, Error> {
        self.nodes.get(node)?;
        Ok(self.choose_devices(node.index(), demand))
    }

    /// The same for the node with this index.
    pub(crate) fn choose_devices(&self, index: u32, demand: &Demand) -> Result<DeviceChoice, Lack> {
        self.choose_on(self.at(index).ok_or(Lack::Status)?, self.devices_at(index), demand)
    }

    /// The same for a node in any state, with any of its devices free.
    pub(crate) fn choose_on(
        &self,
        node: &Node,
        devices: &[Device],
        demand: &Demand,
    ) -> Result<DeviceChoice, Lack> {
        if node.status != NodeStatus::Ready {
            return Err(Lack::Status);
        }
        if demand.devices.devices() == 0 {
            return host_lack(node, demand).map_or(Ok(DeviceChoice::default()), Err);
        }
        let usable = usable(&self.layouts, devices, demand);
        if usable == 0 {
            Err(Lack::Model)
        } else if let Some(lack) = host_lack(node, demand) {
            Err(lack)
        } else if let DeviceDemand::Partition { compute_slices, memory_mib } = demand.devices {
            place_partition(&self.layouts, devices, usable, (compute_slices, memory_mib))
                .ok_or(Lack::Partition)
        } else {
            pick(devices, usable, demand)
        }
    }
}

fn host_lack(node: &Node, demand: &Demand) -> Option<Lack> {
    if demand.cpu_milli > node.cpu_free_milli {
        Some(Lack::Cpu)
    } else if demand.memory_mib > node.memory_free_mib {
        Some(Lack::Memory)
    } else {
        None
    }
}

/// Devices that would do if all of them were free, as bits.
pub(super) fn usable(layouts: &Layouts, devices: &[Device], demand: &Demand) -> u16 {
    set_of(devices, |device| {
        let Device { spec, health, .. } = device;
        *health == Health::Ready
            && demand.models.contains(spec.model)
            && match (demand.devices, spec.sharing) {
                (DeviceDemand::Whole { .. }, Sharing::Exclusive | Sharing::Shared)
                | (DeviceDemand::Share { .. }, Sharing::Shared) => true,
                (
                    DeviceDemand::Partition { compute_slices, memory_mib },
                    Sharing::Partitioned(layout),
                ) => layouts
                    .get(layout)
                    .is_ok_and(|table| table.smallest(compute_slices, memory_mib).is_some()),
                _ => false,
            }
    })
}

pub(super) fn set_of(devices: &[Device], is_in: impl Fn(&Device) -> bool) -> u16 {
    devices.iter().enumerate().fold(0, |set, (at, device)| set | u16::from(is_in(device)) << at)
}

/// Where a partition with so many compute slices and so much memory costs the least.
fn place_partition(
    layouts: &Layouts,
    devices: &[Device],
    usable: u16,
    (compute_slices, memory_mib): (u8, u32),
) -> Option<DeviceChoice> {
    let mut best = None;
    for (at, device) in devices.iter().enumerate().filter(|(at, _)| usable >> at & 1 == 1) {
        let Sharing::Partitioned(layout) = device.spec.sharing else { continue };
        let Ok(table) = layouts.get(layout) else { continue };
        let Some(profile) = table.smallest(compute_slices, memory_mib) else { continue };
        let Some((loss, slices)) = table.best_place(profile, device.slices) else { continue };
        let cost = (loss, device.free_milli, device.memory_free_mib);
        if best.is_none_or(|(least, _)| cost < least) {
            best = Some((cost, DeviceChoice { devices: 1 << at, slices }));
        }
    }
    best.map(|(_, choice)| choice)
}

/// The devices to take of those that are usable, or what is missing.
fn pick(devices: &[Device], usable: u16, demand: &Demand) -> Result<DeviceChoice, Lack> {
    let (count, milli, memory_mib) = match demand.devices {
        DeviceDemand::Whole { count, memory_mib } => (count, WHOLE_MILLI, memory_mib),
        DeviceDemand::Share { count, milli, memory_mib } => (count, milli, memory_mib),
        DeviceDemand::None | DeviceDemand::Partition { .. } => return Ok(DeviceChoice::default()),
    };
    let count = u32::from(count);
    let free = usable & set_of(devices, |device| device.free_milli >= milli);
    if free.count_ones() < count {
        return Err(Lack::Devices);
    }
    let fits = free & set_of(devices, |device| device.memory_free_mib >= memory_mib);
    if fits.count_ones() < count {
        return Err(Lack::DeviceMemory);
    }
    // What stands alone on a part of a device has nobody to be near to.
    let alone = count == 1 && milli < WHOLE_MILLI;
    let from = if alone {
        fits
    } else {
        let group = smallest(devices, fits, count, |device| device.spec.link_group);
        if demand.one_link_group && group.is_none() {
            return Err(Lack::LinkGroup);
        }
        let from = group.unwrap_or(fits);
        smallest(devices, from, count, |device| device.spec.numa).unwrap_or(from)
    };
    Ok(DeviceChoice { devices: least_left(devices, from, count), slices: 0 })
}

/// Of the sets of devices in `fits` that are the same by `key`, the one with the fewest of those
/// with enough.
fn smallest(devices: &[Device], fits: u16, count: u32, key: fn(&Device) -> u8) -> Option<u16> {
    let (mut best, mut rest) = (None, fits);
    while let Some(first) = devices.get(rest.trailing_zeros() as usize) {
        let set = fits & set_of(devices, |other| key(other) == key(first));
        rest &= !set;
        // Of equals the first.
        let is_smaller = best.is_none_or(|best: u16| set.count_ones() < best.count_ones());
        if set.count_ones() >= count && is_smaller {
            best = Some(set);
        }
    }
    best
}

/// The `count` devices of `from` with the least left, the lower index first.
fn least_left(devices: &[Device], mut from: u16, count: u32) -> u16 {
    let mut chosen = 0;
    for _ in 0..count.min(DEVICES_PER_NODE_MAX) {
        let least = (0..devices.len())
            .filter(|at| from >> at & 1 == 1)
            .min_by_key(|at| (devices[*at].free_milli, devices[*at].memory_free_mib));
        let Some(at) = least else { break };
        chosen |= 1 << at;
        from &= !(1 << at);
    }
    chosen
}
