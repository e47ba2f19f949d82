//! What a placer holds, and how full it is.

use super::Placer;
use crate::fleet::Demand;

/// What a placer holds, and how full it is. Free is what nobody holds; what is promised to somebody
/// for later counts as free.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[cfg_attr(feature = "document", derive(serde::Serialize))]
pub struct PlacerStats {
    /// Tasks that are known, pending and running together.
    pub tasks: u32,
    /// Tasks that may be.
    pub tasks_max: u32,
    /// Of the tasks, those that wait for their start, with a reservation or without.
    pub pending: u32,
    /// Of them, those with a reservation.
    pub reservations: u32,
    /// Reservations that may be held at once.
    pub reservations_max: u32,
    /// Members of the tasks that run.
    pub members: u32,
    /// Members that may be.
    pub members_max: u32,
    /// Nodes that are there, in whatever state.
    pub nodes: u32,
    /// Nodes that may be.
    pub nodes_max: u32,
    /// Of the nodes, those that may be given work.
    pub nodes_ready: u32,
    /// Devices that may be given away, on those.
    pub devices: u32,
    /// Of them, those of which nothing is taken.
    pub devices_free: u32,
    /// Thousandths of them that are free.
    pub gpu_free_milli: u64,
    /// Passes over all that wait that have come to their end.
    pub cycles: u64,
}

impl Placer {
    /// What it holds, and how full it is. O(1).
    #[must_use]
    pub const fn stats(&self) -> PlacerStats {
        let (total, free) = (self.fleet.total(), self.fleet.free());
        PlacerStats {
            tasks: self.tasks.len(),
            tasks_max: self.options.tasks_max,
            pending: self.pending_len(),
            reservations: self.promises.len(),
            reservations_max: if self.rules.reservations_max < self.promises.capacity() {
                self.rules.reservations_max
            } else {
                self.promises.capacity()
            },
            members: self.members.len(),
            members_max: self.options.members_max,
            nodes: self.fleet.len(),
            nodes_max: self.fleet.options().nodes_max,
            nodes_ready: total.nodes,
            devices: total.devices,
            devices_free: free.devices,
            gpu_free_milli: free.gpu_milli,
            cycles: self.cycles.saturating_sub(1),
        }
    }

    /// Whether what a demand costs is kept for every node, so that placing one needs no look at each.
    /// The measures `value` and `fgd` keep it for 128 shapes (CPU and devices), those that were asked
    /// for last: the first task of another one is priced on every node. It is never kept for
    /// partitions and shares of several devices, nor by other measures. O(log shapes).
    #[must_use]
    pub fn knows_shape(&self, demand: &Demand) -> bool {
        self.stranding.knows_shape(demand)
    }
}
