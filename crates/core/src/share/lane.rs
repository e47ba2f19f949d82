//! One lane: counters, how many requests wait, and a heap of the accounts that wait.
//!
//! The heap is a binary heap in an array with a position for each account, ordered by counter and
//! then by index, so that ties are decided the same way every time.

use alloc::boxed::Box;
use alloc::vec;

use crate::error::Error;

/// Not in the heap.
const NOWHERE: u32 = u32::MAX;

#[derive(Clone, Copy, Debug)]
struct Seat {
    counter: f64,
    waiting: u32,
    /// Position in the heap, or [`NOWHERE`].
    position: u32,
}

const VACANT: Seat = Seat { counter: 0.0, waiting: 0, position: NOWHERE };

#[derive(Debug)]
pub(super) struct Lane {
    seats: Box<[Seat]>,
    heap: Box<[u32]>,
    heap_len: u32,
    /// Counter of the account that stopped waiting last: where the lane stands when it is empty.
    last_left: f64,
}

impl Lane {
    pub(super) fn new(accounts_max: u32) -> Self {
        let len = accounts_max as usize;
        Self {
            seats: vec![VACANT; len].into_boxed_slice(),
            heap: vec![NOWHERE; len].into_boxed_slice(),
            heap_len: 0,
            last_left: 0.0,
        }
    }

    pub(super) const fn bytes_needed(accounts_max: u32) -> u64 {
        let seat = core::mem::size_of::<Seat>() + core::mem::size_of::<u32>();
        core::mem::size_of::<Self>() as u64 + accounts_max as u64 * seat as u64
    }

    /// Forgets whoever had this index before.
    pub(super) fn reset(&mut self, index: u32) {
        self.seats[index as usize] = VACANT;
    }

    pub(super) fn counter(&self, index: u32) -> f64 {
        self.seats[index as usize].counter
    }

    pub(super) fn waiting(&self, index: u32) -> u32 {
        self.seats[index as usize].waiting
    }

    pub(super) fn counter_min(&self) -> Option<f64> {
        (self.heap_len > 0).then(|| self.counter(self.heap[0]))
    }

    pub(super) fn arrive(&mut self, index: u32) {
        let floor = self.counter_min().unwrap_or(self.last_left);
        let seat = &mut self.seats[index as usize];
        seat.waiting = seat.waiting.saturating_add(1);
        if seat.position == NOWHERE {
            seat.counter = seat.counter.max(floor);
            let position = self.heap_len;
            self.heap_len += 1;
            self.put(position, index);
            self.sift_up(position);
        }
    }

    pub(super) fn depart(&mut self, index: u32) -> Result<(), Error> {
        let seat = &mut self.seats[index as usize];
        if seat.waiting == 0 {
            return Err(Error::Range {
                field: "waiting",
                value: 0,
                min: 1,
                max: u64::from(NOWHERE),
            });
        }
        seat.waiting -= 1;
        if seat.waiting == 0 {
            self.last_left = seat.counter;
            let position = seat.position;
            seat.position = NOWHERE;
            self.close_gap(position);
        }
        Ok(())
    }

    pub(super) fn charge(&mut self, index: u32, weighted_cost: f64) {
        let seat = &mut self.seats[index as usize];
        seat.counter += weighted_cost;
        if seat.position != NOWHERE {
            let position = seat.position;
            self.sift_down(position);
        }
    }

    /// Accounts that wait with a counter of at most the smallest plus `credit`, with the counter.
    pub(super) fn within(&self, credit: f64) -> Within<'_> {
        let limit = self.counter_min().unwrap_or(0.0) + credit;
        Within { lane: self, position: 0, limit }
    }

    fn before(&self, a: u32, b: u32) -> bool {
        let (va, vb) = (self.counter(a), self.counter(b));
        va < vb || (va == vb && a < b)
    }

    fn put(&mut self, position: u32, index: u32) {
        self.heap[position as usize] = index;
        self.seats[index as usize].position = position;
    }

    /// Fills the hole at `position` with the last of the heap.
    fn close_gap(&mut self, position: u32) {
        self.heap_len -= 1;
        if position == self.heap_len {
            return;
        }
        let moved = self.heap[self.heap_len as usize];
        self.put(position, moved);
        self.sift_up(position);
        self.sift_down(self.seats[moved as usize].position);
    }

    fn sift_up(&mut self, mut position: u32) {
        let index = self.heap[position as usize];
        while position > 0 {
            let parent = (position - 1) / 2;
            let above = self.heap[parent as usize];
            if !self.before(index, above) {
                break;
            }
            self.put(position, above);
            position = parent;
        }
        self.put(position, index);
    }

    fn sift_down(&mut self, mut position: u32) {
        let index = self.heap[position as usize];
        loop {
            let mut child = 2 * position + 1;
            if child >= self.heap_len {
                break;
            }
            let right = child + 1;
            if right < self.heap_len
                && self.before(self.heap[right as usize], self.heap[child as usize])
            {
                child = right;
            }
            let below = self.heap[child as usize];
            if !self.before(below, index) {
                break;
            }
            self.put(position, below);
            position = child;
        }
        self.put(position, index);
    }
}

/// Walks the top of the heap in preorder and turns back at counters over the limit: no stack is
/// needed, because the next subtree's root follows from the position alone.
#[derive(Debug)]
pub(super) struct Within<'a> {
    lane: &'a Lane,
    position: u32,
    limit: f64,
}

impl Within<'_> {
    /// The root of the next subtree in preorder, past everything below `position`.
    fn past(mut position: u32) -> u32 {
        // Right children have even positions; climb until there is a sibling to the right.
        while position > 0 && position.is_multiple_of(2) {
            position = (position - 1) / 2;
        }
        if position == 0 { NOWHERE } else { position + 1 }
    }
}

impl Iterator for Within<'_> {
    type Item = (u32, f64);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if self.position == NOWHERE {
                return None;
            }
            if self.position >= self.lane.heap_len {
                self.position = Self::past(self.position);
                continue;
            }
            let index = self.lane.heap[self.position as usize];
            let counter = self.lane.counter(index);
            if counter > self.limit {
                self.position = Self::past(self.position);
                continue;
            }
            self.position = 2 * self.position + 1;
            return Some((index, counter));
        }
    }
}
