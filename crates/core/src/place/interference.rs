//! What neighbours cost each other.
//!
//! # What it decides
//! What it costs to run next to others, for both sides, in seconds of delay, over what it would
//! cost the tenant whom the place may have otherwise:
//!
//! ```text
//! x_own * T * w            + sum over j of  x_j * min(T, left_j) * w_j           this task
//! - u * (x_all * T * g * w_T + sum over j of  y_j * min(T, left_j) * w_j)      the average tenant
//! w = v + g * pi,  w_T = sum of v / sum of g + pi  over all tasks that run      worth of a second
//! u = share of all GPUs that is in use             how likely somebody else would have the place
//! y_j = x_j on the same device, else  g * (sum of ratios / sum of g)            over all that run
//! ```
//! over the members j of other tasks on the node. `x_j` is the share of its run time that j loses
//! for this one, by the policy's ratios: `interference_sharer_ratio` on the same device; else by
//! what this one is, a neighbour with one whole device or with several. `x_all` is the sum of what
//! this one loses for each of them, in the same way; `x_own` is the same, but of a gang the largest
//! of its members', since it goes at the pace of its slowest one. T is the run time, v the delay
//! value, g the GPUs (of the whole task in `w`, of one member elsewhere), `left_j` what is left of
//! j's run time: as long as T where j's is unknown or over.
//!
//! **Why the tenant.** A quiet place is as scarce as a large one: who takes it takes it from
//! whoever comes next. What all lose together depends on how many run, hardly on who stands where;
//! what can be gained is that those stand in the quiet places whose delay is worth more for each
//! GPU than the average. Without that term, batch work and urgent work flee each other in vain, and
//! shares, which disturb nobody on other devices, take nodes of their own and leave whole devices
//! among themselves.
//!
//! # Bounds and cost
//! O(members on the node), and O(classes) once for each task that is placed. With all ratios 0, the
//! default, nothing is looked at. What a place costs may be less than nothing.
//!
//! # What it is bad at
//! One ratio for all pairs: it cannot tell who is bound by memory from who is bound by arithmetic.
//! Partitions of one device are taken to be apart. A gang that is slowed in two places by two
//! newcomers pays twice. The average tenant is that of the whole fleet, also for places that only
//! some tasks could take.
//!
//! # Source
//! The formula, and what the tenant changes: `docs/policies/place.md`.

use super::Placer;
use super::gang::Gang;
use super::tenants::Tenant;
use crate::fleet::{DeviceChoice, DeviceDemand, Hold};
use crate::policy::PlacementRules;

/// What a member has of its node, as far as neighbours feel it.
#[derive(Clone, Copy, Debug)]
struct Footprint {
    devices: u16,
    partition: bool,
    /// Share of its run time that somebody on other devices of the node loses for it.
    neighbour_ratio: f64,
}

impl Footprint {
    fn of(demand: DeviceDemand, devices: u16, rules: &PlacementRules) -> Self {
        Self {
            devices,
            partition: matches!(demand, DeviceDemand::Partition { .. }),
            neighbour_ratio: neighbour_ratio(demand, rules),
        }
    }

    /// Share of its run time that somebody with `other` loses for this one.
    fn felt_by(self, other: Self, rules: &PlacementRules) -> f64 {
        if self.devices & other.devices != 0 {
            let apart = self.partition && other.partition;
            return if apart { 0.0 } else { rules.interference_sharer_ratio };
        }
        self.neighbour_ratio
    }
}

/// What a member would feel, and make others feel.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Interference {
    /// Share of its run time that it loses for its neighbours.
    pub(super) own_ratio: f64,
    /// What its neighbours lose, in seconds of delay.
    pub(super) others_s: f64,
    /// What the average tenant of the same devices would lose and make others lose, times how
    /// likely there is one.
    pub(super) tenant_s: f64,
}

/// Whether neighbours cost anything.
pub(super) fn is_felt(rules: &PlacementRules) -> bool {
    rules.interference_weight > 0.0
        && (rules.interference_sharer_ratio > 0.0
            || rules.interference_neighbour_ratio > 0.0
            || rules.interference_gang_ratio > 0.0)
}

/// Share of its run time that somebody on other devices loses for a member that asks for this.
fn neighbour_ratio(demand: DeviceDemand, rules: &PlacementRules) -> f64 {
    match demand {
        DeviceDemand::Whole { count: 1, .. } => rules.interference_neighbour_ratio,
        DeviceDemand::Whole { .. } => rules.interference_gang_ratio,
        _ => 0.0,
    }
}

impl Placer {
    /// The average of what runs now; nothing where neighbours cost nothing. O(classes).
    pub(super) fn average_tenant(&self) -> Tenant {
        if !is_felt(&self.rules) {
            return Tenant::default();
        }
        self.tenants.average(&self.delay_values, &self.rules, self.fleet.total().gpu_milli)
    }

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
        let gpus = f64::from(gang.task.member.gpu_milli()) / 1_000.0;
        let tenant_worth = run_s * gpus * (self.tenant.value + self.shadow_price);
        let mine = Footprint::of(gang.task.member.devices, choice.devices, &self.rules);
        let mut felt = Interference::default();
        for member in self.members.of_node(index).filter(|member| member.task != gang.index) {
            let Some(entry) = self.tasks.at(member.task) else { continue };
            let Hold { devices, .. } = member.hold;
            let theirs = Footprint::of(entry.task.member.devices, devices, &self.rules);
            let own_ratio = theirs.felt_by(mine, &self.rules);
            let ratio = mine.felt_by(theirs, &self.rules);
            let left = entry.started.saturating_add(entry.task.duration).saturating_sub(self.now);
            let left_s = if left.get() == 0 { run_s } else { left.as_seconds().min(run_s) };
            let left_worth = left_s * self.worth_of_second(&entry.task);
            let shares = mine.devices & theirs.devices != 0;
            let tenant_ratio = if shares { ratio } else { gpus * self.tenant.ratio };
            felt.own_ratio += own_ratio;
            felt.others_s += ratio * left_worth;
            felt.tenant_s += own_ratio * tenant_worth + tenant_ratio * left_worth;
        }
        felt.tenant_s *= self.tenant.likelihood;
        felt
    }
}
