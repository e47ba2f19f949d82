//! How evenly those are served who do not ask for too much.
//!
//! # Formula
//! ```text
//! asked_i       = service that all requests of account i ask for
//! well behaved  : asked_i / weight_i <= sum of asked / sum of weights
//! share_i       = service that account i got up to the last arrival / asked_i
//! result        = Jain's index over share_i of the well-behaved accounts
//! ```
//! A well-behaved account asks for no more than its share by weight of all that is asked for, so
//! that a fair scheduler gives it all that it can give anybody. Weights are summed over accounts
//! that ask for anything. Prompt tokens found in the cache count like those that were computed:
//! what was asked for was delivered.
//!
//! # Why not the service of the whole run
//! A run goes on until everybody is served, so at its end service is what was asked for, whatever
//! the policy. While requests still arrive, it shows who had to wait for whom.
//!
//! # What it is bad at
//! Delay that is shared evenly looks fair, however long: read it beside attainment.

use rampmeter::outcome::measures::jain;
use rampmeter::outcome::{TokenCosts, Work};
use rampmeter::{Error, Nanos};

use crate::workload::{Request, Workload};

/// What rounding may add to the demand of an account that asks for exactly its share.
const ROUNDING: f64 = 1.0 + 1e-9;

/// What accounts asked for, and what they had got when the last request arrived.
pub(super) struct WellBehaved {
    costs: TokenCosts,
    weights: Vec<f64>,
    asked: Vec<f64>,
    served: Vec<f64>,
    /// Arrival of the last request.
    until: Nanos,
}

impl WellBehaved {
    pub(super) fn new(workload: &Workload, costs: TokenCosts) -> Self {
        let accounts = workload.accounts.len();
        let mut asked = vec![0.0; accounts];
        for request in &workload.requests {
            if let Some(asked) = asked.get_mut(request.account as usize) {
                *asked += costs.prompt * f64::from(request.prompt_tokens)
                    + costs.output * f64::from(request.output_tokens);
            }
        }
        Self {
            costs,
            weights: workload.accounts.iter().map(|account| account.weight).collect(),
            asked,
            served: vec![0.0; accounts],
            until: workload.requests.last().map_or(Nanos::ZERO, |request| request.arrival),
        }
    }

    /// A request was served.
    pub(super) fn served(&mut self, now: Nanos, request: &Request, work: Work) {
        if now > self.until {
            return;
        }
        if let Some(served) = self.served.get_mut(request.account as usize) {
            let prompt_tokens = work.prompt_tokens.saturating_add(work.cached_tokens);
            *served += self.costs.prompt * prompt_tokens as f64
                + self.costs.output * work.output_tokens as f64;
        }
    }

    /// Jain's index over those who are well behaved; 1 where there is nobody to compare.
    pub(super) fn jain(&self) -> Result<f64, Error> {
        let took_part = || self.asked.iter().zip(&self.weights).filter(|(asked, _)| **asked > 0.0);
        let asked: f64 = took_part().map(|(asked, _)| asked).sum();
        let weights: f64 = took_part().map(|(_, weight)| weight).sum();
        let most = asked / weights.max(f64::MIN_POSITIVE) * ROUNDING;
        let accounts = self.asked.iter().zip(&self.served).zip(&self.weights);
        let shares: Vec<f64> = accounts
            .filter(|((asked, _), weight)| **asked > 0.0 && **asked / **weight <= most)
            .map(|((asked, served), _)| served / asked)
            .collect();
        jain(&shares)
    }
}
