//! Nodes and devices that drain, fail and return.
//!
//! # States
//! ```text
//! Ready -> Draining   nothing more is taken; what is taken stays until it is given back
//! Ready -> Failed     the same, and nothing runs there any more: its holders are to be told
//! any   -> Ready      what is still taken then stays taken
//! ```
//! From any state to any other: what the host says is so. Giving back works in all of them, so that
//! who held something of a lost node is released as anybody else.
//!
//! # Bounds and cost
//! Each O(devices of the node).

use super::totals::Step;
use super::{Device, Fleet, Health, Node, NodeId, NodeStatus};
use crate::error::Error;

impl Fleet {
    /// Nothing more is to start on a node; what runs there may end.
    ///
    /// # Errors
    /// [`Error::Stale`] for an unknown node.
    pub fn drain_node(&mut self, node: NodeId) -> Result<(), Error> {
        self.set_status(node, NodeStatus::Draining)
    }

    /// A node is lost, with all that runs there.
    ///
    /// # Errors
    /// [`Error::Stale`] for an unknown node.
    pub fn fail_node(&mut self, node: NodeId) -> Result<(), Error> {
        self.set_status(node, NodeStatus::Failed)
    }

    /// A node may be given work again. The health of its devices is what it was.
    ///
    /// # Errors
    /// [`Error::Stale`] for an unknown node.
    pub fn return_node(&mut self, node: NodeId) -> Result<(), Error> {
        self.set_status(node, NodeStatus::Ready)
    }

    /// Nothing more is to start on a device; what runs there may end.
    ///
    /// # Errors
    /// [`Error::Stale`] for an unknown node; [`Error::Range`] on `device` for one that it does not
    /// have.
    pub fn drain_device(&mut self, node: NodeId, device: u32) -> Result<(), Error> {
        self.set_health(node, device, Health::Draining)
    }

    /// A device is lost, with all that runs there.
    ///
    /// # Errors
    /// As [`Fleet::drain_device`].
    pub fn fail_device(&mut self, node: NodeId, device: u32) -> Result<(), Error> {
        self.set_health(node, device, Health::Failed)
    }

    /// A device may be given away again.
    ///
    /// # Errors
    /// As [`Fleet::drain_device`].
    pub fn return_device(&mut self, node: NodeId, device: u32) -> Result<(), Error> {
        self.set_health(node, device, Health::Ready)
    }

    /// The host says something else about a node. What runs there stays.
    ///
    /// # Errors
    /// [`Error::Stale`] for an unknown node.
    pub fn set_labels(&mut self, node: NodeId, labels: u64) -> Result<(), Error> {
        self.nodes.get_mut(node)?.labels = labels;
        Ok(())
    }

    /// Whether a node is not to be given work and nothing of it is taken any more.
    ///
    /// # Errors
    /// [`Error::Stale`] for an unknown node.
    pub fn is_drained(&self, node: NodeId) -> Result<bool, Error> {
        let node = self.nodes.get(node)?;
        Ok(node.status != NodeStatus::Ready && node.holds == 0)
    }

    /// `Ok` if the node has this device.
    pub(crate) fn check_device(&self, node: NodeId, device: u32) -> Result<(), Error> {
        let len = u64::from(self.nodes.get(node)?.devices_len);
        if u64::from(device) < len {
            return Ok(());
        }
        let max = len.saturating_sub(1);
        Err(Error::Range { field: "device", value: device.into(), min: 0, max })
    }

    fn set_status(&mut self, node: NodeId, status: NodeStatus) -> Result<(), Error> {
        self.change(node, |node, _| node.status = status)
    }

    fn set_health(&mut self, node: NodeId, device: u32, health: Health) -> Result<(), Error> {
        self.check_device(node, device)?;
        self.change(node, |_, devices| devices[device as usize].health = health)
    }

    /// Changes a node, and the sums with it.
    fn change(
        &mut self,
        node: NodeId,
        change: impl FnOnce(&mut Node, &mut [Device]),
    ) -> Result<(), Error> {
        let (here, devices, counts, _) = self.split(node)?;
        counts.whole(Step::Out, here, devices);
        change(here, devices);
        counts.whole(Step::In, here, devices);
        Ok(())
    }
}
