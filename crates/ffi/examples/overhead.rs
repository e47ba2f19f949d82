//! The calls of `tests/c/overhead.c`, made from Rust.
#![allow(unsafe_code, reason = "names that the profiler finds")]
#![allow(clippy::no_mangle_with_rust_abi, reason = "nobody calls them by these names")]

use std::hint::black_box;

use rampmeter::batch::continuous::{Batcher, Observation, PlanArrays, RequestId, Submission};
use rampmeter::engine::Profile;
use rampmeter::policy::Policy;
use rampmeter::share::AccountId;
use rampmeter::{Nanos, Tokens};

const ROUNDS: u32 = 1_000;
const SEATS: u32 = 256;

#[unsafe(no_mangle)]
#[inline(never)]
fn host_submit(batcher: &mut Batcher, now: Nanos, account: AccountId) -> RequestId {
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
fn host_cancel(batcher: &mut Batcher, now: Nanos, request: RequestId) {
    batcher.cancel(now, request).expect("it is there");
}

#[unsafe(no_mangle)]
#[inline(never)]
fn host_next_event(batcher: &Batcher, now: Nanos) -> Nanos {
    batcher.next_event(now).unwrap_or(Nanos::MAX)
}

#[unsafe(no_mangle)]
#[inline(never)]
fn host_form(batcher: &mut Batcher, now: Nanos, arrays: &mut PlanArrays) -> (u64, Nanos) {
    let formed = batcher.form(now, &mut arrays.plan()).expect("room for it");
    (formed.step.expect("something to run"), formed.ends_at)
}

#[unsafe(no_mangle)]
#[inline(never)]
fn host_observe(batcher: &mut Batcher, now: Nanos, step: u64) -> u32 {
    let seen = Observation { step, ..Observation::default() };
    batcher.observe(now, &seen).expect("the oldest step").finished
}

fn main() {
    let policy = Policy::default();
    let engine = Profile::named("llama-3.1-8b").expect("it is built in");
    let (kv, model) = (engine.kv().expect("valid"), engine.step_model().expect("valid"));
    let mut batcher = Batcher::new(&policy, kv, model).expect("valid");
    let account = batcher.open_account(None, 1.0).expect("room for it");
    let mut arrays = PlanArrays::new(SEATS);
    let (mut now, mut sum) = (Nanos(1), 0_u64);
    for _ in 0..ROUNDS {
        let request = host_submit(&mut batcher, now, account);
        sum = sum.wrapping_add(host_next_event(&batcher, now).get());
        let (step, ends_at) = host_form(&mut batcher, now, &mut arrays);
        now = ends_at;
        sum = sum.wrapping_add(host_observe(&mut batcher, now, step).into());
        host_cancel(&mut batcher, now, request);
    }
    println!("{}", black_box(sum));
}
