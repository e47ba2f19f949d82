//! Rows of `[route]`.

use crate::policy::RouteRules;
use crate::policy::field::{Access, Field};
use crate::units::Nanos;

/// Longest silence of a replica that can be borne, in seconds: an hour, beyond any interval at
/// which metrics are read.
const STALE_AFTER_MAX_S: f64 = 3600.0;

/// Largest weight of a price: far beyond where it alone decides.
const WEIGHT_MAX: f64 = 1000.0;

/// Most replicas of one router, 2^20: as many as there can be, so that all are priced.
const REPLICAS_MAX: u64 = 1 << 20;

/// `[route]`.
pub(crate) static ROUTE: [Field<RouteRules>; 4] = [
    Field {
        path: "route.stale_after_s",
        unit: "seconds",
        access: Access::Real {
            min: 0.0,
            max: STALE_AFTER_MAX_S,
            get: |rules| rules.stale_after.as_seconds(),
            set: |rules, value| rules.stale_after = Nanos::from_seconds(value),
        },
        about: "A replica that has not reported for so long is passed over while another has. 0: \
                never.",
        why: "5: five reports of the usual second are missing. To an hour, beyond any interval at \
              which metrics are read.",
    },
    Field {
        path: "route.interference_weight",
        unit: "seconds per second",
        access: Access::Real {
            min: 0.0,
            max: WEIGHT_MAX,
            get: |rules| rules.interference_weight,
            set: |rules, value| rules.interference_weight = value,
        },
        about: "Weight of slowing down those who decode on a replica, and of being slowed down by \
                them.",
        why: "0.02: who reads an answer hardly feels that a token is later, while it is within its \
              target. In a simulation of four replicas 0 to 0.05 gave the same waits within 3%, and 1 \
              longer ones by a fifth. To 1000, where nothing else decides.",
    },
    Field {
        path: "route.later_weight",
        unit: "seconds per second",
        access: Access::Real {
            min: 0.0,
            max: WEIGHT_MAX,
            get: |rules| rules.later_weight,
            set: |rules, value| rules.later_weight = value,
        },
        about: "Weight of keeping a replica busy for those who will come before its queue is empty.",
        why: "1: who comes later waits as long as who is here. To 1000, where nothing else decides.",
    },
    Field {
        path: "route.sample_above_replicas",
        unit: "replicas",
        access: Access::Integer {
            min: 2,
            max: REPLICAS_MAX,
            get: |rules| rules.sample_above_replicas.into(),
            set: |rules, value| rules.sample_above_replicas = value as u32,
        },
        about: "Above so many replicas that may be chosen, only two drawn by a counter and the best \
                holders of the prefix are priced.",
        why: "10000: pricing all of them takes a tenth of a millisecond; two random choices are \
              enough to keep queues short (Mitzenmacher, 2001). From 2, the fewest that can differ.",
    },
];
