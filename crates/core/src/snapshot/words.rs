//! Reading a saved state back, word by word, believing nothing.
//!
//! # Bounds and cost
//! O(1) for each word; nothing is kept. What a word means, and whether the words agree with each
//! other, is for the room to say that saved them.

use crate::error::{Error, check_range, check_real};

/// The word that stands for no index.
const NONE: u32 = u32::MAX;

/// Words of a saved state, read one after the other and believed in nothing.
pub(crate) struct Words<'a> {
    source: &'a mut dyn FnMut() -> Option<u64>,
    read: u64,
}

impl<'a> Words<'a> {
    pub(crate) fn new(source: &'a mut dyn FnMut() -> Option<u64>) -> Self {
        Self { source, read: 0 }
    }

    /// The next word.
    ///
    /// # Errors
    /// [`Error::BufferTooSmall`] at the end.
    pub(crate) fn next(&mut self) -> Result<u64, Error> {
        let (given, needed) = (self.read, self.read + 1);
        let word =
            (self.source)().ok_or(Error::BufferTooSmall { field: "state", given, needed })?;
        self.read = needed;
        Ok(word)
    }

    /// The next word, which must lie in `min..=max`.
    pub(crate) fn next_within(
        &mut self,
        field: &'static str,
        min: u32,
        max: u32,
    ) -> Result<u32, Error> {
        check_range(field, self.next()?, min.into(), max.into()).map(|word| word as u32)
    }

    /// The next word, which must be below `len`, or [`u32::MAX`] for none.
    pub(crate) fn next_index(&mut self, field: &'static str, len: u32) -> Result<u32, Error> {
        match self.next()? {
            none if none == u64::from(NONE) => Ok(NONE),
            index => check_range(field, index, 0, u64::from(len) - 1).map(|index| index as u32),
        }
    }

    /// The next word as a number, which must be finite and not below zero (nor its negative).
    pub(crate) fn next_amount(&mut self, field: &'static str) -> Result<f64, Error> {
        // Among the bit patterns of `f64`, those of zero to the largest come first, in order.
        let bits = check_range(field, self.next()?, 0, f64::MAX.to_bits())?;
        Ok(f64::from_bits(bits))
    }

    /// The next word, which must be a number of 32 bits.
    pub(crate) fn next_u32(&mut self, field: &'static str) -> Result<u32, Error> {
        self.next_within(field, 0, u32::MAX)
    }

    /// The next word, which must be 0 or 1.
    pub(crate) fn next_flag(&mut self, field: &'static str) -> Result<bool, Error> {
        Ok(self.next_within(field, 0, 1)? == 1)
    }

    /// The next word as the two numbers that [`pair`] put into it.
    pub(crate) fn next_pair(&mut self) -> Result<(u32, u32), Error> {
        self.next().map(|word| (word as u32, (word >> 32) as u32))
    }

    /// The next word as a number, which must lie in `min..=max`.
    pub(crate) fn next_real(
        &mut self,
        field: &'static str,
        min: f64,
        max: f64,
    ) -> Result<f64, Error> {
        check_real(field, f64::from_bits(self.next()?), min, max)
    }

    /// The next word, which counts something since the beginning. Below 2^62, which counting one
    /// by one never reaches, so that going on from there never overflows.
    pub(crate) fn next_count(&mut self, field: &'static str) -> Result<u64, Error> {
        check_range(field, self.next()?, 0, 1 << 62)
    }

    /// The words themselves, for rooms that read them in their own way.
    pub(crate) fn source(&mut self) -> &mut dyn FnMut() -> Option<u64> {
        self.source
    }
}

/// Two numbers in one word.
pub(crate) const fn pair(low: u32, high: u32) -> u64 {
    low as u64 | (high as u64) << 32
}
