//! What replicas publish of their caches and adapters, as engines do.

use rampmeter::route::Tier;

/// One thing that became of a replica.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum News {
    /// It holds the block of this hash in a tier.
    Stored(Tier, u64),
    /// It holds it there no more.
    Removed(Tier, u64),
    /// It begins to load an adapter.
    AdapterLoaded(u64),
    /// An adapter made room for another.
    AdapterUnloaded(u64),
}
