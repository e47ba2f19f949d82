//! A host in Rust that makes the calls of `main.c`, for that program to load: the same calls in the
//! same order, so that what differs is the way in.
//!
//! One function for each kind of call, so that the profiler tells them apart, in a block of as many
//! as pay for a look at the clock.
#![allow(clippy::missing_safety_doc, reason = "main.c is the only caller")]

use rampmeter::batch::continuous::{
    Batcher, Observation, PlanArrays, RequestId, StepResult, Submission,
};
use rampmeter::engine::Profile;
use rampmeter::policy::Policy;
use rampmeter::share::AccountId;
use rampmeter::{Nanos, Tokens};

const SEATS: u32 = 256;

/// One batcher, and a request that runs all the time.
pub struct Host {
    batcher: Batcher,
    account: AccountId,
    running: RequestId,
    arrays: PlanArrays,
    requests: Vec<RequestId>,
    now: Nanos,
    sum: u64,
}

#[unsafe(no_mangle)]
#[inline(never)]
fn rust_submit(batcher: &mut Batcher, now: Nanos, account: AccountId) -> RequestId {
    let submission = Submission {
        account,
        arrival: now,
        prompt_tokens: Tokens(200),
        output_tokens_max: Tokens(20),
        ..Submission::default()
    };
    let admission = batcher.submit(now, &submission).expect("in range");
    admission.queued().expect("no limits")
}

#[unsafe(no_mangle)]
#[inline(never)]
fn rust_cancel(batcher: &mut Batcher, now: Nanos, request: RequestId) {
    batcher.cancel(now, request).expect("it is there");
}

#[unsafe(no_mangle)]
#[inline(never)]
fn rust_next_event(batcher: &Batcher, now: Nanos) -> Nanos {
    batcher.next_event(now).unwrap_or(Nanos::MAX)
}

#[unsafe(no_mangle)]
#[inline(never)]
fn rust_form(batcher: &mut Batcher, now: Nanos, arrays: &mut PlanArrays) -> (u64, Nanos) {
    let formed = batcher.form(now, &mut arrays.plan()).expect("room for it");
    (formed.step.expect("something to run"), formed.ends_at)
}

#[unsafe(no_mangle)]
#[inline(never)]
fn rust_observe(batcher: &mut Batcher, now: Nanos, step: u64, results: &[StepResult]) -> u32 {
    let seen = Observation { step, results, ..Observation::default() };
    batcher.observe(now, &seen).expect("the oldest step").output_tokens
}

impl Host {
    fn step(&mut self, output_tokens: u32) {
        let (step, ends_at) = rust_form(&mut self.batcher, self.now, &mut self.arrays);
        self.now = ends_at;
        let request = self.running;
        let result =
            StepResult { request, output_tokens: Tokens(output_tokens), ..StepResult::default() };
        let tokens = rust_observe(&mut self.batcher, self.now, step, &[result]);
        self.sum = self.sum.wrapping_add(self.now.get() + u64::from(tokens));
    }
}

/// As `c_create` of main.c.
#[unsafe(no_mangle)]
pub extern "C" fn rust_create() -> *mut Host {
    let policy = Policy::default();
    let engine = Profile::named("llama-3.1-8b").expect("it is built in");
    let (kv, model) = (engine.kv().expect("valid"), engine.step_model().expect("valid"));
    let mut batcher = Batcher::new(&policy, kv, model).expect("valid");
    let account = batcher.open_account(None, 1.0).expect("room for it");
    let submission = Submission {
        account,
        arrival: Nanos(1),
        prompt_tokens: Tokens(200),
        output_tokens_max: Tokens(120_000),
        ..Submission::default()
    };
    let running = batcher.submit(Nanos(1), &submission).expect("in range");
    let running = running.queued().expect("no limits");
    let arrays = PlanArrays::new(SEATS);
    let requests = Vec::with_capacity(SEATS as usize);
    let mut host = Host { batcher, account, running, arrays, requests, now: Nanos(1), sum: 0 };
    host.step(1);
    Box::into_raw(Box::new(host))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn rust_submits(host: &mut Host, count: u32) {
    host.requests.clear();
    for _ in 0..count {
        host.requests.push(rust_submit(&mut host.batcher, host.now, host.account));
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn rust_cancels(host: &mut Host, count: u32) {
    for at in 0..count as usize {
        rust_cancel(&mut host.batcher, host.now, host.requests[at]);
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn rust_next_events(host: &mut Host, count: u32) {
    for _ in 0..count {
        host.sum = host.sum.wrapping_add(rust_next_event(&host.batcher, host.now).get());
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn rust_steps(host: &mut Host, count: u32) {
    for _ in 0..count {
        host.step(1);
    }
}

/// What all answers come to: that of both paths must be the same.
#[unsafe(no_mangle)]
pub extern "C" fn rust_sum(host: &Host) -> u64 {
    host.sum
}
