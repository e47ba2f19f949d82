//! The library's own policy in the simulator: the same compiled core as in production, told what
//! a host would tell it and nothing more.

use std::collections::{HashMap, VecDeque};
use std::path::Path;

use rampmeter::batch::continuous::{
    Admission, Batcher, Formed, Observation, Phase, PlanArrays, RequestId, StepResult, Submission,
};
use rampmeter::engine::StepFitStats;
use rampmeter::policy::{Account, Class, Policy};
use rampmeter::share::AccountId;
use rampmeter::{Blocks, Nanos, Tokens};

use super::refusal::Refusal;
use super::scheduler::{Scheduler, StepReport};
use super::state::EngineState;
use crate::engine::Engine;
use crate::workload::Workload;
use crate::{InputError, input};

/// The option that wrong documents are reported under when there is no file.
const OPTION: &str = "--policy";

/// Drives a [`Batcher`] as the policy of a simulated engine.
#[derive(Debug)]
pub struct Rampmeter {
    name: String,
    batcher: Batcher,
    /// By index into the accounts of the workload.
    accounts: Vec<AccountId>,
    /// The batcher's name of each request, by index into the workload.
    ids: Vec<Option<RequestId>>,
    /// Steps formed and not yet observed, by the batcher's number.
    steps: VecDeque<u64>,
    arrays: PlanArrays,
    results: Vec<StepResult>,
}

impl Rampmeter {
    /// The policy of `document` (the default one if there is none) for this workload and engine.
    ///
    /// # Errors
    /// An unreadable or invalid document, naming file, line, key and range; or one whose limits
    /// the engine or the workload goes beyond.
    pub fn new(
        document: Option<&Path>,
        workload: &Workload,
        engine: &Engine,
        steps_in_flight: u32,
    ) -> Result<Self, InputError> {
        let base = document.map_or_else(|| Ok(Ok(Policy::default())), read_policy)??;
        let policy = fit(base, workload, engine, steps_in_flight);
        let wrong = |problem| InputError::new(document.unwrap_or(Path::new(OPTION)), problem);
        let batcher = Batcher::new(&policy, engine.kv, engine.model)
            .map_err(|error| wrong(error.to_string()))?;
        let place: HashMap<&str, usize> = policy.accounts.iter().map(name).zip(0..).collect();
        let accounts = workload.accounts.iter().filter_map(|account| {
            let place = place.get(account.name.as_str())?;
            batcher.policy_account(*place)
        });
        let running_max = engine.running_max as usize;
        Ok(Self {
            name: document
                .map_or_else(|| "rampmeter".to_owned(), |path| path.display().to_string()),
            accounts: accounts.collect(),
            batcher,
            ids: vec![None; workload.requests.len()],
            steps: VecDeque::with_capacity(steps_in_flight as usize),
            arrays: PlanArrays::new(engine.running_max),
            results: Vec::with_capacity(running_max),
        })
    }

    /// Carries a plan out: memory that is given up first, then seats, then tokens, so that the
    /// prefixes found in the cache are held before new blocks are taken. Who expired may have
    /// lost a seat just now.
    fn carry_out(&self, formed: &Formed, engine: &mut EngineState<'_>) {
        for preemption in &self.arrays.preempted[..formed.preempted_len as usize] {
            engine.preempt(preemption.tag as u32);
        }
        for expiry in &self.arrays.expired[..formed.expired_len as usize] {
            engine.refuse(expiry.tag as u32, Refusal::Expired);
        }
        let entries = &self.arrays.entries[..formed.entries_len as usize];
        for entry in entries.iter().filter(|entry| entry.admitted) {
            engine.admit(entry.tag as u32);
        }
        let (decodes, prompts) = (Phase::Decode, Phase::Prefill);
        for phase in [decodes, prompts] {
            for entry in entries.iter().filter(|entry| entry.phase == phase) {
                engine.compute(entry.tag as u32, entry.tokens.get());
            }
        }
    }
}

impl Scheduler for Rampmeter {
    fn name(&self) -> &str {
        &self.name
    }

    fn submit(&mut self, now: Nanos, request: u32, engine: &mut EngineState<'_>) {
        let facts = engine.facts(request);
        let cached = engine.kv().cached_tokens(request, facts.prompt_tokens);
        let submission = Submission {
            tag: u64::from(request),
            class: facts.class,
            account: self.accounts[facts.account as usize],
            arrival: facts.arrival,
            prompt_tokens: Tokens(facts.prompt_tokens),
            cached_tokens: Tokens(cached.min(facts.prompt_tokens - 1)),
            output_tokens_max: Tokens(facts.output_tokens_max),
            ..Submission::default()
        };
        match self.batcher.submit(now, &submission) {
            Ok(Admission::Queued(id)) => self.ids[request as usize] = Some(id),
            Ok(Admission::Shed(shed)) => {
                engine.refuse(request, Refusal::Shed { retry_after: shed.retry_after });
            }
            // All else is in range: with the outputs that it may ask for, it does not fit.
            Err(_) => engine.refuse(request, Refusal::TooLong),
        }
    }

    fn form(&mut self, now: Nanos, engine: &mut EngineState<'_>) {
        let state = &*engine;
        let formed = self.batcher.form_with_cache(now, &mut self.arrays.plan(), &mut |_, tag| {
            let request = tag as u32;
            Some(Tokens(state.kv().cached_tokens(request, state.known_tokens(request))))
        });
        let Ok(formed) = formed else { return };
        self.carry_out(&formed, engine);
        self.steps.extend(formed.step);
    }

    fn observe(&mut self, now: Nanos, report: &StepReport<'_>, engine: &EngineState<'_>) {
        let Some(step) = self.steps.pop_front() else { return };
        self.results.clear();
        for outcome in report.outcomes.iter().filter(|o| o.output_tokens > 0 || o.finished) {
            let Some(request) = self.ids[outcome.request as usize] else { continue };
            let output_tokens = Tokens(outcome.output_tokens);
            self.results.push(StepResult { request, output_tokens, finished: outcome.finished });
        }
        let kv_blocks_free = Some(Blocks(engine.kv().blocks_free()));
        let seen =
            Observation { step, kv_blocks_free, results: &self.results, ..Observation::default() };
        let observed = self.batcher.observe(now, &seen);
        debug_assert!(observed.is_ok(), "{observed:?}");
    }

    fn next_event(&self, now: Nanos) -> Option<Nanos> {
        self.batcher.next_event(now)
    }

    fn learned(&self) -> Option<StepFitStats> {
        self.batcher.model_stats()
    }
}

/// Reads a policy document, JSON where its name ends so and TOML otherwise.
///
/// # Errors
/// The outer one: the file cannot be read. The inner one: it can, and is no valid policy.
pub fn read_policy(path: &Path) -> Result<Result<Policy, InputError>, InputError> {
    let text = input::document(path)?;
    let json = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
    let policy = if json { Policy::from_json(&text) } else { Policy::from_toml(&text) };
    Ok(policy.map_err(|error| {
        let invalid = InputError::new(path, error.message.clone());
        match error.line {
            Some(line) => invalid.at_line(u64::from(line)),
            None => invalid,
        }
    }))
}

const fn name(account: &Account) -> &str {
    account.name.as_str()
}

/// The accounts of the document that the workload has requests of, with those above them, in the
/// order of the document; then those of the workload that it does not name.
fn accounts(policy: &Policy, workload: &Workload) -> Box<[Account]> {
    let place: HashMap<&str, usize> = policy.accounts.iter().map(name).zip(0..).collect();
    let mut kept = vec![false; policy.accounts.len()];
    let mut others = Vec::new();
    for wanted in &workload.accounts {
        match place.get(name(wanted)) {
            Some(known) => kept[*known] = true,
            None => others.push(Account {
                queue: policy.account_default_queue,
                rates: policy.account_default_rates,
                ..Account::new(name(wanted), policy.account_default_weight)
            }),
        }
    }
    // Parents stand before their parts, so that this meets every account after its parts.
    for (index, account) in policy.accounts.iter().enumerate().rev() {
        let above = account.parent.as_deref().and_then(|parent| place.get(parent));
        if let Some(above) = above.filter(|_| kept[index]) {
            kept[*above] = true;
        }
    }
    let named = policy.accounts.iter().zip(kept).filter(|(_, kept)| *kept);
    named.map(|(account, _)| account.clone()).chain(others).collect()
}

/// The policy with the workload's classes and accounts and the engine's capacities. What the
/// document says of a class or an account of the same name stays as it is there.
fn fit(mut policy: Policy, workload: &Workload, engine: &Engine, steps_in_flight: u32) -> Policy {
    let class = |wanted: &Class| {
        let known = policy.classes.iter().find(|class| class.name == wanted.name);
        known.unwrap_or(wanted).clone()
    };
    policy.classes = workload.classes.iter().map(class).collect();
    policy.accounts = accounts(&policy, workload);
    let limits = &mut policy.limits;
    let longest = |tokens: fn(&crate::workload::Request) -> u32| {
        workload.requests.iter().map(tokens).max().unwrap_or(1)
    };
    limits.requests_max = (workload.requests.len() as u32).max(engine.running_max);
    limits.running_max = engine.running_max;
    limits.accounts_max = policy.accounts.len().max(1) as u32;
    limits.step_tokens_max = Tokens(engine.step_tokens_max);
    limits.steps_in_flight_max = steps_in_flight;
    limits.prompt_tokens_max = Tokens(longest(|request| request.prompt_tokens));
    limits.output_tokens_max = Tokens(longest(|request| request.output_tokens_max));
    policy
}
