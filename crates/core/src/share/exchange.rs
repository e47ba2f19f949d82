//! Exchange.

use super::{AccountTree, LedgerOptions};
use crate::error::{Error, check_range};
use crate::snapshot::Words;

/// Most other ledgers that one exchanges service with.
pub const REPLICAS_MAX: u32 = 255;

#[derive(Debug)]
pub(super) struct Exchange;

impl Exchange {
    pub(super) fn new(options: &LedgerOptions) -> Result<Self, Error> {
        check_range("replicas_max", options.replicas_max.into(), 0, REPLICAS_MAX.into())?;
        Ok(Self)
    }

    pub(super) const fn bytes_needed(_options: &LedgerOptions) -> u64 {
        0
    }

    /// Forgets whoever had this index before.
    pub(super) fn reset(&mut self, _index: u32) {}

    pub(super) fn forget(&mut self, _index: u32) {}

    /// Makes it as it was when new.
    pub(super) fn clear(&mut self) {}

    /// Tells what it knows about the open accounts.
    pub(super) fn save_state(&self, _tree: &AccountTree, _save: &mut dyn FnMut(u64)) {}

    /// Takes what [`Self::save_state`] told.
    pub(super) fn load_state(
        &mut self,
        _tree: &AccountTree,
        _words: &mut Words<'_>,
    ) -> Result<(), Error> {
        Ok(())
    }
}
