//! What the batcher learns of its engine: how long steps take, and what an output token costs.

use super::request::CONTEXT_TOKENS_MAX;
use super::steps::StepRecord;
use super::{Batcher, Observation};
use crate::engine::{StepFit, StepFitOptions, StepFitStats, StepModel, StepShape};
use crate::error::Error;
use crate::policy::{BatchRules, Limits, Policy};
use crate::snapshot::{CONTRADICTION, Words};
use crate::units::Nanos;

/// Share of a step in the means of decodes and contexts: 256 steps, some ten seconds, within which
/// a cost that accounts are charged by should not jump.
const MEAN_GAIN: f64 = 1.0 / 256.0;

/// Context of a decoding request before one was seen, in tokens: a chat prompt and half an answer.
const CONTEXT_TOKENS_START: f64 = 1_100.0;

#[derive(Debug)]
pub(super) struct Learner {
    /// `None` where the model stays as it was given.
    fit: Option<StepFit>,
    /// When the last observed step ended.
    last_end: Nanos,
    /// Decoding requests of a step that decodes, and KV tokens of each, smoothed.
    decodes_mean: f64,
    context_mean: f64,
    /// What an output token is charged, in the unit of `batch.prompt_token_cost`.
    pub(super) output_token_cost: f64,
}

impl Learner {
    pub(super) fn new(policy: &Policy, model: StepModel) -> Result<Self, Error> {
        let mut learner = Self {
            fit: None,
            last_end: Nanos::ZERO,
            decodes_mean: f64::from(policy.limits.running_max),
            context_mean: CONTEXT_TOKENS_START,
            output_token_cost: 0.0,
        };
        learner.set_rules(&policy.batch, model)?;
        learner.weigh(&policy.batch, &policy.limits, &model);
        Ok(learner)
    }

    /// Takes changed rules. Learning that goes on with another memory begins anew from the present
    /// model.
    fn set_rules(&mut self, rules: &BatchRules, model: StepModel) -> Result<(), Error> {
        self.fit = match rules.model_memory_steps {
            0 => None,
            memory_steps => Some(StepFit::new(model, &StepFitOptions { memory_steps })?),
        };
        Ok(())
    }

    /// Sets the charge of an output token: what the policy says, or else what it measures.
    fn weigh(&mut self, rules: &BatchRules, limits: &Limits, model: &StepModel) {
        self.output_token_cost = if rules.output_token_cost > 0.0 {
            rules.output_token_cost
        } else {
            let decodes = libm::round(self.decodes_mean) as u32;
            let context = libm::round(self.context_mean) as u32;
            let chunk = limits.step_tokens_max.get();
            rules.prompt_token_cost * model.output_token_cost(decodes, context, chunk)
        };
    }

    fn note(&mut self, shape: &StepShape) {
        if shape.decode_requests == 0 {
            return;
        }
        let decodes = f64::from(shape.decode_requests);
        let context = shape.decode_context_tokens as f64 / decodes;
        self.decodes_mean += MEAN_GAIN * (decodes - self.decodes_mean);
        self.context_mean += MEAN_GAIN * (context - self.context_mean);
    }

    /// What was learned, with the memory that it was learned with. The charge follows from it.
    pub(super) fn save_state(&self, rules: &BatchRules, save: &mut dyn FnMut(u64)) {
        let Self { fit, last_end, decodes_mean, context_mean, output_token_cost: _ } = self;
        save(rules.model_memory_steps.into());
        if let Some(fit) = fit {
            fit.save_state(save);
        }
        save(last_end.get());
        save(decodes_mean.to_bits());
        save(context_mean.to_bits());
    }

    /// Takes what was learned. With another memory than that of the rules learning begins anew
    /// from the present model, as with a changed policy.
    pub(super) fn load_state(
        &mut self,
        words: &mut Words<'_>,
        rules: &BatchRules,
        limits: &Limits,
        model: &StepModel,
    ) -> Result<(), Error> {
        let memory_steps = words.next_u32("model_memory_steps")?;
        if memory_steps > 0 {
            let mut fit = StepFit::new(*model, &StepFitOptions { memory_steps })?;
            fit.load_state(words.source()).ok_or(CONTRADICTION)?;
            if memory_steps == rules.model_memory_steps {
                self.fit = Some(fit);
            }
        }
        self.last_end = Nanos(words.next()?);
        let (seats, context) = (limits.running_max.into(), CONTEXT_TOKENS_MAX.into());
        self.decodes_mean = words.next_real("decodes_mean", 0.0, seats)?;
        self.context_mean = words.next_real("context_mean", 0.0, context)?;
        self.weigh(rules, limits, model);
        Ok(())
    }
}

impl Batcher {
    /// Learns from the step that `record` describes, which was observed `now`.
    pub(super) fn learn(&mut self, now: Nanos, place: u32, seen: &Observation<'_>) {
        let StepRecord { shape, formed_at, .. } = *self.steps.record(place);
        // It could not begin before it was formed, nor before the one before it had ended.
        let began = self.learner.last_end.max(formed_at);
        let duration = seen.duration.unwrap_or(now.saturating_sub(began));
        self.learner.last_end = now;
        self.learner.note(&shape);
        if let Some(fit) = &mut self.learner.fit {
            // A step that took no time, or hours, tells nothing: it is left out.
            if fit.observe(&shape, duration).is_ok() {
                self.model = fit.model();
            }
        }
        let Self { learner, rules, limits, model, .. } = self;
        learner.weigh(rules, limits, model);
    }

    /// The rules of a changed policy, as far as learning goes.
    pub(super) fn set_learning(&mut self, policy: &Policy) -> Result<(), Error> {
        if policy.batch.model_memory_steps != self.rules.model_memory_steps {
            self.learner.set_rules(&policy.batch, self.model)?;
        }
        self.learner.weigh(&policy.batch, &policy.limits, &self.model);
        Ok(())
    }

    /// Takes a new step-time model, such as the profile of another engine. Learning begins anew
    /// from it.
    pub fn set_model(&mut self, model: StepModel) {
        self.model = model;
        let rules = self.rules;
        let set = self.learner.set_rules(&rules, model);
        debug_assert!(set.is_ok(), "the rules were checked with the policy");
        self.learner.weigh(&rules, &self.limits, &model);
        self.stalled = false;
    }

    /// The step-time model as it is now.
    #[must_use]
    pub const fn model(&self) -> StepModel {
        self.model
    }

    /// How well the model predicts steps; `None` where it does not learn.
    #[must_use]
    pub fn model_stats(&self) -> Option<StepFitStats> {
        self.learner.fit.as_ref().map(StepFit::stats)
    }

    /// What an output token is charged at present, in the unit of `batch.prompt_token_cost`.
    #[must_use]
    pub const fn output_token_cost(&self) -> f64 {
        self.learner.output_token_cost
    }
}
