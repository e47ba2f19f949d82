//! Levels: who shares with whom by the rules of history, and who of those that want is first.
//!
//! # What it decides
//! Which account with something pending is first in either ranking, after every single charge,
//! without ranking the others.
//!
//! # Formula
//! An account whose shares are its parent's stands aside, and its children are *members* of the
//! level above. Let `u` be the usage of a member, `f` its part of the shares of its level.
//! ```text
//! Fair Tree: among the members of a level the first has the least  u / f
//! classic:   debt(member, x) = (u * (1 - f) + x) / f        directly below the root (u + x) / f
//!            debt of a user  = debt(top, ... debt(team, debt(user, 0)))
//!            UE / S          = debt / usage of all
//! ```
//! The classic debt is Slurm's recursion for `UE`, divided by `S` and multiplied out from below: it
//! grows with `x` at every step, even rounded. So the least debt among all users is found from
//! least debts among siblings, bit for bit. Neither key changes as time passes, since all usage
//! decays alike.
//!
//! Fair Tree's published order is that of `f / (u / usage of the level)`, and rounding decides it
//! between members that are equal but for the last bits. So that the same one is first here, all
//! members within some roundings of the least key are looked at, unless all shares of the level
//! are equal, which leaves no doubt.
//!
//! # Bounds and cost
//! A charge is O(depth * log accounts); the first is found in O(depth), and O(members that are
//! within 2^-50 of the least) where shares differ. A change of accounts or shares costs nothing by
//! itself, and the next question about ranks O(accounts * log accounts). 152 bytes for each
//! account.
//!
//! # What it is bad at
//! Trees that change between any two questions.
//!
//! # Source
//! The quantities: Slurm's multifactor priority. The heaps over them are ours.

use alloc::boxed::Box;
use alloc::vec;

use super::decay::KeptSum;
use super::history::RawShares;
use super::tree::{AccountTree, DEPTH_MAX};
use crate::heap::{Forest, NONE};

/// Members whose keys differ by less than this part of them may stand in the other order once
/// they are rounded: a key is rounded once, a published value twice, 2^-53 each time.
const NEAR: f64 = 1.0 + 4.0 * f64::EPSILON;

/// What history knows of an account, or of the root.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seat {
    pub(super) used: KeptSum,
    pub(super) shares: RawShares,
    /// Part of the shares of its level, 0 to 1.
    pub(super) part: f64,
    /// Sum of the shares of the level below it.
    sum: f64,
    /// Shares of every member below it; NaN where they differ, negative where there is none.
    alike: f64,
    /// The next account above it that does not stand aside, or the root.
    pub(super) above: u32,
    /// Roots of the heaps of active members below it.
    fair: u32,
    classic: u32,
    /// Wants to be found while it has no children.
    pub(super) ranked: bool,
    pub(super) has_children: bool,
    /// Is in a heap of each kind.
    queued: bool,
}

const VACANT: Seat = Seat {
    used: KeptSum::ZERO,
    shares: RawShares::Weight,
    part: 0.0,
    sum: 0.0,
    alike: -1.0,
    above: NONE,
    fair: NONE,
    classic: NONE,
    ranked: false,
    has_children: false,
    queued: false,
};

#[derive(Debug)]
pub(super) struct Levels {
    /// By account index, then the root, then a level for users that take the root's share.
    seats: Box<[Seat]>,
    /// Keys: what stands in the order, and the index, so that the first is always the same.
    fair: Forest<(u64, u32)>,
    classic: Forest<(u64, u32)>,
    /// Members in order, for whole rankings.
    pub(super) order: Box<[u128]>,
    /// Accounts without children.
    pub(super) users: u32,
    /// Accounts or shares have changed since levels were last worked out.
    stale: bool,
}

impl Levels {
    /// Levels of so many accounts; of none, without memory.
    pub(super) fn new(accounts_max: u32) -> Self {
        let seats = if accounts_max == 0 { 0 } else { accounts_max as usize + 2 };
        Self {
            seats: vec![VACANT; seats].into_boxed_slice(),
            fair: Forest::new(accounts_max),
            classic: Forest::new(accounts_max),
            order: vec![0; accounts_max as usize].into_boxed_slice(),
            users: 0,
            stale: false,
        }
    }

    pub(super) const fn bytes_needed(accounts_max: u32) -> u64 {
        let seats = (accounts_max as u64 + 2) * size_of::<Seat>() as u64;
        let order = accounts_max as u64 * size_of::<u128>() as u64;
        seats + order + 2 * Forest::<(u64, u32)>::bytes_needed(accounts_max)
    }

    pub(super) fn seat(&self, index: u32) -> &Seat {
        &self.seats[index as usize]
    }

    /// The seat of an account, for a change of anything but its usage, after which levels must be
    /// worked out anew.
    pub(super) fn seat_mut(&mut self, index: u32) -> &mut Seat {
        self.stale = true;
        &mut self.seats[index as usize]
    }

    /// Forgets whoever had this index before.
    pub(super) fn reset(&mut self, index: u32) {
        *self.seat_mut(index) = VACANT;
    }

    /// Levels must be worked out anew before the next question about ranks.
    pub(super) fn mark_stale(&mut self) {
        self.stale = true;
    }

    /// Makes it as it was when new.
    pub(super) fn clear(&mut self) {
        self.seats.fill(VACANT);
        self.stale = true;
    }

    /// Adds an inflated amount to what an account and all above it used.
    pub(super) fn add(&mut self, tree: &AccountTree, index: u32, amount: f64) {
        let mut at = index;
        for _ in 0..=DEPTH_MAX {
            let seat = &mut self.seats[at as usize];
            seat.used.add(amount);
            if at == tree.root() {
                return;
            }
            if seat.queued && !self.stale {
                self.raise(tree, at);
            }
            at = tree.parent_at(at);
        }
    }

    /// Divides all usage by a power of two.
    pub(super) fn halve(&mut self, times: i32) {
        self.seats.iter_mut().for_each(|seat| seat.used.halve(times));
        self.stale = true;
    }

    /// Sets whether an account wants to be found.
    pub(super) fn set_ranked(&mut self, tree: &AccountTree, index: u32, ranked: bool) {
        self.seats[index as usize].ranked = ranked;
        if self.stale || self.seat(index).has_children {
            return;
        }
        let mut at = index;
        for _ in 0..DEPTH_MAX {
            if at == tree.root() {
                return;
            }
            self.place(tree, at);
            at = self.seat(at).above;
        }
    }

    /// Works out levels, shares and heaps if accounts or shares have changed.
    pub(super) fn settle(&mut self, tree: &AccountTree) {
        if !self.stale {
            return;
        }
        self.stale = false;
        for seat in &mut self.seats {
            (seat.sum, seat.alike, seat.fair, seat.classic) = (0.0, -1.0, NONE, NONE);
            (seat.has_children, seat.queued) = (false, false);
        }
        for index in tree.indices() {
            self.seats[tree.parent_at(index) as usize].has_children = true;
        }
        let mut depth_max = 0;
        self.users = 0;
        for index in tree.indices() {
            self.join_level(tree, index);
            self.users += u32::from(!self.seat(index).has_children);
            depth_max = depth_max.max(tree.depth_at(index));
        }
        for index in tree.indices() {
            let above = self.seat(index).above;
            let (shares, sum) = (self.shares(tree, index).unwrap_or(0.0), self.seat(above).sum);
            self.seats[index as usize].part = if sum > 0.0 { shares / sum } else { 0.0 };
        }
        // From below, since the debt of an account follows from those below it.
        for depth in (1..=depth_max).rev() {
            for index in tree.indices().filter(|index| tree.depth_at(*index) == depth) {
                self.place(tree, index);
            }
        }
    }

    /// Finds the level of an account and adds its shares there.
    fn join_level(&mut self, tree: &AccountTree, index: u32) {
        let mut above = tree.parent_at(index);
        for _ in 0..DEPTH_MAX {
            if above == tree.root() || self.seat(above).shares != RawShares::Parent {
                break;
            }
            above = tree.parent_at(above);
        }
        self.seats[index as usize].above = above;
        if let Some(shares) = self.shares(tree, index) {
            let level = &mut self.seats[above as usize];
            level.sum += shares;
            if level.alike < 0.0 {
                level.alike = shares;
            } else if level.alike != shares {
                level.alike = f64::NAN;
            }
        }
    }

    /// The number of shares; `None` where they are the parent's.
    fn shares(&self, tree: &AccountTree, index: u32) -> Option<f64> {
        match self.seat(index).shares {
            RawShares::Weight => Some(tree.place_at(index).1),
            RawShares::Number(number) => Some(number),
            RawShares::Parent => None,
        }
    }

    /// True of an account whose children are members of the level above in its place.
    pub(super) fn stands_aside(&self, index: u32) -> bool {
        let seat = self.seat(index);
        seat.shares == RawShares::Parent && seat.has_children
    }

    /// Puts an account into its heaps, or takes it out, or moves it within, as it should stand.
    fn place(&mut self, tree: &AccountTree, index: u32) {
        let seat = *self.seat(index);
        let below = if seat.has_children { seat.fair != NONE } else { seat.ranked };
        let active = below && !self.stands_aside(index);
        let (fair, classic) = (seat.above as usize, self.classic_level(tree, index));
        if seat.queued {
            self.fair.remove(&mut self.seats[fair].fair, index);
            self.classic.remove(&mut self.seats[classic].classic, index);
        }
        if active {
            let keys = (self.fair_key(index), self.classic_key(tree, index));
            self.fair.insert(&mut self.seats[fair].fair, index, keys.0);
            self.classic.insert(&mut self.seats[classic].classic, index, keys.1);
        }
        self.seats[index as usize].queued = active;
    }

    /// Moves a queued account back after more was used, by it or below it: its keys only grow.
    fn raise(&mut self, tree: &AccountTree, index: u32) {
        let keys = (self.fair_key(index), self.classic_key(tree, index));
        let (fair, classic) = (self.seat(index).above as usize, self.classic_level(tree, index));
        self.fair.raise(&mut self.seats[fair].fair, index, keys.0);
        self.classic.raise(&mut self.seats[classic].classic, index, keys.1);
    }

    /// Where an account competes by debt. Who takes the root's share owes what all used, which no
    /// key could follow, and stands in a level of its own.
    fn classic_level(&self, tree: &AccountTree, index: u32) -> usize {
        let seat = self.seat(index);
        let takes_roots = seat.shares == RawShares::Parent && seat.above == tree.root();
        seat.above as usize + usize::from(takes_roots)
    }

    fn fair_key(&self, index: u32) -> (u64, u32) {
        let seat = self.seat(index);
        let key = match seat.shares {
            RawShares::Parent => 0.0,
            _ if seat.part == 0.0 => f64::INFINITY,
            _ => seat.used.get() / seat.part,
        };
        (users_first(key.to_bits(), seat.has_children), index)
    }

    fn classic_key(&self, tree: &AccountTree, index: u32) -> (u64, u32) {
        let seat = self.seat(index);
        let least = seat.classic;
        let below = if least == NONE { 0 } else { self.classic.key(least).0 };
        let key = match seat.shares {
            RawShares::Parent => 0.0,
            _ => self.debt_with(tree, index, f64::from_bits(below)),
        };
        (key.to_bits(), index)
    }

    /// The debt that a member passes on, given that of what is below it.
    fn debt_with(&self, tree: &AccountTree, index: u32, below: f64) -> f64 {
        let Seat { used, part, above, .. } = *self.seat(index);
        if part == 0.0 {
            return f64::INFINITY;
        }
        let own = if above == tree.root() { used.get() } else { used.get() * (1.0 - part) };
        (own + below) / part
    }

    /// `UE / S` of an account, times the usage of all. O(depth).
    pub(super) fn debt(&self, tree: &AccountTree, index: u32) -> f64 {
        let (root, seat) = (tree.root(), self.seat(index));
        let mut at = if seat.shares == RawShares::Parent { seat.above } else { index };
        if at == root {
            return self.seat(root).used.get();
        }
        let mut debt = 0.0;
        for _ in 0..DEPTH_MAX {
            if at == root {
                break;
            }
            debt = self.debt_with(tree, at, debt);
            at = self.seat(at).above;
        }
        debt
    }

    /// `LevelFS` of a member, as it is published.
    pub(super) fn level_fs(&self, index: u32) -> f64 {
        let seat = self.seat(index);
        let (used, all) = (seat.used.get(), self.seat(seat.above).used.get());
        match seat.shares {
            RawShares::Parent => f64::INFINITY,
            _ if seat.part == 0.0 => 0.0,
            _ if used == 0.0 => f64::INFINITY,
            _ => seat.part / (used / all),
        }
    }

    /// Where a member stands in its level: by `LevelFS`, the largest first, users before accounts.
    pub(super) fn fair_place(&self, index: u32) -> u64 {
        let falling = f64::INFINITY.to_bits().saturating_sub(self.level_fs(index).to_bits());
        users_first(falling, self.seat(index).has_children)
    }

    /// The first in Fair Tree among those that want, or [`NONE`].
    pub(super) fn first_fair(&self, tree: &AccountTree) -> u32 {
        let mut at = tree.root();
        for _ in 0..DEPTH_MAX {
            at = self.first_member(at);
            if at == NONE || !self.seat(at).has_children {
                break;
            }
        }
        at
    }

    /// The first of the active members below `above`.
    fn first_member(&self, above: u32) -> u32 {
        let (first, alike) = (self.seat(above).fair, self.seat(above).alike);
        if first == NONE {
            return NONE;
        }
        let key = f64::from_bits(self.fair.key(first).0 >> 1);
        let is_certain = !alike.is_nan() && !self.seat(first).has_children;
        if key == 0.0 || key == f64::INFINITY || is_certain {
            return first;
        }
        let limit = (users_first((key * NEAR).to_bits(), true), NONE);
        let (mut best, mut index) = ((self.fair_place(first), first), first);
        while index != NONE {
            best = best.min((self.fair_place(index), index));
            index = self.fair.next_within(index, limit);
        }
        best.1
    }

    /// The first in the classic ranking among those that want, or [`NONE`].
    pub(super) fn first_classic(&self, tree: &AccountTree) -> u32 {
        let root = tree.root();
        let guest = self.seat(root + 1).classic;
        let mut at = self.seat(root).classic;
        let least = if at == NONE { f64::INFINITY } else { f64::from_bits(self.classic.key(at).0) };
        if guest != NONE && (at == NONE || self.seat(root).used.get() <= least) {
            return guest;
        }
        for _ in 0..DEPTH_MAX {
            if at == NONE || !self.seat(at).has_children {
                break;
            }
            at = self.seat(at).classic;
        }
        at
    }
}

/// Bits of a number that is not negative, as a key, with users before accounts at the same one.
const fn users_first(bits: u64, is_account: bool) -> u64 {
    bits << 1 | is_account as u64
}
