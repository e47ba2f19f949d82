//! What a placement makes unusable.

mod peers;

use super::members::Members;
use crate::fleet::{Demand, DeviceChoice, Fleet, Lack};
use crate::policy::Measure;

/// What a placement strands, as each measure sees it, for every node of a fleet.
#[derive(Debug)]
pub(super) struct Stranding {
    measure: Measure,
    /// Tasks that have arrived.
    arrivals: u64,
}

impl Stranding {
    pub(super) const fn new(measure: Measure) -> Self {
        Self { measure, arrivals: 0 }
    }

    /// A task of this shape has arrived: it counts in the mix with this weight.
    pub(super) fn arrived(&mut self, _demand: &Demand, _weight: f64) {
        self.arrivals = self.arrivals.wrapping_add(1);
    }

    /// What is free on the node with this index has changed, or the node came or went.
    pub(super) fn changed(&mut self, _fleet: &Fleet, _index: u32) {}

    /// Milli-GPU that the demand would strand on the node, and the devices that strand least. For
    /// the rules of `peers`, their cost in place of milli-GPU.
    pub(super) fn price(
        &self,
        fleet: &Fleet,
        members: &Members,
        index: u32,
        demand: &Demand,
    ) -> Result<(i64, DeviceChoice), Lack> {
        let mut choice = fleet.choose_devices(index, demand)?;
        if self.measure == Measure::Random {
            choice = peers::random_devices(fleet, index, demand, choice, self.arrivals);
        }
        let kinds = match self.measure {
            Measure::Clustering => {
                members.of_node(index).fold(0, |kinds, member| kinds | peers::kind(&member.hold))
            }
            _ => 0,
        };
        let sight = peers::Sight { fleet, index, kinds, choice, arrivals: self.arrivals };
        if let Some(cost) = peers::cost(self.measure, &sight, demand) {
            return Ok((cost, choice));
        }
        let left: u32 = fleet.devices_at(index).iter().map(|device| device.free_milli as u32).sum();
        Ok((i64::from(left), choice))
    }
}
