//! Rows of `[objectives]`.

use crate::policy::Objectives;
use crate::policy::field::{Access, Field};
use crate::units::Nanos;

/// `[objectives]`.
pub(crate) static OBJECTIVES: [Field<Objectives>; 2] = [
    Field {
        path: "objectives.attainment_min_ratio",
        unit: "share of offered requests",
        access: Access::Real {
            min: 0.01,
            max: 1.0,
            get: |objectives| objectives.attainment_min_ratio,
            set: |objectives, value| objectives.attainment_min_ratio = value,
        },
        about: "Share of the requests offered that must meet both targets for the service to \
                count as good.",
        why: "0.9: the line that the literature on goodput draws (DistServe, OSDI'24).",
    },
    Field {
        path: "objectives.slowdown_floor_s",
        unit: "seconds",
        access: Access::Real {
            min: 0.001,
            max: 3600.0,
            get: |objectives| objectives.slowdown_floor.as_seconds(),
            set: |objectives, value| objectives.slowdown_floor = Nanos::from_seconds(value),
        },
        about: "Floor of the run time in bounded slowdown, so that tiny requests do not dominate \
                it.",
        why: "1 s: up to there a user's train of thought is not broken. Batch scheduling \
              customarily takes 10 s, for jobs that run for hours.",
    },
];
