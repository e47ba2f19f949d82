//! Rows of `[[account]]` that `[account_default]` has too, and of `[account_default]` itself.

use super::{QUEUE_TOKENS_MAX, QUEUE_WAIT_MAX_S, REQUESTS_MAX};
use crate::policy::field::{Access, Field};
use crate::policy::{Account, Policy};
use crate::units::Nanos;

/// Most requests per minute: 2^30, more than any service gets.
const RATE_REQUESTS_MAX: u64 = 1 << 30;

/// Longest burst in seconds: a day, as for waits.
const RATE_BURST_MAX_S: f64 = 86_400.0;

/// Least weight; with [`WEIGHT_MAX`] the widest ratio of shares is a million, at which the
/// smaller account gets one request in days.
const WEIGHT_MIN: f64 = 0.001;

/// Largest weight.
const WEIGHT_MAX: f64 = 1000.0;

/// `[[account]]`, without its name, parent and quota.
pub(crate) static ACCOUNT: [Field<Account>; 7] = [
    Field {
        path: "account[].weight",
        unit: "relative share",
        access: Access::Real {
            min: WEIGHT_MIN,
            max: WEIGHT_MAX,
            get: |account| account.weight,
            set: |account, value| account.weight = value,
        },
        about: "Share while backlogged, next to the other accounts: with weight 3 next to 1, three \
            quarters of the work.",
        why: "As `account_default.weight`, so that naming an account changes nothing by itself.",
    },
    Field {
        path: "account[].queue_requests_max",
        unit: "requests",
        access: Access::Integer {
            min: 0,
            max: REQUESTS_MAX,
            get: |account| account.queue.requests_max.into(),
            set: |account, value| account.queue.requests_max = value as u32,
        },
        about: "Requests of this account and its parts that may wait at once; the batcher sheds what comes on top; the gate and the router do not look at it. 0: no limit.",
        why: "0: where nobody is told to come back, all wait. To 2^20, as `limits.requests_max`.",
    },
    Field {
        path: "account[].queue_tokens_max",
        unit: "tokens",
        access: Access::Integer {
            min: 0,
            max: QUEUE_TOKENS_MAX,
            get: |account| account.queue.tokens_max,
            set: |account, value| account.queue.tokens_max = value,
        },
        about: "Prompt tokens of this account and its parts that may wait at once; the batcher sheds what comes on top; the gate and the router do not look at it. 0: no limit.",
        why: "0: as for requests. To 2^44: 2^20 prompts of 2^24 tokens.",
    },
    Field {
        path: "account[].queue_wait_max_s",
        unit: "seconds",
        access: Access::Real {
            min: 0.0,
            max: QUEUE_WAIT_MAX_S,
            get: |account| account.queue.wait_max.as_seconds(),
            set: |account, value| account.queue.wait_max = Nanos::from_seconds(value),
        },
        about: "How long a request of this account and its parts may wait for its seat; after that the batcher gives it up; the gate does not look at it. 0: no limit.",
        why: "0: as for requests. To a day, as `class[].ttft_target_s`.",
    },
    Field {
        path: "account[].requests_per_minute",
        unit: "requests per minute",
        access: Access::Integer {
            min: 0,
            max: RATE_REQUESTS_MAX,
            get: |account| account.rates.requests_per_minute.into(),
            set: |account, value| account.rates.requests_per_minute = value as u32,
        },
        about: "Requests that this account and its parts may bring in per minute; the batcher sheds what comes on top; the gate and the router do not look at it. 0: no limit.",
        why: "0: a rate is a contract, and an engine is protected by what waits, not by rates. To 2^30, 18 million a second.",
    },
    Field {
        path: "account[].tokens_per_minute",
        unit: "tokens per minute",
        access: Access::Integer {
            min: 0,
            max: QUEUE_TOKENS_MAX,
            get: |account| account.rates.tokens_per_minute,
            set: |account, value| account.rates.tokens_per_minute = value,
        },
        about: "Tokens, prompt and output together, that this account and its parts may bring in per minute; the batcher sheds what comes on top; the gate and the router do not look at it. 0: no limit.",
        why: "0: as for requests. To 2^44, as `account[].queue_tokens_max`.",
    },
    Field {
        path: "account[].rate_burst_s",
        unit: "seconds",
        access: Access::Real {
            min: 1.0,
            max: RATE_BURST_MAX_S,
            get: |account| account.rates.burst.as_seconds(),
            set: |account, value| account.rates.burst = Nanos::from_seconds(value),
        },
        about: "What this account and its parts may bring in at once: as much as its rates bring in this time.",
        why: "60 s: a rate per minute then lets a minute's worth in at once, as its name says. From 1 s, below which a burst is hardly one, to a day.",
    },
];

/// `[account_default]`.
pub(crate) static ACCOUNT_DEFAULT: [Field<Policy>; 7] = [
    Field {
        path: "account_default.weight",
        unit: "relative share",
        access: Access::Real {
            min: WEIGHT_MIN,
            max: WEIGHT_MAX,
            get: |policy| policy.account_default_weight,
            set: |policy, value| policy.account_default_weight = value,
        },
        about: "Weight of an account that the policy does not name, or names without a weight.",
        why: "1: equal shares. From a thousandth to a thousand: a ratio of a million is one request \
          in days.",
    },
    Field {
        path: "account_default.queue_requests_max",
        unit: "requests",
        access: Access::Integer {
            min: 0,
            max: REQUESTS_MAX,
            get: |policy| policy.account_default_queue.requests_max.into(),
            set: |policy, value| policy.account_default_queue.requests_max = value as u32,
        },
        about: "Requests of an account that the policy does not name that may wait at once; the batcher sheds what comes on top; the gate and the router do not look at it. 0: no limit.",
        why: "0: where nobody is told to come back, all wait. To 2^20, as `limits.requests_max`.",
    },
    Field {
        path: "account_default.queue_tokens_max",
        unit: "tokens",
        access: Access::Integer {
            min: 0,
            max: QUEUE_TOKENS_MAX,
            get: |policy| policy.account_default_queue.tokens_max,
            set: |policy, value| policy.account_default_queue.tokens_max = value,
        },
        about: "Prompt tokens of an account that the policy does not name that may wait at once; the batcher sheds what comes on top; the gate and the router do not look at it. 0: no limit.",
        why: "0: as for requests. To 2^44: 2^20 prompts of 2^24 tokens.",
    },
    Field {
        path: "account_default.queue_wait_max_s",
        unit: "seconds",
        access: Access::Real {
            min: 0.0,
            max: QUEUE_WAIT_MAX_S,
            get: |policy| policy.account_default_queue.wait_max.as_seconds(),
            set: |policy, value| policy.account_default_queue.wait_max = Nanos::from_seconds(value),
        },
        about: "How long a request of an account that the policy does not name may wait for its seat; after that the batcher gives it up; the gate does not look at it. 0: no limit.",
        why: "0: as for requests. To a day, as `class[].ttft_target_s`.",
    },
    Field {
        path: "account_default.requests_per_minute",
        unit: "requests per minute",
        access: Access::Integer {
            min: 0,
            max: RATE_REQUESTS_MAX,
            get: |policy| policy.account_default_rates.requests_per_minute.into(),
            set: |policy, value| policy.account_default_rates.requests_per_minute = value as u32,
        },
        about: "Requests that an account that the policy does not name may bring in per minute; the batcher sheds what comes on top; the gate and the router do not look at it. 0: no limit.",
        why: "0: a rate is a contract, and an engine is protected by what waits, not by rates. To 2^30, 18 million a second.",
    },
    Field {
        path: "account_default.tokens_per_minute",
        unit: "tokens per minute",
        access: Access::Integer {
            min: 0,
            max: QUEUE_TOKENS_MAX,
            get: |policy| policy.account_default_rates.tokens_per_minute,
            set: |policy, value| policy.account_default_rates.tokens_per_minute = value,
        },
        about: "Tokens, prompt and output together, that an account that the policy does not name may bring in per minute; the batcher sheds what comes on top; the gate and the router do not look at it. 0: no limit.",
        why: "0: as for requests. To 2^44, as `account_default.queue_tokens_max`.",
    },
    Field {
        path: "account_default.rate_burst_s",
        unit: "seconds",
        access: Access::Real {
            min: 1.0,
            max: RATE_BURST_MAX_S,
            get: |policy| policy.account_default_rates.burst.as_seconds(),
            set: |policy, value| policy.account_default_rates.burst = Nanos::from_seconds(value),
        },
        about: "What an account that the policy does not name may bring in at once: as much as its rates bring in this time.",
        why: "60 s: a rate per minute then lets a minute's worth in at once, as its name says. From 1 s, below which a burst is hardly one, to a day.",
    },
];
