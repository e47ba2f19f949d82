//! Rows of `[gate]` and `[hold]`.
//!
//! "The contest" in the rows below is `cargo run --release -p rampmeter-sim --example
//! gate_contest`; its tables stand in docs/policies/headroom.md.

use crate::policy::field::{Access, Field};
use crate::policy::{GateRules, HoldRules};
use crate::units::Nanos;

/// Longest memory of the gate, in requests, and shortest: the error of a rate is then 0.3%, or 32%.
const MEMORY_REQUESTS: (u64, u64) = (10, 100_000);

/// Longest memories, in seconds: a day.
const MEMORY_MAX_S: f64 = 86_400.0;

/// Most standard deviations in reserve: beyond six, one moment in a thousand million is not
/// covered.
const RESERVE_BETA_MAX: f64 = 6.0;

/// `[gate]`.
pub(crate) static GATE: [Field<GateRules>; 6] = [
    Field {
        path: "gate.expiry",
        unit: "word",
        access: Access::Word {
            words: &["off", "on"],
            get: |rules| usize::from(rules.expiry),
            set: |rules, place| rules.expiry = place == 1,
        },
        about: "Whether the program drops, when a server takes it from the queue, a request that \
                waited beyond its target.",
        why: "`on`: the gate says so at that moment and nothing else has to be done; without it \
              late requests take servers from those that could be in time.",
    },
    Field {
        path: "gate.expiring_confidence_ratio",
        unit: "probability",
        access: Access::Real {
            min: 0.01,
            max: 0.99,
            get: |rules| rules.expiring_confidence_ratio,
            set: |rules, value| rules.expiring_confidence_ratio = value,
        },
        about: "With `gate.expiry`: a request may wait if it starts in time with at least this \
                probability, behind what is queued.",
        why: "0.25: who waits in vain takes no server, so that only the hopeless are refused at \
              once. In the contest 0.1 served up to 0.4 points more and let a third more wait in \
              vain; 0.5 served up to 0.9 less.",
    },
    Field {
        path: "gate.lasting_confidence_ratio",
        unit: "probability",
        access: Access::Real {
            min: 0.5,
            max: 0.9999,
            get: |rules| rules.lasting_confidence_ratio,
            set: |rules, value| rules.lasting_confidence_ratio = value,
        },
        about: "The same without `gate.expiry`.",
        why: "0.99: who is late takes a server all the same, so that the 99th percentile of waits \
              is to be within the target.",
    },
    Field {
        path: "gate.wait_ratio",
        unit: "share of the target",
        access: Access::Real {
            min: 0.001,
            max: 1.0,
            get: |rules| rules.wait_ratio,
            set: |rules, value| rules.wait_ratio = value,
        },
        about: "Part of `class[].ttft_target_s` that may pass before a request starts; \
                `class[].queue_wait_max_s`, if it is shorter, stands for it.",
        why: "1: what is answered at its start. Less where the time until the first token is \
              known.",
    },
    Field {
        path: "gate.memory_requests",
        unit: "requests",
        access: Access::Integer {
            min: MEMORY_REQUESTS.0,
            max: MEMORY_REQUESTS.1,
            get: |rules| rules.memory_requests.into(),
            set: |rules, value| rules.memory_requests = value as u32,
        },
        about: "Requests after whose end one counts 1/e of what it did in how fast the queue \
                drains.",
        why: "500: the rate is known to 4%, less than chance adds to any wait of fewer than 500 \
              starts, and a change is seen within minutes.",
    },
    Field {
        path: "gate.usage_memory_s",
        unit: "seconds",
        access: Access::Real {
            min: 0.1,
            max: MEMORY_MAX_S,
            get: |rules| rules.usage_memory.as_seconds(),
            set: |rules, value| rules.usage_memory = Nanos::from_seconds(value),
        },
        about: "Time after which what an account was let in with counts 1/e against it.",
        why: "30 s: long beside the waits of interactive classes, and an account that returns \
              from a pause has no more in hand than its share of half a minute.",
    },
];

/// `[hold]`.
pub(crate) static HOLD: [Field<HoldRules>; 2] = [
    Field {
        path: "hold.reserve_beta_min",
        unit: "standard deviations",
        access: Access::Real {
            min: 0.0,
            max: RESERVE_BETA_MAX,
            get: |rules| rules.reserve_beta_min,
            set: |rules, value| rules.reserve_beta_min = value,
        },
        about: "How likely urgent work finds room at the least, beside batch work: as with so many \
                standard deviations of what it holds and asks for left free where nothing is \
                released. 0: the price alone decides.",
        why: "2.4: of a hundred requests one finds nothing free (Halfin and Whitt 1981); \
              docs/policies/headroom.md has what it costs.",
    },
    Field {
        path: "hold.memory_s",
        unit: "seconds",
        access: Access::Real {
            min: 1.0,
            max: 10.0 * MEMORY_MAX_S,
            get: |rules| rules.memory.as_seconds(),
            set: |rules, value| rules.memory = Nanos::from_seconds(value),
        },
        about: "Time after which a moment counts 1/e in the mean and variance of urgent work.",
        why: "2 hours: several bursts, and short beside a day. To ten days.",
    },
];
