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
use super::shape::{BIAS_MILLI, DEVICES_MAX, Move, Prices, Shape, Sight};
use crate::fleet::device::WHOLE_MILLI;

/// Chance that no further task looks at a device, over that of one that could use it.
const HAZARD_DEVICE: f32 = 0.1;

/// The same for a node.
const HAZARD_NODE: f32 = 0.02;

/// Costs are whole multiples of this, and the rest is left to ties: finer ones follow noise.
pub(super) const UNIT_MILLI: u32 = 100;

const _: () = assert!(BIAS_MILLI.is_multiple_of(UNIT_MILLI));

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
    /// Numbers of devices for which Psi is known.
    devices_len: usize,
    /// Between two amounts of CPU, in thousandths of a core.
    cpu_step: f32,
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
            devices_len,
            cpu_step: 1.0,
            weights: vec![[0.0; SLOTS_MAX]; SHAPES_MAX].into_boxed_slice(),
            singles: [0.0; SLOTS_MAX],
            all: [0.0; SLOTS_MAX],
            gangs: Gangs::NONE,
        }
    }

    pub(super) const fn bytes_needed(devices_per_node_max: u32) -> u64 {
        let lanes = FILL_LEN + 1 + CPU_LEN * (devices_per_node_max as usize + 2) + SHAPES_MAX;
        (lanes * size_of::<Lanes>()) as u64
    }

    /// Steps of [`Tables::step`] until the tables are complete.
    pub(super) const fn steps(&self) -> u32 {
        (FILL_LEN + self.psi.len()) as u32
    }

    /// Before the first step: the largest node has so much CPU. O(shapes).
    pub(super) fn begin(&mut self, mix: &Frozen, cpu_max_milli: u32) {
        (self.singles, self.all) = ([0.0; SLOTS_MAX], [0.0; SLOTS_MAX]);
        for (own, weights) in mix.shapes().iter().zip(&mut self.weights) {
            *weights = own.by_slot.map(|weight| weight as f32);
            add(&mut self.all, weights);
            if own.shape.count == 1 {
                add(&mut self.singles, weights);
            }
        }
        self.cpu_step = cpu_max_milli.div_ceil(CPU_LEN as u32 - 2).max(1) as f32;
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
        if at + 1 == FILL_LEN {
            self.fill[FILL_LEN] = value;
        }
    }

    fn psi_at(&mut self, cpu: usize, devices: usize, shapes: &[Weighted]) {
        let (at, idle) = (cpu * self.devices_len + devices, (devices as u32 * 1_000) as f32);
        let mut sums = Sums::default();
        for (Weighted { shape, .. }, weights) in shapes.iter().zip(&self.weights) {
            let x = cpu as f32 - shape.cpu_milli as f32 / self.cpu_step;
            if x < 0.0 {
                continue;
            }
            let milli = shape.gpu_milli() as f32;
            if milli > idle {
                sums.uses(weights, idle, &[0.0; SLOTS_MAX], 0.0);
                continue;
            }
            let y = (idle - milli) / 1_000.0;
            let (row, column) = (x as usize, y as usize);
            let (x, y) = (x - row as f32, y - column as f32);
            let corner = row * self.devices_len + column;
            let mut value = [0.0; SLOTS_MAX];
            let mut own = 0.0;
            for (point, weight) in [
                (corner, (1.0 - x) * (1.0 - y)),
                (corner + 1, (1.0 - x) * y),
                (corner + self.devices_len, x * (1.0 - y)),
                (corner + self.devices_len + 1, x * y),
            ] {
                own += add_point(&mut value, &self.psi, point, at, weight);
            }
            sums.uses(weights, milli, &value, own);
        }
        self.psi[at] = sums.value(HAZARD_NODE, &self.all);
    }

    /// What of a remainder will be used.
    fn fill(&self, slot: u8, milli: u16) -> f32 {
        let at = usize::from(milli / FILL_STEP).min(FILL_LEN - 1);
        let part = f32::from(milli % FILL_STEP) / f32::from(FILL_STEP);
        let (low, high) = (self.fill[at][usize::from(slot)], self.fill[at + 1][usize::from(slot)]);
        low + (high - low) * part
    }
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
    left: [f32; DEVICES_MAX],
    /// Its sum over devices.
    idle: f32,
    before: f32,
}

impl<'a> ValueOf<'a> {
    pub(super) fn new(tables: &'a Tables, sight: &'a Sight) -> Self {
        let mut idle = 0.0;
        let mut known = [0.0; DEVICES_MAX];
        for (left, known) in sight.left().iter().zip(&mut known) {
            *known = tables.fill(left.slot, left.milli);
            idle += f32::from(left.count) * *known;
        }
        let mut node = Self { tables, sight, left: known, idle, before: 0.0 };
        let line = node.with_cpu_left(sight.cpu_milli);
        node.before = line.at(idle) + line.places;
        node
    }
}

impl<'a> Prices for ValueOf<'a> {
    type Level = Line<'a>;

    fn with_cpu_left(&self, cpu_milli: u32) -> Line<'a> {
        let (len, psi) = (self.tables.devices_len, &self.tables.psi);
        let x = cpu_milli as f32 / self.tables.cpu_step;
        let row = (x as usize).min(CPU_LEN - 2);
        let places = self.tables.gangs.value(self.sight.whole, cpu_milli);
        Line {
            places,
            low: &psi[row * len..][..len],
            high: &psi[(row + 1) * len..][..len],
            part: (x - row as f32).min(1.0),
            slot: usize::from(self.sight.slot),
            cpu_milli,
        }
    }

    fn cost(&self, level: &Line<'a>, moves: &[Move]) -> u32 {
        let (mut idle, mut whole) = (self.idle, self.sight.whole);
        for taken in moves {
            let Move { slot, count, from_milli, to_milli } = *taken;
            let change = self.tables.fill(slot, to_milli) - self.tables.fill(slot, from_milli);
            idle += f32::from(count) * change;
            whole -= if from_milli == WHOLE_MILLI { count } else { 0 };
        }
        self.lost(level, idle, whole)
    }

    fn cost_of_share(&self, level: &Line<'a>, left: usize, to_milli: u16) -> u32 {
        let own = self.sight.left()[left];
        let idle = self.idle + (self.tables.fill(own.slot, to_milli) - self.left[left]);
        self.lost(level, idle, self.sight.whole - u8::from(own.milli == WHOLE_MILLI))
    }
}

impl ValueOf<'_> {
    /// The cost where so much is left, and so many whole devices.
    fn lost(&self, level: &Line<'_>, idle: f32, whole: u8) -> u32 {
        let as_before = whole == self.sight.whole;
        let places =
            if as_before { level.places } else { self.tables.gangs.value(whole, level.cpu_milli) };
        let after = level.at(idle) + places;
        let units = (self.before - after) / UNIT_MILLI as f32 + (BIAS_MILLI / UNIT_MILLI) as f32;
        units as u32 * UNIT_MILLI
    }
}

/// Psi for one amount of CPU.
pub(super) struct Line<'a> {
    /// What the places for gangs are worth if no whole device is taken.
    places: f32,
    low: &'a [Lanes],
    high: &'a [Lanes],
    part: f32,
    slot: usize,
    cpu_milli: u32,
}

impl Line<'_> {
    fn at(&self, idle: f32) -> f32 {
        let y = (idle / 1_000.0).max(0.0);
        let column = (y as usize).min(self.low.len() - 2);
        let part = y - column as f32;
        let of = |row: &[Lanes]| {
            let (left, right) = (row[column][self.slot], row[column + 1][self.slot]);
            left + (right - left) * part
        };
        let (low, high) = (of(self.low), of(self.high));
        low + (high - low) * self.part
    }
}

#[cfg(test)]
mod tests;
