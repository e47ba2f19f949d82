//! What is promised to somebody for later: reservations, by task and by node.
//!
//! # What it decides
//! Whether a start now breaks a promise ([`Placer::leaves_room`]). A reservation says from when to
//! when the members of a task stand on which nodes, and on which devices they are planned to. What
//! comes beside them is first tried with that plan, and then with another one for all that is
//! promised on the node ([`super::timeline`]): so a reservation blocks no more of a node than it
//! needs, and there is always one plan that keeps every promise, which nothing that ends early can
//! spoil.
//!
//! # Bounds and cost
//! On a node where nothing is promised the answer is O(1); else it is O(promises there * (promises +
//! members there)). Memory: 120 bytes a reservation, 24 for each member of one.

use alloc::boxed::Box;
use alloc::vec;

use super::members::Member;
use super::timeline::{Candidate, Planning, Timeline};
use super::{Entry, Placer, Stage, TaskId};
use crate::error::Error;
use crate::fleet::{Demand, DeviceChoice};
use crate::handle::{Handle, Slab};
use crate::snapshot::{CONTRADICTION, Words, ensure, pair};
use crate::units::Nanos;

/// Most reservations that may be held at once. Each is looked at again in every cycle.
pub const RESERVATIONS_MAX: u32 = 1_024;

/// The end of a list.
const NONE: u32 = u32::MAX;

/// In the word of a place: it has a plan, which is in the bits below.
const PLANNED: u64 = 1 << 24;

/// A start that is promised.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[cfg_attr(feature = "document", derive(serde::Serialize, serde::Deserialize))]
#[repr(C)]
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

/// One member of a reservation on its node.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Place {
    promise: u32,
    pub(super) node: u32,
    /// The devices that it is planned to have; `None`: not planned yet.
    pub(super) plan: Option<DeviceChoice>,
    pub(super) next_of_promise: u32,
    next_of_node: u32,
}

/// The turn of a member on its node: start and number of its reservation, then its place.
pub(super) type Turn = (Nanos, u64, u32);

/// All reservations.
#[derive(Debug)]
pub(super) struct Promises {
    slab: Slab<Promise>,
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
            slab: Slab::new("reservations", reservations_max.max(1))?,
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
        let slots = if reservations_max == 0 { 1 } else { reservations_max };
        Slab::<Promise>::bytes_needed(slots)
            + places_max as u64 * size_of::<Place>() as u64
            + nodes_max as u64 * size_of::<u32>() as u64
    }

    pub(super) const fn len(&self) -> u32 {
        self.slab.len()
    }

    /// Reservations that there may be.
    pub(super) const fn capacity(&self) -> u32 {
        self.slab.capacity()
    }

    /// Whether there is a reservation for which nobody is ending.
    pub(super) fn is_anybody_waiting(&self) -> bool {
        self.len() > 0 && self.iter().any(|(_, promise)| !promise.is_reclaimed)
    }

    /// Whether one more reservation of so many members can be kept.
    pub(super) const fn has_place(&self, members: u32) -> bool {
        !self.slab.is_full() && members <= self.vacant_len
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Handle<Promise>, &Promise)> {
        self.slab.iter()
    }

    pub(super) fn get(&self, promise: Handle<Promise>) -> Result<&Promise, Error> {
        self.slab.get(promise)
    }

    pub(super) fn get_mut(&mut self, promise: Handle<Promise>) -> Result<&mut Promise, Error> {
        self.slab.get_mut(promise)
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
        let handle = self.slab.insert(Promise { number: self.numbers, ..promise })?;
        self.numbers += 1;
        Ok(handle)
    }

    /// Reserves for one more member on a node.
    pub(super) fn add_place(&mut self, promise: Handle<Promise>, node: u32) -> Result<(), Error> {
        let at = self.vacant;
        let capacity = self.places.len() as u64;
        let full = Error::Full { field: "reserved places", capacity };
        let place = self.places.get_mut(at as usize).ok_or(full)?;
        let first = &mut self.slab.get_mut(promise)?.first;
        self.vacant = place.next_of_promise;
        self.vacant_len -= 1;
        let of_node = &mut self.of_node[node as usize];
        *place = Place {
            promise: promise.index(),
            node,
            plan: None,
            next_of_promise: core::mem::replace(first, at),
            next_of_node: core::mem::replace(of_node, at),
        };
        Ok(())
    }

    /// Forgets a reservation. O(its nodes * promises there).
    pub(super) fn remove(&mut self, promise: Handle<Promise>) -> Result<Promise, Error> {
        let removed = self.slab.remove(promise)?;
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

    /// A place: the first of a reservation is its `first`.
    pub(super) fn place(&self, at: u32) -> Option<&Place> {
        self.places.get(at as usize)
    }

    /// The reservation with this index.
    pub(super) fn at(&self, promise: u32) -> Option<&Promise> {
        self.slab.at(promise)
    }

    /// The places of a reservation.
    pub(super) fn places_of(&self, promise: &Promise) -> impl Iterator<Item = &Place> {
        core::iter::successors(self.place(promise.first), |place| self.place(place.next_of_promise))
    }

    /// The devices that a member is to have.
    pub(super) fn plan(&mut self, at: u32, devices: DeviceChoice) {
        if let Some(place) = self.places.get_mut(at as usize) {
            place.plan = Some(devices);
        }
    }

    /// Members that are promised a node, by turn; not those of the task that is being started.
    pub(super) fn on_node(&self, index: u32) -> impl Iterator<Item = (Turn, &Promise, &Place)> {
        let at = |at: u32| Some((at, self.place(at)?));
        let first = self.of_node.get(index as usize).copied().unwrap_or(NONE);
        let own = self.own.map_or(NONE, Handle::index);
        core::iter::successors(at(first), move |(_, place)| at(place.next_of_node))
            .filter(move |(_, place)| place.promise != own)
            .filter_map(|(at, place)| {
                let promise = self.slab.at(place.promise)?;
                Some(((promise.starts, promise.number, at), promise, place))
            })
    }

    /// Whether whatever stands on the node with this index until `ends` is out of the way of all
    /// that is promised there, wherever on the node that is.
    pub(super) fn leave_alone(&self, index: u32, ends: Nanos) -> bool {
        self.on_node(index).all(|(_, promise, _)| ends <= promise.starts)
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
        if self.promises.leave_alone(index, ends) {
            return true;
        }
        let starts = self.now;
        let candidate = Candidate { demand, devices: Some(devices), starts, ends, members: 1 };
        let with_plan = Timeline::new(self, index, Planning::Kept).and_then(|t| t.play(&candidate));
        let found = with_plan.or_else(|| {
            Timeline::new(self, index, Planning::Anew).and_then(|t| t.play(&candidate))
        });
        found.is_some_and(|played| played.put_len == 1)
    }

    /// Makes the plan for a node fit what stands there now; `false` if none does.
    pub(super) fn plan_node(&mut self, index: u32) -> bool {
        if self.promises.on_node(index).next().is_none() {
            return true;
        }
        let played = Timeline::new(self, index, Planning::Kept)
            .and_then(|timeline| timeline.play(&Candidate::NOBODY))
            .or_else(|| {
                Timeline::new(self, index, Planning::Anew)
                    .and_then(|timeline| timeline.play(&Candidate::NOBODY))
            });
        let Some(played) = played else { return false };
        for (place, devices) in played.plan() {
            self.promises.plan(*place, *devices);
        }
        true
    }

    /// Makes the plans for all nodes of a task that has just started fit.
    pub(super) fn plan_around(&mut self, first_member: u32) {
        let mut next = first_member;
        while let Some(&Member { hold, next_of_task, .. }) = self.members.at(next) {
            let index = hold.node.index();
            if self.promises.on_node(index).next().is_some() {
                self.plan_node(index);
                self.blocked.shake();
                self.hopeless.shake();
            }
            next = next_of_task;
        }
    }
}

impl Promise {
    /// Tells itself as 7 words, without its places.
    fn save_state(&self, save: &mut dyn FnMut(u64)) {
        // What its task asks for follows from that.
        let Self {
            task,
            demand: _,
            starts,
            ends,
            number,
            is_reclaimed,
            given_back,
            early_ends,
            first: _,
        } = *self;
        for word in [task.to_raw(), starts.get(), ends.get(), number, is_reclaimed.into()] {
            save(word);
        }
        save(given_back);
        save(early_ends);
    }

    fn load_state(words: &mut Words<'_>) -> Result<Self, Error> {
        let task = TaskId::from_raw(words.next()?);
        let (starts, ends) = (Nanos(words.next()?), Nanos(words.next()?));
        Ok(Self {
            number: words.next_count("number")?,
            is_reclaimed: words.next_flag("is_reclaimed")?,
            given_back: words.next_count("given_back")?,
            early_ends: words.next_count("early_ends")?,
            ..Self::new(task, Demand::default(), starts, ends)
        })
    }
}

/// As words: the number that comes next, the reservations, 2 words for each place of one, in order,
/// and 1 for each place that is free. The index of a place decides on a tie, so that it is kept.
impl Promises {
    pub(super) fn save_state(&self, save: &mut dyn FnMut(u64)) {
        save(self.numbers);
        self.slab.save_state(save, Promise::save_state);
        let next = |at: u32| self.places.get(at as usize).map(|place| (at, place));
        let list = |first: u32| {
            core::iter::successors(next(first), |(_, place)| next(place.next_of_promise))
        };
        for (_, promise) in self.iter() {
            for (at, place) in list(promise.first) {
                save(pair(at, place.node));
                save(place.plan.map_or(0, |DeviceChoice { devices, slices }| {
                    u64::from(devices) | u64::from(slices) << 16 | PLANNED
                }));
            }
        }
        list(self.vacant).for_each(|(at, _)| save(at.into()));
    }

    /// Takes what was told: one reservation at most for each task that waits, with as many places
    /// as that needs, and every place once.
    pub(super) fn load_state(
        &mut self,
        words: &mut Words<'_>,
        tasks: &Slab<Entry>,
    ) -> Result<(), Error> {
        self.numbers = words.next_count("numbers")?;
        self.slab.load_state(words, Promise::load_state)?;
        let mut is_found = vec![false; self.places.len()];
        for index in 0..self.slab.capacity() {
            let Some(&promise) = self.slab.at(index) else { continue };
            let Entry { task, stage, .. } = tasks.get(promise.task)?;
            ensure(*stage == Stage::Pending && promise.starts <= promise.ends)?;
            ensure(promise.number < self.numbers)?;
            let same = |one: &Promise| one.task == promise.task || one.number == promise.number;
            ensure(self.iter().filter(|(_, one)| same(one)).count() == 1)?;
            let first = self.load_places(words, index, task.members_needed(), &mut is_found)?;
            if let Some(promise) = self.slab.at_mut(index) {
                (promise.demand, promise.first) = (task.member, first);
            }
        }
        let vacant_len = is_found.iter().filter(|is_found| !**is_found).count() as u32;
        self.vacant = self.load_list(words, vacant_len, &mut is_found, |words, place| {
            *place = Place::default();
            words.next_u32("vacant")
        })?;
        self.vacant_len = vacant_len;
        Ok(())
    }

    /// Takes the places of one reservation, and puts them into the lists of their nodes, where the
    /// order does not matter.
    fn load_places(
        &mut self,
        words: &mut Words<'_>,
        promise: u32,
        len: u32,
        is_found: &mut [bool],
    ) -> Result<u32, Error> {
        let nodes = self.of_node.len();
        let first = self.load_list(words, len, is_found, |words, place| {
            let (at, node) = words.next_pair()?;
            let plan = words.next()?;
            ensure((node as usize) < nodes && plan < 2 * PLANNED)?;
            let devices = DeviceChoice { devices: plan as u16, slices: (plan >> 16) as u8 };
            let plan = (plan & PLANNED != 0).then_some(devices);
            *place = Place { promise, node, plan, ..Place::default() };
            Ok(at)
        })?;
        let mut at = first;
        while let Some(place) = self.places.get_mut(at as usize) {
            place.next_of_node = core::mem::replace(&mut self.of_node[place.node as usize], at);
            at = place.next_of_promise;
        }
        Ok(first)
    }

    /// Takes a list of places, none of which was found before, and returns its first.
    fn load_list(
        &mut self,
        words: &mut Words<'_>,
        len: u32,
        is_found: &mut [bool],
        load: impl Fn(&mut Words<'_>, &mut Place) -> Result<u32, Error>,
    ) -> Result<u32, Error> {
        let (mut first, mut last) = (NONE, NONE);
        for _ in 0..len {
            let mut place = Place::default();
            let at = load(words, &mut place)?;
            let is_found = is_found.get_mut(at as usize).ok_or(CONTRADICTION)?;
            ensure(!core::mem::replace(is_found, true))?;
            self.places[at as usize] = Place { next_of_promise: NONE, ..place };
            match self.places.get_mut(last as usize) {
                Some(before) => before.next_of_promise = at,
                None => first = at,
            }
            last = at;
        }
        Ok(first)
    }
}
