//! Where partitions (MIG) may stand on a device.
//!
//! # Model
//! The memory of a device is up to 8 slices. A [`Profile`] is a number of compute slices with a
//! run of memory slices that may begin at certain places only; partitions of one device may not
//! overlap. What is occupied is a byte.
//!
//! # Source
//! NVIDIA Multi-Instance GPU User Guide, "Supported MIG Profiles" (placements as listed by
//! `nvidia-smi mig -lgipp`).

use crate::error::{Error, check_range};

/// Most layouts of one fleet.
pub const LAYOUTS_MAX: usize = 8;

/// A layout of a fleet, by its place.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[cfg_attr(feature = "document", derive(serde::Serialize, serde::Deserialize))]
#[repr(transparent)]
pub struct LayoutId(pub u8);

/// One size of partition.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Profile {
    /// Compute slices, of 7 (4 on small devices).
    pub compute_slices: u8,
    /// Memory slices that it occupies, in a row.
    pub memory_slices: u8,
    /// Memory.
    pub memory_mib: u32,
    /// Memory slices at which it may begin, as bits.
    pub starts: u8,
}

/// The partitions that a model of device can be cut into.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Layout {
    /// Its profiles, smallest first.
    pub profiles: &'static [Profile],
    /// Compute slices of the whole device.
    pub compute_slices: u8,
}

#[derive(Debug)]
pub(super) struct Layouts;

impl Layouts {
    pub(super) const fn new() -> Self {
        Self
    }

    pub(super) fn get(&self, layout: LayoutId) -> Result<&Layout, Error> {
        check_range("layout", layout.0.into(), 0, 0)?;
        Err(Error::Range { field: "layout", value: layout.0.into(), min: 0, max: 0 })
    }
}
