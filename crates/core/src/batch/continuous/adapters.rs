//! Adapters (LoRA): which of them hold the engine's slots, and who gets the next one.
//!
//! # What it decides
//! At most `adapter_slots_max` different adapters run at once. A request whose adapter holds no
//! slot stands aside, so that those behind it can go on, and its adapter makes a *claim*.
//!
//! # Formula
//! ```text
//! claims    by rank of the order (guarantees, class, in time first), then as they were made
//! slot      free, or of an adapter that runs nothing: the first claim has it at once
//! drain     else the slot held longest lets nobody new in, and is the first claim's when empty
//! lapse     a claim ends when nobody waits for its adapter
//! ```
//! An adapter that was given a slot keeps it until one of its requests has run; only a claim of
//! better rank takes it away before, and the claim it came from then stands again as it stood.
//!
//! # Bounds and cost
//! A claim is served after the claims of its rank made before it and those of better ranks. Each
//! takes at most as long as the longest request that runs in the slot that is drained. O(slots)
//! for a new claim and once a step, O(log adapters) for each change of a claim; 40 bytes for each
//! adapter and each slot, and nothing where `adapters_max` is 0.
//!
//! # What it is bad at
//! It does not know what loading an adapter costs, and drains the slot held longest, not the one
//! that will be empty first: draining the slot with the fewest requests would take it from the
//! adapter that has just got it.

mod state;

use alloc::boxed::Box;
use alloc::vec;

use crate::batch::queue::{Forest, Key, NONE};
use crate::policy::Limits;

#[derive(Clone, Copy, Debug)]
struct Adapter {
    /// Requests that wait for it, wherever they stand.
    waiting: u32,
    /// Root of those that stand aside.
    aside: u32,
    slot: u32,
    claims: bool,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    /// 0 for nobody's.
    adapter: u32,
    running: u32,
    /// A request of this adapter has run since it got the slot.
    used: bool,
    /// The claim that brought it here.
    claim: Key,
    /// Which of all the times that a slot was given.
    since: u64,
}

/// The slots of the engine and who waits for one.
#[derive(Debug)]
pub(super) struct Adapters {
    /// By adapter; place 0 is nobody's.
    known: Box<[Adapter]>,
    slots: Box<[Slot]>,
    /// The claims, by adapter.
    claims: Forest,
    first: u32,
    draining: u32,
    /// Claims made so far.
    claims_made: u64,
    /// Slots given so far.
    given: u64,
}

const fn sizes(limits: &Limits) -> (u32, u32) {
    if limits.adapters_max == 0 {
        return (0, 0);
    }
    let adapters = limits.adapters_max.saturating_add(1);
    let slots = limits.adapter_slots_max;
    (adapters, if slots < limits.adapters_max { slots } else { limits.adapters_max })
}

impl Adapters {
    pub(super) fn new(limits: &Limits) -> Self {
        let (adapters, slots) = sizes(limits);
        let adapter = Adapter { waiting: 0, aside: NONE, slot: NONE, claims: false };
        let claim = Key { at_ns: 0, sequence: 0 };
        let slot = Slot { adapter: 0, running: 0, used: false, claim, since: 0 };
        Self {
            known: vec![adapter; adapters as usize].into_boxed_slice(),
            slots: vec![slot; slots as usize].into_boxed_slice(),
            claims: Forest::new(adapters),
            first: NONE,
            draining: NONE,
            claims_made: 0,
            given: 0,
        }
    }

    pub(super) const fn bytes_needed(limits: &Limits) -> u64 {
        let (adapters, slots) = sizes(limits);
        Forest::bytes_needed(adapters)
            .saturating_add(adapters as u64 * size_of::<Adapter>() as u64)
            .saturating_add(slots as u64 * size_of::<Slot>() as u64)
    }

    /// A request that needs `adapter` begins to wait.
    pub(super) fn arrive(&mut self, adapter: u32) {
        if adapter != 0 {
            self.known[adapter as usize].waiting += 1;
        }
    }

    /// One that waited waits no more.
    pub(super) fn depart(&mut self, adapter: u32) {
        if adapter == 0 {
            return;
        }
        let entry = &mut self.known[adapter as usize];
        entry.waiting -= 1;
        if entry.waiting == 0 && entry.claims {
            self.unclaim(adapter);
        }
    }

    /// A request that needs `adapter`, which is open to it, gets a seat.
    pub(super) fn seat(&mut self, adapter: u32) {
        if adapter != 0 {
            let slot = &mut self.slots[self.known[adapter as usize].slot as usize];
            slot.running += 1;
            slot.used = true;
        }
    }

    /// A request that needs `adapter` leaves its seat.
    pub(super) fn vacate(&mut self, adapter: u32) {
        if adapter != 0 {
            self.slots[self.known[adapter as usize].slot as usize].running -= 1;
        }
    }

    /// A request that needs `adapter` may have a seat.
    pub(super) fn is_open(&self, adapter: u32) -> bool {
        if adapter == 0 {
            return true;
        }
        let slot = self.known[adapter as usize].slot;
        slot != NONE && slot != self.draining
    }

    /// A request that needs `adapter` may have a seat, or a claim may bring it a slot at once.
    pub(super) fn may_open(&self, adapter: u32) -> bool {
        let claim = Key { at_ns: 0, sequence: self.claims_made };
        self.is_open(adapter) || self.vacant(claim).is_some()
    }

    /// Root of those that stand aside for `adapter`.
    pub(super) fn aside(&mut self, adapter: u32) -> &mut u32 {
        &mut self.known[adapter as usize].aside
    }

    /// The first that stands aside for the adapter of a slot although it is open.
    pub(super) fn wakeable(&self, slot: u32) -> Option<u32> {
        let adapter = self.slots[slot as usize].adapter as usize;
        let aside = self.known[adapter].aside;
        (slot != self.draining && aside != NONE).then_some(aside)
    }

    pub(super) const fn slots_len(&self) -> u32 {
        self.slots.len() as u32
    }

    /// The first in line needs `adapter`, which is not open: claims a slot for it. True if that
    /// brought one at once.
    pub(super) fn claim(&mut self, adapter: u32, rank: u8) -> bool {
        let entry = &mut self.known[adapter as usize];
        let mut key = Key { at_ns: u64::from(rank), sequence: self.claims_made };
        if entry.claims {
            let made = self.claims.key(adapter);
            if made.at_ns <= key.at_ns {
                return false;
            }
            key.sequence = made.sequence;
            self.claims.remove(&mut self.first, adapter);
        } else {
            self.claims_made += 1;
            entry.claims = true;
        }
        self.claims.insert(&mut self.first, adapter, key);
        self.serve();
        self.is_open(adapter)
    }

    fn unclaim(&mut self, adapter: u32) {
        self.known[adapter as usize].claims = false;
        self.claims.remove(&mut self.first, adapter);
        if self.first == NONE {
            self.draining = NONE;
        }
    }

    /// Gives slots to claims as far as there are any to give, and drains one for the next claim.
    pub(super) fn serve(&mut self) {
        // Each round gives a slot away; a slot changes hands twice at most, since the second time
        // it goes to a better rank.
        for _ in 0..2 * self.slots.len() {
            if self.first == NONE {
                return;
            }
            let held = self.known[self.first as usize].slot;
            if held == NONE {
                let Some(slot) = self.vacant(self.claims.key(self.first)) else { break };
                self.give(slot, self.first);
            } else {
                self.give(held, self.first);
            }
        }
        if self.draining == NONE && self.first != NONE {
            let busy = (0..self.slots_len()).filter(|slot| self.slots[*slot as usize].running > 0);
            let longest = busy.min_by_key(|slot| self.slots[*slot as usize].since);
            self.draining = longest.unwrap_or(NONE);
        }
    }

    /// A slot that a claim of this key may have now: one that nobody wants first.
    fn vacant(&self, claim: Key) -> Option<u32> {
        let worth = |slot: &Slot| {
            let wanted = slot.adapter != 0 && self.known[slot.adapter as usize].waiting > 0;
            let kept = wanted && !slot.used && slot.claim.at_ns <= claim.at_ns;
            (slot.running == 0 && !kept).then_some((wanted, slot.since))
        };
        let slots = self.slots.iter().zip(0_u32..);
        let vacant = slots.filter_map(|(slot, index)| Some((worth(slot)?, index)));
        vacant.min().map(|(_, index)| index)
    }

    fn give(&mut self, slot: u32, adapter: u32) {
        let claim = self.claims.key(adapter);
        self.unclaim(adapter);
        if self.draining == slot {
            self.draining = NONE;
        }
        self.given += 1;
        let since = self.given;
        let old = self.slots[slot as usize];
        if old.adapter == adapter {
            // Its own slot was drained for claims that have found another one meanwhile.
            self.slots[slot as usize] = Slot { claim, since, ..old };
            return;
        }
        self.slots[slot as usize] = Slot { adapter, running: 0, used: false, claim, since };
        self.known[adapter as usize].slot = slot;
        if old.adapter == 0 {
            return;
        }
        let loser = &mut self.known[old.adapter as usize];
        loser.slot = NONE;
        if loser.claims {
            return;
        }
        // Whoever stands aside has a claim: nobody else would call it back.
        let mut claim = old.claim;
        if old.used {
            if loser.aside == NONE {
                return;
            }
            claim.sequence = self.claims_made;
            self.claims_made += 1;
        }
        if loser.waiting > 0 {
            loser.claims = true;
            self.claims.insert(&mut self.first, old.adapter, claim);
        }
    }
}
