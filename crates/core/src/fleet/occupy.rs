//! Taking from a node, and giving back exactly that.
//!
//! # Bounds and cost
//! O(devices of the node). Nothing is changed by a call that is refused.

use super::choose::{set_of, usable};
use super::device::WHOLE_MILLI;
use super::partition::Layouts;
use super::totals::{Counts, Step};
use super::{
    DEVICES_PER_NODE_MAX, Demand, Device, DeviceChoice, DeviceDemand, Fleet, Health, Hold, Node,
    NodeId, NodeStatus, Sharing,
};
use crate::error::{Error, check_range};

impl Fleet {
    /// Takes what a demand asks for, on the devices chosen. O(devices).
    ///
    /// # Errors
    /// [`Error::Stale`] for an unknown node; what [`Demand::check`] says; [`Error::Contradiction`]
    /// for a node that is not ready and for a choice that is not what the demand asks for;
    /// [`Error::Full`] on what is not free. Nothing is taken then.
    pub fn take(
        &mut self,
        node: NodeId,
        demand: &Demand,
        choice: DeviceChoice,
    ) -> Result<Hold, Error> {
        demand.check()?;
        let (here, devices, counts, layouts) = self.split(node)?;
        if here.status != NodeStatus::Ready {
            let status = here.status as u64;
            return Err(contradiction("node", node.to_raw(), "status", status));
        }
        check_choice(layouts, devices, demand, choice)?;
        let hold = hold_of(layouts, devices, node, demand, choice);
        check_free(here, devices, &hold)?;
        change(here, devices, counts, hold.devices, |here, device| match device {
            None => take_host(here, &hold),
            Some(device) => take_device(device, &hold),
        });
        Ok(hold)
    }

    /// Takes again what was taken and given back, in whatever state node and devices are.
    /// O(devices).
    ///
    /// # Errors
    /// As [`Fleet::give`]; [`Error::Full`] on what is not free. Nothing is taken then.
    pub(crate) fn put_back(&mut self, hold: &Hold) -> Result<(), Error> {
        let (here, devices, counts, layouts) = self.split(hold.node)?;
        check_form(layouts, devices, hold)?;
        check_free(here, devices, hold)?;
        change(here, devices, counts, hold.devices, |here, device| match device {
            None => take_host(here, hold),
            Some(device) => take_device(device, hold),
        });
        Ok(())
    }

    /// Takes other amounts in the place of a hold, of the same devices, in whatever state they and
    /// their node are. O(devices).
    ///
    /// # Errors
    /// As [`Fleet::give`] and [`Fleet::put_back`], with what was held held as before.
    pub(crate) fn exchange(&mut self, hold: &Hold, demand: &Demand) -> Result<Hold, Error> {
        self.give(hold)?;
        let choice = DeviceChoice { devices: hold.devices, slices: hold.slices };
        let other = self.hold_of(hold.node, self.devices_at(hold.node.index()), demand, choice);
        match self.put_back(&other) {
            Ok(()) => Ok(other),
            Err(error) => self.put_back(hold).and(Err(error)),
        }
    }

    /// What a choice that is right would take of a node whose devices are as these.
    pub(crate) fn hold_of(
        &self,
        node: NodeId,
        devices: &[Device],
        demand: &Demand,
        choice: DeviceChoice,
    ) -> Hold {
        hold_of(&self.layouts, devices, node, demand, choice)
    }

    /// What somebody with this demand has on these devices of a node, in whatever state they and
    /// the node are by now. O(devices).
    ///
    /// # Errors
    /// [`Error::Stale`] for an unknown node; [`Error::Contradiction`] for a choice that was never
    /// what the demand asks for.
    pub(crate) fn held_on(
        &self,
        node: NodeId,
        demand: &Demand,
        choice: DeviceChoice,
    ) -> Result<Hold, Error> {
        let mut ready = [Device::default(); DEVICES_PER_NODE_MAX as usize];
        let devices = self.devices(node)?;
        for (ready, device) in ready.iter_mut().zip(devices) {
            *ready = Device { health: Health::Ready, ..*device };
        }
        check_choice(&self.layouts, &ready[..devices.len()], demand, choice)?;
        Ok(self.hold_of(node, devices, demand, choice))
    }

    /// Gives back what was taken, in whatever state node and devices are. O(devices).
    ///
    /// # Errors
    /// [`Error::Stale`] for an unknown node; [`Error::Range`] for more than is taken there;
    /// [`Error::Contradiction`] for what cannot have been taken so, or without which what is left
    /// cannot be. Nothing is given back then.
    pub fn give(&mut self, hold: &Hold) -> Result<(), Error> {
        let (here, devices, counts, layouts) = self.split(hold.node)?;
        check_form(layouts, devices, hold)?;
        check_taken(here, devices, hold)?;
        check_left(layouts, here, devices, hold)?;
        change(here, devices, counts, hold.devices, |here, device| match device {
            None => give_host(here, hold),
            Some(device) => give_device(device, hold),
        });
        Ok(())
    }
}

/// Changes a node (called without a device) and those of its devices that are in `set`, and the
/// sums with them.
fn change(
    node: &mut Node,
    devices: &mut [Device],
    counts: &mut Counts,
    set: u16,
    change: impl Fn(&mut Node, Option<&mut Device>),
) {
    counts.host(Step::Out, node);
    change(node, None);
    counts.host(Step::In, node);
    for device in of_set(devices, set) {
        counts.device(Step::Out, node, device);
        change(node, Some(device));
        counts.device(Step::In, node, device);
    }
}

/// Takes of a node that is thought of what is known to be free there.
pub(crate) fn take_from(node: &mut Node, devices: &mut [Device], hold: &Hold) {
    take_host(node, hold);
    of_set(devices, hold.devices).for_each(|device| take_device(device, hold));
}

/// Gives back to a node that is thought of what is known to be taken there.
pub(crate) fn give_to(node: &mut Node, devices: &mut [Device], hold: &Hold) {
    give_host(node, hold);
    of_set(devices, hold.devices).for_each(|device| give_device(device, hold));
}

fn of_set(devices: &mut [Device], set: u16) -> impl Iterator<Item = &mut Device> {
    devices.iter_mut().enumerate().filter(move |(at, _)| set >> at & 1 == 1).map(|(_, at)| at)
}

fn take_host(node: &mut Node, hold: &Hold) {
    node.cpu_free_milli -= hold.cpu_milli;
    node.memory_free_mib -= hold.memory_mib;
    node.holds += 1;
}

fn take_device(device: &mut Device, hold: &Hold) {
    device.free_milli -= hold.device_milli;
    device.memory_free_mib -= memory_of(device, hold);
    device.slices |= hold.slices;
    device.holders += 1;
}

fn give_host(node: &mut Node, hold: &Hold) {
    node.cpu_free_milli += hold.cpu_milli;
    node.memory_free_mib += hold.memory_mib;
    node.holds -= 1;
}

fn give_device(device: &mut Device, hold: &Hold) {
    device.free_milli += hold.device_milli;
    device.memory_free_mib += memory_of(device, hold);
    device.slices &= !hold.slices;
    device.holders -= 1;
}

/// Memory that a hold has of a device: all of it where it is whole.
fn memory_of(device: &Device, hold: &Hold) -> u32 {
    if is_whole(hold) { device.spec.memory_mib } else { hold.device_memory_mib }
}

fn is_whole(hold: &Hold) -> bool {
    hold.device_milli == WHOLE_MILLI && hold.slices == 0
}

fn contradiction(
    field: &'static str,
    value: impl Into<u64>,
    other: &'static str,
    other_value: impl Into<u64>,
) -> Error {
    Error::Contradiction { field, value: value.into(), other, other_value: other_value.into() }
}

/// Whether devices and slices are such as the demand asks for, free or not.
fn check_choice(
    layouts: &Layouts,
    devices: &[Device],
    demand: &Demand,
    choice: DeviceChoice,
) -> Result<(), Error> {
    let DeviceChoice { devices: set, slices } = choice;
    let count = demand.devices.devices();
    if set.count_ones() != count {
        return Err(contradiction("devices", set, "count", count));
    }
    let usable = usable(layouts, devices, demand);
    if set & !usable != 0 {
        return Err(contradiction("devices", set, "devices that will do", usable));
    }
    let first = devices.get(set.trailing_zeros() as usize);
    let group =
        |device: &Device| first.is_some_and(|f| f.spec.link_group == device.spec.link_group);
    let near = set_of(devices, group);
    if demand.one_link_group && set & !near != 0 {
        return Err(contradiction("devices", set, "devices of one link group", near));
    }
    let run = match (demand.devices, first.map(|device| device.spec.sharing)) {
        (
            DeviceDemand::Partition { compute_slices, memory_mib },
            Some(Sharing::Partitioned(layout)),
        ) => layouts
            .get(layout)?
            .smallest(compute_slices, memory_mib)
            .is_some_and(|profile| profile.runs().any(|run| run == slices)),
        _ => slices == 0,
    };
    if run { Ok(()) } else { Err(contradiction("slices", slices, "devices", set)) }
}

/// What a choice that is right takes.
fn hold_of(
    layouts: &Layouts,
    devices: &[Device],
    node: NodeId,
    demand: &Demand,
    choice: DeviceChoice,
) -> Hold {
    let sharing = devices.get(choice.devices.trailing_zeros() as usize).map(|at| at.spec.sharing);
    let (device_milli, device_memory_mib) = match (demand.devices, sharing) {
        (DeviceDemand::Whole { .. }, _) => (WHOLE_MILLI, 0),
        (DeviceDemand::Share { milli, memory_mib, .. }, _) => (milli, memory_mib),
        (
            DeviceDemand::Partition { compute_slices, memory_mib },
            Some(Sharing::Partitioned(layout)),
        ) => layouts
            .get(layout)
            .ok()
            .and_then(|table| {
                let profile = table.smallest(compute_slices, memory_mib)?;
                Some((table.milli(profile), profile.memory_mib))
            })
            .unwrap_or_default(),
        _ => (0, 0),
    };
    Hold {
        node,
        cpu_milli: demand.cpu_milli,
        memory_mib: demand.memory_mib,
        devices: choice.devices,
        device_milli,
        device_memory_mib,
        slices: choice.slices,
    }
}

pub(crate) fn check_free(node: &Node, devices: &[Device], hold: &Hold) -> Result<(), Error> {
    let full = |field, capacity: u64| Err(Error::Full { field, capacity });
    if hold.cpu_milli > node.cpu_free_milli {
        return full("cpu_milli", node.cpu_milli.into());
    }
    if hold.memory_mib > node.memory_free_mib {
        return full("memory_mib", node.memory_mib.into());
    }
    let fits = set_of(devices, |device| {
        device.free_milli >= hold.device_milli
            && device.memory_free_mib >= memory_of(device, hold)
            && device.slices & hold.slices == 0
            && device.holders < u8::MAX
    });
    if hold.devices & !fits != 0 {
        return full("devices", devices.len() as u64);
    }
    if node.holds == u32::MAX {
        return full("holds", node.holds.into());
    }
    Ok(())
}

/// Whether anything could have been taken so, of these devices.
fn check_form(layouts: &Layouts, devices: &[Device], hold: &Hold) -> Result<(), Error> {
    let Hold { devices: set, device_milli: milli, device_memory_mib, slices, .. } = *hold;
    if set == 0 {
        let nothing = milli == 0 && device_memory_mib == 0 && slices == 0;
        let fault = contradiction("device_milli", milli, "devices", set);
        return if nothing { Ok(()) } else { Err(fault) };
    }
    check_range("device_milli", milli.into(), 1, WHOLE_MILLI.into())?;
    let right = set_of(devices, |device| match device.spec.sharing {
        Sharing::Exclusive => is_whole(hold) && device_memory_mib == 0,
        Sharing::Shared => slices == 0 && (!is_whole(hold) || device_memory_mib == 0),
        Sharing::Partitioned(layout) => {
            let stands = |table: &super::partition::Table| {
                set.is_power_of_two() && table.stands(slices, milli, device_memory_mib)
            };
            layouts.get(layout).is_ok_and(stands)
        }
    });
    if set & !right == 0 {
        return Ok(());
    }
    Err(contradiction("devices", set, "devices of which so much can be taken", right))
}

/// Whether as much is taken.
fn check_taken(node: &Node, devices: &[Device], hold: &Hold) -> Result<(), Error> {
    let (cpu_taken, memory_taken) =
        (node.cpu_milli - node.cpu_free_milli, node.memory_mib - node.memory_free_mib);
    check_range("cpu_milli", hold.cpu_milli.into(), 0, cpu_taken.into())?;
    check_range("memory_mib", hold.memory_mib.into(), 0, memory_taken.into())?;
    let taken = set_of(devices, |device| {
        device.holders > 0
            && WHOLE_MILLI - device.free_milli >= hold.device_milli
            && device.spec.memory_mib - device.memory_free_mib >= memory_of(device, hold)
            && device.slices & hold.slices == hold.slices
    });
    if node.holds == 0 || hold.devices & !taken != 0 {
        return Err(contradiction("devices", hold.devices, "devices taken of", taken));
    }
    Ok(())
}

/// Whether what is left can be: the last one gives back all that is taken, and no other does.
fn check_left(
    layouts: &Layouts,
    node: &Node,
    devices: &[Device],
    hold: &Hold,
) -> Result<(), Error> {
    let mut left = *node;
    give_host(&mut left, hold);
    let all_given =
        left.cpu_free_milli == left.cpu_milli && left.memory_free_mib == left.memory_mib;
    let mut possible = left.holds > 0 || all_given;
    for (at, device) in devices.iter().enumerate() {
        let mut device = *device;
        if hold.devices >> at & 1 == 1 {
            give_device(&mut device, hold);
            possible &= device.is_possible(layouts);
        }
        possible &= u32::from(device.holders) <= left.holds;
    }
    let fault = contradiction("hold", hold.devices, "holds", node.holds);
    if possible { Ok(()) } else { Err(fault) }
}
