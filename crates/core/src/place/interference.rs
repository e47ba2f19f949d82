//! What neighbours cost each other.
//!
//! # What it decides
//! What it costs to run next to others, for both sides, in seconds of delay:
//!
//! ```text
//! x_own * T * (v + g * pi)  +  sum over j of  x_j * min(T, left_j) * (v_j + g_j * pi)
//! ```
//! over the members j of other tasks on the node. `x_j` is the share of its run time that j loses
//! for this one, by the policy's ratios: `interference_sharer_ratio` on the same device; else by
//! what this one is, a neighbour with one whole device or with several. `x_own` is the sum of what
//! this one loses for each of them, in the same way; of a gang, the largest of its members', since
//! it goes at the pace of its slowest one. T is the run time, v the delay value, g the GPUs of the
//! whole task, `left_j` what is left of j's run time: as long as T where j's is unknown or over.
//!
//! # Bounds and cost
//! O(members on the node). With all ratios 0, the default, it is not looked at.
//!
//! # What it is bad at
//! One ratio for all pairs: it cannot tell who is bound by memory from who is bound by arithmetic.
//! Partitions of one device are taken to be apart. A gang that is slowed in two places by two
//! newcomers pays twice.
//!
//! # Source
//! The formula: `docs/policies/place.md`.

use super::Placer;
use super::gang::Gang;
use crate::fleet::{DeviceChoice, DeviceDemand, Hold};
use crate::policy::PlacementRules;

/// What a member has of its node, as far as neighbours feel it.
#[derive(Clone, Copy, Debug)]
struct Footprint {
    devices: u16,
    whole: bool,
    partition: bool,
}

impl Footprint {
    fn of(demand: &DeviceDemand, devices: u16) -> Self {
        Self {
            devices,
            whole: matches!(demand, DeviceDemand::Whole { .. }),
            partition: matches!(demand, DeviceDemand::Partition { .. }),
        }
    }

    /// Share of its run time that somebody with `other` loses for this one.
    fn felt_by(&self, other: &Self, rules: &PlacementRules) -> f64 {
        if self.devices & other.devices != 0 {
            let apart = self.partition && other.partition;
            return if apart { 0.0 } else { rules.interference_sharer_ratio };
        }
        match (self.whole, self.devices.count_ones()) {
            (false, _) | (_, 0) => 0.0,
            (true, 1) => rules.interference_neighbour_ratio,
            (true, _) => rules.interference_gang_ratio,
        }
    }
}

/// What a member would feel, and make others feel.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Interference {
    /// Share of its run time that it loses for its neighbours.
    pub(super) own_ratio: f64,
    /// What its neighbours lose, in seconds of delay.
    pub(super) others_s: f64,
}

/// Whether neighbours cost anything.
pub(super) fn is_felt(rules: &PlacementRules) -> bool {
    rules.interference_weight > 0.0
        && (rules.interference_sharer_ratio > 0.0
            || rules.interference_neighbour_ratio > 0.0
            || rules.interference_gang_ratio > 0.0)
}

impl Placer {
    /// Interference of one more member of a gang on these devices of a node.
    pub(super) fn interference_at(
        &self,
        index: u32,
        choice: DeviceChoice,
        gang: &Gang<'_>,
    ) -> Interference {
        if !is_felt(&self.rules) {
            return Interference::default();
        }
        let run_s = self.horizon.run_s(gang.task);
        let mine = Footprint::of(&gang.task.member.devices, choice.devices);
        let mut felt = Interference::default();
        for member in self.members.of_node(index).filter(|member| member.task != gang.index) {
            let Some(entry) = self.tasks.at(member.task) else { continue };
            let Hold { devices, .. } = member.hold;
            let theirs = Footprint::of(&entry.task.member.devices, devices);
            felt.own_ratio += theirs.felt_by(&mine, &self.rules);
            let ratio = mine.felt_by(&theirs, &self.rules);
            let left = entry.started.saturating_add(entry.task.duration).saturating_sub(self.now);
            let left_s = if left.get() == 0 { run_s } else { left.as_seconds().min(run_s) };
            felt.others_s += ratio * left_s * self.worth_of_second(&entry.task);
        }
        felt
    }
}
