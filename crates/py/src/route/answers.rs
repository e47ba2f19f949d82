//! What a router answers.

use rampmeter::route;

use crate::record::record;

record! {
    /// Where a request goes.
    ///
    /// `request` names it in the calls that tell what became of it; `cached_tokens` are prompt tokens
    /// that the replica is taken to have, or to load; `cost` is what was compared, in value-seconds;
    /// `stale`: no replica has reported in time (a host that would rather refuse ends it with 0 tokens);
    /// `candidates` were looked at.
    "rampmeter.route" Routed {
        request: u64,
        replica: u64,
        ttft_s: f64,
        cost: f64,
        cached_tokens: u32,
        stale: bool,
        candidates: u32,
    }
}
record! {
    /// A pair of replicas for a request: `prefill` computes the prompt, `decode` takes its KV over.
    "rampmeter.route" RoutedPair {
        request: u64,
        prefill: u64,
        decode: u64,
        transfer_s: f64,
        ttft_s: f64,
        cost: f64,
        cached_tokens: u32,
        stale: bool,
    }
}
record! {
    /// What a choice costs, by parts, in seconds.
    "rampmeter.route" Prices {
        cold_start_s: f64,
        queue_s: f64,
        step_s: f64,
        seats_s: f64,
        kv_s: f64,
        adapter_s: f64,
        load_s: f64,
        prefill_s: f64,
        transfer_s: f64,
        interference_s: f64,
        later_s: f64,
        ttft_s: f64,
        cost: f64,
        cached_tokens: u32,
    }
}
record! {
    /// A replica that may be chosen, with what it would cost.
    ///
    /// `pace_ratio`: seconds that prompts take here, over those that its step times promise.
    "rampmeter.route" Candidate {
        replica: u64,
        prices: Prices,
        stale: bool,
        pace_ratio: f64,
    }
}
record! {
    /// What a router holds, and how full it is.
    "rampmeter.route" RouterStats {
        replicas: u32,
        replicas_max: u32,
        replicas_ready: u32,
        requests: u32,
        requests_max: u32,
        blocks: u32,
        blocks_max: u32,
        sets: u32,
        sets_max: u32,
        blocks_evicted: u64,
        decisions: u64,
        ended: u64,
        rate_per_s: f64,
        output_tokens_mean: f64,
    }
}

impl From<route::Routed> for Routed {
    fn from(routed: route::Routed) -> Self {
        Self {
            request: routed.request.to_raw(),
            replica: routed.replica.to_raw(),
            ttft_s: routed.ttft_s,
            cost: routed.cost,
            cached_tokens: routed.cached_tokens.get(),
            stale: routed.stale,
            candidates: routed.candidates,
        }
    }
}

impl From<route::RoutedPair> for RoutedPair {
    fn from(pair: route::RoutedPair) -> Self {
        Self {
            request: pair.request.to_raw(),
            prefill: pair.prefill.to_raw(),
            decode: pair.decode.to_raw(),
            transfer_s: pair.transfer_s,
            ttft_s: pair.ttft_s,
            cost: pair.cost,
            cached_tokens: pair.cached_tokens.get(),
            stale: pair.stale,
        }
    }
}

impl From<route::Prices> for Prices {
    fn from(prices: route::Prices) -> Self {
        Self {
            cold_start_s: prices.cold_start_s,
            queue_s: prices.queue_s,
            step_s: prices.step_s,
            seats_s: prices.seats_s,
            kv_s: prices.kv_s,
            adapter_s: prices.adapter_s,
            load_s: prices.load_s,
            prefill_s: prices.prefill_s,
            transfer_s: prices.transfer_s,
            interference_s: prices.interference_s,
            later_s: prices.later_s,
            ttft_s: prices.ttft_s,
            cost: prices.cost,
            cached_tokens: prices.cached_tokens.get(),
        }
    }
}

impl From<route::Candidate> for Candidate {
    fn from(candidate: route::Candidate) -> Self {
        Self {
            replica: candidate.replica.to_raw(),
            prices: candidate.prices.into(),
            stale: candidate.stale,
            pace_ratio: candidate.pace_ratio,
        }
    }
}

impl From<route::RouterStats> for RouterStats {
    fn from(stats: route::RouterStats) -> Self {
        Self {
            replicas: stats.replicas,
            replicas_max: stats.replicas_max,
            replicas_ready: stats.replicas_ready,
            requests: stats.requests,
            requests_max: stats.requests_max,
            blocks: stats.blocks,
            blocks_max: stats.blocks_max,
            sets: stats.sets,
            sets_max: stats.sets_max,
            blocks_evicted: stats.blocks_evicted,
            decisions: stats.decisions,
            ended: stats.ended,
            rate_per_s: stats.rate_per_s,
            output_tokens_mean: stats.output_tokens_mean,
        }
    }
}
