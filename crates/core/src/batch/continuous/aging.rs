//! Nobody waits for ever: what is owed to classes, and to late requests inside their account.
//!
//! # What it decides
//! How much of the work goes to those whom the order would leave behind.
//!
//! # Formula
//! ```text
//! share of a class      s_c = max(guaranteed_ratio_c, late_ratio / classes with work waiting);
//!                       the first class goes first anyway, and has its guarantee alone
//! owed to a class       += s_c * cost of everybody's service, while it has work waiting
//! owed to late ones     += late_ratio * cost of their account's service in their class, while
//!                       some are known
//! ```
//! While something is owed to a class, its head goes first; while something is owed to the late
//! requests of an account whose turn it is, the oldest of them goes before what is in time. Both
//! are debts, paid off by service, below 0 only by what the debt itself let in
//! (`docs/decisions/0003-guarantees-are-debts.md`). Of the prompts that have begun, in every
//! `1 / late_ratio`-th step the oldest goes first.
//!
//! # Bounds and cost
//! A request of account `a` in class `c` is found late at the first look at its account after
//! `deadline + work_delay_ratio * prefill_s`. From then on it gets its seat before all accounts
//! together, in all classes, have been served
//! ```text
//! U = (N * (S + 2 * (P + credit)) + C * (P + cap)) / s_c         in prompt tokens
//! S = (W + P) / late_ratio + P
//! P = w_p * L + w_q * M
//! ```
//! - `W`: cost of the requests of `a` in `c` that came before it and have no seat yet, and of the
//!   output still to come of those that have;
//! - `S`: service that `a` can get in `c` meanwhile. At least `late_ratio` of it goes to its late
//!   requests, oldest first, but for what was paid in advance; with nothing of `a` in time, all;
//! - `N`: accounts that wait in `c`. Each other one gets at most the fairness bound more than `a`
//!   (`share`); with weights, in proportion to them;
//! - `C`: classes; `cap`: the most that can be owed; `s_c` of the first class is what is left over
//!   by the others, at least 0.01;
//! - `L`: longest prompt; `M`: most output tokens of requests that run at once.
//!
//! It holds without preemptions, while the debts stay below their cap (`C * P * s_c <= cap` is
//! enough), and while steps have room for more than the floor: where they have not, each prompt
//! that is let in before takes up to `L / prefill_floor_tokens` steps more. In time, divide by the
//! rate at which the engine serves. With triage off nothing is found late, and requests of an
//! account go by deadline: `W` counts those with an earlier one, and `S = W + P`.
//!
//! With `late_ratio` 0 there is no bound for what is late, nor for a class without guarantee.
//!
//! # What it is bad at
//! It is a guarantee against starving, not a service level: with the default ratio a late request
//! in a class that is passed over waits for many times the service that it needs.

use super::Batcher;
use super::request::Turn;
use crate::error::Error;
use crate::policy::{CLASSES_MAX, Policy};
use crate::snapshot::Words;

/// What is owed to the classes, and from what it comes.
#[derive(Debug)]
pub(super) struct Debts {
    ratios: [f64; CLASSES_MAX],
    owed: [f64; CLASSES_MAX],
    late_ratio: f64,
    /// No class is owed more than this: the credit, and at least one step. A class that could not
    /// be served for a while must not come back with a claim on minutes.
    cap: f64,
}

impl Debts {
    pub(super) const fn new() -> Self {
        let (ratios, owed) = ([0.0; CLASSES_MAX], [0.0; CLASSES_MAX]);
        Self { ratios, owed, late_ratio: 0.0, cap: 0.0 }
    }

    pub(super) fn set_policy(&mut self, policy: &Policy) {
        for (ratio, class) in self.ratios.iter_mut().zip(&policy.classes) {
            *ratio = class.guaranteed_ratio;
        }
        self.late_ratio = policy.batch.late_ratio;
        let step = f64::from(policy.limits.step_tokens_max.get()) * policy.batch.prompt_token_cost;
        self.cap = policy.batch.urgency_credit_tokens.max(step);
    }

    pub(super) fn is_owed(&self, class: usize) -> bool {
        self.owed[class] > 0.0
    }

    /// Everybody's service of `cost`: each class that waits is owed its share of it.
    pub(super) fn earn(&mut self, waiting: &[u32], cost: f64) {
        let classes = waiting.iter().filter(|requests| **requests > 0).count();
        let least = self.late_ratio / classes.max(1) as f64;
        for (class, requests) in waiting.iter().enumerate() {
            let most = if *requests > 0 { self.cap } else { 0.0 };
            let ratio = self.ratios[class];
            let ratio = if class == 0 { ratio } else { ratio.max(least) };
            earn(&mut self.owed[class], ratio * cost, most);
        }
    }

    /// A class pays for its own service.
    pub(super) fn pay(&mut self, class: usize, cost: f64, turn: Turn) {
        pay(&mut self.owed[class], cost, turn.is_of_class());
    }

    /// An account's service of `cost` in one class: `owed` is what it owes to its late requests
    /// there, `late` whether there are any, `own` whether the service was to one of them.
    pub(super) fn book_late(&self, owed: &mut f64, cost: f64, late: bool, own: Option<Turn>) {
        // It cannot grow beyond its share of what runs: from 0 on, only late ones are let in.
        earn(owed, self.late_ratio * cost, if late { f64::INFINITY } else { 0.0 });
        if let Some(turn) = own {
            pay(owed, cost, turn.is_of_late());
        }
    }

    /// The debts of so many classes; ratios and the cap are the policy's.
    pub(super) fn save_state(&self, classes: usize, save: &mut dyn FnMut(u64)) {
        let Self { ratios: _, owed, late_ratio: _, cap: _ } = self;
        owed[..classes].iter().for_each(|owed| save(owed.to_bits()));
    }

    pub(super) fn load_state(
        &mut self,
        classes: usize,
        words: &mut Words<'_>,
    ) -> Result<(), Error> {
        for owed in &mut self.owed[..classes] {
            *owed = words.next_real("owed", -f64::MAX, f64::MAX)?;
        }
        Ok(())
    }
}

/// Adds to what is owed, up to `most`; what is owed already beyond that stays.
fn earn(owed: &mut f64, earned: f64, most: f64) {
    *owed = (*owed + earned).min(owed.max(most));
}

/// Pays for service. Only service that the debt itself brought about is paid in advance: what the
/// order gives anyway must not be held against those that starve later.
fn pay(owed: &mut f64, cost: f64, in_advance: bool) {
    let rest = *owed - cost;
    *owed = if in_advance { rest } else { rest.max(owed.min(0.0)) };
}

impl Batcher {
    /// In every `1 / late_ratio`-th step the oldest prompt that has begun goes first: with a seat,
    /// too, nobody waits for ever.
    pub(super) fn lift_oldest(&mut self, partials_len: u32) {
        let ratio = self.rules.late_ratio;
        if ratio <= 0.0 || !self.steps.next_id().is_multiple_of(libm::ceil(1.0 / ratio) as u64) {
            return;
        }
        let begun = &mut self.partials[..partials_len as usize];
        if let Some(oldest) = begun.iter_mut().min_by_key(|partial| partial.sequence()) {
            oldest.put_first();
        }
    }
}
