//! The index against plain maps.

use super::*;
use crate::snapshot::Words;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::vec::Vec;

const REPLICAS: u32 = 130;

fn options(blocks_max: u32, sets_max: u32) -> RouterOptions {
    RouterOptions {
        replicas_max: REPLICAS,
        blocks_max,
        sets_max,
        prompt_blocks_max: 12,
        ..RouterOptions::default()
    }
}

/// Blocks from the least to the most recently used, each with who holds it where.
#[derive(Default)]
struct Plain {
    blocks: Vec<(u64, Nanos, BTreeMap<u32, [bool; TIERS]>)>,
    blocks_max: usize,
    sets_max: usize,
    evicted: u64,
}

impl Plain {
    fn sets(holders: &BTreeMap<u32, [bool; TIERS]>) -> usize {
        let mut groups: Vec<u32> = holders.keys().map(|replica| replica / 64).collect();
        groups.dedup();
        groups.len()
    }

    fn hold(&mut self, now: Nanos, hash: u64, replica: u32, tier: Tier) {
        let place = self.blocks.iter().position(|(known, ..)| *known == hash);
        let mut held = if let Some(place) = place {
            self.blocks.remove(place).2
        } else {
            if self.blocks.len() == self.blocks_max {
                self.blocks.remove(0);
                self.evicted += 1;
            }
            BTreeMap::new()
        };
        let before = Self::sets(&held);
        held.entry(replica).or_default()[tier as usize] = true;
        let sets: usize = self.blocks.iter().map(|block| Self::sets(&block.2)).sum();
        if Self::sets(&held) > before && sets + before == self.sets_max {
            self.blocks.remove(0);
            self.evicted += 1;
        }
        self.blocks.push((hash, now, held));
    }

    fn lose(&mut self, hash: u64, replica: u32, tiers: &[Tier]) {
        for (known, _, held) in &mut self.blocks {
            if *known == hash
                && let Some(in_tier) = held.get_mut(&replica)
            {
                for tier in tiers {
                    in_tier[*tier as usize] = false;
                }
                if *in_tier == [false; TIERS] {
                    held.remove(&replica);
                }
            }
        }
        self.blocks.retain(|(.., held)| !held.is_empty());
    }

    fn matched(&self, hashes: &[u64], replica: u32, since: Nanos) -> Matched {
        let mut counts = [0; TIERS];
        for (tier, count) in counts.iter_mut().enumerate() {
            let held = hashes.iter().take(12).take_while(|hash| {
                self.blocks.iter().any(|(known, used, held)| {
                    known == *hash
                        && *used >= since
                        && held
                            .get(&replica)
                            .is_some_and(|in_tier| in_tier[..=tier].contains(&true))
                })
            });
            *count = held.count() as u32;
        }
        Matched(counts)
    }

    fn check(&self, index: &mut Index, hashes: &[u64], since: Nanos) -> Result<(), TestCaseError> {
        let sets: usize = self.blocks.iter().map(|block| Self::sets(&block.2)).sum();
        let counts = (self.blocks.len() as u32, sets as u32, self.evicted);
        prop_assert_eq!(index.counts(), counts);
        index.walk(hashes);
        let mut most = 0;
        for replica in 0..REPLICAS {
            let found = index.matched(replica, since);
            prop_assert_eq!(found, self.matched(hashes, replica, since), "{}", replica);
            most = most.max(index.matched(replica, Nanos::ZERO).0[Tier::Disk as usize]);
        }
        let longest = (0..REPLICAS).find(|replica| {
            most > 0 && index.matched(*replica, Nanos::ZERO).0[Tier::Disk as usize] == most
        });
        // Of several that hold as much, which is named is of no matter.
        let named = index.longest().map(|it| index.matched(it, Nanos::ZERO).0[2]);
        prop_assert_eq!(named, longest.map(|_| most));
        Ok(())
    }
}

fn saved(index: &Index) -> Vec<u64> {
    let mut words = Vec::new();
    index.save_state(&mut |word| words.push(word));
    words
}

fn replica() -> impl Strategy<Value = u32> {
    prop_oneof![0_u32..3, 62_u32..66, 127..REPLICAS]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    /// Whatever is held, lost, cleared and forgotten, a walk finds what plain maps find, blocks are
    /// forgotten in the order of their use, and what is saved comes back.
    #[test]
    fn behaves_as_plain_maps(
        blocks_max in 1_u32..12, spare in 0_u32..10,
        ops in prop::collection::vec((0_u8..10, 0_u64..14, replica(), 0_usize..3, 1_u64..8), 1..120),
    ) {
        let options = options(blocks_max, options(1, 3).groups() + spare);
        let mut index = Index::new(&options);
        let mut plain = Plain {
            blocks_max: blocks_max as usize,
            sets_max: options.sets_max as usize,
            ..Plain::default()
        };
        let mut now = 0;
        for (op, first, replica, tier, len) in ops {
            now += first % 3;
            let tier = Tier::ALL[tier];
            let prompt: Vec<u64> = (first..first + len).collect();
            match op {
                0..4 => {
                    index.hold(Nanos(now), first, replica, tier);
                    plain.hold(Nanos(now), first, replica, tier);
                }
                4 => {
                    index.lose(first, replica, tier);
                    plain.lose(first, replica, &[tier]);
                }
                5 => {
                    index.clear(replica);
                    (0..22).for_each(|hash| plain.lose(hash, replica, &Tier::ALL));
                }
                _ => {
                    index.walk(&prompt);
                    index.hold_prompt(Nanos(now), &prompt, replica);
                    for hash in prompt.iter().take(12).rev() {
                        plain.hold(Nanos(now), *hash, replica, Tier::Device);
                    }
                }
            }
            plain.check(&mut index, &prompt, Nanos(now / 2))?;
        }
        let words = saved(&index);
        let mut other = Index::new(&options);
        let mut given = words.iter().copied();
        let loaded = other.load_state(&mut Words::new(&mut || given.next()), &|_| u64::MAX);
        prop_assert_eq!(loaded, Ok(()));
        prop_assert_eq!(saved(&other), words);
    }
}

#[test]
fn a_walk_ends_where_nobody_is_left() {
    let mut index = Index::new(&options(100, 100));
    for hash in 0..10 {
        index.hold(Nanos(1), hash, hash as u32 % 2, Tier::Host);
    }
    index.walk(&[0, 1, 2, 3]);
    assert_eq!(index.matched(0, Nanos::ZERO), Matched([0, 1, 1]));
    assert_eq!(index.matched(1, Nanos::ZERO), Matched::default());
    assert_eq!(index.longest(), Some(0));
    index.walk(&[77]);
    assert_eq!((index.matched(0, Nanos::ZERO), index.longest()), (Matched::default(), None));
}

/// What the module says of its memory.
#[test]
fn sizes() {
    assert_eq!((size_of::<Block>(), size_of::<Set>()), (32, 32));
    assert_eq!(size_of::<(u64, Matched)>(), 24);
}
