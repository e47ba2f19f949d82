//! Requests: where they go, and what became of them.

use rampmeter::error::check_range;
use rampmeter::route::{RouteId, RouteRequest, Routed, RoutedPair};
use rampmeter::{Nanos, Tokens};

use super::rampmeter_router;
use crate::boundary::{answer, change_told};
use crate::error::{Fault, Told as _, rampmeter_error};
use crate::memory::{Out, OutSized, array, array_mut, take, versioned};
use crate::status::rampmeter_status;

/// A request that is to be routed. Set all of it to 0, then `size`, then what is known.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_route_request {
    /// Bytes of this structure as the caller knows it.
    pub size: u32,
    /// Place of its class in the policy.
    pub class_index: u32,
    /// Length of the prompt, at least 1.
    pub prompt_tokens: u32,
    /// Elements of `hashes`.
    pub hashes_len: u32,
    /// The adapter that it needs, by any number of the host; 0: none.
    pub adapter: u64,
    /// Names of the full blocks of `block_tokens` tokens of its prompt, in order; none where nothing
    /// is known.
    pub hashes: *const u64,
}
versioned!(rampmeter_route_request, 32);

/// Where a request goes. Set `size` before.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_routed {
    /// Bytes of this structure as the caller knows it.
    pub size: u32,
    /// Prompt tokens that the replica is taken to have, or to load.
    pub cached_tokens: u32,
    /// Name of the request in the calls that tell what became of it; 0: no replica may be chosen, and
    /// nothing has changed.
    pub request: u64,
    /// The replica that takes it.
    pub replica: u64,
    /// Predicted seconds until its first token.
    pub ttft_s: f64,
    /// What was compared, in value-seconds: with what others lose.
    pub cost: f64,
    /// Replicas that were looked at.
    pub candidates: u32,
    /// 1: no replica has reported in time; this one is the best by what was known last. A host that
    /// would rather refuse ends the request with 0 tokens and turns it away.
    pub stale: u8,
    /// 0.
    pub reserved: [u8; 3],
}
versioned!(rampmeter_routed, 48);

/// A pair of replicas for a request. Set `size` before.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_routed_pair {
    /// Bytes of this structure as the caller knows it.
    pub size: u32,
    /// Prompt tokens that the prefill replica is taken to have, or to load.
    pub cached_tokens: u32,
    /// Name of the request in the calls that tell what became of it; 0: there is no pair, and nothing
    /// has changed.
    pub request: u64,
    /// Computes the prompt.
    pub prefill: u64,
    /// Takes the KV over and decodes.
    pub decode: u64,
    /// Seconds to hand the KV on; part of `ttft_s`.
    pub transfer_s: f64,
    /// Predicted seconds until the first token is out at the decode replica.
    pub ttft_s: f64,
    /// What was compared, in value-seconds.
    pub cost: f64,
    /// 1: one of the two has not reported in time, and no other that does its half has.
    pub stale: u8,
    /// 0.
    pub reserved: [u8; 7],
}
versioned!(rampmeter_routed_pair, 64);

impl rampmeter_route_request {
    #[inline]
    pub(super) fn request(&self) -> Result<RouteRequest, Fault> {
        check_range("class_index", self.class_index.into(), 0, u16::MAX.into())?;
        Ok(RouteRequest {
            class: self.class_index as u16,
            prompt_tokens: Tokens(self.prompt_tokens),
            adapter: self.adapter,
        })
    }

    /// # Safety
    /// As [`array`].
    #[inline]
    pub(super) unsafe fn hashes<'a>(&self) -> Result<&'a [u64], Fault> {
        // SAFETY: passed on.
        unsafe { array(self.hashes, self.hashes_len as usize, "request.hashes") }
    }
}

impl From<Option<Routed>> for rampmeter_routed {
    #[inline]
    fn from(routed: Option<Routed>) -> Self {
        let nowhere = Self {
            size: 0,
            cached_tokens: 0,
            request: 0,
            replica: 0,
            ttft_s: 0.0,
            cost: 0.0,
            candidates: 0,
            stale: 0,
            reserved: [0; 3],
        };
        routed.map_or(nowhere, |routed| Self {
            cached_tokens: routed.cached_tokens.get(),
            request: routed.request.to_raw(),
            replica: routed.replica.to_raw(),
            ttft_s: routed.ttft_s,
            cost: routed.cost,
            candidates: routed.candidates,
            stale: routed.stale.into(),
            ..nowhere
        })
    }
}

impl From<Option<RoutedPair>> for rampmeter_routed_pair {
    fn from(routed: Option<RoutedPair>) -> Self {
        let nowhere = Self {
            size: 0,
            cached_tokens: 0,
            request: 0,
            prefill: 0,
            decode: 0,
            transfer_s: 0.0,
            ttft_s: 0.0,
            cost: 0.0,
            stale: 0,
            reserved: [0; 7],
        };
        routed.map_or(nowhere, |routed| Self {
            cached_tokens: routed.cached_tokens.get(),
            request: routed.request.to_raw(),
            prefill: routed.prefill.to_raw(),
            decode: routed.decode.to_raw(),
            transfer_s: routed.transfer_s,
            ttft_s: routed.ttft_s,
            cost: routed.cost,
            stale: routed.stale.into(),
            ..nowhere
        })
    }
}

/// Writes the names of the full blocks of `block_tokens` tokens to the front of `hashes`, as many as
/// fit, and how many into `*hashes_len`. Two prompts give a block the same name exactly where they
/// agree up to its end, and have the same `root`: anything that must not share, such as a number for
/// the model or the tenant. No cryptographic hash: an engine must not reuse KV by it.
///
/// Fails: E_POINTER, E_RANGE. Allocates: no. Blocks: no. Threads: any. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_hash_blocks(
    root: u64,
    tokens: *const u32,
    tokens_len: usize,
    block_tokens: u32,
    hashes: *mut u64,
    capacity: usize,
    hashes_len: *mut usize,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        answer(error, || {
            let out = Out::new(hashes_len, "hashes_len")?;
            let tokens = array(tokens, tokens_len, "tokens")?;
            let hashes = array_mut(hashes, capacity, "hashes")?;
            out.set(rampmeter::route::hash_blocks(root, tokens, block_tokens, hashes));
            Ok(())
        })
    }
}

/// Sends a request to the cheapest replica that computes whole requests. `routed->request` is 0 if
/// none may be chosen.
///
/// Fails: E_TIME_REVERSED, E_RANGE (class, length of the prompt), E_FULL (`requests_max`), E_SIZE,
/// E_TOO_NEW, E_POINTER. Allocates: no. Blocks: no. Threads: one at a time for each router.
/// Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_router_route(
    router: *mut rampmeter_router,
    now_ns: u64,
    request: *const rampmeter_route_request,
    routed: *mut rampmeter_routed,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change_told(router, error, |router| {
            let out = OutSized::new(routed, "routed").told(error)?;
            let request = take(request, "request").told(error)?;
            let asked = request.request().told(error)?;
            let hashes = request.hashes().told(error)?;
            out.set(router.route(Nanos(now_ns), &asked, hashes).told(error)?.into());
            Ok(())
        })
    }
}

/// Sends a request to the cheapest pair of a prefill and a decode replica. `pair->request` is 0
/// unless there is one of each. Of the calls that follow, rampmeter_router_started() and
/// rampmeter_router_first_token() are about the prompt; decoding begins with the first token.
///
/// Fails, and so on: as rampmeter_router_route(). Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_router_route_pair(
    router: *mut rampmeter_router,
    now_ns: u64,
    request: *const rampmeter_route_request,
    pair: *mut rampmeter_routed_pair,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change_told(router, error, |router| {
            let out = OutSized::new(pair, "pair").told(error)?;
            let request = take(request, "request").told(error)?;
            let asked = request.request().told(error)?;
            let hashes = request.hashes().told(error)?;
            out.set(router.route_pair(Nanos(now_ns), &asked, hashes).told(error)?.into());
            Ok(())
        })
    }
}

/// A replica began to compute the prompt of a request, and found `cached_tokens` of it.
///
/// Fails: E_TIME_REVERSED, E_STALE, E_RANGE (beyond the prompt), E_CONTRADICTION (it had begun
/// before), E_POINTER. Allocates: no. Blocks: no. Threads: one at a time for each router. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_router_started(
    router: *mut rampmeter_router,
    now_ns: u64,
    request: u64,
    cached_tokens: u32,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change_told(router, error, |router| {
            let request = RouteId::from_raw(request);
            router.started(Nanos(now_ns), request, Tokens(cached_tokens)).told(error)
        })
    }
}

/// The first token of a request is out.
///
/// Fails: E_TIME_REVERSED, E_STALE, E_CONTRADICTION (it was out before), E_POINTER. Allocates: no.
/// Blocks: no. Threads: one at a time for each router. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_router_first_token(
    router: *mut rampmeter_router,
    now_ns: u64,
    request: u64,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change_told(router, error, |router| {
            router.first_token(Nanos(now_ns), RouteId::from_raw(request)).told(error)
        })
    }
}

/// A request ended, with so many tokens of answer: it was done, cancelled, or failed. Its handle is
/// stale from now on. One with an answer had its first token, said or not: where it was not, it is
/// taken to have come when it was foreseen. Say 0 tokens of one that went before its first token.
///
/// Fails: E_TIME_REVERSED, E_STALE, E_RANGE, E_POINTER. Allocates: no. Blocks: no. Threads: one at a
/// time for each router. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_router_ended(
    router: *mut rampmeter_router,
    now_ns: u64,
    request: u64,
    output_tokens: u32,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change_told(router, error, |router| {
            let request = RouteId::from_raw(request);
            router.ended(Nanos(now_ns), request, Tokens(output_tokens)).told(error)
        })
    }
}
