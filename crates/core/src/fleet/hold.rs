//! What is taken of a node, so that it can be given back.

use super::NodeId;

/// Which devices of a node, and where on them.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct DeviceChoice {
    /// Devices of the node, as bits.
    pub devices: u16,
    /// Memory slices of the one device, as bits, for a partition; else 0.
    pub slices: u8,
}

/// What is taken of one node.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[cfg_attr(feature = "document", derive(serde::Serialize, serde::Deserialize))]
#[repr(C)]
pub struct Hold {
    /// The node.
    pub node: NodeId,
    /// Thousandths of a core.
    pub cpu_milli: u32,
    /// Host memory.
    pub memory_mib: u32,
    /// Devices of the node, as bits.
    pub devices: u16,
    /// Thousandths of each of them; 1,000: whole.
    pub device_milli: u16,
    /// Memory of each of them.
    pub device_memory_mib: u32,
    /// Memory slices of the one device, as bits, for a partition; else 0.
    pub slices: u8,
}
