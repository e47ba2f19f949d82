//! Calls that are measured at a few sizes each, and what each may take there: routing and
//! admission. The batch desk has a [`crate::grid`] of its own.

use crate::entrance::Found;

/// Replicas to choose among.
pub const ROUTE_REPLICAS: [u32; 2] = [64, 1_024];

/// Blocks that the index holds while it is timed: as many as 64 caches that share half.
pub const ROUTE_BLOCKS: u32 = 1 << 20;

/// Blocks that it holds while instructions are counted: how many they are does not change what is
/// done, and filling it under Valgrind takes time.
pub const ROUTE_BLOCKS_COUNTED: u32 = 1 << 17;

/// A call at a size.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Spot {
    /// `Router::route` among so many replicas, a prompt of 64 blocks.
    Route(u32),
    /// `Gate::admit`.
    Admit(Found),
}

impl Spot {
    /// All of them.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let routes = ROUTE_REPLICAS.map(Self::Route);
        routes.into_iter().chain(Found::ALL.map(Self::Admit)).collect()
    }

    /// As the benchmark of the call is named.
    #[must_use]
    pub const fn call(self) -> &'static str {
        match self {
            Self::Route(_) => "route",
            Self::Admit(_) => "admit",
        }
    }

    /// As the size is named.
    #[must_use]
    pub fn size(self) -> String {
        match self {
            Self::Route(replicas) => replicas.to_string(),
            Self::Admit(found) => found.name().into(),
        }
    }

    /// Nanoseconds on one core that the call may take. Routing: a thousandth of the millisecond
    /// that a proxy in front of engines adds, five where it knows a thousand of them. Admission: no
    /// more than two threads lose to each other at the lock around it.
    #[must_use]
    pub const fn budget_ns(self) -> f64 {
        match self {
            Self::Route(..=64) => 1_000.0,
            Self::Route(_) => 5_000.0,
            Self::Admit(_) => 50.0,
        }
    }
}
