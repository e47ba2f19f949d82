//! Why a request is sent away.

use rampmeter::Nanos;

/// Why a request is sent away.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Refusal {
    /// It is longer than the engine, or the policy, can ever serve.
    TooLong,
    /// A queue was full when it came.
    Shed {
        /// In how long it was told to come again; [`Nanos::MAX`] for never.
        retry_after: Nanos,
    },
    /// It had waited for too long.
    Expired,
}
