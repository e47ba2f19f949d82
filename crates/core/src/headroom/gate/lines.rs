//! Who waits, in what order, and which class is next.
//!
//! # What it decides
//! Classes go in the order of the policy, and each in the order in which requests came, but for
//! accounts that have more than their share (`fairness`); a class with a guarantee `g` that waits
//! is owed `g` of the work that starts, and goes first as soon as what it is owed covers its next
//! request.
//!
//! # Bounds and cost
//! O(1) a request, O(classes * levels) a choice. While a class with a guarantee `g` waits, work
//! that others start before its next request, of work `w`, is at most
//! ```text
//! w / g + w_max + (W + w_max) / (1 - G)
//! ```
//! `w_max` the largest request, `W` the largest of each other guaranteed class added up, `G` their
//! guarantees: first until it is owed enough, then behind those that are owed as well. From then on
//! no newcomer of another class starts at once, so that the bound holds whether a host lets
//! newcomers in first or asks first whose turn it is. Nobody in such a class starves. A class
//! without one waits while those before it do.

use super::request::{Request, Stage};
use crate::error::Error;
use crate::handle::Slab;
use crate::heap::NONE;
use crate::snapshot::Words;
use crate::units::Nanos;

/// Seconds over which starts of a class are counted. Long beside a wait, short beside the changes
/// of load within a day (minutes).
const RATE_S: f64 = 30.0;

/// What starts within so many nanoseconds fades as if it had at their beginning: a power of two, less
/// than a three thousandth of that.
const MOMENT_NS: u64 = 1 << 23;

/// Requests in a row.
#[derive(Clone, Copy, Debug)]
pub(super) struct List {
    pub(super) first: u32,
    last: u32,
    pub(super) len: u32,
}

impl List {
    pub(super) const EMPTY: Self = Self { first: NONE, last: NONE, len: 0 };

    pub(super) fn push(&mut self, requests: &mut Slab<Request>, index: u32) {
        if let Some(request) = requests.at_mut(index) {
            (request.before, request.after) = (self.last, NONE);
        }
        match requests.at_mut(self.last) {
            Some(last) => last.after = index,
            None => self.first = index,
        }
        self.last = index;
        self.len += 1;
    }

    pub(super) fn remove(&mut self, requests: &mut Slab<Request>, index: u32) {
        let Some(Request { before, after, .. }) = requests.at(index).copied() else { return };
        match requests.at_mut(before) {
            Some(request) => request.after = after,
            None => self.first = after,
        }
        match requests.at_mut(after) {
            Some(request) => request.before = before,
            None => self.last = before,
        }
        self.len -= 1;
    }
}

/// One class.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line {
    pub(super) list: List,
    pub(super) work: u64,
    pub(super) target: Nanos,
    pub(super) guaranteed_ratio: f64,
    /// Work that it is owed.
    owed: f64,
    /// Work that started, faded up to a moment.
    started: f64,
    faded: Nanos,
}

impl Line {
    pub(super) const fn new(target: Nanos, guaranteed_ratio: f64) -> Self {
        let (list, work, faded) = (List::EMPTY, 0, Nanos::ZERO);
        Self { list, work, target, guaranteed_ratio, owed: 0.0, started: 0.0, faded }
    }

    /// Work a second that started lately.
    pub(super) fn started_per_s(&self, now: Nanos) -> f64 {
        self.faded_to(now) / RATE_S
    }

    fn faded_to(&self, now: Nanos) -> f64 {
        let passed = moment_of(now).saturating_sub(self.faded);
        if self.started == 0.0 || passed == Nanos::ZERO {
            return self.started;
        }
        self.started * libm::exp(-passed.as_seconds() / RATE_S)
    }

    pub(super) fn save_state(&self, save: &mut dyn FnMut(u64)) {
        for amount in [self.owed, self.started] {
            save(amount.to_bits());
        }
        save(self.faded.get());
    }

    /// What is not in the lists.
    pub(super) fn load_state(&mut self, words: &mut Words<'_>) -> Result<(), Error> {
        self.owed = words.next_real("owed", 0.0, OWED_MAX)?;
        self.started = words.next_amount("started")?;
        self.faded = Nanos(words.next()?);
        Ok(())
    }
}

/// When the moment of a time began.
const fn moment_of(now: Nanos) -> Nanos {
    Nanos(now.get() & !(MOMENT_NS - 1))
}

/// Most work that a class is owed: that of the largest request.
const OWED_MAX: f64 = super::request::WORK_MAX as f64;

/// Puts a request at the end of its line.
pub(super) fn join(lines: &mut [Line], requests: &mut Slab<Request>, index: u32) {
    let Some(Request { class, work, .. }) = requests.at(index).copied() else { return };
    let line = &mut lines[usize::from(class)];
    line.work += u64::from(work);
    line.list.push(requests, index);
}

/// Takes a request out of its line.
pub(super) fn leave(lines: &mut [Line], requests: &mut Slab<Request>, index: u32) {
    let Some(Request { class, work, .. }) = requests.at(index).copied() else { return };
    let line = &mut lines[usize::from(class)];
    line.work -= u64::from(work);
    line.list.remove(requests, index);
    if line.list.len == 0 {
        line.owed = 0.0;
    }
}

/// A request of a class starts: who waits with a guarantee is owed its part.
pub(super) fn start(lines: &mut [Line], now: Nanos, class: u8, work: u32) {
    let work = f64::from(work);
    for (place, line) in lines.iter_mut().enumerate() {
        let paid = if place == usize::from(class) {
            line.started = line.faded_to(now) + work;
            line.faded = moment_of(now);
            work
        } else {
            0.0
        };
        if line.list.len > 0 {
            let owed = line.owed + line.guaranteed_ratio * work - paid;
            line.owed = owed.clamp(0.0, OWED_MAX);
        }
    }
}

/// Classes that are owed their next request by now, each with it; `first` says who is next of a
/// class that waits.
pub(super) fn due(
    lines: &[Line],
    requests: &Slab<Request>,
    first: impl Fn(usize, u32) -> u32,
) -> impl Iterator<Item = (usize, u32)> {
    let waits = |line: &Line| line.guaranteed_ratio > 0.0 && line.list.len > 0;
    let guaranteed = lines.iter().enumerate().filter(move |(_, line)| waits(line));
    guaranteed.filter_map(move |(class, line)| {
        let index = first(class, line.list.first);
        let work = requests.at(index).map_or(0, |request| request.work);
        (line.owed >= f64::from(work)).then_some((class, index))
    })
}

/// The request that is to start next, or [`NONE`]; `first` as in [`due`].
pub(super) fn next(
    lines: &[Line],
    requests: &Slab<Request>,
    first: impl Fn(usize, u32) -> u32,
) -> u32 {
    if let Some((_, index)) = due(lines, requests, &first).next() {
        return index;
    }
    let mut waiting = lines.iter().enumerate().filter(|(_, line)| line.list.len > 0);
    waiting.next().map_or(NONE, |(class, line)| first(class, line.list.first))
}

/// The first of some line that waited longer than its target, or [`NONE`].
pub(super) fn expired(lines: &[Line], requests: &Slab<Request>, now: Nanos) -> u32 {
    let late = |line: &&Line| {
        let first = requests.at(line.list.first);
        first.is_some_and(|first| {
            debug_assert_eq!(first.stage, Stage::Waiting);
            now.saturating_sub(first.since) > line.target
        })
    };
    lines.iter().find(late).map_or(NONE, |line| line.list.first)
}
