//! The event loop of engines that compute prompts and engines that decode.
//!
//! # When things happen
//! At one moment: requests arrive and are routed, KV arrives, engines end and begin steps, those that
//! compute prompts first, reports are sent, reports arrive.
//!
//! # Bounds and cost
//! O(replicas) an event, besides what engines and routers do.

use std::collections::{BTreeSet, VecDeque};

use rampmeter::Nanos;
use rampmeter::policy::Policy;
use rampmeter::route::ReplicaState;

use super::PairOptions;
use super::halves::{Half, PairRouter, Views, build};
use crate::engine::{Engine, Step};
use crate::results::{Labels, Recorder, ServingRun};
use crate::serving::observer::Observer;
use crate::serving::refusal::Refusal;
use crate::serving::replicas::ear::Heard;
use crate::serving::replicas::foreseen::{Seen, Watch};
use crate::serving::replicas::report::{decoder_state_of, state_of};
use crate::serving::replicas::router::{RouterKind, View};
use crate::serving::run::{Replica, RunError, RunOptions, check_workload};
use crate::serving::spec::{PeerKind, PolicySpec, build as build_policy};
use crate::workload::Workload;

/// Keeps the books of one half: prompts of the first, answers of the second.
struct Ear<'a, 'w> {
    books: &'a mut Recorder<'w>,
    heard: &'a mut Vec<Heard>,
    half: Half,
}

impl Observer for Ear<'_, '_> {
    fn arrived(&mut self, now: Nanos, request: u32) {
        if self.half == Half::Prefill {
            self.books.arrived(now, request);
        }
    }
    fn admitted(&mut self, now: Nanos, request: u32, cached_tokens: u32) {
        self.books.admitted(now, request, cached_tokens);
        if self.half == Half::Prefill {
            self.heard.push(Heard::Started(request, cached_tokens));
        }
    }
    fn preempted(&mut self, now: Nanos, request: u32) {
        self.books.preempted(now, request);
    }
    fn served(&mut self, now: Nanos, request: u32, prompt_tokens: u32, output_tokens: u32) {
        match self.half {
            Half::Prefill => self.books.served(now, request, prompt_tokens, 0),
            // What is left of the last block is computed again.
            Half::Decode => self.books.served(now, request, 0, output_tokens),
        }
    }
    fn recomputed(&mut self, now: Nanos, request: u32, tokens: u32) {
        self.books.recomputed(now, request, tokens);
    }
    fn first_token(&mut self, now: Nanos, request: u32) {
        if self.half == Half::Decode {
            self.books.first_token(now, request);
            self.heard.push(Heard::FirstToken(request));
        }
    }
    fn finished(&mut self, now: Nanos, request: u32) {
        if self.half == Half::Decode {
            self.books.finished(now, request);
        }
        self.heard.push(Heard::Ended(request));
    }
    fn refused(&mut self, now: Nanos, request: u32, why: Refusal) {
        self.books.refused(now, request, why);
        self.heard.push(Heard::Ended(request));
    }
    fn step(&mut self, start: Nanos, end: Nanos, step: &Step) {
        self.books.step(start, end, step);
    }
}

/// Engines of one half, and the requests that each has.
struct Pool<'w> {
    engines: Vec<Replica<'w>>,
    on: Vec<BTreeSet<u32>>,
}

impl<'w> Pool<'w> {
    fn new(
        workload: &'w Workload,
        engine: &Engine,
        count: usize,
        options: RunOptions,
    ) -> Result<Self, RunError> {
        let policy = PolicySpec::peer(PeerKind::Fcfs);
        let engines = (0..count).map(|_| {
            let scheduler = build_policy(&policy, workload, engine, options.steps_in_flight)?;
            Replica::new(workload, engine, scheduler, options)
        });
        let engines = engines.collect::<Result<_, RunError>>()?;
        Ok(Self { engines, on: vec![BTreeSet::new(); count] })
    }

    fn next_event(&self) -> Option<Nanos> {
        self.engines.iter().filter_map(Replica::next_event).min()
    }
}

struct Run<'w> {
    workload: &'w Workload,
    options: &'w PairOptions,
    router: Box<dyn PairRouter>,
    books: Recorder<'w>,
    prefill: Pool<'w>,
    decode: Pool<'w>,
    /// Of each request that has not ended: its pair.
    at: Vec<Option<(usize, usize)>>,
    /// Requests whose prompts were begun.
    begun: Vec<bool>,
    /// When the link of each engine that computes prompts is free.
    link_free_at: Vec<Nanos>,
    /// KV on its way: when it arrives, of whom, and when its prompt was computed.
    moving: BTreeSet<(Nanos, u32, Nanos)>,
    reports: VecDeque<(Nanos, (Half, usize), ReplicaState)>,
    next_report: Nanos,
    heard: Vec<Heard>,
    watch: Watch,
}

/// Serves `workload` with pairs of engines behind a router; `load` and `seed` label the result, and the
/// seed is that of routers that draw. Replicas are counted prompts first.
///
/// # Errors
/// [`RunError`] naming the option, the request or the rule that was broken.
pub fn serve(
    workload: &Workload,
    engine: &Engine,
    router: RouterKind,
    options: &PairOptions,
    load: Option<f64>,
    seed: u64,
) -> Result<(ServingRun, Seen), RunError> {
    options.check()?;
    check_workload(workload)?;
    // Those that compute prompts are done with their first token.
    let mut prompts = workload.clone();
    for request in &mut prompts.requests {
        (request.output_tokens, request.output_tokens_max) = (1, 1);
    }
    let replicas = options.prefill.len() + options.decode.len();
    let mut run = Run {
        workload,
        options,
        router: build(router, workload, engine, options, seed)?,
        books: Recorder::new(workload, &Policy::default(), replicas as u32)?,
        prefill: Pool::new(&prompts, engine, options.prefill.len(), options.run)?,
        decode: Pool::new(workload, engine, options.decode.len(), options.run)?,
        at: vec![None; workload.requests.len()],
        begun: vec![false; workload.requests.len()],
        link_free_at: vec![Nanos::ZERO; options.prefill.len()],
        moving: BTreeSet::new(),
        reports: VecDeque::new(),
        next_report: options.report_every,
        heard: Vec::new(),
        watch: Watch::new(workload.requests.len(), workload.prefix_block_tokens),
    };
    let end = run.go()?;
    let labels = Labels {
        policy: PolicySpec::peer(PeerKind::Fcfs).to_string(),
        gate: "none".to_owned(),
        router: router.to_string(),
        load,
        seed,
        service_bound: None,
    };
    Ok((run.books.finish(end, labels)?, run.watch.seen))
}

impl Run<'_> {
    fn go(&mut self) -> Result<Nanos, RunError> {
        let mut arrivals = self.workload.requests.iter().zip(0_u32..).peekable();
        let mut now = Nanos::ZERO;
        loop {
            let arrival = arrivals.peek().map(|(request, _)| request.arrival);
            let moved = self.moving.first().map(|(at, ..)| *at);
            let steps = [self.prefill.next_event(), self.decode.next_event()];
            let due = steps.into_iter().chain([arrival, moved]).flatten().min();
            // Reports alone keep nothing going.
            let Some(due) = due else { break };
            let report = self.reports.front().map_or(Nanos::MAX, |(at, ..)| *at);
            now = due.min(report).min(self.next_report);
            while let Some((_, request)) = arrivals.next_if(|(it, _)| it.arrival <= now) {
                self.route(now, request)?;
            }
            while self.moving.first().is_some_and(|(at, ..)| *at <= now) {
                self.arrives(now)?;
            }
            for half in [Half::Prefill, Half::Decode] {
                self.advance(now, half)?;
            }
            if self.next_report <= now {
                self.send_reports(now);
            }
            while let Some((_, of, state)) = self.reports.pop_front_if(|(at, ..)| *at <= now) {
                self.router.report(now, of, &state)?;
            }
        }
        match self.at.iter().flatten().count() as u32 {
            0 => Ok(now),
            requests => Err(RunError::Stalled { policy: "fcfs".to_owned(), now, requests }),
        }
    }

    fn route(&mut self, now: Nanos, request: u32) -> Result<(), RunError> {
        let up = vec![true; self.prefill.engines.len().max(self.decode.engines.len())];
        let (prefills, decodes) = (&self.prefill.engines, &self.decode.engines);
        let view = |replicas| View { workload: self.workload, replicas, up: &up };
        let views = Views {
            prefill: View { up: &up[..prefills.len()], ..view(prefills) },
            decode: View { up: &up[..decodes.len()], ..view(decodes) },
        };
        let (prefill, decode) = self.router.route(now, request, &views)?;
        self.watch.routed(now, request, self.router.foreseen(request));
        self.at[request as usize] = Some((prefill, decode));
        self.prefill.on[prefill].insert(request);
        self.decode.on[decode].insert(request);
        self.books.on_replica(prefill as u32);
        let half = Half::Prefill;
        let mut ear = Ear { books: &mut self.books, heard: &mut self.heard, half };
        self.prefill.engines[prefill].arrive(now, request, &mut ear);
        self.tell(now, half)
    }

    /// The KV that is due is in the cache of the replica that decodes.
    fn arrives(&mut self, now: Nanos) -> Result<(), RunError> {
        let Some((_, request, computed_at)) = self.moving.pop_first() else { return Ok(()) };
        let Some((_, decode)) = self.at[request as usize] else { return Ok(()) };
        self.watch.handed_on(request, now.saturating_sub(computed_at).as_seconds());
        let tokens = self.workload.requests[request as usize].prompt_tokens;
        let engine = &mut self.decode.engines[decode];
        engine.kv_mut().restore(request, tokens);
        let half = Half::Decode;
        let mut ear = Ear { books: &mut self.books, heard: &mut self.heard, half };
        engine.arrive(now, request, &mut ear);
        self.tell(now, half)
    }

    fn advance(&mut self, now: Nanos, half: Half) -> Result<(), RunError> {
        let (pool, first) = match half {
            Half::Prefill => (&mut self.prefill, 0),
            Half::Decode => (&mut self.decode, self.options.prefill.len()),
        };
        for (replica, engine) in pool.engines.iter_mut().enumerate() {
            if engine.next_event().is_some_and(|event| event <= now) {
                self.books.on_replica((first + replica) as u32);
                let mut ear = Ear { books: &mut self.books, heard: &mut self.heard, half };
                engine.advance(now, &mut ear)?;
            }
        }
        self.tell(now, half)
    }

    /// The router hears what became of its requests on one half.
    fn tell(&mut self, now: Nanos, half: Half) -> Result<(), RunError> {
        for heard in std::mem::take(&mut self.heard) {
            match (heard, half) {
                // One that comes back after a preemption has begun before.
                (Heard::Started(request, cached), _) => {
                    if !std::mem::replace(&mut self.begun[request as usize], true) {
                        self.watch.started(request, cached);
                        self.router.started(now, request, cached)?;
                    }
                }
                (Heard::FirstToken(request), _) => self.watch.first_token(now, request),
                (Heard::Ended(request), Half::Prefill) => self.computed(now, request)?,
                (Heard::Ended(request), Half::Decode) => {
                    if let Some((_, decode)) = self.at[request as usize].take() {
                        self.decode.on[decode].remove(&request);
                    }
                    let tokens = self.workload.requests[request as usize].output_tokens;
                    self.router.ended(now, request, tokens)?;
                }
            }
        }
        Ok(())
    }

    /// The prompt of a request is computed: its KV goes over the link as soon as that is free.
    fn computed(&mut self, now: Nanos, request: u32) -> Result<(), RunError> {
        let Some((prefill, decode)) = self.at[request as usize] else { return Ok(()) };
        self.prefill.on[prefill].remove(&request);
        self.router.computed(now, request)?;
        let tokens = self.workload.requests[request as usize].prompt_tokens;
        let (from, to) = (self.options.prefill[prefill], self.options.decode[decode]);
        let size = self.workload.prefix_block_tokens;
        let takes_s = self.options.transfer_s(tokens, size, from, to);
        let begins = self.link_free_at[prefill].max(now);
        let arrives = begins.offset_seconds(takes_s);
        self.link_free_at[prefill] = arrives;
        self.moving.insert((arrives, request, now));
        Ok(())
    }

    fn send_reports(&mut self, now: Nanos) {
        self.next_report = now.saturating_add(self.options.report_every);
        let at = now.saturating_add(self.options.report_delay);
        for (replica, (engine, on)) in self.prefill.engines.iter().zip(&self.prefill.on).enumerate()
        {
            self.reports.push_back((at, (Half::Prefill, replica), state_of(now, engine, on)));
        }
        for (replica, (engine, on)) in self.decode.engines.iter().zip(&self.decode.on).enumerate() {
            let state = decoder_state_of(now, engine, on);
            self.reports.push_back((at, (Half::Decode, replica), state));
        }
    }
}
