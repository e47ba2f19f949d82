//! Nodes and devices as they are, and what of them is free.

use rampmeter::Error;
use rampmeter::fleet::{Device, DeviceSpec, ModelId, NodeId, Sharing, Totals};

use super::fleet::{RAMPMETER_SHARING_EXCLUSIVE, RAMPMETER_SHARING_PARTITIONED};
use super::life::{RAMPMETER_LACK_NONE, lack_of};
use super::tasks::taken_demand;
use super::{RAMPMETER_SHARING_SHARED, rampmeter_demand, rampmeter_device, rampmeter_placer};
use crate::boundary::{Outcome, look};
use crate::error::rampmeter_error;
use crate::memory::{Out, OutSized, array_mut, versioned};
use crate::status::rampmeter_status;

/// An amount of everything, on nodes that are ready with devices that are.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_totals {
    /// Nodes; free is one of which nothing is taken.
    pub nodes: u32,
    /// Devices; free is one of which nothing is taken.
    pub devices: u32,
    /// Thousandths of devices.
    pub gpu_milli: u64,
    /// Thousandths of a core.
    pub cpu_milli: u64,
    /// Host memory.
    pub memory_mib: u64,
}

/// What is there, and what of it is free. Set `size` before.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_stats_fleet {
    /// Bytes of this structure as the caller knows it.
    pub size: u32,
    /// Nodes in whatever state.
    pub nodes: u32,
    /// What is there.
    pub total: rampmeter_totals,
    /// What of that is free.
    pub free: rampmeter_totals,
}
versioned!(rampmeter_stats_fleet, 72);

/// What of one model of device is there, on nodes that are ready. Set `size` before.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_stats_device_model {
    /// Bytes of this structure as the caller knows it.
    pub size: u32,
    /// Devices that are ready.
    pub devices: u32,
    /// Of them those of which nothing is taken.
    pub devices_free: u32,
    /// 0.
    pub reserved: u32,
    /// Thousandths of them.
    pub gpu_milli: u64,
    /// Of these free.
    pub gpu_free_milli: u64,
}
versioned!(rampmeter_stats_device_model, 32);

/// A node, and what of it is free. Set `size` before.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_node_state {
    /// Bytes of this structure as the caller knows it.
    pub size: u32,
    /// Members of tasks that hold something of it.
    pub holds: u32,
    /// What the host says about it.
    pub labels: u64,
    /// Models of its devices, as bits.
    pub models: u64,
    /// CPU in all, in thousandths of a core.
    pub cpu_milli: u32,
    /// Of it free.
    pub cpu_free_milli: u32,
    /// Host memory in all.
    pub memory_mib: u32,
    /// Of it free.
    pub memory_free_mib: u32,
    /// Its rack.
    pub rack: u32,
    /// Its zone.
    pub zone: u32,
    /// How many devices it has.
    pub devices_len: u8,
    /// RAMPMETER_HEALTH_...
    pub health: u8,
    /// 0.
    pub reserved: [u8; 6],
}
versioned!(rampmeter_node_state, 56);

/// A device, and what of it is free. Set `size` before.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_device_state {
    /// Bytes of this structure as the caller knows it.
    pub size: u32,
    /// Memory that is free.
    pub memory_free_mib: u32,
    /// What it is.
    pub device: rampmeter_device,
    /// Thousandths that are free.
    pub free_milli: u16,
    /// How many hold something of it.
    pub holders: u8,
    /// Memory slices that partitions occupy, as bits.
    pub slices: u8,
    /// RAMPMETER_HEALTH_...
    pub health: u8,
    /// 0.
    pub reserved: [u8; 7],
}
versioned!(rampmeter_device_state, 32);

/// Which devices of a node a member would take. Set `size` before.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_choice {
    /// Bytes of this structure as the caller knows it.
    pub size: u32,
    /// Devices of the node, as bits.
    pub devices: u16,
    /// Memory slices of the one device, as bits, for a partition; else 0.
    pub slices: u8,
    /// RAMPMETER_LACK_...: what the node lacks; NONE: it fits.
    pub lack: u8,
}
versioned!(rampmeter_choice, 8);

impl From<&Totals> for rampmeter_totals {
    fn from(totals: &Totals) -> Self {
        Self {
            nodes: totals.nodes,
            devices: totals.devices,
            gpu_milli: totals.gpu_milli,
            cpu_milli: totals.cpu_milli,
            memory_mib: totals.memory_mib,
        }
    }
}

impl From<&DeviceSpec> for rampmeter_device {
    fn from(spec: &DeviceSpec) -> Self {
        let (sharing, layout) = match spec.sharing {
            Sharing::Shared => (RAMPMETER_SHARING_SHARED, 0),
            Sharing::Exclusive => (RAMPMETER_SHARING_EXCLUSIVE, 0),
            Sharing::Partitioned(layout) => (RAMPMETER_SHARING_PARTITIONED, layout.0),
        };
        Self {
            memory_mib: spec.memory_mib,
            model: spec.model.0,
            numa: spec.numa,
            link_group: spec.link_group,
            sharing,
            layout,
            reserved: [0; 3],
        }
    }
}

impl From<&Device> for rampmeter_device_state {
    fn from(device: &Device) -> Self {
        Self {
            size: 0,
            memory_free_mib: device.memory_free_mib,
            device: (&device.spec).into(),
            free_milli: device.free_milli,
            holders: device.holders,
            slices: device.slices,
            health: device.health as u8,
            reserved: [0; 7],
        }
    }
}

/// Writes all of them, or says how many there are.
///
/// # Safety
/// As [`array_mut`] and [`Out::new`].
pub(super) unsafe fn give_all<T>(
    elements: impl Iterator<Item = T>,
    count: u32,
    (out, capacity): (*mut T, usize),
    len: *mut u32,
) -> Outcome {
    // SAFETY: passed on.
    let (len, out) = unsafe { (Out::new(len, "len")?, array_mut(out, capacity, "out")?) };
    if capacity > 0 && capacity < count as usize {
        let (given, needed) = (capacity as u64, count.into());
        return Err(Error::BufferTooSmall { field: "out", given, needed }.into());
    }
    for (out, element) in out.iter_mut().zip(elements) {
        *out = element;
    }
    len.set(count);
    Ok(())
}

/// What is there in all, and what of it is free.
///
/// Fails: E_SIZE, E_POINTER. Allocates: no. Blocks: no. Threads: any number, while nobody changes
/// the placer. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_placer_fleet_stats(
    placer: *const rampmeter_placer,
    stats: *mut rampmeter_stats_fleet,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(placer, error, |placer| {
            let (out, fleet) = (OutSized::new(stats, "stats")?, placer.fleet());
            let (total, free) = (fleet.total().into(), fleet.free().into());
            out.set(rampmeter_stats_fleet { size: 0, nodes: fleet.len(), total, free });
            Ok(())
        })
    }
}

/// What of a model of device is there; nothing of one that does not exist.
///
/// Fails: E_SIZE, E_POINTER. Allocates: no. Blocks: no. Threads: any number, while nobody changes
/// the placer. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_placer_device_model_stats(
    placer: *const rampmeter_placer,
    model: u8,
    stats: *mut rampmeter_stats_device_model,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(placer, error, |placer| {
            let out = OutSized::new(stats, "stats")?;
            let of_model = placer.fleet().of_model(ModelId(model));
            out.set(rampmeter_stats_device_model {
                size: 0,
                devices: of_model.devices,
                devices_free: of_model.devices_free,
                reserved: 0,
                gpu_milli: of_model.milli,
                gpu_free_milli: of_model.free_milli,
            });
            Ok(())
        })
    }
}

/// Writes the handles of all nodes to the front of `out`; `*len` says how many there are. With
/// `capacity` 0 it only says that. Takes time in proportion to the nodes.
///
/// Fails: E_BUFFER_TOO_SMALL, E_POINTER. Allocates: no. Blocks: no. Threads: any number, while
/// nobody changes the placer. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_placer_nodes(
    placer: *const rampmeter_placer,
    out: *mut u64,
    capacity: usize,
    len: *mut u32,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(placer, error, |placer| {
            let nodes = placer.fleet().iter().map(|(node, _)| node.to_raw());
            give_all(nodes, placer.fleet().len(), (out, capacity), len)
        })
    }
}

/// A node, and what of it is free.
///
/// Fails: E_STALE, E_SIZE, E_POINTER. Allocates: no. Blocks: no. Threads: any number, while nobody
/// changes the placer. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_placer_node(
    placer: *const rampmeter_placer,
    node: u64,
    state: *mut rampmeter_node_state,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(placer, error, |placer| {
            let out = OutSized::new(state, "state")?;
            let node = placer.fleet().node(NodeId::from_raw(node))?;
            out.set(rampmeter_node_state {
                size: 0,
                holds: node.holds,
                labels: node.labels,
                models: node.models.0,
                cpu_milli: node.cpu_milli,
                cpu_free_milli: node.cpu_free_milli,
                memory_mib: node.memory_mib,
                memory_free_mib: node.memory_free_mib,
                rack: node.rack,
                zone: node.zone,
                devices_len: node.devices_len,
                health: node.status as u8,
                reserved: [0; 6],
            });
            Ok(())
        })
    }
}

/// A device of a node, and what of it is free.
///
/// Fails: E_STALE, E_RANGE (a device that the node does not have), E_SIZE, E_POINTER. Allocates: no.
/// Blocks: no. Threads: any number, while nobody changes the placer. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_placer_device(
    placer: *const rampmeter_placer,
    node: u64,
    device: u32,
    state: *mut rampmeter_device_state,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(placer, error, |placer| {
            let out = OutSized::new(state, "state")?;
            let devices = placer.fleet().devices(NodeId::from_raw(node))?;
            let max = (devices.len() as u64).saturating_sub(1);
            let (field, value) = ("device", device.into());
            let known = devices.get(device as usize);
            out.set(known.ok_or(Error::Range { field, value, min: 0, max })?.into());
            Ok(())
        })
    }
}

/// Which devices of a node a member would take where nothing else is said, or what the node lacks.
/// Labels, failure domains and promises are not looked at: rampmeter_placer_why() does.
///
/// Fails: E_STALE, E_RANGE, E_SIZE, E_POINTER. Allocates: no. Blocks: no. Threads: any number, while
/// nobody changes the placer. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_placer_choice(
    placer: *const rampmeter_placer,
    node: u64,
    member: *const rampmeter_demand,
    choice: *mut rampmeter_choice,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(placer, error, |placer| {
            let (out, member) = (OutSized::new(choice, "choice")?, taken_demand(member)?);
            member.check()?;
            let chosen = placer.fleet().choice(NodeId::from_raw(node), &member)?;
            let (devices, slices, lack) = match chosen {
                Ok(choice) => (choice.devices, choice.slices, RAMPMETER_LACK_NONE),
                Err(lack) => (0, 0, lack_of(lack)),
            };
            out.set(rampmeter_choice { size: 0, devices, slices, lack });
            Ok(())
        })
    }
}

/// Whether nothing starts on a node and nothing is there any more: it may be taken away.
///
/// Fails: E_STALE, E_POINTER. Allocates: no. Blocks: no. Threads: any number, while nobody changes
/// the placer. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_placer_is_drained(
    placer: *const rampmeter_placer,
    node: u64,
    is_drained: *mut u8,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(placer, error, |placer| {
            let out = Out::new(is_drained, "is_drained")?;
            out.set(placer.drained(NodeId::from_raw(node))?.into());
            Ok(())
        })
    }
}

/// Whether an artifact is believed to be on a node.
///
/// Fails: E_STALE, E_RANGE (`artifact` 0), E_POINTER. Allocates: no. Blocks: no. Threads: any
/// number, while nobody changes the placer. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_placer_is_warm(
    placer: *const rampmeter_placer,
    node: u64,
    artifact: u32,
    is_warm: *mut u8,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(placer, error, |placer| {
            let out = Out::new(is_warm, "is_warm")?;
            out.set(placer.is_warm(NodeId::from_raw(node), artifact)?.into());
            Ok(())
        })
    }
}
