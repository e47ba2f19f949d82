//! One lane: the counters of all accounts, and for each account a heap of its children that wait.
//!
//! An account is *active* while it has requests of its own that wait, or an active child. Each
//! account, and the root, has two kinds of competitors below it: its active children, in a heap by
//! counter, and its own requests, which compete as one more child of weight [`OWN_WEIGHT`].

use alloc::boxed::Box;
use alloc::vec;

use super::tree::{AccountTree, DEPTH_MAX};
use crate::error::Error;
use crate::heap::{Forest, NONE};

/// Weight of an account's own requests next to its children: that of a child unless told
/// otherwise. A child opened for them can have any other.
pub(super) const OWN_WEIGHT: f64 = 1.0;

/// What stands between an account and the competitors below it; its own counter among its
/// siblings is the key of its node.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seat {
    /// Counter of its own requests among its children.
    pub(super) own: f64,
    /// Counter of the competitor below it that stopped waiting last: where the others come in
    /// when none waits.
    pub(super) last_left: f64,
    /// Requests of its own that wait.
    pub(super) waiting: u32,
    /// Root of the heap of its active children.
    children: u32,
}

const VACANT: Seat = Seat { own: 0.0, last_left: 0.0, waiting: 0, children: NONE };

#[derive(Debug)]
pub(super) struct Lane {
    /// By account index; the root has the last one.
    seats: Box<[Seat]>,
    /// Nodes by account index; keys are the bits of counters, which as numbers that are not
    /// negative stand in the same order.
    forest: Forest<u64>,
}

impl Lane {
    pub(super) fn new(accounts_max: u32) -> Self {
        Self {
            seats: vec![VACANT; accounts_max as usize + 1].into_boxed_slice(),
            forest: Forest::new(accounts_max),
        }
    }

    pub(super) const fn bytes_needed(accounts_max: u32) -> u64 {
        let seats = (accounts_max as u64 + 1) * core::mem::size_of::<Seat>() as u64;
        core::mem::size_of::<Self>() as u64 + seats + Forest::<u64>::bytes_needed(accounts_max)
    }

    /// Forgets whoever had this index before.
    pub(super) fn reset(&mut self, index: u32) {
        self.seats[index as usize] = VACANT;
        self.forest.set_key(index, 0);
    }

    /// Makes it as it was when new.
    pub(super) fn clear(&mut self) {
        self.seats.fill(VACANT);
        (0..self.seats.len() as u32 - 1).for_each(|index| self.forest.set_key(index, 0));
    }

    /// Counter of an account among its siblings.
    pub(super) fn counter(&self, index: u32) -> f64 {
        f64::from_bits(self.forest.key(index))
    }

    pub(super) fn seat(&self, index: u32) -> &Seat {
        &self.seats[index as usize]
    }

    /// The smallest counter among what competes below `index`; `None` when nothing waits there.
    pub(super) fn counter_min(&self, index: u32) -> Option<f64> {
        let seat = self.seat(index);
        let child = (seat.children != NONE).then(|| self.counter(seat.children));
        let own = (seat.waiting > 0).then_some(seat.own);
        match (child, own) {
            (Some(child), Some(own)) => Some(child.min(own)),
            (child, own) => child.or(own),
        }
    }

    /// One more request of the account at `index` waits.
    pub(super) fn arrive(&mut self, tree: &AccountTree, index: u32) -> Result<(), Error> {
        let waiting = self.seat(index).waiting;
        if waiting == u32::MAX {
            return Err(Error::Full { field: "waiting", capacity: u32::MAX.into() });
        }
        if waiting == 0 {
            let own = self.lifted(index, self.seat(index).own);
            self.seats[index as usize].own = own;
            self.wait(tree, index, 1, Self::lifted);
        } else {
            self.seats[index as usize].waiting = waiting + 1;
        }
        Ok(())
    }

    /// Puts back `waiting` requests and whoever is active because of them, all counters as they
    /// are.
    pub(super) fn arrive_again(&mut self, tree: &AccountTree, index: u32, waiting: u32) {
        if waiting > 0 {
            self.wait(tree, index, waiting, |_, _, counter| counter);
        }
    }

    /// The account at `index` had no requests that wait, and now has some: it becomes active, and
    /// so does each account above it that was not. `lift` says with which counter, given the
    /// account above and the counter it had.
    fn wait(
        &mut self,
        tree: &AccountTree,
        mut index: u32,
        waiting: u32,
        lift: fn(&Self, u32, f64) -> f64,
    ) {
        let mut was_active = self.is_active(index);
        self.seats[index as usize].waiting = waiting;
        for _ in 0..DEPTH_MAX {
            if was_active || index == tree.root() {
                return;
            }
            let above = tree.parent_at(index);
            was_active = self.is_active(above);
            let counter = lift(self, above, self.counter(index));
            let children = &mut self.seats[above as usize].children;
            self.forest.insert(children, index, counter.to_bits());
            index = above;
        }
    }

    /// One request of the account at `index` waits no longer.
    pub(super) fn depart(&mut self, tree: &AccountTree, mut index: u32) -> Result<(), Error> {
        let seat = &mut self.seats[index as usize];
        if seat.waiting == 0 {
            let max = u32::MAX.into();
            return Err(Error::Range { field: "waiting", value: 0, min: 1, max });
        }
        seat.waiting -= 1;
        if seat.waiting > 0 {
            return Ok(());
        }
        seat.last_left = seat.own;
        for _ in 0..DEPTH_MAX {
            if index == tree.root() || self.is_active(index) {
                break;
            }
            let counter = self.counter(index);
            let above = tree.parent_at(index);
            let seat = &mut self.seats[above as usize];
            seat.last_left = counter;
            self.forest.remove(&mut seat.children, index);
            index = above;
        }
        Ok(())
    }

    /// Charges service of `cost` at every level up to the root's children.
    pub(super) fn charge(&mut self, tree: &AccountTree, mut index: u32, cost: f64) {
        self.seats[index as usize].own += cost / OWN_WEIGHT;
        for _ in 0..DEPTH_MAX {
            if index == tree.root() {
                return;
            }
            let (above, weight) = tree.place_at(index);
            let key = (self.counter(index) + cost / weight).to_bits();
            if self.is_active(index) {
                self.forest.raise(&mut self.seats[above as usize].children, index, key);
            } else {
                self.forest.set_key(index, key);
            }
            index = above;
        }
    }

    /// Charges service that was received elsewhere. Whoever is served elsewhere waits there: where
    /// nobody waits here, those who return come in next to the one that was served last.
    pub(super) fn charge_elsewhere(&mut self, tree: &AccountTree, mut index: u32, cost: f64) {
        self.charge(tree, index, cost);
        let mut served = self.seat(index).own;
        for _ in 0..=DEPTH_MAX {
            self.seats[index as usize].last_left = served;
            if index == tree.root() {
                return;
            }
            served = self.counter(index);
            index = tree.parent_at(index);
        }
    }

    /// The first child of `index` in a walk over those with counters up to `limit`, or [`NONE`].
    pub(super) fn first_child(&self, index: u32, limit: f64) -> u32 {
        let first = self.seat(index).children;
        if first != NONE && self.counter(first) <= limit { first } else { NONE }
    }

    /// The sibling after `index` in that walk, or [`NONE`].
    pub(super) fn next_sibling(&self, index: u32, limit: f64) -> u32 {
        self.forest.next_within(index, limit.to_bits())
    }

    /// Sets what [`Lane::arrive_again`] goes by, for an account (or the root) that is not active.
    pub(super) fn restore(&mut self, index: u32, own: f64, last_left: f64) {
        self.seats[index as usize] = Seat { own, last_left, ..VACANT };
    }

    /// Sets the counter of an account that is not active.
    pub(super) fn restore_counter(&mut self, index: u32, counter: f64) {
        self.forest.set_key(index, counter.to_bits());
    }

    /// A counter that comes in below `above`: no less than the smallest there, or than the one
    /// that left last.
    fn lifted(&self, above: u32, counter: f64) -> f64 {
        counter.max(self.counter_min(above).unwrap_or(self.seat(above).last_left))
    }

    fn is_active(&self, index: u32) -> bool {
        let seat = self.seat(index);
        seat.waiting > 0 || seat.children != NONE
    }
}
