//! What a placement makes unusable.

use crate::error::Error;
use crate::fleet::{Demand, DeviceChoice, Fleet, Lack};
use crate::snapshot::Words;

/// What a placement strands, as each measure sees it, for every node of a fleet.
#[derive(Debug)]
pub(super) struct Stranding;

impl Stranding {
    pub(super) const fn new() -> Self {
        Self
    }

    /// A task of this shape has arrived: it counts in the mix with this weight.
    pub(super) fn arrived(&mut self, _demand: &Demand, _weight: f64) {}

    /// What is free on the node with this index has changed, or the node came or went.
    pub(super) fn changed(&mut self, _fleet: &Fleet, _index: u32) {}

    /// Tells what it has learned of the task mix: nothing is learned yet.
    pub(super) fn save_state(&self, _save: &mut dyn FnMut(u64)) {}

    /// Takes what was told. What follows from the fleet is worked out anew.
    pub(super) fn load_state(
        &mut self,
        fleet: &Fleet,
        _words: &mut Words<'_>,
    ) -> Result<(), Error> {
        for (node, _) in fleet.iter() {
            self.changed(fleet, node.index());
        }
        Ok(())
    }

    /// Milli-GPU that the demand would strand on the node, and the devices that strand least.
    pub(super) fn price(
        &self,
        fleet: &Fleet,
        index: u32,
        demand: &Demand,
    ) -> Result<(i64, DeviceChoice), Lack> {
        let choice = fleet.choose_devices(index, demand)?;
        let left: u32 = fleet.devices_at(index).iter().map(|device| device.free_milli as u32).sum();
        Ok((i64::from(left), choice))
    }
}
