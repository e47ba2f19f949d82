//! Listens to a run and writes down what users felt.
//!
//! # What it takes for what
//! - A request arrives when the workload says, not when the engine looked.
//! - Its queue wait ends when it first gets a seat.
//! - An account is backlogged while at least one of its requests waits for a seat, one that lost
//!   its seat included. Service is what steps computed, at their end; cached prompt tokens count
//!   when the request gets its seat.
//! - A request that is sent away missed its targets and has no times. One that expires after it
//!   lost a seat is refused here like any other; the desk, to which it was scheduled, calls it
//!   failed.
//! - What has not ended when the run does is entered as unfinished, with its times so far.
//!
//! # Bounds and cost
//! A few words a request and O(1) a call; the service difference costs O(accounts backlogged) for
//! each account that a step served.

use std::collections::BTreeMap;

use rampmeter::engine::StepFitStats;
use rampmeter::error::check_range;
use rampmeter::outcome::{Ended, Options, Outcomes, Status, Tally, Targets, TokenCosts, Work};
use rampmeter::policy::Policy;
use rampmeter::{Error, Nanos};

use super::fairness::ClassFairness;
use super::felt::{felt, over};
use super::refusals::Refusals;
use super::well_behaved::WellBehaved;
use super::{Felt, LearnedModel, ServingRun};
use crate::engine::Step;
use crate::serving::{Observer, Refusal};
use crate::workload::{Request, Workload};

/// Accounts whose service is compared at once; the pairs of so many take 8 MiB.
const BACKLOGGED_MAX: u32 = 1_024;

/// Under which names a run is reported.
#[derive(Clone, Debug, PartialEq)]
pub struct Labels {
    /// The policy's name with its options.
    pub policy: String,
    /// The admission gate in front of the policy, `none` without one.
    pub gate: String,
    /// The router, `none` with one replica.
    pub router: String,
    /// Offered work over what saturated FCFS completes, if arrivals were rescaled.
    pub load: Option<f64>,
    /// Seed of everything random.
    pub seed: u64,
    /// What the policy promises of the service difference within a class.
    pub service_bound: Option<f64>,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Stage {
    #[default]
    Absent,
    Waiting,
    Running,
    Finished(Nanos),
    Refused(Nanos, Refusal),
}

#[derive(Clone, Copy, Debug, Default)]
struct Life {
    stage: Stage,
    first_scheduled: Option<Nanos>,
    first_token: Option<Nanos>,
    output_tokens: u32,
}

/// Keeps the books of one run.
pub struct Recorder<'w> {
    workload: &'w Workload,
    outcomes: Outcomes,
    fairness: ClassFairness,
    well_behaved: WellBehaved,
    targets: Vec<Targets>,
    lives: Vec<Life>,
    /// Requests waiting for a seat, by account.
    waiting: Vec<u32>,
    /// Busy time by replica.
    busy: Vec<Nanos>,
    replica: usize,
    steps: u64,
    preemptions: u64,
    prefill_tokens: u64,
    recomputed_tokens: u64,
    seated_prompt_tokens: u64,
    cached_tokens: u64,
    step_model: Option<LearnedModel>,
    /// The first thing told that cannot be. Listening cannot fail, so it is said at the end.
    problem: Option<Error>,
}

impl<'w> Recorder<'w> {
    /// Books for a run of `workload` on `replicas` engines.
    ///
    /// Classes with their targets and accounts with their weights are the workload's, so that
    /// every policy is judged by the same; token costs and the floor of slowdown are `policy`'s.
    ///
    /// # Errors
    /// As [`Outcomes::new`]; [`Error::Range`] unless there is 1 to 65,536 replicas.
    pub fn new(workload: &'w Workload, policy: &Policy, replicas: u32) -> Result<Self, Error> {
        check_range("replicas", u64::from(replicas), 1, 65_536)?;
        let mut judged_by = policy.clone();
        judged_by.classes = workload.classes.clone().into();
        judged_by.accounts = workload.accounts.clone().into();
        judged_by.limits.accounts_max = workload.accounts.len() as u32;
        let backlogged_max = judged_by.limits.accounts_max.clamp(1, BACKLOGGED_MAX);
        let options = Options { account_histograms: false, backlogged_max };
        let costs = TokenCosts {
            prompt: policy.batch.prompt_token_cost,
            cached: policy.batch.cached_token_cost,
            output: policy.batch.output_token_cost_assumed(),
        };
        let mut outcomes = Outcomes::new(&judged_by, options)?;
        // The observed span begins with the run, not with the first arrival.
        outcomes.difference(Nanos::ZERO)?;
        let slowdown_floor = policy.objectives.slowdown_floor;
        let targets = workload.classes.iter().map(|class| Targets {
            ttft: class.ttft_target,
            tpot: class.tpot_target,
            slowdown_floor,
        });
        Ok(Self {
            workload,
            outcomes,
            fairness: ClassFairness::new(workload, backlogged_max, costs)?,
            well_behaved: WellBehaved::new(workload, costs),
            targets: targets.collect(),
            lives: vec![Life::default(); workload.requests.len()],
            waiting: vec![0; workload.accounts.len()],
            busy: vec![Nanos::ZERO; replicas as usize],
            replica: 0,
            steps: 0,
            preemptions: 0,
            prefill_tokens: 0,
            recomputed_tokens: 0,
            seated_prompt_tokens: 0,
            cached_tokens: 0,
            step_model: None,
            problem: None,
        })
    }

    /// Steps told from here on are those of this replica, counted from 0.
    pub fn on_replica(&mut self, replica: u32) {
        match check_range("replica", u64::from(replica), 0, self.busy.len() as u64 - 1) {
            Ok(_) => self.replica = replica as usize,
            Err(error) => self.blame(error),
        }
    }

    /// Closes the books at `end`.
    ///
    /// # Errors
    /// The first thing told that cannot be: time going backwards, a request that the workload
    /// does not have, tokens out of order.
    pub fn finish(mut self, end: Nanos, labels: Labels) -> Result<ServingRun, Error> {
        if let Some(problem) = self.problem {
            return Err(problem);
        }
        let difference = self.outcomes.difference(end)?;
        let largest = self.fairness.largest(end)?;
        let names = self.workload.classes.iter().map(|class| class.name.clone());
        let class_service_difference_max = names.zip(largest).collect();
        let mut ended: Vec<Ended> = Vec::with_capacity(self.lives.len());
        for (request, life) in self.workload.requests.iter().zip(&self.lives) {
            ended.extend(ending_of(request, life, end));
        }
        for request in &ended {
            self.outcomes.record(request)?;
        }
        let classes = self.felt_by_class(end);
        let total = |count: fn(&Felt) -> u64| classes.values().map(count).sum();
        let refusals = self.refusals(1, |_| 0).pop().unwrap_or_default();
        let elapsed_s = end.as_seconds();
        let replicas = self.busy.len() as u32;
        Ok(ServingRun {
            variant: labels.policy.clone(),
            policy: labels.policy,
            seed: labels.seed,
            gate: labels.gate,
            router: labels.router,
            load: labels.load,
            elapsed_s,
            steps: self.steps,
            offered: total(|felt| felt.offered),
            completed: total(|felt| felt.completed),
            refused: total(|felt| felt.refused),
            shed: total(|felt| felt.shed),
            expired: total(|felt| felt.expired),
            retry_after_mean_s: refusals.retry_after_mean_s(),
            tokens_per_s: over(self.completed_tokens() as f64, elapsed_s),
            prefix_hit_rate: over(self.cached_tokens as f64, self.seated_prompt_tokens as f64),
            replica_load_max_over_mean: self.replica_load_max_over_mean(),
            utilization: self.outcomes.utilization(replicas),
            preemptions: self.preemptions,
            prefill_tokens: self.prefill_tokens,
            recomputed_tokens: self.recomputed_tokens,
            recompute_share: over(self.recomputed_tokens as f64, self.prefill_tokens as f64),
            jain: self.outcomes.jain(),
            jain_well_behaved: self.well_behaved.jain()?,
            service_difference_max: difference.max,
            service_difference_mean: difference.mean,
            service_uncompared: difference.uncompared,
            class_service_difference_max,
            service_bound: labels.service_bound,
            step_model: self.step_model,
            accounts: self.felt_by_account(ended, end)?,
            classes,
        })
    }

    fn felt_by_class(&self, end: Nanos) -> BTreeMap<String, Felt> {
        let floor = self.slowdown_floor();
        let classes = &self.workload.classes;
        let refusals = self.refusals(classes.len(), |request| usize::from(request.class));
        let felt = (0_u16..).zip(classes).zip(refusals).filter_map(|((index, class), refusals)| {
            let felt = felt(self.outcomes.class(index)?, end, floor);
            Some((class.name.clone(), refusals.tell_apart(felt)))
        });
        felt.collect()
    }

    /// Who was sent away and why, in so many groups.
    fn refusals(&self, groups: usize, group_of: impl Fn(&Request) -> usize) -> Vec<Refusals> {
        let requests = self.workload.requests.iter().zip(&self.lives);
        let refused = requests.filter_map(|(request, life)| match life.stage {
            Stage::Refused(_, why) => Some((group_of(request), why)),
            _ => None,
        });
        Refusals::by_group(groups, refused)
    }

    /// One tally serves all accounts in turn: histograms for each would take 108 KB an account.
    fn felt_by_account(
        &self,
        mut ended: Vec<Ended>,
        end: Nanos,
    ) -> Result<BTreeMap<String, Felt>, Error> {
        let floor = self.slowdown_floor();
        let accounts = self.workload.accounts.len();
        let refusals = self.refusals(accounts, |request| request.account as usize);
        let mut tally = Tally::new(true);
        let mut all: BTreeMap<String, Felt> = BTreeMap::new();
        for account in &self.workload.accounts {
            all.insert(account.name.clone(), Felt::default());
        }
        ended.sort_by_key(|request| request.account);
        for group in ended.chunk_by(|a, b| a.account == b.account) {
            tally.reset();
            for request in group {
                if let Some(targets) = self.targets.get(usize::from(request.class)) {
                    tally.add(&request.judge(targets)?);
                }
            }
            let index = group.first().map_or(0, |request| request.account as usize);
            if let (Some(account), Some(refusals)) =
                (self.workload.accounts.get(index), refusals.get(index))
            {
                let felt = refusals.tell_apart(felt(&tally, end, floor));
                all.insert(account.name.clone(), felt);
            }
        }
        Ok(all)
    }

    fn slowdown_floor(&self) -> Nanos {
        self.targets.first().map_or(Nanos::ZERO, |targets| targets.slowdown_floor)
    }

    fn completed_tokens(&self) -> u64 {
        let completed = self.workload.requests.iter().zip(&self.lives);
        completed
            .filter(|(_, life)| matches!(life.stage, Stage::Finished(_)))
            .map(|(request, life)| u64::from(request.prompt_tokens) + u64::from(life.output_tokens))
            .sum()
    }

    fn replica_load_max_over_mean(&self) -> f64 {
        let busiest = self.busy.iter().copied().max().unwrap_or(Nanos::ZERO);
        let mean_s = self.outcomes.gpu_busy().as_seconds() / self.busy.len() as f64;
        if mean_s > 0.0 { busiest.as_seconds() / mean_s } else { 1.0 }
    }

    fn blame(&mut self, error: Error) {
        self.problem.get_or_insert(error);
    }

    /// Runs `change` on what is known of a request; whatever is wrong is kept for the end.
    fn tell(
        &mut self,
        request: u32,
        change: impl FnOnce(&mut Self, &'w Request, &mut Life) -> Result<(), Error>,
    ) {
        let workload = self.workload;
        let index = request as usize;
        let (Some(known), Some(life)) = (workload.requests.get(index), self.lives.get(index))
        else {
            let max = (self.lives.len() as u64).saturating_sub(1);
            let value = u64::from(request);
            return self.blame(Error::Range { field: "request", value, min: 0, max });
        };
        let mut life = *life;
        if let Err(error) = change(self, known, &mut life) {
            self.blame(error);
        }
        if let Some(kept) = self.lives.get_mut(index) {
            *kept = life;
        }
    }

    /// A request was served this much.
    fn serve(&mut self, now: Nanos, request: &Request, work: Work) -> Result<(), Error> {
        self.well_behaved.served(now, request, work);
        self.outcomes.served(now, request.account, work)?;
        self.fairness.served(now, request, work)
    }

    /// Moves a request from stage to stage and keeps its account's backlog.
    fn enter(
        &mut self,
        now: Nanos,
        request: &Request,
        life: &mut Life,
        stage: Stage,
    ) -> Result<(), Error> {
        let was_waiting = std::mem::replace(&mut life.stage, stage) == Stage::Waiting;
        let waits = stage == Stage::Waiting;
        let Some(waiting) = self.waiting.get_mut(request.account as usize) else {
            let max = (self.waiting.len() as u64).saturating_sub(1);
            let value = u64::from(request.account);
            return Err(Error::Range { field: "account", value, min: 0, max });
        };
        let before = *waiting;
        *waiting += u32::from(waits);
        *waiting -= u32::from(was_waiting);
        let after = *waiting;
        if waits != was_waiting {
            self.fairness.set_waiting(now, request, waits)?;
        }
        if (before == 0) == (after == 0) {
            return Ok(());
        }
        self.outcomes.set_backlogged(now, request.account, after > 0)
    }
}

impl Observer for Recorder<'_> {
    fn arrived(&mut self, now: Nanos, request: u32) {
        self.tell(request, |books, request, life| books.enter(now, request, life, Stage::Waiting));
    }

    fn admitted(&mut self, now: Nanos, request: u32, cached_tokens: u32) {
        self.tell(request, |books, request, life| {
            if life.first_scheduled.is_none() {
                life.first_scheduled = Some(now);
                books.seated_prompt_tokens += u64::from(request.prompt_tokens);
                books.cached_tokens += u64::from(cached_tokens);
                let work = Work { cached_tokens: u64::from(cached_tokens), ..Work::default() };
                books.serve(now, request, work)?;
            }
            books.enter(now, request, life, Stage::Running)
        });
    }

    fn preempted(&mut self, now: Nanos, request: u32) {
        self.tell(request, |books, request, life| {
            books.preemptions += 1;
            books.enter(now, request, life, Stage::Waiting)
        });
    }

    fn served(&mut self, now: Nanos, request: u32, prompt_tokens: u32, output_tokens: u32) {
        self.tell(request, |books, request, life| {
            life.output_tokens = life.output_tokens.saturating_add(output_tokens);
            let work = Work {
                prompt_tokens: u64::from(prompt_tokens),
                cached_tokens: 0,
                output_tokens: u64::from(output_tokens),
            };
            books.serve(now, request, work)
        });
    }

    fn recomputed(&mut self, _now: Nanos, _request: u32, tokens: u32) {
        self.recomputed_tokens += u64::from(tokens);
    }

    fn first_token(&mut self, now: Nanos, request: u32) {
        self.tell(request, |_, _, life| {
            life.first_token.get_or_insert(now);
            Ok(())
        });
    }

    fn finished(&mut self, now: Nanos, request: u32) {
        self.tell(request, |books, request, life| {
            books.enter(now, request, life, Stage::Finished(now))
        });
    }

    fn refused(&mut self, now: Nanos, request: u32, why: Refusal) {
        self.tell(request, |books, request, life| {
            books.enter(now, request, life, Stage::Refused(now, why))
        });
    }

    fn learned(&mut self, stats: &StepFitStats) {
        self.step_model = Some(LearnedModel {
            error_pct: stats.error_ratio * 100.0,
            error_prefill_pct: stats.error_ratio_prefill * 100.0,
            samples: stats.samples,
        });
    }

    fn step(&mut self, start: Nanos, end: Nanos, step: &Step) {
        let time = end.saturating_sub(start);
        self.steps += 1;
        self.prefill_tokens += u64::from(step.shape.prefill_tokens);
        self.outcomes.add_gpu_busy(time);
        if let Some(busy) = self.busy.get_mut(self.replica) {
            *busy = busy.saturating_add(time);
        }
    }
}

/// How a request stands at `end`; `None` if it never arrived.
fn ending_of(request: &Request, life: &Life, end: Nanos) -> Option<Ended> {
    let (status, ended) = match life.stage {
        Stage::Absent => return None,
        Stage::Waiting | Stage::Running => (Status::Unfinished, end),
        Stage::Finished(at) => (Status::Completed, at),
        // It lost its seat before it expired.
        Stage::Refused(at, _) if life.first_scheduled.is_some() => (Status::Failed, at),
        Stage::Refused(at, _) => (Status::Refused, at),
    };
    Some(Ended {
        class: request.class,
        account: request.account,
        arrival: request.arrival,
        first_scheduled: life.first_scheduled,
        first_token: life.first_token,
        ended,
        output_tokens: life.output_tokens,
        status,
    })
}
