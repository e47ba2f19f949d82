//! Where partitions (MIG) may stand on a device.
//!
//! # Model
//! The memory of a device is up to 8 slices. A [`Profile`] is a number of compute slices with a
//! run of memory slices that may begin at certain places only; partitions of one device may not
//! overlap. What is occupied is a byte.
//!
//! # Formula
//! ```text
//! room(o)    places left: over all profiles and all their starts whose run is free in o, the sum of
//!            the memory slices of that run
//! loss(o, r) room(o) - room(o | r)     what taking the run r costs those who come later
//! ```
//! Of all places for a partition, on all devices of a node, the one with the least loss is taken.
//! On an empty A100 that puts one slice at 6, two at 4 and three at 4: a half is left whole for as
//! long as there is one, and a device where something stands is used before an empty one. A place
//! counts by its memory slices, since counting each as one makes the single place for all of a
//! device so cheap that empty devices are broken first.
//!
//! # Bounds and cost
//! `room` is a table of 256 bytes for each layout, filled at construction; a place is found in
//! O(starts), at most 8.
//!
//! # What it is bad at
//! `room` does not know what will be asked for: who knows the mix of tasks should price the places.
//! In whatever order they come, some sets of partitions fit only in another one: two, two and three
//! slices do not, three, two and two do.
//! Profiles with media engines (`+me`) and compute instances inside of a partition are not
//! modelled. Drivers differ in the memory of a profile by up to 2%: a host for which that matters
//! gives a layout of its own.
//!
//! # Source
//! NVIDIA Multi-Instance GPU User Guide, "Supported MIG Profiles" (placements as listed by
//! `nvidia-smi mig -lgipp`).

mod known;

use alloc::boxed::Box;
use alloc::vec;

use super::device::WHOLE_MILLI;
use super::node::NODE_AMOUNT_MAX;
use crate::error::{Error, check_range};
use crate::snapshot;

pub use known::KNOWN;

/// Most layouts of one fleet, those that are built in with it.
pub const LAYOUTS_MAX: usize = 16;

/// Most profiles of one layout: the largest have 6.
pub const PROFILES_MAX: usize = 8;

/// Most memory slices of a device: what is occupied is a byte.
pub const MEMORY_SLICES_MAX: u8 = 8;

/// Most compute slices of a device.
pub const COMPUTE_SLICES_MAX: u8 = 7;

/// What can be occupied on a device: each memory slice, or not.
const OCCUPANCIES: usize = 1 << MEMORY_SLICES_MAX;

/// A layout of a fleet, by its place: first those of [`KNOWN`], then those of the host.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[cfg_attr(feature = "document", derive(serde::Serialize, serde::Deserialize))]
#[repr(transparent)]
pub struct LayoutId(pub u8);

impl LayoutId {
    /// The built-in layout of this name, as in [`KNOWN`].
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let at = KNOWN.iter().position(|(known, _)| *known == name)?;
        Some(Self(at as u8))
    }

    /// The layout that the host gave as this place of its list, counted from 0.
    #[must_use]
    pub const fn of_host(place: u8) -> Self {
        Self((KNOWN.len() as u8).saturating_add(place))
    }

    /// Its name, if it is built in.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        KNOWN.get(usize::from(self.0)).map(|(name, _)| *name)
    }
}

/// One size of partition.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Profile {
    /// Compute slices, 1 to those of the device.
    pub compute_slices: u8,
    /// Memory slices that it occupies, in a row.
    pub memory_slices: u8,
    /// Memory.
    pub memory_mib: u32,
    /// Memory slices at which it may begin, as bits.
    pub starts: u8,
}

impl Profile {
    /// The memory slices that it occupies from each of its starts, as bits.
    pub fn runs(self) -> impl Iterator<Item = u8> + use<> {
        let Self { memory_slices, starts, .. } = self;
        let run = (1_u16 << memory_slices.min(MEMORY_SLICES_MAX)) - 1;
        let starts = (0..MEMORY_SLICES_MAX).filter(move |start| starts >> start & 1 == 1);
        starts.filter_map(move |start| u8::try_from(run << start).ok())
    }

    fn check(self, compute_slices: u8) -> Result<(), Error> {
        let Self { memory_slices, memory_mib, starts, .. } = self;
        check_range("compute_slices", self.compute_slices.into(), 1, compute_slices.into())?;
        check_range("memory_slices", memory_slices.into(), 1, MEMORY_SLICES_MAX.into())?;
        check_range("memory_mib", memory_mib.into(), 1, NODE_AMOUNT_MAX.into())?;
        // The last place at which so long a run may begin is the highest bit allowed.
        let starts_max = (1 << (MEMORY_SLICES_MAX + 1 - memory_slices)) - 1;
        check_range("starts", starts.into(), 1, starts_max)?;
        Ok(())
    }
}

/// The partitions that a model of device can be cut into.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Layout<'a> {
    /// Its profiles, 1 to [`PROFILES_MAX`], smallest first: by memory slices, then by compute
    /// slices.
    pub profiles: &'a [Profile],
    /// Compute slices of the whole device, 1 to [`COMPUTE_SLICES_MAX`]: never fewer than those of
    /// any set of partitions that do not overlap.
    pub compute_slices: u8,
}

impl Layout<'_> {
    fn check(&self) -> Result<(), Error> {
        check_range("compute_slices", self.compute_slices.into(), 1, COMPUTE_SLICES_MAX.into())?;
        check_range("profiles", self.profiles.len() as u64, 1, PROFILES_MAX as u64)?;
        self.profiles.iter().try_for_each(|profile| profile.check(self.compute_slices))?;
        for (before, profile) in self.profiles.iter().zip(&self.profiles[1..]) {
            let size = |profile: &Profile| (profile.memory_slices, profile.compute_slices);
            if size(before) >= size(profile) {
                return Err(Error::Contradiction {
                    field: "compute_slices",
                    value: profile.compute_slices.into(),
                    other: "compute_slices of the profile before",
                    other_value: before.compute_slices.into(),
                });
            }
        }
        Ok(())
    }
}

/// A layout as a fleet keeps it.
#[derive(Clone, Debug)]
pub(super) struct Table {
    profiles: [Profile; PROFILES_MAX],
    profiles_len: u8,
    compute_slices: u8,
    /// Slices that some partition occupies, as bits.
    reach: u8,
    /// Most memory that partitions have together.
    memory_mib: u32,
    /// Memory slices of all places left, by what is occupied: runs of n slices have 9 - n starts at
    /// most, which is 20 slices for a profile and 160 for [`PROFILES_MAX`].
    room: [u8; OCCUPANCIES],
}

impl Table {
    const EMPTY: Self = Self {
        profiles: [Profile { compute_slices: 0, memory_slices: 0, memory_mib: 0, starts: 0 };
            PROFILES_MAX],
        profiles_len: 0,
        compute_slices: 0,
        reach: 0,
        memory_mib: 0,
        room: [0; OCCUPANCIES],
    };

    fn new(layout: &Layout<'_>) -> Result<Self, Error> {
        layout.check()?;
        let mut table = Self { compute_slices: layout.compute_slices, ..Self::EMPTY };
        table.profiles_len = layout.profiles.len() as u8;
        for (kept, profile) in table.profiles.iter_mut().zip(layout.profiles) {
            *kept = *profile;
        }
        table.reach =
            table.profiles().iter().copied().flat_map(Profile::runs).fold(0, |set, run| set | run);
        for occupied in 0..=u8::MAX {
            let runs = table.profiles().iter().copied().flat_map(Profile::runs);
            let left = runs.filter(|run| run & occupied == 0).map(u8::count_ones);
            table.room[usize::from(occupied)] = left.sum::<u32>() as u8;
        }
        table.memory_mib = table.most_together()?;
        Ok(table)
    }

    /// Most memory of partitions that do not overlap, if their compute slices are there, too.
    fn most_together(&self) -> Result<u32, Error> {
        // Best of each set of slices, from those of its subsets, which have lower numbers.
        let (mut compute, mut memory) = ([0_u64; OCCUPANCIES], [0_u64; OCCUPANCIES]);
        for set in 0..=u8::MAX {
            for profile in self.profiles() {
                for run in profile.runs().filter(|run| run & !set == 0) {
                    let (set, rest) = (usize::from(set), usize::from(set & !run));
                    let slices = compute[rest] + u64::from(profile.compute_slices);
                    let mib = memory[rest] + u64::from(profile.memory_mib);
                    compute[set] = compute[set].max(slices);
                    memory[set] = memory[set].max(mib);
                }
            }
        }
        let whole = OCCUPANCIES - 1;
        check_range("compute_slices", compute[whole], 1, self.compute_slices.into())?;
        check_range("memory_mib", memory[whole], 1, NODE_AMOUNT_MAX.into()).map(|mib| mib as u32)
    }

    pub(super) fn profiles(&self) -> &[Profile] {
        &self.profiles[..usize::from(self.profiles_len)]
    }

    /// Slices that some partition occupies, as bits.
    pub(super) const fn reach(&self) -> u8 {
        self.reach
    }

    /// Most memory that partitions have together.
    pub(super) const fn memory_mib(&self) -> u32 {
        self.memory_mib
    }

    /// The smallest profile with at least this.
    pub(super) fn smallest(&self, compute_slices: u8, memory_mib: u32) -> Option<Profile> {
        let enough = |profile: &&Profile| {
            profile.compute_slices >= compute_slices && profile.memory_mib >= memory_mib
        };
        self.profiles().iter().find(enough).copied()
    }

    /// Thousandths of the device that a partition takes; those of one device are never more than
    /// 1,000 together.
    pub(super) const fn milli(&self, profile: Profile) -> u16 {
        profile.compute_slices as u16 * WHOLE_MILLI / self.compute_slices as u16
    }

    /// Where a partition costs the least room, with what is occupied: that loss and the slices, as
    /// bits. The lowest start of equals.
    pub(super) fn best_place(&self, profile: Profile, occupied: u8) -> Option<(u8, u8)> {
        let room = |occupied: u8| self.room[usize::from(occupied)];
        let free = profile.runs().filter(|run| run & occupied == 0);
        free.map(|run| (room(occupied) - room(occupied | run), run)).min_by_key(|(loss, _)| *loss)
    }

    /// Whether a partition with this can stand on just these slices.
    pub(super) fn stands(&self, slices: u8, milli: u16, memory_mib: u32) -> bool {
        self.profiles().iter().any(|profile| {
            profile.memory_mib == memory_mib
                && self.milli(*profile) == milli
                && profile.runs().any(|run| run == slices)
        })
    }
}

/// The layouts of a fleet.
#[derive(Clone, Debug)]
pub(super) struct Layouts {
    tables: Box<[Table]>,
    len: u8,
    /// Of all that they say, so that fleets with others are told apart.
    digest: u64,
}

impl Layouts {
    /// Those that are built in, and those of the host behind them.
    pub(super) fn new(of_host: &[Layout<'_>]) -> Result<Self, Error> {
        if of_host.len() > LAYOUTS_MAX - KNOWN.len() {
            return Err(Error::Full { field: "layouts", capacity: LAYOUTS_MAX as u64 });
        }
        let mut tables = vec![Table::EMPTY; LAYOUTS_MAX].into_boxed_slice();
        let known = KNOWN.iter().map(|(_, layout)| layout);
        for (table, layout) in tables.iter_mut().zip(known.chain(of_host)) {
            *table = Table::new(layout)?;
        }
        let digest = snapshot::digest(|save| {
            for table in &tables {
                save(table.compute_slices.into());
                for profile in table.profiles() {
                    let Profile { compute_slices, memory_slices, memory_mib, starts } = *profile;
                    let sizes = [compute_slices, memory_slices, starts, 1];
                    save(snapshot::pair(memory_mib, u32::from_le_bytes(sizes)));
                }
            }
        });
        Ok(Self { tables, len: (KNOWN.len() + of_host.len()) as u8, digest })
    }

    pub(super) const fn bytes_needed() -> u64 {
        LAYOUTS_MAX as u64 * size_of::<Table>() as u64
    }

    pub(super) fn get(&self, layout: LayoutId) -> Result<&Table, Error> {
        check_range("layout", layout.0.into(), 0, u64::from(self.len) - 1)?;
        Ok(&self.tables[usize::from(layout.0)])
    }

    pub(super) const fn len(&self) -> u8 {
        self.len
    }

    pub(super) const fn digest(&self) -> u64 {
        self.digest
    }
}
