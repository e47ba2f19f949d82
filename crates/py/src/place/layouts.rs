//! Partitions (MIG) by rules of the host.

use pyo3::prelude::*;
use rampmeter::error::check_range;
use rampmeter::fleet::partition::{KNOWN, MEMORY_SLICES_MAX};
use rampmeter::fleet::{self, LayoutId};

use super::unknown;
use crate::error::Fault;
use crate::record::record;

record! {
    /// One size of partition that a device can be cut into: `compute_slices` (1 to those of the
    /// device), `memory_slices` that it occupies, in a row (1 to 8), `memory_mib`, and the memory slices
    /// at which it may begin. Numbers that cannot be are refused by the placer.
    ///
    /// >>> from rampmeter.place import Profile
    /// >>> Profile(compute_slices=3, memory_slices=4, memory_mib=40_320, starts=[0, 4]).starts
    /// [0, 4]
    "rampmeter.place" Profile {
        compute_slices: u8,
        memory_slices: u8,
        memory_mib: u32,
        starts: Vec<u32>,
    } impl {
        #[new]
        #[pyo3(signature = (*, compute_slices, memory_slices, memory_mib, starts))]
        const fn new(
            compute_slices: u8,
            memory_slices: u8,
            memory_mib: u32,
            starts: Vec<u32>,
        ) -> Self {
            Self { compute_slices, memory_slices, memory_mib, starts }
        }
    }
}
record! {
    /// The partitions that a model of device can be cut into: compute slices of the whole device (1 to
    /// 7), and its profiles, smallest first (by memory slices, then by compute slices). At most 9 are
    /// given to a placer, whose devices name them by their place in that list.
    ///
    /// >>> from rampmeter.place import Layout, Profile
    /// >>> half = Profile(compute_slices=2, memory_slices=2, memory_mib=12_000, starts=[0, 2])
    /// >>> Layout(compute_slices=4, profiles=[half]).profiles == [half]
    /// True
    "rampmeter.place" Layout {
        compute_slices: u8,
        profiles: Vec<Profile>,
    } impl {
        #[new]
        #[pyo3(signature = (*, compute_slices, profiles))]
        fn new(compute_slices: u8, profiles: Vec<PyRef<'_, Profile>>) -> Self {
            let profiles = profiles.iter().map(|profile| Profile::clone(profile)).collect();
            Self { compute_slices, profiles }
        }
    }
}

/// A layout by its name, or by its place in the list of the host.
#[derive(Clone, Debug, FromPyObject, IntoPyObject, PartialEq)]
pub(super) enum LayoutName {
    Name(String),
    Place(u8),
}

impl LayoutName {
    pub(super) fn id(self) -> Result<LayoutId, Fault> {
        match self {
            Self::Name(name) => LayoutId::named(&name).ok_or_else(|| unknown("layout", &name)),
            Self::Place(place) => Ok(LayoutId::of_host(place)),
        }
    }

    pub(super) fn of(layout: LayoutId) -> Self {
        match layout.name() {
            Some(name) => Self::Name(name.to_owned()),
            None => Self::Place(layout.0.saturating_sub(KNOWN.len() as u8)),
        }
    }
}

/// Layouts of the host, as the core reads them.
#[derive(Debug, Default)]
pub(super) struct Layouts(Vec<(Vec<fleet::Profile>, u8)>);

impl Layouts {
    pub(super) fn new(given: &[PyRef<'_, Layout>]) -> Result<Self, Fault> {
        let profile = |profile: &Profile| {
            let mut starts = 0_u8;
            for start in &profile.starts {
                let max = u64::from(MEMORY_SLICES_MAX) - 1;
                check_range("starts", u64::from(*start), 0, max)?;
                starts |= 1 << start;
            }
            Ok::<_, Fault>(fleet::Profile {
                compute_slices: profile.compute_slices,
                memory_slices: profile.memory_slices,
                memory_mib: profile.memory_mib,
                starts,
            })
        };
        let layout = |layout: &PyRef<'_, Layout>| {
            let profiles: Result<Vec<_>, Fault> = layout.profiles.iter().map(profile).collect();
            Ok((profiles?, layout.compute_slices))
        };
        Ok(Self(given.iter().map(layout).collect::<Result<_, Fault>>()?))
    }

    pub(super) fn core(&self) -> Vec<fleet::Layout<'_>> {
        let layouts = self.0.iter();
        layouts
            .map(|(profiles, compute_slices)| fleet::Layout {
                profiles,
                compute_slices: *compute_slices,
            })
            .collect()
    }
}
