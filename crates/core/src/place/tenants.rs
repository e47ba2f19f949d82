//! Who runs now: whom a place may have otherwise.
//!
//! # What it decides
//! Nothing by itself. Interference is priced against the average tenant (`interference`), which
//! follows from what is counted here.
//!
//! # Bounds and cost
//! O(1) for a task that starts, changes or ends, O(classes) for the average. All counts are whole
//! numbers: what has come and gone leaves no trace, in whatever order.
//!
//! # What it is bad at
//! One average for the whole fleet, also for places that only some tasks could take.
//!
//! # Source
//! `docs/policies/place.md`, "Price".

use super::entry::Entry;
use crate::fleet::DeviceDemand;
use crate::policy::{CLASSES_MAX, PlacementRules};

/// Whom a place may have otherwise: the average of what runs, for each GPU.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Tenant {
    /// What a second of its delay is worth.
    pub(super) value: f64,
    /// Share of its run time that each other member on the node loses for it.
    pub(super) ratio: f64,
    /// How likely there is one: the share of all GPUs that is in use, 0 to 1.
    pub(super) likelihood: f64,
}

/// Tasks that run and hold devices.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Tenants {
    gpu_milli: u64,
    tasks: [u64; CLASSES_MAX],
    /// Members with one whole device each.
    single_members: u64,
    /// Members with several whole devices each.
    multiple_members: u64,
}

impl Tenants {
    /// A task runs, or runs with what it has now.
    pub(super) fn join(&mut self, entry: &Entry) {
        self.count(entry, |sum, of_task| sum + of_task);
    }

    /// A task does not run any more, or is about to change.
    pub(super) fn leave(&mut self, entry: &Entry) {
        self.count(entry, |sum, of_task| sum - of_task);
    }

    fn count(&mut self, entry: &Entry, apply: fn(u64, u64) -> u64) {
        if entry.gpu_milli() == 0 {
            return;
        }
        let Entry { task, members_len, .. } = entry;
        let (single, multiple) = match task.member.devices {
            DeviceDemand::Whole { count: 1, .. } => (*members_len, 0),
            DeviceDemand::Whole { .. } => (0, *members_len),
            _ => (0, 0),
        };
        self.gpu_milli = apply(self.gpu_milli, entry.gpu_milli());
        let tasks = &mut self.tasks[task.class as usize];
        *tasks = apply(*tasks, 1);
        self.single_members = apply(self.single_members, single.into());
        self.multiple_members = apply(self.multiple_members, multiple.into());
    }

    /// Their average; `delay_values` by class, `total_gpu_milli` of all nodes. O(classes).
    pub(super) fn average(
        &self,
        delay_values: &[f64],
        rules: &PlacementRules,
        total_gpu_milli: u64,
    ) -> Tenant {
        let gpus = self.gpu_milli.max(1) as f64 / 1_000.0;
        let all_gpus = total_gpu_milli.max(1) as f64 / 1_000.0;
        let by_class = self.tasks.iter().zip(delay_values);
        let value: f64 = by_class.map(|(&tasks, delay_value)| tasks as f64 * delay_value).sum();
        let ratio = self.single_members as f64 * rules.interference_neighbour_ratio
            + self.multiple_members as f64 * rules.interference_gang_ratio;
        Tenant { value: value / gpus, ratio: ratio / gpus, likelihood: (gpus / all_gpus).min(1.0) }
    }
}
