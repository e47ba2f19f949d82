//! What accounts were served, saved and read back.

use alloc::vec;

use super::{
    Book, NONE, ServiceDifference, Slot, TokenCosts, UNCOMPARED, WEIGHT_MAX, WEIGHT_MIN, Work,
};
use crate::error::{Error, check_range};
use crate::snapshot::{Words, ensure, pair};
use crate::units::Nanos;

/// Most weighted service that is believed. The largest cost over the smallest weight, for as many
/// tokens as a counter holds, is 2e31.
const SERVICE_MAX: f64 = 1e60;

/// Most that is believed of sums over pairs (8e6 of them) and nanoseconds (2e19), far below where
/// going on from there would leave what a number can hold.
const SUM_MAX: f64 = 1e80;
const SUM_S_MAX: f64 = 1e120;

impl ServiceDifference {
    pub(in crate::outcome) const fn costs(&self) -> TokenCosts {
        self.costs
    }

    pub(in crate::outcome) fn save_state(&self, save: &mut dyn FnMut(u64)) {
        for book in &self.books {
            let Work { prompt_tokens, cached_tokens, output_tokens } = book.work;
            [prompt_tokens, cached_tokens, output_tokens].into_iter().for_each(&mut *save);
            save(book.weight.to_bits());
            save(book.slot.into());
        }
        save(pair(self.active_count, self.served_count));
        self.order.iter().for_each(|slot| save((*slot).into()));
        for slot in self.active() {
            let state = self.slots.get(slot as usize);
            let (settled, told) = state.map_or((0.0, 0.0), |state| (state.settled, state.told));
            save(settled.to_bits());
            save(told.to_bits());
        }
        let served = self.served.iter().take(self.served_count as usize);
        served.for_each(|slot| save((*slot).into()));
        // The other way round it is the same with the other sign.
        for (place, slot) in self.active().enumerate() {
            for other in self.active().take(place) {
                save(self.base.get(self.pair_of(slot, other)).map_or(0, |base| base.to_bits()));
            }
        }
        for part in [self.sum, self.max, self.difference_s, self.pair_s] {
            save(part.to_bits());
        }
        save(self.uncompared);
        save(self.now.get());
    }

    /// Reads it into books that are new.
    pub(in crate::outcome) fn load_state(&mut self, words: &mut Words<'_>) -> Result<(), Error> {
        for book in &mut self.books {
            *book = load_book(words, self.slots.len() as u32)?;
        }
        (self.active_count, self.served_count) = words.next_pair()?;
        ensure(self.active_count as usize <= self.slots.len())?;
        ensure(self.served_count <= self.active_count)?;
        self.load_order(words)?;
        self.check_owners()?;
        self.load_slots(words)?;
        for place in 0..self.active_count as usize {
            for before in 0..place {
                let (slot, other) = (self.slot_at(place), self.slot_at(before));
                let base = words.next_real("base", -SERVICE_MAX, SERVICE_MAX)?;
                for (at, base) in
                    [(self.pair_of(slot, other), base), (self.pair_of(other, slot), -base)]
                {
                    self.base[at] = base;
                }
            }
        }
        for part in [&mut self.sum, &mut self.max] {
            *part = words.next_real("difference", 0.0, SUM_MAX)?;
        }
        for part in [&mut self.difference_s, &mut self.pair_s] {
            *part = words.next_real("difference_s", 0.0, SUM_S_MAX)?;
        }
        ensure(self.active_count >= 2 || self.sum == 0.0)?;
        self.uncompared = words.next()?;
        self.now = Nanos(words.next()?);
        Ok(())
    }

    /// Slots in use, in their order.
    fn active(&self) -> impl Iterator<Item = u32> {
        self.order.iter().take(self.active_count as usize).copied()
    }

    fn slot_at(&self, place: usize) -> u32 {
        self.order.get(place).copied().unwrap_or(NONE)
    }

    fn pair_of(&self, slot: u32, other: u32) -> usize {
        slot as usize * self.slots.len() + other as usize
    }

    /// Every slot once, in the order in which they are used.
    fn load_order(&mut self, words: &mut Words<'_>) -> Result<(), Error> {
        let len = self.slots.len() as u32;
        let mut seen = vec![false; len as usize];
        for (place, entry) in (0..).zip(&mut self.order) {
            let slot = words.next_within("slot", 0, len - 1)?;
            ensure(!core::mem::replace(&mut seen[slot as usize], true))?;
            *entry = slot;
            self.slots[slot as usize].place = place;
        }
        Ok(())
    }

    /// Every slot in use is one account's, and no other is.
    fn check_owners(&self) -> Result<(), Error> {
        let mut owned = vec![false; self.slots.len()];
        let mut owners = 0;
        for book in self.books.iter().filter(|book| book.slot != NONE && book.slot != UNCOMPARED) {
            let place = self.slots.get(book.slot as usize).map_or(NONE, |slot| slot.place);
            ensure(place < self.active_count)?;
            ensure(!core::mem::replace(&mut owned[book.slot as usize], true))?;
            owners += 1;
        }
        ensure(owners == self.active_count)
    }

    /// What those in use were served, and which of them since the last instant settled.
    fn load_slots(&mut self, words: &mut Words<'_>) -> Result<(), Error> {
        for place in 0..self.active_count as usize {
            let slot = self.slot_at(place) as usize;
            let settled = words.next_real("settled", 0.0, SERVICE_MAX)?;
            let told = words.next_real("told", settled, SERVICE_MAX)?;
            let place = place as u32;
            self.slots[slot] = Slot { settled, told, served_rank: NONE, place };
        }
        for rank in 0..self.served_count {
            let slot = words.next_within("served", 0, self.slots.len() as u32 - 1)?;
            let state = &mut self.slots[slot as usize];
            ensure(state.served_rank == NONE && state.place < self.active_count)?;
            state.served_rank = rank;
            self.served[rank as usize] = slot;
        }
        let settled = |slot: &Slot| slot.served_rank != NONE || slot.settled == slot.told;
        ensure(self.slots.iter().all(settled))
    }
}

fn load_book(words: &mut Words<'_>, slots: u32) -> Result<Book, Error> {
    let work = Work {
        prompt_tokens: words.next()?,
        cached_tokens: words.next()?,
        output_tokens: words.next()?,
    };
    let weight = words.next_real("weight", WEIGHT_MIN, WEIGHT_MAX)?;
    let slot = match words.next()? {
        kept if kept == u64::from(NONE) => NONE,
        kept if kept == u64::from(UNCOMPARED) => UNCOMPARED,
        kept => check_range("slot", kept, 0, u64::from(slots) - 1)? as u32,
    };
    Ok(Book { work, weight, slot })
}
