//! How far along a prompt does each replica hold its blocks?
//!
//! # Bounds and cost
//! Scratch memory for one walk, taken once. What a walk found stays until the next one; a stamp
//! tells it from what earlier walks found, so that nothing is cleared.

use alloc::boxed::Box;
use alloc::vec;

use super::{Index, NONE, Set, add_in_place, find_behind, tag_of};
use crate::route::board::{GROUP_BLOCKS, LANES};
use crate::route::options::{RouterOptions, TIERS, Tier};
use crate::units::Nanos;

/// Blocks whose memory is asked for together: twice as many lines as a core waits for at once, and
/// far fewer than its nearest memory holds.
const FORESEEN: usize = 16;

/// Leading blocks that a replica holds: on the device; there or on the host; anywhere.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(in crate::route) struct Matched(pub(in crate::route) [u32; TIERS]);

/// Who of 64 replicas is still in.
#[derive(Clone, Copy, Debug)]
struct Crowd {
    /// For each tier.
    live: [u64; TIERS],
    /// The last block at which it had a holder, plus one; zero once it is out.
    seen: u32,
}

/// How far each replica holds the prompt.
#[derive(Debug)]
struct Found {
    /// Of the present walk.
    stamp: u64,
    /// By replica: the walk that found it, and what it found.
    matched: Box<[(u64, Matched)]>,
    /// By replica: leading blocks that it holds anywhere; zero for those not found.
    held: Box<[[f32; LANES]]>,
    /// Who holds most of the prompt, and how much.
    longest: u32,
    longest_len: u32,
}

#[derive(Debug)]
pub(super) struct Walk {
    found: Found,
    crowds: Box<[Crowd]>,
    /// Groups in which anybody is still in.
    groups: Box<[u32]>,
    groups_len: u32,
    /// Groups in which anybody was in at the beginning.
    begun: Box<[u32]>,
    begun_len: u32,
    /// Of the blocks found, in order: where they are, and the least recent use so far.
    path: Box<[(u32, Nanos)]>,
    path_len: u32,
}

impl Found {
    /// Replicas of a group, by tier, held `count` blocks there and no more.
    fn drop_out(&mut self, group: u32, gone: [u64; TIERS], count: u32) {
        let [device, host, disk] = gone;
        let mut left = device | host | disk;
        if disk != 0 && count > self.longest_len {
            // The last to drop out has most; of several, the first.
            self.longest = group * u64::BITS + disk.trailing_zeros();
            self.longest_len = count;
        }
        while left != 0 {
            let bit = left & left.wrapping_neg();
            left ^= bit;
            let replica = (group * u64::BITS + bit.trailing_zeros()) as usize;
            let Some((stamp, matched)) = self.matched.get_mut(replica) else { continue };
            if device & host & disk & bit != 0 {
                (*stamp, *matched) = (self.stamp, Matched([count; TIERS]));
            } else {
                if *stamp != self.stamp {
                    (*stamp, *matched) = (self.stamp, Matched::default());
                }
                for (matched, gone) in matched.0.iter_mut().zip(gone) {
                    *matched = if gone & bit == 0 { *matched } else { count };
                }
            }
            self.held[replica / LANES][replica % LANES] = matched.0[Tier::Disk as usize] as f32;
        }
    }
}

impl Walk {
    pub(super) fn new(options: &RouterOptions) -> Self {
        let groups = options.groups() as usize;
        let matched = vec![(0, Matched::default()); options.replicas_max as usize];
        let found = Found {
            stamp: 0,
            matched: matched.into_boxed_slice(),
            held: vec![[0.0; LANES]; groups * GROUP_BLOCKS].into_boxed_slice(),
            longest: NONE,
            longest_len: 0,
        };
        let crowd = Crowd { live: [0; TIERS], seen: 0 };
        Self {
            found,
            crowds: vec![crowd; groups].into_boxed_slice(),
            groups: vec![0; groups].into_boxed_slice(),
            groups_len: 0,
            begun: vec![0; groups].into_boxed_slice(),
            begun_len: 0,
            path: vec![(0, Nanos::ZERO); options.prompt_blocks_max as usize].into_boxed_slice(),
            path_len: 0,
        }
    }

    pub(super) const fn bytes_needed(options: &RouterOptions) -> u64 {
        let held = GROUP_BLOCKS * size_of::<[f32; LANES]>();
        let each = size_of::<Crowd>() + 2 * size_of::<u32>() + held;
        let matched = options.replicas_max as u64 * size_of::<(u64, Matched)>() as u64;
        let path = options.prompt_blocks_max as u64 * size_of::<(u32, Nanos)>() as u64;
        matched + path + options.groups() as u64 * each as u64
    }

    /// Groups of 64 replicas.
    pub(super) const fn groups(&self) -> u32 {
        self.crowds.len() as u32
    }

    /// A walk begins.
    fn begin(&mut self) {
        self.found.stamp += 1;
        for group in &self.begun[..self.begun_len as usize] {
            let first = *group as usize * GROUP_BLOCKS;
            self.found.held[first..first + GROUP_BLOCKS].fill([0.0; LANES]);
        }
        (self.groups_len, self.begun_len, self.path_len) = (0, 0, 0);
        (self.found.longest, self.found.longest_len) = (NONE, 0);
    }

    /// The first block: who holds it is in. `false` if nobody does.
    fn begins(&mut self, sets: &[Set], first: u32) -> bool {
        let mut at = first;
        while let Some(set) = sets.get(at as usize) {
            self.crowds[set.group as usize] = Crowd { live: set.by_speed(), seen: 1 };
            self.groups[self.groups_len as usize] = set.group;
            self.begun[self.groups_len as usize] = set.group;
            self.groups_len += 1;
            at = set.next;
        }
        self.begun_len = self.groups_len;
        self.groups_len > 0
    }

    /// The block with `count` before it: who does not hold it drops out. `false` if nobody is left.
    fn goes_on(&mut self, sets: &[Set], first: u32, count: u32) -> bool {
        let Self { crowds, found, .. } = self;
        let (mut at, mut groups, mut emptied) = (first, 0, false);
        while let Some(set) = sets.get(at as usize) {
            at = set.next;
            let Some(crowd) = crowds.get_mut(set.group as usize) else { continue };
            if crowd.seen != count {
                continue;
            }
            (crowd.seen, groups) = (count + 1, groups + 1);
            let (held, live) = (set.by_speed(), crowd.live);
            let gone = [live[0] & !held[0], live[1] & !held[1], live[2] & !held[2]];
            if gone[0] | gone[1] | gone[2] != 0 {
                crowd.live = [live[0] & held[0], live[1] & held[1], live[2] & held[2]];
                emptied |= crowd.live[Tier::Disk as usize] == 0;
                found.drop_out(set.group, gone, count);
            }
        }
        if emptied || groups != self.groups_len {
            self.drop_groups(count);
        }
        self.groups_len > 0
    }

    /// Groups in which nobody holds the block, or nobody is left, are out.
    fn drop_groups(&mut self, count: u32) {
        let mut kept = 0;
        for place in 0..self.groups_len {
            let group = self.groups[place as usize];
            let Crowd { live, seen } = self.crowds[group as usize];
            if seen == count + 1 && live[Tier::Disk as usize] != 0 {
                self.groups[kept as usize] = group;
                kept += 1;
                continue;
            }
            if seen != count + 1 {
                self.found.drop_out(group, live, count);
            }
            self.crowds[group as usize].seen = 0;
        }
        self.groups_len = kept;
    }

    /// Who is still in holds all blocks of the path.
    fn ends(&mut self) {
        for place in 0..self.groups_len {
            let group = self.groups[place as usize];
            let live = core::mem::take(&mut self.crowds[group as usize].live);
            self.crowds[group as usize].seen = 0;
            self.found.drop_out(group, live, self.path_len);
        }
    }
}

/// Bits of holders that are others than before.
fn change_of(held: [u64; TIERS], before: [u64; TIERS]) -> u64 {
    (held[0] ^ before[0]) | (held[1] ^ before[1]) | (held[2] ^ before[2])
}

impl Index {
    /// Finds out how far each replica holds the blocks of a prompt, at most as many as there is
    /// room for.
    pub(in crate::route) fn walk(&mut self, hashes: &[u64]) {
        let Self { table, blocks, sets, walk, .. } = self;
        walk.begin();
        let mut path = core::mem::take(&mut walk.path);
        let looked_at = hashes.len().min(path.len());
        let (mut least, mut last, mut len) = (Nanos::MAX, NONE, 0);
        // Where one group alone is left: what its set was like.
        let (mut alone, mut before) = (NONE, [0; TIERS]);
        while len < looked_at {
            if alone != NONE {
                // Held by whom the block before is held by: nobody drops out. As a rule these stand
                // beside each other.
                let beside = blocks[..last as usize].iter().rev();
                let places = path[len..looked_at].iter_mut().zip(&hashes[len..]);
                for (block, (place, hash)) in beside.zip(places) {
                    let Some(set) = sets.get(block.sets as usize) else { break };
                    let change = change_of(set.held, before) | u64::from(set.group ^ alone);
                    if block.hash != *hash || change != 0 || set.next != NONE {
                        break;
                    }
                    (last, least) = (last - 1, least.min(block.used));
                    *place = (last, least);
                    len += 1;
                }
                if len == looked_at {
                    break;
                }
            }
            let index = find_behind(table, blocks, last, hashes[len]);
            let Some(block) = blocks.get(index as usize) else { break };
            let Some(set) = sets.get(block.sets as usize) else { break };
            (last, least) = (index, least.min(block.used));
            path[len] = (index, least);
            if change_of(set.held, before) != 0 || set.group != alone || set.next != NONE {
                if let Some(crowd) = walk.crowds.get_mut(alone as usize) {
                    crowd.seen = len as u32;
                }
                let anybody = match len {
                    0 => walk.begins(sets, block.sets),
                    _ => walk.goes_on(sets, block.sets, len as u32),
                };
                if !anybody {
                    // Blocks that are known behind it are of nobody who has all before.
                    break;
                }
                let is_alone = walk.groups_len == 1 && set.next == NONE;
                (alone, before) = (if is_alone { set.group } else { NONE }, set.held);
            }
            len += 1;
        }
        walk.path = path;
        walk.path_len = len as u32;
        walk.ends();
    }

    /// Leading blocks of the prompt of the last walk that each replica holds in any tier.
    pub(in crate::route) fn held(&self) -> &[[f32; LANES]] {
        &self.walk.found.held
    }

    /// What the last walk found of a replica; where it is said to forget what nobody used since
    /// `since`, only blocks used later.
    pub(in crate::route) fn matched(&self, replica: u32, since: Nanos) -> Matched {
        let walk = &self.walk;
        let mut matched = match walk.found.matched.get(replica as usize) {
            Some((stamp, matched)) if *stamp == walk.found.stamp => *matched,
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
        (self.walk.found.longest != NONE).then_some(self.walk.found.longest)
    }

    /// A replica will hold the blocks of the prompt of the last walk, all of them, once it has
    /// computed it. The last block is used first, the first one last.
    pub(in crate::route) fn hold_prompt(&mut self, now: Nanos, hashes: &[u64], replica: u32) {
        let known = self.walk.path_len as usize;
        let looked_at = hashes.len().min(self.walk.path.len());
        // Blocks found by the walk may be forgotten by what is inserted before them.
        let (found, new) = hashes[..looked_at].split_at(known.min(looked_at));
        for some in new.rchunks(FORESEEN) {
            self.foresee(some);
            for hash in some.iter().rev() {
                self.hold(now, *hash, replica, Tier::Device);
            }
        }
        let mut left = found.len();
        while left > 0 {
            left -= self.hold_run(now, &found[..left], replica);
        }
    }

    /// Reads what holding blocks that are new will read, of them and of those that make room. One read
    /// does not wait for the other here, so that memory answers all of them in the time of a few.
    fn foresee(&self, new: &[u64]) {
        let mut seen = 0;
        for hash in new {
            seen ^= self.table.glance(tag_of(*hash));
        }
        if self.free_block == NONE {
            let mut at = self.oldest;
            for _ in new {
                let Some(block) = self.blocks.get(at as usize) else { break };
                seen ^= self.table.glance(block.tag);
                seen ^= self.sets.get(block.sets as usize).map_or(0, |set| set.next);
                at = block.newer;
            }
        }
        // Nobody needs what was read; without this it would not be read at all.
        core::hint::black_box(seen);
    }

    /// A replica will hold the last of these blocks, which a walk found, and as many before it as
    /// were used right after each other: these move to the front together, as one by one they
    /// would. Returns how many.
    fn hold_run(&mut self, now: Nanos, found: &[u64], replica: u32) -> usize {
        let Matched([known, ..]) = self.matched(replica, Nanos::ZERO);
        let Self { blocks, sets, walk, .. } = self;
        let path = &walk.path[..found.len()];
        let (mut first, mut last, mut len) = (NONE, NONE, 0);
        for (place, (hash, (index, _))) in found.iter().zip(path).enumerate().rev() {
            let Some(block) = blocks.get_mut(*index as usize) else { break };
            // One that was forgotten meanwhile, or that others were used after.
            let follows = len == 0 || block.older == last;
            if block.hash != *hash || block.sets == NONE || !follows {
                break;
            }
            block.used = now;
            first = if len == 0 { *index } else { first };
            (last, len) = (*index, len + 1);
            // A set may take the place of the oldest block, which must not be one of a run.
            let held = place < known as usize;
            if !held && !add_in_place(sets, block.sets, replica, Tier::Device) {
                break;
            }
        }
        if len == 0 {
            self.hold(now, found[found.len() - 1], replica, Tier::Device);
            return 1;
        }
        if self.newest != last {
            self.detach_run(first, last);
            self.append_run(first, last);
        }
        self.add(last, replica, Tier::Device);
        len
    }
}
