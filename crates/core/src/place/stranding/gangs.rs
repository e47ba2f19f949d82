//! What is a place for several whole devices worth?
//!
//! # Formula
//! A task of n whole devices of one node can only go where n are free. With `have_n` such places
//! on all nodes, and `need_n` of them wanted by an arrival on average (a task of more devices wants
//! several),
//!
//! ```text
//! places_n(node) = min(whole free devices / n, free cpu / mean cpu of tasks of n devices)
//! price_n        = 1000 n * exp(-2 have_n / (need_n * coming))         milli-GPU for a place
//! coming         = idle / mean demand                                   arrivals
//! ```
//! which is what a place is worth times the chance that they run out before what is idle does:
//! Littlewood's rule again, with an exponential tail. (A normal tail is a switch: from nothing to
//! everything within 500 arrivals, so that prices are always stale.)
//!
//! What no node could ever hold is wanted by nobody.
//!
//! # Bounds and cost
//! One price for each size in the mix, at most [`GANGS_MAX`]; counting places takes each node once
//! for each round.
//!
//! # What it is bad at
//! Gangs that have not come yet are not kept room for.
//!
//! # Source
//! As `models`; tails, floors and scales that were tried: `docs/policies/stranding.md`.

use super::mix::{Frozen, Weighted};
use super::shape::DEVICES_MAX;
use super::value::DEVICE;
use crate::fleet::device::WHOLE_MILLI;

/// Sizes of gang: 2 to 16 devices.
pub(super) const GANGS_MAX: usize = DEVICES_MAX - 1;

/// How fast a place loses its worth while there are more of them than needed.
const DECLINE: f64 = 2.0;

/// Tasks of so many whole devices.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Gang {
    count: u8,
    /// Mean over such tasks, at least 1.
    cpu_milli: u32,
    /// Places that an arrival wants, on average.
    need: f64,
    /// What a place is worth, in [`DEVICE`]s.
    price: i64,
}

impl Gang {
    pub(super) fn places(&self, whole: u8, cpu_milli: u32) -> u32 {
        u32::from(whole / self.count).min(cpu_milli / self.cpu_milli)
    }
}

/// The largest amounts of CPU of nodes with at least so many devices, by that number.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ceiling([Option<u32>; DEVICES_MAX + 1]);

impl Ceiling {
    pub(super) const NONE: Self = Self([None; DEVICES_MAX + 1]);

    /// A node was seen. What only a node that is gone could hold counts as possible for ever.
    pub(super) fn see(&mut self, devices_len: usize, cpu_milli: u32) {
        for most in &mut self.0[..=devices_len.min(DEVICES_MAX)] {
            *most = (*most).max(Some(cpu_milli));
        }
    }

    /// Whether some node could hold it, if all of it were free.
    pub(super) fn allows(&self, count: u8, cpu_milli: u32) -> bool {
        self.0.get(usize::from(count)).is_some_and(|most| most.is_some_and(|cpu| cpu >= cpu_milli))
    }

    pub(super) fn cpu_milli(&self) -> u32 {
        self.0[0].unwrap_or(0)
    }
}

/// All sizes of gang that come, the smallest first.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gangs {
    list: [Gang; GANGS_MAX],
    len: usize,
    /// Thousandths of devices that an arrival takes, on average.
    mean_milli: f64,
}

impl Gangs {
    pub(super) const NONE: Self = Self {
        list: [Gang { count: 0, cpu_milli: 1, need: 0.0, price: 0 }; GANGS_MAX],
        len: 0,
        mean_milli: 0.0,
    };

    pub(super) fn list(&self) -> &[Gang] {
        &self.list[..self.len]
    }

    /// The gangs of a mix, with no price yet. O(sizes * shapes).
    pub(super) fn of(mix: &Frozen, ceiling: &Ceiling) -> Self {
        let total = mix.total.max(1) as f64;
        let part = |own: &Weighted| f64::from(own.weight) / total;
        let fits = |own: &&Weighted| ceiling.allows(own.shape.count, own.shape.cpu_milli);
        let possible = || mix.shapes().iter().filter(fits);
        let mut gangs = Self::NONE;
        gangs.mean_milli = possible().map(|own| f64::from(own.shape.gpu_milli()) * part(own)).sum();
        for count in 2..=DEVICES_MAX as u8 {
            let of_size = || {
                possible().filter(|own| own.shape.count == count && own.shape.milli == WHOLE_MILLI)
            };
            let weight: f64 = of_size().map(part).sum();
            if weight <= 0.0 {
                continue;
            }
            let cpu: f64 = of_size().map(|own| f64::from(own.shape.cpu_milli) * part(own)).sum();
            let larger = possible().filter(|own| own.shape.count >= count);
            let need = larger.map(|own| f64::from(own.shape.count) * part(own)).sum::<f64>();
            gangs.list[gangs.len] = Gang {
                count,
                cpu_milli: ((cpu / weight) as u32).max(1),
                need: need / f64::from(count),
                price: 0,
            };
            gangs.len += 1;
        }
        gangs
    }

    /// Tasks that come until what is idle is used.
    pub(super) fn coming(&self, idle_milli: u64) -> f64 {
        if self.mean_milli > 0.0 { idle_milli as f64 / self.mean_milli } else { 0.0 }
    }

    /// Prices places, of which there are so many.
    pub(super) fn set_prices(&mut self, have: &[u64; GANGS_MAX], idle_milli: u64) {
        let coming = self.coming(idle_milli);
        for (gang, have) in self.list[..self.len].iter_mut().zip(have) {
            let wanted = gang.need * coming;
            let ratio = if wanted > 0.0 { *have as f64 / wanted } else { f64::INFINITY };
            let worth = f64::from(gang.count) * DEVICE as f64;
            gang.price = (worth * libm::exp(-DECLINE * ratio) + 0.5) as i64;
        }
    }

    /// What the places on a node are worth, in [`DEVICE`]s, and the least CPU with which it has as
    /// many.
    pub(super) fn value(&self, whole: u8, cpu_milli: u32) -> (i64, u32) {
        let (mut value, mut least_milli) = (0, 0);
        for gang in self.list() {
            if gang.count > whole {
                break;
            }
            let places = gang.places(whole, cpu_milli);
            value += gang.price * i64::from(places);
            least_milli = least_milli.max(places * gang.cpu_milli);
        }
        (value, least_milli)
    }
}
