//! The adapters that an engine has loaded, one slot each.
//!
//! An adapter that is not there is loaded into a free slot, or into that of the adapter whose requests
//! have all ended and that was asked for least recently. One is loaded after the other.

use std::collections::VecDeque;

use rampmeter::Nanos;

use super::news::News;
use super::options::AdapterOptions;

#[derive(Clone, Copy, Debug)]
struct Slot {
    adapter: u64,
    ready_at: Nanos,
    /// Requests that came for it and have not ended.
    users: u32,
    /// Number of the request that asked for it last.
    asked: u64,
}

/// Slots of one replica.
#[derive(Debug)]
pub(super) struct Slots {
    loaded: Vec<Slot>,
    /// Slots that there are.
    room: usize,
    load: Nanos,
    loader_free_at: Nanos,
    /// Adapters that are loaded at present, and when they will be there.
    loading: VecDeque<(Nanos, u64)>,
    asked: u64,
}

impl Slots {
    pub(super) fn new(options: &AdapterOptions) -> Self {
        Self {
            loaded: Vec::new(),
            room: options.slots as usize,
            load: options.load,
            loader_free_at: Nanos::ZERO,
            loading: VecDeque::new(),
            asked: 0,
        }
    }

    /// A request comes for an adapter. When that is there, or `None` while all slots are in use by
    /// others.
    pub(super) fn take(&mut self, now: Nanos, adapter: u64, news: &mut Vec<News>) -> Option<Nanos> {
        self.asked += 1;
        if let Some(slot) = self.loaded.iter_mut().find(|slot| slot.adapter == adapter) {
            (slot.users, slot.asked) = (slot.users + 1, self.asked);
            return Some(slot.ready_at.max(now));
        }
        if self.loaded.len() == self.room {
            let unused = self.loaded.iter().enumerate().filter(|(_, slot)| slot.users == 0);
            let (place, _) = unused.min_by_key(|(_, slot)| slot.asked)?;
            news.push(News::AdapterUnloaded(self.loaded.swap_remove(place).adapter));
        }
        let ready_at = self.loader_free_at.max(now).saturating_add(self.load);
        self.loader_free_at = ready_at;
        self.loaded.push(Slot { adapter, ready_at, users: 1, asked: self.asked });
        self.loading.push_back((ready_at, adapter));
        Some(ready_at)
    }

    /// Tells of adapters that are loaded by now.
    pub(super) fn tell(&mut self, now: Nanos, news: &mut Vec<News>) {
        while let Some((_, adapter)) = self.loading.pop_front_if(|(at, _)| *at <= now) {
            news.push(News::AdapterLoaded(adapter));
        }
    }

    /// A request that came for an adapter ended.
    pub(super) fn release(&mut self, adapter: u64) {
        if let Some(slot) = self.loaded.iter_mut().find(|slot| slot.adapter == adapter) {
            slot.users -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_in_use_stay_and_the_least_recently_asked_for_makes_room() {
        let load = Nanos(10);
        let mut slots = Slots::new(&AdapterOptions { slots: 2, load, of: Box::default() });
        let mut news = Vec::new();
        assert_eq!(slots.take(Nanos(0), 1, &mut news), Some(Nanos(10)));
        assert_eq!(slots.take(Nanos(0), 2, &mut news), Some(Nanos(20)), "one after the other");
        assert_eq!(slots.take(Nanos(5), 1, &mut news), Some(Nanos(10)), "it is on its way");
        assert_eq!(slots.take(Nanos(50), 3, &mut news), None);
        for adapter in [1, 1, 2] {
            slots.release(adapter);
        }
        assert_eq!(slots.take(Nanos(60), 3, &mut news), Some(Nanos(70)));
        assert_eq!(news, [News::AdapterUnloaded(2)], "1 was asked for after 2");
        let loaded = [1, 2, 3].map(News::AdapterLoaded);
        for (at, count) in [(9, 0), (10, 1), (69, 2), (70, 3)] {
            slots.tell(Nanos(at), &mut news);
            assert_eq!(news[1..], loaded[..count], "at {at} ns");
        }
    }
}
