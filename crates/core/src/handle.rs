//! Handles and the fixed slabs they point into.
//!
//! A handle is `index | generation << 32` in a `u64`. A slot's generation grows each time it is
//! vacated, so that a handle to what once lived there is recognised as stale: any `u64` that a
//! caller hands in is safe, and a wrong one is answered with an error. Zero is never a handle.
//!
//! # Bounds and cost
//! Every operation is O(1). [`Slab::new`] allocates; nothing after it does. A generation has 32
//! bits: a handle kept for 2^32 reuses of its slot could be mistaken for a new one.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::marker::PhantomData;

use crate::error::{Error, check_range};

mod state;

/// A name for a `T` in a slab: an index and the generation of that slot.
#[repr(transparent)]
pub struct Handle<T> {
    raw: u64,
    names: PhantomData<fn() -> T>,
}

impl<T> Handle<T> {
    /// The handle as a plain number, for hosts and for C. Never zero for an issued handle.
    #[must_use]
    pub const fn to_raw(self) -> u64 {
        self.raw
    }

    /// Takes any number for a handle; whether it names something is found out when it is used.
    #[must_use]
    pub const fn from_raw(raw: u64) -> Self {
        Self { raw, names: PhantomData }
    }

    /// Position in the slab, below its capacity for an issued handle. Stable while it lives.
    #[must_use]
    pub const fn index(self) -> u32 {
        self.raw as u32
    }

    const fn new(index: u32, generation: u32) -> Self {
        Self::from_raw((generation as u64) << 32 | index as u64)
    }

    const fn generation(self) -> u32 {
        (self.raw >> 32) as u32
    }
}

// By hand, because a derive would ask the same of `T`.
impl<T> Clone for Handle<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Handle<T> {}
impl<T> PartialEq for Handle<T> {
    fn eq(&self, other: &Self) -> bool {
        self.raw == other.raw
    }
}
impl<T> Eq for Handle<T> {}
impl<T> PartialOrd for Handle<T> {
    fn partial_cmp(&self, other: &Self) -> Option<core::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl<T> Ord for Handle<T> {
    fn cmp(&self, other: &Self) -> core::cmp::Ordering {
        self.raw.cmp(&other.raw)
    }
}
impl<T> core::hash::Hash for Handle<T> {
    fn hash<H: core::hash::Hasher>(&self, state: &mut H) {
        self.raw.hash(state);
    }
}
impl<T> Default for Handle<T> {
    /// The handle of nothing (zero): always stale.
    fn default() -> Self {
        Self::from_raw(0)
    }
}
impl<T> core::fmt::Debug for Handle<T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Handle({}v{})", self.index(), self.generation())
    }
}
#[cfg(feature = "document")]
impl<T> serde::Serialize for Handle<T> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.raw.serialize(serializer)
    }
}
#[cfg(feature = "document")]
impl<'de, T> serde::Deserialize<'de> for Handle<T> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        u64::deserialize(deserializer).map(Self::from_raw)
    }
}

/// End of the list of vacant slots.
const NONE: u32 = u32::MAX;

#[derive(Clone, Copy, Debug)]
struct Slot<T> {
    /// Of the present tenant, or of the next one while vacant. Never zero.
    generation: u32,
    next_vacant: u32,
    value: Option<T>,
}

/// A fixed number of slots for `T`, addressed by [`Handle`].
#[derive(Debug)]
pub struct Slab<T> {
    slots: Box<[Slot<T>]>,
    vacant: u32,
    len: u32,
    /// The name under which a full slab or a stale handle is reported.
    field: &'static str,
}

impl<T> Slab<T> {
    /// A slab of `capacity` vacant slots; `field` names it in errors.
    ///
    /// # Errors
    /// [`Error::Range`] unless `1 <= capacity < 2^32 - 1`.
    pub fn new(field: &'static str, capacity: u32) -> Result<Self, Error> {
        check_range(field, u64::from(capacity), 1, u64::from(NONE) - 1)?;
        let mut slots = Vec::with_capacity(capacity as usize);
        for index in 0..capacity {
            let next_vacant = if index + 1 == capacity { NONE } else { index + 1 };
            slots.push(Slot { generation: 1, next_vacant, value: None });
        }
        Ok(Self { slots: slots.into_boxed_slice(), vacant: 0, len: 0, field })
    }

    /// Bytes that a slab of `capacity` slots takes from the heap.
    #[must_use]
    pub const fn bytes_needed(capacity: u32) -> u64 {
        capacity as u64 * core::mem::size_of::<Slot<T>>() as u64
    }

    /// Slots in use.
    #[must_use]
    pub const fn len(&self) -> u32 {
        self.len
    }

    /// True when no slot is in use.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Slots in all.
    #[must_use]
    pub const fn capacity(&self) -> u32 {
        self.slots.len() as u32
    }

    /// True when [`Slab::insert`] would be refused.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.vacant == NONE
    }

    /// Puts `value` into a vacant slot.
    ///
    /// # Errors
    /// [`Error::Full`] when every slot is in use.
    pub fn insert(&mut self, value: T) -> Result<Handle<T>, Error> {
        let index = self.vacant;
        let capacity = u64::from(self.capacity());
        let slot = self
            .slots
            .get_mut(index as usize)
            .ok_or(Error::Full { field: self.field, capacity })?;
        self.vacant = slot.next_vacant;
        slot.value = Some(value);
        self.len += 1;
        Ok(Handle::new(index, slot.generation))
    }

    /// Takes the value out; its handle is stale from now on.
    ///
    /// # Errors
    /// [`Error::Stale`] for a handle that names nothing here.
    pub fn remove(&mut self, handle: Handle<T>) -> Result<T, Error> {
        let stale = self.stale(handle);
        let vacant = self.vacant;
        let slot = self.slots.get_mut(handle.index() as usize).ok_or(stale)?;
        if slot.generation != handle.generation() {
            return Err(stale);
        }
        let value = slot.value.take().ok_or(stale)?;
        slot.generation = slot.generation.checked_add(1).unwrap_or(1);
        slot.next_vacant = vacant;
        self.vacant = handle.index();
        self.len -= 1;
        Ok(value)
    }

    /// The value that `handle` names.
    ///
    /// # Errors
    /// [`Error::Stale`] for a handle that names nothing here.
    pub fn get(&self, handle: Handle<T>) -> Result<&T, Error> {
        match self.slots.get(handle.index() as usize) {
            Some(Slot { generation, value: Some(value), .. })
                if *generation == handle.generation() =>
            {
                Ok(value)
            }
            _ => Err(self.stale(handle)),
        }
    }

    /// The value that `handle` names, to be changed.
    ///
    /// # Errors
    /// [`Error::Stale`] for a handle that names nothing here.
    pub fn get_mut(&mut self, handle: Handle<T>) -> Result<&mut T, Error> {
        let stale = self.stale(handle);
        match self.slots.get_mut(handle.index() as usize) {
            Some(Slot { generation, value: Some(value), .. })
                if *generation == handle.generation() =>
            {
                Ok(value)
            }
            _ => Err(stale),
        }
    }

    /// The value at a position, if that slot is in use.
    #[must_use]
    pub fn at(&self, index: u32) -> Option<&T> {
        self.slots.get(index as usize)?.value.as_ref()
    }

    /// The value at a position, if that slot is in use, to be changed.
    pub fn at_mut(&mut self, index: u32) -> Option<&mut T> {
        self.slots.get_mut(index as usize)?.value.as_mut()
    }

    /// The handle of the value at a position, if that slot is in use.
    #[must_use]
    pub fn handle_at(&self, index: u32) -> Option<Handle<T>> {
        let slot = self.slots.get(index as usize)?;
        slot.value.is_some().then(|| Handle::new(index, slot.generation))
    }

    /// All values in use with their handles, in order of position.
    pub fn iter(&self) -> impl Iterator<Item = (Handle<T>, &T)> {
        self.slots.iter().enumerate().filter_map(|(index, slot)| {
            let value = slot.value.as_ref()?;
            Some((Handle::new(index as u32, slot.generation), value))
        })
    }

    /// Makes it the same as another slab: the same handles are valid, stale and issued next. O(slots).
    ///
    /// # Errors
    /// [`Error::Range`] unless both have the same capacity, with nothing changed.
    pub(crate) fn copy_from(&mut self, other: &Self) -> Result<(), Error>
    where
        T: Copy,
    {
        let capacity = u64::from(self.capacity());
        check_range(self.field, other.capacity().into(), capacity, capacity)?;
        self.slots.copy_from_slice(&other.slots);
        (self.vacant, self.len) = (other.vacant, other.len);
        Ok(())
    }

    fn stale(&self, handle: Handle<T>) -> Error {
        Error::Stale { field: self.field, handle: handle.to_raw() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    #[test]
    fn a_full_slab_says_so_and_a_freed_slot_is_reused_under_a_new_handle() {
        let mut slab = Slab::new("requests", 2).unwrap();
        let first = slab.insert('a').unwrap();
        slab.insert('b').unwrap();
        assert_eq!(slab.insert('c'), Err(Error::Full { field: "requests", capacity: 2 }));
        assert_eq!(slab.remove(first), Ok('a'));
        let third = slab.insert('c').unwrap();
        assert_eq!(third.index(), first.index());
        assert_ne!(third, first);
        assert_eq!(slab.get(third), Ok(&'c'));
        assert!(slab.get(first).is_err());
    }

    proptest! {
        /// Whatever is inserted, removed and forged, the slab answers as a map would.
        #[test]
        fn behaves_as_a_map(ops in prop::collection::vec((0u8..4, any::<u64>()), 1..400)) {
            let mut slab = Slab::new("things", 16).unwrap();
            let mut model: BTreeMap<u64, u64> = BTreeMap::new();
            let mut dead: std::vec::Vec<u64> = std::vec::Vec::new();
            for (op, number) in ops {
                let pick = model.keys().nth(number as usize % model.len().max(1)).copied();
                match (op, pick) {
                    (0 | 1, _) => {
                        if let Ok(handle) = slab.insert(number) {
                            prop_assert!(model.insert(handle.to_raw(), number).is_none());
                        } else {
                            prop_assert_eq!(model.len(), 16);
                        }
                    }
                    (2, Some(raw)) => {
                        let removed = slab.remove(Handle::from_raw(raw)).ok();
                        prop_assert_eq!(removed, model.remove(&raw));
                        dead.push(raw);
                    }
                    _ => prop_assert_eq!(
                        slab.get(Handle::from_raw(number)).ok(), model.get(&number)),
                }
                prop_assert_eq!(slab.len() as usize, model.len());
                for raw in &dead {
                    prop_assert!(slab.get(Handle::from_raw(*raw)).is_err());
                }
                for (raw, value) in &model {
                    prop_assert_eq!(slab.get(Handle::from_raw(*raw)), Ok(value));
                }
            }
        }
    }
}
