//! Random valid policies for property tests: every field anywhere in its range, ends included.

use proptest::prelude::*;
use std::collections::HashSet;
use std::string::String;
use std::vec::Vec;

use super::field::{Access, Field};
use super::{
    AMOUNT_MAX, Account, AccountQuota, CLASSES_MAX, Class, NAME_BYTES_MAX, Policy,
    RESERVED_RATIO_MAX, RESOURCES_MAX, table,
};
use crate::units::Nanos;

/// Where in its range a value lies: an end, or anywhere by difference or by ratio.
#[derive(Clone, Copy, Debug)]
enum Draw {
    Min,
    Max,
    Linear(f64),
    Logarithmic(f64),
}

fn draw() -> impl Strategy<Value = Draw> {
    prop_oneof![
        Just(Draw::Min),
        Just(Draw::Max),
        (0.0..=1.0).prop_map(Draw::Linear),
        (0.0..=1.0).prop_map(Draw::Logarithmic),
    ]
}

fn between(min: f64, max: f64, draw: Draw) -> f64 {
    // Ranges that begin at zero have no ratio to their lower end: this stands in for it.
    let least = min.max(1e-6);
    let value = match draw {
        Draw::Min => min,
        Draw::Max => max,
        Draw::Linear(share) => min + (max - min) * share,
        Draw::Logarithmic(share) => least * (max / least).powf(share),
    };
    value.clamp(min, max)
}

fn fill<T>(fields: &[Field<T>], draws: &[Draw], target: &mut T) {
    for (field, draw) in fields.iter().zip(draws) {
        match field.access {
            Access::Integer { min, max, set, .. } => {
                set(target, between(min as f64, max as f64, *draw) as u64);
            }
            Access::Real { min, max, set, .. } => set(target, between(min, max, *draw)),
            Access::Signed { min, max, set, .. } => {
                set(target, between(min as f64, max as f64, *draw) as i64);
            }
            // Every other resource keeps what it has where nothing is said.
            Access::Amounts { set, .. } => {
                let amount = match draw {
                    Draw::Max => u64::MAX,
                    draw => between(0.0, AMOUNT_MAX as f64, *draw) as u64,
                };
                (0..RESOURCES_MAX).step_by(2).for_each(|resource| set(target, resource, amount));
            }
            Access::Weights { max, set, .. } => {
                let weight = between(0.0, max, *draw);
                (0..RESOURCES_MAX).step_by(2).for_each(|resource| set(target, resource, weight));
            }
            Access::Word { words, set, .. } => {
                set(target, between(0.0, (words.len() - 1) as f64, *draw) as usize);
            }
        }
    }
}

fn draws(count: usize) -> impl Strategy<Value = Vec<Draw>> {
    prop::collection::vec(draw(), count)
}

/// Any name that is accepted, odd characters included.
fn name() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z0-9-]{1,16}", "[^\\x00-\\x1f]{1,40}"]
        .prop_filter("too long", |name| name.len() <= NAME_BYTES_MAX)
}

fn classes() -> impl Strategy<Value = Vec<Class>> {
    let class = (name(), draws(table::CLASS.len())).prop_map(|(name, draws)| {
        let mut class = Class::new(name);
        fill(&table::CLASS, &draws, &mut class);
        class
    });
    prop::collection::vec(class, 1..=CLASSES_MAX).prop_map(|mut classes| {
        let mut seen = HashSet::new();
        classes.retain(|class| seen.insert(class.name.clone()));
        classes
    })
}

fn accounts() -> impl Strategy<Value = Vec<Account>> {
    let numbers = (draws(table::ACCOUNT.len()), draws(table::QUOTA.len()), any::<bool>());
    let account = (name(), numbers).prop_map(|(name, (draws, quota, has_quota))| {
        let mut account = Account::new(name, 1.0);
        fill(&table::ACCOUNT, &draws, &mut account);
        if has_quota {
            fill(&table::QUOTA, &quota, &mut account.quota);
        }
        account
    });
    prop::collection::vec(account, 0..8).prop_map(|mut accounts| {
        let mut seen = HashSet::new();
        accounts.retain(|account| seen.insert(account.name.clone()));
        accounts
    })
}

/// A valid policy.
pub(super) fn policy() -> impl Strategy<Value = Policy> {
    let numbers = (
        draws(table::ACCOUNT_DEFAULT.len()),
        draws(table::HISTORY.len()),
        draws(table::OBJECTIVES.len()),
        draws(table::LIMITS.len()),
        draws(table::BATCH.len()),
        draws(table::PLACEMENT.len()),
        draws(table::ROUTE.len()),
        draws(table::GATE.len()),
        draws(table::HOLD.len()),
    );
    let resources = prop::collection::btree_set("[a-z0-9_]{1,32}", 0..=RESOURCES_MAX);
    let parts = (classes(), accounts(), resources, numbers);
    parts.prop_map(|(classes, accounts, resources, numbers)| {
        let mut policy = Policy::default().with_classes(classes);
        policy.resources = resources.into_iter().collect();
        fill(&table::ACCOUNT_DEFAULT, &numbers.0, &mut policy);
        fill(&table::HISTORY, &numbers.1, &mut policy.history);
        fill(&table::OBJECTIVES, &numbers.2, &mut policy.objectives);
        fill(&table::LIMITS, &numbers.3, &mut policy.limits);
        fill(&table::BATCH, &numbers.4, &mut policy.batch);
        fill(&table::PLACEMENT, &numbers.5, &mut policy.placement);
        fill(&table::ROUTE, &numbers.6, &mut policy.route);
        fill(&table::GATE, &numbers.7, &mut policy.gate);
        fill(&table::HOLD, &numbers.8, &mut policy.hold);
        agree(&mut policy, accounts);
        policy
    })
}

/// Makes fields that were drawn apart fit together.
fn agree(policy: &mut Policy, mut accounts: Vec<Account>) {
    for account in &mut accounts {
        agree_quota(&mut account.quota, policy.resources.len());
    }
    // Seconds and back: an `f64` keeps every nanosecond for 26 days; beyond that, whole seconds.
    for span in [&mut policy.history.half_life, &mut policy.placement.holding] {
        if span.get() >= 1 << 51 {
            span.0 -= span.0 % 1_000_000_000;
        }
    }
    if policy.history.half_life == Nanos::ZERO {
        policy.history.usage_weight = 0.0;
    }
    let limits = &mut policy.limits;
    accounts.truncate(limits.accounts_max as usize);
    policy.accounts = accounts.into();
    limits.running_max =
        limits.running_max.min(limits.requests_max).min(limits.step_tokens_max.get());
    let batch = &mut policy.batch;
    batch.background_step_ratio = batch.background_step_ratio.min(batch.deadline_margin_ratio);
    if batch.model_memory_steps > 0 {
        batch.model_memory_steps = batch.model_memory_steps.max(50);
    }
    batch.cached_token_cost = batch.cached_token_cost.min(batch.prompt_token_cost);
    let guaranteed: f64 = policy.classes.iter().map(|class| class.guaranteed_ratio).sum();
    let left = RESERVED_RATIO_MAX - batch.late_ratio;
    if guaranteed > left {
        // A hair under, so that rounding in the sum cannot exceed it again.
        let scale = left / guaranteed * 0.999;
        policy.classes.iter_mut().for_each(|class| class.guaranteed_ratio *= scale);
    }
}

/// Makes a quota one of so many resources, within its limit.
fn agree_quota(quota: &mut AccountQuota, resources: usize) {
    let absent = AccountQuota::default();
    for resource in 0..RESOURCES_MAX {
        if resource >= resources {
            quota.quota.0[resource] = absent.quota.0[resource];
            quota.limit.0[resource] = absent.limit.0[resource];
            quota.lending_limit.0[resource] = absent.lending_limit.0[resource];
            quota.over_quota_weight[resource] = absent.over_quota_weight[resource];
        } else if quota.quota.0[resource] != u64::MAX {
            quota.quota.0[resource] = quota.quota.0[resource].min(quota.limit.0[resource]);
        }
    }
}
