//! Snapshots that are handed over without a lock.
//!
//! The poller fills a snapshot that nobody looks at, and makes it the current one by one atomic
//! exchange; the one before is kept, to be filled again once the last reader has let go of it. So
//! nothing is allocated while readers let go within a few publications.

use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::snapshot::Snapshot;

/// Snapshots kept for use, besides the current one: one to fill, and three that readers may still
/// hold.
const SPARES: usize = 4;

pub(super) struct Publisher {
    spares: Vec<Arc<Snapshot>>,
}

impl Default for Publisher {
    /// Allocates all of them; memory that is never written to costs nothing.
    fn default() -> Self {
        Self { spares: (0..SPARES).map(|_| Arc::new(Snapshot::with_room())).collect() }
    }
}

impl Publisher {
    /// Makes a copy of this snapshot the current one.
    pub(super) fn publish(&mut self, snapshot: &Snapshot, current: &ArcSwap<Snapshot>) {
        let free = self.spares.iter_mut().position(|spare| Arc::get_mut(spare).is_some());
        let mut next = match free {
            Some(at) => self.spares.swap_remove(at),
            None => Arc::new(Snapshot::with_room()),
        };
        if let Some(room) = Arc::get_mut(&mut next) {
            room.copy_from(snapshot);
        }
        let before = current.swap(next);
        if self.spares.len() < SPARES {
            self.spares.push(before);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn snapshots_are_used_again_once_readers_let_go() {
        let current = ArcSwap::from_pointee(Snapshot::with_room());
        let mut publisher = Publisher::default();
        let mut snapshot = Snapshot::default();
        let mut publish = |seq| {
            snapshot.seq = seq;
            publisher.publish(&snapshot, &current);
            publisher.spares.len()
        };
        assert_eq!((publish(1), publish(2), publish(3)), (4, 4, 4), "they take turns");
        let held: Vec<_> = (4..14).map(|seq| (publish(seq), current.load_full())).collect();
        for (at, (_, snapshot)) in held.iter().enumerate() {
            assert_eq!(snapshot.seq, at as u64 + 4, "who holds one sees no other");
        }
        assert!(held.iter().all(|(spares, _)| *spares <= SPARES));
        drop(held);
        publish(14);
        assert_eq!(current.load().seq, 14);
    }
}
