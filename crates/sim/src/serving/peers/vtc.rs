//! Virtual token counter: fair shares between accounts, first come first served within each.
//!
//! # What it decides
//! Each account has a counter of the service it got. The next request admitted is the oldest of
//! the waiting account with the smallest counter; the first that does not fit ends admission.
//!
//! # Formula
//! ```text
//! admission           c_u += w_p * prompt tokens / weight
//! each output token   c_u += w_q / weight
//! an account joins with nothing of its own waiting:
//!     others wait     c_u = max(c_u, min of the waiting accounts' counters)
//!     nobody waits    c_u = max(c_u, counter of the account that left the queue last)
//! ```
//! `w_p = 1`, `w_q = 2` unless `output-cost` says otherwise. A preempted request is not charged for
//! its prompt again, and its return to the queue is no join. With triage, accounts that still have
//! requests in time go first.
//!
//! # Bounds and cost
//! For two accounts that are backlogged all the while, the difference of service stays within
//! `2 * max(w_p * longest prompt, w_q * tokens in a batch)`. O(waiting accounts) an admission.
//!
//! # What it is bad at
//! It knows neither classes nor targets; a costly prompt and a cheap one count by tokens alone.
//!
//! # Source
//! "Fairness in Serving Large Language Models" (OSDI '24, arXiv 2401.00588), algorithm 2, with the
//! weights of its section 4. Ties go to the account that comes first in the workload.

use super::base::Rules;
use super::waiting::{Place, Waiting};
use crate::serving::state::Facts;
use crate::workload::Workload;

/// Service of one prompt token.
const PROMPT_TOKEN_COST: f64 = 1.0;

/// Service of one output token, unless told otherwise.
pub const OUTPUT_TOKEN_COST_DEFAULT: f64 = 2.0;

/// A counter for each account.
#[derive(Clone, Debug)]
pub struct Vtc {
    counters: Box<[f64]>,
    output_token_cost: f64,
    weights: Box<[f64]>,
    /// The account whose request left the queue last.
    left_last: Option<u32>,
}

impl Vtc {
    /// All counters at zero, for the accounts of `workload`; an output token counts as
    /// `output_token_cost` prompt tokens.
    pub fn new(workload: &Workload, output_token_cost: f64) -> Self {
        Self {
            output_token_cost,
            counters: vec![0.0; workload.accounts.len()].into_boxed_slice(),
            weights: workload.accounts.iter().map(|account| account.weight).collect(),
            left_last: None,
        }
    }

    /// Service so far of each account, divided by its weight and lifted where it was away.
    pub fn counters(&self) -> &[f64] {
        &self.counters
    }

    fn charge(&mut self, account: u32, cost: f64) {
        self.counters[account as usize] += cost / self.weights[account as usize];
    }
}

impl Rules for Vtc {
    fn lanes(&self) -> usize {
        self.counters.len()
    }

    fn place(&self, facts: &Facts) -> Place {
        Place { lane: facts.account, rank: 0 }
    }

    fn next_lane(&self, waiting: &Waiting) -> Option<u32> {
        waiting.lanes_occupied().min_by(|a, b| {
            let by_counter = self.counters[*a as usize].total_cmp(&self.counters[*b as usize]);
            waiting.is_late(*a).cmp(&waiting.is_late(*b)).then(by_counter)
        })
    }

    fn on_submit(&mut self, facts: &Facts, waiting: &Waiting) {
        if waiting.is_occupied(facts.account) {
            return;
        }
        let counter = |account: u32| self.counters[account as usize];
        let others = waiting.lanes_occupied().map(counter).min_by(f64::total_cmp);
        if let Some(floor) = others.or_else(|| self.left_last.map(counter)) {
            let own = &mut self.counters[facts.account as usize];
            *own = own.max(floor);
        }
    }

    fn on_admit(&mut self, facts: &Facts, first_time: bool) {
        self.left_last = Some(facts.account);
        if first_time {
            self.charge(facts.account, PROMPT_TOKEN_COST * f64::from(facts.prompt_tokens));
        }
    }

    fn on_token(&mut self, facts: &Facts) {
        self.charge(facts.account, self.output_token_cost);
    }
}
