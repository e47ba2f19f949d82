//! Where does the block of a hash stand?
//!
//! # How
//! Open addressing with linear probing: a word for each block, with the *tag* of its hash beside its
//! place, so that a hash that is not there is told by one line of memory, and a block leaves without
//! a look at others. Places behind one that becomes free move up, so that nothing is left behind.
//!
//! ```text
//! tag    upper half of hash * 2^64 / golden ratio        a hash may be a mere number
//! home   the first bits of the tag
//! ```
//!
//! # Bounds and cost
//! At most three words of four are in use: 2.5 looks at a hash that is there, 8.5 at one that is not,
//! eight words to a line (Knuth, *The Art of Computer Programming*, volume 3, section 6.4). 11 to 22
//! bytes a block.
//!
//! # What it is bad at
//! Hashes that are chosen to begin at the same word make a long row.

use alloc::boxed::Box;
use alloc::vec;

use super::{Block, NONE};

/// Odd, and 2^64 over the golden ratio: spreads numbers in a row evenly (Knuth, section 6.4).
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// A word: the tag of a hash, and the place of its block; [`NONE`] in an empty one.
#[derive(Clone, Copy, Debug)]
struct Entry {
    tag: u32,
    block: u32,
}

const EMPTY: Entry = Entry { tag: 0, block: NONE };

/// Places of blocks by hash.
#[derive(Debug)]
pub(super) struct Table {
    /// A power of two of them.
    entries: Box<[Entry]>,
    /// Bits of a tag that are not of its home.
    shift: u32,
}

impl Table {
    pub(super) fn new(blocks_max: u32) -> Self {
        let len = len_for(blocks_max);
        let shift = u32::BITS - len.trailing_zeros();
        Self { entries: vec![EMPTY; len].into_boxed_slice(), shift }
    }

    pub(super) const fn bytes_needed(blocks_max: u32) -> u64 {
        (len_for(blocks_max) * size_of::<Entry>()) as u64
    }

    pub(super) fn clear(&mut self) {
        self.entries.fill(EMPTY);
    }

    /// Where a tag is looked for first.
    const fn home(&self, tag: u32) -> usize {
        (tag >> self.shift) as usize
    }

    /// The next place, the first one after the last.
    const fn behind(&self, at: usize) -> usize {
        (at + 1) & (self.entries.len() - 1)
    }

    /// The block of that hash and tag, or [`NONE`].
    pub(super) fn find(&self, blocks: &[Block], hash: u64, tag: u32) -> u32 {
        let mut at = self.home(tag);
        loop {
            let entry = self.entries[at];
            if entry.block == NONE || entry.tag == tag && blocks[entry.block as usize].hash == hash
            {
                return entry.block;
            }
            at = self.behind(at);
        }
    }

    /// A block that is not there is there from now on.
    pub(super) fn insert(&mut self, tag: u32, block: u32) {
        let mut at = self.home(tag);
        while self.entries[at].block != NONE {
            at = self.behind(at);
        }
        self.entries[at] = Entry { tag, block };
    }

    /// A block that is there is there no more.
    pub(super) fn remove(&mut self, tag: u32, block: u32) {
        let mut hole = self.home(tag);
        while self.entries[hole].block != block {
            if self.entries[hole].block == NONE {
                return;
            }
            hole = self.behind(hole);
        }
        let (mask, mut at) = (self.entries.len() - 1, hole);
        loop {
            at = self.behind(at);
            let entry = self.entries[at];
            if entry.block == NONE {
                break;
            }
            // It moves up unless it would come to stand before the place where it is looked for.
            let from_home = at.wrapping_sub(self.home(entry.tag)) & mask;
            if from_home >= at.wrapping_sub(hole) & mask {
                self.entries[hole] = entry;
                hole = at;
            }
        }
        self.entries[hole] = EMPTY;
    }

    /// Something of where a tag is looked for first.
    pub(super) fn glance(&self, tag: u32) -> u32 {
        self.entries[self.home(tag)].block
    }
}

/// What of a hash stands in the table.
pub(super) const fn tag_of(hash: u64) -> u32 {
    (hash.wrapping_mul(GOLDEN) >> u32::BITS) as u32
}

/// Entries for so many blocks: a third more at least.
const fn len_for(blocks_max: u32) -> usize {
    (blocks_max as u64 * 4).div_ceil(3).next_power_of_two() as usize
}
