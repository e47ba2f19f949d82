//! What a placement makes unusable.

mod peers;

use alloc::boxed::Box;
use alloc::vec;

use super::members::Members;
use crate::error::Error;
use crate::fleet::{Demand, DeviceChoice, Fleet, Lack};
use crate::policy::Measure;
use crate::snapshot::Words;

/// What a placement strands, as each measure sees it, for every node of a fleet.
#[derive(Debug)]
pub(super) struct Stranding {
    measure: Measure,
    /// Tasks that have arrived.
    arrivals: u64,
    /// Kinds of the tasks on each node, for the measure that asks for them.
    kinds: Box<[u32]>,
}

impl Stranding {
    pub(super) fn new(measure: Measure, nodes_max: u32) -> Self {
        let nodes = Self::kinds_len(measure, nodes_max);
        Self { measure, arrivals: 0, kinds: vec![0; nodes].into_boxed_slice() }
    }

    pub(super) const fn bytes_needed(measure: Measure, nodes_max: u32) -> u64 {
        (Self::kinds_len(measure, nodes_max) * size_of::<u32>()) as u64
    }

    const fn kinds_len(measure: Measure, nodes_max: u32) -> usize {
        if matches!(measure, Measure::Clustering) { nodes_max as usize } else { 0 }
    }

    /// A task of this shape has arrived: it counts in the mix with this weight.
    pub(super) fn arrived(&mut self, _demand: &Demand, _weight: f64) {
        self.arrivals = self.arrivals.wrapping_add(1);
    }

    /// What is free on the node with this index has changed, or the node came or went.
    pub(super) fn changed(&mut self, _fleet: &Fleet, members: &Members, index: u32) {
        if let Some(kinds) = self.kinds.get_mut(index as usize) {
            *kinds = members.of_node(index).fold(0, |all, member| all | peers::kind(&member.hold));
        }
    }

    /// Tells how many tasks have arrived, and their mix: nothing of that is learned yet.
    pub(super) fn save_state(&self, save: &mut dyn FnMut(u64)) {
        save(self.arrivals);
    }

    /// Takes what was told. What follows from fleet and members is worked out anew.
    pub(super) fn load_state(
        &mut self,
        fleet: &Fleet,
        members: &Members,
        words: &mut Words<'_>,
    ) -> Result<(), Error> {
        self.arrivals = words.next()?;
        for (node, _) in fleet.iter() {
            self.changed(fleet, members, node.index());
        }
        Ok(())
    }

    /// Milli-GPU that the demand would strand on the node, and the devices that strand least. For
    /// the rules of `peers`, their cost in place of milli-GPU.
    pub(super) fn price(
        &self,
        fleet: &Fleet,
        index: u32,
        demand: &Demand,
    ) -> Result<(i64, DeviceChoice), Lack> {
        let mut choice = fleet.choose_devices(index, demand)?;
        if self.measure == Measure::Random {
            choice = peers::random_devices(fleet, index, demand, choice, self.arrivals);
        }
        let kinds = self.kinds.get(index as usize).copied().unwrap_or(0);
        let sight = peers::Sight { fleet, index, kinds, choice, arrivals: self.arrivals };
        if let Some(cost) = peers::cost(self.measure, &sight, demand) {
            return Ok((cost, choice));
        }
        let left: u32 = fleet.devices_at(index).iter().map(|device| device.free_milli as u32).sum();
        Ok((i64::from(left), choice))
    }
}
