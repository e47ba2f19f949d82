//! What is promised to somebody for later: reservations, by task and by node.
//!
//! # What it decides
//! Whether a start now breaks a promise ([`Placer::leaves_room`]). A reservation says from when to
//! when so many members of a task stand on which nodes, not on which devices: those are worked out
//! anew whenever something is to go beside them ([`super::timeline`]), so that a reservation blocks
//! no more of a node than it needs.
//!
//! # Bounds and cost
//! On a node where nothing is promised the answer is O(1); else it is O(promises there * (promises +
//! members there)). Memory: 104 bytes a reservation, 20 for each node that one of them names.

use alloc::boxed::Box;
use alloc::vec;

use super::timeline::{Candidate, Timeline};
use super::{Placer, TaskId};
use crate::error::Error;
use crate::fleet::{Demand, DeviceChoice};
use crate::handle::{Handle, Slab};
use crate::units::Nanos;

/// Most reservations that may be held at once. Each is looked at again in every cycle.
pub const RESERVATIONS_MAX: u32 = 1_024;

/// The end of a list.
const NONE: u32 = u32::MAX;

/// A start that is promised.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[cfg_attr(feature = "document", derive(serde::Serialize, serde::Deserialize))]
pub struct Reservation {
    /// Who was promised.
    pub task: TaskId,
    /// When it starts at the latest, if nothing runs longer than it said.
    pub start_at: Nanos,
}

/// A reservation as it is kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Promise {
    pub(super) task: TaskId,
    pub(super) demand: Demand,
    pub(super) starts: Nanos,
    pub(super) ends: Nanos,
    /// Of two for the same time the one with the lower number goes first.
    pub(super) number: u64,
    /// Others are ending for it.
    pub(super) is_reclaimed: bool,
    /// [`Placer::given_back`] when its task was last tried.
    pub(super) given_back: u64,
    /// [`Placer::early_ends`] when its time was last worked out.
    pub(super) early_ends: u64,
    /// Its first place.
    pub(super) first: u32,
}

impl Promise {
    /// A promise that is to be kept: without places, and without a number yet.
    pub(super) const fn new(task: TaskId, demand: Demand, starts: Nanos, ends: Nanos) -> Self {
        Self {
            task,
            demand,
            starts,
            ends,
            number: 0,
            is_reclaimed: false,
            given_back: 0,
            early_ends: 0,
            first: NONE,
        }
    }
}

/// So many members of one reservation on one node.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    promise: u32,
    node: u32,
    members: u32,
    next_of_promise: u32,
    next_of_node: u32,
}

/// All reservations.
#[derive(Debug)]
pub(super) struct Promises {
    promises: Slab<Promise>,
    places: Box<[Place]>,
    vacant: u32,
    vacant_len: u32,
    /// First place on the node with this index.
    of_node: Box<[u32]>,
    numbers: u64,
    /// The one whose task is being started: what it reserves is its own.
    own: Option<Handle<Promise>>,
}

impl Promises {
    pub(super) fn new(
        reservations_max: u32,
        places_max: u32,
        nodes_max: u32,
    ) -> Result<Self, Error> {
        let place = |at: u32| Place {
            next_of_promise: if at + 1 == places_max { NONE } else { at + 1 },
            ..Place::default()
        };
        Ok(Self {
            promises: Slab::new("reservations", reservations_max.max(1))?,
            places: (0..places_max).map(place).collect(),
            vacant: if places_max == 0 { NONE } else { 0 },
            vacant_len: places_max,
            of_node: vec![NONE; nodes_max as usize].into_boxed_slice(),
            numbers: 0,
            own: None,
        })
    }

    pub(super) const fn bytes_needed(
        reservations_max: u32,
        places_max: u32,
        nodes_max: u32,
    ) -> u64 {
        Slab::<Promise>::bytes_needed(reservations_max)
            + places_max as u64 * size_of::<Place>() as u64
            + nodes_max as u64 * size_of::<u32>() as u64
    }

    pub(super) const fn len(&self) -> u32 {
        self.promises.len()
    }

    /// Reservations for which nobody is ending.
    pub(super) fn waiting_len(&self) -> u32 {
        self.iter().filter(|(_, promise)| !promise.is_reclaimed).count() as u32
    }

    /// Whether one more reservation on so many nodes can be kept.
    pub(super) const fn has_place(&self, nodes: u32) -> bool {
        !self.promises.is_full() && nodes <= self.vacant_len
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Handle<Promise>, &Promise)> {
        self.promises.iter()
    }

    pub(super) fn get(&self, promise: Handle<Promise>) -> Result<&Promise, Error> {
        self.promises.get(promise)
    }

    pub(super) fn get_mut(&mut self, promise: Handle<Promise>) -> Result<&mut Promise, Error> {
        self.promises.get_mut(promise)
    }

    pub(super) fn of_task(&self, task: TaskId) -> Option<Handle<Promise>> {
        self.iter().find(|(_, promise)| promise.task == task).map(|(handle, _)| handle)
    }

    /// The first one after this start and number, in that order.
    pub(super) fn after(&self, last: Option<(Nanos, u64)>) -> Option<Handle<Promise>> {
        let order = |promise: &Promise| (promise.starts, promise.number);
        self.iter()
            .filter(|(_, promise)| last.is_none_or(|last| order(promise) > last))
            .min_by_key(|(_, promise)| order(promise))
            .map(|(handle, _)| handle)
    }

    /// The number that the next reservation will get.
    pub(super) const fn next_number(&self) -> u64 {
        self.numbers
    }

    /// What this one reserves is nobody's until the next call.
    pub(super) const fn set_own(&mut self, own: Option<Handle<Promise>>) {
        self.own = own;
    }

    /// Makes a reservation, and gives it the next number.
    pub(super) fn insert(&mut self, promise: Promise) -> Result<Handle<Promise>, Error> {
        let handle = self.promises.insert(Promise { number: self.numbers, ..promise })?;
        self.numbers += 1;
        Ok(handle)
    }

    /// Reserves for so many members on a node.
    pub(super) fn add_place(
        &mut self,
        promise: Handle<Promise>,
        node: u32,
        members: u32,
    ) -> Result<(), Error> {
        let at = self.vacant;
        let capacity = self.places.len() as u64;
        let full = Error::Full { field: "reserved places", capacity };
        let place = self.places.get_mut(at as usize).ok_or(full)?;
        let first = &mut self.promises.get_mut(promise)?.first;
        self.vacant = place.next_of_promise;
        self.vacant_len -= 1;
        let of_node = &mut self.of_node[node as usize];
        *place = Place {
            promise: promise.index(),
            node,
            members,
            next_of_promise: core::mem::replace(first, at),
            next_of_node: core::mem::replace(of_node, at),
        };
        Ok(())
    }

    /// Forgets a reservation. O(its nodes * promises there).
    pub(super) fn remove(&mut self, promise: Handle<Promise>) -> Result<Promise, Error> {
        let removed = self.promises.remove(promise)?;
        let mut at = removed.first;
        while let Some(&Place { node, next_of_promise, next_of_node, .. }) =
            self.places.get(at as usize)
        {
            let mut link = &mut self.of_node[node as usize];
            while *link != at && *link != NONE {
                link = &mut self.places[*link as usize].next_of_node;
            }
            *link = next_of_node;
            self.places[at as usize].next_of_promise = self.vacant;
            self.vacant = at;
            self.vacant_len += 1;
            at = next_of_promise;
        }
        Ok(removed)
    }

    /// The nodes of a reservation, and how many members on each.
    pub(super) fn places_of(&self, promise: &Promise) -> impl Iterator<Item = (u32, u32)> {
        let at = |at: u32| self.places.get(at as usize);
        core::iter::successors(at(promise.first), move |place| at(place.next_of_promise))
            .map(|place| (place.node, place.members))
    }

    /// The node at a position among those of the reservation with this index, and how many members
    /// on it. O(position).
    pub(super) fn place_at(&self, promise: u32, nth: u32) -> Option<(u32, u32)> {
        self.places_of(self.promises.at(promise)?).nth(nth as usize)
    }

    /// What is promised on a node to others than the task that is being started, and to how many
    /// members.
    pub(super) fn on_node(&self, index: u32) -> impl Iterator<Item = (&Promise, u32)> {
        let at = |at: u32| self.places.get(at as usize);
        let first = self.of_node.get(index as usize).copied().unwrap_or(NONE);
        let own = self.own.map_or(NONE, Handle::index);
        core::iter::successors(at(first), move |place| at(place.next_of_node))
            .filter(move |place| place.promise != own)
            .filter_map(|place| Some((self.promises.at(place.promise)?, place.members)))
    }
}

impl Placer {
    /// Whether all promises can be kept if this demand is put on these devices of the node with
    /// this index from now until `ends`.
    pub(super) fn leaves_room(
        &self,
        index: u32,
        demand: &Demand,
        devices: DeviceChoice,
        ends: Nanos,
    ) -> bool {
        if self.promises.on_node(index).all(|(promise, _)| ends <= promise.starts) {
            return true;
        }
        let Some(mut timeline) = Timeline::new(self, index) else { return false };
        let candidate =
            Candidate { demand, devices: Some(devices), starts: self.now, ends, members: 1 };
        timeline.play(&candidate) == Some(1)
    }
}
