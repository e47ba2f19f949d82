//! Which adapters has each replica loaded?
//!
//! # What it decides
//! How long a request waits for its adapter. A replica has places for some; the one that was used
//! least recently makes room, as in engines that load them on demand, one after the other.
//!
//! # Bounds and cost
//! O(places) a question, 24 bytes a place.

use alloc::boxed::Box;
use alloc::vec;

use super::options::RouterOptions;
use crate::error::Error;
use crate::snapshot::Words;
use crate::units::Nanos;

/// The number that stands for no adapter.
pub(super) const NO_ADAPTER: u64 = 0;

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    adapter: u64,
    /// Number of the decision that used it last.
    used: u64,
    /// When it is loaded.
    ready_at: Nanos,
}

/// Adapters of all replicas.
#[derive(Debug)]
pub(super) struct Adapters {
    slots: Box<[Slot]>,
    each: usize,
}

impl Adapters {
    pub(super) fn new(options: &RouterOptions) -> Self {
        let each = options.adapters_max as usize;
        let slots = vec![Slot::default(); each * options.replicas_max as usize].into_boxed_slice();
        Self { slots, each }
    }

    pub(super) const fn bytes_needed(options: &RouterOptions) -> u64 {
        let slots = options.adapters_max as u64 * options.replicas_max as u64;
        slots * size_of::<Slot>() as u64
    }

    fn of(&mut self, replica: u32) -> &mut [Slot] {
        let start = replica as usize * self.each;
        &mut self.slots[start..start + self.each]
    }

    /// Seconds until a replica has it, where it takes `load_s` to load one.
    pub(super) fn wait_s(&self, now: Nanos, replica: u32, adapter: u64, load_s: f64) -> f64 {
        if adapter == NO_ADAPTER {
            return 0.0;
        }
        let start = replica as usize * self.each;
        let slots = &self.slots[start..start + self.each];
        let until_s = |ready_at: Nanos| ready_at.saturating_sub(now).as_seconds();
        let loaded = slots.iter().find(|slot| slot.adapter == adapter);
        let loading = || slots.iter().fold(Nanos::ZERO, |last, slot| last.max(slot.ready_at));
        loaded.map_or_else(|| until_s(loading()) + load_s, |slot| until_s(slot.ready_at))
    }

    /// A replica has it from `ready_at` on, or uses it again.
    pub(super) fn hold(&mut self, replica: u32, adapter: u64, decision: u64, ready_at: Nanos) {
        let slots = self.of(replica);
        let place = slots.iter().position(|slot| slot.adapter == adapter);
        let place = place.or_else(|| {
            // Places never used have decision 0.
            (0..slots.len()).min_by_key(|place| slots[*place].used)
        });
        if let Some(place) = place
            && adapter != NO_ADAPTER
        {
            slots[place] = Slot { adapter, used: decision, ready_at };
        }
    }

    /// A replica has it no more.
    pub(super) fn lose(&mut self, replica: u32, adapter: u64) {
        self.of(replica)
            .iter_mut()
            .filter(|slot| slot.adapter == adapter)
            .for_each(|slot| *slot = Slot::default());
    }

    pub(super) fn clear(&mut self, replica: u32) {
        self.of(replica).fill(Slot::default());
    }

    pub(super) fn save_state(&self, save: &mut dyn FnMut(u64)) {
        for slot in &self.slots {
            save(slot.adapter);
            save(slot.used);
            save(slot.ready_at.get());
        }
    }

    pub(super) fn load_state(&mut self, words: &mut Words<'_>) -> Result<(), Error> {
        for slot in &mut self.slots {
            *slot = Slot {
                adapter: words.next()?,
                used: words.next_count("used")?,
                ready_at: Nanos(words.next()?),
            };
        }
        Ok(())
    }
}
