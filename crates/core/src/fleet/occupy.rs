//! Taking from a node, and giving back exactly that.

use super::device::WHOLE_MILLI;
use super::{
    DEVICES_PER_NODE_MAX, Demand, Device, DeviceChoice, DeviceDemand, Fleet, Health, Hold, Lack,
    Node, NodeId, NodeStatus, Sharing,
};
use crate::error::Error;

impl Fleet {
    /// The first thing that a node lacks for a demand; `None`: it fits. Labels, failure domains
    /// and promises are not known here. O(devices).
    ///
    /// # Errors
    /// [`Error::Stale`] for an unknown node.
    pub fn lack(&self, node: NodeId, demand: &Demand) -> Result<Option<Lack>, Error> {
        self.nodes.get(node)?;
        Ok(self.choose_devices(node.index(), demand).err())
    }

    /// Which devices of the node with this index a demand would take where nothing else is said:
    /// of those that will do the ones with the least left, and whole devices from the smallest link
    /// group that has enough. O(devices).
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
            host_lack(node, demand).map_or(Ok(DeviceChoice::default()), Err)
        } else if usable(devices, demand) == 0 {
            Err(Lack::Model)
        } else if let Some(lack) = host_lack(node, demand) {
            Err(lack)
        } else {
            pick(devices, demand)
        }
    }

    /// Takes what a demand asks for, on the devices chosen. O(devices).
    ///
    /// # Errors
    /// [`Error::Stale`] for an unknown node; [`Error::Full`] on what is not free, with nothing
    /// taken.
    pub fn take(
        &mut self,
        node: NodeId,
        demand: &Demand,
        choice: DeviceChoice,
    ) -> Result<Hold, Error> {
        let hold = hold_of(node, demand, choice);
        let (here, devices) = self.split(node)?;
        check(here, devices, &hold)?;
        take_from(here, devices, &hold);
        Ok(hold)
    }

    /// Gives back what was taken. O(devices).
    ///
    /// # Errors
    /// [`Error::Stale`] for an unknown node; [`Error::Range`] for more than is taken there, with
    /// nothing given back.
    pub fn give(&mut self, hold: &Hold) -> Result<(), Error> {
        let (here, devices) = self.split(hold.node)?;
        check_taken(here, devices, hold)?;
        give_to(here, devices, hold);
        Ok(())
    }

    fn split(&mut self, node: NodeId) -> Result<(&mut Node, &mut [Device]), Error> {
        let begin = self.first_device(node.index());
        let here = self.nodes.get_mut(node)?;
        let devices = &mut self.devices[begin..begin + usize::from(here.devices_len)];
        Ok((here, devices))
    }
}

/// Takes what is known to be free.
pub(crate) fn take_from(node: &mut Node, devices: &mut [Device], hold: &Hold) {
    node.cpu_free_milli -= hold.cpu_milli;
    node.memory_free_mib -= hold.memory_mib;
    node.holds += 1;
    for device in chosen(devices, hold.devices) {
        device.free_milli -= hold.device_milli;
        device.memory_free_mib -= memory_of(device, hold);
        device.slices |= hold.slices;
        device.holders += 1;
    }
}

/// Gives back what is known to be taken.
pub(crate) fn give_to(node: &mut Node, devices: &mut [Device], hold: &Hold) {
    node.cpu_free_milli += hold.cpu_milli;
    node.memory_free_mib += hold.memory_mib;
    node.holds -= 1;
    for device in chosen(devices, hold.devices) {
        device.free_milli += hold.device_milli;
        device.memory_free_mib += memory_of(device, hold);
        device.slices &= !hold.slices;
        device.holders -= 1;
    }
}

/// Memory that a hold has of a device: all of it where it is whole.
fn memory_of(device: &Device, hold: &Hold) -> u32 {
    if hold.device_milli == WHOLE_MILLI { device.spec.memory_mib } else { hold.device_memory_mib }
}

fn chosen(devices: &mut [Device], set: u16) -> impl Iterator<Item = &mut Device> {
    devices
        .iter_mut()
        .enumerate()
        .filter_map(move |(at, device)| (set >> at & 1 == 1).then_some(device))
}

pub(crate) fn hold_of(node: NodeId, demand: &Demand, choice: DeviceChoice) -> Hold {
    let (device_milli, device_memory_mib) = match demand.devices {
        DeviceDemand::None => (0, 0),
        DeviceDemand::Whole { .. } => (WHOLE_MILLI, 0),
        DeviceDemand::Share { milli, memory_mib, .. } => (milli, memory_mib),
        DeviceDemand::Partition { memory_mib, .. } => (demand.gpu_milli() as u16, memory_mib),
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
fn usable(devices: &[Device], demand: &Demand) -> u16 {
    set_of(devices, |device| {
        let kind = match demand.devices {
            DeviceDemand::None => false,
            DeviceDemand::Whole { .. } => !matches!(device.spec.sharing, Sharing::Partitioned(_)),
            DeviceDemand::Share { .. } => device.spec.sharing == Sharing::Shared,
            DeviceDemand::Partition { .. } => {
                matches!(device.spec.sharing, Sharing::Partitioned(_))
            }
        };
        kind && device.health == Health::Ready && demand.models.contains(device.spec.model)
    })
}

fn set_of(devices: &[Device], is_in: impl Fn(&Device) -> bool) -> u16 {
    devices.iter().enumerate().fold(0, |set, (at, device)| set | u16::from(is_in(device)) << at)
}

/// The devices to take, or what is missing.
fn pick(devices: &[Device], demand: &Demand) -> Result<DeviceChoice, Lack> {
    let usable = usable(devices, demand);
    let (count, milli, memory_mib) = match demand.devices {
        DeviceDemand::None => return Ok(DeviceChoice::default()),
        DeviceDemand::Whole { count, memory_mib } => (count, WHOLE_MILLI, memory_mib),
        DeviceDemand::Share { count, milli, memory_mib } => (count, milli, memory_mib),
        DeviceDemand::Partition { .. } => return Err(Lack::Partition),
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
    let from = if demand.one_link_group {
        smallest_group(devices, fits, count).ok_or(Lack::LinkGroup)?
    } else {
        smallest_group(devices, fits, count).unwrap_or(fits)
    };
    Ok(DeviceChoice { devices: least_left(devices, from, count), slices: 0 })
}

/// Of the link groups with enough devices in `fits`, the devices of that with the fewest.
fn smallest_group(devices: &[Device], fits: u16, count: u32) -> Option<u16> {
    let group = |device: &Device| {
        fits & set_of(devices, |other| other.spec.link_group == device.spec.link_group)
    };
    devices
        .iter()
        .map(group)
        .filter(|group| group.count_ones() >= count)
        .min_by_key(|group| (group.count_ones(), group.trailing_zeros()))
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

/// `Ok` if a hold can be taken.
pub(crate) fn check(node: &Node, devices: &[Device], hold: &Hold) -> Result<(), Error> {
    let full = |field, capacity: u64| Err(Error::Full { field, capacity });
    if hold.cpu_milli > node.cpu_free_milli {
        return full("cpu_milli", node.cpu_milli.into());
    }
    if hold.memory_mib > node.memory_free_mib {
        return full("memory_mib", node.memory_mib.into());
    }
    if u32::from(hold.devices) >> devices.len() != 0 {
        return full("devices", devices.len() as u64);
    }
    let fits = set_of(devices, |device| {
        device.free_milli >= hold.device_milli
            && device.memory_free_mib >= memory_of(device, hold)
            && device.slices & hold.slices == 0
    });
    if hold.devices & !fits != 0 {
        return full("devices", devices.len() as u64);
    }
    Ok(())
}

fn check_taken(node: &Node, devices: &[Device], hold: &Hold) -> Result<(), Error> {
    let over = |field, value: u32, max: u32| {
        Err(Error::Range { field, value: value.into(), min: 0, max: max.into() })
    };
    if hold.cpu_milli > node.cpu_milli - node.cpu_free_milli {
        return over("cpu_milli", hold.cpu_milli, node.cpu_milli - node.cpu_free_milli);
    }
    if hold.memory_mib > node.memory_mib - node.memory_free_mib {
        return over("memory_mib", hold.memory_mib, node.memory_mib - node.memory_free_mib);
    }
    let taken = set_of(devices, |device| {
        device.holders > 0
            && WHOLE_MILLI - device.free_milli >= hold.device_milli
            && device.spec.memory_mib - device.memory_free_mib >= memory_of(device, hold)
            && device.slices & hold.slices == hold.slices
    });
    if node.holds == 0 || hold.devices & !taken != 0 {
        return over("devices", hold.devices.into(), taken.into());
    }
    Ok(())
}
