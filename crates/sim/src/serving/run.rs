//! The event loop: one engine under one policy, step after step.
//!
//! # When things happen
//! With `steps_in_flight = 2`, as vLLM schedules, the policy plans step k+1 when step k starts.
//! A step k+1 may therefore contain the next token of a request whose token of step k is not out
//! yet. Requests that arrive while the engine works become visible, and seats and memory of
//! finished requests become free, when a step ends. An idle engine plans as soon as a request
//! arrives. If a request turns out to have ended while the next step already contains it, that
//! step still takes its time, and the token is dropped.
//!
//! # Bounds and cost
//! O(requests in the step) a step, besides what the policy does; no allocation once the plans in
//! flight have grown to their largest size.

use std::collections::VecDeque;

use rampmeter::Nanos;
use rampmeter::error::check_range;

use super::kv::KvPool;
use super::observer::Observer;
use super::refusal::Refusal;
use super::rules::BrokenRule;
use super::scheduler::{Outcome, Scheduler, StepReport};
use super::state::{Change, EngineState, StepPlan};
use crate::engine::{Engine, Step};
use crate::workload::Workload;

/// Most steps that may be planned and not yet observed: asynchronous scheduling needs two,
/// pipeline parallelism one for each stage.
pub const STEPS_IN_FLIGHT_MAX: u32 = 4;

/// How an engine runs, whatever the policy.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RunOptions {
    /// Steps planned and not yet observed, 1 (synchronous) to [`STEPS_IN_FLIGHT_MAX`].
    pub steps_in_flight: u32,
    /// Whether prompts find what earlier prompts with the same hashes left in the cache.
    pub shares_prefixes: bool,
}

impl Default for RunOptions {
    /// As vLLM runs: asynchronous scheduling and prefix caching.
    fn default() -> Self {
        Self { steps_in_flight: 2, shares_prefixes: true }
    }
}

/// Why a run ended before its last request did.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum RunError {
    /// An option is out of its range.
    #[error("{0}")]
    Option(#[from] rampmeter::Error),
    /// The input names something that cannot be run.
    #[error("{0}")]
    Input(#[from] crate::InputError),
    /// The workload contradicts itself.
    #[error("{workload}: request {request}: {problem}")]
    Workload {
        /// Its source.
        workload: String,
        /// Index of the request.
        request: u32,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The policy broke a rule of the engine.
    #[error("policy `{policy}` broke a rule of the engine at {now} ns: {rule}")]
    Rule {
        /// Its name.
        policy: String,
        /// When.
        now: Nanos,
        /// Which rule.
        rule: BrokenRule,
    },
    /// The policy left the engine idle for ever although requests wait.
    #[error("policy `{policy}` leaves {requests} requests waiting on an idle engine from {now} ns")]
    Stalled {
        /// Its name.
        policy: String,
        /// Since when.
        now: Nanos,
        /// Requests that never ended.
        requests: u32,
    },
    /// The step clock gave something that is no time.
    #[error("engine `{engine}`: a step was said to take {seconds} s")]
    StepTime {
        /// Its name.
        engine: String,
        /// What it gave.
        seconds: f64,
    },
}

/// A planned step on its way.
#[derive(Debug, Default)]
struct Flight {
    plan: StepPlan,
    step: Step,
    duration: Nanos,
    /// The engine has turned to it: `start` and `end` are known.
    started: bool,
    start: Nanos,
    end: Nanos,
}

/// One engine under one policy, driven from event to event.
///
/// The caller brings arrivals in order of time through [`Replica::arrive`] and calls
/// [`Replica::advance`] whenever [`Replica::next_event`] is due, arrivals of that moment first.
pub struct Replica<'w> {
    engine: Engine,
    scheduler: Box<dyn Scheduler + 'w>,
    state: EngineState<'w>,
    options: RunOptions,
    /// Arrived, and not yet visible to the policy.
    inbox: Vec<u32>,
    inbox_since: Nanos,
    /// The first one is being computed, the others follow it.
    flights: VecDeque<Flight>,
    spare: Vec<Flight>,
    outcomes: Vec<Outcome>,
    /// When the policy wants to be asked although the engine is idle.
    wake: Option<Nanos>,
}

impl<'w> Replica<'w> {
    /// An idle, empty engine for requests of `workload`.
    ///
    /// # Errors
    /// [`RunError::Option`] if `options` are out of range.
    pub fn new(
        workload: &'w Workload,
        engine: &Engine,
        scheduler: Box<dyn Scheduler + 'w>,
        options: RunOptions,
    ) -> Result<Self, RunError> {
        let most = u64::from(STEPS_IN_FLIGHT_MAX);
        check_range("steps_in_flight", u64::from(options.steps_in_flight), 1, most)?;
        check_range("running_max", u64::from(engine.running_max), 1, u64::from(u32::MAX))?;
        check_range("step_tokens_max", u64::from(engine.step_tokens_max), 1, u64::from(u32::MAX))?;
        Ok(Self {
            engine: engine.clone(),
            scheduler,
            state: EngineState::new(engine, workload, options.shares_prefixes),
            options,
            inbox: Vec::new(),
            inbox_since: Nanos::ZERO,
            flights: VecDeque::new(),
            spare: Vec::new(),
            outcomes: Vec::new(),
            wake: None,
        })
    }

    /// Its seats, memory and queue.
    pub fn state(&self) -> &EngineState<'w> {
        &self.state
    }

    /// Its cache, for what comes into it from elsewhere.
    pub(super) fn kv_mut(&mut self) -> &mut KvPool<'w> {
        self.state.kv_mut()
    }

    /// Requests that arrived, were not refused and have not ended.
    pub fn unfinished(&self) -> u32 {
        self.inbox.len() as u32 + self.state.waiting() + self.state.running()
    }

    /// A request reaches the engine. One that needs more KV memory than there is, is refused.
    pub fn arrive(&mut self, now: Nanos, request: u32, observer: &mut dyn Observer) {
        observer.arrived(now, request);
        if self.state.could_ever_serve(request) {
            if self.inbox.is_empty() {
                self.inbox_since = now;
            }
            self.inbox.push(request);
        } else {
            observer.refused(now, request, Refusal::TooLong);
        }
    }

    /// When [`Replica::advance`] is due next, if nothing else arrives.
    pub fn next_event(&self) -> Option<Nanos> {
        match self.flights.front() {
            Some(flight) => Some(flight.end),
            None if self.inbox.is_empty() => self.wake,
            None => Some(self.inbox_since),
        }
    }

    /// Ends the step that is due, shows the policy what arrived, and plans.
    ///
    /// # Errors
    /// [`RunError`] if the policy broke a rule or the step clock gave no time.
    pub fn advance(&mut self, now: Nanos, observer: &mut dyn Observer) -> Result<(), RunError> {
        if self.flights.front().is_some_and(|flight| flight.end <= now) {
            self.end_step(now, observer);
        }
        for request in self.inbox.drain(..) {
            self.state.enqueue(request);
            self.scheduler.submit(now, request, &mut self.state);
        }
        self.tell_refused(now, observer);
        self.start_step(now, observer);
        self.plan_steps(now, observer)
    }

    fn end_step(&mut self, now: Nanos, observer: &mut dyn Observer) {
        let Some(mut flight) = self.flights.pop_front() else { return };
        observer.step(flight.start, now, &flight.step);
        self.outcomes.clear();
        for part in &flight.plan.planned {
            let request = part.request;
            let Some(done) = self.state.deliver(part) else { continue };
            observer.served(now, request, done.prompt_tokens, done.output_tokens);
            if done.recomputed_tokens > 0 {
                observer.recomputed(now, request, done.recomputed_tokens);
            }
            if done.first {
                observer.first_token(now, request);
            }
            if done.finished {
                observer.finished(now, request);
            }
            self.outcomes.push(Outcome {
                request,
                computed_tokens: part.tokens,
                output_tokens: done.output_tokens,
                finished: done.finished,
            });
        }
        let report = StepReport {
            start: flight.start,
            end: now,
            step: flight.step,
            outcomes: &self.outcomes,
        };
        self.scheduler.observe(now, &report, &self.state);
        flight.plan.clear();
        self.spare.push(flight);
    }

    /// The engine turns to the step that is next in line, if it has not done so yet.
    fn start_step(&mut self, now: Nanos, observer: &mut dyn Observer) {
        if let Some(flight) = self.flights.front_mut()
            && !flight.started
        {
            flight.started = true;
            (flight.start, flight.end) = (now, now.saturating_add(flight.duration));
            tell_changes(now, &flight.plan.changes, &self.state, observer);
        }
    }

    fn plan_steps(&mut self, now: Nanos, observer: &mut dyn Observer) -> Result<(), RunError> {
        self.wake = None;
        // A plan that only preempts or refuses is empty. An idle engine then plans again, at most
        // once for each request that can lose its seat or be refused; a busy one at the next step
        // end.
        let mut empty_plans_left = self.engine.running_max;
        while (self.flights.len() as u32) < self.options.steps_in_flight {
            self.scheduler.form(now, &mut self.state);
            let refused = self.tell_refused(now, observer);
            let mut flight = self.spare.pop().unwrap_or_default();
            self.state.take_plan(&mut flight.plan).map_err(|rule| RunError::Rule {
                policy: self.scheduler.name().to_owned(),
                now,
                rule,
            })?;
            if flight.plan.planned.is_empty() {
                tell_changes(now, &flight.plan.changes, &self.state, observer);
                let changed = !flight.plan.changes.is_empty();
                flight.plan.clear();
                self.spare.push(flight);
                if !self.flights.is_empty() {
                    break;
                }
                if refused {
                    continue;
                }
                if !changed || empty_plans_left == 0 {
                    break;
                }
                empty_plans_left -= 1;
                continue;
            }
            flight.step = flight.plan.step();
            flight.duration = self.step_duration(self.free_at(now), &flight.step)?;
            flight.started = false;
            self.flights.push_back(flight);
            self.start_step(now, observer);
        }
        if self.flights.is_empty() {
            self.wake = self.scheduler.next_event(now).filter(|wake| *wake > now);
        }
        Ok(())
    }

    /// Whoever was sent away hears of it at once; true if there is anybody.
    fn tell_refused(&mut self, now: Nanos, observer: &mut dyn Observer) -> bool {
        let refused = self.state.take_refused();
        let any = refused.len() > 0;
        refused.for_each(|(request, why)| observer.refused(now, request, why));
        any
    }

    /// When the engine will have done all steps in flight.
    fn free_at(&self, now: Nanos) -> Nanos {
        self.flights.iter().fold(now, |free_at, flight| {
            if flight.started { flight.end } else { free_at.saturating_add(flight.duration) }
        })
    }

    fn step_duration(&self, start: Nanos, step: &Step) -> Result<Nanos, RunError> {
        let seconds = self.engine.clock.seconds_at(start, step);
        Nanos::try_from_seconds(seconds)
            .filter(|duration| *duration > Nanos::ZERO)
            .ok_or_else(|| RunError::StepTime { engine: self.engine.name.clone(), seconds })
    }
}

/// Told when the step starts: until then the seats were taken on paper only.
fn tell_changes(
    now: Nanos,
    changes: &[Change],
    state: &EngineState<'_>,
    observer: &mut dyn Observer,
) {
    for change in changes {
        match *change {
            Change::Admitted { request, cached_tokens } if !state.has_ended(request) => {
                observer.admitted(now, request, cached_tokens);
            }
            Change::Preempted { request } if !state.has_ended(request) => {
                observer.preempted(now, request);
            }
            // Its last token came out of an earlier step meanwhile, or it was sent away.
            Change::Admitted { .. } | Change::Preempted { .. } => {}
        }
    }
}

/// Serves a whole workload and returns when its last request ended or was sent away.
///
/// # Errors
/// [`RunError`] naming the option, the request or the rule that was broken.
pub fn run<'w>(
    workload: &'w Workload,
    engine: &Engine,
    scheduler: Box<dyn Scheduler + 'w>,
    options: RunOptions,
    observer: &mut dyn Observer,
) -> Result<Nanos, RunError> {
    check_workload(workload)?;
    let mut replica = Replica::new(workload, engine, scheduler, options)?;
    let mut arrivals = workload.requests.iter().zip(0u32..).peekable();
    let mut now = Nanos::ZERO;
    loop {
        let arrival = arrivals.peek().map(|(request, _)| request.arrival);
        now = match (arrival, replica.next_event()) {
            (Some(arrival), Some(event)) => arrival.min(event),
            (Some(time), None) | (None, Some(time)) => time,
            (None, None) => break,
        };
        while let Some((_, index)) = arrivals.next_if(|(request, _)| request.arrival <= now) {
            replica.arrive(now, index, observer);
        }
        if replica.next_event().is_some_and(|event| event <= now) {
            replica.advance(now, observer)?;
        }
    }
    match replica.unfinished() {
        0 => {
            if let Some(stats) = replica.scheduler.learned() {
                observer.learned(&stats);
            }
            Ok(now)
        }
        requests => {
            Err(RunError::Stalled { policy: replica.scheduler.name().to_owned(), now, requests })
        }
    }
}

/// What the loop and the policies rely on.
///
/// # Errors
/// [`RunError::Workload`] naming the request that cannot be used.
pub fn check_workload(workload: &Workload) -> Result<(), RunError> {
    let mut last = Nanos::ZERO;
    for (request, index) in workload.requests.iter().zip(0u32..) {
        let problem = if request.arrival < last {
            "arrives before the one that stands before it"
        } else if request.prompt_tokens == 0 || request.output_tokens == 0 {
            "has no prompt tokens or no output tokens"
        } else if request.output_tokens > request.output_tokens_max {
            "has more output tokens than its `output_tokens_max`"
        } else if usize::from(request.class) >= workload.classes.len() {
            "has a class that the workload does not name"
        } else if request.account as usize >= workload.accounts.len() {
            "has an account that the workload does not name"
        } else {
            last = request.arrival;
            continue;
        };
        let workload = workload.source.clone();
        return Err(RunError::Workload { workload, request: index, problem });
    }
    Ok(())
}
