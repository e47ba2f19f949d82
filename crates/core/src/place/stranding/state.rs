//! What was learned of the task mix, as words.
//!
//! # Formula
//! ```text
//! arrivals, arrivals that the mix was learned from
//! shapes, each as 2 words: what it asks for, its weight
//! sets of models, each as 5: models, count, weight, demand, squares
//! entries of a fixed mix, each as 3: what it asks for, models, weight
//! ```
//! Tables follow from the mix: they are worked out from it at once. Those of the placer that was
//! saved may have been a round older, so that its next prices may differ by as much as that.

use core::ops::RangeInclusive;

use super::mix::{ENTRIES_MAX, Entry, SETS_MAX, SHAPES_MAX, TaskMix, Wish};
use super::shape::Shape;
use super::{Members, Stranding};
use crate::error::Error;
use crate::fleet::device::WHOLE_MILLI;
use crate::fleet::node::NODE_AMOUNT_MAX;
use crate::fleet::{DEVICES_PER_NODE_MAX, Fleet, ModelSet};
use crate::snapshot::{CONTRADICTION, Words, ensure, pair};

/// Sums of weights that are believed: whatever comes in a lifetime stays far below.
const WEIGHTS: RangeInclusive<f64> = 0.0..=1e30;

impl Stranding {
    /// Tells how many tasks have arrived, and their mix.
    pub(in crate::place) fn save_state(&self, save: &mut dyn FnMut(u64)) {
        save(self.arrivals);
        self.mix.save_state(save);
    }

    /// Takes what was told. What follows from fleet, members and mix is worked out anew.
    pub(in crate::place) fn load_state(
        &mut self,
        fleet: &Fleet,
        members: &Members,
        words: &mut Words<'_>,
    ) -> Result<(), Error> {
        self.arrivals = words.next_count("arrivals")?;
        self.mix.load_state(words)?;
        for (node, _) in fleet.iter() {
            self.appeared(fleet, node.index());
        }
        if self.goes_by_mix() {
            self.refresh_all(fleet);
        }
        for (node, _) in fleet.iter() {
            self.changed(fleet, members, node.index());
        }
        Ok(())
    }
}

impl TaskMix {
    fn save_state(&self, save: &mut dyn FnMut(u64)) {
        save(self.seen);
        save(self.shapes().len() as u64);
        for (shape, weight) in self.shapes() {
            save(word_of(*shape));
            save(weight.to_bits());
        }
        save(self.wishes().len() as u64);
        for Wish { models, count, weight, demand, squares } in self.wishes() {
            save(models.0);
            for real in [count, weight, demand, squares] {
                save(real.to_bits());
            }
        }
        save(self.fixed().len() as u64);
        for Entry { shape, models, weight } in self.fixed() {
            save(word_of(*shape));
            save(models.0);
            save(u64::from(*weight));
        }
    }

    fn load_state(&mut self, words: &mut Words<'_>) -> Result<(), Error> {
        self.clear();
        self.seen = words.next_count("seen")?;
        for _ in 0..words.next_within("shapes_len", 0, SHAPES_MAX as u32)? {
            let shape = shape_of(words)?;
            let weight = amount(words)?;
            ensure(self.add_shape(shape, weight))?;
        }
        for _ in 0..words.next_within("sets_len", 0, SETS_MAX as u32)? {
            let models = ModelSet(words.next()?);
            let count = f64::from_bits(words.next()?);
            ensure(WEIGHTS.contains(&count) || count == f64::INFINITY)?;
            let (weight, demand, squares) = (amount(words)?, amount(words)?, amount(words)?);
            ensure(self.add_wish(Wish { models, count, weight, demand, squares }))?;
        }
        for _ in 0..words.next_within("fixed_len", 0, ENTRIES_MAX as u32)? {
            let (shape, models) = (shape_of(words)?, ModelSet(words.next()?));
            let weight = words.next_u32("weight")?;
            self.add_fixed(Entry { shape, models, weight });
        }
        Ok(())
    }
}

fn amount(words: &mut Words<'_>) -> Result<f64, Error> {
    let amount = f64::from_bits(words.next()?);
    ensure(WEIGHTS.contains(&amount)).map(|()| amount)
}

fn word_of(shape: Shape) -> u64 {
    pair(shape.cpu_milli, u32::from(shape.milli) << 8 | u32::from(shape.count))
}

fn shape_of(words: &mut Words<'_>) -> Result<Shape, Error> {
    let (cpu_milli, devices) = words.next_pair()?;
    let (count, milli) = (devices & 0xff, devices >> 8);
    let known = match count {
        0 => milli == 0,
        1 => (1..=u32::from(WHOLE_MILLI)).contains(&milli),
        _ => count <= DEVICES_PER_NODE_MAX && milli == u32::from(WHOLE_MILLI),
    };
    if !known || cpu_milli > NODE_AMOUNT_MAX {
        return Err(CONTRADICTION);
    }
    Ok(Shape { cpu_milli, count: count as u8, milli: milli as u16 })
}
