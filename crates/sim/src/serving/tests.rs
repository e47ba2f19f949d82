//! The loop itself: schedules worked out by hand, broken rules, and random policies.

use std::collections::BTreeSet;

use proptest::prelude::*;
use rampmeter::Nanos;

use super::peers::PeerOptions;
use super::run::{RunError, RunOptions};
use super::scheduler::{Scheduler, StepReport};
use super::spec::{PeerKind, PolicySpec, build};
use super::state::{Change, EngineState};
use super::testing::{Log, S, engine, log_of, realistic_engine, request, sync_log, workload};
use crate::engine::{Engine, Slowdown};
use crate::workload::{Request, Workload};

fn options(steps_in_flight: u32) -> RunOptions {
    RunOptions { steps_in_flight, ..RunOptions::default() }
}

fn run_named(workload: &Workload, engine: &Engine, policy: &str, steps_in_flight: u32) -> Log {
    let spec: PolicySpec = policy.parse().unwrap();
    let scheduler = build(&spec, workload, engine, steps_in_flight).unwrap();
    log_of(workload, engine, scheduler, options(steps_in_flight)).unwrap()
}

/// A policy that is one closure, called when a step is to be formed.
struct Forms<F>(F);

type Form = Box<dyn FnMut(Nanos, &mut EngineState<'_>)>;

impl<F: FnMut(Nanos, &mut EngineState<'_>)> Scheduler for Forms<F> {
    fn name(&self) -> &'static str {
        "closure"
    }
    fn submit(&mut self, _now: Nanos, _request: u32, _engine: &mut EngineState<'_>) {}
    fn form(&mut self, now: Nanos, engine: &mut EngineState<'_>) {
        (self.0)(now, engine);
    }
    fn observe(&mut self, _now: Nanos, _report: &StepReport<'_>, _engine: &EngineState<'_>) {}
}

/// Three requests on two seats with steps of ten tokens and one second.
fn three() -> Workload {
    workload(vec![request(0.0, 12, 3), request(0.0, 5, 2), request(0.5, 4, 1)])
}

#[test]
fn synchronous_steps_follow_the_schedule_worked_out_by_hand() {
    let log = run_named(&three(), &engine(100, 2, 10), "fcfs", 1);
    assert_eq!(log.first_s(), [2, 2, 4]);
    assert_eq!(log.finish_s(), [4, 3, 4]);
    let shapes: Vec<_> = log
        .steps
        .iter()
        .map(|(_, _, s)| (s.shape.prefill_tokens, s.shape.decode_requests))
        .collect();
    assert_eq!(shapes, [(10, 0), (7, 0), (0, 2), (4, 1)]);
    assert_eq!(log.steps[1].2.shape.prefill_history_tokens, 10);
    assert_eq!(log.steps[2].2.shape.decode_context_tokens, 12 + 5);
    assert_eq!(
        log.steps.iter().map(|(_, _, s)| s.sampled_requests).collect::<Vec<_>>(),
        [0, 2, 2, 2]
    );
}

#[test]
fn an_asynchronous_engine_gives_a_freed_seat_one_step_later() {
    let log = run_named(&three(), &engine(100, 2, 10), "fcfs", 2);
    assert_eq!(log.first_s(), [2, 2, 5]);
    assert_eq!(log.finish_s(), [4, 3, 5]);
}

#[test]
fn a_token_after_the_end_is_dropped_but_its_step_is_paid_for() {
    let early = Request { output_tokens_max: 5, ..request(0.0, 4, 1) };
    let workload = workload(vec![early]);
    let log = run_named(&workload, &engine(100, 2, 10), "fcfs", 2);
    assert_eq!(log.steps.len(), 2);
    assert_eq!((log.served[0], log.finish_s()), ((4, 1), vec![1]));
    assert_eq!(run_named(&workload, &engine(100, 2, 10), "fcfs", 1).steps.len(), 1);
}

#[test]
fn what_can_never_fit_is_refused() {
    // Ten blocks of four: 38 + 3 - 1 tokens fit, one more does not.
    let workload = workload(vec![request(0.0, 38, 3), request(0.0, 38, 4)]);
    let log = run_named(&workload, &engine(10, 4, 100), "fcfs", 2);
    assert_eq!(log.refused, [1]);
    assert_eq!(log.finished[0].len(), 1);
}

#[test]
fn broken_rules_end_the_run_and_are_named() {
    let workload = workload(vec![request(0.0, 12, 3), request(0.0, 5, 2)]);
    let admit_and = |tokens: &'static [u32]| {
        move |_: Nanos, engine: &mut EngineState<'_>| {
            engine.admit(0);
            for tokens in tokens {
                engine.compute(0, *tokens);
            }
        }
    };
    let cases: [(Form, &str); 8] = [
        (Box::new(admit_and(&[11])), "11 tokens of request 0 were planned, the step has 10 left"),
        (Box::new(admit_and(&[13])), "13 tokens of request 0 were planned, 1..=12 are possible"),
        (Box::new(admit_and(&[0])), "0 tokens of request 0 were planned, 1..=12 are possible"),
        (Box::new(admit_and(&[2, 2])), "request 0 was planned twice in one step"),
        (Box::new(|_, e| assert!(!e.compute(1, 1))), "request 1 was computed or preempted but"),
        (Box::new(|_, e| e.preempt(1)), "request 1 was computed or preempted but does not run"),
        (
            Box::new(|_, e| assert_eq!(e.admit(0) + e.admit(0), 0)),
            "request 0 was admitted or refused",
        ),
        (Box::new(|_, e| assert_eq!(e.admit(0) + e.admit(1), 0)), "with all 1 seats taken"),
    ];
    for (form, expected) in cases {
        let error = log_of(&workload, &engine(100, 1, 10), Box::new(Forms(form)), options(1));
        let error = error.unwrap_err().to_string();
        assert!(error.contains(expected), "{error} does not say {expected}");
    }
    let forged = Box::new(Forms(|_, e: &mut EngineState<'_>| assert_eq!(e.admit(9_999), 0)));
    assert!(log_of(&workload, &engine(100, 1, 10), forged, options(1)).is_err());
}

#[test]
fn a_policy_that_never_plans_is_stalled() {
    let workload = three();
    let idle = Box::new(Forms(|_, _: &mut EngineState<'_>| {}));
    let error = log_of(&workload, &engine(100, 2, 10), idle, options(2)).unwrap_err();
    let (policy, now) = ("closure".to_owned(), Nanos(S / 2));
    assert_eq!(error, RunError::Stalled { policy, now, requests: 3 });
}

#[test]
fn wrong_options_and_workloads_are_named() {
    let good = three();
    for steps_in_flight in [0, 5] {
        let idle = Box::new(Forms(|_, _: &mut EngineState<'_>| {}));
        let error = log_of(&good, &engine(9, 2, 10), idle, options(steps_in_flight)).unwrap_err();
        assert!(error.to_string().contains("`steps_in_flight`"), "{error}");
    }
    let mut requests = good.requests.clone();
    requests[1] = Request { class: 7, ..requests[1].clone() };
    requests[2] = Request { output_tokens: 0, ..requests[2].clone() };
    for (bad, expected) in [
        (vec![request(1.0, 1, 1), request(0.0, 1, 1)], "request 1: arrives before"),
        (requests[1..2].to_vec(), "request 0: has a class"),
        (requests[2..].to_vec(), "request 0: has no prompt tokens or no output"),
    ] {
        let bad = workload(bad);
        let idle = Box::new(Forms(|_, _: &mut EngineState<'_>| {}));
        let error = log_of(&bad, &engine(9, 2, 10), idle, options(1)).unwrap_err().to_string();
        assert!(error.contains(expected), "{error} does not say {expected}");
    }
}

/// Holds everything until a moment of its own choice.
struct Until(Nanos);

impl Scheduler for Until {
    fn name(&self) -> &'static str {
        "until"
    }
    fn submit(&mut self, _now: Nanos, _request: u32, _engine: &mut EngineState<'_>) {}
    fn form(&mut self, now: Nanos, engine: &mut EngineState<'_>) {
        if now >= self.0 && engine.waiting() > 0 {
            engine.admit(0);
            engine.compute(0, 4);
        }
    }
    fn observe(&mut self, _now: Nanos, _report: &StepReport<'_>, _engine: &EngineState<'_>) {}
    fn next_event(&self, _now: Nanos) -> Option<Nanos> {
        Some(self.0)
    }
}

#[test]
fn an_idle_engine_wakes_when_its_policy_asks_for_it() {
    let workload = workload(vec![request(0.0, 4, 1)]);
    let scheduler = Box::new(Until(Nanos(5 * S)));
    let log = log_of(&workload, &engine(9, 2, 10), scheduler, options(2)).unwrap();
    assert_eq!(log.finish_s(), [6]);
}

/// Plans whatever is legal, at random; goes on as long as something can be done.
struct Random {
    state: u64,
    waiting: Vec<u32>,
    running: Vec<u32>,
}

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.state >> 33) as usize % n.max(1)
    }

    fn preempt(&mut self, at: usize, engine: &mut EngineState<'_>) {
        let victim = self.running.swap_remove(at);
        engine.preempt(victim);
        self.waiting.push(victim);
    }

    fn part(&mut self, request: u32, engine: &EngineState<'_>) -> u32 {
        let most = engine.remaining_tokens(request).min(engine.tokens_left());
        if most == 0 { 0 } else { 1 + self.below(most as usize) as u32 }
    }
}

impl Scheduler for Random {
    fn name(&self) -> &'static str {
        "random"
    }

    fn submit(&mut self, _now: Nanos, request: u32, _engine: &mut EngineState<'_>) {
        self.waiting.push(request);
    }

    fn form(&mut self, _now: Nanos, engine: &mut EngineState<'_>) {
        if self.running.len() > 1 && self.below(20) == 0 {
            let at = self.below(self.running.len());
            self.preempt(at, engine);
        }
        for request in self.running.clone() {
            let tokens = self.part(request, engine);
            if tokens == 0 || (self.below(4) == 0 && request != self.running[0]) {
                continue;
            }
            while engine.is_running(request) && !engine.compute(request, tokens) {
                let at = self.below(self.running.len());
                if self.running.len() > 1 && self.running[at] == request {
                    continue;
                }
                self.preempt(at, engine);
            }
        }
        for _ in 0..self.waiting.len() {
            let at = self.below(self.waiting.len());
            let request = self.waiting[at];
            if engine.seats_left() == 0 || engine.tokens_left() == 0 {
                break;
            }
            if engine.remaining_tokens(request) > 0 {
                self.waiting.swap_remove(at);
                self.running.push(request);
                engine.admit(request);
                let tokens = self.part(request, engine);
                engine.compute(request, tokens);
            }
        }
    }

    fn observe(&mut self, _now: Nanos, report: &StepReport<'_>, _engine: &EngineState<'_>) {
        for outcome in report.outcomes.iter().filter(|outcome| outcome.finished) {
            self.waiting.retain(|request| *request != outcome.request);
            self.running.retain(|request| *request != outcome.request);
        }
    }
}

/// Watches another policy from outside and asserts what must hold after every form.
struct Watched<'a> {
    inner: Box<dyn Scheduler + 'a>,
    limits: (u32, u32, u32),
    waiting: BTreeSet<u32>,
    /// What waits must be what does not fit, the first of the queue at least.
    conserves_work: bool,
}

impl<'a> Watched<'a> {
    fn new(inner: Box<dyn Scheduler + 'a>, engine: &Engine, conserves_work: bool) -> Self {
        let limits = (engine.running_max, engine.step_tokens_max, engine.kv.blocks().get());
        Self { inner, limits, waiting: BTreeSet::new(), conserves_work }
    }
}

impl Scheduler for Watched<'_> {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn submit(&mut self, now: Nanos, request: u32, engine: &mut EngineState<'_>) {
        self.waiting.insert(request);
        self.inner.submit(now, request, engine);
    }

    fn form(&mut self, now: Nanos, engine: &mut EngineState<'_>) {
        self.inner.form(now, engine);
        let mut preempted = false;
        for change in engine.changes() {
            match *change {
                Change::Admitted { request, .. } => assert!(self.waiting.remove(&request)),
                Change::Preempted { request } => {
                    preempted = true;
                    assert!(self.waiting.insert(request));
                }
            }
        }
        let (running_max, step_tokens_max, blocks) = self.limits;
        let tokens: u32 = engine.planned().iter().map(|part| part.tokens).sum();
        let requests: BTreeSet<u32> = engine.planned().iter().map(|part| part.request).collect();
        assert!(tokens <= step_tokens_max && requests.len() <= running_max as usize);
        assert_eq!(requests.len(), engine.planned().len(), "each request once");
        assert!(requests.is_disjoint(&self.waiting), "only what has a seat is computed");
        assert!(engine.kv().blocks_free() <= blocks && engine.running() <= running_max);
        for part in engine.planned() {
            let held =
                engine.kv().blocks_held(part.request) * engine.kv().geometry().block_tokens();
            assert!(held >= part.history_tokens + part.tokens, "room for what is computed");
            let prompt = engine.facts(part.request).prompt_tokens;
            assert!(!part.decodes || part.history_tokens >= prompt, "prompt before output");
        }
        // One whose last token is in flight has nothing to compute: it only waits for that.
        let first = self.waiting.first().filter(|first| engine.remaining_tokens(**first) > 0);
        if let Some(first) = first.filter(|_| self.conserves_work && !preempted) {
            assert!(engine.tokens_left() == 0 || !engine.fits(*first), "{first} fits and waits");
        }
    }

    fn observe(&mut self, now: Nanos, report: &StepReport<'_>, engine: &EngineState<'_>) {
        for outcome in report.outcomes.iter().filter(|outcome| outcome.finished) {
            self.waiting.remove(&outcome.request);
        }
        self.inner.observe(now, report, engine);
    }
}

/// Up to forty requests that all fit an engine of 24 blocks of four tokens.
fn arbitrary_workload() -> impl Strategy<Value = Workload> {
    let one = (0u32..12, 1u32..50, 1u32..20, 0u32..5, 0u16..2, 0u32..4);
    prop::collection::vec(one, 1..40).prop_map(|rows| {
        let mut at = 0.0;
        let of = |(gap, prompt, output, slack, class, account): (u32, u32, u32, u32, u16, u32)| {
            at += f64::from(gap) * 0.7;
            let output_tokens_max = output + slack;
            Request { output_tokens_max, class, account, ..request(at, prompt, output) }
        };
        workload(rows.into_iter().map(of).collect())
    })
}

/// Every request ends exactly once with exactly its tokens, and nothing is left behind.
fn check_conservation(workload: &Workload, log: &Log) {
    assert!(log.refused.is_empty());
    for (index, request) in workload.requests.iter().enumerate() {
        assert_eq!(log.finished[index].len(), 1, "request {index} ends once");
        let all = (u64::from(request.prompt_tokens), u64::from(request.output_tokens));
        assert_eq!(log.served[index], all, "request {index} gets its tokens");
        assert!(log.first[index].unwrap() > request.arrival.0);
    }
}

/// Of a synchronous run: every token computed is one for the first time, or one again.
fn check_recomputed(workload: &Workload, log: &Log) {
    let shapes = log.steps.iter().map(|(_, _, step)| step.shape);
    let computed: u64 = shapes
        .map(|shape| u64::from(shape.prefill_tokens) + u64::from(shape.decode_requests))
        .sum();
    let prompts: u64 = log.served.iter().map(|(prompt, _)| prompt).sum();
    // Nobody computes the last token of an answer.
    let ended = workload.requests.iter().zip(&log.finished).filter(|(_, times)| !times.is_empty());
    let outputs: u64 = ended.map(|(request, _)| u64::from(request.output_tokens) - 1).sum();
    assert_eq!(computed, prompts + outputs + log.recomputed);
}

#[test]
fn an_engine_slows_down_at_its_moment_and_not_before() {
    let workload = workload(vec![request(0.0, 4, 6)]);
    for steps_in_flight in [1, 2, 4] {
        let log = |slowdown: &str| {
            let slowed = slowdown.parse::<Slowdown>().unwrap().apply(&engine(100, 2, 10));
            run_named(&workload, &slowed, "fcfs", steps_in_flight)
        };
        let ends = |log: &Log| log.steps.iter().map(|(_, end, _)| *end / S).collect::<Vec<_>>();
        // Six steps of a second; those that start at 3 s or later take two.
        assert_eq!(ends(&log("2@3")), [1, 2, 3, 5, 7, 9], "{steps_in_flight} in flight");
        assert_eq!(ends(&log("2@2.5")), [1, 2, 3, 5, 7, 9]);
        assert_eq!(ends(&log("2@99")), [1, 2, 3, 4, 5, 6]);
    }
}

#[test]
fn a_preempted_request_computes_again_what_it_had() {
    // Four blocks of four: two prompts of 7 fit, their 9th tokens do not. The second gives way
    // with 8 tokens computed, and computes again what the cache has not kept.
    let workload = workload(vec![request(0.0, 7, 4), request(0.0, 7, 4)]);
    let log = sync_log(&workload, &engine(4, 2, 100), "fcfs");
    assert_eq!(log.preempted, [1]);
    assert_eq!(log.recomputed, 8 - u64::from(log.cached[1][1]));
}

/// A gap between two steps needs an engine that has nothing to do.
fn check_never_idle(workload: &Workload, log: &Log) {
    for pair in log.steps.windows(2) {
        let ((_, end, _), (start, _, _)) = (pair[0], pair[1]);
        for (index, request) in workload.requests.iter().enumerate() {
            let unfinished = request.arrival.0 < start && log.finished[index][0] > end;
            assert!(start == end || !unfinished, "idle {end}..{start} with request {index} there");
        }
    }
}

proptest! {
    /// Whatever a policy does within the rules, the engine keeps its promises.
    #[test]
    fn random_policies_conserve_requests_and_tokens(
        workload in arbitrary_workload(), seed: u64, steps_in_flight in 1u32..=4,
        seats in 1u32..6, step_tokens in 1u32..40,
    ) {
        let engine = engine(24, seats, step_tokens);
        let random = Random { state: seed, waiting: Vec::new(), running: Vec::new() };
        let watched = Watched::new(Box::new(random), &engine, false);
        let log = log_of(&workload, &engine, Box::new(watched), options(steps_in_flight)).unwrap();
        check_conservation(&workload, &log);
    }

    /// Every peer with every option, in a cache so small that it preempts.
    #[test]
    fn peers_conserve_requests_and_tokens(
        workload in arbitrary_workload(), steps_in_flight in 1u32..=4, seats in 1u32..6,
        step_tokens in 8u32..40, chunk in proptest::option::of(6u32..20), triage: bool,
        kind in 0usize..5,
    ) {
        let engine = engine(24, seats, step_tokens);
        let kind = PeerKind::ALL[kind];
        let options_of_peer = PeerOptions { chunk_tokens: chunk, triage, ..PeerOptions::NONE };
        let spec = PolicySpec::Peer { kind, options: options_of_peer };
        let conserves_work = kind == PeerKind::Fcfs && chunk.is_none() && !triage;
        let run = || {
            let inner = build(&spec, &workload, &engine, steps_in_flight).unwrap();
            let watched = Watched::new(inner, &engine, conserves_work);
            log_of(&workload, &engine, Box::new(watched), options(steps_in_flight)).unwrap()
        };
        let log = run();
        check_conservation(&workload, &log);
        if steps_in_flight == 1 {
            check_never_idle(&workload, &log);
            check_recomputed(&workload, &log);
        }
        prop_assert_eq!(log, run(), "two runs are identical");
    }
}

#[test]
fn prompts_that_share_a_prefix_find_it() {
    let shared = |arrival_s| Request { prefix: [1, 2].into(), ..request(arrival_s, 16, 1) };
    let workload = workload(vec![shared(0.0), shared(3.0)]);
    let log = sync_log(&workload, &engine(100, 2, 100), "fcfs");
    assert_eq!(log.cached, [vec![0], vec![12]]);
    assert_eq!(log.served, [(16, 1), (4, 1)]);
}

#[test]
fn capacity_is_the_load_at_which_the_queue_just_stays() {
    // 2,000 chat-like requests whose lengths cycle, offered once a second.
    let of = |i: u32| request(f64::from(i), 200 + (i * 379) % 1_700, 20 + (i * 97) % 200);
    let workload = workload((0..2_000).map(of).collect());
    let engine = realistic_engine(36_578);
    let capacity = super::measure_capacity(&workload, &engine).unwrap();
    let busy_of = |load: f64| {
        let mut offered = workload.clone();
        super::capacity::rescale(&mut offered, capacity.arrival_factor(load, 1).unwrap());
        let log = run_named(&offered, &engine, "fcfs", 2);
        let last_arrival_s = offered.requests.last().unwrap().arrival.as_seconds();
        log.finish_s().into_iter().max().unwrap() as f64 / last_arrival_s
    };
    // Offered less than it completes, the engine ends soon after the last arrival; offered 1.5
    // times as much it needs 1.5 times as long.
    assert!((busy_of(0.9) - 1.0).abs() < 0.06, "{}", busy_of(0.9));
    assert!((busy_of(1.5) - 1.5).abs() < 0.06, "{}", busy_of(1.5));
    for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(capacity.arrival_factor(bad, 1).is_err());
    }
    let two = capacity.arrival_factor(1.0, 2).unwrap();
    assert!((two * 2.0 - capacity.arrival_factor(1.0, 1).unwrap()).abs() < 1e-9);
}
