//! Rows of `[history]`.

use crate::policy::HistoryRules;
use crate::policy::field::{Access, Field};
use crate::units::Nanos;

/// Longest half-life, in seconds: ten years of 365 days, after which nobody remembers either.
const HALF_LIFE_MAX_S: f64 = 315_360_000.0;

/// Largest weight of the past: at 1000, a thousandth of the usage more than one's share takes all
/// that is left over away.
pub(super) const USAGE_WEIGHT_MAX: f64 = 1000.0;

/// `[history]`.
pub(crate) static HISTORY: [Field<HistoryRules>; 2] = [
    Field {
        path: "history.half_life_s",
        unit: "seconds",
        access: Access::Real {
            min: 0.0,
            max: HALF_LIFE_MAX_S,
            get: |history| history.half_life.as_seconds(),
            set: |history, value| history.half_life = Nanos::from_seconds(value),
        },
        about: "Time after which past usage counts half. 0: no history is kept.",
        why: "0: shares are then of what is divided now, and nothing has to be remembered or saved. \
              Slurm's default is 7 days (604,800). To ten years.",
    },
    Field {
        path: "history.usage_weight",
        unit: "share per share",
        access: Access::Real {
            min: 0.0,
            max: USAGE_WEIGHT_MAX,
            get: |history| history.usage_weight,
            set: |history, value| history.usage_weight = value,
        },
        about: "How much past usage above an account's share takes from its part of what is left \
                over when capacity is divided, and usage below it adds. 0: the past does not count. Needs \
                `history.half_life_s`.",
        why: "0: who was alone yesterday is not punished for it today, unless the operator says so. \
              To 1000, where a thousandth of usage above the share takes everything.",
    },
];
