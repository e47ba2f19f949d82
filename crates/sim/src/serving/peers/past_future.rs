//! Past-Future: admit only what the KV cache will hold at its fullest.
//!
//! # What it decides
//! First come first served, but a request is admitted only if the *peak* of memory that all
//! running requests and this one will need together stays under the cache, less a spare part.
//!
//! # Formula
//! ```text
//! sorted by remaining output, most first:
//! peak = max over i of (remaining_i * i + sum of have_j for j <= i)
//! admit while peak <= (1 - spare) * cache
//! ```
//! `have` is what a request holds once its prompt is computed. When the i-th of that order ends,
//! the i longest have each grown by `remaining_i` and all shorter ones are gone.
//!
//! `remaining` is a forecast: a length drawn from those of the last `HISTORY_LEN` finished
//! requests that are longer than what this one has already produced; what its user allows caps it,
//! and stands in for it where no finished request was that long. Draws come from a counter-based
//! generator with a fixed seed, so that two runs are identical.
//!
//! # Bounds and cost
//! O(running log running) for each request that is looked at; no allocation once grown.
//!
//! # What it is bad at
//! Targets and accounts do not exist for it. With no history it trusts what users allow, which is
//! far too much, and starts slowly.
//!
//! # Source
//! `LightLLM`'s scheduler, "Past-Future Scheduler for LLM Serving under SLA Guarantees" (ASPLOS
//! '25, arXiv 2507.10150). Simplified: shared prefix blocks count for each request that holds
//! them; a request is always admitted to an empty engine, where `LightLLM` refuses it at the door.

use std::collections::VecDeque;

use super::base::Rules;
use crate::serving::state::EngineState;

/// Finished requests whose lengths are remembered: the paper's window.
const HISTORY_LEN: usize = 1_000;

/// Percent of the cache that is kept free of forecasts, unless told otherwise: the paper's choice.
pub const SPARE_PERCENT_DEFAULT: u32 = 3;

/// What a request holds, and what it is expected to add.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Demand {
    remaining_tokens: u64,
    have_tokens: u64,
}

/// Admission by forecast.
#[derive(Clone, Debug)]
pub struct PastFuture {
    /// Output lengths of finished requests, oldest first.
    recent: VecDeque<u32>,
    /// The same, sorted.
    sorted: Vec<u32>,
    /// Demands of those running and of the candidate, most remaining first.
    demands: Vec<Demand>,
    draws: u64,
    /// Share of the cache that forecasts may fill.
    fill_ratio: f64,
}

impl PastFuture {
    /// With an empty history; `spare_percent` (0 to 99) of the cache stays free of forecasts.
    pub fn new(spare_percent: u32) -> Self {
        let fill_ratio = f64::from(100_u32.saturating_sub(spare_percent)) / 100.0;
        Self {
            recent: VecDeque::new(),
            sorted: Vec::new(),
            demands: Vec::new(),
            draws: 0,
            fill_ratio,
        }
    }

    /// Total output length of a request that produced `produced` tokens and may produce `most`.
    fn forecast(&mut self, produced: u32, most: u32) -> u32 {
        let shorter = self.sorted.partition_point(|length| *length <= produced);
        let longer = &self.sorted[shorter..];
        if longer.is_empty() {
            return most;
        }
        self.draws += 1;
        longer[(mix(self.draws) % longer.len() as u64) as usize].min(most)
    }

    fn demand(&mut self, request: u32, engine: &EngineState<'_>) -> Demand {
        let facts = engine.facts(request);
        let produced = engine.outputs_planned(request);
        let total = self.forecast(produced, facts.output_tokens_max);
        Demand {
            remaining_tokens: u64::from(total.saturating_sub(produced)),
            have_tokens: u64::from(engine.known_tokens(request)),
        }
    }
}

/// Most tokens held at any one time, for demands in order of remaining output, most first.
fn peak_tokens(demands: &[Demand]) -> u64 {
    let mut have_tokens = 0;
    let mut peak = 0;
    for (demand, alive) in demands.iter().zip(1u64..) {
        have_tokens += demand.have_tokens;
        peak = peak.max(demand.remaining_tokens * alive + have_tokens);
    }
    peak
}

/// The splitmix64 finaliser over a counter: evenly spread numbers that never depend on anything
/// but how many were drawn before.
fn mix(counter: u64) -> u64 {
    let mut z = counter.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Rules for PastFuture {
    fn admits(&mut self, request: u32, running: &[u32], engine: &EngineState<'_>) -> bool {
        if running.is_empty() {
            return true;
        }
        self.demands.clear();
        for other in running.iter().copied().chain([request]) {
            let demand = self.demand(other, engine);
            self.demands.push(demand);
        }
        // Which of two equal ones stands first does not change the peak.
        self.demands.sort_unstable_by_key(|demand| std::cmp::Reverse(demand.remaining_tokens));
        let cache_tokens = engine.kv().geometry().tokens_max() as f64;
        peak_tokens(&self.demands) as f64 <= cache_tokens * self.fill_ratio
    }

    fn on_finish(&mut self, output_tokens: u32) {
        if self.recent.len() == HISTORY_LEN
            && let Some(oldest) = self.recent.pop_front()
        {
            let at = self.sorted.partition_point(|length| *length < oldest);
            self.sorted.remove(at);
        }
        self.recent.push_back(output_tokens);
        let at = self.sorted.partition_point(|length| *length < output_tokens);
        self.sorted.insert(at, output_tokens);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Memory step by step: each request grows by one token a step until it ends.
    fn peak_by_simulation(demands: &[Demand]) -> u64 {
        let last = demands.iter().map(|d| d.remaining_tokens).max().unwrap_or(0);
        let held = |t: u64| {
            demands.iter().filter(|d| d.remaining_tokens >= t).map(|d| d.have_tokens + t).sum()
        };
        (0..=last).map(held).max().unwrap_or(0)
    }

    proptest! {
        /// The closed form is the peak that growing token by token reaches.
        #[test]
        fn the_peak_is_what_a_simulation_reaches(
            pairs in prop::collection::vec((0u64..40, 1u64..60), 0..12),
        ) {
            let mut demands: Vec<Demand> = pairs
                .iter()
                .map(|&(remaining_tokens, have_tokens)| Demand { remaining_tokens, have_tokens })
                .collect();
            demands.sort_by_key(|demand| std::cmp::Reverse(demand.remaining_tokens));
            prop_assert_eq!(peak_tokens(&demands), peak_by_simulation(&demands));
        }
    }

    #[test]
    fn forecasts_come_from_what_was_longer() {
        let mut rules = PastFuture::new(SPARE_PERCENT_DEFAULT);
        assert_eq!(rules.forecast(0, 4_096), 4_096);
        for length in [10, 20, 30] {
            rules.on_finish(length);
        }
        let seen: std::collections::BTreeSet<u32> =
            (0..200).map(|_| rules.forecast(15, 4_096)).collect();
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), [20, 30]);
        assert_eq!(rules.forecast(30, 99), 99);
        assert!((0..50).all(|_| rules.forecast(0, 12) <= 12));
    }

    #[test]
    fn the_history_forgets_the_oldest() {
        let mut rules = PastFuture::new(SPARE_PERCENT_DEFAULT);
        rules.on_finish(7);
        for _ in 0..HISTORY_LEN {
            rules.on_finish(100);
        }
        assert_eq!(rules.sorted.len(), HISTORY_LEN);
        assert_eq!(rules.forecast(0, 4_096), 100);
    }
}
