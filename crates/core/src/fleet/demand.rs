//! What one member of a task takes of one node.

use super::DEVICES_PER_NODE_MAX;
use super::device::{ModelSet, WHOLE_MILLI};
use super::node::NODE_AMOUNT_MAX;
use super::partition::COMPUTE_SLICES_MAX;
use crate::error::{Error, check_range};

/// What is asked of devices.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[cfg_attr(feature = "document", derive(serde::Serialize, serde::Deserialize))]
pub enum DeviceDemand {
    /// Nothing: CPU and memory only.
    #[default]
    None,
    /// Whole devices; none that is partitioned.
    Whole {
        /// How many, 1 to [`DEVICES_PER_NODE_MAX`].
        count: u8,
        /// Memory that each must have at least; 0: any.
        memory_mib: u32,
    },
    /// A part of one or several devices.
    Share {
        /// How many devices, 1 to [`DEVICES_PER_NODE_MAX`].
        count: u8,
        /// Thousandths of each, 1 to 999.
        milli: u16,
        /// Memory of each.
        memory_mib: u32,
    },
    /// A partition (MIG) of one device: the smallest of its layout with at least this.
    Partition {
        /// Compute slices, 1 to 7.
        compute_slices: u8,
        /// Memory that it must have at least; 0: any.
        memory_mib: u32,
    },
}

impl DeviceDemand {
    /// Devices that it takes something of.
    #[must_use]
    pub const fn devices(&self) -> u32 {
        match *self {
            Self::None => 0,
            Self::Whole { count, .. } | Self::Share { count, .. } => count as u32,
            Self::Partition { .. } => 1,
        }
    }
}

/// What one member of a task takes of one node.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[cfg_attr(feature = "document", derive(serde::Serialize, serde::Deserialize))]
pub struct Demand {
    /// Thousandths of a core, up to [`NODE_AMOUNT_MAX`].
    pub cpu_milli: u32,
    /// Host memory, up to [`NODE_AMOUNT_MAX`].
    pub memory_mib: u32,
    /// Of devices.
    pub devices: DeviceDemand,
    /// Models that will do; not looked at where no device is asked for.
    pub models: ModelSet,
    /// Whether all devices must be in one link group.
    pub one_link_group: bool,
}

impl Demand {
    /// Thousandths of devices that it takes; of a partition the sevenths asked for, rounded down so
    /// that those of one device are never more than it.
    #[must_use]
    pub const fn gpu_milli(&self) -> u32 {
        match self.devices {
            DeviceDemand::None => 0,
            DeviceDemand::Whole { count, .. } => count as u32 * WHOLE_MILLI as u32,
            DeviceDemand::Share { count, milli, .. } => count as u32 * milli as u32,
            DeviceDemand::Partition { compute_slices, .. } => {
                compute_slices as u32 * WHOLE_MILLI as u32 / COMPUTE_SLICES_MAX as u32
            }
        }
    }

    /// `Ok` if it can be asked for at all.
    ///
    /// # Errors
    /// [`Error::Range`] that names the field.
    pub fn check(&self) -> Result<(), Error> {
        let count = |count: u8| check_range("count", count.into(), 1, DEVICES_PER_NODE_MAX.into());
        let memory = |mib: u32| check_range("memory_mib", mib.into(), 0, NODE_AMOUNT_MAX.into());
        check_range("cpu_milli", self.cpu_milli.into(), 0, NODE_AMOUNT_MAX.into())?;
        memory(self.memory_mib)?;
        match self.devices {
            DeviceDemand::None => {}
            DeviceDemand::Whole { count: devices, memory_mib } => {
                count(devices)?;
                memory(memory_mib)?;
            }
            DeviceDemand::Share { count: devices, milli, memory_mib } => {
                count(devices)?;
                check_range("milli", milli.into(), 1, u64::from(WHOLE_MILLI) - 1)?;
                memory(memory_mib)?;
            }
            DeviceDemand::Partition { compute_slices, memory_mib } => {
                check_range("compute_slices", compute_slices.into(), 1, COMPUTE_SLICES_MAX.into())?;
                memory(memory_mib)?;
            }
        }
        Ok(())
    }
}

/// What a node lacks for a demand: the first of these, in this order.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[cfg_attr(feature = "document", derive(serde::Serialize, serde::Deserialize))]
pub enum Lack {
    /// It is draining or lost.
    Status,
    /// A label that is required, or the absence of one.
    Labels,
    /// A device of an accepted model, ready and of the right kind, free or not.
    Model,
    /// CPU that is free.
    Cpu,
    /// Host memory that is free.
    Memory,
    /// Devices with so much free.
    Devices,
    /// Devices with so much memory free.
    DeviceMemory,
    /// Devices enough in one link group.
    LinkGroup,
    /// A place for a partition of that size.
    Partition,
    /// Room in its failure domain for one more replica of the group.
    Spread,
    /// It is in another rack or zone than the members must be in.
    Topology,
    /// What is free is promised to somebody else.
    Reserved,
}

impl Lack {
    /// Every one, in order.
    pub const ALL: [Self; 12] = [
        Self::Status,
        Self::Labels,
        Self::Model,
        Self::Cpu,
        Self::Memory,
        Self::Devices,
        Self::DeviceMemory,
        Self::LinkGroup,
        Self::Partition,
        Self::Spread,
        Self::Topology,
        Self::Reserved,
    ];
}
