//! Which policy a batcher is under, in one number: the same for the same policy only.

use crate::policy::{Account, BatchRules, Class, Limits, Policy, QueueLimits, RateLimits};
use crate::snapshot;

/// Digest of everything in a policy that a batcher goes by.
pub(in super::super) fn digest(policy: &Policy) -> u64 {
    snapshot::digest(|put| put_policy(policy, put))
}

fn put_policy(policy: &Policy, put: &mut dyn FnMut(u64)) {
    let Policy {
        classes,
        accounts,
        // Nothing is opened by itself.
        account_default_weight: _,
        account_default_queue,
        account_default_rates,
        // Of clusters and of what is judged; a batcher decides by neither.
        resources: _,
        history: _,
        objectives: _,
        limits,
        batch,
        // Of clusters.
        placement: _,
        route: _,
        gate: _,
        hold: _,
    } = policy;
    for Class { name: _, ttft_target, tpot_target, delay_value, guaranteed_ratio, queue } in classes
    {
        for word in [ttft_target.get(), tpot_target.get()] {
            put(word);
        }
        put(delay_value.to_bits());
        put(guaranteed_ratio.to_bits());
        put_queue(queue, put);
    }
    // Where an account stands cannot change.
    for Account { name: _, parent: _, weight, queue, rates, quota: _ } in accounts {
        put(weight.to_bits());
        put_queue(queue, put);
        put_rates(rates, put);
    }
    put_queue(account_default_queue, put);
    put_rates(account_default_rates, put);
    put_limits(limits, put);
    put_rules(batch, put);
}

fn put_queue(limits: &QueueLimits, put: &mut dyn FnMut(u64)) {
    let QueueLimits { requests_max, tokens_max, wait_max } = limits;
    for word in [u64::from(*requests_max), *tokens_max, wait_max.get()] {
        put(word);
    }
}

fn put_rates(limits: &RateLimits, put: &mut dyn FnMut(u64)) {
    let RateLimits { requests_per_minute, tokens_per_minute, burst } = limits;
    for word in [u64::from(*requests_per_minute), *tokens_per_minute, burst.get()] {
        put(word);
    }
}

fn put_limits(limits: &Limits, put: &mut dyn FnMut(u64)) {
    let Limits {
        // Capacities, which are compared one by one.
        requests_max: _,
        running_max: _,
        accounts_max: _,
        replicas_max: _,
        adapters_max: _,
        adapter_slots_max: _,
        steps_in_flight_max: _,
        step_tokens_max,
        prompt_tokens_max,
        output_tokens_max,
    } = limits;
    for tokens in [step_tokens_max, prompt_tokens_max, output_tokens_max] {
        put(tokens.get().into());
    }
}

fn put_rules(rules: &BatchRules, put: &mut dyn FnMut(u64)) {
    let BatchRules {
        mode: _,
        triage,
        prefill_floor_tokens,
        deadline_margin_ratio,
        background_step_ratio,
        slack_lending_ratio,
        work_delay_ratio,
        urgency_credit_tokens,
        late_ratio,
        prompt_token_cost,
        cached_token_cost,
        output_token_cost,
        preemptions_max,
        kv_overflow_risk_ratio,
        model_memory_steps,
    } = rules;
    put((*triage).into());
    put(prefill_floor_tokens.get().into());
    put((*preemptions_max).into());
    put((*model_memory_steps).into());
    for ratio in [
        deadline_margin_ratio,
        background_step_ratio,
        slack_lending_ratio,
        work_delay_ratio,
        urgency_credit_tokens,
        late_ratio,
        prompt_token_cost,
        cached_token_cost,
        output_token_cost,
        kv_overflow_risk_ratio,
    ] {
        put(ratio.to_bits());
    }
}
