//! One device: what it is, in how it is given away, what of it is free.

use super::partition::{LayoutId, Layouts};

/// Thousandths in a whole device.
pub const WHOLE_MILLI: u16 = 1_000;

/// Models that a host may tell apart, numbered 0 to 63 as it likes.
pub const MODELS_MAX: u8 = 64;

/// A device model, by the number that the host gave it.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[cfg_attr(feature = "document", derive(serde::Serialize, serde::Deserialize))]
#[repr(transparent)]
pub struct ModelId(pub u8);

/// A set of device models, as bits.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[cfg_attr(feature = "document", derive(serde::Serialize, serde::Deserialize))]
#[repr(transparent)]
pub struct ModelSet(pub u64);

impl ModelSet {
    /// Every model.
    pub const ANY: Self = Self(u64::MAX);
    /// No model.
    pub const NONE: Self = Self(0);

    /// The set of one model; empty for a number that is not below [`MODELS_MAX`].
    #[must_use]
    pub const fn of(model: ModelId) -> Self {
        Self(if model.0 < MODELS_MAX { 1 << model.0 } else { 0 })
    }

    /// Whether a model is in it.
    #[must_use]
    pub const fn contains(self, model: ModelId) -> bool {
        self.0 & Self::of(model).0 != 0
    }

    /// What is in either.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What is in both.
    #[must_use]
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl Default for ModelSet {
    /// Every model.
    fn default() -> Self {
        Self::ANY
    }
}

/// In what way a device is given away.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[cfg_attr(feature = "document", derive(serde::Serialize, serde::Deserialize))]
pub enum Sharing {
    /// Only whole.
    Exclusive,
    /// Whole, or in thousandths of its time with some of its memory.
    #[default]
    Shared,
    /// In partitions only, by the rules of a layout (MIG). Not as a whole device: the largest
    /// partition has less memory and no fast link, so whoever can use it asks for it as one.
    Partitioned(LayoutId),
}

/// Whether a device may be given away.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[cfg_attr(feature = "document", derive(serde::Serialize, serde::Deserialize))]
pub enum Health {
    /// It may.
    #[default]
    Ready,
    /// What is taken stays taken, nothing more is.
    Draining,
    /// It is lost: nothing runs on it.
    Failed,
}

/// A device as the host describes it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[cfg_attr(feature = "document", derive(serde::Serialize, serde::Deserialize))]
pub struct DeviceSpec {
    /// Model, below [`MODELS_MAX`].
    pub model: ModelId,
    /// Memory. Zero: unknown, and nothing that asks for device memory fits. Of a partitioned device
    /// at least what its partitions can have together.
    pub memory_mib: u32,
    /// In what way it is given away.
    pub sharing: Sharing,
    /// NUMA node that it is attached to.
    pub numa: u8,
    /// Devices of one node with the same number reach each other fast (an `NVLink` domain).
    pub link_group: u8,
}

/// A device, and what of it is free.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Device {
    /// What it is.
    pub spec: DeviceSpec,
    /// Whether it may be given away.
    pub health: Health,
    /// How many hold something of it.
    pub holders: u8,
    /// Memory slices that partitions occupy, as bits; zero unless it is partitioned.
    pub slices: u8,
    /// Thousandths that are free. A partition takes its compute slices of those of the device,
    /// rounded down: a device cut into sevenths to the last has 6 left that nobody can take.
    pub free_milli: u16,
    /// Memory that is free.
    pub memory_free_mib: u32,
}

impl Device {
    pub(super) const fn new(spec: &DeviceSpec) -> Self {
        Self {
            spec: *spec,
            health: Health::Ready,
            holders: 0,
            slices: 0,
            free_milli: WHOLE_MILLI,
            memory_free_mib: spec.memory_mib,
        }
    }

    /// Whether this state can be: whoever holds something took it by the rules of the device.
    pub(super) fn is_possible(&self, layouts: &Layouts) -> bool {
        let taken_milli = WHOLE_MILLI.saturating_sub(self.free_milli);
        if self.free_milli > WHOLE_MILLI || self.memory_free_mib > self.spec.memory_mib {
            return false;
        }
        if self.holders == 0 {
            let all_free = taken_milli == 0 && self.memory_free_mib == self.spec.memory_mib;
            return all_free && self.slices == 0;
        }
        match self.spec.sharing {
            Sharing::Exclusive => {
                self.holders == 1 && self.free_milli == 0 && self.memory_free_mib == 0
            }
            // Each has at least one thousandth.
            Sharing::Shared => self.slices == 0 && u16::from(self.holders) <= taken_milli,
            Sharing::Partitioned(layout) => layouts.get(layout).is_ok_and(|table| {
                let slices = self.slices.count_ones();
                u32::from(self.holders) <= slices && self.slices & !table.reach() == 0
            }),
        }
    }

    /// True if nothing of it is taken.
    #[must_use]
    pub const fn is_idle(&self) -> bool {
        self.holders == 0
    }
}
