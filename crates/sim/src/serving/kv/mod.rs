//! The paged KV cache of one engine: blocks with reference counts and a prefix cache.
//!
//! # What it decides
//! Which physical block holds which tokens, and what a request finds already computed.
//!
//! # How
//! - Memory is cut into blocks of [`KvGeometry::block_tokens`] tokens. A request holds a list of
//!   them; a block may be held by several requests that share a prefix.
//! - A block that is full has a *name*: for the part of a prompt that the trace gives hashes for,
//!   the chained hash and the position; for all other tokens the request and the position, so that
//!   a request that lost its memory finds those of its own blocks that nobody reused.
//! - A freed block goes to the tail of the free list and keeps its name until it is taken from the
//!   head. A request's blocks are freed last first, so that the beginning of a prompt, which others
//!   are most likely to share, survives longest.
//!
//! # Bounds and cost
//! O(1) a block for every operation (one expected-O(1) map access where names are involved);
//! nothing allocates once block lists have grown to their largest size.
//!
//! # What it leaves out
//! Where two requests compute the same block side by side, only the first copy is named. One
//! block is not set aside as a null block.
//!
//! # Source
//! vLLM V1, `v1/core/block_pool.py` and `kv_cache_utils.py` (0.19).

mod free_list;
mod restore;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::collections::hash_map::{DefaultHasher, Entry};
use std::hash::BuildHasherDefault;

use rampmeter::Tokens;
use rampmeter::engine::KvGeometry;

use crate::workload::{Request, Workload};
use free_list::FreeList;
pub use restore::KvChange;

/// What is in a full block.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
enum Name {
    /// Part of a prompt that the trace has hashes for: hash of the prefix that ends in or after
    /// this block, and the block's position.
    Shared(u64, u32),
    /// Tokens of one request only: the request, and the block's position in it.
    Own(u32, u32),
}

#[derive(Clone, Copy, Debug, Default)]
struct Block {
    /// Requests that hold it; 0 = on the free list.
    holders: u32,
    /// What it contains, once full.
    name: Option<Name>,
}

/// What one request holds.
#[derive(Clone, Debug, Default)]
struct Held {
    blocks: Vec<u32>,
    /// Leading blocks that are full and were offered a name.
    named: u32,
}

/// The blocks of one engine and who holds them.
pub struct KvPool<'w> {
    workload: &'w Workload,
    geometry: KvGeometry,
    /// Whether prompts share blocks by the trace's hashes; else each has only its own.
    shares_prefixes: bool,
    blocks: Box<[Block]>,
    free: FreeList,
    by_name: HashMap<Name, u32, BuildHasherDefault<DefaultHasher>>,
    held: Box<[Held]>,
    /// Emptied block lists, kept for their memory.
    spare: Vec<Vec<u32>>,
    /// What became of shared blocks and was not read yet, if anybody wants to know.
    changes: Option<Vec<KvChange>>,
}

impl<'w> KvPool<'w> {
    /// An empty cache for the requests of `workload`.
    pub fn new(geometry: KvGeometry, workload: &'w Workload, shares_prefixes: bool) -> Self {
        let count = geometry.blocks().get();
        Self {
            workload,
            geometry,
            shares_prefixes,
            blocks: vec![Block::default(); count as usize].into_boxed_slice(),
            free: FreeList::full(count),
            by_name: HashMap::with_capacity_and_hasher(
                count as usize,
                BuildHasherDefault::default(),
            ),
            held: vec![Held::default(); workload.requests.len()].into_boxed_slice(),
            spare: Vec::new(),
            changes: None,
        }
    }

    /// How many blocks there are and what each holds.
    pub fn geometry(&self) -> KvGeometry {
        self.geometry
    }

    /// Blocks that nobody holds; those with a name can still be found until they are taken.
    pub fn blocks_free(&self) -> u32 {
        self.free.len()
    }

    /// Blocks that `request` holds.
    pub fn blocks_held(&self, request: u32) -> u32 {
        self.held[request as usize].blocks.len() as u32
    }

    /// Leading tokens of `request` that are in the cache, were it to start now with `tokens`
    /// tokens to compute. Whole blocks; at least one token is always left to compute.
    pub fn cached_tokens(&self, request: u32, tokens: u32) -> u32 {
        let found = self.found(request, tokens).count() as u32;
        found * self.geometry.block_tokens()
    }

    /// True if `request`, which holds nothing, could be given room for `tokens` tokens now.
    pub fn fits(&self, request: u32, tokens: u32) -> bool {
        let needed = self.geometry.blocks_for(Tokens(tokens)).get();
        if needed <= self.free.len() {
            return true;
        }
        // Only what others hold comes for nothing: a found block on the free list leaves it.
        let found = self.found(request, tokens);
        let resident = found.filter(|block| self.blocks[*block as usize].holders > 0).count();
        needed - resident as u32 <= self.free.len()
    }

    /// Gives `request`, which holds nothing, the blocks that the cache has of its first `tokens`
    /// tokens. Returns how many tokens those hold.
    pub fn reuse(&mut self, request: u32, tokens: u32) -> u32 {
        let mut held = self.spare.pop().unwrap_or_default();
        held.extend(self.found(request, tokens));
        for &block in &held {
            let entry = &mut self.blocks[block as usize];
            if entry.holders == 0 {
                self.free.remove(block);
            }
            entry.holders += 1;
        }
        let named = held.len() as u32;
        self.held[request as usize] = Held { blocks: held, named };
        named * self.geometry.block_tokens()
    }

    /// Grows what `request` holds to room for `tokens_total` tokens; those are taken to be
    /// computed, so that full blocks get their names. Without enough free blocks nothing changes
    /// and the answer is `false`.
    pub fn allocate(&mut self, request: u32, tokens_total: u32) -> bool {
        let needed = self.geometry.blocks_for(Tokens(tokens_total)).get();
        let missing = needed.saturating_sub(self.blocks_held(request));
        if missing > self.free.len() {
            return false;
        }
        for _ in 0..missing {
            // The list is long enough, as was just checked.
            if let Some(block) = self.free.pop_front() {
                self.blocks[block as usize].holders = 1;
                self.take_name(block);
                self.held[request as usize].blocks.push(block);
            }
        }
        self.name_full_blocks(request, tokens_total);
        true
    }

    /// Takes back everything that `request` holds. What nobody else holds becomes free, last
    /// block first, and keeps its name until it is reused.
    pub fn free(&mut self, request: u32) {
        let mut held = std::mem::take(&mut self.held[request as usize]).blocks;
        for &block in held.iter().rev() {
            let entry = &mut self.blocks[block as usize];
            entry.holders -= 1;
            if entry.holders == 0 {
                self.free.push_back(block);
            }
        }
        held.clear();
        self.spare.push(held);
    }

    /// Takes the names off the blocks of `request` that are not full with its first
    /// `tokens_kept` tokens: the rest will not be computed after all.
    pub fn forget_names(&mut self, request: u32, tokens_kept: u32) {
        let kept = tokens_kept / self.geometry.block_tokens();
        for place in kept as usize..self.held[request as usize].blocks.len() {
            self.take_name(self.held[request as usize].blocks[place]);
        }
        let held = &mut self.held[request as usize];
        held.named = held.named.min(kept);
    }

    fn name_full_blocks(&mut self, request: u32, tokens_total: u32) {
        let full = tokens_total / self.geometry.block_tokens();
        let named = self.held[request as usize].named;
        for position in named..full {
            let name = self.name(request, position);
            let block = self.held[request as usize].blocks[position as usize];
            self.give_name(block, name);
        }
        self.held[request as usize].named = named.max(full);
    }

    /// A block contains this from now on; where another one does already, that one is found.
    fn give_name(&mut self, block: u32, name: Name) {
        if let Entry::Vacant(vacant) = self.by_name.entry(name) {
            vacant.insert(block);
            self.blocks[block as usize].name = Some(name);
            self.changed(name, KvChange::Stored);
        }
    }

    /// A block will contain something else.
    fn take_name(&mut self, block: u32) {
        if let Some(name) = self.blocks[block as usize].name.take() {
            self.by_name.remove(&name);
            self.changed(name, KvChange::Removed);
        }
    }

    /// The blocks that the cache has of the first `tokens` tokens of `request`.
    fn found(&self, request: u32, tokens: u32) -> impl Iterator<Item = u32> {
        let whole = tokens.saturating_sub(1) / self.geometry.block_tokens();
        (0..whole)
            .map_while(move |position| self.by_name.get(&self.name(request, position)).copied())
    }

    fn name(&self, request: u32, position: u32) -> Name {
        let Request { prompt_tokens, prefix, .. } = &self.workload.requests[request as usize];
        let end = (u64::from(position) + 1) * u64::from(self.geometry.block_tokens());
        if self.shares_prefixes && end <= u64::from(*prompt_tokens) {
            // Hashes are chained: that of the block's last token speaks for all before it.
            let entry = (end - 1) / u64::from(self.workload.prefix_block_tokens.max(1));
            if let Some(hash) = prefix.get(entry as usize) {
                return Name::Shared(*hash, position);
            }
        }
        Name::Own(request, position)
    }
}
