//! Fragmentation gradient descent: how much more of a node can the typical task not use?
//!
//! # What it decides
//! The cost of a placement is by how much it raises the node's fragmentation, as its authors round
//! it; with all other prices at 0 and a fixed mix it is their scheduler.
//!
//! # Formula
//! The fragment of a shape on a node is all that is idle, if the shape asks for no device, may not
//! run on the model or does not fit; otherwise the remainders below what it asks of one device. Over
//! the mix, for one model with `c` CPU and `full` whole devices free:
//!
//! ```text
//! F     = sum over devices of r (N - G[c][r]) - 1000 full W[c][full]
//! score = floor(100 sigmoid((F before - F after) / 1000 N))            0 to 99
//! cost  = -1000 ln((score + 0.5) / (99.5 - score))                      in the middle of the step
//! ```
//! `N` is the weight of the mix, `G` that of shapes of one device with at most `c` CPU and `r`
//! milli-GPU, `W` that of shapes of up to `full` whole devices, two at least. All of it is exact.
//!
//! # Bounds and cost
//! A price is O(devices); the tables O(shapes^2) for each model.
//!
//! # What it is bad at
//! A fragment is counted in full or not at all, whether the shapes that could use it come often
//! enough before the node fills up or not; and models that are scarce are not kept. Shares of several
//! devices and partitions are not part of the mix.
//!
//! # Source
//! Weng et al., "Beware of Fragmentation" (ATC'23), sections 4 and 5; the rounding is that of its
//! simulator.

use alloc::boxed::Box;
use alloc::vec;

use super::mix::{Frozen, SHAPES_MAX};
use super::models::SLOTS_MAX;
use super::shape::{DEVICES_MAX, Move, Portion, Prices, Sight};
use crate::fleet::device::WHOLE_MILLI;

/// Scores are below this.
const SCORES: usize = 100;

/// A cost of no steps, below zero: costs reach 5,294 either way.
const LEAST_MILLI: i16 = 10_000;

/// A decrease falls into one of so many guesses before its score is looked for. Beyond 5.12
/// devices either way all decreases score the same.
const GUESSES: usize = 1 << GUESS_BITS;

const GUESS_BITS: u32 = 10;

const GUESS_LAST: i64 = (1 << GUESS_BITS) - 1;

/// That of no decrease at all.
const GUESS_MIDDLE: i64 = 1 << (GUESS_BITS - 1);

const GUESSES_PER_DEVICE: i64 = 100;

/// What decreases are multiplied with has so many bits behind the point.
const GUESS_SCALE_BITS: u32 = 48;

/// Amounts of which a shape asks for one, and less than the least of them.
const LEVELS_MAX: usize = SHAPES_MAX + 1;

/// Numbers of whole devices that may be free.
const COUNTS: usize = DEVICES_MAX + 1;

/// Tables for one mix.
#[derive(Debug)]
pub(super) struct Tables {
    /// Amounts of CPU that are asked for, ascending.
    cpu_milli: [u32; SHAPES_MAX],
    cpu_len: usize,
    /// How many of the amounts asked of one device are at most so many thousandths.
    level_of: Box<[u8]>,
    milli_len: usize,
    /// `G` by slot, level of CPU, level of thousandths.
    single: Box<[u32]>,
    /// `W` by slot, level of CPU, number of devices.
    several: Box<[u32]>,
    total: i64,
    /// Least decrease of `F` for a score of 1, 2 and so on; nothing scores more than the last.
    steps: [i64; SCORES],
    /// The same, over what a device is fragmented by in full: whatever the mix.
    log_odds: [f64; SCORES - 1],
    /// Of each guess a score that none of its decreases is below.
    guesses: Box<[u8]>,
    /// Guesses for each unit of decrease, with [`GUESS_SCALE_BITS`].
    guess_scale: i64,
    /// Cost of each score, in thousandths of devices above the least that can be said.
    costs: [i16; SCORES],
}

impl Tables {
    pub(super) fn new() -> Self {
        let rows = SLOTS_MAX * LEVELS_MAX;
        let cost = |score: usize| {
            let odds = (score as f64 + 0.5) / (SCORES as f64 - 0.5 - score as f64);
            (f64::from(LEAST_MILLI) + 0.5 - f64::from(WHOLE_MILLI) * libm::log(odds)) as i16
        };
        Self {
            cpu_milli: [0; SHAPES_MAX],
            cpu_len: 0,
            level_of: vec![0; usize::from(WHOLE_MILLI) + 1].into_boxed_slice(),
            milli_len: 0,
            single: vec![0; rows * LEVELS_MAX].into_boxed_slice(),
            several: vec![0; rows * COUNTS].into_boxed_slice(),
            total: 0,
            steps: [i64::MAX; SCORES],
            log_odds: core::array::from_fn(|at| {
                let score = at as f64 + 1.0;
                libm::log(score / (SCORES as f64 - score))
            }),
            guesses: (0..GUESSES).map(least_score).collect(),
            guess_scale: 0,
            costs: core::array::from_fn(cost),
        }
    }

    pub(super) const fn bytes_needed() -> u64 {
        let words = SLOTS_MAX * LEVELS_MAX * (LEVELS_MAX + COUNTS);
        (words * size_of::<u32>() + GUESSES) as u64 + WHOLE_MILLI as u64 + 1
    }

    /// Steps of [`Tables::step`] until the tables are complete.
    pub(super) const fn steps(&self) -> u32 {
        (SLOTS_MAX * (self.cpu_len + 1)) as u32
    }

    /// Before the first step: which amounts there are. O(shapes log shapes).
    pub(super) fn begin(&mut self, mix: &Frozen) {
        let mut milli = [0; SHAPES_MAX];
        for (at, own) in mix.shapes().iter().enumerate() {
            self.cpu_milli[at] = own.shape.cpu_milli;
            milli[at] = if own.shape.count == 1 { own.shape.milli } else { WHOLE_MILLI };
        }
        let len = mix.shapes().len();
        self.cpu_len = sort_once(&mut self.cpu_milli[..len]);
        self.milli_len = sort_once(&mut milli[..len]);
        let (mut level, mut from) = (0, 0);
        for amount in &milli[..self.milli_len] {
            self.level_of[from..usize::from(*amount)].fill(level);
            (level, from) = (level + 1, usize::from(*amount));
        }
        self.level_of[from..].fill(level);
        self.total = mix.total.cast_signed();
        let unit = i64::from(WHOLE_MILLI) * self.total.max(1);
        self.guess_scale = (GUESSES_PER_DEVICE << GUESS_SCALE_BITS) / unit;
        for (step, log_odds) in self.steps.iter_mut().zip(self.log_odds) {
            *step = libm::ceil(f64::from(WHOLE_MILLI) * mix.total as f64 * log_odds) as i64;
        }
    }

    /// Works out one slot for one level of CPU. O(shapes).
    pub(super) fn step(&mut self, at: u32, mix: &Frozen) {
        let (level, slot) = (at as usize / SLOTS_MAX, at as usize % SLOTS_MAX);
        let row = slot * LEVELS_MAX + level;
        let (begin, count_begin) = (row * LEVELS_MAX, row * COUNTS);
        if level == 0 {
            self.single[begin..][..LEVELS_MAX].fill(0);
            self.several[count_begin..][..COUNTS].fill(0);
            return;
        }
        self.single.copy_within(begin - LEVELS_MAX..begin, begin);
        self.several.copy_within(count_begin - COUNTS..count_begin, count_begin);
        let cpu_milli = self.cpu_milli[level - 1];
        for own in mix.shapes().iter().filter(|own| own.shape.cpu_milli == cpu_milli) {
            let (weight, shape) = (own.by_slot[slot], own.shape);
            let from = usize::from(self.level_of[usize::from(shape.milli)]);
            match shape.count {
                0 => continue,
                1 => self.single[begin..][from..=self.milli_len].iter_mut(),
                count => self.several[count_begin..][usize::from(count)..COUNTS].iter_mut(),
            }
            .for_each(|sum| *sum += weight);
        }
    }

    /// How many of the amounts of CPU asked for are at most so much.
    fn cpu_level(&self, cpu_milli: u32) -> usize {
        self.cpu_milli[..self.cpu_len].partition_point(|own| *own <= cpu_milli)
    }

    /// What of one device is fragmented.
    fn remainder(&self, row: usize, milli: u16) -> i64 {
        let open = self.single[row * LEVELS_MAX + usize::from(self.level_of[usize::from(milli)])];
        i64::from(milli) * (self.total - i64::from(open))
    }

    /// The score of a decrease: a few steps from the least that it can be.
    fn score(&self, decrease: i64) -> usize {
        let guess = ((decrease * self.guess_scale) >> GUESS_SCALE_BITS) + GUESS_MIDDLE;
        let mut score = usize::from(self.guesses[guess.clamp(0, GUESS_LAST) as usize]);
        while self.steps[score] <= decrease {
            score += 1;
        }
        score
    }
}

/// The least score of a decrease that is guessed to be this one or the next lower one.
fn least_score(guess: usize) -> u8 {
    let devices = (guess as f64 - 1.0 - GUESSES as f64 / 2.0) / GUESSES_PER_DEVICE as f64;
    if guess == 0 { 0 } else { (SCORES as f64 / (1.0 + libm::exp(-devices))) as u8 }
}

/// Sorts, and keeps each value once; how many there are.
fn sort_once<T: Copy + Ord>(list: &mut [T]) -> usize {
    list.sort_unstable();
    let mut len = 0;
    for at in 0..list.len() {
        if len == 0 || list[len - 1] != list[at] {
            list[len] = list[at];
            len += 1;
        }
    }
    len
}

/// A node, as its prices need it.
pub(super) struct FragmentsOf<'a> {
    tables: &'a Tables,
    sight: &'a Sight,
    /// Of what is left of devices, by which column of the tables it goes.
    levels: [u8; DEVICES_MAX],
    before: i64,
}

impl<'a> FragmentsOf<'a> {
    pub(super) fn new(tables: &'a Tables, sight: &'a Sight) -> Self {
        let mut levels = [0; DEVICES_MAX];
        for (left, level) in sight.left().iter().zip(&mut levels) {
            *level = tables.level_of[usize::from(left.milli)];
        }
        let mut node = Self { tables, sight, levels, before: 0 };
        let level = node.with_cpu_left(sight.cpu_milli);
        node.before = level.devices - level.several;
        node
    }
}

/// A node with some CPU left.
pub(super) struct Level<'a> {
    /// How many of the amounts of CPU asked for are at most what is left.
    cpu: usize,
    /// Of the tables what holds for that, for the slot of the node.
    single: &'a [u32],
    several_of: &'a [u32],
    /// Sum over devices, none of them taken.
    devices: i64,
    /// What of it one of those is that have as much left.
    of_left: [i64; DEVICES_MAX],
    /// What tasks of several devices can use, if no whole one is taken.
    several: i64,
}

impl<'a> FragmentsOf<'a> {
    /// What follows from how many amounts of CPU are at most what is left.
    fn set(&self, level: &mut Level<'a>, cpu: usize) {
        let (tables, sight) = (self.tables, self.sight);
        let row = |slot: u8| usize::from(slot) * LEVELS_MAX + cpu;
        let of_slot = |slot: u8| &tables.single[row(slot) * LEVELS_MAX..][..LEVELS_MAX];
        level.cpu = cpu;
        level.single = of_slot(sight.slot);
        level.several_of = &tables.several[row(sight.slot) * COUNTS..][..COUNTS];
        level.devices = 0;
        for ((left, at), own) in sight.left().iter().zip(self.levels).zip(&mut level.of_left) {
            let single = if left.slot == sight.slot { level.single } else { of_slot(left.slot) };
            let open = single[usize::from(at)];
            *own = i64::from(left.milli) * (tables.total - i64::from(open));
            level.devices += i64::from(left.count) * *own;
        }
        level.several = level.several(sight.whole);
    }
}

impl Level<'_> {
    /// What is not fragmented, for tasks of several devices.
    fn several(&self, whole: u8) -> i64 {
        i64::from(WHOLE_MILLI) * i64::from(whole) * i64::from(self.several_of[usize::from(whole)])
    }
}

impl<'a> Prices for FragmentsOf<'a> {
    type Level = Level<'a>;
    type Taken = Portion;

    fn with_cpu_left(&self, cpu_milli: u32) -> Level<'a> {
        let mut level = Level {
            cpu: 0,
            single: &[],
            several_of: &[],
            devices: 0,
            of_left: [0; DEVICES_MAX],
            several: 0,
        };
        self.set(&mut level, self.tables.cpu_level(cpu_milli));
        level
    }

    fn lower(&self, level: &mut Level<'a>, cpu_milli: u32) {
        let mut cpu = level.cpu;
        while cpu > 0 && self.tables.cpu_milli[cpu - 1] > cpu_milli {
            cpu -= 1;
        }
        if cpu != level.cpu {
            self.set(level, cpu);
        }
    }

    fn taken(&self, portion: Portion) -> Portion {
        portion
    }

    #[inline]
    fn steps_of(&self, level: &mut Level<'a>, taken: &Portion) -> i16 {
        let Self { tables, sight, .. } = self;
        let Portion { count, milli } = *taken;
        let remainder = |milli: u16| {
            let open = level.single[usize::from(tables.level_of[usize::from(milli)])];
            i64::from(milli) * (tables.total - i64::from(open))
        };
        if !taken.is_share() {
            let idle = remainder(WHOLE_MILLI) * i64::from(count);
            return self.cost_of(level.devices - idle - level.several(sight.whole - count));
        }
        // The score only falls with what is left in fragments.
        let mut least = i64::MAX;
        for (left, own) in sight.left().iter().zip(&level.of_left) {
            let Some(to_milli) = left.milli.checked_sub(milli) else { continue };
            let mut change = remainder(to_milli) - own;
            if left.milli == WHOLE_MILLI {
                change += level.several - level.several(sight.whole - 1);
            }
            least = least.min(change);
        }
        self.cost_of(level.devices - level.several + least)
    }

    fn steps(&self, level: &Level<'a>, moves: &[Move]) -> i16 {
        let (mut after, mut whole) = (level.devices, self.sight.whole);
        for taken in moves {
            let Move { slot, count, from_milli, to_milli } = *taken;
            let row = usize::from(slot) * LEVELS_MAX + level.cpu;
            let change =
                self.tables.remainder(row, to_milli) - self.tables.remainder(row, from_milli);
            after += i64::from(count) * change;
            whole -= if from_milli == WHOLE_MILLI { count } else { 0 };
        }
        self.cost_of(after - level.several(whole))
    }

    fn milli(steps: i16) -> i64 {
        i64::from(steps) - i64::from(LEAST_MILLI)
    }
}

impl FragmentsOf<'_> {
    /// The cost where so much is fragmented.
    fn cost_of(&self, after: i64) -> i16 {
        self.tables.costs[self.tables.score(self.before - after)]
    }
}

#[cfg(test)]
mod tests;
