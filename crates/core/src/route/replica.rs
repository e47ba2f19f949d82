//! What is believed of a replica between its reports.
//!
//! # What it decides
//! How much work a replica has before it, and how fast it gets through it.
//!
//! # Formula
//! ```text
//! free_at     when the prompts that it has are computed; each routed prompt adds its seconds, and the
//!             steps before it can begin
//! started     free_at is now + its seconds + what was routed after it, or later
//! report      free_at = as_of + seconds(its prompt tokens) + what was routed after as_of
//! first token free_at = now + what was routed after that request
//! pace        seconds that prompts took, over seconds that the step model expected
//! stay        mean seconds from the first token to the end
//! running     those whose first token is out; where nobody says so, all whose prompt is behind the
//!             queue by `free_at`
//! ```
//! A prompt's time begins when it was routed, or when the replica began it or was ready, or when the
//! replica was done with the prompt before, whichever is last: queueing is not slowness. One that
//! waits for an adapter, blocks, a seat or memory counts only if its beginning was told. Both sums
//! of the pace are forgotten by work: what came [`PACE_MEMORY_S`] expected seconds ago counts half.
//!
//! # Bounds and cost
//! O(1) a call, but for a report that is older than what was routed since, which looks at the last
//! [`RECENT`] routed requests.
//!
//! # What it is bad at
//! Replicas that take prompts in another order than they came: the first token of one that was
//! preferred says that all before it are done.

use super::flight::Flight;
use super::options::ReplicaSpec;
use crate::engine::StepModel;
use crate::handle::Handle;
use crate::policy::EngineMode;
use crate::units::Nanos;

/// Longest span of time in a state, in seconds, and most work ever routed to a replica: 2^64
/// nanoseconds are 1.85e10 seconds.
pub(super) const SPAN_MAX_S: f64 = 2e10;

/// Most KV tokens that are counted, far above what any memory holds.
pub(super) const CONTEXT_MAX: u64 = 1 << 62;

/// A replica, as the router holds it. Opaque: what is known is asked of the router.
#[derive(Clone, Copy, Debug)]
pub struct Replica {
    pub(super) spec: ReplicaSpec,
    pub(super) status: Status,
    /// Grows whenever what it had is lost; events of requests that it had then are not its own.
    pub(super) incarnation: u32,
    /// When its last report came.
    pub(super) heard_at: Nanos,
    pub(super) running: u32,
    pub(super) waiting: u32,
    pub(super) context_tokens: u64,
    /// Blocks that nobody holds, less those that waiting requests will: below zero, they wait.
    pub(super) kv_free: i64,
    pub(super) free_at: Nanos,
    /// Seconds of prompt work routed to it, ever.
    pub(super) routed_s: f64,
    /// The same up to the last one of those that have begun.
    pub(super) begun_s: f64,
    pub(super) pace: Pace,
    /// Mean seconds from first token to end; zero before any ended.
    pub(super) stay_s: f64,
    pub(super) last_first: Nanos,
    /// The last request that was answered here ended without a word of its first token.
    pub(super) untold: bool,
    /// Number of the decision by which it was chosen last.
    pub(super) chosen: u64,
    /// Whether it tells what it stores and removes.
    pub(super) tells_events: bool,
    pub(super) recent: Recent,
    pub(super) horizon: Horizon,
    /// Place among those of its mode that may be chosen.
    pub(super) place: u32,
}

/// Name of a replica of one router.
pub type ReplicaId = Handle<Replica>;

/// Whether a replica may be chosen.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Status {
    /// It may.
    #[default]
    Ready,
    /// It finishes what it has and gets nothing new.
    Draining,
    /// It lost what it had, and gets nothing until it returns.
    Failed,
}

impl Status {
    pub(super) const ALL: [Self; 3] = [Self::Ready, Self::Draining, Self::Failed];
}

/// Expected seconds of prompt work after which a measured pace counts half: a few hundred prompts
/// of a thousand tokens at 30,000 tokens a second.
const PACE_MEMORY_S: f64 = 10.0;

/// Slowest and fastest that a replica is taken to be: a model that is wrong by more is of another
/// engine.
const PACE_RANGE: (f64, f64) = (0.1, 10.0);

/// How much slower prompts are than the step model says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Pace {
    pub(super) took_s: f64,
    pub(super) expected_s: f64,
}

impl Pace {
    /// As the model says, believed as if it had been seen for a second.
    pub(super) const UNKNOWN: Self = Self { took_s: 1.0, expected_s: 1.0 };

    pub(super) fn note(&mut self, took_s: f64, expected_s: f64) {
        let (least, most) = PACE_RANGE;
        let expected_s = expected_s.min(SPAN_MAX_S / 2.0 / most);
        // One prompt that waited for something nobody told of is no measure of speed.
        let took_s = took_s.clamp(0.0, most * expected_s);
        let keep = PACE_MEMORY_S / (PACE_MEMORY_S + expected_s);
        self.took_s = self.took_s * keep + took_s;
        self.expected_s = self.expected_s * keep + expected_s;
        self.took_s = self.took_s.clamp(least * self.expected_s, most * self.expected_s);
    }

    /// Within its range, give or take rounding.
    pub(super) fn is_sound(&self) -> bool {
        let (least, most) = PACE_RANGE;
        (least * 0.999..=most * 1.001).contains(&self.ratio())
    }

    pub(super) fn ratio(&self) -> f64 {
        self.took_s / self.expected_s
    }
}

/// Routed requests that are remembered for late reports: at 100 requests a second to one replica,
/// a third of a second, which is older than reports are.
pub(super) const RECENT: usize = 32;

/// What was routed last, and how much work had been routed before it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Recent {
    /// When, the work before it in seconds, and its KV blocks.
    pub(super) routed: [(Nanos, f64, u32); RECENT],
    /// Where the next one goes.
    pub(super) next: u32,
    pub(super) len: u32,
}

impl Recent {
    pub(super) const EMPTY: Self =
        Self { routed: [(Nanos::ZERO, 0.0, 0); RECENT], next: 0, len: 0 };

    pub(super) fn push(&mut self, now: Nanos, before_s: f64, blocks: u32) {
        self.routed[self.next as usize] = (now, before_s, blocks);
        self.next = (self.next + 1) % RECENT as u32;
        self.len = (self.len + 1).min(RECENT as u32);
    }

    /// Of those routed after `since`: how many, how many blocks, and the work before the first.
    pub(super) fn after(&self, since: Nanos) -> Option<(u32, i64, f64)> {
        let late = self.newest_first().take_while(|(at, ..)| *at > since);
        late.fold(None, |sum: Option<(u32, i64, f64)>, (_, before_s, blocks)| {
            let (count, all, _) = sum.unwrap_or_default();
            Some((count + 1, all + i64::from(*blocks), *before_s))
        })
    }

    /// How many of them are not done, where that many seconds of all the work that was routed are
    /// left.
    fn unfinished(&self, routed_s: f64, left_s: f64) -> u32 {
        let mut end_s = routed_s;
        let queued = self.newest_first().take_while(|(_, before_s, _)| {
            let behind_s = routed_s - core::mem::replace(&mut end_s, *before_s);
            behind_s < left_s
        });
        queued.count() as u32
    }

    fn newest_first(&self) -> impl Iterator<Item = &(Nanos, f64, u32)> {
        let (newer, older) = self.routed.split_at(self.next as usize);
        newer.iter().rev().chain(older.iter().rev()).take(self.len as usize)
    }
}

/// In how many parts a cache is turned over, as far as it is remembered when.
pub(super) const TURNS: usize = 16;

/// When a cache took in its last blocks, a sixteenth of its capacity at a time. With the least
/// recently used block leaving first, a block that nobody used since then has left.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Horizon {
    pub(super) turns: [Nanos; TURNS],
    pub(super) next: u32,
    /// Taken in since the last turn.
    pub(super) blocks: u64,
}

impl Horizon {
    pub(super) const NEW: Self = Self { turns: [Nanos::ZERO; TURNS], next: 0, blocks: 0 };

    pub(super) fn takes(&mut self, now: Nanos, blocks: u32, capacity: u32) {
        let turn = u64::from(capacity).div_ceil(TURNS as u64);
        self.blocks += u64::from(blocks);
        // A prompt may be of many turns; more than are remembered leave nothing else.
        let turns = self.blocks / turn;
        self.blocks %= turn;
        for _ in 0..turns.min(TURNS as u64) {
            self.turns[self.next as usize] = now;
            self.next = (self.next + 1) % TURNS as u32;
        }
    }

    /// What nobody used since then has left.
    pub(super) const fn since(&self) -> Nanos {
        self.turns[self.next as usize]
    }
}

impl Replica {
    pub(super) fn new(now: Nanos, spec: &ReplicaSpec) -> Self {
        Self {
            spec: *spec,
            status: Status::Ready,
            incarnation: 0,
            heard_at: now,
            running: 0,
            waiting: 0,
            context_tokens: 0,
            kv_free: spec.kv.blocks().get().into(),
            free_at: now,
            routed_s: 0.0,
            begun_s: 0.0,
            pace: Pace::UNKNOWN,
            stay_s: 0.0,
            last_first: now,
            untold: false,
            chosen: 0,
            tells_events: false,
            recent: Recent::EMPTY,
            horizon: Horizon::NEW,
            place: 0,
        }
    }

    /// It lost what it had. How fast it is was learned of it, and stays.
    pub(super) fn lose_all(&mut self, now: Nanos) {
        let before = *self;
        *self = Self {
            status: before.status,
            incarnation: before.incarnation.wrapping_add(1),
            routed_s: before.routed_s,
            begun_s: before.routed_s,
            pace: before.pace,
            stay_s: before.stay_s,
            untold: before.untold,
            chosen: before.chosen,
            place: before.place,
            ..Self::new(now, &before.spec)
        };
    }

    /// Where nobody says when first tokens are out, those that wait and whose prompts are behind the
    /// queue decode from now on, with `context_tokens` each. With a longer queue than is remembered,
    /// all wait.
    pub(super) fn presume(&mut self, now: Nanos, context_tokens: u32) {
        if !self.untold || self.spec.mode != EngineMode::Mixed {
            return;
        }
        let queued = self.recent.unfinished(self.routed_s, self.left_s(now));
        if queued < RECENT as u32 {
            let decode = self.waiting.saturating_sub(queued);
            (self.waiting, self.running) =
                (self.waiting - decode, self.running.saturating_add(decode));
            let context = u64::from(decode) * u64::from(context_tokens);
            self.context_tokens = self.context_tokens.saturating_add(context).min(CONTEXT_MAX);
        }
    }

    /// Seconds until the prompts that it has are computed.
    pub(super) fn left_s(&self, now: Nanos) -> f64 {
        self.free_at.saturating_sub(now).as_seconds()
    }

    /// Seconds of work that was routed after a request.
    pub(super) fn behind_s(&self, flight: &Flight) -> f64 {
        (self.routed_s - flight.routed_s).max(0.0)
    }

    /// One less is there, of those that run or of those that wait; of the others, if none of these
    /// are known. True if one less runs.
    pub(super) fn one_less(&mut self, runs: bool) -> bool {
        let ran = self.running > 0 && (runs || self.waiting == 0);
        if ran {
            self.running -= 1;
        } else {
            self.waiting = self.waiting.saturating_sub(1);
        }
        ran
    }

    /// Until when what is known of it is right: before it is ready it has nothing to report.
    pub(super) fn known_at(&self) -> Nanos {
        self.heard_at.max(self.spec.ready_at)
    }

    /// Uses of blocks before this do not count any more.
    pub(super) fn forgets_before(&self) -> Nanos {
        if self.tells_events { Nanos::ZERO } else { self.horizon.since() }
    }

    fn decodes(&self) -> bool {
        self.spec.mode != EngineMode::Prefill
    }

    /// Those that decode: of a replica that only computes prompts, what runs are prompts.
    pub(super) fn decoding(&self) -> u32 {
        if self.decodes() { self.running } else { 0 }
    }

    /// Prompt tokens that a step can take beside the decodes.
    pub(super) fn chunk_tokens(&self) -> u32 {
        self.spec.step_tokens_max.saturating_sub(self.decoding()).max(1)
    }

    /// Requests too many for its seats, with one more.
    pub(super) fn excess(&self) -> u64 {
        let before = u64::from(self.running) + u64::from(self.waiting);
        (before + 1).saturating_sub(self.spec.running_max.into())
    }

    /// True if each prompt that was routed there has been begun.
    pub(super) fn all_begun(&self) -> bool {
        self.begun_s >= self.routed_s
    }

    /// Seconds of a step of those that decode; none where nobody ever does.
    pub(super) fn step_s(&self, steps: &Steps, pace: f64) -> f64 {
        if self.decoding() > 0 { pace * steps.decode_s } else { 0.0 }
    }

    pub(super) fn steps(&self) -> Steps {
        let context_tokens = if self.decodes() { self.context_tokens } else { 0 };
        Steps::of(&self.spec.model, self.decoding(), context_tokens)
    }
}

/// Parts of the time of a step, as the step model has them, with who decodes at present.
#[derive(Clone, Copy, Debug)]
pub(super) struct Steps {
    /// A step of decodes alone.
    pub(super) decode_s: f64,
    /// A step with prompts, less what grows with the prompts.
    pub(super) mixed_s: f64,
    pub(super) prefill_s_per_token: f64,
    pub(super) attention_s_per_token2: f64,
    /// What one more decoding request adds, and each KV token of it.
    pub(super) decode_s_per_request: f64,
    pub(super) decode_s_per_kv_token: f64,
}

impl Steps {
    fn of(model: &StepModel, running: u32, context_tokens: u64) -> Self {
        let [c0, c1, c2, c3, c4, c5, c6] = model.coefficients();
        let context = context_tokens as f64;
        let decode_s = c0 + c2 * f64::from(running) + c3 * context;
        Self {
            decode_s,
            mixed_s: (decode_s + c5 + c6 * context).max(0.0),
            prefill_s_per_token: c1,
            attention_s_per_token2: c4,
            decode_s_per_request: c2,
            decode_s_per_kv_token: c3,
        }
    }

    /// Seconds that grow with a prompt of `tokens` after `history` others.
    pub(super) fn dense_s(&self, tokens: f64, history: f64) -> f64 {
        self.prefill_s_per_token * tokens
            + self.attention_s_per_token2 * tokens * (history + tokens / 2.0)
    }

    /// Seconds of a step with as many prompt tokens as it takes.
    pub(super) fn full_s(&self, chunk_tokens: u32) -> f64 {
        self.mixed_s + self.dense_s(chunk_tokens.into(), 0.0)
    }

    /// What one more decoding request of `context` tokens adds to a step.
    pub(super) fn one_more_s(&self, context: f64) -> f64 {
        self.decode_s_per_request + self.decode_s_per_kv_token * context
    }
}
