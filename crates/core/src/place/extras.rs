//! What a place costs besides what it strands.
//!
//! # Formula
//! Each in seconds of delay, each times its weight, with `w = v + g * pi` the worth of a second of
//! the whole task:
//!
//! ```text
//! warm-up       warm_up * w                     where the artifact is not there
//! links         link_slowdown_ratio * T * w     where a member's devices are in several link groups
//! interference  see `interference`
//! crowding      crowding_s * members of the group in the domain * v
//! ```
//! A gang begins with its last member and goes at the pace of its slowest one, so that the first
//! three are paid once for the gang (its [`Pace`] remembers), and a price is what one more member
//! *adds*. None is ever negative, but interference: it is priced against the average tenant.

use super::Placer;
use super::gang::{Gang, Pace};
use super::interference;
use super::price::Price;
use super::task::Task;
use crate::fleet::DeviceChoice;
use crate::policy::PlacementRules;
use crate::units::Nanos;

/// What one more member adds, and how the gang goes with it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Extras {
    pub(super) price: Price,
    pub(super) pace: Pace,
}

impl Task {
    /// Whether a place can cost it more than what it strands. If not, the node that strands least
    /// is the answer.
    pub(super) fn has_extras(&self, rules: &PlacementRules) -> bool {
        let loads = self.artifact != 0 && self.warm_up > Nanos::ZERO;
        let linked = self.topology.link_slowdown_ratio > 0.0 && self.member.devices.devices() > 1;
        loads && rules.warm_up_weight > 0.0
            || linked && rules.link_weight > 0.0
            || interference::is_felt(rules)
            || self.spreading.group != 0 && self.spreading.crowding_s > 0.0
    }
}

impl Placer {
    /// What one more member of a gang adds on these devices of a node, stranding left out.
    /// O(members on the node).
    pub(super) fn extras_at(&self, index: u32, devices: DeviceChoice, gang: &Gang<'_>) -> Extras {
        let (task, rules) = (gang.task, &self.rules);
        let worth = self.worth_of_second(task);
        let run_worth = self.horizon.run_s(task) * worth;
        let felt = self.interference_at(index, devices, gang);
        let pace = Pace {
            cold: gang.pace.cold || !self.warm.has(index, task.artifact),
            crossing: gang.pace.crossing || self.crosses(index, devices),
            interference_ratio: gang.pace.interference_ratio.max(felt.own_ratio),
            ..gang.pace
        };
        let begins = |now: bool, before: bool| f64::from(u8::from(now && !before));
        let cold = begins(pace.cold, gang.pace.cold);
        let crossing = begins(pace.crossing, gang.pace.crossing);
        let slower = pace.interference_ratio - gang.pace.interference_ratio;
        let crowd = self.crowds.at(&task.spreading, index);
        let price = Price {
            warm_up_s: rules.warm_up_weight * cold * task.warm_up.as_seconds() * worth,
            link_s: rules.link_weight * crossing * (task.topology.link_slowdown_ratio * run_worth),
            interference_s: rules.interference_weight
                * (slower * run_worth + felt.others_s - felt.tenant_s),
            crowding_s: f64::from(crowd)
                * (task.spreading.crowding_s * self.delay_values[task.class as usize]),
            ..Price::default()
        };
        Extras { price, pace }
    }

    /// Whether devices of a node are in several link groups.
    pub(super) fn crosses(&self, index: u32, choice: DeviceChoice) -> bool {
        let devices = self.fleet.devices_at(index).iter().enumerate();
        let mut groups = devices
            .filter(|(at, _)| choice.devices >> at & 1 == 1)
            .map(|(_, device)| device.spec.link_group);
        groups.next().is_some_and(|first| groups.any(|group| group != first))
    }
}
