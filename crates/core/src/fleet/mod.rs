//! What is there? Nodes, their devices, and what of them is free.
//!
//! # What it decides
//! Nothing: it is the truth that placement decides by. A [`Fleet`] knows what every node has, what
//! is taken of it and in what state it is; whoever takes ([`Fleet::take`]) gets a [`Hold`], and
//! giving that back ([`Fleet::give`]) restores exactly what was there before.
//!
//! # Model
//! A node has CPU, memory, up to [`DEVICES_PER_NODE_MAX`] devices, labels, and stands in a rack of
//! a zone. A device is of a model, has memory, and is given away in one of three ways
//! ([`Sharing`]): only whole; whole or in thousandths with some of its memory; or in partitions
//! with the placement rules of its [`Layout`] (MIG).
//!
//! # Bounds and cost
//! A fleet of `nodes_max` nodes is allocated at once ([`Fleet::bytes_needed`]): 56 bytes for a node
//! and 24 for each of its devices, 248 for one with 8, and about 8 KiB for layouts and sums. Taking,
//! giving and every event (drain, fail, return) are O(devices of one node); sums over the fleet
//! ([`Fleet::total`], [`Fleet::free`]) are kept, and so O(1).
//!
//! # What it is bad at
//! It sees devices as the host describes them: bandwidth inside a node is a link group and a NUMA
//! node, no more. It remembers sums, not who holds what: a forged [`Hold`] is refused where what
//! would be left could not be, and believed otherwise.

mod choose;
pub mod demand;
pub mod device;
mod events;
pub mod hold;
pub mod node;
mod occupy;
pub mod partition;
mod state;
pub mod totals;

use alloc::boxed::Box;
use alloc::vec;

use crate::error::{Error, check_range};
use crate::handle::{Handle, Slab};
use partition::Layouts;
use totals::{Counts, Step};

pub(crate) use occupy::{check_free, give_to, take_from};

pub use demand::{Demand, DeviceDemand, Lack};
pub use device::{Device, DeviceSpec, Health, ModelId, ModelSet, Sharing};
pub use hold::{DeviceChoice, Hold};
pub use node::{Node, NodeSpec, NodeStatus};
pub use partition::{Layout, LayoutId, Profile};
pub use totals::{ModelTotals, Totals};

/// Most devices of one node: the largest machines sold have 16. A set of devices is 16 bits.
pub const DEVICES_PER_NODE_MAX: u32 = 16;

/// Most nodes of a fleet: ten times the largest one that the budget speaks of.
pub const NODES_MAX: u32 = 1 << 20;

/// A node of a fleet.
pub type NodeId = Handle<Node>;

/// Size of a [`Fleet`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct FleetOptions {
    /// Nodes that may be there at once, 1 to [`NODES_MAX`].
    pub nodes_max: u32,
    /// Devices that one node may have, 0 to [`DEVICES_PER_NODE_MAX`].
    pub devices_per_node_max: u32,
}

impl Default for FleetOptions {
    /// 1,024 nodes of up to 8 devices.
    fn default() -> Self {
        Self { nodes_max: 1_024, devices_per_node_max: 8 }
    }
}

impl FleetOptions {
    /// These, each at most as large as it may be.
    pub(crate) const fn within(self) -> Self {
        let Self { nodes_max, devices_per_node_max: each } = self;
        Self {
            nodes_max: if nodes_max < NODES_MAX { nodes_max } else { NODES_MAX },
            devices_per_node_max: if each < DEVICES_PER_NODE_MAX {
                each
            } else {
                DEVICES_PER_NODE_MAX
            },
        }
    }
}

/// Nodes and devices, and what of them is free.
#[derive(Debug)]
pub struct Fleet {
    options: FleetOptions,
    nodes: Slab<Node>,
    /// Devices of the node at `index`: from `index * devices_per_node_max` on.
    devices: Box<[Device]>,
    layouts: Layouts,
    counts: Counts,
}

impl Fleet {
    /// A fleet without nodes, whose devices are cut as the built-in layouts say
    /// ([`LayoutId::named`]). Allocates.
    ///
    /// # Errors
    /// [`Error::Range`] for sizes outside those of [`FleetOptions`].
    pub fn new(options: &FleetOptions) -> Result<Self, Error> {
        Self::with_layouts(options, &[])
    }

    /// The same with layouts of the host besides ([`LayoutId::of_host`]). Allocates.
    ///
    /// # Errors
    /// As [`Fleet::new`]; [`Error::Full`] on `layouts` for more than [`partition::LAYOUTS_MAX`],
    /// those that are built in with them; [`Error::Range`] or [`Error::Contradiction`] for a layout
    /// outside the ranges of [`Layout`] and [`Profile`].
    pub fn with_layouts(options: &FleetOptions, layouts: &[Layout<'_>]) -> Result<Self, Error> {
        Self::empty(*options, Layouts::new(layouts)?)
    }

    /// A fleet without nodes that can hold a copy of another ([`Fleet::copy_from`]). Allocates.
    ///
    /// # Errors
    /// None for a fleet that exists.
    pub fn with_room_for(other: &Self) -> Result<Self, Error> {
        Self::empty(other.options, other.layouts.clone())
    }

    fn empty(options: FleetOptions, layouts: Layouts) -> Result<Self, Error> {
        check_range("nodes_max", options.nodes_max.into(), 1, NODES_MAX.into())?;
        let each = options.devices_per_node_max;
        check_range("devices_per_node_max", each.into(), 0, DEVICES_PER_NODE_MAX.into())?;
        let devices = options.nodes_max as usize * each as usize;
        Ok(Self {
            options,
            nodes: Slab::new("nodes", options.nodes_max)?,
            devices: vec![Device::default(); devices].into_boxed_slice(),
            layouts,
            counts: Counts::new(),
        })
    }

    /// Bytes that a fleet of this size takes from the heap.
    #[must_use]
    pub const fn bytes_needed(options: &FleetOptions) -> u64 {
        let options = options.within();
        let devices = options.nodes_max as u64 * options.devices_per_node_max as u64;
        Slab::<Node>::bytes_needed(options.nodes_max)
            + devices * size_of::<Device>() as u64
            + Layouts::bytes_needed()
            + Counts::bytes_needed()
    }

    /// Its size, as it was made.
    #[must_use]
    pub const fn options(&self) -> &FleetOptions {
        &self.options
    }

    /// Adds a node; all of it is free. O(devices).
    ///
    /// # Errors
    /// [`Error::Full`] on `nodes`; [`Error::Range`] for a spec outside the ranges of [`NodeSpec`]
    /// and [`DeviceSpec`].
    pub fn add_node(&mut self, spec: &NodeSpec<'_>) -> Result<NodeId, Error> {
        spec.check(self.options, &self.layouts)?;
        let node = self.nodes.insert(Node::new(spec))?;
        let begin = self.first_device(node.index());
        for (device, spec) in self.devices[begin..].iter_mut().zip(spec.devices) {
            *device = Device::new(spec);
        }
        let (here, devices, counts, _) = self.split(node)?;
        counts.whole(Step::In, here, devices);
        Ok(node)
    }

    /// Takes a node out, of which nothing may be taken. O(devices).
    ///
    /// # Errors
    /// [`Error::Stale`] for an unknown node; [`Error::Contradiction`] while something of it is
    /// taken.
    pub fn remove_node(&mut self, node: NodeId) -> Result<(), Error> {
        let holds = self.nodes.get(node)?.holds;
        if holds > 0 {
            return Err(Error::Contradiction {
                field: "node",
                value: node.to_raw(),
                other: "holds",
                other_value: holds.into(),
            });
        }
        let (here, devices, counts, _) = self.split(node)?;
        counts.whole(Step::Out, here, devices);
        devices.fill(Device::default());
        self.nodes.remove(node).map(drop)
    }

    /// Makes it the same as another fleet of the same size and layouts. Allocates nothing.
    /// O(nodes and devices).
    ///
    /// # Errors
    /// [`Error::Range`] for one of another size, [`Error::Contradiction`] for one with other
    /// layouts, with nothing changed.
    pub fn copy_from(&mut self, other: &Self) -> Result<(), Error> {
        let FleetOptions { nodes_max, devices_per_node_max } = self.options;
        let each = u64::from(devices_per_node_max);
        let nodes = other.options.nodes_max.into();
        check_range("nodes_max", nodes, nodes_max.into(), nodes_max.into())?;
        check_range("devices_per_node_max", other.options.devices_per_node_max.into(), each, each)?;
        self.check_layouts(other.layouts.digest())?;
        self.nodes.copy_from(&other.nodes)?;
        self.devices.copy_from_slice(&other.devices);
        self.counts.copy_from(&other.counts);
        Ok(())
    }

    fn check_layouts(&self, digest: u64) -> Result<(), Error> {
        match self.layouts.digest() {
            same if same == digest => Ok(()),
            other_value => Err(Error::Contradiction {
                field: "layouts",
                value: digest,
                other: "layouts of this fleet",
                other_value,
            }),
        }
    }

    /// What is there in all, on ready nodes with devices that are ready. O(1).
    #[must_use]
    pub const fn total(&self) -> &Totals {
        &self.counts.total
    }

    /// What of that is free. O(1).
    #[must_use]
    pub const fn free(&self) -> &Totals {
        &self.counts.free
    }

    /// What of a device model is there, and what of that is free; nothing of a model that does not
    /// exist. O(1).
    #[must_use]
    pub fn of_model(&self, model: ModelId) -> ModelTotals {
        self.counts.model(model)
    }

    /// A node, and what of it is free.
    ///
    /// # Errors
    /// [`Error::Stale`] for an unknown node.
    pub fn node(&self, node: NodeId) -> Result<&Node, Error> {
        self.nodes.get(node)
    }

    /// The devices of a node, and what of them is free.
    ///
    /// # Errors
    /// [`Error::Stale`] for an unknown node.
    pub fn devices(&self, node: NodeId) -> Result<&[Device], Error> {
        self.nodes.get(node)?;
        Ok(self.devices_at(node.index()))
    }

    /// All nodes, in the order of their index.
    pub fn iter(&self) -> impl Iterator<Item = (NodeId, &Node)> {
        self.nodes.iter()
    }

    /// Nodes that are there.
    #[must_use]
    pub const fn len(&self) -> u32 {
        self.nodes.len()
    }

    /// True for a fleet without nodes.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    pub(crate) const fn first_device(&self, index: u32) -> usize {
        index as usize * self.options.devices_per_node_max as usize
    }

    /// The node with this index, if there is one.
    pub(crate) fn at(&self, index: u32) -> Option<&Node> {
        self.nodes.at(index)
    }

    /// The id of the node with this index, if there is one.
    pub(crate) fn id_at(&self, index: u32) -> Option<NodeId> {
        self.nodes.handle_at(index)
    }

    /// Devices of the node with this index; empty where there is none.
    pub(crate) fn devices_at(&self, index: u32) -> &[Device] {
        let len = self.at(index).map_or(0, |node| usize::from(node.devices_len));
        let begin = if len == 0 { 0 } else { self.first_device(index) };
        &self.devices[begin..begin + len]
    }

    /// A node, its devices, the sums that both count in, and the layouts.
    fn split(&mut self, node: NodeId) -> Result<Parts<'_>, Error> {
        let begin = self.first_device(node.index());
        let here = self.nodes.get_mut(node)?;
        let devices = &mut self.devices[begin..begin + usize::from(here.devices_len)];
        Ok((here, devices, &mut self.counts, &self.layouts))
    }
}

/// What [`Fleet::split`] tells apart.
type Parts<'a> = (&'a mut Node, &'a mut [Device], &'a mut Counts, &'a Layouts);

#[cfg(test)]
mod tests;
