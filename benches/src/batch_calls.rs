//! Nanoseconds of the calls that `benches/python/overhead.py` makes, from Rust: a JSON object.

use std::hint::black_box;
use std::time::Instant;

use rampmeter::batch::continuous::{
    Batcher, Observation, PlanArrays, RequestId, StepResult, Submission,
};
use rampmeter::engine::Profile;
use rampmeter::policy::Policy;
use rampmeter::{Nanos, Tokens};

type Failure = Box<dyn std::error::Error>;

/// As in the Python script.
const RUNNING: u32 = 256;
const ROUNDS: usize = 400;
const SUBMISSIONS: usize = 2_000;

fn main() -> Result<(), Failure> {
    let (submit, (form, observe)) = (submit_ns()?, steps_ns()?);
    println!(
        "{{\"submit_ns\": {submit:.0}, \"form_ns\": {form:.0}, \"observe_ns\": {observe:.0}}}"
    );
    Ok(())
}

fn batcher() -> Result<Batcher, Failure> {
    let mut policy = Policy::default();
    policy.limits.running_max = RUNNING;
    let engine = Profile::named("llama-3.1-8b").ok_or("no such profile")?;
    Ok(Batcher::new(&policy, engine.kv()?, engine.step_model()?)?)
}

fn submit_ns() -> Result<f64, Failure> {
    let mut best = f64::INFINITY;
    for _ in 0..20 {
        let mut batcher = batcher()?;
        let account = batcher.open_account(None, 1.0)?;
        let known = Submission {
            account,
            prompt_tokens: Tokens(100),
            output_tokens_max: Tokens(100),
            ..Submission::default()
        };
        let began = Instant::now();
        for tag in 0..SUBMISSIONS {
            let submission = Submission { tag: tag as u64, ..known };
            black_box(batcher.submit(Nanos::ZERO, black_box(&submission))?);
        }
        best = best.min(began.elapsed().as_nanos() as f64 / SUBMISSIONS as f64);
    }
    Ok(best)
}

/// Medians of forming a step of requests that all decode, and of observing it.
fn steps_ns() -> Result<(f64, f64), Failure> {
    let mut batcher = batcher()?;
    let account = batcher.open_account(None, 1.0)?;
    for _ in 0..RUNNING {
        let submission = Submission {
            account,
            prompt_tokens: Tokens(16),
            output_tokens_max: Tokens(4_000),
            ..Submission::default()
        };
        batcher.submit(Nanos::ZERO, &submission)?;
    }
    let mut arrays = PlanArrays::new(RUNNING);
    let (mut now, mut formed_ns, mut observed_ns) = (Nanos::ZERO, Vec::new(), Vec::new());
    let mut results = Vec::with_capacity(RUNNING as usize);
    while formed_ns.len() < ROUNDS {
        let began = Instant::now();
        let formed = batcher.form(now, &mut arrays.plan())?;
        let form_ns = began.elapsed().as_nanos() as f64;
        let entries = &arrays.entries[..formed.entries_len as usize];
        results.clear();
        results.extend(entries.iter().filter(|entry| entry.emits).map(|entry| StepResult {
            request: RequestId::from_raw(entry.request.to_raw()),
            output_tokens: Tokens(1),
            finished: false,
        }));
        now = formed.ends_at;
        let step = formed.step.ok_or("nothing to run")?;
        let seen = Observation { step, results: &results, ..Observation::default() };
        let began = Instant::now();
        black_box(batcher.observe(now, &seen)?);
        if formed.shape.decode_requests == RUNNING {
            formed_ns.push(form_ns);
            observed_ns.push(began.elapsed().as_nanos() as f64);
        }
    }
    Ok((median(&mut formed_ns), median(&mut observed_ns)))
}

fn median(all: &mut [f64]) -> f64 {
    all.sort_unstable_by(f64::total_cmp);
    all[all.len() / 2]
}
