//! The event loop of several engines behind a router.
//!
//! # When things happen
//! At one moment: what replicas published is heard, replicas fail, come back, or begin, requests
//! arrive and are routed, requests come from the docks to their engines, engines end and begin steps,
//! reports are sent, reports arrive. Everything of one kind in order of replica or request.
//!
//! # Bounds and cost
//! O(replicas) an event, besides what engines and routers do.

use std::collections::{BTreeSet, VecDeque};

use rampmeter::Nanos;
use rampmeter::policy::Policy;
use rampmeter::route::ReplicaState;

use super::dock::Dock;
use super::ear::{Ear, Heard};
use super::foreseen::{Seen, Watch};
use super::news::News;
use super::options::{ColdStart, Failure, ReplicaOptions};
use super::report::state_of;
use super::router::{Router, RouterKind, View};
use crate::engine::Engine;
use crate::results::{Labels, Recorder, ServingRun};
use crate::serving::gated::gated;
use crate::serving::run::{Replica, RunError, check_workload};
use crate::serving::spec::build;
use crate::workload::Workload;

/// What becomes of a replica.
#[derive(Clone, Copy, Debug)]
enum Change {
    Fails(u32),
    Returns(u32),
    /// It is started, and will be ready then.
    Starts(u32, Nanos),
    Ready(u32),
}

struct Run<'w> {
    workload: &'w Workload,
    engines: Vec<Engine>,
    options: &'w ReplicaOptions,
    router: Box<dyn Router>,
    books: Recorder<'w>,
    replicas: Vec<Replica<'w>>,
    docks: Vec<Dock<'w>>,
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
    news: VecDeque<(Nanos, usize, News)>,
    heard: Vec<Heard>,
    watch: Watch,
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
    serve_watched(workload, engine, router, options, load, seed).map(|(run, _)| run)
}

/// As [`serve`], with what became of what the router foresaw.
///
/// # Errors
/// As [`serve`].
pub fn serve_watched(
    workload: &Workload,
    engine: &Engine,
    router: RouterKind,
    options: &ReplicaOptions,
    load: Option<f64>,
    seed: u64,
) -> Result<(ServingRun, Seen), RunError> {
    options.check(workload, engine)?;
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
    Ok((run.books.finish(end, labels)?, run.watch.seen))
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
            router: router.build(workload, engine, options, seed)?,
            books: Recorder::new(workload, &Policy::default(), options.replicas)?,
            replicas: Vec::with_capacity(count),
            docks: Vec::with_capacity(count),
            up: vec![true; count],
            on: vec![BTreeSet::new(); count],
            at: vec![None; workload.requests.len()],
            held: VecDeque::new(),
            reports: VecDeque::new(),
            next_report: options.report_every,
            news: VecDeque::new(),
            heard: Vec::new(),
            watch: Watch::new(workload.requests.len(), workload.prefix_block_tokens),
        };
        for replica in 0..count {
            let empty = run.empty_replica(replica)?;
            run.replicas.push(empty);
            let start = options.cold_start.filter(|start| start.replica as usize == replica);
            run.up[replica] = start.is_none();
            let ready_at = start.map_or(Nanos::ZERO, |start| start.ready_at);
            run.docks.push(Dock::new(workload, options, ready_at));
        }
        Ok(run)
    }

    fn empty_replica(&self, replica: usize) -> Result<Replica<'w>, RunError> {
        let (engine, options) = (&self.engines[replica], self.options);
        let steps = options.run.steps_in_flight;
        let scheduler = build(&options.policy, self.workload, engine, steps)?;
        let scheduler = gated(options.gate, scheduler, self.workload, engine)?;
        let mut replica = Replica::new(self.workload, engine, scheduler, options.run)?;
        if options.has_events() {
            replica.kv_mut().watch();
        }
        Ok(replica)
    }

    fn go(&mut self) -> Result<Nanos, RunError> {
        let mut arrivals = self.workload.requests.iter().zip(0_u32..).peekable();
        let mut changes = changes(self.options);
        let mut now = Nanos::ZERO;
        loop {
            let arrival = arrivals.peek().map(|(request, _)| request.arrival);
            let steps = self.replicas.iter().filter_map(Replica::next_event);
            let docks = self.docks.iter().filter_map(Dock::next_event);
            let due = arrival.into_iter().chain(steps).chain(docks).min();
            let change = changes.front().map(|(at, _)| *at);
            // Reports alone keep nothing going; requests that are held wait for a change.
            let Some(due) = due.or(if self.held.is_empty() { None } else { change }) else { break };
            let report = self.reports.front().map(|(at, ..)| *at);
            let others = [change, report, Some(self.next_report)];
            now = others.into_iter().flatten().fold(due, Nanos::min);
            self.publish(now)?;
            while let Some((_, change)) = changes.pop_front_if(|(at, _)| *at <= now) {
                self.change(now, change)?;
            }
            while let Some((_, request)) = arrivals.next_if(|(it, _)| it.arrival <= now) {
                self.route(now, request)?;
            }
            for replica in 0..self.replicas.len() {
                self.let_in(now, replica)?;
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
        self.watch.routed(now, request, self.router.foreseen(request));
        self.at[request as usize] = Some((replica, false));
        self.on[replica].insert(request);
        self.docks[replica].comes(now, request, self.replicas[replica].state().kv());
        self.let_in(now, replica)
    }

    /// Who is through the dock of a replica comes to its engine.
    fn let_in(&mut self, now: Nanos, replica: usize) -> Result<(), RunError> {
        while let Some((request, tokens)) = self.docks[replica].next(now) {
            self.books.on_replica(replica as u32);
            self.replicas[replica].kv_mut().restore(request, tokens);
            let mut ear = Ear { books: &mut self.books, heard: &mut self.heard };
            self.replicas[replica].arrive(now, request, &mut ear);
            self.tell(now)?;
        }
        self.note_changes(now, replica)
    }

    fn advance(&mut self, now: Nanos, replica: usize) -> Result<(), RunError> {
        self.books.on_replica(replica as u32);
        let mut ear = Ear { books: &mut self.books, heard: &mut self.heard };
        self.replicas[replica].advance(now, &mut ear)?;
        self.tell(now)?;
        self.note_changes(now, replica)
    }

    /// The router hears what became of its requests.
    fn tell(&mut self, now: Nanos) -> Result<(), RunError> {
        for heard in std::mem::take(&mut self.heard) {
            match heard {
                Heard::Started(request, cached) => {
                    // One that comes back after a preemption has begun before.
                    if let Some((_, begun)) = &mut self.at[request as usize]
                        && !std::mem::replace(begun, true)
                    {
                        self.watch.started(request, cached);
                        self.router.started(now, request, cached)?;
                    }
                }
                Heard::FirstToken(request) => {
                    self.watch.first_token(now, request);
                    self.router.first_token(now, request)?;
                }
                Heard::Ended(request) => {
                    if let Some((replica, _)) = self.at[request as usize].take() {
                        self.on[replica].remove(&request);
                        let kv = self.replicas[replica].state().kv();
                        self.docks[replica].left(now, request, kv);
                    }
                    let tokens = self.workload.requests[request as usize].output_tokens;
                    self.router.ended(now, request, tokens)?;
                }
            }
        }
        Ok(())
    }

    /// What a cache took in or let go of is passed on, to slower tiers and to whoever listens.
    fn note_changes(&mut self, now: Nanos, replica: usize) -> Result<(), RunError> {
        let changes = self.replicas[replica].kv_mut().take_changes();
        self.docks[replica].note(changes);
        let at = now.saturating_add(self.options.told.events.unwrap_or_default());
        for news in self.docks[replica].take_news() {
            self.watch.seen.adapter_loads += u64::from(matches!(news, News::AdapterLoaded(_)));
            self.news.push_back((at, replica, news));
        }
        self.publish(now)
    }

    /// The router hears what replicas published.
    fn publish(&mut self, now: Nanos) -> Result<(), RunError> {
        while let Some((_, replica, news)) = self.news.pop_front_if(|(at, ..)| *at <= now) {
            self.router.published(now, replica, news)?;
        }
        Ok(())
    }

    fn send_reports(&mut self, now: Nanos) {
        self.next_report = now.saturating_add(self.options.report_every);
        let at = now.saturating_add(self.options.report_delay);
        for replica in 0..self.replicas.len() {
            if self.up[replica] {
                let state = state_of(now, &self.replicas[replica], &self.on[replica]);
                self.reports.push_back((at, replica, state));
            }
        }
    }

    fn change(&mut self, now: Nanos, change: Change) -> Result<(), RunError> {
        match change {
            Change::Fails(replica) => return self.fails(now, replica as usize),
            Change::Starts(replica, ready_at) => {
                self.router.starts(now, replica as usize, ready_at)?;
            }
            Change::Returns(replica) | Change::Ready(replica) => {
                self.up[replica as usize] = true;
                self.router.changed(now, replica as usize, true)?;
            }
        }
        for request in std::mem::take(&mut self.held) {
            self.route(now, request)?;
        }
        Ok(())
    }

    /// A replica loses what it had; its requests are routed anew.
    fn fails(&mut self, now: Nanos, replica: usize) -> Result<(), RunError> {
        self.up[replica] = false;
        self.router.changed(now, replica, false)?;
        self.replicas[replica] = self.empty_replica(replica)?;
        self.docks[replica] = Dock::new(self.workload, self.options, Nanos::ZERO);
        self.reports.retain(|(_, of, _)| *of != replica);
        self.news.retain(|(_, of, _)| *of != replica);
        for request in std::mem::take(&mut self.on[replica]) {
            self.at[request as usize] = None;
            self.router.ended(now, request, 0)?;
            self.route(now, request)?;
        }
        Ok(())
    }
}

/// What becomes of replicas, in order of time.
fn changes(options: &ReplicaOptions) -> VecDeque<(Nanos, Change)> {
    let mut changes = Vec::new();
    if let Some(Failure { replica, from, until }) = options.failure {
        changes.extend([(from, Change::Fails(replica)), (until, Change::Returns(replica))]);
    }
    if let Some(ColdStart { replica, from, ready_at }) = options.cold_start {
        changes.push((from, Change::Starts(replica, ready_at)));
        changes.push((ready_at, Change::Ready(replica)));
    }
    changes.sort_by_key(|(at, _)| *at);
    changes.into()
}
