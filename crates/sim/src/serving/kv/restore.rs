//! What a cache tells of itself, and what is brought into it from elsewhere.
//!
//! Blocks that were computed before and kept in a slower tier, or computed by another engine, are put
//! on the free list with their names: whoever needs them finds them as if they had never left.

use super::{KvPool, Name};

/// What became of a block of a prompt that the trace has a hash for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum KvChange {
    /// It can be found from now on.
    Stored(u64),
    /// It cannot be found any more.
    Removed(u64),
}

impl KvPool<'_> {
    /// From now on changes are kept until they are read.
    pub fn watch(&mut self) {
        self.changes.get_or_insert_default();
    }

    /// What became of shared blocks since this was last asked, in order. Blocks are those of the
    /// engine: hashes are one for each only where the trace's are as long.
    pub fn take_changes(&mut self) -> Vec<KvChange> {
        self.changes.as_mut().map_or_else(Vec::new, std::mem::take)
    }

    pub(super) fn changed(&mut self, name: Name, change: impl FnOnce(u64) -> KvChange) {
        if let (Some(changes), Name::Shared(hash, _)) = (&mut self.changes, name) {
            changes.push(change(hash));
        }
    }

    /// Brings the full blocks of the first `tokens` tokens of a request in, as far as there are free
    /// blocks: nobody holds them, and they are the last to be taken for something else, the
    /// beginning of the prompt after the rest.
    pub fn restore(&mut self, request: u32, tokens: u32) {
        let count = (tokens / self.geometry.block_tokens()).min(self.free.len());
        self.refresh(request, count);
        for position in (0..count).rev() {
            let name = self.name(request, position);
            if self.by_name.contains_key(&name) {
                continue;
            }
            let Some(block) = self.free.pop_front() else { break };
            self.take_name(block);
            self.give_name(block, name);
            self.free.push_back(block);
        }
        self.refresh(request, count);
    }

    /// Of the first blocks of a request, those that are free go to the end of the free list.
    fn refresh(&mut self, request: u32, count: u32) {
        for position in (0..count).rev() {
            let found = self.by_name.get(&self.name(request, position)).copied();
            if let Some(block) = found.filter(|block| self.blocks[*block as usize].holders == 0) {
                self.free.remove(block);
                self.free.push_back(block);
            }
        }
    }
}
