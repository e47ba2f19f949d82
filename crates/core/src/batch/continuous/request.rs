//! A request as the host hands it in, and as the batcher keeps it.

mod state;

use super::aside::Obstacle;
use crate::batch::queue::NONE;
use crate::engine::StepModel;
use crate::error::{Error, check_range};
use crate::handle::Handle;
use crate::policy::{EngineMode, Limits};
use crate::share::AccountId;
use crate::units::{Nanos, Tokens};

pub(super) use state::CONTEXT_TOKENS_MAX;

/// A request that comes in.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "document", derive(serde::Serialize, serde::Deserialize))]
pub struct Submission {
    /// The host's own number for it; returned in every plan, never read.
    pub tag: u64,
    /// Index of its class in the policy.
    pub class: u16,
    /// Whose request it is.
    pub account: AccountId,
    /// When it reached the host; its targets count from here. At most `now`.
    pub arrival: Nanos,
    /// Length of the prompt, at least 1.
    pub prompt_tokens: Tokens,
    /// Leading prompt tokens whose KV is cached already; below `prompt_tokens`.
    pub cached_tokens: Tokens,
    /// The most output tokens it may produce, at least 1; those of [`HandOver`] count.
    pub output_tokens_max: Tokens,
    /// When its first token is due; `None` for the target of its class after `arrival`. Means
    /// nothing with [`HandOver`].
    pub deadline: Option<Nanos>,
    /// When it is given up if it has no seat by then; `None` for what the queue limits say.
    pub expires_at: Option<Nanos>,
    /// The adapter that it needs, 1 to `limits.adapters_max`; 0 for none.
    pub adapter: u32,
    /// A request with the same prompt, class, account and adapter whose KV it shares (n > 1): the
    /// first of them computes the prompt, the others wait for it. When one is let in, the host
    /// forks the blocks of its `computed_tokens` from a member with a seat.
    pub shares: Option<RequestId>,
    /// It comes from another engine, with its KV.
    pub handed_over: Option<HandOver>,
}

/// What a request brings from the engine that served it before: the KV of its prompt and of all
/// these output tokens but the last.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "document", derive(serde::Serialize, serde::Deserialize))]
pub struct HandOver {
    /// Output tokens produced there, at least 1 and below the request's `output_tokens_max`.
    pub output_tokens: Tokens,
    /// When the first of them came out; at most `now`.
    pub first_token: Nanos,
}

impl Default for Submission {
    /// One prompt token and one output token of nobody: a start for those who set what they know.
    fn default() -> Self {
        Self {
            tag: 0,
            class: 0,
            account: AccountId::default(),
            arrival: Nanos::ZERO,
            prompt_tokens: Tokens(1),
            cached_tokens: Tokens::ZERO,
            output_tokens_max: Tokens(1),
            deadline: None,
            expires_at: None,
            adapter: 0,
            shares: None,
            handed_over: None,
        }
    }
}

/// What becomes of a submission. Of a request that is turned away, `retry_after` says in how long
/// there should be room, at the pace of late.
pub type Admission = crate::batch::Admission<RequestId, ShedReason>;

/// Why a request is turned away, and when it may come again.
pub type Shed = crate::batch::Shed<ShedReason>;

/// The limit that a request met.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "document", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "document", serde(rename_all = "snake_case"))]
#[repr(u8)]
pub enum ShedReason {
    /// `class[].queue_requests_max`.
    ClassRequests = 1,
    /// `class[].queue_tokens_max`.
    ClassTokens = 2,
    /// `queue_requests_max` of the account or of one above it.
    AccountRequests = 3,
    /// `queue_tokens_max` of the account or of one above it.
    AccountTokens = 4,
    /// Requests per minute of the account or of one above it.
    RateRequests = 5,
    /// Tokens per minute of the account or of one above it.
    RateTokens = 6,
}

/// Names a request of one batcher.
pub type RequestId = Handle<Request>;

/// Where a request is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum Stage {
    /// It waits and can still meet its time to first token.
    Waiting,
    /// It waits and can no longer meet it.
    Late,
    /// It ran, lost its KV, and waits to be computed again.
    Preempted,
    /// It has a seat.
    Running,
    /// A prefill engine is done with it; its KV is kept until [`super::Batcher::release`].
    HandedOver,
    /// It has ended; only steps in flight still name it.
    Ended,
}

/// What is known of one request; see [`super::Batcher::progress`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Progress {
    /// Where it is.
    pub stage: Stage,
    /// Output tokens observed.
    pub output_tokens: Tokens,
    /// Tokens with KV, steps in flight included.
    pub computed_tokens: Tokens,
    /// Times it lost its KV.
    pub preemptions: u32,
    /// What kept it out when it was last first in line.
    pub obstacle: Obstacle,
}

/// Why a request is let in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub(super) enum Turn {
    /// It is first in the order.
    Order,
    /// Its class is owed service.
    Class,
    /// The late requests of its account are owed service, and it is one.
    Late,
    /// Both.
    ClassLate,
}

impl Turn {
    /// What its class was owed let it in.
    pub(super) const fn is_of_class(self) -> bool {
        matches!(self, Self::Class | Self::ClassLate)
    }

    /// What the late requests of its account were owed let it in.
    pub(super) const fn is_of_late(self) -> bool {
        matches!(self, Self::Late | Self::ClassLate)
    }
}

/// A request as the batcher keeps it.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "facts that do not exclude each other")]
pub struct Request {
    pub(super) tag: u64,
    pub(super) account: AccountId,
    pub(super) arrival_ns: u64,
    /// When its first token is due.
    pub(super) due_ns: u64,
    /// When it is given up if it has no seat by then.
    pub(super) expires_ns: u64,
    /// Latest moment at which computing can begin for the first token to be in time.
    pub(super) latest_start_ns: u64,
    /// Once known; predicted while the step that produces it is in flight.
    pub(super) first_token_ns: u64,
    pub(super) sequence: u64,
    pub(super) prompt_tokens: u32,
    pub(super) cached_tokens: u32,
    /// One on a prefill engine.
    pub(super) output_tokens_max: u32,
    /// Output tokens observed, those of a hand-over included.
    pub(super) output_tokens: u32,
    /// Tokens to have in KV before the next one can be produced: prompt, and after a preemption
    /// the output so far.
    pub(super) goal_tokens: u32,
    /// Tokens with KV, steps in flight included.
    pub(super) computed_tokens: u32,
    pub(super) blocks: u32,
    /// Place in the list of running requests.
    pub(super) seat: u32,
    /// Number of the look at results that last named it, to notice one that names it twice.
    pub(super) named_in: u32,
    /// 0 for none.
    pub(super) adapter: u32,
    /// Those that share its prompt.
    pub(super) group: u32,
    pub(super) preemptions: u8,
    pub(super) class: u8,
    pub(super) stage: Stage,
    /// One bit for each place in the ring of steps in flight.
    pub(super) in_flight: u8,
    /// Of these, the steps that end with a token of it.
    pub(super) emitting: u8,
    /// Of these, the steps whose KV was lost to a preemption since.
    pub(super) voided: u8,
    /// A step ended without the token that was planned (only while it is observed).
    pub(super) absent: bool,
    /// Its prompt has been paid for.
    pub(super) charged: bool,
    /// It holds the shared blocks of its group; they are not among `blocks`.
    pub(super) holds_shared: bool,
    /// What kept it out when it was last first in line.
    pub(super) obstacle: Obstacle,
    /// It waits, and its KV is in the swap space.
    pub(super) swapped: bool,
    /// How it got its seat; through a guarantee, it keeps that rank until its prompt is done.
    pub(super) turn: Turn,
}

// The promise of the documentation; the queue's node and the slab's bookkeeping come on top.
const _: () = assert!(core::mem::size_of::<Request>() <= 120);

impl Request {
    /// Checks what the host handed in against `limits`; `kv_tokens` is what the cache can hold.
    pub(super) fn admit(
        submission: &Submission,
        limits: &Limits,
        mode: EngineMode,
        kv_tokens: u64,
        sequence: u64,
    ) -> Result<Self, Error> {
        let prompt = submission.prompt_tokens.get();
        let output_max = submission.output_tokens_max.get();
        let prompt_max = u64::from(limits.prompt_tokens_max.get()).min(kv_tokens - 1);
        check_range("prompt_tokens", u64::from(prompt), 1, prompt_max)?;
        let cached = u64::from(submission.cached_tokens.get());
        check_range("cached_tokens", cached, 0, u64::from(prompt) - 1)?;
        // Alone in the cache it must be able to finish, or it would be preempted for ever.
        let (room, most_here) = match mode {
            EngineMode::Prefill => (u64::MAX, 1),
            EngineMode::Mixed | EngineMode::Decode => (kv_tokens - u64::from(prompt), u32::MAX),
        };
        let output_limit = u64::from(limits.output_tokens_max.get()).min(room);
        check_range("output_tokens_max", u64::from(output_max), 1, output_limit)?;
        check_range("adapter", submission.adapter.into(), 0, limits.adapters_max.into())?;
        Ok(Self {
            tag: submission.tag,
            account: submission.account,
            arrival_ns: submission.arrival.get(),
            due_ns: 0,
            expires_ns: u64::MAX,
            latest_start_ns: 0,
            first_token_ns: 0,
            sequence,
            prompt_tokens: prompt,
            cached_tokens: submission.cached_tokens.get(),
            output_tokens_max: output_max.min(most_here),
            output_tokens: 0,
            goal_tokens: prompt,
            computed_tokens: 0,
            blocks: 0,
            seat: 0,
            named_in: 0,
            adapter: submission.adapter,
            group: NONE,
            preemptions: 0,
            class: submission.class as u8,
            stage: Stage::Waiting,
            in_flight: 0,
            emitting: 0,
            voided: 0,
            absent: false,
            charged: false,
            holds_shared: false,
            obstacle: Obstacle::None,
            swapped: false,
            turn: Turn::Order,
        })
    }

    /// Output tokens observed or on their way.
    pub(super) const fn tokens_expected(&self) -> u32 {
        self.output_tokens + self.emitting.count_ones()
    }

    /// Its last token is out or on its way: there is nothing left to plan.
    pub(super) const fn is_complete(&self) -> bool {
        self.tokens_expected() >= self.output_tokens_max
    }

    /// Its prompt (and recomputed output) is not all in KV yet.
    pub(super) const fn is_prefilling(&self) -> bool {
        self.computed_tokens < self.goal_tokens
    }

    /// Seconds that its remaining prompt takes at best.
    pub(super) fn prefill_seconds(&self, model: &StepModel, chunk_tokens: u32) -> f64 {
        let have = self.computed_tokens.max(self.cached_tokens).min(self.goal_tokens);
        model.prefill_seconds(self.goal_tokens - have, have, chunk_tokens)
    }

    pub(super) fn progress(&self) -> Progress {
        Progress {
            stage: self.stage,
            output_tokens: Tokens(self.output_tokens),
            computed_tokens: Tokens(self.computed_tokens),
            preemptions: u32::from(self.preemptions),
            obstacle: self.obstacle,
        }
    }
}
