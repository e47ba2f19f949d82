//! Whose turn it is: a walk over the accounts that are eligible at every level.

use super::lane::{Lane, OWN_WEIGHT};
use super::tree::{AccountTree, DEPTH_MAX};
use crate::heap::NONE;

/// Walks each heap in preorder and turns back at counters over the limit, going down into the
/// children of whoever is eligible. Heaps have parent links and so has the tree: where to go next
/// follows from where it is, and no stack is needed.
#[derive(Debug)]
pub(super) struct Eligible<'a> {
    tree: &'a AccountTree,
    lane: &'a Lane,
    credit: f64,
    /// The account to look at next: it and all above it are eligible.
    index: u32,
    /// Limit among the siblings of `index`.
    limit: f64,
}

impl<'a> Eligible<'a> {
    pub(super) fn new(tree: &'a AccountTree, lane: &'a Lane, credit: f64) -> Self {
        let mut walk = Self { tree, lane, credit, index: NONE, limit: 0.0 };
        walk.limit = walk.limit_below(tree.root());
        walk.index = lane.first_child(tree.root(), walk.limit);
        walk
    }

    fn limit_below(&self, index: u32) -> f64 {
        self.lane.counter_min(index).unwrap_or(0.0) + self.credit
    }

    /// Goes on after everybody below `index`; O(depth) besides the steps within heaps.
    fn go_past(&mut self, mut index: u32) {
        while index != self.tree.root() {
            let next = self.lane.next_sibling(index, self.limit);
            if next != NONE {
                self.index = next;
                return;
            }
            index = self.tree.parent_at(index);
            self.limit = self.limit_below(self.tree.parent_at(index));
        }
        self.index = NONE;
    }
}

impl Iterator for Eligible<'_> {
    type Item = (u32, f64);

    fn next(&mut self) -> Option<Self::Item> {
        // Every active account has an eligible one below it or is one: at most depth rounds.
        while self.index != NONE {
            let index = self.index;
            let limit = self.limit_below(index);
            let first = self.lane.first_child(index, limit);
            if first == NONE {
                self.go_past(index);
            } else {
                (self.index, self.limit) = (first, limit);
            }
            let seat = self.lane.seat(index);
            if seat.waiting > 0 && seat.own <= limit {
                return Some((index, self.lane.counter(index)));
            }
        }
        None
    }
}

/// How far an account is ahead of those it competes with; see [`super::Ledger::lead`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lead {
    /// Its counter, or that of an account above.
    pub counter: f64,
    /// The smallest counter of those that wait there; its own where nobody does.
    pub counter_min: f64,
}

pub(super) fn lead(tree: &AccountTree, lane: &Lane, mut index: u32) -> Lead {
    let at = |index: u32, counter: f64| Lead {
        counter,
        counter_min: lane.counter_min(index).unwrap_or(counter),
    };
    let mut most = at(index, lane.seat(index).own);
    for _ in 0..DEPTH_MAX {
        if index == tree.root() {
            break;
        }
        let above = tree.parent_at(index);
        let here = at(above, lane.counter(index));
        if here.counter - here.counter_min > most.counter - most.counter_min {
            most = here;
        }
        index = above;
    }
    most
}

/// One of two accounts where they compete; see [`super::Ledger::rivals`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rival {
    /// Its counter there.
    pub counter: f64,
    /// Its weight there.
    pub weight: f64,
}

pub(super) fn rivals(tree: &AccountTree, lane: &Lane, one: u32, other: u32) -> (Rival, Rival) {
    let own = |index: u32| Rival { counter: lane.seat(index).own, weight: OWN_WEIGHT };
    let (mut at, mut rivals) = ([one, other], [own(one), own(other)]);
    for _ in 0..2 * DEPTH_MAX {
        if at[0] == at[1] {
            break;
        }
        let lower = usize::from(tree.depth_at(at[1]) > tree.depth_at(at[0]));
        let (above, weight) = tree.place_at(at[lower]);
        rivals[lower] = Rival { counter: lane.counter(at[lower]), weight };
        at[lower] = above;
    }
    (rivals[0], rivals[1])
}
