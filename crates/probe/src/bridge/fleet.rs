//! A snapshot for a fleet: devices as they are given away, and which of them must not be.
//!
//! # What it decides
//! [`describe`]: what a node's GPUs are, for [`NodeSpec::devices`](rampmeter::fleet::NodeSpec).
//! [`NodeBridge::changes`]: which devices are to be failed, drained or returned, by these rules, the
//! first that holds:
//!
//! | what is seen | change | because |
//! |---|---|---|
//! | the device is lost | fail | nothing runs there any more |
//! | the snapshot is stale | drain | nobody knows; what runs may well be running |
//! | the device is not there, or cannot be had | drain | the same |
//! | less memory is free than the fleet believes, by more than `slack_mib` | drain | somebody else took it |
//! | none of these | return, if this bridge took it out | |
//!
//! # States
//! A device that the host drained or failed itself is left as it is: only what this bridge took out
//! does it bring back. What is drained for memory comes back when half of the slack is enough, so
//! that a process at the edge does not make it go and come.
//!
//! # Bounds and cost
//! O(devices of the node times devices of the snapshot), at most 16 times 128. Nothing is allocated.
//!
//! # What it is bad at
//! A GPU that is cut is judged as a whole: memory that somebody else took in one instance is not
//! seen.

use rampmeter::fleet::device::{Health as FleetHealth, Sharing};
use rampmeter::fleet::partition::KNOWN;
use rampmeter::fleet::{DEVICES_PER_NODE_MAX, DeviceSpec, Fleet, LayoutId, ModelId, NodeId};
use rampmeter::place::{Placer, TaskId};
use rampmeter::{Error, Nanos};

use crate::condition::Condition;
use crate::device::{Device, Health, Loss, Memory, MemoryBasis, UUID_LEN};
use crate::poller::STALE_AFTER;
use crate::snapshot::Snapshot;
use crate::text::Text;

/// Devices that one node may have.
const DEVICES: usize = DEVICES_PER_NODE_MAX as usize;

const MIB: u64 = 1 << 20;

/// The GPUs of a node.
#[derive(Clone, Copy, Debug)]
pub struct NodeDevices {
    specs: [DeviceSpec; DEVICES],
    uuids: [Text<UUID_LEN>; DEVICES],
    len: u8,
}

impl NodeDevices {
    /// As a fleet wants them.
    #[must_use]
    pub fn specs(&self) -> &[DeviceSpec] {
        self.specs.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// Their identifiers, in the same order.
    #[must_use]
    pub fn uuids(&self) -> &[Text<UUID_LEN>] {
        self.uuids.get(..usize::from(self.len)).unwrap_or_default()
    }
}

/// What a node's GPUs are: memory without what the driver keeps for itself (of a GPU that is cut, at
/// least what the partitions of its layout have), NUMA node, and a link group for those that `NVLink`
/// joins. `model` gives each its number among the fleet's models; a
/// GPU that is cut is partitioned by the layout that `layout` names, or left out of use (memory 0).
/// Those for which `model` has none, and those beyond 16, are left out.
pub fn describe(
    snapshot: &Snapshot,
    mut model: impl FnMut(&Device) -> Option<ModelId>,
    mut layout: impl FnMut(&Device) -> Option<LayoutId>,
) -> NodeDevices {
    let mut node = NodeDevices {
        specs: [DeviceSpec::default(); DEVICES],
        uuids: [Text::EMPTY; DEVICES],
        len: 0,
    };
    let gpus = snapshot.devices.iter().filter(|device| device.parent.is_none());
    for gpu in gpus {
        let at = usize::from(node.len);
        let (Some(model), true) = (model(gpu), at < DEVICES) else { continue };
        let is_cut = gpu.mig.value() == Some(&true);
        let layout = if is_cut { layout(gpu) } else { None };
        let memory = gpu.memory.value().copied();
        node.specs[at] = DeviceSpec {
            model,
            memory_mib: match layout {
                Some(layout) => partitioned_mib(memory, layout),
                None if is_cut => 0,
                None => memory.map_or(0, usable_mib),
            },
            sharing: layout.map_or(Sharing::Shared, Sharing::Partitioned),
            numa: gpu.numa.value().and_then(|node| u8::try_from(*node).ok()).unwrap_or(0),
            link_group: group(snapshot, &node, gpu),
        };
        node.uuids[at] = gpu.uuid;
        node.len += 1;
    }
    node
}

/// The group of a GPU: that of the first one before it that it is joined with, else a new one.
fn group(snapshot: &Snapshot, before: &NodeDevices, gpu: &Device) -> u8 {
    let joined = before.uuids().iter().zip(before.specs()).find(|(uuid, _)| {
        snapshot.device(uuid.as_str()).is_some_and(|other| {
            snapshot.nvlinks_between(gpu, other) > 0 || snapshot.nvlinks_between(other, gpu) > 0
        })
    });
    let next = before.specs().iter().map(|spec| spec.link_group + 1).max().unwrap_or(0);
    joined.map_or(next, |(_, spec)| spec.link_group)
}

/// Memory that programs can have, in whole MiB.
fn usable_mib(memory: Memory) -> u32 {
    let reserved = memory.reserved.map_or(0, |bytes| bytes.0);
    mib(memory.total.0.saturating_sub(reserved))
}

/// Memory of a GPU that is cut, in whole MiB: what its partitions have is by their layout, reserved or
/// not, and may be known where that of the whole GPU is denied.
fn partitioned_mib(memory: Option<Memory>, layout: LayoutId) -> u32 {
    let known = layout.name().and_then(|name| KNOWN.iter().find(|(other, _)| *other == name));
    let sizes = known.map(|(_, layout)| layout.profiles.iter().map(|profile| profile.memory_mib));
    // Of those that are built in, the largest partition is as large as any that stand together.
    let by_layout = sizes.and_then(Iterator::max).unwrap_or(0);
    memory.map_or(0, |memory| mib(memory.total.0)).max(by_layout)
}

fn mib(bytes: u64) -> u32 {
    u32::try_from(bytes / MIB).unwrap_or(u32::MAX)
}

/// How far a snapshot is trusted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Rules {
    /// From this age on it says nothing. Default [`STALE_AFTER`].
    pub stale_after: Nanos,
    /// Memory that may be missing on a device before it is drained. Default 1,024 MiB: contexts that
    /// tasks have beside what they asked for take up to 555 MiB each.
    pub slack_mib: u32,
}

impl Default for Rules {
    fn default() -> Self {
        Self { stale_after: STALE_AFTER, slack_mib: 1_024 }
    }
}

/// What is to be done about one device.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Change {
    /// Its node.
    pub node: NodeId,
    /// Which device of the node.
    pub device: u32,
    /// What.
    pub action: Action,
    /// Why.
    pub why: Why,
}

/// A call of [`Fleet`] or [`Placer`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Action {
    /// `fail_device`.
    Fail,
    /// `drain_device`.
    Drain,
    /// `return_device`.
    Return,
}

/// Why a device is taken out, or comes back.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Why {
    /// The driver lost it.
    Lost(Loss),
    /// The snapshot is too old.
    Stale,
    /// The driver does not list it, or does not give it to this process.
    Missing,
    /// The driver does not answer.
    Driver(Condition),
    /// So much less memory is free than the fleet believes.
    MemoryTaken {
        /// In MiB.
        missing_mib: u32,
    },
    /// What took it out is over.
    Recovered,
}

impl Change {
    /// Does it to a fleet.
    ///
    /// # Errors
    /// As the call: [`Error::Stale`] for a node that is gone, [`Error::Range`] for a device that it
    /// does not have.
    pub fn apply(self, fleet: &mut Fleet) -> Result<(), Error> {
        match self.action {
            Action::Fail => fleet.fail_device(self.node, self.device),
            Action::Drain => fleet.drain_device(self.node, self.device),
            Action::Return => fleet.return_device(self.node, self.device),
        }
    }

    /// Does it to a placer. The tasks that hold something of a device that fails or drains go to the
    /// front of `out`; how many is returned.
    ///
    /// # Errors
    /// As [`Change::apply`]; [`Error::BufferTooSmall`] on `out`, with nothing changed.
    pub fn apply_placing(self, placer: &mut Placer, out: &mut [TaskId]) -> Result<u32, Error> {
        match self.action {
            Action::Fail => placer.fail_device(self.node, self.device, out),
            Action::Drain => placer.drain_device(self.node, self.device, out),
            Action::Return => placer.return_device(self.node, self.device).map(|()| 0),
        }
    }
}

/// One node of a fleet, and the GPUs that it is made of.
#[derive(Clone, Copy, Debug)]
pub struct NodeBridge {
    node: NodeId,
    rules: Rules,
    uuids: [Text<UUID_LEN>; DEVICES],
    len: u8,
    /// What the fleet was told by this bridge, where that is not `Ready`.
    out: [Option<FleetHealth>; DEVICES],
}

impl NodeBridge {
    /// For a node that was added with these devices.
    #[must_use]
    pub const fn new(node: NodeId, devices: &NodeDevices, rules: Rules) -> Self {
        Self { node, rules, uuids: devices.uuids, len: devices.len, out: [None; DEVICES] }
    }

    /// What is to be done, by this snapshot. The caller does it before it asks again
    /// ([`Change::apply`]), or is told the same again.
    ///
    /// # Errors
    /// [`Error::Stale`] for a node that is gone.
    pub fn changes(
        &mut self,
        now: Nanos,
        snapshot: &Snapshot,
        fleet: &Fleet,
    ) -> Result<impl Iterator<Item = Change> + use<>, Error> {
        let devices = fleet.devices(self.node)?;
        let mut changes = [None; DEVICES];
        for (at, device) in devices.iter().enumerate().take(usize::from(self.len)) {
            if self.out[at].is_some_and(|told| told != device.health) {
                // Somebody else has spoken since: it is theirs now, until it is ready again.
                self.out[at] = None;
            }
            let wanted = self.wanted(now, snapshot, at, device.memory_free_mib);
            let change = match (wanted, self.out[at]) {
                (Some((health, _)), Some(told)) if health == told => None,
                (None, Some(_)) => Some((FleetHealth::Ready, Why::Recovered)),
                // What is lost is lost, whoever drained it before.
                (Some((FleetHealth::Failed, why)), _) if device.health != FleetHealth::Failed => {
                    Some((FleetHealth::Failed, why))
                }
                (Some(wanted), Some(_)) => Some(wanted),
                (Some(wanted), None) if device.health == FleetHealth::Ready => Some(wanted),
                _ => None,
            };
            if let Some((health, why)) = change {
                self.out[at] = (health != FleetHealth::Ready).then_some(health);
                let action = match health {
                    FleetHealth::Ready => Action::Return,
                    FleetHealth::Draining => Action::Drain,
                    FleetHealth::Failed => Action::Fail,
                };
                changes[at] = Some(Change { node: self.node, device: at as u32, action, why });
            }
        }
        Ok(changes.into_iter().flatten())
    }

    /// What a device should be, if not ready; `None`: ready.
    fn wanted(
        &self,
        now: Nanos,
        snapshot: &Snapshot,
        at: usize,
        believed_mib: u32,
    ) -> Option<(FleetHealth, Why)> {
        let age = snapshot.age(now);
        let device = snapshot.device(self.uuids.get(at)?.as_str());
        if let Some(Device { health: Health::Lost(loss), .. }) = device {
            return Some((FleetHealth::Failed, Why::Lost(*loss)));
        }
        let drain = |why| Some((FleetHealth::Draining, why));
        if snapshot.is_stale(now, self.rules.stale_after) {
            return drain(Why::Stale);
        }
        if !snapshot.condition.is_success() {
            return drain(Why::Driver(snapshot.condition));
        }
        let Some(device) = device.filter(|device| device.health == Health::Ready) else {
            return drain(Why::Missing);
        };
        // Without a reading nothing is known to be missing; an estimate counts the host's programs.
        let is_cut = device.mig.value() == Some(&true);
        let memory = device.memory.fresh(age, self.rules.stale_after)?;
        if is_cut || memory.basis == MemoryBasis::HostEstimated {
            return None;
        }
        let missing_mib = believed_mib.saturating_sub(mib(memory.free.0));
        let allowed_mib = match self.out.get(at) {
            Some(Some(_)) => self.rules.slack_mib / 2,
            _ => self.rules.slack_mib,
        };
        if missing_mib > allowed_mib { drain(Why::MemoryTaken { missing_mib }) } else { None }
    }
}

#[cfg(test)]
mod tests;
