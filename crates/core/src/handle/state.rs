//! Slabs as words: for the rooms that save themselves.

use super::{NONE, Slab, Slot};
use crate::error::{Error, check_range};
use crate::snapshot::Words;

impl<T> Slab<T> {
    /// Tells the slots as words, each value by `save_value`: with [`Slab::load_state`] the same
    /// handles are valid and stale, and the same ones will be issued, in the same order.
    pub(crate) fn save_state(
        &self,
        save: &mut dyn FnMut(u64),
        save_value: fn(&T, &mut dyn FnMut(u64)),
    ) {
        for word in [self.capacity(), self.len, self.vacant] {
            save(word.into());
        }
        for slot in &self.slots {
            save(u64::from(slot.generation) << 1 | u64::from(slot.value.is_some()));
            match &slot.value {
                Some(value) => save_value(value, save),
                None => save(slot.next_vacant.into()),
            }
        }
    }

    /// Takes the slots from the words of [`Slab::save_state`].
    ///
    /// # Errors
    /// [`Error::Range`] or [`Error::BufferTooSmall`] for words that no slab of this capacity
    /// saved, and the errors of `load_value`. The slab is then to be emptied with
    /// [`Slab::clear`].
    pub(crate) fn load_state(
        &mut self,
        words: &mut Words<'_>,
        load_value: fn(&mut Words<'_>) -> Result<T, Error>,
    ) -> Result<(), Error> {
        let capacity = self.capacity();
        words.next_within("slots", capacity, capacity)?;
        let len = words.next_within("slots_len", 0, capacity)?;
        self.vacant = words.next_index("vacant", capacity)?;
        self.len = 0;
        for slot in &mut self.slots {
            let mark = words.next()?;
            slot.generation = check_range("generation", mark >> 1, 1, u32::MAX.into())? as u32;
            slot.value = None;
            if mark & 1 == 1 {
                slot.value = Some(load_value(words)?);
                self.len += 1;
            } else {
                slot.next_vacant = words.next_index("next_vacant", capacity)?;
            }
        }
        check_range("slots_len", len.into(), self.len.into(), self.len.into())?;
        self.check_vacant()
    }

    /// The list of vacant slots must name each of them once: as many as there are, and an end.
    fn check_vacant(&self) -> Result<(), Error> {
        let mut index = self.vacant;
        for _ in self.len..self.capacity() {
            match self.slots.get(index as usize) {
                Some(Slot { next_vacant, value: None, .. }) => index = *next_vacant,
                _ => return Err(self.vacant_fault(index)),
            }
        }
        if index == NONE { Ok(()) } else { Err(self.vacant_fault(index)) }
    }

    fn vacant_fault(&self, index: u32) -> Error {
        let max = u64::from(self.capacity()) - 1;
        Error::Range { field: "next_vacant", value: index.into(), min: 0, max }
    }

    /// Makes it as it was when new.
    pub(crate) fn clear(&mut self) {
        let capacity = self.capacity();
        for (slot, next) in self.slots.iter_mut().zip(1..) {
            let next_vacant = if next == capacity { NONE } else { next };
            *slot = Slot { generation: 1, next_vacant, value: None };
        }
        (self.vacant, self.len) = (0, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    fn saved(slab: &Slab<u64>) -> Vec<u64> {
        let mut words = Vec::new();
        slab.save_state(&mut |word| words.push(word), |value, save| save(*value));
        words
    }

    fn loaded(words: &[u64]) -> Result<Slab<u64>, Error> {
        let mut words = words.iter().copied();
        let mut slab = Slab::new("things", 6)?;
        let value = |words: &mut Words<'_>| words.next_within("value", 0, 9).map(u64::from);
        slab.load_state(&mut Words::new(&mut || words.next()), value)?;
        Ok(slab)
    }

    proptest! {
        /// A loaded slab has the same handles, and issues the same ones from then on.
        #[test]
        fn a_loaded_slab_goes_on_as_the_saved_one(
            before in prop::collection::vec(any::<prop::sample::Index>(), 0..40), more in 0u32..8,
        ) {
            let mut slab = Slab::new("things", 6).unwrap();
            for pick in before {
                match slab.handle_at(pick.index(6) as u32) {
                    Some(handle) => slab.remove(handle).map(drop).unwrap(),
                    None => slab.insert(7).map(drop).unwrap(),
                }
            }
            let mut other = loaded(&saved(&slab)).unwrap();
            for value in 0..u64::from(more) {
                prop_assert_eq!(slab.insert(value), other.insert(value));
            }
            prop_assert_eq!(saved(&slab), saved(&other));
        }

        /// One word changed, or the end cut off: refused, or a slab that can be used to its end.
        #[test]
        fn damaged_words_are_refused_or_harmless(
            at in 0usize..15, word in prop_oneof![any::<u64>(), 0u64..8], cut in 0usize..16,
        ) {
            let mut slab = Slab::new("things", 6).unwrap();
            let handles: Vec<_> = (0..4).map(|value| slab.insert(value).unwrap()).collect();
            slab.remove(handles[1]).unwrap();
            let mut words = saved(&slab);
            words[at] = word;
            words.truncate(cut);
            if let Ok(mut slab) = loaded(&words) {
                let free = slab.capacity() - slab.len();
                for value in 0..free {
                    prop_assert!(slab.insert(value.into()).is_ok());
                }
                prop_assert!(slab.insert(0).is_err());
                prop_assert_eq!(slab.iter().count(), 6);
            }
        }
    }
}
