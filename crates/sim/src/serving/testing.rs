//! Small engines and workloads for tests, and an observer that writes everything down.

use std::sync::Arc;

use rampmeter::engine::{KvGeometry, StepModel};
use rampmeter::policy::{Account, Class};
use rampmeter::{Blocks, Nanos};

use super::observer::Observer;
use super::refusal::Refusal;
use super::run::{RunError, RunOptions, run};
use super::scheduler::Scheduler;
use super::spec::{PolicySpec, build};
use crate::engine::{Engine, Step, StepClock};
use crate::workload::{Request, Workload};

/// One second.
pub(super) const S: u64 = 1_000_000_000;

/// Every step takes one second, whatever is in it: schedules can be worked out by hand.
struct OneSecond;

impl StepClock for OneSecond {
    fn seconds(&self, _step: &Step) -> f64 {
        1.0
    }
}

/// Steps take what the model says.
pub(super) struct ModelClock(pub(super) StepModel);

impl StepClock for ModelClock {
    fn seconds(&self, step: &Step) -> f64 {
        self.0.seconds(&step.shape)
    }
}

/// An engine of one-second steps with blocks of four tokens.
pub(super) fn engine(blocks: u32, running_max: u32, step_tokens_max: u32) -> Engine {
    Engine {
        name: "one-second steps".to_owned(),
        source: "made for tests".to_owned(),
        clock: Arc::new(OneSecond),
        model: StepModel::new([1.0, 1e-9, 0.0, 0.0, 0.0, 0.0, 0.0]).unwrap(),
        kv: KvGeometry::new(Blocks(blocks), 4).unwrap(),
        running_max,
        step_tokens_max,
    }
}

/// An engine with the step times of an 8-billion-parameter model on a large GPU.
pub(super) fn realistic_engine(blocks: u32) -> Engine {
    let model = StepModel::new([1.0e-2, 6.0e-5, 3.0e-5, 9.0e-8, 1.0e-9, 1.0e-3, 2.0e-8]).unwrap();
    Engine {
        name: "8b".to_owned(),
        clock: Arc::new(ModelClock(model)),
        model,
        kv: KvGeometry::new(Blocks(blocks), 16).unwrap(),
        ..engine(1, 128, 2_048)
    }
}

/// A request: arrival in seconds, prompt and output tokens.
pub(super) fn request(arrival_s: f64, prompt_tokens: u32, output_tokens: u32) -> Request {
    Request {
        arrival: Nanos::from_seconds(arrival_s),
        prompt_tokens,
        output_tokens,
        output_tokens_max: output_tokens,
        class: 0,
        account: 0,
        prefix: Box::default(),
    }
}

/// A workload with two classes and four accounts of equal weight.
pub(super) fn workload(requests: Vec<Request>) -> Workload {
    let class = |name: &str, ttft_target| Class {
        ttft_target,
        tpot_target: Nanos::from_millis(50),
        delay_value: 1.0,
        ..Class::new(name)
    };
    let account = |index: u32| Account::new(format!("account-{index}"), 1.0);
    Workload {
        source: "made for tests".to_owned(),
        requests,
        classes: vec![class("interactive", Nanos(2 * S)), class("batch", Nanos(60 * S))],
        accounts: (0..4).map(account).collect(),
        prefix_block_tokens: 8,
    }
}

/// What happened, one line an event.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Log {
    pub(super) lines: Vec<String>,
    /// By request, in order: tokens computed for the first time, and output tokens.
    pub(super) served: Vec<(u64, u64)>,
    /// Tokens computed again, of all requests.
    pub(super) recomputed: u64,
    pub(super) first: Vec<Option<u64>>,
    pub(super) finished: Vec<Vec<u64>>,
    pub(super) refused: Vec<u32>,
    /// Cached tokens at each admission.
    pub(super) cached: Vec<Vec<u32>>,
    pub(super) preempted: Vec<u32>,
    pub(super) admitted: Vec<u32>,
    pub(super) steps: Vec<(u64, u64, Step)>,
    last: u64,
}

impl Log {
    pub(super) fn new(workload: &Workload) -> Self {
        let n = workload.requests.len();
        Self {
            served: vec![(0, 0); n],
            first: vec![None; n],
            finished: vec![Vec::new(); n],
            cached: vec![Vec::new(); n],
            ..Self::default()
        }
    }

    fn note(&mut self, now: Nanos, text: &str) {
        assert!(now.0 >= self.last, "events come in order of time: {now} after {}", self.last);
        self.last = now.0;
        self.lines.push(format!("{now} {text}"));
    }

    /// Finish times in whole seconds.
    pub(super) fn finish_s(&self) -> Vec<u64> {
        self.finished.iter().map(|times| times[0] / S).collect()
    }

    /// Times of first tokens in whole seconds.
    pub(super) fn first_s(&self) -> Vec<u64> {
        self.first.iter().map(|time| time.unwrap() / S).collect()
    }
}

impl Observer for Log {
    fn arrived(&mut self, now: Nanos, request: u32) {
        self.note(now, &format!("arrived {request}"));
    }
    fn admitted(&mut self, now: Nanos, request: u32, cached_tokens: u32) {
        self.note(now, &format!("admitted {request} with {cached_tokens}"));
        self.cached[request as usize].push(cached_tokens);
        self.admitted.push(request);
    }
    fn preempted(&mut self, now: Nanos, request: u32) {
        self.note(now, &format!("preempted {request}"));
        self.preempted.push(request);
    }
    fn served(&mut self, now: Nanos, request: u32, prompt_tokens: u32, output_tokens: u32) {
        self.note(now, &format!("served {request} {prompt_tokens}+{output_tokens}"));
        let served = &mut self.served[request as usize];
        served.0 += u64::from(prompt_tokens);
        served.1 += u64::from(output_tokens);
    }
    fn recomputed(&mut self, now: Nanos, request: u32, tokens: u32) {
        self.note(now, &format!("recomputed {request} {tokens}"));
        self.recomputed += u64::from(tokens);
    }
    fn first_token(&mut self, now: Nanos, request: u32) {
        self.note(now, &format!("first {request}"));
        assert_eq!(self.first[request as usize].replace(now.0), None);
    }
    fn finished(&mut self, now: Nanos, request: u32) {
        self.note(now, &format!("finished {request}"));
        self.finished[request as usize].push(now.0);
    }
    fn refused(&mut self, now: Nanos, request: u32, why: Refusal) {
        self.note(now, &format!("refused {request}: {why:?}"));
        self.refused.push(request);
    }
    fn step(&mut self, start: Nanos, end: Nanos, step: &Step) {
        self.note(end, &format!("step from {start}"));
        if let Some((_, last_end, _)) = self.steps.last() {
            assert!(start.0 >= *last_end, "the engine does one step at a time");
        }
        self.steps.push((start.0, end.0, *step));
    }
}

/// Runs a scheduler and writes everything down.
pub(super) fn log_of<'w>(
    workload: &'w Workload,
    engine: &Engine,
    scheduler: Box<dyn Scheduler + 'w>,
    options: RunOptions,
) -> Result<Log, RunError> {
    let mut log = Log::new(workload);
    run(workload, engine, scheduler, options, &mut log)?;
    Ok(log)
}

/// Runs the policy of that name, synchronously.
pub(super) fn sync_log(workload: &Workload, engine: &Engine, policy: &str) -> Log {
    let spec: PolicySpec = policy.parse().unwrap();
    let options = RunOptions { steps_in_flight: 1, ..RunOptions::default() };
    log_of(
        workload,
        engine,
        build(&spec, workload, engine, options.steps_in_flight).unwrap(),
        options,
    )
    .unwrap()
}
