//! Slots and claims as words. Who waits and who runs follows from the requests.

use super::{Adapters, Slot};
use crate::batch::queue::{Key, NONE};
use crate::error::Error;
use crate::snapshot::{Words, ensure, pair};

impl Adapters {
    pub(in super::super) fn save_state(&self, save: &mut dyn FnMut(u64)) {
        let Self { known, slots, claims, first: _, draining, claims_made, given } = self;
        for Slot { adapter, running: _, used, claim, since } in slots {
            save(pair(*adapter, u32::from(*used)));
            for word in [claim.at_ns, claim.sequence, *since] {
                save(word);
            }
        }
        for word in [(*draining).into(), *claims_made, *given] {
            save(word);
        }
        save(known.iter().filter(|adapter| adapter.claims).count() as u64);
        for (adapter, _) in (0..).zip(known).filter(|(_, known)| known.claims) {
            let Key { at_ns, sequence } = claims.key(adapter);
            save(adapter.into());
            save(at_ns);
            save(sequence);
        }
    }

    /// Takes slots and claims; nobody waits or runs yet.
    pub(in super::super) fn load_state(&mut self, words: &mut Words<'_>) -> Result<(), Error> {
        for place in 0..self.slots_len() {
            let (adapter, used) = words.next_pair()?;
            let claim = Key { at_ns: words.next()?, sequence: words.next()? };
            let slot = Slot { adapter, running: 0, used: used == 1, claim, since: words.next()? };
            self.slots[place as usize] = slot;
            let known = self.known.get_mut(adapter as usize);
            ensure(used <= 1 && known.is_some())?;
            if let Some(known) = known.filter(|_| adapter != 0) {
                ensure(known.slot == NONE)?;
                known.slot = place;
            }
        }
        self.draining = words.next_index("draining", self.slots_len().max(1))?;
        self.claims_made = words.next_count("claims_made")?;
        self.given = words.next_count("given")?;
        let adapters = self.known.len() as u64;
        let claims = words.next()?;
        ensure(claims <= adapters)?;
        for _ in 0..claims {
            let adapter = words.next_u32("claim.adapter")?;
            let key = Key { at_ns: words.next()?, sequence: words.next()? };
            ensure(adapter != 0 && u64::from(adapter) < adapters)?;
            let known = &mut self.known[adapter as usize];
            ensure(!known.claims)?;
            known.claims = true;
            self.claims.insert(&mut self.first, adapter, key);
        }
        ensure(self.draining == NONE || self.first != NONE && self.draining < self.slots_len())
    }

    /// Requests may name this adapter.
    pub(in super::super) fn is_known(&self, adapter: u32) -> bool {
        adapter == 0 || (adapter as usize) < self.known.len()
    }

    /// Requests that need this adapter may run.
    pub(in super::super) fn has_slot(&self, adapter: u32) -> bool {
        adapter == 0 || self.known[adapter as usize].slot != NONE
    }

    /// Nobody claims a slot for an adapter that nobody waits for.
    pub(in super::super) fn check_claims(&self) -> Result<(), Error> {
        ensure(self.known.iter().all(|adapter| !adapter.claims || adapter.waiting > 0))
    }
}
