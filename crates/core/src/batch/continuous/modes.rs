//! Engines that compute one half: prompts whose KV is handed on, and decodes of KV that was.
//!
//! # What it decides
//! In mode `prefill` a request is done with its first token: it leaves its seat, and its blocks
//! stay taken until the host says that they were handed on. A request that was handed over (to an
//! engine of mode `decode` or `mixed`) comes in with the KV of its context and decodes in its
//! first step. If it loses that KV it is computed again here, as any other.
//!
//! # Formula
//! ```text
//! brings     prompt_tokens + output_tokens - 1 tokens of KV: the last token is still to compute
//! admit      a seat, and blocks for all of that and one token more at once
//! order      by its next token: first_token + output_tokens * tpot_target * margin; never late
//! ```
//!
//! # Bounds and cost
//! O(1) beside what every request costs. A prefill engine whose blocks nobody releases stands
//! still; [`Batcher::next_event`] says so with `None`.

use super::Batcher;
use super::form::Draft;
use super::plan::{Phase, PlanEntry};
use super::request::{HandOver, Request, RequestId, Stage, Submission};
use crate::error::{Error, check_range};
use crate::policy::EngineMode;
use crate::units::Nanos;

impl Batcher {
    /// The KV of a request that a prefill engine is done with was handed on: its blocks are free,
    /// and it is forgotten. O(1).
    ///
    /// # Errors
    /// [`Error::TimeReversed`]; [`Error::Stale`] for a request that is unknown or is not
    /// [`Stage::HandedOver`].
    pub fn release(&mut self, now: Nanos, request: RequestId) -> Result<(), Error> {
        self.check_time(now)?;
        if self.requests.get(request)?.stage != Stage::HandedOver {
            return Err(Error::Stale { field: "request", handle: request.to_raw() });
        }
        self.now = now;
        self.stalled = false;
        self.give_back(request.index());
        self.end(request.index());
        Ok(())
    }

    /// Checks what a request brings against what the engine computes.
    pub(super) fn check_mode(&self, now: Nanos, submission: &Submission) -> Result<(), Error> {
        let mode = self.rules.mode;
        let brought = submission.handed_over;
        let wrong = match mode {
            EngineMode::Mixed => false,
            EngineMode::Prefill => brought.is_some(),
            EngineMode::Decode => brought.is_none(),
        };
        let output = brought.map_or(0, |brought| brought.output_tokens.get());
        if wrong {
            return Err(Error::Contradiction {
                field: "handed_over.output_tokens",
                value: output.into(),
                other: "batch.mode",
                other_value: mode as u64,
            });
        }
        let Some(HandOver { first_token, .. }) = brought else { return Ok(()) };
        let most = u64::from(submission.output_tokens_max.get()).saturating_sub(1);
        check_range("handed_over.output_tokens", output.into(), 1, most)?;
        check_range("handed_over.first_token_ns", first_token.get(), 0, now.get())?;
        Ok(())
    }

    /// A prompt is done that is to be decoded elsewhere: its seat is free, its blocks are not.
    pub(super) fn hand_over(&mut self, slot: u32) {
        self.free_seat(slot);
        self.request_mut(slot).stage = Stage::HandedOver;
    }

    /// Plans the next token of a request that has just got its seat with all of its KV.
    pub(super) fn plan_brought(&mut self, draft: &mut Draft, entries: &mut [PlanEntry], slot: u32) {
        let Some(request) = self.requests.at_mut(slot) else { return };
        // Nothing is promised: what it needs is taken here, and was found to be free.
        let context = request.goal_tokens - 1;
        (request.goal_tokens, request.computed_tokens) = (context, context);
        if self.memory.grow(request, context + 1) {
            draft.shape = draft.shape.with_decode(context);
            self.put(draft, entries, slot, 1, Phase::Decode, true);
        }
    }
}

impl Request {
    /// Takes in what it brings: `brought` was checked.
    pub(super) fn bring(&mut self, brought: HandOver) {
        self.output_tokens = brought.output_tokens.get();
        self.first_token_ns = brought.first_token.get();
        self.goal_tokens = self.prompt_tokens + self.output_tokens;
        self.cached_tokens = self.goal_tokens - 1;
        // Its first token is out: there is nothing to be late for.
        self.latest_start_ns = u64::MAX;
    }

    /// It waits with output that it did not produce here.
    pub(super) fn was_handed_over(&self) -> bool {
        self.stage == Stage::Waiting && self.output_tokens > 0
    }

    /// It waits with the KV of all of its context but the last token.
    pub(super) fn brings_kv(&self) -> bool {
        self.was_handed_over() && self.cached_tokens + 1 == self.goal_tokens
    }
}
