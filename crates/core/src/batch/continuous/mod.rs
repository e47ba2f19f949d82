//! Continuous batching: which requests get how many tokens in the next engine step.
//!
//! # What it decides
//! Each step: the decoding requests go first, each with one token. Prompts share what is left, in
//! chunks small enough that no decoding request misses its next token. Then waiting requests are
//! let in, and if the KV cache is full, one request gives way.
//!
//! # Formula
//! ```text
//! order     1. a class, while it is owed service
//!           2. class                       (earlier in the policy first)
//!           3. lost their KV               (somebody is in the middle of reading)
//!           4. account                     v <= min v + credit  (see `share`)
//!           5. late, while their account owes them service; then in time; then late
//!                                          late: now + prefill_s > deadline
//!           6. in time: deadline + work_delay_ratio * prefill_s   (shorter work first among
//!              equal deadlines); late: arrival
//! chunk     the most tokens p with  start + step_s(p) <= min over decodes of
//!           first_token + produced * tpot_target * margin,   at least the floor; of a lead
//!           beyond one tpot_target * margin only slack_lending_ratio counts;
//!           for late work and for work of less delay value than what decodes:
//!           step_s(p) <= background_ratio * min tpot_target of what decodes
//! admit     a seat; KV blocks for the whole prompt, and for what all that run will hold later, as
//!           forecast (see `forecast`); an adapter slot; a prompt that no sibling is just computing
//!           (whom one of these two keeps out lets the others pass)
//! preempt   argmin  restore_s * delay_value / blocks freed, if the decoding requests need
//!           more blocks than are free or held by requests whose last token is in flight
//! guarantee owed_c += max(ratio_c, late_ratio / classes waiting) * cost of everybody's service
//!           while c waits;  owed_c -= cost of its own, below 0 only for what this let in; and
//!           the same in each account for its late requests, with late_ratio of its own service
//! shed      what would go beyond the queue limits of its class, its account or one above, or
//!           beyond the rates of its account or one above (see `rates`)
//! expire    no seat by min(expires_at, arrival + queue_wait_max of class, account and above)
//! ```
//! A decoding request that is so far behind that even decode-only steps cannot bring it back in
//! time holds up nobody: steps keep its pace (`tpot_target`), no more.
//!
//! # States
//! `Waiting -> Running -> Ended`; `Waiting -> Late` when the first token can no longer be in
//! time; `Running -> Preempted -> Running` (without a token yet, back to `Waiting`), once no step
//! in flight contains it. A request that ends while later steps contain it stays
//! `Ended` until those are observed; its tokens there are ignored. On a prefill engine
//! `Running -> HandedOver -> Ended`: its blocks are kept until they are released. What waits
//! without having produced a token may expire. Class, deadline and expiry may change in every
//! state.
//!
//! # Bounds and cost
//! `form`: O(running + partial prompts * log of them + admitted * (eligible accounts + log
//! requests)), O(running) for each preemption, and a look at a 64th of the requests while some may
//! have expired; `submit`, `cancel`, `change`: O(log requests + log accounts + levels of accounts);
//! `observe`: O(requests of the step * classes). Each request becomes late at most once before
//! it runs or is changed, O(log requests). Counts of tokens stay below 2^26, because prompts and
//! outputs have at most 2^24 each. No allocation after `new`; memory is [`Batcher::bytes_needed`].
//! Fairness: between two accounts that wait in one class the service of that class differs by at
//! most `2 * (max(w_p * L, w_q * M) + credit)` as long as nothing is preempted. Waiting: nobody
//! waits for ever; `aging.rs` derives the bound, and `docs/policies/batch.md` states it.
//!
//! # What it is bad at
//! A head request that does not fit, now or as forecast, blocks smaller ones behind it: no
//! starvation, some waste. It refuses by what waits, not by what will be late.
//!
//! # Source
//! Chunked prefill: Agrawal et al., "Sarathi-Serve", OSDI 2024. Counters: Sheng et al., OSDI
//! 2024. Everything else: `docs/policies/batch.md`, with the measurements.

mod accounts;
mod adapters;
mod admission;
mod aging;
mod ahead;
mod aside;
mod change;
mod exchange;
mod expiry;
mod explain;
mod forecast;
mod form;
mod giveway;
mod learn;
mod memory;
mod modes;
mod observe;
mod pace;
mod plan;
mod prompts;
mod queues;
mod rates;
mod request;
mod seats;
mod sharing;
mod state;
mod steps;
mod swap;

#[cfg(test)]
mod tests;

use alloc::boxed::Box;
use alloc::vec;

use self::admission::Lines;
pub use self::aside::Obstacle;
pub use self::change::Change;
use self::expiry::Expiries;
use self::explain::Closing;
pub use self::explain::{Explanation, Reason};
use self::forecast::Forecast;
use self::form::next_token_ns;
use self::learn::Learner;
use self::memory::Memory;
pub use self::plan::{
    Expiry, Formed, Observation, Observed, Phase, Plan, PlanArrays, PlanEntry, Preemption,
    StepResult,
};
use self::prompts::Partial;
pub use self::queues::ClassStats;
use self::queues::Queues;
pub use self::request::{
    Admission, HandOver, Progress, Request, RequestId, Shed, ShedReason, Stage, Submission,
};
pub use self::sharing::SHARERS_MAX;
use self::steps::{STEPS_MAX, StepRing};
use self::swap::Swap;
use crate::engine::{KvGeometry, StepModel};
use crate::error::{Error, check_range};
use crate::handle::Slab;
use crate::policy::{BatchRules, CLASSES_MAX, Class, Limits, Policy, RateLimits};
use crate::share::{AccountId, Ledger, LedgerOptions};
use crate::units::{Blocks, Nanos, Tokens};

/// What the batcher needs of a class.
#[derive(Clone, Copy, Debug)]
struct ClassRules {
    ttft_ns: u64,
    tpot_s: f64,
    /// `tpot_target` times the margin: the pace that steps are planned for.
    tpot_planned_ns: u64,
    delay_value: f64,
}

impl ClassRules {
    fn new(class: &Class, rules: &BatchRules) -> Self {
        let tpot_s = class.tpot_target.as_seconds();
        Self {
            ttft_ns: class.ttft_target.get(),
            tpot_s,
            tpot_planned_ns: Nanos::from_seconds(tpot_s * rules.deadline_margin_ratio).get(),
            delay_value: class.delay_value,
        }
    }
}

/// What a batcher holds and how full it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Stats {
    /// Requests that wait, late and preempted ones included.
    pub waiting: u32,
    /// Of these, requests that can no longer meet their time to first token.
    pub late: u32,
    /// Requests with a seat.
    pub running: u32,
    /// Requests known, those that ended in a step still in flight included.
    pub requests: u32,
    /// Capacity for them.
    pub requests_max: u32,
    /// Seats.
    pub running_max: u32,
    /// Accounts open.
    pub accounts: u32,
    /// Steps formed and not yet observed.
    pub steps_in_flight: u32,
    /// Free KV blocks.
    pub kv_blocks_free: Blocks,
    /// KV blocks in all.
    pub kv_blocks: Blocks,
    /// Requests turned away so far.
    pub shed: u64,
    /// Requests given up so far because they waited for too long.
    pub expired: u64,
    /// Blocks in the swap space.
    pub kv_blocks_swapped: Blocks,
}

/// Forms the steps of one engine.
#[derive(Debug)]
pub struct Batcher {
    limits: Limits,
    rules: BatchRules,
    classes: Box<[ClassRules]>,
    model: StepModel,
    learner: Learner,
    requests: Slab<Request>,
    /// Slots of the requests with a seat; the order means nothing but is always the same.
    running: Box<[u32]>,
    running_len: u32,
    lines: Lines,
    queues: Queues,
    expiries: Expiries,
    memory: Memory,
    forecast: Forecast,
    swap: Swap,
    steps: StepRing,
    /// Scratch for `form`: requests in the middle of their prompt.
    partials: Box<[Partial]>,
    /// Accounts of the policy document, in its order.
    policy_accounts: Box<[AccountId]>,
    /// Room for putting the names of a changed policy in order.
    name_room: Box<[u32]>,
    /// How fast an account may send that the policy does not name.
    default_rates: RateLimits,
    /// Requests known of each account, by account index.
    account_requests: Box<[u32]>,
    now: Nanos,
    sequence: u64,
    observations: u32,
    /// Looks at results, those included that were refused.
    looks: u32,
    /// The last `form` found nothing to do, and nothing has changed since.
    stalled: bool,
    /// What closed the line in the step formed last.
    closing: Closing,
    /// Of the policy that it is under.
    policy_digest: u64,
}

impl Batcher {
    /// A batcher for one engine. The only call that allocates.
    ///
    /// `kv` and `model` describe the engine: an [`crate::engine::Profile`] has both.
    ///
    /// # Errors
    /// As [`Policy::validate`]; [`Error::Full`] if the policy names more accounts than
    /// `accounts_max`; [`Error::Duplicate`] on `key` if it exchanges with others and the names of two
    /// accounts have one.
    pub fn new(policy: &Policy, kv: KvGeometry, model: StepModel) -> Result<Self, Error> {
        policy.validate()?;
        let limits = policy.limits;
        check_range("steps_in_flight_max", limits.steps_in_flight_max.into(), 1, STEPS_MAX.into())?;
        // Below two tokens of cache no request can have a prompt and an output.
        check_range("kv_tokens", kv.tokens_max(), 2, u64::MAX)?;
        let mut ledger = Ledger::new(&ledger_options(&policy.limits, policy.classes.len()))?;
        let policy_accounts = accounts::open(&mut ledger, policy)?;
        rates::set_all(&mut ledger, &policy_accounts, policy, Nanos::ZERO);
        let running_max = limits.running_max as usize;
        Ok(Self {
            classes: policy.classes.iter().map(|c| ClassRules::new(c, &policy.batch)).collect(),
            rules: policy.batch,
            model,
            learner: Learner::new(policy, model)?,
            requests: Slab::new("request", limits.requests_max)?,
            running: vec![0; running_max].into_boxed_slice(),
            running_len: 0,
            lines: Lines::new(ledger, policy),
            queues: Queues::new(policy, &policy_accounts)?,
            expiries: Expiries::new(),
            memory: Memory::new(kv),
            forecast: Forecast::new(policy)?,
            swap: Swap::default(),
            steps: StepRing::new(limits.steps_in_flight_max, limits.running_max),
            partials: vec![Partial::default(); running_max].into_boxed_slice(),
            name_room: vec![0; policy_accounts.len()].into_boxed_slice(),
            policy_accounts,
            default_rates: policy.account_default_rates,
            account_requests: vec![0; limits.accounts_max as usize].into_boxed_slice(),
            now: Nanos::ZERO,
            sequence: 0,
            observations: 0,
            looks: 0,
            stalled: false,
            closing: Closing::default(),
            policy_digest: state::digest(policy),
            limits,
        })
    }

    /// Bytes that a batcher for `policy` takes from the heap, to within its few fixed fields.
    /// The policy need not be valid; the sum saturates.
    #[must_use]
    pub fn bytes_needed(policy: &Policy) -> u64 {
        let limits = &policy.limits;
        let per_seat = (size_of::<u32>() + size_of::<Partial>()) as u64;
        let parts = [
            Slab::<Request>::bytes_needed(limits.requests_max),
            Lines::bytes_needed(policy),
            Queues::bytes_needed(policy),
            Forecast::bytes_needed(policy),
            StepRing::bytes_needed(limits.steps_in_flight_max, limits.running_max),
            u64::from(limits.running_max) * per_seat,
            u64::from(limits.accounts_max) * size_of::<u32>() as u64,
            (policy.classes.len() * size_of::<ClassRules>()) as u64,
            (policy.accounts.len() * (size_of::<AccountId>() + size_of::<u32>())) as u64,
        ];
        parts.into_iter().fold(0, u64::saturating_add)
    }

    /// A request comes in and waits, or is turned away because it would go beyond what may wait
    /// of its class or account, or what its account may bring in; see [`Shed`].
    /// O(log requests + log accounts + levels of accounts).
    ///
    /// # Errors
    /// [`Error::TimeReversed`]; [`Error::Range`] for a class, prompt, cached prefix, adapter,
    /// output length or hand-over outside its limits, or that the KV cache could not hold even
    /// alone; [`Error::Stale`] for an unknown account, or one to share with that is unknown or has
    /// ended; [`Error::Full`] at `requests_max`, or on `shares` at [`SHARERS_MAX`] members or too
    /// many groups; [`Error::Contradiction`] for a hand-over that the engine's mode does not take
    /// or lacks, and if it differs from the request that it is to share with.
    pub fn submit(&mut self, now: Nanos, submission: &Submission) -> Result<Admission, Error> {
        self.check_time(now)?;
        check_range("arrival_ns", submission.arrival.get(), 0, now.get())?;
        let class = u64::from(submission.class);
        check_range("class", class, 0, self.classes.len() as u64 - 1)?;
        self.lines.ledger.weight(submission.account)?;
        let kv_tokens = self.memory.geometry().tokens_max();
        self.check_mode(now, submission)?;
        let mode = self.rules.mode;
        let mut request = Request::admit(submission, &self.limits, mode, kv_tokens, self.sequence)?;
        let leader = self.check_shares(submission)?;
        let mut prefill_s = request.prefill_seconds(&self.model, self.limits.step_tokens_max.get());
        let target_ns = self.classes[class as usize].ttft_ns;
        let deadline = Nanos(request.arrival_ns.saturating_add(target_ns));
        let mut deadline = submission.deadline.unwrap_or(deadline);
        request.latest_start_ns = deadline.offset_seconds(-prefill_s).get();
        if let Some(brought) = submission.handed_over {
            request.bring(brought);
            deadline = Nanos(next_token_ns(&request, &self.classes[class as usize]));
            prefill_s = 0.0;
        }
        request.due_ns = deadline.get();
        request.expires_ns = self.expiry_of(&request, submission.expires_at);
        if let Some(shed) = self.shed(&request, now) {
            return Ok(Admission::Shed(shed));
        }
        let expires_ns = request.expires_ns;
        let id = self.requests.insert(request)?;
        self.now = now;
        self.queues.enter(self.requests.at(id.index()), now);
        self.expiries.note(id.index(), expires_ns);
        self.stalled = false;
        self.sequence += 1;
        self.account_requests[submission.account.index() as usize] += 1;
        self.lines.enter(&mut self.requests, id.index(), deadline, prefill_s);
        if let Some(leader) = leader {
            self.join_group(leader, id.index());
        }
        Ok(Admission::Queued(id))
    }

    /// The host takes a request back, in whatever stage it is. O(log requests).
    ///
    /// # Errors
    /// [`Error::TimeReversed`]; [`Error::Stale`] for a request that is unknown or has ended.
    pub fn cancel(&mut self, now: Nanos, request: RequestId) -> Result<(), Error> {
        self.check_time(now)?;
        let stage = self.requests.get(request)?.stage;
        if stage == Stage::Ended {
            return Err(Error::Stale { field: "request", handle: request.to_raw() });
        }
        self.now = now;
        self.stalled = false;
        self.learn_length(request.index(), true);
        self.refund_prompt(request.index(), 0);
        match stage {
            Stage::Running => self.leave_seat(request.index()),
            Stage::HandedOver => self.give_back(request.index()),
            _ => self.leave_line(request.index()),
        }
        self.end(request.index());
        Ok(())
    }

    /// More (or less) of a waiting request's prompt is found in the cache than was thought. How
    /// long it can still wait changes with it; its place in line and, once late, that it is late
    /// do not. O(1).
    ///
    /// # Errors
    /// [`Error::Stale`] for a request that is unknown or does not wait; [`Error::Range`] unless
    /// `tokens` is below the tokens it has to compute.
    pub fn set_cached_tokens(&mut self, request: RequestId, tokens: Tokens) -> Result<(), Error> {
        let entry = self.requests.get_mut(request)?;
        if !matches!(entry.stage, Stage::Waiting | Stage::Late | Stage::Preempted) {
            return Err(Error::Stale { field: "request", handle: request.to_raw() });
        }
        let most = u64::from(entry.prompt_tokens + entry.tokens_expected()) - 1;
        check_range("cached_tokens", u64::from(tokens.get()), 0, most)?;
        let (known, charged) = (entry.cached_tokens, entry.charged);
        entry.cached_tokens = tokens.get();
        if !charged {
            self.reprice_prompt(request.index(), known, tokens.get());
        }
        self.begin_later(request.index());
        self.stalled = false;
        Ok(())
    }

    /// What is known of a request.
    ///
    /// # Errors
    /// [`Error::Stale`] for a request that is unknown or has ended and left every step.
    pub fn progress(&self, request: RequestId) -> Result<Progress, Error> {
        Ok(self.requests.get(request)?.progress())
    }

    /// Takes a changed policy; nothing that waits or runs is lost. Targets of requests that came
    /// before stay as they were, and so does when they expire; weights, guarantees and rules hold
    /// from the next step on, queue limits and rates for what comes in. O(n log n) in accounts
    /// where none has to be searched for its parent; see [`crate::policy`].
    ///
    /// # Errors
    /// As [`Policy::validate`]; [`Error::Range`] if it has another number of classes or accounts,
    /// or a different capacity or engine mode, than the one the batcher was built with: these are
    /// fixed; [`Error::Contradiction`] if an account has another parent, or where it may exchange
    /// with others, another name.
    pub fn set_policy(&mut self, policy: &Policy) -> Result<(), Error> {
        let (new, old) = (&policy.limits, &self.limits);
        let fixed = [
            ("classes", policy.classes.len() as u64, self.classes.len() as u64),
            ("accounts", policy.accounts.len() as u64, self.policy_accounts.len() as u64),
            ("requests_max", new.requests_max.into(), old.requests_max.into()),
            ("running_max", new.running_max.into(), old.running_max.into()),
            ("accounts_max", new.accounts_max.into(), old.accounts_max.into()),
            ("replicas_max", new.replicas_max.into(), old.replicas_max.into()),
            ("adapters_max", new.adapters_max.into(), old.adapters_max.into()),
            ("adapter_slots_max", new.adapter_slots_max.into(), old.adapter_slots_max.into()),
            ("steps_in_flight_max", new.steps_in_flight_max.into(), old.steps_in_flight_max.into()),
            ("mode", policy.batch.mode as u64, self.rules.mode as u64),
        ];
        for (field, given, built) in fixed {
            check_range(field, given, built, built)?;
        }
        policy.validate_in(&mut self.name_room)?;
        self.check_places(policy)?;
        self.set_learning(policy)?;
        for (account, wanted) in self.policy_accounts.iter().zip(&policy.accounts) {
            let weighed = self.lines.ledger.set_weight(*account, wanted.weight);
            debug_assert!(weighed.is_ok(), "accounts of the policy stay open");
        }
        rates::set_all(&mut self.lines.ledger, &self.policy_accounts, policy, self.now);
        for (class, wanted) in self.classes.iter_mut().zip(&policy.classes) {
            *class = ClassRules::new(wanted, &policy.batch);
        }
        self.limits = *new;
        self.stalled = false;
        self.rules = policy.batch;
        self.lines.set_policy(policy);
        self.queues.set_policy(policy, &self.policy_accounts);
        self.forecast.set_policy(policy);
        self.default_rates = policy.account_default_rates;
        self.policy_digest = state::digest(policy);
        Ok(())
    }

    /// What it holds and how full it is.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats {
            waiting: self.lines.len(),
            late: self.lines.late_len(),
            running: self.running_len,
            requests: self.requests.len(),
            requests_max: self.limits.requests_max,
            running_max: self.limits.running_max,
            accounts: self.lines.ledger.accounts_len(),
            steps_in_flight: self.steps.len(),
            kv_blocks_free: self.memory.free(),
            kv_blocks: self.memory.geometry().blocks(),
            shed: self.queues.shed,
            expired: self.queues.expired,
            kv_blocks_swapped: self.swap.used(),
        }
    }

    fn check_time(&self, now: Nanos) -> Result<(), Error> {
        if now < self.now {
            return Err(Error::TimeReversed { now_ns: now.get(), last_ns: self.now.get() });
        }
        Ok(())
    }

    /// The request in a slot that is known to be in use.
    fn request(&self, slot: u32) -> &Request {
        self.requests.at(slot).unwrap_or_else(|| unreachable!("slot {slot} is in use"))
    }

    fn request_mut(&mut self, slot: u32) -> &mut Request {
        self.requests.at_mut(slot).unwrap_or_else(|| unreachable!("slot {slot} is in use"))
    }
}

fn ledger_options(limits: &Limits, classes: usize) -> LedgerOptions {
    LedgerOptions {
        accounts_max: limits.accounts_max,
        lanes: classes.min(CLASSES_MAX) as u32,
        // Always there: a changed policy, or a call, may limit accounts that had no limit.
        rates: true,
        replicas_max: limits.replicas_max,
        ..LedgerOptions::default()
    }
}
