//! Names.

use super::{AccountTree, LedgerOptions};
use crate::error::Error;
use crate::snapshot::Words;

#[derive(Debug)]
pub(super) struct Names;

impl Names {
    pub(super) const fn new(_options: &LedgerOptions) -> Self {
        Self
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
