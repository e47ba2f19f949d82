//! The batch desk at a given size, kept full: all of the benches that knows how it is called.
//!
//! What ends is replaced, so that the number of requests stays the same. A desk is put into the
//! middle of its life instead of being run into it: who runs is somewhere in their answer, and who
//! waits has waited as long as Little's law says. A thousand steps of warming up would cost an
//! hour under Valgrind.

use std::hint::black_box;

use rampmeter::batch::continuous::{
    Batcher, Observation, PlanArrays, PlanEntry, RequestId, StepResult, Submission,
};
use rampmeter::engine::{KvGeometry, StepModel};
use rampmeter::policy::{Account, Limits, Policy};
use rampmeter::share::AccountId;
use rampmeter::{Blocks, Nanos, Tokens};

use crate::Prng;
use crate::grid::{Point, Short};

/// The clock when a desk opens: later than the longest wait, since requests come from the past.
const OPENS_AT_S: f64 = 1e6;

/// What a full step takes: well below the 50 ms a token that users are promised, so that the token
/// budget bounds a step and not the deadlines. What forming costs does not depend on it.
const STEP_S: f64 = 0.012;

/// Requests that come in between two steps while seats are taken: few enough that looking for the
/// next one among their accounts stays cheap, many enough that twenty rounds fill 10,000 seats.
const FILL_ROUND: u32 = 512;

/// What a step takes while seats are taken: so little that no deadline has to shorten one.
const FILL_STEP_S: f64 = 1e-6;

/// Steps before anything is measured: those that were handed in late are found to be late, and
/// requests are in all parts of their lives.
const WARM_STEPS: u32 = 8;

/// Requests submitted in a row before they are taken back: enough to read the clock rarely, few
/// enough that an empty line stays nearly empty.
pub const SUBMIT_ROUND: u32 = 16;

/// Mean of [`life_tokens`], and thus the steps that a request keeps its seat.
const LIFE_TOKENS_MEAN: f64 = 600.0;

/// Tokens of a prompt: 50 to 1,549, what chats send.
pub fn prompt_tokens(prng: &mut Prng) -> u32 {
    50 + prng.below(1_500) as u32
}

/// Tokens of an answer: 200 to 999.
pub fn life_tokens(prng: &mut Prng) -> u32 {
    200 + prng.below(800) as u32
}

/// Tokens in one step: one for each seat, and the prompts of twice as many requests as end in a
/// step, which is what keeps the seats taken.
#[must_use]
pub fn step_tokens_max(running: u32) -> u32 {
    running + (3 * running).max(2_048)
}

/// The policy of a desk of this size; `requests_max` says how many requests fit.
#[must_use]
pub fn policy(point: Point, requests_max: u32) -> Policy {
    let account = |index: u32| Account::new(format!("account-{index}"), 1.0);
    Policy::default()
        .with_accounts((0..point.accounts).map(account).collect::<Vec<_>>())
        .with_limits(Limits {
            requests_max,
            running_max: point.running,
            accounts_max: point.accounts,
            step_tokens_max: Tokens(step_tokens_max(point.running)),
            steps_in_flight_max: 1,
            ..Limits::default()
        })
}

/// Bytes that a batcher of this size takes from the heap for one request more.
#[must_use]
pub fn bytes_per_request(point: Point) -> f64 {
    let requests = point.running + point.waiting;
    let bytes = [requests, 2 * requests].map(|max| Batcher::bytes_needed(&policy(point, max)));
    (bytes[1] - bytes[0]) as f64 / f64::from(requests)
}

/// Tokens in a block of KV memory.
const BLOCK_TOKENS: u32 = 16;

/// Blocks that a running request holds in the mean: a prompt, and half of an answer, longer ones
/// being met more often.
const BLOCKS_MEAN: u32 = (800 + 345) / BLOCK_TOKENS + 1;

/// A full desk and its host.
#[derive(Debug)]
pub struct Desk {
    batcher: Batcher,
    prng: Prng,
    now: Nanos,
    point: Point,
    arrays: PlanArrays,
    entries_len: usize,
    /// The step in flight.
    step: Option<u64>,
    results: Vec<StepResult>,
    submissions: Vec<Submission>,
    submitted: Vec<RequestId>,
}

impl Desk {
    /// A desk of this size with every seat taken, or all of its KV memory.
    ///
    /// # Panics
    /// If the batcher refuses a call or leaves seats free: what is measured would mean nothing.
    #[must_use]
    pub fn new(point: Point) -> Box<Self> {
        let mut policy = policy(point, point.running + point.waiting + FILL_ROUND);
        let mut blocks = Blocks(1 << 24);
        if point.short == Short::Memory {
            policy.limits.running_max += point.running / 2;
            blocks = Blocks(point.running * BLOCKS_MEAN);
        }
        let kv = KvGeometry::new(blocks, BLOCK_TOKENS).expect("a valid cache");
        let seats = policy.limits.running_max as usize;
        let mut desk = Box::new(Self {
            batcher: Batcher::new(&policy, kv, model(FILL_STEP_S, point)).expect("a valid policy"),
            prng: Prng(7),
            now: Nanos::from_seconds(OPENS_AT_S),
            point,
            arrays: PlanArrays::new(seats as u32),
            entries_len: 0,
            step: None,
            results: Vec::with_capacity(seats),
            submissions: Vec::new(),
            submitted: Vec::new(),
        });
        desk.take_seats();
        desk.batcher.set_model(model(STEP_S, point));
        // Little's law: seats / life of a request leave per step, and as many come in.
        let wait_s =
            f64::from(point.waiting) * LIFE_TOKENS_MEAN * STEP_S / f64::from(point.running);
        for _ in 0..point.waiting {
            let age = Nanos(desk.prng.below(Nanos::from_seconds(wait_s).get()));
            let arrival = desk.now.saturating_sub(age);
            let output_tokens = life_tokens(&mut desk.prng);
            let submission = desk.submission(arrival, output_tokens);
            desk.enter(&submission);
        }
        for _ in 0..WARM_STEPS {
            desk.form_uncounted();
            desk.run_engine();
            desk.observe_uncounted();
            desk.refill();
        }
        let taken = desk.batcher.stats().running;
        assert!(taken >= point.running * 4 / 5, "{taken} seats taken at {point}");
        desk
    }

    /// Takes the seats a round at a time. Prompts of one token do, since what it costs to plan a
    /// decode does not depend on its context, but where memory is short: there, the tokens that
    /// have come out so far are part of the prompt, and all but one are in the cache. The last
    /// round is for those that ended meanwhile.
    fn take_seats(&mut self) {
        for _ in 0..=self.point.running.div_ceil(FILL_ROUND) {
            let free = self.point.running.saturating_sub(self.batcher.stats().running);
            for _ in 0..free.min(FILL_ROUND) {
                let life = life_tokens(&mut self.prng);
                let left = 1 + self.prng.below(life.into()) as u32;
                let mut submission = self.submission(self.now, left);
                match self.point.short {
                    Short::Seats => submission.prompt_tokens = Tokens(1),
                    Short::Memory => {
                        submission.prompt_tokens.0 += life - left;
                        submission.cached_tokens = Tokens(submission.prompt_tokens.0 - 1);
                    }
                }
                self.enter(&submission);
            }
            self.form_uncounted();
            self.run_engine();
            self.observe_uncounted();
        }
    }

    /// Forms one step. Valgrind finds it by its name: it is never inlined, and nothing but what is
    /// to be counted goes through it.
    ///
    /// # Panics
    /// If the batcher refuses.
    #[inline(never)]
    pub fn form(&mut self) {
        self.form_uncounted();
    }

    #[expect(clippy::inline_always, reason = "it must be part of the method that is counted")]
    #[inline(always)]
    fn form_uncounted(&mut self) {
        let formed = self.batcher.form(self.now, &mut self.arrays.plan());
        let formed = black_box(formed).expect("a valid call");
        self.entries_len = formed.entries_len as usize;
        self.step = formed.step;
        self.now = formed.ends_at;
    }

    /// Every request of the step that was to produce a token has done so.
    pub fn run_engine(&mut self) {
        let emits = |entry: &&PlanEntry| entry.emits;
        let result = |entry: &PlanEntry| StepResult {
            request: entry.request,
            output_tokens: Tokens(1),
            finished: false,
        };
        self.results.clear();
        self.results
            .extend(self.arrays.entries[..self.entries_len].iter().filter(emits).map(result));
    }

    /// Observes the step. Counted, as above.
    ///
    /// # Panics
    /// If the batcher refuses.
    #[inline(never)]
    pub fn observe(&mut self) {
        self.observe_uncounted();
    }

    #[expect(clippy::inline_always, reason = "it must be part of the method that is counted")]
    #[inline(always)]
    fn observe_uncounted(&mut self) {
        let Some(step) = self.step.take() else { return };
        let seen = Observation { step, results: &self.results, ..Observation::default() };
        black_box(self.batcher.observe(self.now, &seen)).expect("a valid call");
    }

    /// What ended is replaced by requests that come in now.
    pub fn refill(&mut self) {
        let requests = self.batcher.stats();
        for _ in requests.running + requests.waiting..self.point.running + self.point.waiting {
            let output_tokens = life_tokens(&mut self.prng);
            let submission = self.submission(self.now, output_tokens);
            self.enter(&submission);
        }
    }

    /// Writes `count` requests that are to come in.
    pub fn prepare(&mut self, count: u32) {
        self.submissions.clear();
        self.submitted.clear();
        for _ in 0..count {
            let output_tokens = life_tokens(&mut self.prng);
            let submission = self.submission(self.now, output_tokens);
            self.submissions.push(submission);
        }
        self.submitted.reserve(self.submissions.len());
    }

    /// Those requests come in. Counted, as above.
    ///
    /// # Panics
    /// If the batcher refuses.
    #[inline(never)]
    pub fn submit(&mut self) {
        for submission in &self.submissions {
            let answer = black_box(self.batcher.submit(self.now, submission));
            self.submitted.extend(answer.expect("a valid call").queued());
        }
    }

    /// They are taken back, so that the line keeps its length.
    ///
    /// # Panics
    /// If the batcher refuses.
    pub fn withdraw(&mut self) {
        for id in self.submitted.drain(..) {
            self.batcher.cancel(self.now, id).expect("it waits");
        }
    }

    fn enter(&mut self, submission: &Submission) {
        self.batcher.submit(self.now, submission).expect("a valid call");
    }

    fn submission(&mut self, arrival: Nanos, output_tokens: u32) -> Submission {
        Submission {
            tag: 0,
            class: u16::from(self.prng.chance(30)),
            account: self.account(),
            arrival,
            prompt_tokens: Tokens(prompt_tokens(&mut self.prng)),
            output_tokens_max: Tokens(output_tokens),
            ..Submission::default()
        }
    }

    fn account(&mut self) -> AccountId {
        let index = self.prng.below(self.point.accounts.into()) as usize;
        self.batcher.policy_account(index).expect("the policy names it")
    }
}

/// An engine on which a full step takes `step_s`: a sixth of it whatever the step contains, the
/// rest for its decodes and its usual prompts, a token and a third for each seat.
fn model(step_s: f64, point: Point) -> StepModel {
    let token_s = step_s * (5.0 / 6.0) / (f64::from(point.running) * (1.0 + 4.0 / 3.0));
    StepModel::new([step_s / 6.0, token_s, token_s, 0.0, 0.0, 0.0, 0.0]).expect("a valid model")
}
