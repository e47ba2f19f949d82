//! Rows of `[[class]]`.

use super::{QUEUE_TOKENS_MAX, QUEUE_WAIT_MAX_S, REQUESTS_MAX};
use crate::policy::Class;
use crate::policy::field::{Access, Field};
use crate::units::Nanos;

/// Nanoseconds in one millisecond.
const NANOS_PER_MILLISECOND: f64 = 1e6;

fn milliseconds(span: Nanos) -> f64 {
    span.get() as f64 / NANOS_PER_MILLISECOND
}

fn from_milliseconds(value: f64) -> Nanos {
    Nanos(libm::round(value * NANOS_PER_MILLISECOND) as u64)
}

/// `[[class]]`, without its name.
pub(crate) static CLASS: [Field<Class>; 7] = [
    Field {
        path: "class[].ttft_target_s",
        unit: "seconds",
        access: Access::Real {
            min: 0.001,
            max: 86_400.0,
            get: |class| class.ttft_target.as_seconds(),
            set: |class, value| class.ttft_target = Nanos::from_seconds(value),
        },
        about: "Time to first token that users of this class expect.",
        why: "2 s: the pause after which somebody at a screen starts to doubt. From 1 ms, \
              less than a network takes, to a day.",
    },
    Field {
        path: "class[].tpot_target_ms",
        unit: "milliseconds",
        access: Access::Real {
            min: 0.01,
            max: 60_000.0,
            get: |class| milliseconds(class.tpot_target),
            set: |class, value| class.tpot_target = from_milliseconds(value),
        },
        about: "Time per output token after the first that they expect.",
        why: "50 ms: 20 tokens a second, about four times as fast as people read. From 10 us, the \
              launch of one kernel, to a minute.",
    },
    Field {
        path: "class[].delay_value",
        unit: "value of a second of delay; 1 = an interactive user's",
        access: Access::Real {
            min: 0.0001,
            max: 10_000.0,
            get: |class| class.delay_value,
            set: |class, value| class.delay_value = value,
        },
        about: "What one second of delay is worth, next to other classes.",
        why: "1: the unit. Never 0, since prices are divided by it: work that nobody waits for \
              takes the smallest value.",
    },
    Field {
        path: "class[].guaranteed_ratio",
        unit: "share of the engine's work",
        access: Access::Real {
            min: 0.0,
            max: 0.9,
            get: |class| class.guaranteed_ratio,
            set: |class, value| class.guaranteed_ratio = value,
        },
        about: "Share kept for this class while it has work waiting, however busy the classes \
                before it are. All guarantees and `batch.late_ratio` together: at most 0.99.",
        why: "0: the first class needs none. For `batch`, 0.02: at load 1.2 interactive / batch \
              attainment 0.85 / 0.20, against 0.87 / 0.15 with 0 and 0.79 / 0.53 with 0.1 \
              (`make ablation`, three seeds).",
    },
    Field {
        path: "class[].queue_requests_max",
        unit: "requests",
        access: Access::Integer {
            min: 0,
            max: REQUESTS_MAX,
            get: |class| class.queue.requests_max.into(),
            set: |class, value| class.queue.requests_max = value as u32,
        },
        about: "Requests of this class that may wait at once; the batcher sheds what comes on top; the gate and the router do not look at it. 0: no limit.",
        why: "0: where nobody is told to come back, all wait. To 2^20, as `limits.requests_max`.",
    },
    Field {
        path: "class[].queue_tokens_max",
        unit: "tokens",
        access: Access::Integer {
            min: 0,
            max: QUEUE_TOKENS_MAX,
            get: |class| class.queue.tokens_max,
            set: |class, value| class.queue.tokens_max = value,
        },
        about: "Prompt tokens of this class that may wait at once; the batcher sheds what comes on top; the gate and the router do not look at it. 0: no limit.",
        why: "0: as for requests. To 2^44: 2^20 prompts of 2^24 tokens.",
    },
    Field {
        path: "class[].queue_wait_max_s",
        unit: "seconds",
        access: Access::Real {
            min: 0.0,
            max: QUEUE_WAIT_MAX_S,
            get: |class| class.queue.wait_max.as_seconds(),
            set: |class, value| class.queue.wait_max = Nanos::from_seconds(value),
        },
        about: "How long a request of this class may wait for its seat; after that the batcher gives it up, and the gate where that is sooner than its target. 0: no limit.",
        why: "0: as for requests. To a day, as `class[].ttft_target_s`.",
    },
];
