//! From a snapshot to the nodes of a placer.

use std::ffi::c_char;

use rampmeter::fleet::{LayoutId, ModelId, NodeId};
use rampmeter::{Error, Nanos};
use rampmeter_probe::Device;
use rampmeter_probe::bridge::fleet::{
    Action, Change, NodeBridge, NodeDevices, Rules, Why, describe,
};

use super::{condition_number, gpus::lost, rampmeter_snapshot};
use crate::boundary::{Guarded, change, create, desk, destroy, look, object};
use crate::error::{Fault, rampmeter_error};
use crate::memory::{Out, array, array_mut, flag, give_text, take, versioned};
use crate::placer::{rampmeter_device, rampmeter_placer};
use crate::status::rampmeter_status;

/// What is to be done about a device of a node: rampmeter_placer_fail_device().
pub const RAMPMETER_ACTION_FAIL: u8 = 0;
/// rampmeter_placer_drain_device().
pub const RAMPMETER_ACTION_DRAIN: u8 = 1;
/// rampmeter_placer_return_device().
pub const RAMPMETER_ACTION_RETURN: u8 = 2;

/// Why: the driver lost it; rampmeter_device_change::detail is RAMPMETER_GPU_...
pub const RAMPMETER_CAUSE_LOST: u8 = 0;
/// The snapshot is too old: nobody knows.
pub const RAMPMETER_CAUSE_STALE: u8 = 1;
/// The driver does not list it, or does not give it to this process.
pub const RAMPMETER_CAUSE_MISSING: u8 = 2;
/// The driver does not answer; rampmeter_device_change::detail is RAMPMETER_CONDITION_...
pub const RAMPMETER_CAUSE_DRIVER: u8 = 3;
/// Somebody else has taken memory; rampmeter_device_change::missing_mib says how much.
pub const RAMPMETER_CAUSE_MEMORY_TAKEN: u8 = 4;
/// What took it out is over.
pub const RAMPMETER_CAUSE_RECOVERED: u8 = 5;

/// A node of a placer and the GPUs that it is made of: it says what a node's devices are, and later
/// which of them to take out, and which to give back. It only takes back what it took out itself.
pub struct rampmeter_node_bridge(Guarded<Bridge>);
object!(rampmeter_node_bridge, Bridge, "bridge");

/// What a node is made of, and what was told about it.
pub(crate) struct Bridge {
    devices: NodeDevices,
    rules: Rules,
    node: NodeBridge,
}

/// How far a snapshot is trusted. Set all of it to 0, then `size`, then what is to be other than the
/// default.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_node_rules {
    /// Bytes of this structure as the caller knows it.
    pub size: u32,
    /// Memory that may be missing on a device before it is drained; 0: 1,024. Contexts that tasks have
    /// beside what they asked for take up to 555 MiB each.
    pub slack_mib: u32,
    /// From this age on a snapshot says nothing; 0: 3 s.
    pub stale_after_ns: u64,
}
versioned!(rampmeter_node_rules, 16);

impl rampmeter_node_rules {
    fn rules(&self) -> Rules {
        let default = Rules::default();
        let (slack, stale) = (self.slack_mib, self.stale_after_ns);
        Rules {
            slack_mib: if slack == 0 { default.slack_mib } else { slack },
            stale_after: if stale == 0 { default.stale_after } else { Nanos(stale) },
        }
    }
}

/// What a GPU is to a placer: one for each place of a snapshot. All 0: the GPU is left out.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_gpu_use {
    /// 1: it is a device of the node.
    pub is_used: u8,
    /// Its model, by the host's own number for it, 0 to 63.
    pub model: u8,
    /// 1: if it is cut into instances, it is given away in partitions of `layout`; 0: then it is listed,
    /// and nothing that needs memory fits on it.
    pub has_layout: u8,
    /// See rampmeter_layout_named().
    pub layout: u8,
}

/// What is to be done about one device, by a call of the placer.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_device_change {
    /// Its node.
    pub node: u64,
    /// Which device of the node.
    pub device: u32,
    /// Of MEMORY_TAKEN: so much less is free than the placer believes.
    pub missing_mib: u32,
    /// RAMPMETER_ACTION_...
    pub action: u8,
    /// RAMPMETER_CAUSE_...
    pub cause: u8,
    /// Of some causes: more of it.
    pub detail: u8,
    /// 0.
    pub reserved: [u8; 5],
}

impl From<Change> for rampmeter_device_change {
    fn from(change: Change) -> Self {
        let (cause, detail, missing_mib) = match change.why {
            Why::Lost(loss) => (RAMPMETER_CAUSE_LOST, lost(loss), 0),
            Why::Stale => (RAMPMETER_CAUSE_STALE, 0, 0),
            Why::Missing => (RAMPMETER_CAUSE_MISSING, 0, 0),
            Why::Driver(condition) => (RAMPMETER_CAUSE_DRIVER, condition_number(condition), 0),
            Why::MemoryTaken { missing_mib } => (RAMPMETER_CAUSE_MEMORY_TAKEN, 0, missing_mib),
            Why::Recovered => (RAMPMETER_CAUSE_RECOVERED, 0, 0),
        };
        let action = match change.action {
            Action::Fail => RAMPMETER_ACTION_FAIL,
            Action::Drain => RAMPMETER_ACTION_DRAIN,
            Action::Return => RAMPMETER_ACTION_RETURN,
        };
        let (node, device) = (change.node.to_raw(), change.device);
        Self { node, device, missing_mib, action, cause, detail, reserved: [0; 5] }
    }
}

/// Creates a bridge for a node of the GPUs in `seen`, 16 at most: `uses` has one element for each place,
/// and those beyond `uses_len` are left out. Then rampmeter_node_bridge_devices() says what to add to
/// the placer, and rampmeter_node_bridge_attach() takes its answer.
///
/// Fails: E_RANGE, E_SIZE, E_TOO_NEW, E_POINTER. Ownership: `*out` is the caller's, to be given to
/// rampmeter_node_bridge_destroy(); NULL on failure. The rest is read and not kept. Allocates: yes, some
/// 4 KiB. Blocks: no. Threads: any number, while nobody changes the snapshot. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_node_bridge_create(
    seen: *const rampmeter_snapshot,
    uses: *const rampmeter_gpu_use,
    uses_len: usize,
    rules: *const rampmeter_node_rules,
    out: *mut *mut rampmeter_node_bridge,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        create(out, error, || {
            let (seen, rules) = (desk(seen)?.get(), take(rules, "rules")?.rules());
            let uses = array(uses, uses_len, "uses")?;
            for given in uses {
                flag(given.is_used, "uses[].is_used")?;
                flag(given.has_layout, "uses[].has_layout")?;
            }
            // A GPU's place is where it lies in the list that it is a part of.
            let of = |gpu: &Device| {
                let place = seen.devices.iter().position(|other| std::ptr::eq(other, gpu));
                place.and_then(|place| uses.get(place)).filter(|given| given.is_used == 1)
            };
            let devices = describe(
                seen,
                |gpu| of(gpu).map(|given| ModelId(given.model)),
                |gpu| {
                    of(gpu)
                        .filter(|given| given.has_layout == 1)
                        .map(|given| LayoutId(given.layout))
                },
            );
            let node = NodeBridge::new(NodeId::from_raw(0), &devices, rules);
            Ok(Bridge { devices, rules, node })
        })
    }
}

/// Ends a bridge. NULL is allowed and does nothing.
///
/// Allocates: no (frees). Blocks: no. Threads: one, and no other may still use it. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_node_bridge_destroy(bridge: *mut rampmeter_node_bridge) {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe { destroy(bridge) }
}

/// The node's devices, for rampmeter_node::devices, to the front of `devices`, and how many into
/// `*devices_len`: memory without what the driver keeps for itself, NUMA node, and one link group for
/// those that NVLink joins. 16 elements are always enough.
///
/// Fails: E_BUFFER_TOO_SMALL, E_POINTER. Allocates: no. Blocks: no. Threads: any number, while nobody
/// changes the bridge. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_node_bridge_devices(
    bridge: *const rampmeter_node_bridge,
    devices: *mut rampmeter_device,
    capacity: usize,
    devices_len: *mut u32,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(bridge, error, |bridge| {
            let len = Out::new(devices_len, "devices_len")?;
            let to = array_mut(devices, capacity, "devices")?;
            let specs = bridge.devices.specs();
            fits(to.len(), specs.len(), "devices")?;
            for (to, spec) in to.iter_mut().zip(specs) {
                *to = spec.into();
            }
            len.set(specs.len() as u32);
            Ok(())
        })
    }
}

fn fits(given: usize, needed: usize, field: &'static str) -> Result<(), Fault> {
    if given < needed {
        let (given, needed) = (given as u64, needed as u64);
        return Err(Error::BufferTooSmall { field, given, needed }.into());
    }
    Ok(())
}

/// The identifier of a device of the node, with a closing zero; `*len` is its length without that. With
/// `capacity` 0 it only tells the length; RAMPMETER_GPU_TEXT_BYTES are always enough.
///
/// Fails: E_RANGE for a device that the node does not have, E_BUFFER_TOO_SMALL, E_POINTER. Allocates: no.
/// Blocks: no. Threads: any number, while nobody changes the bridge. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_node_bridge_uuid(
    bridge: *const rampmeter_node_bridge,
    device: u32,
    out: *mut c_char,
    capacity: usize,
    len: *mut usize,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(bridge, error, |bridge| {
            let uuids = bridge.devices.uuids();
            let max = (uuids.len() as u64).saturating_sub(1);
            let (field, value) = ("device", device.into());
            let uuid = uuids.get(device as usize);
            let uuid = uuid.ok_or(Error::Range { field, value, min: 0, max })?;
            give_text(uuid.as_str(), out, capacity, len)
        })
    }
}

/// Which node of the placer this is, from now on: what rampmeter_placer_add_node() answered. Nothing of
/// it counts as taken out.
///
/// Fails: E_POINTER. Allocates: no. Blocks: no. Threads: one at a time for each bridge. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_node_bridge_attach(
    bridge: *mut rampmeter_node_bridge,
    node: u64,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change(bridge, error, |bridge| {
            bridge.node = NodeBridge::new(NodeId::from_raw(node), &bridge.devices, bridge.rules);
            Ok(())
        })
    }
}

/// What is to be done about the node's devices by this snapshot, to the front of `changes`, and how many
/// into `*changes_len`; 16 elements are always enough. Lost: fail. The snapshot is too old, the driver
/// does not answer or does not list the device, or memory is gone: drain. None of these any more: return.
/// The host makes the calls before it asks again; what the host took out itself is left as it is.
///
/// Fails: E_STALE if there is no such node, E_BUFFER_TOO_SMALL, E_POINTER; nothing has changed then.
/// Allocates: no. Blocks: no. Threads: one at a time for each bridge, while nobody changes snapshot and
/// placer. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_node_bridge_changes(
    bridge: *mut rampmeter_node_bridge,
    now_ns: u64,
    seen: *const rampmeter_snapshot,
    placer: *const rampmeter_placer,
    changes: *mut rampmeter_device_change,
    capacity: usize,
    changes_len: *mut u32,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change(bridge, error, |bridge| {
            let len = Out::new(changes_len, "changes_len")?;
            let to = array_mut(changes, capacity, "changes")?;
            let (seen, fleet) = (desk(seen)?.get(), desk(placer)?.fleet());
            // Tried on a copy: without room for the answer nothing was told.
            let mut node = bridge.node;
            let told = node.changes(Nanos(now_ns), seen, fleet)?;
            let mut count = 0;
            let mut all = [None; crate::placer::RAMPMETER_NODE_DEVICES_MAX];
            for (place, change) in all.iter_mut().zip(told) {
                *place = Some(change);
                count += 1;
            }
            fits(to.len(), count, "changes")?;
            for (to, change) in to.iter_mut().zip(all.into_iter().flatten()) {
                *to = change.into();
            }
            bridge.node = node;
            len.set(count as u32);
            Ok(())
        })
    }
}
