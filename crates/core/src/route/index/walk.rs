//! How far along a prompt does each replica hold its blocks?
//!
//! # Bounds and cost
//! Scratch memory for one walk, taken once. What a walk found stays until the next one; a stamp
//! tells it from what earlier walks found, so that nothing is cleared.

use alloc::boxed::Box;
use alloc::vec;

use super::{Index, NONE};
use crate::route::options::{RouterOptions, TIERS, Tier};
use crate::units::Nanos;

/// Leading blocks that a replica holds: on the device; there or on the host; anywhere.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(in crate::route) struct Matched(pub(in crate::route) [u32; TIERS]);

#[derive(Debug)]
pub(super) struct Walk {
    /// Of the present walk.
    stamp: u64,
    /// By replica: the walk that found it, and what it found.
    matched: Box<[(u64, Matched)]>,
    /// By group: who is still in, for each tier.
    live: Box<[[u64; TIERS]]>,
    /// By group: the last block at which it had a holder, plus one.
    seen: Box<[u32]>,
    /// Groups in which anybody is still in.
    groups: Box<[u32]>,
    groups_len: u32,
    /// Of the blocks found, in order: where they are, and the least recent use so far.
    path: Box<[(u32, Nanos)]>,
    path_len: u32,
    /// Who holds most of the prompt.
    longest: u32,
}

impl Walk {
    pub(super) fn new(options: &RouterOptions) -> Self {
        let groups = options.groups() as usize;
        Self {
            stamp: 0,
            matched: vec![(0, Matched::default()); options.replicas_max as usize]
                .into_boxed_slice(),
            live: vec![[0; TIERS]; groups].into_boxed_slice(),
            seen: vec![0; groups].into_boxed_slice(),
            groups: vec![0; groups].into_boxed_slice(),
            groups_len: 0,
            path: vec![(0, Nanos::ZERO); options.prompt_blocks_max as usize].into_boxed_slice(),
            path_len: 0,
            longest: NONE,
        }
    }

    pub(super) const fn bytes_needed(options: &RouterOptions) -> u64 {
        let each = size_of::<[u64; TIERS]>() + 2 * size_of::<u32>();
        let matched = options.replicas_max as u64 * size_of::<(u64, Matched)>() as u64;
        let path = options.prompt_blocks_max as u64 * size_of::<(u32, Nanos)>() as u64;
        matched + path + options.groups() as u64 * each as u64
    }

    /// Groups of 64 replicas.
    pub(super) const fn groups(&self) -> u32 {
        self.live.len() as u32
    }

    /// `count` blocks were held by all of `replicas` (of a group) in a tier, and no more.
    fn drop_out(&mut self, group: u32, tier: usize, replicas: u64, count: u32) {
        let mut left = replicas;
        while left != 0 {
            let replica = group * u64::BITS + left.trailing_zeros();
            left &= left - 1;
            let Some((stamp, matched)) = self.matched.get_mut(replica as usize) else { continue };
            if *stamp != self.stamp {
                (*stamp, *matched) = (self.stamp, Matched::default());
            }
            matched.0[tier] = count;
            if tier == Tier::Disk as usize && count > 0 {
                // The last to drop out has most; of several, the first.
                let most = self.matched.get(self.longest as usize);
                if most.is_none_or(|(_, most)| most.0[tier] < count) {
                    self.longest = replica;
                }
            }
        }
    }
}

impl Index {
    /// Finds out how far each replica holds the blocks of a prompt, at most as many as there is
    /// room for.
    pub(in crate::route) fn walk(&mut self, hashes: &[u64]) {
        let walk = &mut self.walk;
        walk.stamp += 1;
        (walk.groups_len, walk.path_len, walk.longest) = (0, 0, NONE);
        let mut least = Nanos::MAX;
        for (count, hash) in (0_u32..).zip(hashes).take(self.walk.path.len()) {
            let block = self.find(*hash);
            if block == NONE {
                break;
            }
            least = least.min(self.blocks[block as usize].used);
            self.walk.path[count as usize] = (block, least);
            self.walk.path_len = count + 1;
            if count == 0 {
                self.walk_begins(block);
            } else {
                self.walk_on(block, count);
            }
            if self.walk.groups_len == 0 {
                // Blocks that are known behind it are of nobody who has all before.
                self.walk.path_len = count;
                break;
            }
        }
        let walk = &mut self.walk;
        for place in 0..walk.groups_len {
            let group = walk.groups[place as usize];
            let live = walk.live[group as usize];
            for (tier, replicas) in live.into_iter().enumerate() {
                walk.drop_out(group, tier, replicas, walk.path_len);
            }
            walk.seen[group as usize] = 0;
        }
    }

    /// The first block: who holds it is in.
    fn walk_begins(&mut self, block: u32) {
        let mut at = self.blocks[block as usize].sets;
        while at != NONE {
            let set = &self.sets[at as usize];
            let [device, host, disk] = set.held;
            let walk = &mut self.walk;
            walk.live[set.group as usize] = [device, device | host, device | host | disk];
            walk.seen[set.group as usize] = 1;
            walk.groups[walk.groups_len as usize] = set.group;
            walk.groups_len += 1;
            at = set.next;
        }
    }

    /// The block with `count` before it: who does not hold it drops out.
    fn walk_on(&mut self, block: u32, count: u32) {
        let mut at = self.blocks[block as usize].sets;
        while at != NONE {
            let set = self.sets[at as usize];
            let group = set.group as usize;
            if self.walk.seen[group] == count {
                let [device, host, disk] = set.held;
                let held = [device, device | host, device | host | disk];
                for (tier, held) in held.into_iter().enumerate() {
                    let live = self.walk.live[group][tier];
                    if live & !held != 0 {
                        self.walk.live[group][tier] = live & held;
                        self.walk.drop_out(set.group, tier, live & !held, count);
                    }
                }
                self.walk.seen[group] = count + 1;
            }
            at = set.next;
        }
        self.walk_drops_groups(count);
    }

    /// Groups in which nobody holds the block, or nobody is left, are out.
    fn walk_drops_groups(&mut self, count: u32) {
        let walk = &mut self.walk;
        let mut kept = 0;
        for place in 0..walk.groups_len {
            let group = walk.groups[place as usize];
            let live = walk.live[group as usize];
            if walk.seen[group as usize] != count + 1 {
                for (tier, replicas) in live.into_iter().enumerate() {
                    walk.drop_out(group, tier, replicas, count);
                }
                walk.seen[group as usize] = 0;
            } else if live[Tier::Disk as usize] != 0 {
                walk.groups[kept as usize] = group;
                kept += 1;
            } else {
                walk.seen[group as usize] = 0;
            }
        }
        walk.groups_len = kept;
    }

    /// What the last walk found of a replica; where it is said to forget what nobody used since
    /// `since`, only blocks used later.
    pub(in crate::route) fn matched(&self, replica: u32, since: Nanos) -> Matched {
        let walk = &self.walk;
        let mut matched = match walk.matched.get(replica as usize) {
            Some((stamp, matched)) if *stamp == walk.stamp => *matched,
            _ => return Matched::default(),
        };
        if since > Nanos::ZERO {
            // Uses along a path only get less recent.
            let path = &walk.path[..walk.path_len as usize];
            let fresh = path.partition_point(|(_, used)| *used >= since) as u32;
            for count in &mut matched.0 {
                *count = (*count).min(fresh);
            }
        }
        matched
    }

    /// Who holds most of the prompt of the last walk.
    pub(in crate::route) fn longest(&self) -> Option<u32> {
        (self.walk.longest != NONE).then_some(self.walk.longest)
    }

    /// A replica will hold the blocks of the prompt of the last walk, all of them, once it has
    /// computed it. The last block is used first, the first one last.
    pub(in crate::route) fn hold_prompt(&mut self, now: Nanos, hashes: &[u64], replica: u32) {
        let known = self.walk.path_len as usize;
        let looked_at = hashes.len().min(self.walk.path.len());
        // Blocks found by the walk may be forgotten by what is inserted before them.
        let (found, new) = hashes[..looked_at].split_at(known.min(looked_at));
        for hash in new.iter().rev() {
            self.hold(now, *hash, replica, Tier::Device);
        }
        for (place, hash) in found.iter().enumerate().rev() {
            let (block, _) = self.walk.path[place];
            if self.blocks[block as usize].hash == *hash && self.is_in_use(block) {
                self.use_block(now, block);
                self.add(block, replica, Tier::Device);
            } else {
                self.hold(now, *hash, replica, Tier::Device);
            }
        }
    }

    /// True unless the block was forgotten since it was found.
    fn is_in_use(&self, block: u32) -> bool {
        self.blocks[block as usize].sets != NONE
    }
}
