//! Nodes: how they come, change and go.

use std::ffi::c_char;

use rampmeter::error::check_range;
use rampmeter::fleet::partition::PROFILES_MAX;
use rampmeter::fleet::{
    DEVICES_PER_NODE_MAX, DeviceSpec, Fleet, Layout, LayoutId, ModelId, NodeId, NodeSpec, Profile,
    Sharing,
};
use rampmeter::place::{Placer, TaskId};

use super::{none_set, rampmeter_placer, rampmeter_placer_options};
use crate::boundary::{Outcome, answer, change};
use crate::error::{Fault, rampmeter_error};
use crate::memory::{Out, array, array_mut, name, take, versioned};
use crate::status::rampmeter_status;

/// Most devices of one node: a set of them is 16 bits.
pub const RAMPMETER_NODE_DEVICES_MAX: usize = 16;
const _: () = assert!(RAMPMETER_NODE_DEVICES_MAX == DEVICES_PER_NODE_MAX as usize);

/// How a device is given away: whole, or in thousandths of its time with some of its memory.
pub const RAMPMETER_SHARING_SHARED: u8 = 0;
/// Only whole.
pub const RAMPMETER_SHARING_EXCLUSIVE: u8 = 1;
/// Only in partitions, by the rules of its layout (MIG).
pub const RAMPMETER_SHARING_PARTITIONED: u8 = 2;

/// Whether a node or a device may be given work: it may.
pub const RAMPMETER_HEALTH_READY: u8 = 0;
/// What runs there may end, nothing new starts.
pub const RAMPMETER_HEALTH_DRAINING: u8 = 1;
/// It is lost: nothing runs there.
pub const RAMPMETER_HEALTH_FAILED: u8 = 2;

/// One size of partition that a device can be cut into.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_profile {
    /// Memory.
    pub memory_mib: u32,
    /// Compute slices, 1 to those of the device.
    pub compute_slices: u8,
    /// Memory slices that it occupies, in a row, up to 8.
    pub memory_slices: u8,
    /// Memory slices at which it may begin, as bits.
    pub starts: u8,
    /// Must be 0.
    pub reserved: u8,
}

/// The partitions that a model of device can be cut into.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_layout {
    /// Its profiles, smallest first: by memory slices, then by compute slices.
    pub profiles: *const rampmeter_profile,
    /// Elements of `profiles`, 1 to 8.
    pub profiles_len: u32,
    /// Compute slices of the whole device, 1 to 7.
    pub compute_slices: u8,
    /// Must be 0.
    pub reserved: [u8; 3],
}

/// A device of a node.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_device {
    /// Memory. 0: unknown, and nothing that asks for device memory fits. Of a partitioned device at
    /// least what its partitions can have together.
    pub memory_mib: u32,
    /// Its model, by the host's own number for it, 0 to 63.
    pub model: u8,
    /// NUMA node that it is attached to.
    pub numa: u8,
    /// Devices of one node with the same number reach each other fast (an NVLink domain).
    pub link_group: u8,
    /// RAMPMETER_SHARING_...
    pub sharing: u8,
    /// Its layout, if it is partitioned; else 0. See rampmeter_layout_named().
    pub layout: u8,
    /// Must be 0.
    pub reserved: [u8; 3],
}

/// A node that comes. Set all of it to 0, then `size`, then what is known.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_node {
    /// Bytes of this structure as the caller knows it.
    pub size: u32,
    /// Elements of `devices`.
    pub devices_len: u32,
    /// Its devices; calls name them by their place here, from 0.
    pub devices: *const rampmeter_device,
    /// What the host says about it, as bits of its choice.
    pub labels: u64,
    /// Thousandths of a core, up to 2^30.
    pub cpu_milli: u32,
    /// Host memory, up to 2^30.
    pub memory_mib: u32,
    /// Rack (or NVLink domain of several nodes), below 2^20. Racks are numbered over the whole fleet.
    pub rack: u32,
    /// Zone that the rack stands in, below 2^20.
    pub zone: u32,
}
versioned!(rampmeter_node, 40);

impl rampmeter_device {
    fn spec(&self) -> Result<DeviceSpec, Fault> {
        none_set("devices[].reserved", self.reserved.iter().copied().max().unwrap_or(0).into())?;
        let sharing = match self.sharing {
            RAMPMETER_SHARING_PARTITIONED => Sharing::Partitioned(LayoutId(self.layout)),
            other => {
                none_set("devices[].layout", self.layout.into())?;
                match other {
                    RAMPMETER_SHARING_SHARED => Sharing::Shared,
                    RAMPMETER_SHARING_EXCLUSIVE => Sharing::Exclusive,
                    other => return Err(beyond("devices[].sharing", other.into(), 2)),
                }
            }
        };
        Ok(DeviceSpec {
            model: ModelId(self.model),
            memory_mib: self.memory_mib,
            sharing,
            numa: self.numa,
            link_group: self.link_group,
        })
    }
}

/// A number above the last that has a meaning.
#[cold]
pub(super) fn beyond(field: &'static str, value: u64, max: u64) -> Fault {
    rampmeter::Error::Range { field, value, min: 0, max }.into()
}

/// Hands a node to the core, which keeps nothing of it.
///
/// # Safety
/// As [`take`], and [`array`] for its devices.
pub(super) unsafe fn with_node<T>(
    node: *const rampmeter_node,
    call: impl FnOnce(&NodeSpec<'_>) -> Result<T, rampmeter::Error>,
) -> Result<T, Fault> {
    // SAFETY: passed on.
    let node = unsafe { take(node, "node")? };
    check_range("devices_len", node.devices_len.into(), 0, DEVICES_PER_NODE_MAX.into())?;
    // SAFETY: passed on.
    let given = unsafe { array(node.devices, node.devices_len as usize, "devices")? };
    let mut devices = [DeviceSpec::default(); RAMPMETER_NODE_DEVICES_MAX];
    for (device, given) in devices.iter_mut().zip(given) {
        *device = given.spec()?;
    }
    Ok(call(&NodeSpec {
        cpu_milli: node.cpu_milli,
        memory_mib: node.memory_mib,
        devices: &devices[..given.len()],
        labels: node.labels,
        rack: node.rack,
        zone: node.zone,
    })?)
}

/// A fleet without nodes, with the layouts of the host.
///
/// # Safety
/// As [`array`], for the layouts and the profiles of each.
pub(super) unsafe fn new_fleet(options: &rampmeter_placer_options) -> Result<Fleet, Fault> {
    // SAFETY: passed on.
    let given = unsafe { array(options.layouts, options.layouts_len as usize, "layouts")? };
    let mut profiles = Vec::new();
    for layout in given {
        none_set("layouts[].reserved", layout.reserved.iter().copied().max().unwrap_or(0).into())?;
        let len = check_range("profiles_len", layout.profiles_len.into(), 1, PROFILES_MAX as u64)?
            as usize;
        // SAFETY: passed on.
        let given = unsafe { array(layout.profiles, len, "profiles")? };
        for profile in given {
            none_set("profiles[].reserved", profile.reserved.into())?;
        }
        let profile = |given: &rampmeter_profile| Profile {
            compute_slices: given.compute_slices,
            memory_slices: given.memory_slices,
            memory_mib: given.memory_mib,
            starts: given.starts,
        };
        profiles.push(given.iter().map(profile).collect::<Vec<_>>());
    }
    let layouts = given.iter().zip(&profiles);
    let layouts: Vec<Layout<'_>> = layouts
        .map(|(given, profiles)| Layout { profiles, compute_slices: given.compute_slices })
        .collect();
    Ok(Fleet::with_layouts(&options.fleet(), &layouts)?)
}

/// The built-in layout of a device: "a30-24gb", "a100-40gb", "a100-80gb", "h100-80gb", "h100-94gb",
/// "h100-96gb" or "h200-141gb".
///
/// Fails: E_NAME, E_TEXT, E_POINTER. Allocates: no, but to say which name was wrong. Blocks: no.
/// Threads: any. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_layout_named(
    layout_name: *const c_char,
    layout: *mut u8,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        answer(error, || {
            let (out, given) = (Out::new(layout, "layout")?, name(layout_name, "layout_name")?);
            let known = LayoutId::named(given)
                .ok_or_else(|| Fault::Name { what: "layout_name", name: given.into() })?;
            out.set(known.0);
            Ok(())
        })
    }
}

/// The layout that the host gave as this place of rampmeter_placer_options::layouts, from 0. Whether
/// there is one is found out when a device names it.
///
/// Allocates: no. Blocks: no. Threads: any. Since: 0.1.
#[unsafe(no_mangle)]
pub extern "C" fn rampmeter_layout_of_host(place: u8) -> u8 {
    LayoutId::of_host(place).0
}

/// A node comes; all of it is free. `*added` is its handle.
///
/// Fails: E_RANGE (the error names the field), E_FULL (`nodes_max`), E_SIZE, E_TOO_NEW, E_POINTER.
/// Ownership: `node` and its devices are read and not kept. Allocates: no. Blocks: no. Threads: one
/// at a time for each placer. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_placer_add_node(
    placer: *mut rampmeter_placer,
    node: *const rampmeter_node,
    added: *mut u64,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change(placer, error, |placer| {
            let out = Out::new(added, "added")?;
            out.set(with_node(node, |spec| placer.add_node(spec))?.to_raw());
            Ok(())
        })
    }
}

/// Takes a node out on which nothing runs; its handle is stale from now on.
///
/// Fails: E_STALE, E_CONTRADICTION (something runs there), E_POINTER. Allocates: no. Blocks: no.
/// Threads: one at a time for each placer. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_placer_remove_node(
    placer: *mut rampmeter_placer,
    node: u64,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe { change(placer, error, |placer| Ok(placer.remove_node(NodeId::from_raw(node))?)) }
}

/// Tells of an event the tasks that it concerns.
///
/// # Safety
/// As [`array_mut`] and [`Out::new`].
unsafe fn tell_tasks(
    placer: &mut Placer,
    (out, capacity): (*mut u64, usize),
    tasks_len: *mut u32,
    call: impl FnOnce(&mut Placer, &mut [TaskId]) -> Result<u32, rampmeter::Error>,
) -> Outcome {
    // SAFETY: passed on; a handle is a number, and any number is one.
    let (len, out) = unsafe {
        (Out::new(tasks_len, "tasks_len")?, array_mut(out.cast::<TaskId>(), capacity, "out")?)
    };
    len.set(call(placer, out)?);
    Ok(())
}

/// Nothing more starts on a node; what runs there may end. The tasks that run there go to the front
/// of `out`, each once; `*tasks_len` says how many. They stay until they are released.
///
/// Fails: E_STALE, E_BUFFER_TOO_SMALL (fewer places than members run there), E_POINTER. Allocates:
/// no. Blocks: no. Threads: one at a time for each placer. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_placer_drain_node(
    placer: *mut rampmeter_placer,
    node: u64,
    out: *mut u64,
    capacity: usize,
    tasks_len: *mut u32,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    let node = NodeId::from_raw(node);
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change(placer, error, |placer| {
            tell_tasks(placer, (out, capacity), tasks_len, |placer, out| {
                placer.drain_node(node, out)
            })
        })
    }
}

/// A node is lost, with all that ran there. Otherwise as rampmeter_placer_drain_node().
///
/// Fails, and so on: as there. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_placer_fail_node(
    placer: *mut rampmeter_placer,
    node: u64,
    out: *mut u64,
    capacity: usize,
    tasks_len: *mut u32,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    let node = NodeId::from_raw(node);
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change(placer, error, |placer| {
            tell_tasks(placer, (out, capacity), tasks_len, |placer, out| {
                placer.fail_node(node, out)
            })
        })
    }
}

/// A node may be given work again, on those of its devices that are ready. What was not released
/// still holds what it held.
///
/// Fails: E_STALE, E_POINTER. Allocates: no. Blocks: no. Threads: one at a time for each placer.
/// Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_placer_return_node(
    placer: *mut rampmeter_placer,
    node: u64,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe { change(placer, error, |placer| Ok(placer.return_node(NodeId::from_raw(node))?)) }
}

/// Nothing more starts on a device. Otherwise as rampmeter_placer_drain_node(), for the tasks that
/// hold something of the device.
///
/// Fails, and so on: as there, and E_RANGE for a device that the node does not have. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_placer_drain_device(
    placer: *mut rampmeter_placer,
    node: u64,
    device: u32,
    out: *mut u64,
    capacity: usize,
    tasks_len: *mut u32,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    let node = NodeId::from_raw(node);
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change(placer, error, |placer| {
            tell_tasks(placer, (out, capacity), tasks_len, |placer, out| {
                placer.drain_device(node, device, out)
            })
        })
    }
}

/// A device is lost. Otherwise as rampmeter_placer_drain_device().
///
/// Fails, and so on: as there. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_placer_fail_device(
    placer: *mut rampmeter_placer,
    node: u64,
    device: u32,
    out: *mut u64,
    capacity: usize,
    tasks_len: *mut u32,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    let node = NodeId::from_raw(node);
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change(placer, error, |placer| {
            tell_tasks(placer, (out, capacity), tasks_len, |placer, out| {
                placer.fail_device(node, device, out)
            })
        })
    }
}

/// A device may be given away again. What was not released still holds what it held.
///
/// Fails: E_STALE, E_RANGE (a device that the node does not have), E_POINTER. Allocates: no. Blocks:
/// no. Threads: one at a time for each placer. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_placer_return_device(
    placer: *mut rampmeter_placer,
    node: u64,
    device: u32,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change(placer, error, |placer| Ok(placer.return_device(NodeId::from_raw(node), device)?))
    }
}

/// The host says something else about a node. What runs there stays, also where its task would not
/// be put there any more.
///
/// Fails: E_STALE, E_POINTER. Allocates: no. Blocks: no. Threads: one at a time for each placer.
/// Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_placer_set_labels(
    placer: *mut rampmeter_placer,
    node: u64,
    labels: u64,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change(placer, error, |placer| Ok(placer.set_labels(NodeId::from_raw(node), labels)?))
    }
}

/// The host says whether an artifact (a model, an image) is on a node; placing a task there says so
/// by itself.
///
/// Fails: E_STALE, E_RANGE (`artifact` 0, or `is_warm` neither 0 nor 1), E_POINTER. Allocates: no.
/// Blocks: no. Threads: one at a time for each placer. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_placer_set_warm(
    placer: *mut rampmeter_placer,
    node: u64,
    artifact: u32,
    is_warm: u8,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change(placer, error, |placer| {
            let is_warm = crate::memory::flag(is_warm, "is_warm")?;
            Ok(placer.set_warm(NodeId::from_raw(node), artifact, is_warm)?)
        })
    }
}
