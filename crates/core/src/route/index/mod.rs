//! Who holds which blocks of which prompts?
//!
//! # What it decides
//! For a prompt, given as the chained hashes of its blocks: how many of its leading blocks each
//! replica holds, in memory of the device, in that or the host's, and anywhere.
//!
//! # How
//! ```text
//! table    hash -> block            open addressing (`table`)
//! block    hash, age, sets          in a list from the least to the most recently used
//! set      64 replicas, a bit each, for each tier
//! ```
//! A lookup walks the blocks of the prompt from its beginning and keeps, for each tier, the set of
//! replicas that held every block so far: an intersection of words. A replica that drops out has
//! its count. The walk ends at the first block that nobody holds who is still in.
//!
//! # Bounds and cost
//! O(blocks of the prompt * sets of a block); each replica drops out once. Blocks of one prompt
//! stand beside each other where they were put in together, so that most are found without the
//! table, and move to the front of the list together. What will be read of memory for blocks that
//! are new, and for those that make room, is asked for at once, not one after the other. 32 bytes a
//! block and 11 to 22 more in the table, 32 a set, 40 for each 64 replicas, 28 a replica and 16 a
//! block of the longest prompt, all taken when it is built.
//! Full: the block that nobody used for longest is forgotten. A prompt uses its last block first,
//! so that a beginning, without which nothing behind it can be found, outlives its continuations.
//! `clear` looks at everything: O(index).
//!
//! # What it is bad at
//! - Blocks in the middle that a replica lost hide those behind them, as they do for the engine.
//! - Hashes that are chosen to share a place in the table make a long row.
//! - Tiers count from the beginning: a block on the device behind one on the disk counts as if it
//!   had to be loaded, too.
//!
//! # Source
//! Prefix trees of routers (`SGLang`, Preble, Dynamo) keep replicas at each node; chained hashes
//! make the tree a table (vLLM). Sets as words: ours.

mod state;
mod table;
#[cfg(test)]
mod tests;
mod walk;

use alloc::boxed::Box;
use alloc::vec;

use super::options::{RouterOptions, TIERS, Tier};
use crate::units::Nanos;

use table::{Table, tag_of};
pub(super) use walk::Matched;
use walk::Walk;

/// No block, no set.
const NONE: u32 = u32::MAX;

#[derive(Clone, Copy, Debug)]
struct Block {
    hash: u64,
    /// When a request or an event last named it.
    used: Nanos,
    /// The first of its sets; of a free block [`NONE`].
    sets: u32,
    older: u32,
    /// Of a free block the next free one.
    newer: u32,
    /// That of its hash in the table.
    tag: u32,
}

#[derive(Clone, Copy, Debug)]
struct Set {
    held: [u64; TIERS],
    /// Replicas `64 * group` and following.
    group: u32,
    /// Of the same block in order of groups, or in the list of free sets.
    next: u32,
}

impl Set {
    /// Who holds it in a tier or a faster one.
    fn by_speed(&self) -> [u64; TIERS] {
        let [device, host, disk] = self.held;
        [device, device | host, device | host | disk]
    }
}

/// Blocks and who holds them.
#[derive(Debug)]
pub(super) struct Index {
    table: Table,
    blocks: Box<[Block]>,
    sets: Box<[Set]>,
    free_block: u32,
    free_set: u32,
    oldest: u32,
    newest: u32,
    len: u32,
    sets_len: u32,
    evicted: u64,
    walk: Walk,
}

impl Index {
    pub(super) fn new(options: &RouterOptions) -> Self {
        let block =
            Block { hash: 0, used: Nanos::ZERO, sets: NONE, older: NONE, newer: NONE, tag: 0 };
        let set = Set { held: [0; TIERS], group: 0, next: NONE };
        let mut index = Self {
            table: Table::new(options.blocks_max),
            blocks: vec![block; options.blocks_max as usize].into_boxed_slice(),
            sets: vec![set; options.sets_max as usize].into_boxed_slice(),
            free_block: NONE,
            free_set: NONE,
            oldest: NONE,
            newest: NONE,
            len: 0,
            sets_len: 0,
            evicted: 0,
            walk: Walk::new(options),
        };
        index.free_all();
        index
    }

    pub(super) const fn bytes_needed(options: &RouterOptions) -> u64 {
        let table = Table::bytes_needed(options.blocks_max);
        let blocks = options.blocks_max as u64 * size_of::<Block>() as u64;
        let sets = options.sets_max as u64 * size_of::<Set>() as u64;
        table + blocks + sets + Walk::bytes_needed(options)
    }

    /// Blocks known, sets in use, and blocks that were forgotten for lack of room.
    pub(super) const fn counts(&self) -> (u32, u32, u64) {
        (self.len, self.sets_len, self.evicted)
    }

    /// A replica holds a block from now on.
    pub(super) fn hold(&mut self, now: Nanos, hash: u64, replica: u32, tier: Tier) {
        let tag = tag_of(hash);
        let block = match self.table.find(&self.blocks, hash, tag) {
            NONE if self.free_block == NONE && self.replaces_oldest(now, hash, replica, tier) => {
                return;
            }
            NONE => self.insert(hash, tag),
            block => block,
        };
        self.use_block(now, block);
        self.add(block, replica, tier);
    }

    /// In a full index, a block that is not there takes place and set of the oldest one: what
    /// forgetting that and putting this in would come to. `false`, and nothing is changed, if that one
    /// has several sets or stands alone.
    fn replaces_oldest(&mut self, now: Nanos, hash: u64, replica: u32, tier: Tier) -> bool {
        let Self { blocks, sets, .. } = self;
        let index = self.oldest;
        let Some(&Block { tag: old_tag, sets: at, newer, .. }) = blocks.get(index as usize) else {
            return false;
        };
        let Some(set) = sets.get_mut(at as usize) else { return false };
        if set.next != NONE || newer == NONE {
            return false;
        }
        let ((group, bit), tag, newest) = (place_of(replica), tag_of(hash), self.newest);
        let mut held = [0; TIERS];
        held[tier as usize] = bit;
        *set = Set { held, group, next: NONE };
        blocks[newer as usize].older = NONE;
        blocks[newest as usize].newer = index;
        blocks[index as usize] =
            Block { hash, used: now, sets: at, older: newest, newer: NONE, tag };
        self.table.remove(old_tag, index);
        self.table.insert(tag, index);
        (self.oldest, self.newest) = (newer, index);
        self.evicted += 1;
        true
    }

    /// A replica holds a block in this tier no more.
    pub(super) fn lose(&mut self, hash: u64, replica: u32, tier: Tier) {
        let block = self.find(hash);
        if block != NONE {
            self.take(block, replica, &[tier]);
        }
    }

    /// A replica holds nothing any more. O(index).
    pub(super) fn clear(&mut self, replica: u32) {
        self.lose_while(replica, |_| true);
    }

    /// A replica holds nothing any more of what was not used since. O(index).
    pub(super) fn clear_before(&mut self, replica: u32, since: Nanos) {
        self.lose_while(replica, |used| used < since);
    }

    /// From the block that nobody used for longest on.
    fn lose_while(&mut self, replica: u32, is_lost: impl Fn(Nanos) -> bool) {
        let mut block = self.oldest;
        while let Some(&Block { used, newer, .. }) = self.blocks.get(block as usize)
            && is_lost(used)
        {
            self.take(block, replica, &[Tier::Device, Tier::Host, Tier::Disk]);
            block = newer;
        }
    }

    /// Nobody holds anything. O(index).
    pub(super) fn empty(&mut self) {
        self.table.clear();
        (self.oldest, self.newest, self.len, self.sets_len) = (NONE, NONE, 0, 0);
        self.evicted = 0;
        self.free_all();
    }

    fn free_all(&mut self) {
        for (index, block) in (1..).zip(&mut self.blocks) {
            (block.sets, block.newer) = (NONE, index);
        }
        for (index, set) in (1..).zip(&mut self.sets) {
            set.next = index;
        }
        if let Some(last) = self.blocks.last_mut() {
            last.newer = NONE;
        }
        if let Some(last) = self.sets.last_mut() {
            last.next = NONE;
        }
        (self.free_block, self.free_set) = (0, 0);
    }

    /// The block of that hash, or [`NONE`].
    fn find(&self, hash: u64) -> u32 {
        self.table.find(&self.blocks, hash, tag_of(hash))
    }

    /// A block that is not there yet, as the most recently used one, with no holders.
    fn insert(&mut self, hash: u64, tag: u32) -> u32 {
        if self.free_block == NONE {
            self.evict(NONE);
        }
        let index = self.free_block;
        let block = &mut self.blocks[index as usize];
        self.free_block = block.newer;
        (block.hash, block.tag) = (hash, tag);
        self.table.insert(tag, index);
        self.len += 1;
        self.append(index);
        index
    }

    /// Forgets the least recently used block that is not `kept`.
    fn evict(&mut self, kept: u32) {
        let oldest = match self.oldest {
            oldest if oldest == kept => self.blocks[oldest as usize].newer,
            oldest => oldest,
        };
        self.remove(oldest);
        self.evicted += 1;
    }

    fn remove(&mut self, index: u32) {
        let Block { tag, sets, .. } = self.blocks[index as usize];
        let mut set = sets;
        while set != NONE {
            set = self.release(set);
        }
        self.table.remove(tag, index);
        self.detach(index);
        let block = &mut self.blocks[index as usize];
        (block.newer, block.sets) = (self.free_block, NONE);
        self.free_block = index;
        self.len -= 1;
    }

    /// Gives a set back and returns the one behind it.
    fn release(&mut self, index: u32) -> u32 {
        let next = core::mem::replace(&mut self.sets[index as usize].next, self.free_set);
        self.free_set = index;
        self.sets_len -= 1;
        next
    }

    /// Sets the bit of a replica, which may take a set, which may take the oldest block.
    fn add(&mut self, block: u32, replica: u32, tier: Tier) {
        let (group, bit) = place_of(replica);
        let (mut before, mut at) = (NONE, self.blocks[block as usize].sets);
        while at != NONE && self.sets[at as usize].group < group {
            (before, at) = (at, self.sets[at as usize].next);
        }
        if at == NONE || self.sets[at as usize].group != group {
            // There are sets enough for one block that all replicas hold: another one has some.
            if self.free_set == NONE {
                self.evict(block);
            }
            let new = self.free_set;
            self.free_set = self.sets[new as usize].next;
            self.sets[new as usize] = Set { held: [0; TIERS], group, next: at };
            match before {
                NONE => self.blocks[block as usize].sets = new,
                before => self.sets[before as usize].next = new,
            }
            self.sets_len += 1;
            at = new;
        }
        self.sets[at as usize].held[tier as usize] |= bit;
    }

    /// Clears bits of a replica; what nobody holds any more is forgotten.
    fn take(&mut self, block: u32, replica: u32, tiers: &[Tier]) {
        let (group, bit) = place_of(replica);
        let (mut before, mut at) = (NONE, self.blocks[block as usize].sets);
        while at != NONE && self.sets[at as usize].group < group {
            (before, at) = (at, self.sets[at as usize].next);
        }
        if at == NONE || self.sets[at as usize].group != group {
            return;
        }
        let held = &mut self.sets[at as usize].held;
        for tier in tiers {
            held[*tier as usize] &= !bit;
        }
        if *held != [0; TIERS] {
            return;
        }
        let next = self.release(at);
        match before {
            NONE => self.blocks[block as usize].sets = next,
            before => self.sets[before as usize].next = next,
        }
        if self.blocks[block as usize].sets == NONE {
            self.remove(block);
        }
    }

    fn use_block(&mut self, now: Nanos, index: u32) {
        if self.newest != index {
            self.detach(index);
            self.append(index);
        }
        self.blocks[index as usize].used = now;
    }

    fn append(&mut self, index: u32) {
        self.append_run(index, index);
    }

    fn detach(&mut self, index: u32) {
        self.detach_run(index, index);
    }

    /// Appends blocks that follow each other, from the less to the more recently used one.
    fn append_run(&mut self, first: u32, last: u32) {
        let newest = self.newest;
        self.blocks[first as usize].older = newest;
        self.blocks[last as usize].newer = NONE;
        match newest {
            NONE => self.oldest = first,
            newest => self.blocks[newest as usize].newer = first,
        }
        self.newest = last;
    }

    fn detach_run(&mut self, first: u32, last: u32) {
        let (older, newer) = (self.blocks[first as usize].older, self.blocks[last as usize].newer);
        match older {
            NONE => self.oldest = newer,
            older => self.blocks[older as usize].newer = newer,
        }
        match newer {
            NONE => self.newest = older,
            newer => self.blocks[newer as usize].older = older,
        }
    }
}

/// The block of that hash, or [`NONE`], where the one before it in a prompt stands at `before`:
/// those of one prompt are put in from its end, each into the place behind the last.
fn find_behind(table: &Table, blocks: &[Block], before: u32, hash: u64) -> u32 {
    let guess = before.wrapping_sub(1);
    match blocks.get(guess as usize) {
        Some(block) if block.hash == hash && block.sets != NONE => guess,
        _ => table.find(blocks, hash, tag_of(hash)),
    }
}

/// Sets the bit of a replica in one of the sets from `first` on; `false` if it has none there.
fn add_in_place(sets: &mut [Set], first: u32, replica: u32, tier: Tier) -> bool {
    let (group, bit) = place_of(replica);
    let mut at = first;
    while let Some(set) = sets.get_mut(at as usize) {
        if set.group == group {
            set.held[tier as usize] |= bit;
            return true;
        }
        at = set.next;
    }
    false
}

/// Group and bit of a replica.
const fn place_of(replica: u32) -> (u32, u64) {
    (replica / u64::BITS, 1 << (replica % u64::BITS))
}
