//! A recorded stream of calls replays bit for bit: that is how a bug is reported.
//!
//! A [`Recorder`] stands between a host and its [`Batcher`], passes every call on and writes it
//! down with its answer. [`replay`] makes the same calls again and stops at the first answer that
//! is not the same. Nothing else has to be kept, because a batcher knows nothing but its calls:
//! no clock, no randomness, no environment.
//!
//! ```
//! use rampmeter::batch::record::{Recorder, replay};
//! use rampmeter::batch::continuous::{PlanArrays, Submission};
//! use rampmeter::engine::Profile;
//! use rampmeter::policy::{Account, Policy};
//! use rampmeter::{Nanos, Tokens};
//!
//! let policy = Policy::default().with_accounts([Account::new("search", 1.0)]);
//! let profile = Profile::named("llama-3.1-8b").ok_or("no such profile")?;
//! let (kv, model) = (profile.kv()?, profile.step_model()?);
//! let mut recorder = Recorder::new(&policy, kv, model, Vec::new())?;
//! let submission = Submission {
//!     tag: 1,
//!     class: 0,
//!     account: recorder.batcher().policy_account(0).ok_or("no such account")?,
//!     arrival: Nanos(5),
//!     prompt_tokens: Tokens(700),
//!     output_tokens_max: Tokens(50),
//!     ..Submission::default()
//! };
//! recorder.submit(Nanos(5), &submission)?;
//! let mut arrays = PlanArrays::new(policy.limits.running_max);
//! recorder.form(Nanos(6), &mut arrays.plan())?;
//! let recording = recorder.finish()?;
//! assert_eq!(replay(recording.as_slice())?.calls, 2);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Format
//! Lines of JSON. The first holds the format, the policy as TOML, the KV cache and the step-time
//! model; then one line for each call, with its arguments and its answer; the last says how many
//! calls there were. Numbers survive exactly: integers have 64 bits, and fractions are written
//! with as many digits as it takes; NaN and the infinities are written as words.
//!
//! # Bounds and cost
//! For looking into a bug, not for the hot path: a line takes some microseconds, allocates, and
//! is as long as the step is large. Without a recorder none of it is there.

mod line;
mod replay;

use std::io::{self, Write};
use std::vec::Vec;

pub use self::line::{Answer, Call, FORMAT, Header, RecordedCall, SwapSpace, ToldEntry};
pub use self::replay::{Divergence, Replayed, replay};

use super::continuous::{
    Admission, Batcher, Change, Formed, Observation, Observed, Plan, RequestId, StepResult,
    Submission,
};
use crate::engine::{KvGeometry, KvSwap, StepModel};
use crate::error::Error;
use crate::policy::{Policy, QueueLimits, RateLimits};
use crate::share::AccountId;
use crate::share::exchange::{Delta, DeltaEntry, DeltaSource, Merged};
use crate::units::{Blocks, Nanos, Tokens};

/// A batcher that writes down what it is asked and what it answers.
///
/// Answers are those of the batcher, whatever becomes of the recording: when the sink fails,
/// nothing more is written, and [`Recorder::finish`] says why.
#[derive(Debug)]
pub struct Recorder<W> {
    batcher: Batcher,
    sink: W,
    calls: u64,
    failure: Option<io::Error>,
}

impl<W: Write> Recorder<W> {
    /// As [`Batcher::new`]. The sink gets many small writes: hand over a buffered one.
    ///
    /// # Errors
    /// As [`Batcher::new`].
    pub fn new(policy: &Policy, kv: KvGeometry, model: StepModel, sink: W) -> Result<Self, Error> {
        let batcher = Batcher::new(policy, kv, model)?;
        let mut recorder = Self { batcher, sink, calls: 0, failure: None };
        recorder.write(&Header::new(policy, kv, model));
        Ok(recorder)
    }

    /// The batcher, for everything that only asks.
    #[must_use]
    pub const fn batcher(&self) -> &Batcher {
        &self.batcher
    }

    /// Writes the last line and returns the sink, flushed.
    ///
    /// # Errors
    /// The first failure of the sink.
    pub fn finish(mut self) -> io::Result<W> {
        self.write(&line::End { calls: self.calls });
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        self.sink.flush()?;
        Ok(self.sink)
    }

    /// As [`Batcher::submit`].
    ///
    /// # Errors
    /// As [`Batcher::submit`].
    pub fn submit(&mut self, now: Nanos, submission: &Submission) -> Result<Admission, Error> {
        let answer = self.batcher.submit(now, submission);
        self.note(Call::Submit { now, submission: *submission }, answer, Answer::Admission)
    }

    /// As [`Batcher::cancel`].
    ///
    /// # Errors
    /// As [`Batcher::cancel`].
    pub fn cancel(&mut self, now: Nanos, request: RequestId) -> Result<(), Error> {
        let answer = self.batcher.cancel(now, request);
        self.note(Call::Cancel { now, request }, answer, Answer::from)
    }

    /// As [`Batcher::change`].
    ///
    /// # Errors
    /// As [`Batcher::change`].
    pub fn change(&mut self, now: Nanos, request: RequestId, change: &Change) -> Result<(), Error> {
        let answer = self.batcher.change(now, request, change);
        self.note(Call::Change { now, request, change: *change }, answer, Answer::from)
    }

    /// As [`Batcher::release`].
    ///
    /// # Errors
    /// As [`Batcher::release`].
    pub fn release(&mut self, now: Nanos, request: RequestId) -> Result<(), Error> {
        let answer = self.batcher.release(now, request);
        self.note(Call::Release { now, request }, answer, Answer::from)
    }

    /// As [`Batcher::set_cached_tokens`].
    ///
    /// # Errors
    /// As [`Batcher::set_cached_tokens`].
    pub fn set_cached_tokens(&mut self, request: RequestId, tokens: Tokens) -> Result<(), Error> {
        let answer = self.batcher.set_cached_tokens(request, tokens);
        self.note(Call::SetCachedTokens { request, tokens }, answer, Answer::from)
    }

    /// As [`Batcher::open_account`].
    ///
    /// # Errors
    /// As [`Batcher::open_account`].
    pub fn open_account(
        &mut self,
        parent: Option<AccountId>,
        weight: f64,
    ) -> Result<AccountId, Error> {
        let answer = self.batcher.open_account(parent, weight);
        self.note(Call::OpenAccount { parent, weight }, answer, Answer::Account)
    }

    /// As [`Batcher::set_account_weight`].
    ///
    /// # Errors
    /// As [`Batcher::set_account_weight`].
    pub fn set_account_weight(&mut self, account: AccountId, weight: f64) -> Result<(), Error> {
        let answer = self.batcher.set_account_weight(account, weight);
        self.note(Call::SetAccountWeight { account, weight }, answer, Answer::from)
    }

    /// As [`Batcher::set_account_queue`].
    ///
    /// # Errors
    /// As [`Batcher::set_account_queue`].
    pub fn set_account_queue(
        &mut self,
        account: AccountId,
        limits: QueueLimits,
    ) -> Result<(), Error> {
        let answer = self.batcher.set_account_queue(account, limits);
        self.note(Call::SetAccountQueue { account, limits }, answer, Answer::from)
    }

    /// As [`Batcher::set_account_rates`].
    ///
    /// # Errors
    /// As [`Batcher::set_account_rates`].
    pub fn set_account_rates(
        &mut self,
        account: AccountId,
        rates: RateLimits,
    ) -> Result<(), Error> {
        let answer = self.batcher.set_account_rates(account, rates);
        self.note(Call::SetAccountRates { account, rates }, answer, Answer::from)
    }

    /// As [`Batcher::close_account`].
    ///
    /// # Errors
    /// As [`Batcher::close_account`].
    pub fn close_account(&mut self, account: AccountId) -> Result<(), Error> {
        let answer = self.batcher.close_account(account);
        self.note(Call::CloseAccount { account }, answer, Answer::from)
    }

    /// As [`Batcher::form`].
    ///
    /// # Errors
    /// As [`Batcher::form`].
    pub fn form(&mut self, now: Nanos, plan: &mut Plan<'_>) -> Result<Formed, Error> {
        self.form_with_cache(now, plan, &mut |_, _| None)
    }

    /// As [`Batcher::form_with_cache`]; what the cache answered is recorded, too.
    ///
    /// # Errors
    /// As [`Batcher::form_with_cache`].
    pub fn form_with_cache(
        &mut self,
        now: Nanos,
        plan: &mut Plan<'_>,
        cached: &mut dyn FnMut(RequestId, u64) -> Option<Tokens>,
    ) -> Result<Formed, Error> {
        let (mut asked, mut answers) = (Vec::new(), Vec::new());
        let mut listen = |request: RequestId, tag: u64| {
            let answer = cached(request, tag);
            asked.push(request);
            answers.push(answer);
            answer
        };
        let answer = self.batcher.form_with_cache(now, plan, &mut listen);
        let call = Call::Form {
            now,
            sizes: [plan.entries.len(), plan.preempted.len(), plan.expired.len()]
                .map(|len| len as u64),
            cached: answers,
        };
        self.note(call, answer, |formed| Answer::formed(formed, plan, asked))
    }

    /// As [`Batcher::observe`].
    ///
    /// # Errors
    /// As [`Batcher::observe`].
    pub fn observe(&mut self, now: Nanos, seen: &Observation<'_>) -> Result<Observed, Error> {
        let answer = self.batcher.observe(now, seen);
        let results: Vec<StepResult> = seen.results.into();
        let Observation { step, kv_blocks_free, duration, .. } = *seen;
        let call = Call::Observe { now, step, kv_blocks_free, duration, results };
        self.note(call, answer, Answer::Observed)
    }

    /// As [`Batcher::set_kv_blocks_free`].
    ///
    /// # Errors
    /// As [`Batcher::set_kv_blocks_free`].
    pub fn set_kv_blocks_free(&mut self, now: Nanos, free: Blocks) -> Result<(), Error> {
        let answer = self.batcher.set_kv_blocks_free(now, free);
        self.note(Call::SetKvBlocksFree { now, free }, answer, Answer::from)
    }

    /// As [`Batcher::set_policy`]. A policy that is not valid is refused before it reaches the
    /// batcher, cannot be written as a document, and is not recorded.
    ///
    /// # Errors
    /// As [`Batcher::set_policy`].
    pub fn set_policy(&mut self, policy: &Policy) -> Result<(), Error> {
        policy.validate()?;
        let answer = self.batcher.set_policy(policy);
        self.note(Call::SetPolicy { policy_toml: policy.to_toml() }, answer, Answer::from)
    }

    /// As [`Batcher::set_model`].
    pub fn set_model(&mut self, model: StepModel) {
        self.batcher.set_model(model);
        let call = Call::SetModel { coefficients: model.coefficients() };
        self.write_call(call, Answer::Done);
    }

    /// As [`Batcher::set_swap`].
    pub fn set_swap(&mut self, swap: Option<KvSwap>) {
        self.batcher.set_swap(swap);
        self.write_call(Call::SetSwap { space: swap.map(SwapSpace::from) }, Answer::Done);
    }

    /// As [`Batcher::drop_swapped`].
    ///
    /// # Errors
    /// As [`Batcher::drop_swapped`].
    pub fn drop_swapped(&mut self, now: Nanos, request: RequestId) -> Result<(), Error> {
        let answer = self.batcher.drop_swapped(now, request);
        self.note(Call::DropSwapped { now, request }, answer, Answer::from)
    }

    /// As [`Batcher::set_replica`].
    ///
    /// # Errors
    /// As [`Batcher::set_replica`].
    pub fn set_replica(&mut self, replica: u32, incarnation: u64) -> Result<(), Error> {
        let answer = self.batcher.set_replica(replica, incarnation);
        self.note(Call::SetReplica { replica, incarnation }, answer, Answer::from)
    }

    /// As [`Batcher::set_account_key`].
    ///
    /// # Errors
    /// As [`Batcher::set_account_key`].
    pub fn set_account_key(&mut self, account: AccountId, key: u64) -> Result<(), Error> {
        let answer = self.batcher.set_account_key(account, key);
        self.note(Call::SetAccountKey { account, key }, answer, Answer::from)
    }

    /// As [`Batcher::delta`].
    ///
    /// # Errors
    /// As [`Batcher::delta`].
    pub fn delta(&mut self, out: &mut [DeltaEntry]) -> Result<Delta, Error> {
        let answer = self.batcher.delta(out);
        let call = Call::Delta { size: out.len() as u64 };
        self.note(call, answer, |delta| Answer::delta(delta, out))
    }

    /// As [`Batcher::merge`].
    ///
    /// # Errors
    /// As [`Batcher::merge`].
    pub fn merge(&mut self, source: DeltaSource, entries: &[DeltaEntry]) -> Result<Merged, Error> {
        let answer = self.batcher.merge(source, entries);
        let entries = entries.iter().copied().map(ToldEntry::from).collect();
        self.note(Call::Merge { source, entries }, answer, Answer::Merged)
    }

    /// As [`Batcher::forget_replica`].
    ///
    /// # Errors
    /// As [`Batcher::forget_replica`].
    pub fn forget_replica(&mut self, replica: u32) -> Result<(), Error> {
        let answer = self.batcher.forget_replica(replica);
        self.note(Call::ForgetReplica { replica }, answer, Answer::from)
    }

    fn note<T: Copy>(
        &mut self,
        call: Call,
        answer: Result<T, Error>,
        to_answer: impl FnOnce(T) -> Answer,
    ) -> Result<T, Error> {
        let written = match answer {
            Ok(value) => to_answer(value),
            Err(error) => Answer::refused(error),
        };
        self.write_call(call, written);
        answer
    }

    fn write_call(&mut self, call: Call, answer: Answer) {
        self.calls += 1;
        self.write(&RecordedCall { call, answer });
    }

    fn write(&mut self, line: &impl serde::Serialize) {
        if self.failure.is_some() {
            return;
        }
        let written = serde_json::to_writer(&mut self.sink, line).map_err(io::Error::from);
        self.failure = written.and_then(|()| self.sink.write_all(b"\n")).err();
    }
}
