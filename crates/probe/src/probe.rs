//! What every backend does.

use std::sync::Arc;

use crate::snapshot::{Snapshot, Source};
use crate::watch::Watch;

/// Something that can be asked about GPUs.
///
/// A call may take as long as the driver likes: whoever must not wait asks a
/// [`Poller`](crate::Poller) instead.
pub trait Probe: Send {
    /// Who reads.
    fn source(&self) -> Source;

    /// Reads these groups anew, and keeps the rest, which ages. Opens the driver first, if it is
    /// not open. Never panics, whatever the driver answers.
    fn read(&mut self, due: Due) -> &Snapshot;

    /// Where others can see in which call this probe is.
    fn watch(&self) -> Arc<Watch>;

    /// Gives back what the driver lent. Reading afterwards opens it again.
    fn close(&mut self) {}
}

/// Groups of readings that are read together.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Due(u8);

impl Due {
    /// Which devices there are, and all about them that does not change while they work.
    pub const INVENTORY: Self = Self(1);
    /// Memory.
    pub const MEMORY: Self = Self(1 << 1);
    /// Utilization.
    pub const UTILIZATION: Self = Self(1 << 2);
    /// Power, clocks, temperature, throttle reasons and events.
    pub const CONDITION: Self = Self(1 << 3);
    /// Processes.
    pub const PROCESSES: Self = Self(1 << 4);
    /// Nothing.
    pub const NOTHING: Self = Self(0);
    /// All groups.
    pub const ALL: Self = Self(0b1_1111);

    /// Whether all groups of `other` are among these.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// These and those.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// Looks at nothing: for hosts that have no GPU and want none.
#[derive(Debug, Default)]
pub struct Nothing {
    snapshot: Snapshot,
    watch: Arc<Watch>,
}

impl Probe for Nothing {
    fn source(&self) -> Source {
        Source::None
    }

    fn read(&mut self, _: Due) -> &Snapshot {
        self.snapshot.advance_to(crate::clock::now());
        self.snapshot.seq += 1;
        &self.snapshot
    }

    fn watch(&self) -> Arc<Watch> {
        Arc::clone(&self.watch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::condition::Condition;

    #[test]
    fn nothing_is_an_answer() {
        let mut probe = Nothing::default();
        let snapshot = probe.read(Due::ALL);
        assert_eq!((snapshot.seq, snapshot.condition), (1, Condition::Off));
        assert!(snapshot.devices.is_empty() && probe.source() == Source::None);
    }
}
