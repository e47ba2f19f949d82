//! The cheapest victims on one node.
//!
//! # How
//! Those that nothing allows are left out. Of up to [`EXACT_MAX`] others every set is looked at:
//! the cheapest one that frees room in the right place and is allowed, victim after victim, wins;
//! on a tie that with fewer. Of more, the one that loses least for what it frees of what is missing
//! is taken again and again; then whoever is not needed is spared, the dearest first; and a single
//! victim that does alone wins if it is cheaper.

use super::search::Search;
use crate::share::Amounts;

/// Tasks on one node of which every set is looked at: 8 whole devices have 8 holders at most.
pub(super) const EXACT_MAX: usize = 8;

/// Tasks on one node that are looked at, those that lose least: a set of them is a word of 64 bits.
pub(in super::super) const CANDIDATES_MAX: usize = 64;

/// A task that may be made to end.
#[derive(Clone, Copy, Debug, Default)]
pub(in super::super) struct Candidate {
    /// Index of the task.
    pub(super) task: u32,
    /// What it loses.
    pub(super) cost_s: f64,
    allowed: bool,
}

/// Candidates, as bits, and what they lose together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Set {
    pub(super) bits: u64,
    pub(super) cost_s: f64,
}

impl Set {
    fn beats(&self, best: &Self) -> bool {
        self.cost_s < best.cost_s
            || self.cost_s == best.cost_s && self.bits.count_ones() < best.bits.count_ones()
    }
}

/// Candidates in the order in which they may be taken, by their place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    order: [u8; CANDIDATES_MAX],
    len: usize,
}

impl Row {
    fn push(&mut self, at: usize) {
        self.order[self.len] = at as u8;
        self.len += 1;
    }

    fn last(&self) -> Option<usize> {
        self.places().next_back()
    }

    pub(super) fn places(&self) -> impl DoubleEndedIterator<Item = usize> + use<> {
        let Self { order, len } = *self;
        (0..len).map(move |at| usize::from(order[at]))
    }
}

/// Sets of candidates after which nobody else may be taken, so that the rest of a row is not.
#[derive(Debug, Default)]
struct DeadEnds([u64; 4]);

const _: () = assert!(1 << EXACT_MAX == 4 * u64::BITS);

impl DeadEnds {
    /// Remembers a set; `false` if it has somebody who is not among the first [`EXACT_MAX`].
    fn insert(&mut self, bits: u64) -> bool {
        let word = usize::try_from(bits / 64).ok().and_then(|at| self.0.get_mut(at));
        word.map(|word| *word |= 1 << (bits % 64)).is_some()
    }

    fn contains(&self, bits: u64) -> bool {
        let word = usize::try_from(bits / 64).ok().and_then(|at| self.0.get(at));
        word.is_some_and(|word| word >> (bits % 64) & 1 == 1)
    }
}

/// Places in a set, the lowest first.
pub(super) fn members(mut bits: u64) -> impl Iterator<Item = usize> {
    core::iter::from_fn(move || {
        let at = (bits != 0).then(|| bits.trailing_zeros() as usize)?;
        bits &= bits - 1;
        Some(at)
    })
}

impl Search<'_> {
    /// The victims on a node that together lose least, and less than `below_s`, of those whose end
    /// makes one more member placeable there. O(2^8 * devices), or O(candidates^3 * depth).
    pub(super) fn cheapest_on(&mut self, index: u32, below_s: f64) -> Option<Set> {
        let len = self.collect(index);
        if len == 0 || self.candidates[0].cost_s >= below_s {
            return None;
        }
        let len = self.keep_allowed(index, len);
        self.candidates_len = len;
        let all = self.set(u64::MAX.checked_shr(64 - len as u32).unwrap_or(0));
        if len == 0 || !self.frees_room(index, all.bits) {
            return None;
        }
        if len <= EXACT_MAX { self.exact(index, len, below_s) } else { self.greedy(index, below_s) }
    }

    /// Lists who may be made to end by the rules of placement, the one that loses least first.
    fn collect(&mut self, index: u32) -> usize {
        let mut len = 0;
        for member in self.members.of_node(index) {
            let task = member.task;
            let seen = self.candidates[..len].iter().any(|candidate| candidate.task == task);
            if seen || !self.may_end(task) {
                continue;
            }
            let cost_s = self.cost_s(task);
            let new = Candidate { task, cost_s, allowed: false };
            let goes_before = |other: &Candidate| {
                cost_s < other.cost_s || cost_s == other.cost_s && task < other.task
            };
            if len < CANDIDATES_MAX {
                len += 1;
            } else if !goes_before(&self.candidates[len - 1]) {
                continue;
            }
            let at = self.candidates[..len - 1].iter().position(goes_before).unwrap_or(len - 1);
            self.candidates[at..len].rotate_right(1);
            self.candidates[at] = new;
        }
        len
    }

    /// Keeps those that the ledger allows first, or after others that it allows.
    fn keep_allowed(&mut self, index: u32, len: usize) -> usize {
        let short = self.short(index);
        let (mut taken, mut taken_len) = ([0_u8; CANDIDATES_MAX], 0);
        for at in 0..len {
            self.candidates[at].allowed = self.allows(self.candidates[at].task, &short);
        }
        // One that is not may be once others of the same branch have gone.
        let mut found = self.candidates[..len].iter().any(|candidate| !candidate.allowed);
        let mut is_taken = 0_u64;
        while found {
            found = false;
            for at in 0..len {
                let task = self.candidates[at].task;
                if is_taken >> at & 1 == 0 && self.allows(task, &short) && self.take(task) {
                    found = true;
                    self.candidates[at].allowed = true;
                    is_taken |= 1 << at;
                    taken[taken_len] = at as u8;
                    taken_len += 1;
                }
            }
        }
        for at in taken[..taken_len].iter().rev() {
            self.undo(self.candidates[usize::from(*at)].task);
        }
        let mut kept = 0;
        for at in 0..len {
            if self.candidates[at].allowed {
                self.candidates[kept] = self.candidates[at];
                kept += 1;
            }
        }
        kept
    }

    fn exact(&mut self, index: u32, len: usize, below_s: f64) -> Option<Set> {
        let mut best = Set { bits: 0, cost_s: below_s };
        for bits in 1..1_u64 << len {
            let set = self.set(bits);
            if set.beats(&best) && self.frees_room(index, bits) && self.is_allowed(index, bits) {
                best = set;
            }
        }
        (best.bits != 0).then_some(best)
    }

    fn greedy(&mut self, index: u32, below_s: f64) -> Option<Set> {
        let mut best = self.one_by_one(index)?;
        // The dearest first: candidates stand in the order of what they lose.
        for at in (0..self.candidates_len).rev() {
            if best.bits >> at & 1 == 0 {
                continue;
            }
            let without = self.set(best.bits & !(1 << at));
            if self.frees_room(index, without.bits) && self.is_allowed(index, without.bits) {
                best = without;
            }
        }
        for at in 0..self.candidates_len {
            let alone = self.set(1 << at);
            if alone.beats(&best)
                && self.frees_room(index, alone.bits)
                && self.is_allowed(index, alone.bits)
            {
                best = alone;
            }
        }
        (best.cost_s < below_s).then_some(best)
    }

    /// Takes candidates one by one until there is room, and undoes it.
    fn one_by_one(&mut self, index: u32) -> Option<Set> {
        let (mut order, mut order_len, mut bits) = ([0_u8; CANDIDATES_MAX], 0, 0_u64);
        let mut enough = false;
        while !enough {
            let Some(at) = self.best_next(index, bits) else { break };
            self.end_on(index, self.candidates[at].task);
            bits |= 1 << at;
            order[order_len] = at as u8;
            order_len += 1;
            enough = self.room.choice(index, &self.wanted).is_ok();
        }
        for at in order[..order_len].iter().rev() {
            let task = self.candidates[usize::from(*at)].task;
            self.go_on_at(index, task);
            self.undo(task);
        }
        enough.then(|| self.set(bits))
    }

    /// Of those that may be taken next, the one that loses least for what it frees of what is
    /// missing; it is taken in the books.
    fn best_next(&mut self, index: u32, chosen: u64) -> Option<usize> {
        let short = self.short(index);
        let before = self.missing_ratio(index);
        let mut best: Option<(usize, bool, f64)> = None;
        for at in (0..self.candidates_len).filter(|at| chosen >> at & 1 == 0) {
            let Candidate { task, cost_s, .. } = self.candidates[at];
            if !self.allows(task, &short) {
                continue;
            }
            self.end_on(index, task);
            let freed = before - self.missing_ratio(index);
            self.go_on_at(index, task);
            let helps = freed > 0.0;
            let rate = if helps { cost_s / freed } else { cost_s };
            let goes_first = |(_, best_helps, best_rate): (usize, bool, f64)| {
                helps && !best_helps || helps == best_helps && rate < best_rate
            };
            if best.is_none_or(goes_first) {
                best = Some((at, helps, rate));
            }
        }
        let (at, ..) = best?;
        self.take(self.candidates[at].task).then_some(at)
    }

    /// What is missing on a node for one more member, as a sum of parts of what it takes.
    fn missing_ratio(&self, index: u32) -> f64 {
        let missing = self.room.missing(index, &self.wanted.member);
        let parts = missing.0.into_iter().zip(self.each.0).filter(|(missing, _)| *missing > 0);
        parts.map(|(missing, each)| missing as f64 / each as f64).sum()
    }

    /// A set of candidates with its cost.
    fn set(&self, bits: u64) -> Set {
        Set { bits, cost_s: members(bits).map(|at| self.candidates[at].cost_s).sum() }
    }

    /// Whether one more member fits on a node once these have ended.
    fn frees_room(&mut self, index: u32, bits: u64) -> bool {
        members(bits).for_each(|at| self.end_on(index, self.candidates[at].task));
        let fits = self.room.choice(index, &self.wanted).is_ok();
        members(bits).for_each(|at| self.go_on_at(index, self.candidates[at].task));
        fits
    }

    /// Whether these may be taken, one after the other.
    fn is_allowed(&mut self, index: u32, bits: u64) -> bool {
        self.row_of(index, bits).is_some()
    }

    /// An order in which these may be taken: whose right depends on what others still hold goes
    /// before them. Of up to [`EXACT_MAX`] every order is tried, of more the first that offers
    /// itself.
    pub(super) fn row_of(&mut self, index: u32, bits: u64) -> Option<Row> {
        let mut row = Row { order: [0; CANDIDATES_MAX], len: 0 };
        let (mut left, mut from, mut dead_ends) = (bits, 0, DeadEnds::default());
        while left != 0 {
            let short = self.short(index);
            let next = members(left).find(|at| {
                let task = self.candidates[*at].task;
                *at >= from
                    && !dead_ends.contains(bits & !left | 1 << at)
                    && self.allows(task, &short)
                    && self.take(task)
            });
            if let Some(at) = next {
                self.end_on(index, self.candidates[at].task);
                left &= !(1 << at);
                from = 0;
                row.push(at);
            } else {
                let Some(at) = row.last().filter(|_| dead_ends.insert(bits & !left)) else { break };
                self.put_back(index, at);
                left |= 1 << at;
                from = at + 1;
                row.len -= 1;
            }
        }
        let is_allowed = left == 0 && self.may_start_after(bits);
        for at in row.places().rev() {
            self.put_back(index, at);
        }
        is_allowed.then_some(row)
    }

    /// A candidate was not taken, after all.
    fn put_back(&mut self, index: u32, at: usize) {
        let task = self.candidates[at].task;
        self.go_on_at(index, task);
        self.undo(task);
    }

    /// Whether the account may hold what it claims where all victims are its own.
    fn may_start_after(&self, bits: u64) -> bool {
        let all_own = members(bits).all(|at| {
            let entry = self.tasks.at(self.candidates[at].task);
            entry.is_some_and(|entry| self.books.is_own(entry))
        });
        !all_own || self.needed > 1 || self.may_hold(bits)
    }

    fn may_hold(&self, bits: u64) -> bool {
        let mut own = Amounts::ZERO;
        for entry in members(bits).filter_map(|at| self.tasks.at(self.candidates[at].task)) {
            self.books.add_own(&mut own, entry);
        }
        self.books.may_hold(&own)
    }

    /// A task ends, on one node.
    fn end_on(&mut self, index: u32, task: u32) {
        let members = self.members;
        for member in members.of_node(index).filter(|member| member.task == task) {
            self.room.end(&member.hold);
        }
    }

    fn go_on_at(&mut self, index: u32, task: u32) {
        let members = self.members;
        for member in members.of_node(index).filter(|member| member.task == task) {
            self.room.go_on(&member.hold);
        }
    }
}
