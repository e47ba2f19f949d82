//! What does a device cost for what it is? Tasks that can run nowhere else may want it.
//!
//! # What it decides
//! A price for each device model, which is added to what a placement strands: a task that could run
//! anywhere keeps off devices that others depend on.
//!
//! # Formula
//! Littlewood's rule: what is sold to a task that could go elsewhere is lost to one that cannot, if
//! such a one comes. For a set K of models with `idle_K` free, while as much is asked for in all as
//! is free in all (`idle`), that is for `coming = idle / mean demand` arrivals:
//!
//! ```text
//! x       = demand of a task that names only models of K, else 0,  less  demand * idle_K / idle
//! chance  = P(sum of x over the coming tasks > 0),  normal
//! mean    = coming * E[x]      variance = coming * Var[x] * (1 + coming / seen)
//! price_k = 1 * max over K with k of chance                  per GPU taken
//! ```
//! The last factor of the variance is the error of a mix learned from `seen` arrivals. The factor
//! 1 is Littlewood's; 0.3 and 2 allocate the same (`docs/policies/stranding.md`).
//!
//! # Bounds and cost
//! All sets of up to [`SLOTS_MAX`] models, [`SETS_STEP`] of them with each arrival. A host that
//! tells more models apart has the last ones priced as one.
//!
//! # What it is bad at
//! Sets of models that overlap compete only through K; that CPU runs out on some models first is
//! not seen here.
//!
//! # Source
//! Littlewood 1972 (two fares), in the normal form of Belobaba's EMSR (1989).

use super::mix::{SETS_MAX, TaskMix, Wish};
use super::shape::Shape;
use crate::fleet::device::MODELS_MAX;
use crate::fleet::{DeviceSpec, Fleet, ModelId, ModelSet, Sharing};

/// Models that prices tell apart: a fleet with more has the later ones in the last.
pub(in crate::place) const SLOTS_MAX: usize = 8;

/// Sets of models looked at with each arrival: 254 sets are done within 64 arrivals.
const SETS_STEP: u32 = 4;

/// Arrivals between one round of prices and the next: as measured; every arrival is no better.
const ROUND_ARRIVALS: u64 = 100;

/// A number for each model, one value for each slot.
pub(super) type Lanes = [f32; SLOTS_MAX];

const NO_SLOT: u8 = u8::MAX;

/// Which slot a model has: by first appearance.
#[derive(Debug)]
pub(super) struct Slots {
    of: [u8; MODELS_MAX as usize],
    models: [ModelSet; SLOTS_MAX],
    /// Slots with devices that are given in parts, as bits.
    shared: u8,
    len: u8,
}

impl Slots {
    pub(super) const fn new() -> Self {
        Self {
            of: [NO_SLOT; MODELS_MAX as usize],
            models: [ModelSet::NONE; SLOTS_MAX],
            shared: 0,
            len: 0,
        }
    }

    /// A device was seen. True if it is the first of its kind.
    pub(super) fn see(&mut self, device: &DeviceSpec) -> bool {
        let Some(slot) = self.of.get_mut(usize::from(device.model.0)) else { return false };
        let is_new = *slot == NO_SLOT;
        if is_new {
            *slot = self.len.min(SLOTS_MAX as u8 - 1);
            self.len = *slot + 1;
        }
        let (slot, shared) = (*slot, self.shared);
        let models = &mut self.models[usize::from(slot)];
        *models = models.union(ModelSet::of(device.model));
        if device.sharing == Sharing::Shared {
            self.shared |= 1 << slot;
        }
        is_new || self.shared != shared
    }

    /// The slot of a model; the first of one that was never seen.
    pub(super) fn of(&self, model: ModelId) -> u8 {
        match self.of.get(usize::from(model.0)) {
            Some(&slot) if slot != NO_SLOT => slot,
            _ => 0,
        }
    }

    /// Slots with one of these models, as bits.
    pub(super) fn with(&self, models: ModelSet) -> u8 {
        let has = |own: &ModelSet| own.intersection(models) != ModelSet::NONE;
        self.models.iter().enumerate().fold(0, |all, (at, own)| all | u8::from(has(own)) << at)
    }

    /// Slots where a shape may be that names these models, as bits.
    pub(super) fn allowed(&self, shape: Shape, models: ModelSet) -> u8 {
        if shape.count == 0 {
            return u8::MAX;
        }
        let with = self.with(models);
        if shape.is_share() { with & self.shared } else { with }
    }

    /// Thousandths of devices that are free in a slot.
    fn idle(&self, fleet: &Fleet, slot: usize) -> f64 {
        let models = (0..MODELS_MAX).map(ModelId);
        let own = models.filter(|model| self.models[slot].contains(*model));
        own.map(|model| fleet.of_model(model).free_milli).sum::<u64>() as f64
    }
}

/// A price for each slot, worked out a few sets at a time.
#[derive(Debug)]
pub(super) struct ModelPrices {
    prices: [f64; SLOTS_MAX],
    next: [f64; SLOTS_MAX],
    /// The set that is looked at next; 0: none.
    set: u32,
    present: u32,
    idle: [f64; SLOTS_MAX],
    idle_all: f64,
    /// Slots that each of the wishes names, and how much it asks for.
    wishes: [(u32, Wish); SETS_MAX],
    wishes_len: usize,
    weight: f64,
    coming: f64,
    seen: f64,
    /// Arrival with which the next round begins.
    due: u64,
}

impl ModelPrices {
    pub(super) const fn new() -> Self {
        Self {
            prices: [0.0; SLOTS_MAX],
            next: [0.0; SLOTS_MAX],
            set: 0,
            present: 0,
            idle: [0.0; SLOTS_MAX],
            idle_all: 0.0,
            wishes: [(0, Wish::NONE); SETS_MAX],
            wishes_len: 0,
            weight: 0.0,
            coming: 0.0,
            seen: 0.0,
            due: 0,
        }
    }

    /// What a shape pays for devices of a slot, in thousandths of devices.
    pub(super) fn price(&self, slot: u8, gpu_milli: u32) -> i64 {
        (self.prices[usize::from(slot)] * f64::from(gpu_milli)) as i64
    }

    /// Looks at the next sets.
    pub(super) fn step(&mut self, arrivals: u64, fleet: &Fleet, slots: &Slots, mix: &TaskMix) {
        if self.set == 0 {
            if arrivals < self.due {
                return;
            }
            self.due = arrivals + ROUND_ARRIVALS;
            self.begin(fleet, slots, mix);
        }
        for _ in 0..SETS_STEP {
            if self.set == 0 {
                return;
            }
            self.look_at(self.set);
            self.set = (self.set - 1) & self.present;
            if self.set == 0 {
                self.prices = self.next;
            }
        }
    }

    fn begin(&mut self, fleet: &Fleet, slots: &Slots, mix: &TaskMix) {
        self.next = [0.0; SLOTS_MAX];
        self.present = 0;
        for (slot, idle) in self.idle.iter_mut().enumerate() {
            *idle = slots.idle(fleet, slot);
            self.present |= u32::from(*idle > 0.0) << slot;
        }
        self.idle_all = self.idle.iter().sum();
        self.wishes_len = mix.wishes().len();
        for (own, wish) in self.wishes.iter_mut().zip(mix.wishes()) {
            *own = (u32::from(slots.with(wish.models)) & self.present, *wish);
        }
        let wishes = &self.wishes[..self.wishes_len];
        self.weight = wishes.iter().map(|(_, wish)| wish.weight).sum();
        let demand: f64 = wishes.iter().map(|(_, wish)| wish.demand).sum();
        self.seen = wishes.iter().map(|(_, wish)| wish.count).sum();
        let known = demand > 0.0 && self.idle_all > 0.0;
        self.coming = if known { self.idle_all * self.weight / demand } else { 0.0 };
        // All models together are wanted by nobody more than by others.
        self.set = if known { (self.present - 1) & self.present } else { 0 };
        if self.set == 0 {
            self.prices = self.next;
        }
    }

    /// The chance that tasks confined to a set of slots ask for more than is free there.
    fn look_at(&mut self, set: u32) {
        let is_in = |slot: &usize| set >> slot & 1 == 1;
        let idle: f64 = (0..SLOTS_MAX).filter(is_in).map(|slot| self.idle[slot]).sum();
        let part = idle / self.idle_all;
        let (mut mean, mut square) = (0.0, 0.0);
        for (slots, wish) in &self.wishes[..self.wishes_len] {
            if *slots == 0 {
                continue;
            }
            let own = if slots & !set == 0 { 1.0 - part } else { -part };
            mean += wish.demand * own / self.weight;
            square += wish.squares * own * own / self.weight;
        }
        let variance = (square - mean * mean) * (1.0 + self.coming / self.seen);
        if variance <= 0.0 {
            return;
        }
        let deviations = mean * self.coming / libm::sqrt(variance * self.coming);
        let chance = 0.5 * libm::erfc(-deviations * core::f64::consts::FRAC_1_SQRT_2);
        for (slot, price) in self.next.iter_mut().enumerate() {
            if is_in(&slot) {
                *price = price.max(chance);
            }
        }
    }
}
