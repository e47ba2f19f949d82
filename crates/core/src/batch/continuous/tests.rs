//! Small cases worked out by hand, one file for each question.

mod adapters;
mod change;
mod chunks;
mod exchange;
mod expiry;
mod explain;
mod foresight;
mod guarantees;
mod lives;
mod modes;
mod order;
mod queues;
mod rates;
mod sharing;
mod swaps;
mod victims;
mod waiting;

use std::boxed::Box;
use std::vec::Vec;

use super::*;
use crate::policy::Account;

/// A step costs 10 ms, and a prompt token 10 us: numbers that can be reckoned with by hand.
const STEP_S: f64 = 0.010;
const PREFILL_S: f64 = 10e-6;

/// Two classes (1 s and 50 ms; 60 s and 200 ms), three accounts, and no rule but the order.
fn policy() -> Policy {
    let class = |name: &str, ttft_s, tpot_ms, delay_value| Class {
        ttft_target: Nanos::from_seconds(ttft_s),
        tpot_target: Nanos::from_millis(tpot_ms),
        delay_value,
        ..Class::new(name)
    };
    let accounts = ["a", "b", "c"].map(|name| Account::new(name, 1.0));
    let limits = Limits {
        requests_max: 64,
        running_max: 8,
        accounts_max: 4,
        step_tokens_max: Tokens(1_000),
        steps_in_flight_max: 1,
        prompt_tokens_max: Tokens(100_000),
        output_tokens_max: Tokens(10_000),
        ..Limits::default()
    };
    let batch = BatchRules {
        prefill_floor_tokens: Tokens(1),
        deadline_margin_ratio: 1.0,
        background_step_ratio: 0.65,
        urgency_credit_tokens: 0.0,
        late_ratio: 0.0,
        output_token_cost: 5.0,
        model_memory_steps: 0,
        kv_overflow_risk_ratio: 1.0,
        ..BatchRules::default()
    };
    Policy::default()
        .with_classes([class("now", 1.0, 50, 1.0), class("later", 60.0, 200, 0.1)])
        .with_accounts(accounts)
        .with_limits(limits)
        .with_batch(batch)
}

fn step_model() -> StepModel {
    StepModel::new([STEP_S, PREFILL_S, 0.0, 0.0, 0.0, 0.0, 0.0]).unwrap()
}

/// A step in flight as the host keeps it.
struct Flying {
    id: u64,
    ends_at: Nanos,
    entries: Vec<PlanEntry>,
}

/// A batcher with its host: a clock and the steps in flight.
struct Rig {
    batcher: Batcher,
    now: Nanos,
    flying: Vec<Flying>,
    preempted: Vec<Preemption>,
}

impl Rig {
    fn new(policy: &Policy) -> Self {
        Self::with_blocks(policy, 100_000)
    }

    /// With so many KV blocks of 10 tokens.
    fn with_blocks(policy: &Policy, blocks: u32) -> Self {
        let kv = KvGeometry::new(Blocks(blocks), 10).unwrap();
        let batcher = Batcher::new(policy, kv, step_model()).unwrap();
        Self { batcher, now: Nanos::ZERO, flying: Vec::new(), preempted: Vec::new() }
    }

    fn account(&self, index: usize) -> AccountId {
        self.batcher.policy_account(index).unwrap()
    }

    fn submit(&mut self, class: u16, account: usize, prompt: u32, output: u32) -> RequestId {
        self.submit_for(self.account(account), class, prompt, output)
    }

    fn submit_for(
        &mut self,
        account: AccountId,
        class: u16,
        prompt: u32,
        output: u32,
    ) -> RequestId {
        let submission = Submission {
            tag: 0,
            class,
            account,
            arrival: self.now,
            prompt_tokens: Tokens(prompt),
            output_tokens_max: Tokens(output),
            ..Submission::default()
        };
        self.batcher.submit(self.now, &submission).unwrap().queued().unwrap()
    }

    /// Forms a step and returns what it does; empty if there is nothing to run.
    fn form(&mut self) -> Vec<PlanEntry> {
        let mut arrays = PlanArrays::new(self.batcher.stats().running_max);
        let formed = self.batcher.form(self.now, &mut arrays.plan()).unwrap();
        let entries = arrays.entries[..formed.entries_len as usize].to_vec();
        self.preempted = arrays.preempted[..formed.preempted_len as usize].to_vec();
        if let Some(id) = formed.step {
            let entries = entries.clone();
            self.flying.push(Flying { id, ends_at: formed.ends_at, entries });
        }
        entries
    }

    /// The oldest step ends as planned: one token for each request that was to emit.
    fn land(&mut self) -> Observed {
        self.land_with(|_| Tokens(1))
    }

    /// The oldest step ends; `tokens` says how many came out of each entry that was to emit.
    fn land_with(&mut self, tokens: impl Fn(&PlanEntry) -> Tokens) -> Observed {
        let Flying { id, ends_at, entries } = self.flying.remove(0);
        self.now = self.now.max(ends_at);
        let result = |entry: &PlanEntry| StepResult {
            request: entry.request,
            output_tokens: tokens(entry),
            finished: false,
        };
        let results: Vec<StepResult> =
            entries.iter().filter(|entry| entry.emits).map(result).collect();
        let seen = Observation { step: id, results: &results, ..Observation::default() };
        self.batcher.observe(self.now, &seen).unwrap()
    }

    /// Forms a step, ends it, and returns what it did.
    fn step(&mut self) -> Vec<PlanEntry> {
        let entries = self.form();
        if !entries.is_empty() {
            self.land();
        }
        entries
    }

    fn stage(&self, request: RequestId) -> Stage {
        self.batcher.progress(request).unwrap().stage
    }

    fn wait(&mut self, seconds: f64) {
        self.now = self.now.offset_seconds(seconds);
    }
}

/// Who gets tokens, in order.
fn requests(entries: &[PlanEntry]) -> Box<[RequestId]> {
    entries.iter().map(|entry| entry.request).collect()
}

/// A policy with one seat: who gets it is who goes first.
fn one_seat() -> Policy {
    let mut policy = policy();
    policy.limits.running_max = 1;
    policy
}
