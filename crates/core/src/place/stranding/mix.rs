//! What is expected to come: shapes of task with weights, and the models that they name.
//!
//! # How
//! Shapes and sets of models are counted apart, as if they were independent: [`SHAPES_MAX`] shapes
//! by space saving (the least counted one makes room and leaves its count), [`SETS_MAX`] sets of
//! models (the least counted one makes room). A fixed mix is kept as it was given, each shape with
//! its own models.
//!
//! # Bounds and cost
//! O([`SHAPES_MAX`] + [`SETS_MAX`]) an arrival. Space saving overcounts a shape by at most the
//! smallest count, which is at most the sum of weights over [`SHAPES_MAX`]; each shape with more
//! than that is there.
//!
//! # What it is bad at
//! It forgets nothing. Where a shape always names the same models it does not know: learned
//! together, 64 entries are too few (5 points of allocation on a list with many sets).
//!
//! # Source
//! Metwally et al., "Efficient computation of frequent and top-k elements" (ICDT'05).

use alloc::boxed::Box;
use alloc::vec;

use super::models::{SLOTS_MAX, Slots};
use super::shape::Shape;
use crate::fleet::ModelSet;

/// Shapes that are counted.
pub(in crate::place) const SHAPES_MAX: usize = 64;

/// Sets of models that are counted.
pub(super) const SETS_MAX: usize = 16;

/// Entries of a fixed mix: shapes with their models.
pub(in crate::place) const ENTRIES_MAX: usize = 256;

/// What the weights of a learned mix sum up to, once they are whole numbers.
const WHOLE: f64 = (1 << 20) as f64;

/// Tasks that named the same set of models.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wish {
    pub(super) models: ModelSet,
    /// Arrivals.
    pub(super) count: f64,
    /// By which they count.
    pub(super) weight: f64,
    /// Sums of weight times thousandths of devices, and times those squared.
    pub(super) demand: f64,
    pub(super) squares: f64,
}

impl Wish {
    pub(super) const NONE: Self =
        Self { models: ModelSet::NONE, count: 0.0, weight: 0.0, demand: 0.0, squares: 0.0 };
}

/// A shape, its models, and how often it comes.
#[derive(Clone, Copy, Debug)]
pub(in crate::place) struct Entry {
    pub(in crate::place) shape: Shape,
    pub(in crate::place) models: ModelSet,
    pub(in crate::place) weight: u32,
}

/// A shape with its weight, in all and on each slot of models.
#[derive(Clone, Copy, Debug)]
pub(super) struct Weighted {
    pub(super) shape: Shape,
    pub(super) weight: u32,
    pub(super) by_slot: [u32; SLOTS_MAX],
}

impl Weighted {
    const NONE: Self = Self {
        shape: Shape { cpu_milli: 0, count: 0, milli: 0 },
        weight: 0,
        by_slot: [0; SLOTS_MAX],
    };
}

/// A mix as it was at one time.
#[derive(Debug)]
pub(super) struct Frozen {
    list: Box<[Weighted]>,
    len: usize,
    /// Sum of all weights.
    pub(super) total: u64,
    /// Arrivals that it was learned from; infinite for a fixed one.
    pub(super) seen: f64,
}

impl Frozen {
    pub(super) fn new() -> Self {
        let list = vec![Weighted::NONE; SHAPES_MAX].into_boxed_slice();
        Self { list, len: 0, total: 0, seen: 0.0 }
    }

    pub(super) fn shapes(&self) -> &[Weighted] {
        &self.list[..self.len]
    }

    fn clear(&mut self, seen: f64) {
        (self.len, self.total, self.seen) = (0, 0, seen);
    }

    /// One more entry, of a shape that may be there.
    fn add(&mut self, shape: Shape, weight: u32, by_slot: [u32; SLOTS_MAX]) {
        let Some(own) = self.list[..self.len].iter_mut().find(|own| own.shape == shape) else {
            return self.push(shape, weight, by_slot);
        };
        self.total += u64::from(weight);
        own.weight += weight;
        own.by_slot.iter_mut().zip(by_slot).for_each(|(sum, weight)| *sum += weight);
    }

    /// The same, of a shape that is not there.
    fn push(&mut self, shape: Shape, weight: u32, by_slot: [u32; SLOTS_MAX]) {
        self.total += u64::from(weight);
        if let Some(own) = self.list.get_mut(self.len) {
            *own = Weighted { shape, weight, by_slot };
            self.len += 1;
        }
    }
}

/// What is expected to come.
#[derive(Debug)]
pub(super) struct TaskMix {
    /// Arrivals.
    pub(super) seen: u64,
    shapes: Box<[(Shape, f64)]>,
    /// The same shapes as words, by which they are looked for.
    words: Box<[u64]>,
    shapes_len: usize,
    sets: [Wish; SETS_MAX],
    sets_len: usize,
    fixed: Box<[Entry]>,
    fixed_len: usize,
}

impl TaskMix {
    pub(super) fn new() -> Self {
        let none = Entry { shape: Shape::default(), models: ModelSet::NONE, weight: 0 };
        Self {
            seen: 0,
            shapes: vec![(Shape::default(), 0.0); SHAPES_MAX].into_boxed_slice(),
            words: vec![0; SHAPES_MAX].into_boxed_slice(),
            shapes_len: 0,
            sets: [Wish::NONE; SETS_MAX],
            sets_len: 0,
            fixed: vec![none; ENTRIES_MAX].into_boxed_slice(),
            fixed_len: 0,
        }
    }

    pub(super) const fn bytes_needed() -> u64 {
        (SHAPES_MAX * (size_of::<(Shape, f64)>() + size_of::<u64>() + size_of::<Weighted>())
            + ENTRIES_MAX * size_of::<Entry>()) as u64
    }

    /// Whether the mix was given and is not learned.
    pub(super) const fn is_fixed(&self) -> bool {
        self.fixed_len > 0
    }

    /// Forgets everything.
    pub(super) const fn clear(&mut self) {
        (self.seen, self.shapes_len, self.sets_len, self.fixed_len) = (0, 0, 0, 0);
    }

    /// Shapes that are counted, with their weights.
    pub(super) fn shapes(&self) -> &[(Shape, f64)] {
        &self.shapes[..self.shapes_len]
    }

    /// What the mix was fixed to.
    pub(super) fn fixed(&self) -> &[Entry] {
        &self.fixed[..self.fixed_len]
    }

    /// Counts a shape that is not counted yet, of which there is room for one more; false if it is.
    pub(super) fn add_shape(&mut self, shape: Shape, weight: f64) -> bool {
        if self.shapes().iter().any(|(own, _)| *own == shape) {
            return false;
        }
        self.set_shape(self.shapes_len, shape, weight);
        self.shapes_len += 1;
        true
    }

    /// The same for a set of models.
    pub(super) fn add_wish(&mut self, wish: Wish) -> bool {
        if self.wishes().iter().any(|own| own.models == wish.models) {
            return false;
        }
        self.sets[self.sets_len] = wish;
        self.sets_len += 1;
        true
    }

    /// One more entry of a fixed mix, of which there is room for one more.
    pub(super) fn add_fixed(&mut self, entry: Entry) {
        self.fixed[self.fixed_len] = entry;
        self.fixed_len += 1;
    }

    /// Sets of models that were named.
    pub(super) fn wishes(&self) -> &[Wish] {
        &self.sets[..self.sets_len]
    }

    /// A task of this shape came. `wishes`: whether its models count, too.
    pub(super) fn learn(&mut self, shape: Shape, models: ModelSet, weight: f64, wishes: bool) {
        self.seen += 1;
        if weight <= 0.0 {
            return;
        }
        self.count(shape, weight);
        if wishes && shape.count > 0 {
            self.wish(shape.gpu_milli(), models, weight);
        }
    }

    fn set_shape(&mut self, at: usize, shape: Shape, weight: f64) {
        (self.shapes[at], self.words[at]) = ((shape, weight), shape.word());
    }

    fn count(&mut self, shape: Shape, weight: f64) {
        let word = shape.word();
        if let Some(at) = self.words[..self.shapes_len].iter().position(|own| *own == word) {
            self.shapes[at].1 += weight;
        } else if self.shapes_len < SHAPES_MAX {
            self.set_shape(self.shapes_len, shape, weight);
            self.shapes_len += 1;
        } else {
            let by_weight =
                |at: &usize, other: &usize| self.shapes[*at].1.total_cmp(&self.shapes[*other].1);
            let least = (0..SHAPES_MAX).min_by(by_weight).unwrap_or(0);
            self.set_shape(least, shape, self.shapes[least].1 + weight);
        }
    }

    fn wish(&mut self, gpu_milli: u32, models: ModelSet, weight: f64) {
        let known = &mut self.sets[..self.sets_len];
        let at = if let Some(at) = known.iter().position(|own| own.models == models) {
            at
        } else if self.sets_len < SETS_MAX {
            // What stood there was of a mix that counts no more.
            self.sets[self.sets_len] = Wish::NONE;
            self.sets_len += 1;
            self.sets_len - 1
        } else {
            let by_weight = |at: &usize, other: &usize| {
                self.sets[*at].weight.total_cmp(&self.sets[*other].weight)
            };
            let least = (0..SETS_MAX).min_by(by_weight).unwrap_or(0);
            self.sets[least] = Wish::NONE;
            least
        };
        let demand = f64::from(gpu_milli);
        let own = &mut self.sets[at];
        own.models = models;
        own.count += 1.0;
        own.weight += weight;
        own.demand += weight * demand;
        own.squares += weight * demand * demand;
    }

    /// From now on the mix is this one; empty: it is learned again. At most [`ENTRIES_MAX`].
    pub(super) fn fix(&mut self, entries: impl Iterator<Item = Entry>) {
        self.fixed_len = 0;
        self.sets_len = 0;
        for entry in entries.take(ENTRIES_MAX) {
            self.fixed[self.fixed_len] = entry;
            self.fixed_len += 1;
            if entry.shape.count > 0 {
                self.wish(entry.shape.gpu_milli(), entry.models, entry.weight.into());
            }
        }
        // An exact mix has no error of learning.
        self.sets.iter_mut().for_each(|own| own.count = f64::INFINITY);
    }

    /// Writes down the mix as it is now.
    pub(super) fn freeze(&self, slots: &Slots, out: &mut Frozen) {
        if self.is_fixed() {
            out.clear(f64::INFINITY);
            for entry in &self.fixed[..self.fixed_len] {
                let allowed = slots.allowed(entry.shape, entry.models);
                let on = |slot: usize| if allowed >> slot & 1 == 1 { entry.weight } else { 0 };
                out.add(entry.shape, entry.weight, core::array::from_fn(on));
            }
            return;
        }
        out.clear(self.seen as f64);
        let known = &self.shapes[..self.shapes_len];
        let total: f64 = known.iter().map(|(_, weight)| weight).sum();
        let named: f64 = self.wishes().iter().map(|own| own.weight).sum();
        let mut with = [0; SETS_MAX];
        with.iter_mut().zip(self.wishes()).for_each(|(with, own)| *with = slots.with(own.models));
        let share = |slot: usize| {
            let own = self.wishes().iter().zip(with).filter(|(_, with)| with >> slot & 1 == 1);
            let open: f64 = own.map(|(own, _)| own.weight).sum();
            if named > 0.0 { open / named } else { 1.0 }
        };
        let shares: [f64; SLOTS_MAX] = core::array::from_fn(share);
        for (shape, weight) in known {
            let part = weight / total * WHOLE;
            let allowed = slots.allowed(*shape, ModelSet::ANY);
            let on = |slot: usize| match shape.count {
                0 => nearest(part),
                _ if allowed >> slot & 1 == 0 => 0,
                _ => nearest(part * shares[slot]),
            };
            // Each shape is counted once.
            out.push(*shape, nearest(part), core::array::from_fn(on));
        }
    }
}

/// The nearest whole number to one that is not negative.
fn nearest(real: f64) -> u32 {
    (real + 0.5) as u32
}

#[cfg(test)]
mod tests;
