//! Several runs of one policy at one load as one: what tables and plots show of several seeds.
//!
//! Every figure is the mean over the runs, counts rounded to whole numbers, except what is a
//! maximum by its meaning: the longest times and the largest service differences are those of all
//! runs together. Figures of a class or account are means over the runs that offered it anything,
//! those of refusals and step models over the runs that had any.

use std::collections::BTreeMap;

use super::{Felt, LearnedModel, Quantiles, ServingRun};

/// The mean of runs that differ in their seed alone; `None` for no runs. Names, load, seed and
/// bound are those of the first.
#[must_use]
pub fn mean(runs: &[&ServingRun]) -> Option<ServingRun> {
    let first = *runs.first()?;
    let of = |value: fn(&ServingRun) -> f64| mean_of(runs, value);
    let count = |value: fn(&ServingRun) -> u64| count_of(runs, value);
    Some(ServingRun {
        policy: first.policy.clone(),
        variant: first.variant.clone(),
        seed: first.seed,
        gate: first.gate.clone(),
        router: first.router.clone(),
        load: first.load,
        elapsed_s: of(|run| run.elapsed_s),
        steps: count(|run| run.steps),
        offered: count(|run| run.offered),
        completed: count(|run| run.completed),
        refused: count(|run| run.refused),
        shed: count(|run| run.shed),
        expired: count(|run| run.expired),
        retry_after_mean_s: retry_after(runs),
        tokens_per_s: of(|run| run.tokens_per_s),
        prefix_hit_rate: of(|run| run.prefix_hit_rate),
        replica_load_max_over_mean: of(|run| run.replica_load_max_over_mean),
        utilization: of(|run| run.utilization),
        preemptions: count(|run| run.preemptions),
        prefill_tokens: count(|run| run.prefill_tokens),
        recomputed_tokens: count(|run| run.recomputed_tokens),
        recompute_share: of(|run| run.recompute_share),
        jain: of(|run| run.jain),
        jain_well_behaved: of(|run| run.jain_well_behaved),
        service_difference_max: max_of(runs, |run| run.service_difference_max),
        service_difference_mean: of(|run| run.service_difference_mean),
        service_uncompared: count(|run| run.service_uncompared),
        class_service_difference_max: largest(runs),
        service_bound: first.service_bound,
        step_model: step_model(runs),
        classes: by_name(runs, |run| &run.classes),
        accounts: by_name(runs, |run| &run.accounts),
    })
}

fn mean_of<T>(items: &[&T], value: impl Fn(&T) -> f64) -> f64 {
    items.iter().map(|item| value(item)).sum::<f64>() / items.len() as f64
}

fn count_of<T>(items: &[&T], value: impl Fn(&T) -> u64) -> u64 {
    mean_of(items, |item| value(item) as f64).round() as u64
}

fn max_of<T>(items: &[&T], value: impl Fn(&T) -> f64) -> f64 {
    items.iter().map(|item| value(item)).fold(f64::NEG_INFINITY, f64::max)
}

/// Over the runs in which somebody was told to come again.
fn retry_after(runs: &[&ServingRun]) -> f64 {
    let told: Vec<&ServingRun> =
        runs.iter().copied().filter(|run| run.retry_after_mean_s > 0.0).collect();
    if told.is_empty() { 0.0 } else { mean_of(&told, |run| run.retry_after_mean_s) }
}

/// Over the runs that learned.
fn step_model(runs: &[&ServingRun]) -> Option<LearnedModel> {
    let learned: Vec<&LearnedModel> =
        runs.iter().filter_map(|run| run.step_model.as_ref()).collect();
    (!learned.is_empty()).then(|| LearnedModel {
        error_pct: mean_of(&learned, |model| model.error_pct),
        error_prefill_pct: mean_of(&learned, |model| model.error_prefill_pct),
        samples: count_of(&learned, |model| model.samples),
    })
}

fn largest(runs: &[&ServingRun]) -> BTreeMap<String, f64> {
    let mut all: BTreeMap<String, f64> = BTreeMap::new();
    for (name, value) in runs.iter().flat_map(|run| &run.class_service_difference_max) {
        let kept = all.entry(name.clone()).or_insert(*value);
        *kept = kept.max(*value);
    }
    all
}

type ByName = BTreeMap<String, Felt>;

fn by_name(runs: &[&ServingRun], of: fn(&ServingRun) -> &ByName) -> ByName {
    let mut all: BTreeMap<&String, Vec<&Felt>> = BTreeMap::new();
    for (name, felt) in runs.iter().flat_map(|run| of(run)) {
        all.entry(name).or_default().push(felt);
    }
    let felt = all.into_iter().map(|(name, mut felt)| {
        if felt.iter().any(|felt| felt.offered > 0) {
            felt.retain(|felt| felt.offered > 0);
        }
        (name.clone(), mean_felt(&felt))
    });
    felt.collect()
}

fn mean_felt(felt: &[&Felt]) -> Felt {
    let of = |value: fn(&Felt) -> f64| mean_of(felt, value);
    let count = |value: fn(&Felt) -> u64| count_of(felt, value);
    let times = |value: fn(&Felt) -> &Quantiles| Quantiles {
        p50: mean_of(felt, |felt| value(felt).p50),
        p90: mean_of(felt, |felt| value(felt).p90),
        p99: mean_of(felt, |felt| value(felt).p99),
        mean: mean_of(felt, |felt| value(felt).mean),
        max: max_of(felt, |felt| value(felt).max),
    };
    Felt {
        offered: count(|felt| felt.offered),
        completed: count(|felt| felt.completed),
        refused: count(|felt| felt.refused),
        shed: count(|felt| felt.shed),
        expired: count(|felt| felt.expired),
        attainment: of(|felt| felt.attainment),
        goodput_per_s: of(|felt| felt.goodput_per_s),
        apdex: of(|felt| felt.apdex),
        ttft_s: times(|felt| &felt.ttft_s),
        tpot_s: times(|felt| &felt.tpot_s),
        queue_wait_s: times(|felt| &felt.queue_wait_s),
        e2e_s: times(|felt| &felt.e2e_s),
        slowdown: times(|felt| &felt.slowdown),
    }
}
