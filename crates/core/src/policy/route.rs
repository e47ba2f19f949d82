//! What a router goes by.

use crate::units::Nanos;

/// What a router goes by. Weights are exchange rates: 1 is the honest one, 0 ignores the price.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RouteRules {
    /// A replica that has not reported for so long is passed over while another has; zero: never.
    pub stale_after: Nanos,
    /// Weight of slowing down those who decode on a replica, and of being slowed down by them.
    pub interference_weight: f64,
    /// Weight of keeping busy a replica that others will come to before its queue is empty.
    pub later_weight: f64,
    /// Above so many replicas that may be chosen, only a few of them are priced.
    pub sample_above_replicas: u32,
}

impl Default for RouteRules {
    fn default() -> Self {
        Self {
            stale_after: Nanos(5_000_000_000),
            interference_weight: 0.02,
            later_weight: 1.0,
            sample_above_replicas: 10_000,
        }
    }
}
