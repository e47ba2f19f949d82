//! What could a node still earn from the task mix? The default measure.
//!
//! # What it decides
//! How many thousandths of devices the mix can no longer use once a task stands on a node, those
//! that the task takes included: the least loses least.
//!
//! # Formula
//! ```text
//! cost    = V(before) - V(after)                       down to whole 100 milli-GPU
//! V       = Psi(cpu, sum over devices of u(free)) + sum over gangs of n devices of price_n * places_n
//! u(r)    = sum_{m <= r} p (m + u(r - m)) / (0.1 P1 + sum_{m <= r} p)     shapes of one device
//! Psi(c,i)= sum_{cpu <= c} p [m <= i ? m + Psi(c - cpu, i - m) : i] / (0.02 P + sum_{cpu <= c} p)
//! ```
//! `p` is how often a shape comes that may run on the model, `m` what it takes of devices, `P1` and
//! `P` sum it up over shapes of one device and over all. `u` is what of a device's remainder will be
//! used if shapes come one after the other and none does with the hazard 0.1; Psi is the same for a
//! node on which CPU runs out, too. Gangs: see `gangs`.
//!
//! `u` is known for every 10 milli-GPU, Psi for 17 amounts of CPU and every whole device, with
//! straight lines between them; a finer grid of Psi allocates no more. Both hazards are flat over a
//! decade.
//!
//! # Bounds and cost
//! A price takes O(1) lookups for each distinct remainder of the node. Tables: O(grid * shapes).
//!
//! # What it is bad at
//! A device's remainders are summed up before CPU is looked at, and nothing is known of which node
//! the next task will choose. Before anything was learned all nodes are alike. A node with devices
//! of several models is valued by that of the first.
//!
//! # Source
//! Our own; derivation, sensitivity and hold-outs: `docs/policies/stranding.md`.

use alloc::boxed::Box;
use alloc::vec;

use super::gangs::Gangs;
use super::mix::{Frozen, SHAPES_MAX, Weighted};
use super::models::{Lanes, SLOTS_MAX};
use super::shape::{DEVICES_MAX, Move, Portion, Prices, Shape, Sight};
use crate::fleet::device::WHOLE_MILLI;

/// Chance that no further task looks at a device, over that of one that could use it.
const HAZARD_DEVICE: f32 = 0.1;

/// The same for a node.
const HAZARD_NODE: f32 = 0.02;

/// Costs are whole multiples of this, and the rest is left to ties: finer ones follow noise.
const UNIT_MILLI: u32 = 100;

/// One device, in the unit that prices are looked up in: whole numbers, so that what is least is
/// the same in whatever order it is looked for.
pub(super) const DEVICE: i64 = 1 << DEVICE_BITS;

const DEVICE_BITS: u32 = 16;

/// Units in a device.
const UNITS: i64 = (WHOLE_MILLI as u32 / UNIT_MILLI) as i64;

/// Units that nothing costs, so that no cost is below zero: an upper bound of what a node can be
/// worth. Each of 16 devices at most 1,000, and as much again for each size of gang.
const BIAS: i64 = 3_000;

const _: () = assert!(BIAS as usize > DEVICES_MAX * DEVICES_MAX * UNITS as usize);

/// Parts of the way from one amount of CPU of which Psi is known to the next, as a power of two.
const PART_BITS: u32 = 10;

/// What amounts of CPU are multiplied with has so many bits behind the point.
const SCALE_BITS: u32 = 20;

/// Between two remainders of which `u` is known.
const FILL_STEP: u16 = 10;

const FILL_LEN: usize = (WHOLE_MILLI / FILL_STEP) as usize + 1;

/// Amounts of CPU for which Psi is known: 0 to that of the largest node, and one past it.
const CPU_LEN: usize = 18;

/// Tables for one mix.
#[derive(Debug)]
pub(super) struct Tables {
    /// `u`, and one past it.
    fill: Box<[Lanes]>,
    /// Psi, for each amount of CPU all numbers of devices.
    psi: Box<[Lanes]>,
    /// The same in [`DEVICE`]s, by slot: what prices are looked up in. Neither falls where more
    /// devices are left.
    fill_worth: Box<[i32]>,
    psi_worth: Box<[i32]>,
    /// Numbers of devices for which Psi is known.
    devices_len: usize,
    /// How far each shape of the mix goes back in Psi.
    back: Box<[Back]>,
    /// Parts of the way between them for each thousandth of a core, with [`SCALE_BITS`].
    cpu_scale: u64,
    /// Weights of the shapes of the mix.
    weights: Box<[Lanes]>,
    /// Their sum, over shapes of one device and over all.
    singles: Lanes,
    all: Lanes,
    pub(super) gangs: Gangs,
}

impl Tables {
    pub(super) fn new(devices_per_node_max: u32) -> Self {
        let devices_len = devices_per_node_max as usize + 2;
        Self {
            fill: vec![[0.0; SLOTS_MAX]; FILL_LEN + 1].into_boxed_slice(),
            psi: vec![[0.0; SLOTS_MAX]; CPU_LEN * devices_len].into_boxed_slice(),
            fill_worth: vec![0; SLOTS_MAX * (FILL_LEN + 1)].into_boxed_slice(),
            psi_worth: vec![0; SLOTS_MAX * CPU_LEN * devices_len].into_boxed_slice(),
            devices_len,
            back: vec![Back::default(); SHAPES_MAX].into_boxed_slice(),
            cpu_scale: 0,
            weights: vec![[0.0; SLOTS_MAX]; SHAPES_MAX].into_boxed_slice(),
            singles: [0.0; SLOTS_MAX],
            all: [0.0; SLOTS_MAX],
            gangs: Gangs::NONE,
        }
    }

    pub(super) const fn bytes_needed(devices_per_node_max: u32) -> u64 {
        let known = FILL_LEN + 1 + CPU_LEN * (devices_per_node_max as usize + 2);
        let worth = known * SLOTS_MAX * size_of::<i32>();
        let shapes = SHAPES_MAX * (size_of::<Lanes>() + size_of::<Back>());
        (known * size_of::<Lanes>() + shapes + worth) as u64
    }

    /// Steps of [`Tables::step`] until the tables are complete.
    pub(super) const fn steps(&self) -> u32 {
        (FILL_LEN + self.psi.len()) as u32
    }

    /// Before the first step: the largest node has so much CPU. O(shapes).
    pub(super) fn begin(&mut self, mix: &Frozen, cpu_max_milli: u32) {
        (self.singles, self.all) = ([0.0; SLOTS_MAX], [0.0; SLOTS_MAX]);
        let step = cpu_max_milli.div_ceil(CPU_LEN as u32 - 2).max(1);
        self.cpu_scale = (1_u64 << (PART_BITS + SCALE_BITS)).div_ceil(u64::from(step));
        for ((own, weights), back) in mix.shapes().iter().zip(&mut self.weights).zip(&mut self.back)
        {
            *back = Back::of(own.shape, step);
            *weights = own.by_slot.map(|weight| weight as f32);
            add(&mut self.all, weights);
            if own.shape.count == 1 {
                add(&mut self.singles, weights);
            }
        }
    }

    /// Works out one entry. O(shapes).
    pub(super) fn step(&mut self, at: u32, mix: &Frozen) {
        let at = at as usize;
        match at.checked_sub(FILL_LEN) {
            None => self.fill_at(at, mix.shapes()),
            Some(at) => self.psi_at(at / self.devices_len, at % self.devices_len, mix.shapes()),
        }
    }

    fn fill_at(&mut self, at: usize, shapes: &[Weighted]) {
        let left_milli = at as u16 * FILL_STEP;
        let mut sums = Sums::default();
        for (own, weights) in shapes.iter().zip(&self.weights) {
            let Shape { count, milli, .. } = own.shape;
            if count != 1 || milli > left_milli {
                continue;
            }
            let rest = f32::from(left_milli - milli) / f32::from(FILL_STEP);
            let low = (rest as usize).min(at);
            let part = rest - low as f32;
            let mut value = [0.0; SLOTS_MAX];
            // Of a step smaller than the grid a part falls on the entry itself.
            let own = add_point(&mut value, &self.fill, low, at, 1.0 - part)
                + add_point(&mut value, &self.fill, low + 1, at, part);
            sums.uses(weights, f32::from(milli), &value, own);
        }
        let value = sums.value(HAZARD_DEVICE, &self.singles);
        self.fill[at] = value;
        let last = at + 1 == FILL_LEN;
        if last {
            self.fill[FILL_LEN] = value;
        }
        for (slot, value) in value.into_iter().enumerate() {
            let worth = &mut self.fill_worth[slot * (FILL_LEN + 1)..][..=FILL_LEN];
            worth[at] = in_devices(value);
            if last {
                worth[FILL_LEN] = worth[at];
            }
        }
    }

    fn psi_at(&mut self, cpu: usize, devices: usize, shapes: &[Weighted]) {
        let (at, idle) = (cpu * self.devices_len + devices, (devices as u32 * 1_000) as f32);
        let mut sums = Sums::default();
        for ((own, weights), back) in shapes.iter().zip(&self.weights).zip(&self.back) {
            if back.cpu > cpu {
                continue;
            }
            if back.devices > devices {
                sums.uses(weights, idle, &[0.0; SLOTS_MAX], 0.0);
                continue;
            }
            let corner = (cpu - back.cpu) * self.devices_len + devices - back.devices;
            let above = corner + self.devices_len;
            let mut value = [0.0; SLOTS_MAX];
            let mut part = 0.0;
            for (point, weight) in
                [corner, corner + 1, above, above + 1].into_iter().zip(back.parts)
            {
                part += add_point(&mut value, &self.psi, point, at, weight);
            }
            sums.uses(weights, own.shape.gpu_milli() as f32, &value, part);
        }
        self.psi[at] = sums.value(HAZARD_NODE, &self.all);
        for (slot, value) in self.psi[at].into_iter().enumerate() {
            let at = slot * self.psi.len() + at;
            let fewer = if devices == 0 { 0 } else { self.psi_worth[at - 1] };
            self.psi_worth[at] = in_devices(value).max(fewer);
        }
    }

    /// What of a remainder will be used, in [`DEVICE`]s.
    fn fill(&self, slot: u8, milli: u16) -> i64 {
        let at = usize::from(milli / FILL_STEP).min(FILL_LEN - 1);
        let worth = &self.fill_worth[usize::from(slot) * (FILL_LEN + 1) + at..][..2];
        let (low, high) = (i64::from(worth[0]), i64::from(worth[1]));
        low + (high - low) * i64::from(milli % FILL_STEP) / i64::from(FILL_STEP)
    }
}

/// From an entry of Psi to those between which a node is when it has taken a shape.
#[derive(Clone, Copy, Debug, Default)]
struct Back {
    /// Amounts of CPU and devices back to the lower ones.
    cpu: usize,
    devices: usize,
    /// How much each of the four counts: the lower one, that with one device more, and both with
    /// the next amount of CPU.
    parts: [f32; 4],
}

impl Back {
    fn of(shape: Shape, cpu_step: u32) -> Self {
        let (cpu, devices) =
            (shape.cpu_milli.div_ceil(cpu_step), shape.gpu_milli().div_ceil(1_000));
        let x = (cpu * cpu_step - shape.cpu_milli) as f32 / cpu_step as f32;
        let y = (devices * 1_000 - shape.gpu_milli()) as f32 / 1_000.0;
        let parts = [(1.0 - x) * (1.0 - y), (1.0 - x) * y, x * (1.0 - y), x * y];
        Self { cpu: cpu as usize, devices: devices as usize, parts }
    }
}

/// Thousandths of devices, in [`DEVICE`]s.
fn in_devices(milli: f32) -> i32 {
    (milli * (DEVICE as f32 / f32::from(WHOLE_MILLI)) + 0.5) as i32
}

/// Adds a part of a known entry to a value; of the entry that is being worked out the part itself.
fn add_point(value: &mut Lanes, known: &[Lanes], point: usize, own: usize, weight: f32) -> f32 {
    if weight == 0.0 {
        return 0.0;
    }
    if point == own {
        return weight;
    }
    for (sum, known) in value.iter_mut().zip(&known[point]) {
        *sum += weight * known;
    }
    0.0
}

/// Sums over shapes, for each slot of models.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    up: Lanes,
    down: Lanes,
}

impl Sums {
    /// A shape uses so much, and leaves so much of value, of which a part is the sum's own.
    fn uses(&mut self, weights: &Lanes, milli: f32, value: &Lanes, own: f32) {
        for (slot, weight) in weights.iter().enumerate() {
            self.up[slot] += weight * (milli + value[slot]);
            self.down[slot] += weight * (1.0 - own);
        }
    }

    /// What is used before none comes, where so much comes in all.
    fn value(&self, hazard: f32, all: &Lanes) -> Lanes {
        core::array::from_fn(|slot| {
            let down = self.down[slot] + hazard * all[slot];
            if down > 0.0 { self.up[slot] / down } else { 0.0 }
        })
    }
}

fn add(sum: &mut Lanes, more: &Lanes) {
    sum.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
}

/// A node, as its prices need it.
pub(super) struct ValueOf<'a> {
    tables: &'a Tables,
    sight: &'a Sight,
    /// `u` of what is left of devices.
    left: [i64; DEVICES_MAX],
    /// Its sum over devices.
    idle: i64,
    before: i64,
}

impl<'a> ValueOf<'a> {
    pub(super) fn new(tables: &'a Tables, sight: &'a Sight) -> Self {
        let mut idle = 0;
        let mut known = [0; DEVICES_MAX];
        for (left, known) in sight.left().iter().zip(&mut known) {
            *known = tables.fill(left.slot, left.milli);
            idle += i64::from(left.count) * *known;
        }
        let mut node = Self { tables, sight, left: known, idle, before: 0 };
        let level = node.with_cpu_left(sight.cpu_milli);
        node.before =
            level.psi(node.spot(idle)) + tables.gangs.value(sight.whole, sight.cpu_milli).0;
        node
    }

    /// Where Psi is looked up if so much of devices will be used.
    fn spot(&self, idle: i64) -> Spot {
        let column = (idle >> DEVICE_BITS).clamp(0, i64::from(self.tables.devices_len as u32) - 2);
        Spot { column: column as u32, part: (idle - (column << DEVICE_BITS)).max(0) as u32 }
    }

    /// The cost where the node is worth so much afterwards.
    fn steps_to(&self, after: i64) -> i16 {
        ((((self.before - after) * UNITS) >> DEVICE_BITS) + BIAS) as i16
    }

    /// What places for gangs are worth with so many whole devices left.
    fn places(&self, level: &mut Level<'_>, whole: u8) -> i64 {
        let known = &mut level.places[usize::from(whole)];
        if level.cpu_milli < known.1 {
            *known = self.tables.gangs.value(whole, level.cpu_milli);
        }
        known.0
    }
}

/// What of a node's devices will be used: the numbers between which it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spot {
    column: u32,
    part: u32,
}

/// What is taken of devices: where most is left without a whole one, and with whole ones.
#[derive(Clone, Copy, Debug)]
pub(super) struct Taken {
    parts: Option<Spot>,
    whole: Option<Spot>,
    /// Whole devices that are left then.
    whole_left: u8,
}

impl<'a> Prices for ValueOf<'a> {
    type Level = Level<'a>;
    type Taken = Taken;

    fn with_cpu_left(&self, cpu_milli: u32) -> Level<'a> {
        let places = [(0, u32::MAX); DEVICES_MAX + 1];
        let mut level = Level { places, low: &[], high: &[], part: 0, cpu_milli };
        self.lower(&mut level, cpu_milli);
        level
    }

    fn lower(&self, level: &mut Level<'a>, cpu_milli: u32) {
        let Tables { devices_len: len, psi_worth, cpu_scale, .. } = self.tables;
        let x = (u64::from(cpu_milli) * cpu_scale) >> SCALE_BITS;
        let row = ((x >> PART_BITS) as usize).min(CPU_LEN - 2);
        let begin = (usize::from(self.sight.slot) * CPU_LEN + row) * len;
        (level.low, level.high) = psi_worth[begin..][..2 * len].split_at(*len);
        level.part = (x - ((row as u64) << PART_BITS)).min(1 << PART_BITS).cast_signed();
        level.cpu_milli = cpu_milli;
    }

    fn taken(&self, portion: Portion) -> Taken {
        let Self { tables, sight, idle, .. } = self;
        let mut taken = Taken { parts: None, whole: None, whole_left: sight.whole };
        if !portion.is_share() {
            let used = i64::from(portion.count) * tables.fill(sight.slot, WHOLE_MILLI);
            taken.whole = Some(self.spot(idle - used));
            taken.whole_left -= portion.count;
            return taken;
        }
        let mut most = None;
        for (left, own) in sight.left().iter().zip(self.left) {
            let Some(to_milli) = left.milli.checked_sub(portion.milli) else { continue };
            let idle = idle + tables.fill(left.slot, to_milli) - own;
            if left.milli == WHOLE_MILLI {
                taken.whole = Some(self.spot(idle));
                taken.whole_left -= 1;
            } else {
                most = most.max(Some(idle));
            }
        }
        taken.parts = most.map(|idle| self.spot(idle));
        taken
    }

    #[inline]
    fn steps_of(&self, level: &mut Level<'a>, taken: &Taken) -> i16 {
        let mut most = i64::MIN;
        if let Some(spot) = taken.parts {
            most = level.psi(spot) + self.places(level, self.sight.whole);
        }
        if let Some(spot) = taken.whole {
            most = most.max(level.psi(spot) + self.places(level, taken.whole_left));
        }
        self.steps_to(most)
    }

    fn steps(&self, level: &Level<'a>, moves: &[Move]) -> i16 {
        let (mut idle, mut whole) = (self.idle, self.sight.whole);
        for taken in moves {
            let Move { slot, count, from_milli, to_milli } = *taken;
            let change = self.tables.fill(slot, to_milli) - self.tables.fill(slot, from_milli);
            idle += i64::from(count) * change;
            whole -= if from_milli == WHOLE_MILLI { count } else { 0 };
        }
        let places = self.tables.gangs.value(whole, level.cpu_milli).0;
        self.steps_to(level.psi(self.spot(idle)) + places)
    }

    fn milli(steps: i16) -> i64 {
        (i64::from(steps) - BIAS) * i64::from(UNIT_MILLI)
    }
}

/// A node with some CPU left.
pub(super) struct Level<'a> {
    /// What places for gangs are worth by whole devices left, and down to how much CPU.
    places: [(i64, u32); DEVICES_MAX + 1],
    /// Psi for the amounts of CPU below and above.
    low: &'a [i32],
    high: &'a [i32],
    part: i64,
    cpu_milli: u32,
}

impl Level<'_> {
    /// Does not fall where more is left: what is cut off is cut off downwards everywhere.
    fn psi(&self, Spot { column, part }: Spot) -> i64 {
        let (column, part) = (column as usize, i64::from(part));
        let of = |line: &[i32]| {
            let (left, right) = (i64::from(line[column]), i64::from(line[column + 1]));
            left + (((right - left) * part) >> DEVICE_BITS)
        };
        let (low, high) = (of(self.low), of(self.high));
        low + (((high - low) * self.part) >> PART_BITS)
    }
}

#[cfg(test)]
mod tests;
