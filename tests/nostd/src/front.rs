//! What stands before engines, in static memory: a router over a few replicas, and a gate.

use alloc::boxed::Box;
use core::ffi::c_int;
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};

use rampmeter::engine::profile::PROFILES;
use rampmeter::headroom::gate::{Gate, Ticket};
use rampmeter::policy::{Account, Limits, Policy};
use rampmeter::route::{
    Candidate, ReplicaId, ReplicaSpec, ReplicaState, RouteId, RouteRequest, Router, RouterOptions,
    Tier,
};
use rampmeter::share::AccountId;
use rampmeter::{Blocks, Error, Nanos, Tokens};

use super::NO_DESK;

/// Blocks of the longest prompt, and replicas.
const BLOCKS: usize = 16;
const REPLICAS: usize = 4;

struct Desk {
    router: Router,
    replicas: [ReplicaId; REPLICAS],
    gate: Gate,
    account: AccountId,
    policy: Policy,
}

static DESK: AtomicPtr<Desk> = AtomicPtr::new(ptr::null_mut());

/// Runs `call` on the desk; 0 or the code of the error.
fn on_desk(call: impl FnOnce(&mut Desk) -> Result<(), Error>) -> c_int {
    // SAFETY: the pointer is null or came from `Box::leak`, and one thread calls, one call at a
    // time, so no other reference is alive.
    let Some(desk) = (unsafe { DESK.load(Ordering::Acquire).as_mut() }) else { return NO_DESK };
    match call(desk) {
        Ok(()) => 0,
        Err(error) => error.code(),
    }
}

/// Builds the router and the gate.
#[unsafe(no_mangle)]
pub extern "C" fn nostd_front_create(requests_max: u32, servers: u32) -> c_int {
    match create(requests_max, servers) {
        Ok(desk) => {
            DESK.store(Box::leak(Box::new(desk)), Ordering::Release);
            0
        }
        Err(error) => error.code(),
    }
}

fn create(requests_max: u32, servers: u32) -> Result<Desk, Error> {
    let limits =
        Limits { requests_max, running_max: servers, accounts_max: 4, ..Limits::default() };
    let policy =
        Policy::default().with_limits(limits).with_accounts(Box::from([Account::new("all", 1.0)]));
    // An index that is soon full: what is forgotten makes room.
    let options = RouterOptions {
        replicas_max: REPLICAS as u32,
        requests_max,
        blocks_max: 64,
        sets_max: 64,
        prompt_blocks_max: BLOCKS as u32,
        ..RouterOptions::default()
    };
    let mut router = Router::new(&policy, &options)?;
    let spec = ReplicaSpec::of(&PROFILES[0])?;
    let mut replicas = [ReplicaId::default(); REPLICAS];
    for replica in &mut replicas {
        *replica = router.add_replica(Nanos::ZERO, &spec)?;
    }
    let gate = Gate::new(&policy, servers)?;
    let account = gate.policy_account(0).unwrap_or_default();
    Ok(Desk { router, replicas, gate, account, policy })
}

/// Routes a request whose prompt has `blocks` blocks, named from `first` on.
///
/// # Safety
/// `request` points to a `uint64_t` that may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nostd_route(
    now_ns: u64,
    class: u16,
    first: u64,
    blocks: u32,
    request: *mut u64,
) -> c_int {
    on_desk(|desk| {
        let hashes: [u64; BLOCKS] = core::array::from_fn(|place| first + place as u64);
        let hashes = &hashes[..(blocks as usize).min(BLOCKS)];
        let wanted =
            RouteRequest { class, prompt_tokens: Tokens(blocks * 16), ..RouteRequest::default() };
        let now = Nanos(now_ns);
        desk.router.explain(now, &wanted, hashes, &mut [Candidate::default(); REPLICAS])?;
        let routed = desk.router.route(now, &wanted, hashes)?;
        let id = routed.map_or(RouteId::default(), |routed| routed.request);
        // SAFETY: the caller vouches for the pointer.
        unsafe { request.write(id.to_raw()) };
        Ok(())
    })
}

/// A request begins, gets its first token, and ends.
#[unsafe(no_mangle)]
pub extern "C" fn nostd_route_ended(now_ns: u64, request: u64, output_tokens: u32) -> c_int {
    on_desk(|desk| {
        let (now, id) = (Nanos(now_ns), RouteId::from_raw(request));
        desk.router.started(now, id, Tokens(0))?;
        desk.router.first_token(now, id)?;
        desk.router.ended(now, id, Tokens(output_tokens))
    })
}

/// A replica reports, tells what it holds, fails and returns, and the policy is changed.
#[unsafe(no_mangle)]
pub extern "C" fn nostd_route_told(now_ns: u64, replica: u32, first: u64, fails: bool) -> c_int {
    on_desk(|desk| {
        let (now, id) = (Nanos(now_ns), desk.replicas[replica as usize % REPLICAS]);
        let state = ReplicaState { as_of: now, kv_free: Blocks(1), ..ReplicaState::default() };
        desk.router.report(now, id, &state)?;
        desk.router.stored(now, id, Tier::Host, &[first, first + 1])?;
        desk.router.removed(now, id, Tier::Device, &[first])?;
        if fails {
            desk.router.fail(now, id)?;
            desk.router.resume(now, id, now)?;
        }
        desk.router.set_policy(&desk.policy)
    })
}

/// Requests routed, or 0 without a desk.
#[unsafe(no_mangle)]
pub extern "C" fn nostd_routes() -> u64 {
    let mut routes = 0;
    on_desk(|desk| {
        routes = desk.router.stats().decisions;
        Ok(())
    });
    routes
}

/// A request comes in. `ticket` is 0 where it is turned away.
///
/// # Safety
/// `ticket` points to a `uint64_t` that may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nostd_admit(
    now_ns: u64,
    class: u32,
    work: u32,
    ticket: *mut u64,
) -> c_int {
    on_desk(|desk| {
        let admission = desk.gate.admit(Nanos(now_ns), class, desk.account, work)?;
        let raw = admission.ticket().unwrap_or_default().to_raw();
        // SAFETY: the caller vouches for the pointer.
        unsafe { ticket.write(raw) };
        Ok(())
    })
}

/// A request is gone, wherever it was; whose turn it is starts, and who gave up is read.
#[unsafe(no_mangle)]
pub extern "C" fn nostd_left(now_ns: u64, ticket: u64) -> c_int {
    on_desk(|desk| {
        let now = Nanos(now_ns);
        desk.gate.left(now, Ticket::from_raw(ticket))?;
        if let Some(next) = desk.gate.next(now)? {
            desk.gate.dequeue(now, next)?;
        }
        desk.gate.given_up(now)?;
        desk.gate.outlook(now, 0)?;
        let opened = desk.gate.open_account(None, 1.0)?;
        desk.gate.close_account(opened)?;
        desk.gate.apply(&desk.policy)
    })
}

/// Requests that the gate let in, or 0 without a desk.
#[unsafe(no_mangle)]
pub extern "C" fn nostd_admitted() -> u64 {
    let mut admitted = 0;
    on_desk(|desk| {
        let stats = desk.gate.stats();
        admitted = stats.admitted + stats.held;
        Ok(())
    });
    admitted
}
