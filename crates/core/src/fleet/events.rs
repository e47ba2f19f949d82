//! Nodes and devices that drain, fail and return.

use super::{Fleet, NodeId, NodeStatus};
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

    /// A node may be given work again.
    ///
    /// # Errors
    /// [`Error::Stale`] for an unknown node.
    pub fn return_node(&mut self, node: NodeId) -> Result<(), Error> {
        self.set_status(node, NodeStatus::Ready)
    }

    fn set_status(&mut self, node: NodeId, status: NodeStatus) -> Result<(), Error> {
        self.nodes.get_mut(node)?.status = status;
        Ok(())
    }
}
