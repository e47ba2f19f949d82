//! What is expected to come, where the host knows it better than what has come tells.

use super::Placer;
use super::stranding::mix::{ENTRIES_MAX, Entry, SHAPES_MAX};
use super::stranding::shape::Shape;
use super::task::Task;
use crate::error::{Error, check_range};
use crate::fleet::{Demand, DeviceDemand};

/// A kind of task, and how often it comes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "document", derive(serde::Serialize, serde::Deserialize))]
pub struct MixEntry {
    /// What one member takes: no part of a device or one, or whole ones. Memory is not looked at.
    pub demand: Demand,
    /// How often it comes, in any unit that is the same for all, 1 to 2^20.
    pub weight: u32,
}

/// Highest weight of one entry: the sum of all stays below 2^28.
const WEIGHT_MAX: u64 = 1 << 20;

impl Placer {
    /// Says what is expected to come: from now on nothing is learned. With no entries it is learned
    /// again, from what has come before and what comes. Measures that know no mix take no notice.
    /// O(entries^2 + nodes).
    ///
    /// # Errors
    /// [`Error::Range`] for a demand that cannot be, on `count` for shares of several devices, on
    /// `compute_slices` for partitions, or on `weight`; [`Error::Full`] on `mix` for more than 256
    /// entries, on `shapes` for more than 64 that differ in CPU and devices. Nothing is changed
    /// then.
    pub fn set_mix(&mut self, mix: &[MixEntry]) -> Result<(), Error> {
        if mix.len() > ENTRIES_MAX {
            return Err(Error::Full { field: "mix", capacity: ENTRIES_MAX as u64 });
        }
        let mut distinct = 0;
        for (at, entry) in mix.iter().enumerate() {
            entry.demand.check()?;
            check_range("weight", entry.weight.into(), 1, WEIGHT_MAX)?;
            match entry.demand.devices {
                DeviceDemand::Share { count, .. } => {
                    check_range("count", count.into(), 1, 1)?;
                }
                DeviceDemand::Partition { compute_slices, .. } => {
                    check_range("compute_slices", compute_slices.into(), 0, 0)?;
                }
                DeviceDemand::None | DeviceDemand::Whole { .. } => {}
            }
            let shape = Shape::of(&entry.demand);
            let known = mix[..at].iter().any(|other| Shape::of(&other.demand) == shape);
            distinct += usize::from(!known);
        }
        if distinct > SHAPES_MAX {
            return Err(Error::Full { field: "shapes", capacity: SHAPES_MAX as u64 });
        }
        let entries = mix.iter().filter_map(|entry| {
            let models = entry.demand.models;
            Shape::of(&entry.demand).map(|shape| Entry { shape, models, weight: entry.weight })
        });
        self.stranding.fix_mix(&self.fleet, entries);
        Ok(())
    }

    /// The mix learns of a task.
    pub(super) fn learn_arrival(&mut self, task: &Task) {
        let run_s = self.horizon.run_s(task);
        let weight = self.stranding.weight(task.members, task.gpu_milli(), run_s);
        self.stranding.arrived(&self.fleet, &task.member, weight);
    }
}
