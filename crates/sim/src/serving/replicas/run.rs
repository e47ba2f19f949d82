//! The event loop of several engines behind a router.
//!
//! # When things happen
//! At one moment: replicas fail or come back, requests arrive and are routed, engines end and begin
//! steps, reports are sent, reports arrive. Everything of one kind in order of replica or request.
//!
//! # Bounds and cost
//! O(replicas) an event, besides what engines and routers do.

use std::collections::{BTreeSet, VecDeque};

use rampmeter::Blocks;
use rampmeter::Nanos;
use rampmeter::error::check_range;
use rampmeter::policy::Policy;
use rampmeter::route::ReplicaState;

use super::router::{Router, RouterKind, View};
use crate::engine::{Engine, Slowdown, Step};
use crate::results::{Labels, Recorder, ServingRun};
use crate::serving::gated::{GateKind, gated};
use crate::serving::observer::Observer;
use crate::serving::refusal::Refusal;
use crate::serving::run::{Replica, RunError, RunOptions, check_workload};
use crate::serving::spec::{PolicySpec, build};
use crate::workload::Workload;

/// Most replicas of a run: each keeps a record of every request.
pub const REPLICAS_MAX: u64 = 1_024;

/// A replica that is away for a while.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Failure {
    /// Which one.
    pub replica: u32,
    /// When it loses what it has.
    pub from: Nanos,
    /// When it is back, with an empty cache.
    pub until: Nanos,
}

/// What stands behind a router.
#[derive(Clone, Debug, PartialEq)]
pub struct ReplicaOptions {
    /// How many engines, 1 to 1,024.
    pub replicas: u32,
    /// The batch policy of each.
    pub policy: PolicySpec,
    /// The gate of each.
    pub gate: GateKind,
    /// How each runs.
    pub run: RunOptions,
    /// From one report of a replica to its next.
    pub report_every: Nanos,
    /// From sending a report until the router has it.
    pub report_delay: Nanos,
    /// A replica whose steps take longer than its step model says.
    pub slow: Option<(u32, Slowdown)>,
    /// A replica that fails.
    pub failure: Option<Failure>,
}

impl ReplicaOptions {
    /// So many replicas as vLLM runs them, that report every second and are heard 50 ms later.
    pub fn new(replicas: u32) -> Self {
        Self {
            replicas,
            policy: PolicySpec::peer(crate::serving::spec::PeerKind::Fcfs),
            gate: GateKind::None,
            run: RunOptions::default(),
            report_every: Nanos::from_millis(1_000),
            report_delay: Nanos::from_millis(50),
            slow: None,
            failure: None,
        }
    }

    fn check(&self) -> Result<(), RunError> {
        check_range("replicas", self.replicas.into(), 1, REPLICAS_MAX)?;
        check_range("report_every_ns", self.report_every.get(), 1, u64::MAX)?;
        let last = u64::from(self.replicas) - 1;
        if let Some((replica, _)) = self.slow {
            check_range("slow_replica", replica.into(), 0, last)?;
        }
        if let Some(failure) = self.failure {
            check_range("failed_replica", failure.replica.into(), 0, last)?;
            let from = failure.from.get();
            check_range("failure_until_ns", failure.until.get(), from, u64::MAX)?;
        }
        Ok(())
    }
}

/// What a router is told of a request.
#[derive(Clone, Copy, Debug)]
enum Told {
    Started(u32, u32),
    FirstToken(u32),
    Ended(u32),
}

/// Keeps the books and remembers what the router must hear.
struct Ear<'a, 'w> {
    books: &'a mut Recorder<'w>,
    told: &'a mut Vec<Told>,
}

impl Observer for Ear<'_, '_> {
    fn arrived(&mut self, now: Nanos, request: u32) {
        self.books.arrived(now, request);
    }
    fn admitted(&mut self, now: Nanos, request: u32, cached_tokens: u32) {
        self.books.admitted(now, request, cached_tokens);
        self.told.push(Told::Started(request, cached_tokens));
    }
    fn preempted(&mut self, now: Nanos, request: u32) {
        self.books.preempted(now, request);
    }
    fn served(&mut self, now: Nanos, request: u32, prompt_tokens: u32, output_tokens: u32) {
        self.books.served(now, request, prompt_tokens, output_tokens);
    }
    fn recomputed(&mut self, now: Nanos, request: u32, tokens: u32) {
        self.books.recomputed(now, request, tokens);
    }
    fn first_token(&mut self, now: Nanos, request: u32) {
        self.books.first_token(now, request);
        self.told.push(Told::FirstToken(request));
    }
    fn finished(&mut self, now: Nanos, request: u32) {
        self.books.finished(now, request);
        self.told.push(Told::Ended(request));
    }
    fn refused(&mut self, now: Nanos, request: u32, why: Refusal) {
        self.books.refused(now, request, why);
        self.told.push(Told::Ended(request));
    }
    fn step(&mut self, start: Nanos, end: Nanos, step: &Step) {
        self.books.step(start, end, step);
    }
}

struct Run<'w> {
    workload: &'w Workload,
    engines: Vec<Engine>,
    options: &'w ReplicaOptions,
    router: Box<dyn Router>,
    books: Recorder<'w>,
    replicas: Vec<Replica<'w>>,
    up: Vec<bool>,
    /// Requests that each replica has.
    on: Vec<BTreeSet<u32>>,
    /// Of each request: its replica, and whether it began there.
    at: Vec<Option<(usize, bool)>>,
    /// Wait for a replica to come back.
    held: VecDeque<u32>,
    /// On their way to the router.
    reports: VecDeque<(Nanos, usize, ReplicaState)>,
    next_report: Nanos,
    told: Vec<Told>,
}

/// Serves `workload` with `options.replicas` engines behind a router; `load` and `seed` label the
/// result, and the seed is that of routers that draw.
///
/// # Errors
/// [`RunError`] naming the option, the request or the rule that was broken.
pub fn serve(
    workload: &Workload,
    engine: &Engine,
    router: RouterKind,
    options: &ReplicaOptions,
    load: Option<f64>,
    seed: u64,
) -> Result<ServingRun, RunError> {
    options.check()?;
    check_workload(workload)?;
    let mut run = Run::new(workload, engine, router, options, seed)?;
    let end = run.go()?;
    let labels = Labels {
        policy: options.policy.to_string(),
        gate: options.gate.to_string(),
        router: router.to_string(),
        load,
        seed,
        service_bound: None,
    };
    Ok(run.books.finish(end, labels)?)
}

impl<'w> Run<'w> {
    fn new(
        workload: &'w Workload,
        engine: &Engine,
        router: RouterKind,
        options: &'w ReplicaOptions,
        seed: u64,
    ) -> Result<Self, RunError> {
        let count = options.replicas as usize;
        let engines = (0..options.replicas).map(|replica| match options.slow {
            Some((slow, slowdown)) if slow == replica => slowdown.apply(engine),
            _ => engine.clone(),
        });
        let mut run = Self {
            workload,
            engines: engines.collect(),
            options,
            router: router.build(workload, engine, options.replicas, seed)?,
            books: Recorder::new(workload, &Policy::default(), options.replicas)?,
            replicas: Vec::with_capacity(count),
            up: vec![true; count],
            on: vec![BTreeSet::new(); count],
            at: vec![None; workload.requests.len()],
            held: VecDeque::new(),
            reports: VecDeque::new(),
            next_report: options.report_every,
            told: Vec::new(),
        };
        for replica in 0..count {
            let empty = run.empty_replica(replica)?;
            run.replicas.push(empty);
        }
        Ok(run)
    }

    fn empty_replica(&self, replica: usize) -> Result<Replica<'w>, RunError> {
        let (engine, options) = (&self.engines[replica], self.options);
        let steps = options.run.steps_in_flight;
        let scheduler = build(&options.policy, self.workload, engine, steps)?;
        let scheduler = gated(options.gate, scheduler, self.workload, engine)?;
        Replica::new(self.workload, engine, scheduler, options.run)
    }

    fn go(&mut self) -> Result<Nanos, RunError> {
        let mut arrivals = self.workload.requests.iter().zip(0_u32..).peekable();
        let mut changes: VecDeque<(Nanos, bool)> = self
            .options
            .failure
            .iter()
            .flat_map(|it| [(it.from, false), (it.until, true)])
            .collect();
        let mut now = Nanos::ZERO;
        loop {
            let arrival = arrivals.peek().map(|(request, _)| request.arrival);
            let events = self.replicas.iter().filter_map(Replica::next_event);
            let due = arrival.into_iter().chain(events).min();
            let change = changes.front().map(|(at, _)| *at);
            // Reports alone keep nothing going; requests that are held wait for a change.
            let Some(due) = due.or(if self.held.is_empty() { None } else { change }) else { break };
            let report = self.reports.front().map(|(at, ..)| *at);
            let others = [change, report, Some(self.next_report)];
            now = others.into_iter().flatten().fold(due, Nanos::min);
            while let Some((_, up)) = changes.pop_front_if(|(at, _)| *at <= now) {
                self.change(now, up)?;
            }
            while let Some((_, request)) = arrivals.next_if(|(it, _)| it.arrival <= now) {
                self.route(now, request)?;
            }
            for replica in 0..self.replicas.len() {
                if self.replicas[replica].next_event().is_some_and(|event| event <= now) {
                    self.advance(now, replica)?;
                }
            }
            if self.next_report <= now {
                self.send_reports(now);
            }
            while let Some((_, replica, state)) = self.reports.pop_front_if(|(at, ..)| *at <= now) {
                self.router.report(now, replica, &state)?;
            }
        }
        match self.replicas.iter().map(Replica::unfinished).sum::<u32>() {
            0 => Ok(now),
            requests => {
                let policy = self.options.policy.to_string();
                Err(RunError::Stalled { policy, now, requests })
            }
        }
    }

    fn route(&mut self, now: Nanos, request: u32) -> Result<(), RunError> {
        let view = View { workload: self.workload, replicas: &self.replicas, up: &self.up };
        let Some(replica) = self.router.route(now, request, &view)? else {
            self.held.push_back(request);
            return Ok(());
        };
        self.at[request as usize] = Some((replica, false));
        self.on[replica].insert(request);
        self.books.on_replica(replica as u32);
        let mut ear = Ear { books: &mut self.books, told: &mut self.told };
        self.replicas[replica].arrive(now, request, &mut ear);
        self.tell(now)
    }

    fn advance(&mut self, now: Nanos, replica: usize) -> Result<(), RunError> {
        self.books.on_replica(replica as u32);
        let mut ear = Ear { books: &mut self.books, told: &mut self.told };
        self.replicas[replica].advance(now, &mut ear)?;
        self.tell(now)
    }

    /// The router hears what became of its requests.
    fn tell(&mut self, now: Nanos) -> Result<(), RunError> {
        for told in std::mem::take(&mut self.told) {
            match told {
                Told::Started(request, cached) => {
                    // One that comes back after a preemption has begun before.
                    if let Some((_, begun)) = &mut self.at[request as usize]
                        && !std::mem::replace(begun, true)
                    {
                        self.router.started(now, request, cached)?;
                    }
                }
                Told::FirstToken(request) => self.router.first_token(now, request)?,
                Told::Ended(request) => {
                    if let Some((replica, _)) = self.at[request as usize].take() {
                        self.on[replica].remove(&request);
                    }
                    let tokens = self.workload.requests[request as usize].output_tokens;
                    self.router.ended(now, request, tokens)?;
                }
            }
        }
        Ok(())
    }

    fn send_reports(&mut self, now: Nanos) {
        self.next_report = now.saturating_add(self.options.report_every);
        let at = now.saturating_add(self.options.report_delay);
        for replica in 0..self.replicas.len() {
            if self.up[replica] {
                let state = self.state_of(now, replica);
                self.reports.push_back((at, replica, state));
            }
        }
    }

    fn state_of(&self, now: Nanos, replica: usize) -> ReplicaState {
        let state = self.replicas[replica].state();
        let (mut context_tokens, mut prefill_tokens) = (0, 0);
        for &request in &self.on[replica] {
            let known = state.known_tokens(request);
            if !state.is_running(request) {
                prefill_tokens += u64::from(known - state.kv().cached_tokens(request, known));
            } else if state.is_decoding(request) || state.remaining_tokens(request) == 0 {
                context_tokens += u64::from(state.computed_tokens(request));
            } else {
                prefill_tokens += u64::from(state.remaining_tokens(request));
            }
        }
        let on = self.on[replica].len() as u32;
        ReplicaState {
            as_of: now,
            running: state.running(),
            waiting: on.saturating_sub(state.running()),
            context_tokens,
            kv_free: Blocks(state.kv().blocks_free()),
            prefill_tokens: Some(prefill_tokens),
        }
    }

    /// The replica of the failure loses what it had, or comes back.
    fn change(&mut self, now: Nanos, up: bool) -> Result<(), RunError> {
        let Some(Failure { replica, .. }) = self.options.failure else { return Ok(()) };
        let replica = replica as usize;
        self.up[replica] = up;
        self.router.changed(now, replica, up)?;
        if up {
            for request in std::mem::take(&mut self.held) {
                self.route(now, request)?;
            }
            return Ok(());
        }
        self.replicas[replica] = self.empty_replica(replica)?;
        self.reports.retain(|(_, of, _)| *of != replica);
        for request in std::mem::take(&mut self.on[replica]) {
            self.at[request as usize] = None;
            self.router.ended(now, request, 0)?;
            self.route(now, request)?;
        }
        Ok(())
    }
}
