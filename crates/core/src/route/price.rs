//! What would it cost to send a request here? In seconds.
//!
//! # What it decides
//! The predicted time to the first token on one replica, and what the request would cost others
//! there.
//!
//! # Formula
//! ```text
//! ttft = cold start + max(queue + step, seats + ahead, kv + ahead) + adapter + load + prefill
//! cost = v * ttft + w_i * interference + w_l * later
//!
//! queue    prompts that it has, in seconds (see `replica`)
//! ahead    steps that are planned already: a request is part of none of them
//! step     half of the step that runs, and `ahead`; less of it where there is a queue
//! seats    requests too many for its seats, at the rate at which seats come free: stay / seats each
//! kv       blocks that are missing, at the rate at which blocks come free: stay / blocks each
//! adapter  what is loaded there at present, and its own
//! load     blocks in slower tiers, where loading them is shorter than computing them
//! prefill  pace * (steps * mixed step + tokens that are cached nowhere + tokens of others)
//! interference = v' * n * (what its prompt adds to their steps)
//!              + out * (v * (what n add to its steps) + v' * n * (what it adds to theirs))
//! later        = v' * (requests that come before the queue is empty) * prefill
//! ```
//! `v` is the request's `delay_value`, `v'` the mean of those that come, `n` requests decode, `out`
//! is the mean length of an answer, `w_i` and `w_l` are `route.interference_weight` and
//! `route.later_weight`.
//!
//! # Where a prompt can begin
//! Engines plan while they compute: with two steps in flight (`limits.steps_in_flight_max`), the step
//! after the one that runs is planned when that begins. A request that comes meanwhile is seen at the
//! end of the running step, and is part of the one after the next. Where all prompts of a queue have
//! begun and end with the running step, the next one is planned, too; where some have not, they
//! are planned together with this one, and their wait is part of the queue.
//!
//! Its first token comes at the end of a step, with all that is in that step: where a queue stands,
//! those who come before its last chunk is planned fill that step up. The room beside its chunk is
//! anything from none to a whole chunk alike, of which `n` tokens that come take `n - n^2 / (2 chunk)`
//! in the mean. Where no queue stands, those who come go elsewhere.
//!
//! # Why others are priced
//! The first token of this request is not all that a choice decides. On a replica with a queue,
//! each second of prompt is waited for by everyone who comes before the queue is empty: with that
//! price a prefix that is cached is worth more where it is busy, and a request leaves a prefix
//! behind that others need more. No weight between "cache" and "load" has to be found.
//!
//! # Bounds and cost
//! O(1), some 60 multiplications.
//!
//! # What it is bad at
//! Engines whose order is not first come, first served: there a request with precedence waits for
//! less than the queue. Memory and seats are taken to come free evenly.
//!
//! # Source
//! Little's law for `seats` and `kv`; the externality of a queue: Mendelson and Whang (1990). Cost
//! by time to first token: llm-d's latency predictor, Mooncake's conductor (FAST'25, section 6).

use super::index::Matched;
use super::replica::{Replica, SPAN_MAX_S};
use crate::units::{Nanos, Tokens};

/// What a choice costs, by parts, in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "document", derive(serde::Serialize))]
#[repr(C)]
pub struct Prices {
    /// Until the replica can begin at all.
    pub cold_start_s: f64,
    /// Prompts that it has.
    pub queue_s: f64,
    /// The rest of the step that runs, and steps that are planned already.
    pub step_s: f64,
    /// Until a seat is free.
    pub seats_s: f64,
    /// Until there is KV memory.
    pub kv_s: f64,
    /// Loading the adapter, after those that are loaded there at present.
    pub adapter_s: f64,
    /// Loading blocks from slower tiers.
    pub load_s: f64,
    /// Computing the rest of the prompt, with what shares its last step.
    pub prefill_s: f64,
    /// Handing the KV on, for a pair.
    pub transfer_s: f64,
    /// Slowing each other down while decoding, weighted by delay values.
    pub interference_s: f64,
    /// Who comes later waits longer, weighted by delay values.
    pub later_s: f64,
    /// Predicted time to the first token.
    pub ttft_s: f64,
    /// What is compared: value-seconds.
    pub cost: f64,
    /// Prompt tokens that are not computed.
    pub cached_tokens: Tokens,
}

impl Prices {
    /// True if the prompt begins later than the queue says, however fast the replica is.
    pub(super) fn is_held_up(&self) -> bool {
        self.adapter_s + self.load_s > 0.0 || self.seats_s.max(self.kv_s) > self.queue_s
    }
}

/// What prices depend on besides the replica.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) now: Nanos,
    pub(super) prompt_tokens: u32,
    pub(super) block_tokens: u32,
    pub(super) delay_value: f64,
    pub(super) delay_value_mean: f64,
    /// Mean length of answers.
    pub(super) output_tokens: f64,
    /// Mean tokens of a prompt that are computed.
    pub(super) computed_tokens: f64,
    /// Mean seconds from first token to end, of all replicas.
    pub(super) stay_s: f64,
    /// Requests a second that come to each replica that computes prompts.
    pub(super) rate_per_s: f64,
    pub(super) interference_weight: f64,
    pub(super) later_weight: f64,
    /// Steps that engines have planned while one runs.
    pub(super) steps_ahead: f64,
}

/// How the beginning of a prompt is come by.
#[derive(Clone, Copy, Debug, Default)]
struct Prefix {
    cached_tokens: u32,
    load_s: f64,
    prefill_s: f64,
}

impl Asked {
    /// Prices of a replica that holds `matched` of the prompt, and has its adapter so much later.
    pub(super) fn prices(&self, replica: &Replica, matched: Matched, adapter_s: f64) -> Prices {
        let (spec, steps, pace) = (&replica.spec, replica.steps(), replica.pace.ratio());
        let prefix = self.prefix(replica, matched);
        let cold_start_s = spec.ready_at.saturating_sub(self.now).as_seconds();
        let begins = self.now.max(spec.ready_at);
        let queue_s = replica.free_at.saturating_sub(begins).as_seconds();
        let decodes = f64::from(replica.decoding());
        let running_s = replica.step_s(&steps, pace);
        let ahead_s = self.steps_ahead * running_s;
        let step_s = if queue_s == 0.0 || !replica.all_begun() {
            (running_s / 2.0 + ahead_s - queue_s).max(0.0)
        } else if queue_s < pace * steps.full_s(replica.chunk_tokens()) {
            ahead_s
        } else {
            // The next step has prompts of the queue, too.
            0.0
        };
        let (seats_s, kv_s) = self.room_s(replica, prefix.cached_tokens);
        let room_s = seats_s.max(kv_s);
        let room_s = if room_s > 0.0 { room_s + ahead_s } else { 0.0 };
        let start_s = cold_start_s + (queue_s + step_s).max(room_s);
        let computed = self.prompt_tokens.saturating_sub(prefix.cached_tokens);
        let chunks = f64::from(computed.div_ceil(replica.chunk_tokens()));
        let shared_s = if queue_s > 0.0 {
            let planned_s = (start_s - ahead_s).max(0.0) + prefix.prefill_s * (1.0 - 1.0 / chunks);
            pace * steps.prefill_s_per_token * self.tokens_beside(planned_s, replica.chunk_tokens())
        } else {
            0.0
        };
        let ttft_s = start_s + adapter_s + prefix.load_s + prefix.prefill_s + shared_s;
        let added_s = (steps.mixed_s - steps.decode_s).max(0.0) * chunks
            + steps.dense_s(computed.into(), prefix.cached_tokens.into());
        let interference_s =
            pace * self.delay_value_mean * decodes * added_s + self.decoding_s(replica);
        let come = self.rate_per_s * (cold_start_s + queue_s);
        let later_s = self.delay_value_mean * come * prefix.prefill_s;
        Prices {
            cold_start_s,
            queue_s,
            step_s,
            seats_s,
            kv_s,
            adapter_s,
            load_s: prefix.load_s,
            prefill_s: prefix.prefill_s + shared_s,
            transfer_s: 0.0,
            interference_s,
            later_s,
            ttft_s,
            cost: self.delay_value * ttft_s
                + self.interference_weight * interference_s
                + self.later_weight * later_s,
            cached_tokens: Tokens(prefix.cached_tokens),
        }
    }

    /// Tokens of those who come until the last chunk is planned, in the step of that.
    fn tokens_beside(&self, planned_s: f64, chunk_tokens: u32) -> f64 {
        let chunk = f64::from(chunk_tokens);
        let come = (self.rate_per_s * planned_s * self.computed_tokens).min(chunk);
        come * (1.0 - come / (2.0 * chunk))
    }

    /// What an answer and those that decode beside it cost each other, in value-seconds.
    pub(super) fn decoding_s(&self, replica: &Replica) -> f64 {
        let steps = replica.steps();
        let own_s = self.delay_value * (steps.decode_s - replica.spec.model.coefficients()[0]);
        let context = f64::from(self.prompt_tokens) + self.output_tokens / 2.0;
        let theirs = self.delay_value_mean * f64::from(replica.decoding());
        let theirs_s = theirs * steps.one_more_s(context);
        replica.pace.ratio() * self.output_tokens * (own_s + theirs_s)
    }

    /// Nothing cached, all that the device has, or also what is loaded: whatever is shortest.
    fn prefix(&self, replica: &Replica, matched: Matched) -> Prefix {
        let Matched(blocks) = matched;
        let [device, host, disk] = blocks;
        let spec = &replica.spec;
        let from_host_s = f64::from(host.saturating_sub(device)) * spec.host_load_s_per_block;
        let from_disk_s = f64::from(disk.saturating_sub(host)) * spec.disk_load_s_per_block;
        let mut best = self.with_prefix(replica, device, 0.0);
        if host > device {
            best = shorter(best, self.with_prefix(replica, host, from_host_s));
        }
        if disk > host {
            best = shorter(best, self.with_prefix(replica, disk, from_host_s + from_disk_s));
        }
        best
    }

    fn with_prefix(&self, replica: &Replica, blocks: u32, load_s: f64) -> Prefix {
        // The last token is always computed: it gives the first one of the answer.
        let cached = blocks.saturating_mul(self.block_tokens);
        let cached_tokens = cached.min(self.prompt_tokens.saturating_sub(1));
        let computed = self.prompt_tokens - cached_tokens;
        let prefill_s = replica.pace.ratio() * alone_s(replica, computed, cached_tokens);
        Prefix { cached_tokens, load_s, prefill_s }
    }

    /// Seconds until there is a seat, and until there is memory.
    pub(super) fn room_s(&self, replica: &Replica, cached_tokens: u32) -> (f64, f64) {
        let stay_s = if replica.stay_s > 0.0 { replica.stay_s } else { self.stay_s };
        let seats = u64::from(replica.spec.running_max);
        let excess = replica.excess();
        let blocks = f64::from(replica.spec.kv.blocks().get());
        let computed = self.prompt_tokens.saturating_sub(cached_tokens);
        let needed = i64::from(replica.spec.kv.blocks_for(Tokens(computed)).get());
        let missing = needed.saturating_sub(replica.kv_free).max(0);
        (excess as f64 * stay_s / seats as f64, missing as f64 * stay_s / blocks)
    }
}

/// Seconds that the step model gives so many prompt tokens after `history` others, in steps without
/// other prompts.
pub(super) fn alone_s(replica: &Replica, computed: u32, history: u32) -> f64 {
    let steps = replica.steps();
    let chunks = f64::from(computed.div_ceil(replica.chunk_tokens()));
    chunks * steps.mixed_s + steps.dense_s(computed.into(), history.into())
}

/// Seconds of a replica that so many prompt tokens after `history` others take: what those behind
/// them wait for. Prompts share steps, so that it is not rounded up to whole ones.
pub(super) fn work_s(replica: &Replica, computed: u32, history: u32) -> f64 {
    let steps = replica.steps();
    let part = f64::from(computed) / f64::from(replica.chunk_tokens());
    let alone_s = part * steps.mixed_s + steps.dense_s(computed.into(), history.into());
    (replica.pace.ratio() * alone_s).min(SPAN_MAX_S)
}

fn shorter(one: Prefix, other: Prefix) -> Prefix {
    if other.load_s + other.prefill_s < one.load_s + one.prefill_s { other } else { one }
}
