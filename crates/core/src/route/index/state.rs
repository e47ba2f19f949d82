//! The index as words: blocks from the least to the most recently used, each with its sets.

use super::{Index, NONE, Set, tag_of};
use crate::error::Error;
use crate::route::options::TIERS;
use crate::snapshot::{CONTRADICTION, Words, ensure};
use crate::units::Nanos;

impl Index {
    pub(in crate::route) fn save_state(&self, save: &mut dyn FnMut(u64)) {
        save(self.len.into());
        save(self.evicted);
        let mut at = self.oldest;
        while at != NONE {
            let block = &self.blocks[at as usize];
            save(block.hash);
            save(block.used.get());
            save(self.sets_of(at).count() as u64);
            for set in self.sets_of(at) {
                save(set.group.into());
                for replicas in set.held {
                    save(replicas);
                }
            }
            at = block.newer;
        }
    }

    /// Takes the words of [`Index::save_state`] into an index of the same capacities. `exists`
    /// gives the replicas of a group that there are.
    pub(in crate::route) fn load_state(
        &mut self,
        words: &mut Words<'_>,
        exists: &dyn Fn(u32) -> u64,
    ) -> Result<(), Error> {
        self.empty();
        let len = words.next_within("blocks", 0, self.blocks.len() as u32)?;
        self.evicted = words.next_count("evicted")?;
        for _ in 0..len {
            let (hash, used) = (words.next()?, Nanos(words.next()?));
            let sets = words.next_within("sets", 1, self.walk.groups())?;
            ensure(self.find(hash) == NONE && sets + self.sets_len <= self.sets.len() as u32)?;
            let block = self.insert(hash, tag_of(hash));
            self.blocks[block as usize].used = used;
            let mut last = NONE;
            for _ in 0..sets {
                let group = words.next_within("group", 0, self.walk.groups() - 1)?;
                let mut held = [0; TIERS];
                for tier in &mut held {
                    *tier = words.next()?;
                    ensure(*tier & !exists(group) == 0)?;
                }
                ensure(held != [0; TIERS])?;
                last = self.append_set(block, last, group, held)?;
            }
        }
        Ok(())
    }

    /// Puts a set behind the `last` one of a block.
    fn append_set(
        &mut self,
        block: u32,
        last: u32,
        group: u32,
        held: [u64; TIERS],
    ) -> Result<u32, Error> {
        let new = self.free_set;
        if new == NONE {
            return Err(CONTRADICTION);
        }
        self.free_set = self.sets[new as usize].next;
        self.sets[new as usize] = Set { held, group, next: NONE };
        match last {
            NONE => self.blocks[block as usize].sets = new,
            last => {
                ensure(self.sets[last as usize].group < group)?;
                self.sets[last as usize].next = new;
            }
        }
        self.sets_len += 1;
        Ok(new)
    }

    fn sets_of(&self, block: u32) -> impl Iterator<Item = &Set> {
        let first = self.sets.get(self.blocks[block as usize].sets as usize);
        core::iter::successors(first, |set| self.sets.get(set.next as usize))
    }
}
