//! Rows of `[limits]`.

use super::{REQUESTS_MAX, SEQUENCE_TOKENS_MAX, STEP_TOKENS_MAX};
use crate::policy::field::{Access, Field};
use crate::policy::{ACCOUNTS_MAX, Limits, REPLICAS_MAX};
use crate::units::Tokens;

/// `[limits]`.
pub(crate) static LIMITS: [Field<Limits>; 10] = [
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
        path: "limits.replicas_max",
        unit: "replicas",
        access: Access::Integer {
            min: 0,
            max: REPLICAS_MAX as u64,
            get: |limits| limits.replicas_max.into(),
            set: |limits, value| limits.replicas_max = value as u32,
        },
        about: "Other engines and routers that exchange with this one whom they served, so that \
                an account has one share on all of them together.",
        why: "0: one engine alone. To 255: what a byte can name besides itself. Each takes 8 bytes \
              for every account and class.",
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
        why: "0: an engine without adapters. To 65,536: one for each customer of a large service.",
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
