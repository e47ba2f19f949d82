//! What stands in the lines of a recording.

use std::string::{String, ToString};
use std::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::batch::continuous::{
    Admission, Change, Expiry, Formed, Observed, Plan, PlanEntry, Preemption, RequestId,
    StepResult, Submission,
};
use crate::engine::{FEATURES, KvGeometry, KvSwap, StepModel};
use crate::error::Error;
use crate::policy::{Policy, QueueLimits, RateLimits};
use crate::share::AccountId;
use crate::share::exchange::{Delta, DeltaEntry, DeltaSource, Merged};
use crate::units::{Blocks, Nanos, Tokens};

/// Version of the format; a recording of another one is refused.
pub const FORMAT: u32 = 2;

/// The first line: what the batcher was built from.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// [`FORMAT`] of the version that wrote it.
    pub format: u32,
    /// The version that wrote it.
    pub rampmeter: String,
    /// The policy as a document.
    pub policy_toml: String,
    /// Blocks of the KV cache.
    pub kv_blocks: Blocks,
    /// Tokens in a block.
    pub kv_block_tokens: u32,
    /// Coefficients of the step-time model.
    pub coefficients: [f64; FEATURES],
}

impl Header {
    pub(super) fn new(policy: &Policy, kv: KvGeometry, model: StepModel) -> Self {
        Self {
            format: FORMAT,
            rampmeter: env!("CARGO_PKG_VERSION").into(),
            policy_toml: policy.to_toml(),
            kv_blocks: kv.blocks(),
            kv_block_tokens: kv.block_tokens(),
            coefficients: model.coefficients(),
        }
    }
}

/// The last line.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct End {
    /// Calls recorded.
    pub(super) calls: u64,
}

/// A line between the first and the last.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedCall {
    /// What was asked.
    pub call: Call,
    /// What was answered.
    pub answer: Answer,
}

/// A call with all its arguments; each is a method of [`crate::batch::Batcher`].
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[expect(missing_docs, reason = "names and meanings are those of the methods and their arguments")]
pub enum Call {
    Submit {
        now: Nanos,
        submission: Submission,
    },
    Cancel {
        now: Nanos,
        request: RequestId,
    },
    Change {
        now: Nanos,
        request: RequestId,
        change: Change,
    },
    Release {
        now: Nanos,
        request: RequestId,
    },
    SetCachedTokens {
        request: RequestId,
        tokens: Tokens,
    },
    OpenAccount {
        parent: Option<AccountId>,
        #[serde(with = "any_number")]
        weight: f64,
    },
    SetAccountWeight {
        account: AccountId,
        #[serde(with = "any_number")]
        weight: f64,
    },
    SetAccountQueue {
        account: AccountId,
        limits: QueueLimits,
    },
    SetAccountRates {
        account: AccountId,
        rates: RateLimits,
    },
    CloseAccount {
        account: AccountId,
    },
    Form {
        now: Nanos,
        /// Elements of the arrays of the plan, in its order.
        sizes: [u64; 3],
        /// What the host's prefix cache answered, in the order in which it was asked.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        cached: Vec<Option<Tokens>>,
    },
    Observe {
        now: Nanos,
        step: u64,
        kv_blocks_free: Option<Blocks>,
        duration: Option<Nanos>,
        results: Vec<StepResult>,
    },
    SetKvBlocksFree {
        now: Nanos,
        free: Blocks,
    },
    SetPolicy {
        policy_toml: String,
    },
    SetModel {
        coefficients: [f64; FEATURES],
    },
    SetSwap {
        space: Option<SwapSpace>,
    },
    DropSwapped {
        now: Nanos,
        request: RequestId,
    },
    SetReplica {
        replica: u32,
        incarnation: u64,
    },
    SetAccountKey {
        account: AccountId,
        key: u64,
    },
    Delta {
        /// Elements of the array.
        size: u64,
    },
    Merge {
        source: DeltaSource,
        entries: Vec<ToldEntry>,
    },
    ForgetReplica {
        replica: u32,
    },
}

/// A [`DeltaEntry`], whatever its numbers are.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "names and meanings are those of `DeltaEntry`")]
pub struct ToldEntry {
    pub key: u64,
    pub lane: u64,
    #[serde(with = "any_number")]
    pub began: f64,
    #[serde(with = "any_number")]
    pub told: f64,
    #[serde(with = "any_number")]
    pub served: f64,
}

impl From<DeltaEntry> for ToldEntry {
    fn from(entry: DeltaEntry) -> Self {
        let DeltaEntry { key, lane, began, told, served } = entry;
        Self { key, lane, began, told, served }
    }
}

impl From<ToldEntry> for DeltaEntry {
    fn from(entry: ToldEntry) -> Self {
        let ToldEntry { key, lane, began, told, served } = entry;
        Self { key, lane, began, told, served }
    }
}

/// The fields of a [`KvSwap`].
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "names and meanings are those of the methods of `KvSwap`")]
pub struct SwapSpace {
    pub blocks: Blocks,
    pub out_s_per_block: f64,
    pub in_s_per_block: f64,
}

impl From<KvSwap> for SwapSpace {
    fn from(swap: KvSwap) -> Self {
        Self {
            blocks: swap.blocks(),
            out_s_per_block: swap.out_s_per_block(),
            in_s_per_block: swap.in_s_per_block(),
        }
    }
}

impl SwapSpace {
    pub(super) fn swap(&self) -> Result<KvSwap, Error> {
        KvSwap::new(self.blocks, self.out_s_per_block, self.in_s_per_block)
    }
}

/// What a call answered.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Answer {
    /// It was done, and there is nothing to say.
    Done,
    /// What became of the request that was submitted.
    Admission(Admission),
    /// The account that was opened.
    Account(AccountId),
    /// The step that was formed.
    Formed {
        /// What was returned.
        formed: Formed,
        /// What was written to the array.
        entries: Vec<PlanEntry>,
        /// What was written to the array.
        preempted: Vec<Preemption>,
        /// What was written to the array.
        expired: Vec<Expiry>,
        /// For whom the host's prefix cache was asked.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        asked: Vec<RequestId>,
    },
    /// What the observation changed.
    Observed(Observed),
    /// What was told to others.
    Delta {
        /// Who told it.
        source: DeltaSource,
        /// Whether it was everything.
        is_complete: bool,
        /// What was written to the array.
        entries: Vec<DeltaEntry>,
    },
    /// What became of what others told.
    Merged(Merged),
    /// The call was wrong.
    Refused {
        /// [`Error::code`].
        code: i32,
        /// The whole message.
        text: String,
    },
}

impl Answer {
    pub(super) fn refused(error: Error) -> Self {
        Self::Refused { code: error.code(), text: error.to_string() }
    }

    pub(super) fn delta(delta: Delta, out: &[DeltaEntry]) -> Self {
        let Delta { source, len, is_complete } = delta;
        Self::Delta { source, is_complete, entries: out[..len].into() }
    }

    pub(super) fn formed(formed: Formed, plan: &Plan<'_>, asked: Vec<RequestId>) -> Self {
        Self::Formed {
            formed,
            entries: plan.entries[..formed.entries_len as usize].into(),
            preempted: plan.preempted[..formed.preempted_len as usize].into(),
            expired: plan.expired[..formed.expired_len as usize].into(),
            asked,
        }
    }
}

impl From<()> for Answer {
    fn from((): ()) -> Self {
        Self::Done
    }
}

/// Fractions as numbers where JSON has them, as words where it has not: wrong calls must be
/// recorded exactly, too.
mod any_number {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
    use std::string::{String, ToString};

    #[derive(Deserialize, Serialize)]
    #[serde(untagged)]
    enum AnyNumber {
        Number(f64),
        Word(String),
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands fields over this way")]
    pub(super) fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        let any = match value {
            value if value.is_finite() => AnyNumber::Number(*value),
            value => AnyNumber::Word(value.to_string()),
        };
        any.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        match AnyNumber::deserialize(deserializer)? {
            AnyNumber::Number(value) => Ok(value),
            AnyNumber::Word(word) => word.parse().map_err(D::Error::custom),
        }
    }
}
