//! One node: what it is and what of it is free.

use super::device::{Device, DeviceSpec, MODELS_MAX, ModelSet, Sharing};
use super::partition::Layouts;
use super::{DEVICES_PER_NODE_MAX, FleetOptions};
use crate::error::{Error, check_range};

/// Most of CPU (in thousandths of a core) or memory (in MiB) of a node: a million cores, a
/// pebibyte. Sums over [`super::NODES_MAX`] nodes stay far below 64 bits.
pub const NODE_AMOUNT_MAX: u32 = 1 << 30;

/// Racks and zones are numbered below this.
pub const DOMAINS_MAX: u32 = 1 << 20;

/// A node as the host describes it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct NodeSpec<'a> {
    /// Thousandths of a core, up to [`NODE_AMOUNT_MAX`].
    pub cpu_milli: u32,
    /// Host memory, up to [`NODE_AMOUNT_MAX`].
    pub memory_mib: u32,
    /// Devices, at most [`FleetOptions::devices_per_node_max`].
    pub devices: &'a [DeviceSpec],
    /// What the host says about it, as bits of its choice.
    pub labels: u64,
    /// Rack (or `NVLink` domain of several nodes), below [`DOMAINS_MAX`]. Racks are numbered over
    /// the whole fleet.
    pub rack: u32,
    /// Zone that the rack stands in, below [`DOMAINS_MAX`].
    pub zone: u32,
}

impl NodeSpec<'_> {
    pub(super) fn check(&self, options: FleetOptions, layouts: &Layouts) -> Result<(), Error> {
        check_range("cpu_milli", self.cpu_milli.into(), 0, NODE_AMOUNT_MAX.into())?;
        check_range("memory_mib", self.memory_mib.into(), 0, NODE_AMOUNT_MAX.into())?;
        check_range("rack", self.rack.into(), 0, u64::from(DOMAINS_MAX) - 1)?;
        check_range("zone", self.zone.into(), 0, u64::from(DOMAINS_MAX) - 1)?;
        let devices_max = options.devices_per_node_max.min(DEVICES_PER_NODE_MAX);
        check_range("devices", self.devices.len() as u64, 0, devices_max.into())?;
        for device in self.devices {
            check_range("model", device.model.0.into(), 0, u64::from(MODELS_MAX) - 1)?;
            check_range("memory_mib", device.memory_mib.into(), 0, NODE_AMOUNT_MAX.into())?;
            if let Sharing::Partitioned(layout) = device.sharing {
                let least = layouts.get(layout)?.memory_mib();
                let most = NODE_AMOUNT_MAX.into();
                check_range("memory_mib", device.memory_mib.into(), least.into(), most)?;
            }
        }
        Ok(())
    }
}

/// Whether a node may be given work.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[cfg_attr(feature = "document", derive(serde::Serialize, serde::Deserialize))]
pub enum NodeStatus {
    /// It may.
    #[default]
    Ready,
    /// What runs may end, nothing new starts.
    Draining,
    /// It is lost: nothing runs on it.
    Failed,
}

/// A node, and what of it is free.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Node {
    /// CPU in all, in thousandths of a core.
    pub cpu_milli: u32,
    /// Of it free.
    pub cpu_free_milli: u32,
    /// Host memory in all.
    pub memory_mib: u32,
    /// Of it free.
    pub memory_free_mib: u32,
    /// What the host says about it.
    pub labels: u64,
    /// Models of its devices.
    pub models: ModelSet,
    /// Its rack.
    pub rack: u32,
    /// Its zone.
    pub zone: u32,
    /// Holds on it.
    pub holds: u32,
    /// How many devices it has.
    pub devices_len: u8,
    /// Whether it may be given work.
    pub status: NodeStatus,
}

impl Node {
    /// Whether this state can be, with these devices: nobody holds less than nothing.
    pub(super) fn is_possible(&self, devices: &[Device]) -> bool {
        let within =
            self.cpu_free_milli <= self.cpu_milli && self.memory_free_mib <= self.memory_mib;
        let all_free =
            self.cpu_free_milli == self.cpu_milli && self.memory_free_mib == self.memory_mib;
        let holders_max = devices.iter().map(|device| u32::from(device.holders)).max().unwrap_or(0);
        within && holders_max <= self.holds && (self.holds > 0 || all_free)
    }

    pub(super) fn new(spec: &NodeSpec<'_>) -> Self {
        let models = spec.devices.iter().map(|device| ModelSet::of(device.model));
        Self {
            cpu_milli: spec.cpu_milli,
            cpu_free_milli: spec.cpu_milli,
            memory_mib: spec.memory_mib,
            memory_free_mib: spec.memory_mib,
            labels: spec.labels,
            models: models.fold(ModelSet::NONE, ModelSet::union),
            rack: spec.rack,
            zone: spec.zone,
            holds: 0,
            devices_len: spec.devices.len() as u8,
            status: NodeStatus::Ready,
        }
    }
}
