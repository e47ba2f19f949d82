//! What becomes of tasks whose node or device drains, fails or returns?
//!
//! # What it decides
//! Which tasks an event concerns, and nothing about them: they stay known, with all that they hold,
//! until the host says that they have ended ([`Placer::release`]). The host knows what really runs.
//!
//! # Bounds and cost
//! Telling the tasks on a node is O(m log m) in its members m; the event itself O(devices). Nothing
//! is allocated.
//!
//! # What it is bad at
//! A task that loses one member is told as a whole: whether it can go on without is for the host.

use super::{Placer, TaskId};
use crate::error::Error;
use crate::fleet::NodeId;

/// Every device of a node, as bits.
const ANY: Option<u32> = None;

impl Placer {
    /// Takes a node out on which nothing runs. O(devices).
    ///
    /// # Errors
    /// [`Error::Stale`] for an unknown node; [`Error::Contradiction`] while something runs there.
    pub fn remove_node(&mut self, node: NodeId) -> Result<(), Error> {
        self.fleet.remove_node(node)?;
        self.stranding.changed(&self.fleet, node.index());
        Ok(())
    }

    /// Nothing more starts on a node. The tasks that run there go to the front of `out`, by index,
    /// each once; how many is returned.
    ///
    /// # Errors
    /// [`Error::Stale`] for an unknown node; [`Error::BufferTooSmall`] on `out` for fewer places
    /// than members run there. Nothing is changed then.
    pub fn drain_node(&mut self, node: NodeId, out: &mut [TaskId]) -> Result<u32, Error> {
        let tasks_len = self.tasks_on(node, ANY, out)?;
        self.fleet.drain_node(node)?;
        self.stranding.changed(&self.fleet, node.index());
        Ok(tasks_len)
    }

    /// A node is lost. The tasks that ran there go to the front of `out`, by index, each once; how
    /// many is returned. They stay known until they are released.
    ///
    /// # Errors
    /// As [`Placer::drain_node`].
    pub fn fail_node(&mut self, node: NodeId, out: &mut [TaskId]) -> Result<u32, Error> {
        let tasks_len = self.tasks_on(node, ANY, out)?;
        self.fleet.fail_node(node)?;
        self.stranding.changed(&self.fleet, node.index());
        Ok(tasks_len)
    }

    /// A node may be given work again. What was not released still holds what it held.
    ///
    /// # Errors
    /// [`Error::Stale`] for an unknown node.
    pub fn return_node(&mut self, node: NodeId) -> Result<(), Error> {
        self.fleet.return_node(node)?;
        self.stranding.changed(&self.fleet, node.index());
        Ok(())
    }

    /// Nothing more starts on a device. Otherwise as [`Placer::drain_node`].
    ///
    /// # Errors
    /// As [`Placer::drain_node`], for the members that hold something of the device;
    /// [`Error::Range`] on `device` for one that the node does not have.
    pub fn drain_device(
        &mut self,
        node: NodeId,
        device: u32,
        out: &mut [TaskId],
    ) -> Result<u32, Error> {
        let tasks_len = self.tasks_on(node, Some(device), out)?;
        self.fleet.drain_device(node, device)?;
        self.stranding.changed(&self.fleet, node.index());
        Ok(tasks_len)
    }

    /// A device is lost. Otherwise as [`Placer::fail_node`].
    ///
    /// # Errors
    /// As [`Placer::drain_device`].
    pub fn fail_device(
        &mut self,
        node: NodeId,
        device: u32,
        out: &mut [TaskId],
    ) -> Result<u32, Error> {
        let tasks_len = self.tasks_on(node, Some(device), out)?;
        self.fleet.fail_device(node, device)?;
        self.stranding.changed(&self.fleet, node.index());
        Ok(tasks_len)
    }

    /// A device may be given away again. What was not released still holds what it held.
    ///
    /// # Errors
    /// [`Error::Stale`] for an unknown node; [`Error::Range`] on `device` for one that it does not
    /// have.
    pub fn return_device(&mut self, node: NodeId, device: u32) -> Result<(), Error> {
        self.fleet.return_device(node, device)?;
        self.stranding.changed(&self.fleet, node.index());
        Ok(())
    }

    /// The host says something else about a node. What runs there stays, also where its task would
    /// not be put there any more.
    ///
    /// # Errors
    /// [`Error::Stale`] for an unknown node.
    pub fn set_labels(&mut self, node: NodeId, labels: u64) -> Result<(), Error> {
        self.fleet.set_labels(node, labels)?;
        self.stranding.changed(&self.fleet, node.index());
        Ok(())
    }

    /// Whether nothing starts on a node and nothing is there any more: it may be taken away.
    ///
    /// # Errors
    /// [`Error::Stale`] for an unknown node.
    pub fn drained(&self, node: NodeId) -> Result<bool, Error> {
        self.fleet.is_drained(node)
    }

    /// Writes the tasks with a member on a node, or on one device of it, to the front of `out`, by
    /// index, each once.
    fn tasks_on(
        &self,
        node: NodeId,
        device: Option<u32>,
        out: &mut [TaskId],
    ) -> Result<u32, Error> {
        self.fleet.node(node)?;
        let mut devices = None;
        if let Some(device) = device {
            self.fleet.check_device(node, device)?;
            devices = Some(1_u16 << device);
        }
        let members = || {
            let concerned = |set: u16| devices.is_none_or(|devices| set & devices != 0);
            self.members.of_node(node.index()).filter(move |m| concerned(m.hold.devices))
        };
        let needed = members().count();
        let given = out.len() as u64;
        let short = Error::BufferTooSmall { field: "out", given, needed: needed as u64 };
        let found = out.get_mut(..needed).ok_or(short)?;
        for (place, member) in found.iter_mut().zip(members()) {
            *place = self.tasks.handle_at(member.task).unwrap_or_default();
        }
        found.sort_unstable_by_key(|task| task.index());
        let mut tasks_len = 0;
        for at in 0..needed {
            if tasks_len == 0 || found[tasks_len - 1] != found[at] {
                found[tasks_len] = found[at];
                tasks_len += 1;
            }
        }
        Ok(tasks_len as u32)
    }
}

#[cfg(test)]
mod tests;
