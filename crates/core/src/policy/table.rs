//! The table: every key of a policy but the names, one row each.
//!
//! "The simulation" in the rows below is an iteration-level simulation of Llama-3.1-8B with
//! measured kernel times, 128 seats, targets of 2 s and 50 ms, eight accounts of which one is
//! greedy. Load 1.0 is what first-come-first-served with 2,048-token steps completes when
//! saturated; pairs of figures are chat / code traffic; attainment is the share of interactive
//! requests that met both targets.

use super::field::{Access, Field};
use super::{ACCOUNTS_MAX, Account, BatchRules, Class, EngineMode, Limits, Objectives, Policy};
use crate::units::{Nanos, Tokens};

/// Nanoseconds in one millisecond.
const NANOS_PER_MILLISECOND: f64 = 1e6;

/// Most requests known at once: 2^20, 160 MiB of state at 160 bytes each.
const REQUESTS_MAX: u64 = 1 << 20;

/// Most tokens in one step: 2^20, more than the longest contexts of today computed in one go.
const STEP_TOKENS_MAX: u64 = 1 << 20;

/// Most prompt tokens in a queue: as many requests as can be known, each as long as can be.
const QUEUE_TOKENS_MAX: u64 = REQUESTS_MAX * SEQUENCE_TOKENS_MAX;

/// Longest wait that can be a limit, in seconds: a day, as for targets.
const QUEUE_WAIT_MAX_S: f64 = 86_400.0;

/// Longest prompt or output: 2^24 tokens, above the longest context announced (10 million). The
/// sum of both stays far inside 32 bits, and each is exact in an `f32`.
pub(crate) const SEQUENCE_TOKENS_MAX: u64 = 1 << 24;

/// Widest ratio of costs of two kinds of token that means anything: beyond it, the cheaper one
/// is free.
const COST_MAX: f64 = 1000.0;

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
        about: "Requests of this class that may wait at once; what comes on top is shed. 0: no limit.",
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
        about: "Prompt tokens of this class that may wait at once; what comes on top is shed. 0: no limit.",
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
        about: "How long a request of this class may wait for its seat; after that it is given up. 0: no limit.",
        why: "0: as for requests. To a day, as `class[].ttft_target_s`.",
    },
];

/// `[[account]]`, without its name.
pub(crate) static ACCOUNT: [Field<Account>; 4] = [
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
        about: "Requests of this account and its parts that may wait at once; what comes on top is shed. 0: no limit.",
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
        about: "Prompt tokens of this account and its parts that may wait at once; what comes on top is shed. 0: no limit.",
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
        about: "How long a request of this account and its parts may wait for its seat; after that it is given up. 0: no limit.",
        why: "0: as for requests. To a day, as `class[].ttft_target_s`.",
    },
];

/// Least weight; with [`WEIGHT_MAX`] the widest ratio of shares is a million, at which the
/// smaller account gets one request in days.
const WEIGHT_MIN: f64 = 0.001;

/// Largest weight.
const WEIGHT_MAX: f64 = 1000.0;

/// `[account_default]`.
pub(crate) static ACCOUNT_DEFAULT: [Field<Policy>; 4] = [
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
        about: "Requests of an account that the policy does not name that may wait at once; what comes on top is shed. 0: no limit.",
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
        about: "Prompt tokens of an account that the policy does not name that may wait at once; what comes on top is shed. 0: no limit.",
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
        about: "How long a request of an account that the policy does not name may wait for its seat; after that it is given up. 0: no limit.",
        why: "0: as for requests. To a day, as `class[].ttft_target_s`.",
    },
];

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

/// `[limits]`.
pub(crate) static LIMITS: [Field<Limits>; 9] = [
    Field {
        path: "limits.requests_max",
        unit: "requests",
        access: Access::Integer {
            min: 1,
            max: REQUESTS_MAX,
            get: |limits| limits.requests_max.into(),
            set: |limits, value| limits.requests_max = value as u32,
        },
        about: "Requests that may be known at once, waiting and running together.",
        why: "16,384: 2.5 MiB of state, and minutes of queue on one engine. To 2^20, 160 MiB.",
    },
    Field {
        path: "limits.running_max",
        unit: "requests",
        access: Access::Integer {
            min: 1,
            max: 65_536,
            get: |limits| limits.running_max.into(),
            set: |limits, value| limits.running_max = value as u32,
        },
        about: "Requests that may run at once (seats). At most `limits.requests_max`, and at most \
                `limits.step_tokens_max`, since every seat may decode one token in a step.",
        why: "128: the seats of the measured engine; set it to what the engine is started with.",
    },
    Field {
        path: "limits.accounts_max",
        unit: "accounts",
        access: Access::Integer {
            min: 1,
            max: ACCOUNTS_MAX as u64,
            get: |limits| limits.accounts_max.into(),
            set: |limits, value| limits.accounts_max = value as u32,
        },
        about: "Accounts that may be open at once. At least the number that the policy names.",
        why: "1,024: teams and keys of one service. A step looks at each that has work waiting.",
    },
    Field {
        path: "limits.adapters_max",
        unit: "adapters",
        access: Access::Integer {
            min: 0,
            max: 65_536,
            get: |limits| limits.adapters_max.into(),
            set: |limits, value| limits.adapters_max = value as u32,
        },
        about: "Adapters (LoRA) that requests may name: 1 to this.",
        why: "0: an engine without adapters. To 65,536, as accounts: one for each customer.",
    },
    Field {
        path: "limits.adapter_slots_max",
        unit: "adapters",
        access: Access::Integer {
            min: 1,
            max: 1_024,
            get: |limits| limits.adapter_slots_max.into(),
            set: |limits, value| limits.adapter_slots_max = value as u32,
        },
        about: "Different adapters that running requests may use at once.",
        why: "8: what serving engines are usually started with; set it to what yours is. A step \
              looks at each slot.",
    },
    Field {
        path: "limits.step_tokens_max",
        unit: "tokens",
        access: Access::Integer {
            min: 1,
            max: STEP_TOKENS_MAX,
            get: |limits| limits.step_tokens_max.get().into(),
            set: |limits, value| limits.step_tokens_max = Tokens(value as u32),
        },
        about: "Tokens that one step may compute, prompts and decodes together.",
        why: "2,048: what serving engines ship, and as far as the measured kernel times reach.",
    },
    Field {
        path: "limits.steps_in_flight_max",
        unit: "steps",
        access: Access::Integer {
            min: 1,
            max: 4,
            get: |limits| limits.steps_in_flight_max.into(),
            set: |limits, value| limits.steps_in_flight_max = value as u32,
        },
        about: "Steps that may be formed and not yet observed.",
        why: "2: an engine that schedules asynchronously plans a step while one runs. 4 serve \
              pipelines of that many stages.",
    },
    Field {
        path: "limits.prompt_tokens_max",
        unit: "tokens",
        access: Access::Integer {
            min: 1,
            max: SEQUENCE_TOKENS_MAX,
            get: |limits| limits.prompt_tokens_max.get().into(),
            set: |limits, value| limits.prompt_tokens_max = Tokens(value as u32),
        },
        about: "Longest prompt accepted.",
        why: "131,072: the context window of the Llama 3.1 models. To 2^24, above any announced.",
    },
    Field {
        path: "limits.output_tokens_max",
        unit: "tokens",
        access: Access::Integer {
            min: 1,
            max: SEQUENCE_TOKENS_MAX,
            get: |limits| limits.output_tokens_max.get().into(),
            set: |limits, value| limits.output_tokens_max = Tokens(value as u32),
        },
        about: "Most output tokens of one request.",
        why: "131,072: the context window of the Llama 3.1 models. To 2^24, above any announced.",
    },
];

/// `[batch]`.
pub(crate) static BATCH: [Field<BatchRules>; 15] = [
    Field {
        path: "batch.mode",
        unit: "name",
        access: Access::Word {
            words: &EngineMode::NAMES,
            get: |batch| batch.mode as usize,
            set: |batch, place| batch.mode = EngineMode::ALL[place],
        },
        about: "What the engine computes: everything (`mixed`), or one half of a disaggregated \
                pair: prompts up to their first token (`prefill`), or what comes after (`decode`).",
        why: "`mixed`: what engines do unless told otherwise.",
    },
    Field {
        path: "batch.triage",
        unit: "word",
        access: Access::Word {
            words: &["off", "on"],
            get: |batch| usize::from(batch.triage),
            set: |batch, place| batch.triage = place == 1,
        },
        about: "Whether requests that can no longer meet their target stand behind those that \
                still can.",
        why: "`on`: the rule that decides who is served in overload; see the table of ingredients \
              in docs/policies/batch.md.",
    },
    Field {
        path: "batch.prefill_floor_tokens",
        unit: "tokens",
        access: Access::Integer {
            min: 1,
            max: 16_384,
            get: |batch| batch.prefill_floor_tokens.get().into(),
            set: |batch, value| batch.prefill_floor_tokens = Tokens(value as u32),
        },
        about: "Prompt tokens that a step may always take, within `limits.step_tokens_max`, \
                however tight the decoding requests are.",
        why: "64: 32 to 128 are equal on chat traffic at load 1.0 and 512 costs a quarter of all \
              requests their targets (attainment 0.96 against 0.70; `make ablation`, three seeds). \
              At least 1, or prompts could wait for ever.",
    },
    Field {
        path: "batch.deadline_margin_ratio",
        unit: "share of the time per output token",
        access: Access::Real {
            min: 0.1,
            max: 1.0,
            get: |batch| batch.deadline_margin_ratio,
            set: |batch, value| batch.deadline_margin_ratio = value,
        },
        about: "Share of `tpot_target_ms` that steps are planned to keep; the rest absorbs errors \
                of prediction.",
        why: "0.95: the step model errs by 3 to 5% at p95 (`rampmeter fit`). Where it is exact, 1 \
              does as well; more than 1 would plan to be late.",
    },
    Field {
        path: "batch.background_step_ratio",
        unit: "share of the time per output token",
        access: Access::Real {
            min: 0.01,
            max: 1.0,
            get: |batch| batch.background_step_ratio,
            set: |batch, value| batch.background_step_ratio = value,
        },
        about: "Prompts that are late or of a lower class fill a step only up to this share of \
                the tightest running `tpot_target_ms`. At most `batch.deadline_margin_ratio`.",
        why: "0.8: on chat traffic at load 1.0 interactive / batch attainment 0.96 / 0.63, against \
              0.96 / 0.55 with 0.65 and 0.95 / 0.65 with 0.95 (`make ablation`, three seeds).",
    },
    Field {
        path: "batch.slack_lending_ratio",
        unit: "share of the lead",
        access: Access::Real {
            min: 0.0,
            max: 1.0,
            get: |batch| batch.slack_lending_ratio,
            set: |batch, value| batch.slack_lending_ratio = value,
        },
        about: "Share of its lead over its own schedule that a decoding request lends to prompts; \
                with 0 each step keeps to one `tpot_target_ms`.",
        why: "1: nobody reads ahead of the text; see the table of ingredients in \
              docs/policies/batch.md.",
    },
    Field {
        path: "batch.work_delay_ratio",
        unit: "seconds per second of prompt work",
        access: Access::Real {
            min: 0.0,
            max: 100.0,
            get: |batch| batch.work_delay_ratio,
            set: |batch, value| batch.work_delay_ratio = value,
        },
        about: "Seconds of priority that one second of remaining prompt work costs among requests \
                of equal standing: 0 is earliest deadline first, 1 the moment it must start at the \
                latest, much more is shortest first.",
        why: "2: between latest start and shortest first; see the table of ingredients in \
              docs/policies/batch.md.",
    },
    Field {
        path: "batch.urgency_credit_tokens",
        unit: "tokens of service",
        access: Access::Real {
            min: 0.0,
            max: 1e9,
            get: |batch| batch.urgency_credit_tokens,
            set: |batch, value| batch.urgency_credit_tokens = value,
        },
        about: "How far past its fair turn an account may go for a request about to miss its \
                target. The bound on unfairness grows by twice this.",
        why: "50,000: attainment 0.96 / 0.76 on chat / code traffic at load 1.0, against 0.93 / \
              0.66 with 0; four times as much gains 0.00 / 0.02 and costs four times the service \
              difference (`make ablation`, three seeds). A thousand million is no fairness at all.",
    },
    Field {
        path: "batch.late_ratio",
        unit: "share of the engine's work",
        access: Access::Real {
            min: 0.0,
            max: 0.5,
            get: |batch| batch.late_ratio,
            set: |batch, value| batch.late_ratio = value,
        },
        about: "Share of an account's work kept for its requests that have already missed their target; \
                divided by the classes with work waiting, the least that each of them is owed.",
        why: "0.005: without any a request could wait for ever; attainment on chat traffic at \
              load 1.0 is 0.96 with this and with 0, and 0.94 with 0.05 (`make ablation`, three \
              seeds). Above a half, overload feeds on itself.",
    },
    Field {
        path: "batch.prompt_token_cost",
        unit: "service per token",
        access: Access::Real {
            min: 0.001,
            max: COST_MAX,
            get: |batch| batch.prompt_token_cost,
            set: |batch, value| batch.prompt_token_cost = value,
        },
        about: "Cost of one prompt token, in which accounts are charged.",
        why: "1: the unit of service.",
    },
    Field {
        path: "batch.cached_token_cost",
        unit: "service per token",
        access: Access::Real {
            min: 0.0,
            max: COST_MAX,
            get: |batch| batch.cached_token_cost,
            set: |batch, value| batch.cached_token_cost = value,
        },
        about: "Cost of one prompt token found in the cache. At most `batch.prompt_token_cost`.",
        why: "0: it is not computed, and free cache hits reward those who share prefixes.",
    },
    Field {
        path: "batch.output_token_cost",
        unit: "service per token",
        access: Access::Real {
            min: 0.0,
            max: COST_MAX,
            get: |batch| batch.output_token_cost,
            set: |batch, value| batch.output_token_cost = value,
        },
        about: "Cost of one output token; 0 to measure it: time of a token of a decoding step over \
                that of a full prompt step, by the step-time model, times `batch.prompt_token_cost`.",
        why: "5: what it measures on Llama-3.1-8B with 128 requests, rounded (5.4), so that a service \
              difference means the same everywhere. The customary 2 undercharges long answers.",
    },
    Field {
        path: "batch.preemptions_max",
        unit: "times",
        access: Access::Integer {
            min: 0,
            max: 64,
            get: |batch| batch.preemptions_max.into(),
            set: |batch, value| batch.preemptions_max = value as u32,
        },
        about: "Times that one request may lose its KV cache before others are preferred as \
                victims.",
        why: "2: such a request has paid for its prompt three times.",
    },
    Field {
        path: "batch.kv_overflow_risk_ratio",
        unit: "probability",
        access: Access::Real {
            min: 0.0,
            max: 1.0,
            get: |batch| batch.kv_overflow_risk_ratio,
            set: |batch, value| batch.kv_overflow_risk_ratio = value,
        },
        about: "Probability accepted that the running requests, as forecast, outgrow the KV cache \
                when one more is let in; 1 lets requests in on their prompt alone.",
        why: "0.1: chat traffic in a cache of 2,500 blocks at load 0.9 / 1.3 (`make pressure`, three \
              seeds): attainment 0.984 / 0.833 with 3% of all prefill computed twice, against 0.984 / \
              0.830 with 6% when nothing is foreseen; with 0.03 it is 0.979 / 0.835 and 0.2%. 0 \
              reserves what users allow.",
    },
    Field {
        path: "batch.model_memory_steps",
        unit: "steps",
        access: Access::Integer {
            min: 0,
            max: 1_000_000,
            get: |batch| batch.model_memory_steps.into(),
            set: |batch, value| batch.model_memory_steps = value as u32,
        },
        about: "Steps after which an observed step counts 1/e of what it did in the step-time \
                model, which learns from each; 0 keeps the model as it was given.",
        why: "1,000: half a minute of work; 500 to 4,000 differ by 0.03 points of mean error \
              (docs/policies/step-model.md). 50 at least, to tell seven coefficients apart.",
    },
];
