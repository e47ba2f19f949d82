//! What a host is like: the dials, and the policy, memory and step model that follow from them.

use rampmeter::engine::{KvGeometry, KvSwap, StepModel};
use rampmeter::policy::{Account, BatchRules, Class, Limits, Objectives, Policy};
use rampmeter::{Blocks, Nanos, Tokens};

/// What a host is like; every field is a dial that a seed can turn.
#[derive(Clone, Debug)]
pub struct Setup {
    pub classes: u16,
    pub accounts: u32,
    pub running_max: u32,
    pub step_tokens_max: u32,
    pub steps_in_flight: u32,
    pub kv_blocks: u32,
    pub block_tokens: u32,
    pub requests_max: u32,
    pub credit: f64,
    pub late_ratio: f64,
    pub guaranteed_ratio: f64,
    /// Percent of observed tokens that the engine fails to produce.
    pub absent_percent: u64,
    /// Percent of observed tokens that bring one more by speculation.
    pub speculative_percent: u64,
    /// Whether observations report the engine's own count of free blocks.
    pub reports_blocks: bool,
    /// Adapters that requests name by turns, and slots for them.
    pub adapters: u32,
    pub adapter_slots: u32,
    /// Percent of requests that share the prompt of one that came before.
    pub sharing_percent: u64,
    /// Risk accepted that the KV cache overflows.
    pub overflow_risk: f64,
    /// Blocks that KV can be swapped to.
    pub swap_blocks: u32,
    /// Other engines that service is exchanged with.
    pub replicas: u32,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            classes: 2,
            accounts: 4,
            running_max: 8,
            step_tokens_max: 256,
            steps_in_flight: 2,
            kv_blocks: 400,
            block_tokens: 16,
            requests_max: 256,
            credit: 500.0,
            late_ratio: 0.02,
            guaranteed_ratio: 0.05,
            absent_percent: 0,
            speculative_percent: 0,
            reports_blocks: true,
            adapters: 0,
            adapter_slots: 1,
            sharing_percent: 0,
            overflow_risk: 1.0,
            swap_blocks: 0,
            replicas: 0,
        }
    }
}

impl Setup {
    pub fn policy(&self) -> Policy {
        let class = |index: u16| Class {
            ttft_target: Nanos::from_millis(if index == 0 { 500 } else { 20_000 }),
            tpot_target: Nanos::from_millis(if index == 0 { 50 } else { 200 }),
            delay_value: if index == 0 { 1.0 } else { 0.1 },
            guaranteed_ratio: if index == 0 { 0.0 } else { self.guaranteed_ratio },
            ..Class::new(format!("class-{index}"))
        };
        let account = |index: u32| Account::new(format!("account-{index}"), 1.0);
        Policy {
            classes: (0..self.classes).map(class).collect(),
            accounts: (0..self.accounts).map(account).collect(),
            objectives: Objectives {
                attainment_min_ratio: 0.9,
                slowdown_floor: Nanos::from_millis(1000),
            },
            limits: Limits {
                requests_max: self.requests_max,
                running_max: self.running_max,
                accounts_max: self.accounts + 2,
                replicas_max: self.replicas,
                step_tokens_max: Tokens(self.step_tokens_max),
                steps_in_flight_max: self.steps_in_flight,
                adapters_max: self.adapters,
                adapter_slots_max: self.adapter_slots,
                prompt_tokens_max: Tokens(100_000),
                output_tokens_max: Tokens(100_000),
            },
            batch: BatchRules {
                prefill_floor_tokens: Tokens(16),
                deadline_margin_ratio: 0.95,
                background_step_ratio: 0.65,
                urgency_credit_tokens: self.credit,
                late_ratio: self.late_ratio,
                prompt_token_cost: 1.0,
                cached_token_cost: 0.0,
                output_token_cost: 5.0,
                preemptions_max: 2,
                // Its engine takes the time that was predicted: there is nothing to learn.
                model_memory_steps: 0,
                kv_overflow_risk_ratio: self.overflow_risk,
                ..BatchRules::default()
            },
            ..Policy::default()
        }
    }

    /// Quicker than computing anything again.
    pub fn swap(&self) -> KvSwap {
        KvSwap::new(Blocks(self.swap_blocks), 1e-6, 1e-6).unwrap()
    }

    pub fn kv(&self) -> KvGeometry {
        KvGeometry::new(Blocks(self.kv_blocks), self.block_tokens).unwrap()
    }
}

pub fn model() -> StepModel {
    StepModel::new([8e-3, 40e-6, 30e-6, 90e-9, 1e-9, 1e-3, 20e-9]).unwrap()
}
