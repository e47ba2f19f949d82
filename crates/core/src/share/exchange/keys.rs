//! By what name do other ledgers know an account? Keys, and whose they are.
//!
//! # Bounds and cost
//! Finding is O(log accounts) whatever the keys are; setting and forgetting move the list,
//! O(accounts). Loading them sorts it once, O(accounts * log accounts). 24 bytes for each account.

use alloc::boxed::Box;
use alloc::vec;

use crate::error::{Error, check_range};
use crate::snapshot::{FNV_OFFSET_BASIS, FNV_PRIME};

/// Between two names of a path: no byte of UTF-8 is this.
const SEPARATOR: u8 = 0xff;

/// A key from the names on the way from the top to the account: 64-bit FNV-1a of their UTF-8, a
/// byte 0xff after each; 1 in place of zero. It will not change. Two of 10,000 paths share a key
/// with a probability of 3 in 10^12; [`super::Ledger::set_key`] refuses the second.
#[must_use]
pub fn path_key<'a>(names: impl IntoIterator<Item = &'a str>) -> u64 {
    let bytes = names.into_iter().flat_map(|name| name.bytes().chain([SEPARATOR]));
    let step = |sum: u64, byte| (sum ^ u64::from(byte)).wrapping_mul(FNV_PRIME);
    bytes.fold(FNV_OFFSET_BASIS, step).max(1)
}

#[derive(Debug)]
pub(super) struct Keys {
    /// By account index; zero: none.
    by_index: Box<[u64]>,
    /// Keys in order with their account index, in the first `len` places.
    sorted: Box<[(u64, u32)]>,
    len: usize,
}

impl Keys {
    pub(super) fn new(accounts: u32) -> Self {
        Self {
            by_index: vec![0; accounts as usize].into_boxed_slice(),
            sorted: vec![(0, 0); accounts as usize].into_boxed_slice(),
            len: 0,
        }
    }

    pub(super) const fn bytes_needed(accounts: u32) -> u64 {
        accounts as u64 * (size_of::<u64>() + size_of::<(u64, u32)>()) as u64
    }

    pub(super) fn key(&self, index: u32) -> Option<u64> {
        self.by_index.get(index as usize).copied().filter(|key| *key != 0)
    }

    pub(super) fn find(&self, key: u64) -> Option<u32> {
        let entry = self.search(key).ok().and_then(|place| self.sorted.get(place))?;
        Some(entry.1)
    }

    pub(super) fn set(&mut self, index: u32, key: u64) -> Result<(), Error> {
        check_range("key", key, 1, u64::MAX)?;
        match (self.key(index), self.find(key)) {
            (Some(present), _) if present != key => {
                let (field, other) = ("key", "key of the account");
                Err(Error::Contradiction { field, value: key, other, other_value: present })
            }
            (None, Some(first)) => {
                let (index, first_index) = (index.into(), first.into());
                Err(Error::Duplicate { field: "key", index, first_index })
            }
            (Some(_), _) => Ok(()),
            (None, None) => {
                self.insert(index, key);
                Ok(())
            }
        }
    }

    fn insert(&mut self, index: u32, key: u64) {
        let Err(place) = self.search(key) else { return };
        let Some(slot) = self.by_index.get_mut(index as usize) else { return };
        *slot = key;
        // As many keys as accounts at most: there is room for one more.
        if let Some(moved) = self.sorted.get_mut(place..=self.len) {
            moved.rotate_right(1);
            moved[0] = (key, index);
            self.len += 1;
        }
    }

    /// Notes the key of an account that has none, in no order: until [`Self::settle`] nothing is found.
    pub(super) fn append(&mut self, index: u32, key: u64) {
        let (slot, last) = (self.by_index.get_mut(index as usize), self.sorted.get_mut(self.len));
        if let (Some(slot), Some(last)) = (slot, last) {
            *slot = key;
            *last = (key, index);
            self.len += 1;
        }
    }

    /// Puts what was appended in order.
    ///
    /// # Errors
    /// [`Error::Duplicate`] if two accounts have one key.
    pub(super) fn settle(&mut self) -> Result<(), Error> {
        let sorted = self.sorted.get_mut(..self.len).unwrap_or_default();
        sorted.sort_unstable();
        match sorted.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            None => Ok(()),
            Some(pair) => {
                let (index, first_index) = (pair[1].1.into(), pair[0].1.into());
                Err(Error::Duplicate { field: "key", index, first_index })
            }
        }
    }

    pub(super) fn forget(&mut self, index: u32) {
        let Some(key) = self.by_index.get_mut(index as usize).map(core::mem::take) else { return };
        if let Ok(place) = self.search(key)
            && let Some(moved) = self.sorted.get_mut(place..self.len)
        {
            moved.rotate_left(1);
            self.len -= 1;
        }
    }

    pub(super) fn clear(&mut self) {
        self.by_index.fill(0);
        self.len = 0;
    }

    fn search(&self, key: u64) -> Result<usize, usize> {
        self.sorted.get(..self.len).unwrap_or_default().binary_search_by_key(&key, |entry| entry.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ACCOUNTS: u32 = 12;

    proptest! {
        /// Loaded all at once they are what they are set one by one; a second one is refused by both.
        #[test]
        fn keys_that_are_loaded_are_those_that_were_set(
            keys in prop::collection::vec(0_u64..40, 0..=ACCOUNTS as usize),
        ) {
            let (mut set, mut loaded) = (Keys::new(ACCOUNTS), Keys::new(ACCOUNTS));
            let with_keys = (0..).zip(keys).filter(|(_, key)| *key != 0);
            let answers = with_keys.map(|(index, key)| {
                loaded.append(index, key);
                set.set(index, key)
            });
            let all_set = answers.fold(Ok(()), Result::and);
            prop_assert_eq!(loaded.settle().is_ok(), all_set.is_ok());
            if all_set.is_ok() {
                for key in 0..40 {
                    prop_assert_eq!(loaded.find(key), set.find(key));
                }
                for index in 0..ACCOUNTS {
                    prop_assert_eq!(loaded.key(index), set.key(index));
                }
            }
        }
    }

    #[test]
    fn two_accounts_with_one_key_are_named() {
        let mut keys = Keys::new(ACCOUNTS);
        for (index, key) in [(1, 9), (4, 7), (6, 9)] {
            keys.append(index, key);
        }
        let twice = Error::Duplicate { field: "key", index: 6, first_index: 1 };
        assert_eq!(keys.settle(), Err(twice));
    }
}
