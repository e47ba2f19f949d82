//! Whatever a caller does, nothing panics, and a call that is refused leaves no trace.
//!
//! Two batchers get the same calls, but the second is spared those that the first refused. From
//! then on both must give the same answers: a trace of a refused call would show sooner or later.

mod hostile;
mod support;

use hostile::{Call, HANDLES_MAX, Pick, call};
use proptest::prelude::*;
use rampmeter::batch::continuous::{
    Admission, Batcher, Change, Expiry, Formed, HandOver, Observation, Plan, PlanEntry, Preemption,
    RequestId, StepResult, Submission,
};
use rampmeter::engine::{KvGeometry, KvSwap, StepModel};
use rampmeter::policy::{EngineMode, Policy, QueueLimits, RateLimits};
use rampmeter::share::AccountId;
use rampmeter::{Blocks, Error, Nanos, Tokens};
use support::Setup;

/// What a call answered, as far as a caller can see it.
#[derive(Clone, Debug, PartialEq)]
enum Answer {
    Admission(Admission),
    Account(AccountId),
    Formed(Formed, Vec<PlanEntry>, Vec<Preemption>, Vec<Expiry>),
    Observed(rampmeter::batch::continuous::Observed),
    Nothing,
}

/// One batcher with what its host remembers.
struct Side {
    batcher: Batcher,
    now: Nanos,
    requests: Vec<RequestId>,
    accounts: Vec<AccountId>,
    flying: Vec<(u64, Nanos, Vec<PlanEntry>)>,
}

impl Side {
    fn new(policy: &Policy, kv: KvGeometry) -> Self {
        let batcher = Batcher::new(policy, kv, support::model()).unwrap();
        let accounts = (0..3).map(|i| batcher.policy_account(i).unwrap()).collect();
        Self { batcher, now: Nanos(1_000_000), requests: Vec::new(), accounts, flying: Vec::new() }
    }

    fn request(&self, pick: Pick) -> RequestId {
        match pick {
            Pick::Issued(place) if self.requests.is_empty() => RequestId::from_raw(place as u64),
            Pick::Issued(place) => self.requests[place % self.requests.len()],
            Pick::Forged(raw) => RequestId::from_raw(raw),
        }
    }

    fn account(&self, pick: Pick) -> AccountId {
        match pick {
            Pick::Issued(place) => self.accounts[place % self.accounts.len()],
            Pick::Forged(raw) => AccountId::from_raw(raw),
        }
    }

    fn make(&mut self, call: &Call, policies: &[Policy]) -> Result<Answer, Error> {
        match call {
            Call::Advance(by) => {
                // Most clocks stay far from their end; one that does not must not break anything.
                self.now = self.now.saturating_add(Nanos(*by));
                std::hint::black_box(self.batcher.next_event(self.now));
                Ok(Answer::Nothing)
            }
            Call::Submit {
                class,
                account,
                arrival,
                prompt,
                cached,
                output,
                deadline,
                expires_at,
                extra,
            } => {
                let (adapter, shares, brought) = *extra;
                let submission = Submission {
                    tag: *prompt,
                    class: *class as u16,
                    account: self.account(*account),
                    arrival: Nanos(*arrival),
                    prompt_tokens: Tokens(*prompt as u32),
                    cached_tokens: Tokens(*cached as u32),
                    output_tokens_max: Tokens(*output as u32),
                    deadline: deadline.map(Nanos),
                    expires_at: expires_at.map(Nanos),
                    adapter: adapter as u32,
                    shares: shares.map(|pick| self.request(pick)),
                    handed_over: brought.map(|tokens| HandOver {
                        output_tokens: Tokens(tokens as u32),
                        first_token: Nanos(*arrival),
                    }),
                };
                let answer = self.batcher.submit(self.now, &submission)?;
                if let Some(id) = answer.queued() {
                    self.requests.insert(0, id);
                    self.requests.truncate(HANDLES_MAX);
                }
                Ok(Answer::Admission(answer))
            }
            Call::Cancel(id) => self.batcher.cancel(self.now, self.request(*id)).map(nothing),
            Call::Change(id, class, deadline, expires_at) => {
                let class = class.map(|class| class as u16);
                let (deadline, expires_at) = (deadline.map(Nanos), expires_at.map(Nanos));
                let change = Change { class, deadline, expires_at };
                self.batcher.change(self.now, self.request(*id), &change).map(nothing)
            }
            Call::LimitAccount(id, requests, wait_ns) => {
                self.limit(*id, *requests, Nanos(*wait_ns)).map(nothing)
            }
            Call::Release(id) => self.batcher.release(self.now, self.request(*id)).map(nothing),
            Call::SetCached(id, tokens) => {
                let id = self.request(*id);
                self.batcher.set_cached_tokens(id, Tokens(*tokens as u32)).map(nothing)
            }
            Call::Form { entries, preempted, cached } => self.form(*entries, *preempted, *cached),
            Call::Land { speculated } => self.land(*speculated),
            Call::Observe { step, blocks, results } => self.observe(*step, *blocks, results),
            Call::Reverse(to) => {
                let earlier = Nanos(*to % self.now.get().max(1));
                self.batcher.cancel(earlier, self.request(Pick::Issued(0))).map(nothing)
            }
            Call::SetBlocks(blocks) => {
                self.batcher.set_kv_blocks_free(self.now, Blocks(*blocks as u32)).map(nothing)
            }
            Call::Open(weight) => {
                let account = self.batcher.open_account(None, *weight)?;
                self.accounts.push(account);
                Ok(Answer::Account(account))
            }
            Call::Weigh(id, weight) => {
                self.batcher.set_account_weight(self.account(*id), *weight).map(nothing)
            }
            Call::Close(id) => self.batcher.close_account(self.account(*id)).map(nothing),
            Call::SetPolicy(pick) => self.batcher.set_policy(&policies[*pick]).map(nothing),
            Call::SetModel(step, token) => {
                let model = StepModel::new([*step, *token, *step, *token, *token, *step, *token])?;
                self.batcher.set_model(model);
                Ok(Answer::Nothing)
            }
            Call::SetSwap(blocks, out_s, in_s) => {
                self.batcher.set_swap(Some(KvSwap::new(Blocks(*blocks as u32), *out_s, *in_s)?));
                Ok(Answer::Nothing)
            }
            Call::NoSwap => {
                self.batcher.set_swap(None);
                Ok(Answer::Nothing)
            }
            Call::DropSwapped(id) => {
                self.batcher.drop_swapped(self.now, self.request(*id)).map(nothing)
            }
        }
    }

    fn limit(&mut self, account: Pick, requests: u64, wait: Nanos) -> Result<(), Error> {
        let account = self.account(account);
        let (few, tokens_max) = (requests as u32, requests);
        let limits = QueueLimits { requests_max: few, tokens_max, wait_max: wait };
        let rates =
            RateLimits { requests_per_minute: few, tokens_per_minute: tokens_max, burst: wait };
        self.batcher.set_account_queue(account, limits)?;
        self.batcher.set_account_rates(account, rates)
    }

    fn form(
        &mut self,
        entries: usize,
        preempted: usize,
        cached: Option<u64>,
    ) -> Result<Answer, Error> {
        let mut entries = vec![PlanEntry::default(); entries];
        let mut preempted = vec![Preemption::default(); preempted];
        let mut expired = vec![Expiry::default(); preempted.len()];
        let mut plan =
            Plan { entries: &mut entries, preempted: &mut preempted, expired: &mut expired };
        let mut ask = |_: RequestId, _: u64| cached.map(|tokens| Tokens(tokens as u32));
        let formed = self.batcher.form_with_cache(self.now, &mut plan, &mut ask)?;
        entries.truncate(formed.entries_len as usize);
        preempted.truncate(formed.preempted_len as usize);
        expired.truncate(formed.expired_len as usize);
        if let Some(id) = formed.step {
            self.flying.push((id, formed.ends_at, entries.clone()));
        }
        Ok(Answer::Formed(formed, entries, preempted, expired))
    }

    fn land(&mut self, speculated: u32) -> Result<Answer, Error> {
        let Some((step, ends_at, entries)) = self.flying.first() else {
            return Ok(Answer::Nothing);
        };
        let emitting = entries.iter().filter(|entry| entry.emits);
        let results: Vec<StepResult> = emitting
            .map(|entry| StepResult {
                request: entry.request,
                output_tokens: Tokens(speculated),
                finished: false,
            })
            .collect();
        let seen = Observation { step: *step, results: &results, ..Observation::default() };
        let now = if *ends_at < Nanos(u64::MAX / 2) { self.now.max(*ends_at) } else { self.now };
        let observed = self.batcher.observe(now, &seen)?;
        self.now = now;
        self.flying.remove(0);
        Ok(Answer::Observed(observed))
    }

    fn observe(
        &mut self,
        step: u64,
        blocks: Option<u64>,
        results: &[(Pick, u64, bool)],
    ) -> Result<Answer, Error> {
        let oldest = self.flying.first().map(|flying| flying.0);
        // Small numbers mean the oldest step, so that the results are looked at, too.
        let step = if step < 40 { oldest.unwrap_or(step) } else { step };
        let results: Vec<StepResult> = results
            .iter()
            .map(|(id, tokens, finished)| StepResult {
                request: self.request(*id),
                output_tokens: Tokens(*tokens as u32),
                finished: *finished,
            })
            .collect();
        let kv_blocks_free = blocks.map(|blocks| Blocks(blocks as u32));
        let seen =
            Observation { step, kv_blocks_free, results: &results, ..Observation::default() };
        let observed = self.batcher.observe(self.now, &seen)?;
        self.flying.remove(0);
        Ok(Answer::Observed(observed))
    }
}

fn nothing(_: ()) -> Answer {
    Answer::Nothing
}

/// The policy to start with, one that changes rules, and two that must be refused.
fn policies(mode: EngineMode, extreme: bool) -> [Policy; 4] {
    let setup =
        Setup { accounts: 3, requests_max: 20, adapters: 5, adapter_slots: 2, ..Setup::default() };
    let mut policy = setup.policy();
    policy.batch.mode = mode;
    if extreme {
        policy.limits.prompt_tokens_max = Tokens(1 << 24);
        policy.limits.output_tokens_max = Tokens(1 << 24);
        policy.limits.step_tokens_max = Tokens(1 << 20);
        policy.batch.prompt_token_cost = 1000.0;
        policy.batch.output_token_cost = 1000.0;
        policy.batch.urgency_credit_tokens = 1e9;
        policy.accounts[1].weight = 0.001;
    }
    let mut changed = policy.clone();
    changed.classes[1].guaranteed_ratio = 0.5;
    changed.batch.background_step_ratio = 0.1;
    changed.batch.kv_overflow_risk_ratio = 0.1;
    changed.limits.step_tokens_max = Tokens(8);
    changed.classes[0].queue =
        QueueLimits { requests_max: 4, tokens_max: 300, wait_max: Nanos::from_millis(80) };
    changed.accounts[1].queue.requests_max = 2;
    changed.batch.triage = false;
    let mut larger = policy.clone();
    larger.limits.requests_max += 1;
    let mut wrong = policy.clone();
    wrong.accounts[2].weight = f64::NAN;
    [policy, changed, larger, wrong]
}

fn run(mode: EngineMode, extreme: bool, calls: &[Call]) -> Result<(), TestCaseError> {
    let policies = policies(mode, extreme);
    let kv = if extreme {
        KvGeometry::new(Blocks(u32::MAX - 1), 65_536).unwrap()
    } else {
        KvGeometry::new(Blocks(40), 16).unwrap()
    };
    let (mut first, mut second) = (Side::new(&policies[0], kv), Side::new(&policies[0], kv));
    for call in calls {
        let before = first.batcher.stats();
        let answer = first.make(call, &policies);
        let after = first.batcher.stats();
        if answer.is_err() {
            prop_assert_eq!(before, after, "{:?} was refused: {:?}", call, answer);
            continue;
        }
        prop_assert_eq!(&answer, &second.make(call, &policies), "{:?}", call);
        prop_assert_eq!(after, second.batcher.stats());
        for class in 0..2 {
            let of = [&first, &second].map(|side| side.batcher.class_stats(class).unwrap());
            prop_assert_eq!(of[0], of[1]);
            prop_assert!(of[0].late <= of[0].waiting && of[0].drain_tokens_per_s.is_finite());
        }
        let events = [&first, &second].map(|side| side.batcher.next_event(side.now));
        prop_assert_eq!(events[0], events[1]);
        prop_assert!(after.running <= after.running_max && after.requests <= after.requests_max);
        prop_assert!(after.kv_blocks_free <= after.kv_blocks);
        for id in &first.requests {
            prop_assert_eq!(first.batcher.progress(*id), second.batcher.progress(*id));
        }
    }
    // Also what no answer shows yet.
    prop_assert!(saved(&first.batcher) == saved(&second.batcher), "a trace in the state");
    Ok(())
}

fn saved(batcher: &Batcher) -> Vec<u8> {
    let mut bytes = vec![0; batcher.snapshot_bytes() as usize];
    let len = batcher.save(&mut bytes).expect("room for it");
    bytes.truncate(len);
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn refused_calls_leave_no_trace(calls in prop::collection::vec(call(), 1..250)) {
        run(EngineMode::Mixed, false, &calls)?;
    }

    /// The same on engines of one half.
    #[test]
    fn engines_of_one_half_are_safe(
        decode in any::<bool>(),
        calls in prop::collection::vec(call(), 1..250),
    ) {
        run(if decode { EngineMode::Decode } else { EngineMode::Prefill }, false, &calls)?;
    }

    /// The same at the far ends of all ranges: the largest cache, lengths, costs and credit.
    #[test]
    fn the_ends_of_all_ranges_are_safe(calls in prop::collection::vec(call(), 1..250)) {
        run(EngineMode::Mixed, true, &calls)?;
    }
}
