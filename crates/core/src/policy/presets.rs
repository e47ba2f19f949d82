//! Three places to start from, and why each number differs.

use alloc::boxed::Box;
use alloc::string::String;

use super::{
    Account, BatchRules, Class, EngineMode, GateRules, HistoryRules, HoldRules, Limits, Objectives,
    PlacementRules, Policy, QueueLimits, RateLimits, RouteRules,
};
use crate::units::{Nanos, Tokens};

/// Time to first token of the class `interactive`.
const INTERACTIVE_TTFT: Nanos = Nanos::from_millis(2_000);

/// Time per output token of the class `interactive`.
const INTERACTIVE_TPOT: Nanos = Nanos::from_millis(50);

/// Time to first token of the class `batch`: a minute, within which a pipeline does not notice.
const BATCH_TTFT: Nanos = Nanos::from_millis(60_000);

/// Time per output token of the class `batch`: four times interactive, 5 tokens a second.
const BATCH_TPOT: Nanos = Nanos::from_millis(200);

/// Worth of a second of delay of the class `batch`. Its targets give it thirty times the patience
/// of `interactive`, so a second is worth a thirtieth: waiting for one's whole target costs the
/// same in both classes.
const BATCH_DELAY_VALUE: f64 = 0.033;

/// Share guaranteed to `batch`; the table of keys has the measurements.
const BATCH_GUARANTEED_RATIO: f64 = 0.02;

/// Resources that accounts hold of a cluster: what tasks ask for wherever GPUs are shared, in the
/// units in which node lists count them. More are the operator's to name.
const RESOURCES: [&str; 3] = ["gpu_milli", "cpu_milli", "memory_mib"];

/// A policy to start from.
///
/// All three have the classes `interactive` (2 s to the first token, 50 ms a token) and `batch`
/// (60 s, 200 ms), in that order, and no named accounts. What users were promised does not
/// change with the preset; how the engine is shared to keep it does.
///
/// | | `interactive` | `balanced` | `throughput` |
/// |---|---|---|---|
/// | prefill floor | 32 tokens | 64 | 128 |
/// | deadline margin | 0.90 | 0.95 | 0.95 |
/// | background steps | 0.65 | 0.80 | 0.95 |
/// | guarantee of `batch` | 0.02 | 0.02 | 0.10 |
/// | share of late requests | 0.002 | 0.005 | 0.02 |
/// | tokens in a step | 2,048 | 2,048 | 8,192 |
/// | attainment line | 0.95 | 0.90 | 0.90 |
/// | slowdown floor | 1 s | 1 s | 10 s |
///
/// - *Prefill floor*: 32 to 128 measured equal; its ends disturb decodes least, or need the
///   fewest steps.
/// - *Deadline margin*: the step model errs by 3 to 5% at p95. 0.90 covers twice that, 0.95 what is
///   usual.
/// - *Background steps*: how near to the tightest decode late and batch prompts may push a step.
/// - *Guarantee of `batch`*: both ends of the range in which batch keeps moving and interactive
///   keeps its targets.
/// - *Share of late requests*: work already late goes last where users wait, sooner where all
///   work counts.
/// - *Tokens in a step*: larger steps spread the fixed cost of a step; deadlines still bound those
///   with tight decodes.
/// - *Attainment line*: a front end is held to more.
/// - *Slowdown floor*: 10 s is customary for batch jobs.
///
/// The host must be able to run the step that a preset allows: set `limits.step_tokens_max` and
/// `limits.running_max` to what the engine was started with.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum Preset {
    /// People wait for every answer; batch work takes what is left.
    Interactive,
    /// People and pipelines share one engine.
    #[default]
    Balanced,
    /// Mostly pipelines; people are served, but within the same large steps.
    Throughput,
}

impl Preset {
    /// Every preset, in the order of the table above.
    pub const ALL: [Self; 3] = [Self::Interactive, Self::Balanced, Self::Throughput];

    /// The word for it in a document.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Interactive => "interactive",
            Self::Balanced => "balanced",
            Self::Throughput => "throughput",
        }
    }

    /// The preset of that name, or `None`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|preset| preset.name() == name)
    }

    /// The policy. Always valid.
    #[must_use]
    pub fn policy(self) -> Policy {
        let balanced = Policy::default();
        match self {
            Self::Balanced => balanced,
            Self::Interactive => Policy {
                objectives: Objectives { attainment_min_ratio: 0.95, ..balanced.objectives },
                batch: BatchRules {
                    prefill_floor_tokens: Tokens(32),
                    deadline_margin_ratio: 0.90,
                    background_step_ratio: 0.65,
                    late_ratio: 0.002,
                    ..balanced.batch
                },
                ..balanced
            },
            Self::Throughput => Policy {
                classes: default_classes(0.10),
                objectives: Objectives {
                    slowdown_floor: Nanos::from_millis(10_000),
                    ..balanced.objectives
                },
                limits: Limits { step_tokens_max: Tokens(8_192), ..balanced.limits },
                batch: BatchRules {
                    prefill_floor_tokens: Tokens(128),
                    background_step_ratio: 0.95,
                    late_ratio: 0.02,
                    ..balanced.batch
                },
                ..balanced
            },
        }
    }
}

/// A class before anything is said about it: that of somebody who waits at a screen.
pub(super) fn class_template(name: String) -> Class {
    Class {
        name,
        ttft_target: INTERACTIVE_TTFT,
        tpot_target: INTERACTIVE_TPOT,
        delay_value: 1.0,
        guaranteed_ratio: 0.0,
        queue: QueueLimits::default(),
    }
}

fn default_classes(batch_guaranteed_ratio: f64) -> Box<[Class]> {
    let batch = Class {
        ttft_target: BATCH_TTFT,
        tpot_target: BATCH_TPOT,
        delay_value: BATCH_DELAY_VALUE,
        guaranteed_ratio: batch_guaranteed_ratio,
        ..Class::new("batch")
    };
    Box::new([Class::new("interactive"), batch])
}

/// [`Preset::Balanced`].
impl Default for Policy {
    fn default() -> Self {
        Self {
            classes: default_classes(BATCH_GUARANTEED_RATIO),
            accounts: Box::<[Account]>::default(),
            account_default_weight: 1.0,
            account_default_queue: QueueLimits::default(),
            account_default_rates: RateLimits::default(),
            resources: RESOURCES.map(String::from).into(),
            history: HistoryRules::default(),
            placement: PlacementRules::default(),
            route: RouteRules::default(),
            gate: GateRules::default(),
            hold: HoldRules::default(),
            objectives: Objectives::default(),
            limits: Limits::default(),
            batch: BatchRules::default(),
        }
    }
}

/// Those of [`Preset::Balanced`]; the table of keys has the reasons.
impl Default for HistoryRules {
    fn default() -> Self {
        Self { half_life: Nanos::ZERO, usage_weight: 0.0 }
    }
}

/// Those of [`Preset::Balanced`]; the table of keys has the reasons.
impl Default for Objectives {
    fn default() -> Self {
        Self { attainment_min_ratio: 0.9, slowdown_floor: Nanos::from_millis(1_000) }
    }
}

/// Those of [`Preset::Balanced`]; the table of keys has the reasons.
impl Default for Limits {
    fn default() -> Self {
        Self {
            requests_max: 16_384,
            running_max: 128,
            accounts_max: 1_024,
            replicas_max: 0,
            adapters_max: 0,
            adapter_slots_max: 8,
            step_tokens_max: Tokens(2_048),
            steps_in_flight_max: 2,
            prompt_tokens_max: Tokens(131_072),
            output_tokens_max: Tokens(131_072),
        }
    }
}

/// Those of [`Preset::Balanced`]; the table of keys has the reasons.
impl Default for BatchRules {
    fn default() -> Self {
        Self {
            mode: EngineMode::Mixed,
            triage: true,
            prefill_floor_tokens: Tokens(64),
            deadline_margin_ratio: 0.95,
            background_step_ratio: 0.8,
            slack_lending_ratio: 1.0,
            work_delay_ratio: 2.0,
            urgency_credit_tokens: 50_000.0,
            late_ratio: 0.005,
            prompt_token_cost: 1.0,
            cached_token_cost: 0.0,
            output_token_cost: 5.0,
            preemptions_max: 2,
            kv_overflow_risk_ratio: 0.1,
            model_memory_steps: 1_000,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_is_valid_and_found_by_its_name() {
        for preset in Preset::ALL {
            assert_eq!(preset.policy().check(), Ok(()), "{}", preset.name());
            assert_eq!(Preset::from_name(preset.name()), Some(preset));
        }
        assert_eq!(Preset::from_name("Balanced"), None);
        assert_eq!(Preset::default().policy(), Policy::default());
    }

    #[test]
    fn presets_lean_the_way_their_names_say() {
        let [interactive, balanced, throughput] = Preset::ALL.map(Preset::policy);
        for pair in [[&interactive, &balanced], [&balanced, &throughput]] {
            let [calm, eager] = pair.map(|policy| &policy.batch);
            assert!(calm.prefill_floor_tokens < eager.prefill_floor_tokens);
            assert!(calm.deadline_margin_ratio <= eager.deadline_margin_ratio);
            assert!(calm.background_step_ratio < eager.background_step_ratio);
            assert!(calm.late_ratio < eager.late_ratio);
            let guaranteed = pair.map(|policy| policy.classes[1].guaranteed_ratio);
            assert!(guaranteed[0] <= guaranteed[1]);
            let promised = |policy: &Policy| {
                policy.classes.iter().map(|c| (c.ttft_target, c.tpot_target)).collect::<Box<[_]>>()
            };
            assert_eq!(promised(pair[0]), promised(pair[1]));
        }
        assert!(balanced.limits.step_tokens_max < throughput.limits.step_tokens_max);
    }

    /// Waiting for the whole target costs about the same in both classes.
    #[test]
    fn patience_and_worth_of_batch_agree() {
        let [interactive, batch] = [0, 1].map(|i| Policy::default().classes[i].clone());
        let cost = |class: &Class| class.ttft_target.as_seconds() * class.delay_value;
        assert!((cost(&interactive) / cost(&batch) - 1.0).abs() < 0.02);
    }
}
