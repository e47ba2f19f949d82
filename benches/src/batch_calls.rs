//! Nanoseconds of the calls that `benches/python/overhead.py` makes, from Rust: a JSON object.

use std::hint::black_box;
use std::time::Instant;

use rampmeter::batch::continuous::{
    Batcher, Observation, PlanArrays, RequestId, StepResult, Submission,
};
use rampmeter::engine::Profile;
use rampmeter::headroom::gate::{Admission, Gate};
use rampmeter::policy::Policy;
use rampmeter::route::{ReplicaSpec, RouteRequest, Router, RouterOptions, hash_blocks};
use rampmeter::{Nanos, Tokens};

type Failure = Box<dyn std::error::Error>;

/// As in the Python script.
const RUNNING: u32 = 256;
const ROUNDS: usize = 400;
const SUBMISSIONS: usize = 2_048;
const BATCHERS: usize = 4;
const BLOCK: usize = 32;
const BLOCKS: usize = 200;
const STEP_NS: u64 = 1_000;

fn main() -> Result<(), Failure> {
    let (submit, admit, route) = (submit_ns()?, admit_ns()?, route_ns()?);
    let (form, observe) = steps_ns()?;
    println!(
        "{{\"submit_ns\": {submit:.0}, \"admit_ns\": {admit:.0}, \"route_ns\": {route:.0}, \
         \"form_ns\": {form:.0}, \"observe_ns\": {observe:.0}}}"
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
    let mut spent_ns = Vec::new();
    for _ in 0..BATCHERS {
        let mut batcher = batcher()?;
        let account = batcher.open_account(None, 1.0)?;
        let known = Submission {
            account,
            prompt_tokens: Tokens(100),
            output_tokens_max: Tokens(100),
            ..Submission::default()
        };
        for first in (0..SUBMISSIONS).step_by(BLOCK) {
            let began = Instant::now();
            for tag in first..first + BLOCK {
                let submission = Submission { tag: tag as u64, ..known };
                black_box(batcher.submit(Nanos::ZERO, black_box(&submission))?);
            }
            spent_ns.push(began.elapsed().as_nanos() as f64 / BLOCK as f64);
        }
    }
    Ok(median(&mut spent_ns))
}

/// Requests that find a server free, a block at a time; they leave outside the clock.
fn admit_ns() -> Result<f64, Failure> {
    let mut gate = Gate::new(&Policy::default(), BLOCK as u32)?;
    let account = gate.open_account(None, 1.0)?;
    let (mut now_ns, mut spent_ns, mut tickets) = (0, Vec::new(), Vec::with_capacity(BLOCK));
    for _ in 0..BLOCKS {
        let began = Instant::now();
        for _ in 0..BLOCK {
            now_ns += STEP_NS;
            if let Admission::Admit(ticket) = gate.admit(Nanos(now_ns), 0, account, 1)? {
                tickets.push(ticket);
            }
        }
        spent_ns.push(began.elapsed().as_nanos() as f64 / BLOCK as f64);
        if tickets.len() < BLOCK {
            return Err("a server is free for each".into());
        }
        for ticket in tickets.drain(..) {
            now_ns += STEP_NS;
            gate.ended(Nanos(now_ns), ticket)?;
        }
    }
    Ok(median(&mut spent_ns))
}

/// Prompts of 64 blocks that came before, among 64 replicas; answers end outside the clock.
fn route_ns() -> Result<f64, Failure> {
    let options =
        RouterOptions { blocks_max: 65_536, sets_max: 65_536, ..RouterOptions::default() };
    let mut router = Router::new(&Policy::default(), &options)?;
    let spec = ReplicaSpec::of(Profile::named("llama-3.1-8b").ok_or("no such profile")?)?;
    for _ in 0..options.replicas_max {
        router.add_replica(Nanos::ZERO, &spec)?;
    }
    let prompts: Vec<Vec<u64>> = (0..BLOCK as u32)
        .map(|prompt| {
            let tokens: Vec<u32> = (prompt * 1_024..(prompt + 1) * 1_024).collect();
            let mut names = vec![0; 64];
            hash_blocks(0, &tokens, options.block_tokens, &mut names);
            names
        })
        .collect();
    let request = RouteRequest { prompt_tokens: Tokens(1_024), ..RouteRequest::default() };
    let (mut now_ns, mut spent_ns, mut requests) = (0, Vec::new(), Vec::with_capacity(BLOCK));
    for _ in 0..BLOCKS {
        let began = Instant::now();
        for names in &prompts {
            now_ns += STEP_NS;
            let routed = router.route(Nanos(now_ns), black_box(&request), names)?;
            requests.push(routed.ok_or("there are replicas")?.request);
        }
        spent_ns.push(began.elapsed().as_nanos() as f64 / BLOCK as f64);
        for request in requests.drain(..) {
            now_ns += STEP_NS;
            router.first_token(Nanos(now_ns), request)?;
            router.ended(Nanos(now_ns), request, Tokens(8))?;
        }
    }
    Ok(median(&mut spent_ns))
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
