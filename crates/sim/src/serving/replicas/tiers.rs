//! Slower memory behind the cache of a replica: the host's, and a disk.
//!
//! A block that the device needs the room of goes to the host's memory, and one that the host's memory
//! needs the room of to the disk; what was used least recently goes first. A prompt whose blocks are
//! found there has them loaded before its engine sees it, one prompt after the other.

use std::collections::{BTreeMap, HashMap};

use rampmeter::Nanos;
use rampmeter::route::Tier;

use super::news::News;
use super::options::TierOptions;
use crate::serving::kv::KvChange;

/// Blocks in the order of their last use.
#[derive(Debug)]
struct Store {
    tier: Tier,
    blocks_max: usize,
    load: Nanos,
    uses: u64,
    by_hash: HashMap<u64, u64>,
    by_use: BTreeMap<u64, u64>,
}

impl Store {
    fn new(tier: Tier, blocks_max: u32, load: Nanos) -> Self {
        let (by_hash, by_use) = (HashMap::new(), BTreeMap::new());
        Self { tier, blocks_max: blocks_max as usize, load, uses: 0, by_hash, by_use }
    }

    /// Uses a block that is there; `false` if it is not.
    fn refresh(&mut self, hash: u64) -> bool {
        let Some(used) = self.by_hash.get_mut(&hash) else { return false };
        self.uses += 1;
        self.by_use.remove(&std::mem::replace(used, self.uses));
        self.by_use.insert(self.uses, hash);
        true
    }

    /// Takes a block in, and returns the one that made room for it.
    fn put(&mut self, hash: u64, news: &mut Vec<News>) -> Option<u64> {
        if self.blocks_max == 0 {
            return Some(hash);
        }
        if self.refresh(hash) {
            return None;
        }
        let full = self.by_use.len() == self.blocks_max;
        let oldest = if full { self.by_use.pop_first() } else { None };
        if let Some((_, oldest)) = oldest {
            self.by_hash.remove(&oldest);
            news.push(News::Removed(self.tier, oldest));
        }
        self.uses += 1;
        self.by_hash.insert(hash, self.uses);
        self.by_use.insert(self.uses, hash);
        news.push(News::Stored(self.tier, hash));
        oldest.map(|(_, hash)| hash)
    }
}

/// Slower tiers of one replica.
#[derive(Debug)]
pub(super) struct Tiers {
    host: Store,
    disk: Store,
    free_at: Nanos,
}

impl Tiers {
    pub(super) fn new(options: &TierOptions) -> Self {
        Self {
            host: Store::new(Tier::Host, options.host_blocks, options.host_load),
            disk: Store::new(Tier::Disk, options.disk_blocks, options.disk_load),
            free_at: Nanos::ZERO,
        }
    }

    /// What the device took in or let go of.
    pub(super) fn note(&mut self, change: KvChange, news: &mut Vec<News>) {
        if let KvChange::Removed(hash) = change
            && let Some(hash) = self.host.put(hash, news)
        {
            self.disk.put(hash, news);
        }
    }

    /// Begins to load what follows the `device` blocks of a prompt that the device has. How many
    /// blocks will be there, and when.
    pub(super) fn load(&mut self, now: Nanos, hashes: &[u64], device: usize) -> (usize, Nanos) {
        let (mut found, mut takes) = (device, 0);
        for hash in hashes.iter().skip(device) {
            let stores = [&mut self.host, &mut self.disk];
            let Some(store) = stores.into_iter().find_map(|it| it.refresh(*hash).then_some(it))
            else {
                break;
            };
            takes += store.load.get();
            found += 1;
        }
        if found == device {
            return (found, now);
        }
        self.free_at = self.free_at.max(now).saturating_add(Nanos(takes));
        (found, self.free_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_sink_from_tier_to_tier_and_are_loaded_at_the_time_of_theirs() {
        let (host_load, disk_load) = (Nanos(2), Nanos(10));
        let mut tiers =
            Tiers::new(&TierOptions { host_blocks: 2, disk_blocks: 2, host_load, disk_load });
        let mut news = Vec::new();
        for hash in 1..=3 {
            tiers.note(KvChange::Removed(hash), &mut news);
        }
        let sank = [
            News::Stored(Tier::Host, 1),
            News::Stored(Tier::Host, 2),
            News::Removed(Tier::Host, 1),
            News::Stored(Tier::Host, 3),
            News::Stored(Tier::Disk, 1),
        ];
        assert_eq!(news, sank);
        // The device has the first block; 4 is nowhere, so that 3 behind it cannot be used.
        assert_eq!(tiers.load(Nanos(100), &[9, 2, 1, 4, 3], 1), (3, Nanos(112)));
        assert_eq!(tiers.load(Nanos(105), &[3], 0), (1, Nanos(114)), "behind the one before");
        assert_eq!(tiers.load(Nanos(105), &[4], 0), (0, Nanos(105)));
        tiers.note(KvChange::Stored(7), &mut news);
        tiers.note(KvChange::Removed(2), &mut news);
        assert_eq!(news.len(), 5, "what is there already is only used again");
    }
}
