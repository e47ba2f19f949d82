//! What the gate goes by, and the rule that holds batch work back.

use crate::units::Nanos;

/// What the gate goes by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GateRules {
    /// Whether the host drops at the head of the queue what waited beyond its target.
    pub expiry: bool,
    /// Probability of starting in time from which on a request may wait, with expiry.
    pub expiring_confidence_ratio: f64,
    /// The same without expiry: whoever is late takes a server all the same.
    pub lasting_confidence_ratio: f64,
    /// Part of a class's `ttft_target` that may pass before a request starts.
    pub wait_ratio: f64,
    /// Requests after whose end one counts `1/e` of what it did.
    pub memory_requests: u32,
    /// Time after which what an account was let in with counts `1/e` against it.
    pub usage_memory: Nanos,
}

impl Default for GateRules {
    fn default() -> Self {
        Self {
            expiry: true,
            expiring_confidence_ratio: 0.25,
            lasting_confidence_ratio: 0.99,
            wait_ratio: 1.0,
            memory_requests: 500,
            usage_memory: Nanos::from_millis(30_000),
        }
    }
}

/// What holds batch work back so that urgent work finds room.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HoldRules {
    /// How likely urgent work finds room at the least: as with so many standard deviations of what it
    /// holds and asks for left free, beside batch work that releases nothing.
    pub reserve_beta_min: f64,
    /// Time after which a moment counts `1/e` in the mean and variance of urgent work.
    pub memory: Nanos,
}

impl Default for HoldRules {
    fn default() -> Self {
        Self { reserve_beta_min: 2.4, memory: Nanos::from_millis(7_200_000) }
    }
}
