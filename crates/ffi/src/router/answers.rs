//! Answers: what every replica would cost, and what a router holds.

use rampmeter::Nanos;
use rampmeter::route::{Candidate, Prices};

use super::{rampmeter_route_request, rampmeter_router};
use crate::boundary::{change, look};
use crate::error::rampmeter_error;
use crate::memory::{Out, OutSized, array_mut, same_layout, take, versioned};
use crate::status::rampmeter_status;

/// What a choice costs, by parts, in seconds.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_prices {
    /// Until the replica can begin at all.
    pub cold_start_s: f64,
    /// Prompts that it has.
    pub queue_s: f64,
    /// The rest of the step that runs, and steps that are planned already.
    pub step_s: f64,
    /// Until a seat is free.
    pub seats_s: f64,
    /// Until there is KV memory.
    pub kv_s: f64,
    /// Loading the adapter, after those that are loaded there at present.
    pub adapter_s: f64,
    /// Loading blocks from slower tiers.
    pub load_s: f64,
    /// Computing the rest of the prompt, with what shares its last step.
    pub prefill_s: f64,
    /// Handing the KV on, for a pair.
    pub transfer_s: f64,
    /// Slowing each other down while decoding, weighted by delay values.
    pub interference_s: f64,
    /// Who comes later waits longer, weighted by delay values.
    pub later_s: f64,
    /// Predicted time to the first token.
    pub ttft_s: f64,
    /// What is compared: value-seconds.
    pub cost: f64,
    /// Prompt tokens that are not computed.
    pub cached_tokens: u32,
    /// Means nothing.
    pub reserved: u32,
}

/// A replica that may be chosen, with what it would cost.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_candidate {
    /// The replica.
    pub replica: u64,
    /// What it costs, by parts.
    pub prices: rampmeter_prices,
    /// 1: its last report is too old; it is chosen only where all are.
    pub stale: u8,
    /// Mean nothing.
    pub reserved: [u8; 7],
    /// Seconds that prompts take here, over those that its step times promise.
    pub pace_ratio: f64,
}

same_layout!(
    rampmeter_prices = Prices {
        cold_start_s,
        queue_s,
        step_s,
        seats_s,
        kv_s,
        adapter_s,
        load_s,
        prefill_s,
        transfer_s,
        interference_s,
        later_s,
        ttft_s,
        cost,
        cached_tokens
    }
);
same_layout!(rampmeter_candidate = Candidate { replica, prices, stale, pace_ratio });

/// What a router holds, and how full it is. Set `size` before.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_stats_router {
    /// Bytes of this structure as the caller knows it.
    pub size: u32,
    /// Replicas that are there, in whatever state.
    pub replicas: u32,
    /// Replicas that may be.
    pub replicas_max: u32,
    /// Of the replicas, those that may be chosen.
    pub replicas_ready: u32,
    /// Requests that were routed and have not ended.
    pub requests: u32,
    /// Requests that may be.
    pub requests_max: u32,
    /// Blocks of prompts that it knows.
    pub blocks: u32,
    /// Blocks that it can.
    pub blocks_max: u32,
    /// Sets of holders in use.
    pub sets: u32,
    /// Sets that there are.
    pub sets_max: u32,
    /// Blocks that were forgotten for lack of room, ever.
    pub blocks_evicted: u64,
    /// Requests that were routed, ever.
    pub decisions: u64,
    /// Requests that ended after their first token, ever.
    pub ended: u64,
    /// Requests a second, of about the last 200.
    pub rate_per_s: f64,
    /// Mean tokens of an answer, of about the last 200.
    pub output_tokens_mean: f64,
}
versioned!(rampmeter_stats_router, 80);

/// What a request would cost on every replica that computes whole requests and may be chosen, to the
/// front of `candidates`, and how many into `*candidates_len`. Routes nothing. `replicas_max`
/// elements are always enough; set each of them to 0 once before its first use, as calloc() does.
///
/// Fails: E_BUFFER_TOO_SMALL, and as rampmeter_router_route(), but for E_FULL. Allocates: no. Blocks:
/// no. Threads: one at a time for each router. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_router_explain(
    router: *mut rampmeter_router,
    now_ns: u64,
    request: *const rampmeter_route_request,
    candidates: *mut rampmeter_candidate,
    capacity: usize,
    candidates_len: *mut usize,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers; the layouts are the
    // same, and every element holds zeros, which are a value of every field, or an earlier answer.
    unsafe {
        change(router, error, |router| {
            let (out, request) =
                (Out::new(candidates_len, "candidates_len")?, take(request, "request")?);
            let to = array_mut(candidates.cast::<Candidate>(), capacity, "candidates")?;
            let asked = request.request()?;
            out.set(router.explain(Nanos(now_ns), &asked, request.hashes()?, to)?);
            Ok(())
        })
    }
}

/// What the router holds, and how full it is.
///
/// Fails: E_SIZE, E_POINTER. Allocates: no. Blocks: no. Threads: any number, while nobody changes
/// the router. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_router_stats(
    router: *const rampmeter_router,
    stats: *mut rampmeter_stats_router,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(router, error, |router| {
            let (out, stats) = (OutSized::new(stats, "stats")?, router.stats());
            out.set(rampmeter_stats_router {
                size: 0,
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
            });
            Ok(())
        })
    }
}
