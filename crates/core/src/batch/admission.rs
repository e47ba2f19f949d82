//! What becomes of a request that comes in. Both batchers answer so; who is named and which limits
//! there are is their own.

use crate::units::Nanos;

/// What becomes of a submission.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "document", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "document", serde(rename_all = "snake_case"))]
pub enum Admission<Id, Reason> {
    /// It waits for its turn.
    Queued(Id),
    /// It is turned away; nothing is kept of it.
    Shed(Shed<Reason>),
}

impl<Id: Copy, Reason: Copy> Admission<Id, Reason> {
    /// The request, if it was let into a queue.
    #[must_use]
    pub const fn queued(self) -> Option<Id> {
        match self {
            Self::Queued(request) => Some(request),
            Self::Shed(_) => None,
        }
    }
}

/// Why a request is turned away, and when it may come again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "document", derive(serde::Serialize, serde::Deserialize))]
pub struct Shed<Reason> {
    /// Which limit it met.
    pub reason: Reason,
    /// In how long it may be worth trying again: an estimate, not a promise.
    pub retry_after: Nanos,
}
