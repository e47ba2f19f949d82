//! Rows of `[batch]`.

use crate::policy::field::{Access, Field};
use crate::policy::{BatchRules, EngineMode};
use crate::units::Tokens;

/// Widest ratio of costs of two kinds of token that means anything: beyond it, the cheaper one
/// is free.
const COST_MAX: f64 = 1000.0;

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
