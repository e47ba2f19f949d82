//! Replicas: how they come, report, drain, fail and go.

use rampmeter::policy::EngineMode;
use rampmeter::route::{ReplicaId, ReplicaSpec, ReplicaState, Status};
use rampmeter::{Blocks, Error, Nanos};

use super::rampmeter_router;
use crate::boundary::{change, change_told, look};
use crate::engine::{rampmeter_engine, taken};
use crate::error::{Fault, Told as _, rampmeter_error};
use crate::memory::{Out, flag, take, versioned};
use crate::status::rampmeter_status;

/// rampmeter_replica_spec::mode: it computes prompts and decodes.
pub const RAMPMETER_REPLICA_MIXED: u32 = 0;
/// It computes prompts, and hands the KV on.
pub const RAMPMETER_REPLICA_PREFILL: u32 = 1;
/// It decodes what others hand on.
pub const RAMPMETER_REPLICA_DECODE: u32 = 2;

/// rampmeter_router_status(): the replica may be chosen.
pub const RAMPMETER_REPLICA_READY: u32 = 0;
/// It finishes what it has and gets nothing new.
pub const RAMPMETER_REPLICA_DRAINING: u32 = 1;
/// It lost what it had, and gets nothing until it returns.
pub const RAMPMETER_REPLICA_FAILED: u32 = 2;

const _: () = {
    assert!(RAMPMETER_REPLICA_READY == Status::Ready as u32);
    assert!(RAMPMETER_REPLICA_DRAINING == Status::Draining as u32);
    assert!(RAMPMETER_REPLICA_FAILED == Status::Failed as u32);
};

/// What a replica is, besides its engine. Set all of it to 0, then `size`, then what is known.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_replica_spec {
    /// Bytes of this structure as the caller knows it.
    pub size: u32,
    /// Requests that may run at once, up to 16,777,216; 0: 128.
    pub running_max: u32,
    /// Tokens that one step may compute, up to 16,777,216; 0: 2,048.
    pub step_tokens_max: u32,
    /// RAMPMETER_REPLICA_MIXED, RAMPMETER_REPLICA_PREFILL or RAMPMETER_REPLICA_DECODE.
    pub mode: u32,
    /// Replicas of one group reach each other over fast links; below `link_groups_max`.
    pub link_group: u32,
    /// Must be 0.
    pub reserved: u32,
    /// When it can begin: later than now while weights are loaded; 0: at once.
    pub ready_at_ns: u64,
    /// Seconds to load a block of the router's `block_tokens` from memory of the host, 0 to 3,600.
    pub host_load_s_per_block: f64,
    /// Seconds to load such a block from a disk, 0 to 3,600.
    pub disk_load_s_per_block: f64,
    /// Seconds to load an adapter, 0 to 3,600.
    pub adapter_load_s: f64,
}
versioned!(rampmeter_replica_spec, 56);

/// What an engine says about itself. Set all of it to 0, then `size`, then what is known.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_replica_state {
    /// Bytes of this structure as the caller knows it.
    pub size: u32,
    /// Requests that have begun and not ended.
    pub running: u32,
    /// Requests that have not begun.
    pub waiting: u32,
    /// KV blocks that nobody holds.
    pub kv_blocks_free: u32,
    /// When it was so, on the router's clock; not after the call that reports it. 0: now.
    pub as_of_ns: u64,
    /// KV tokens of the running requests, up to 2^44.
    pub context_tokens: u64,
    /// Prompt tokens that are still to be computed, of waiting and running requests, up to 2^44.
    pub prefill_tokens: u64,
    /// 1: the field before is set; 0: the engine does not say, and the router keeps its own account.
    pub prefill_tokens_known: u8,
    /// Must be 0.
    pub reserved: [u8; 7],
}
versioned!(rampmeter_replica_state, 48);

impl rampmeter_replica_spec {
    fn spec(&self, engine: &rampmeter_engine) -> Result<ReplicaSpec, Fault> {
        rampmeter::error::check_range("reserved", self.reserved.into(), 0, 0)?;
        let mode = match self.mode {
            RAMPMETER_REPLICA_MIXED => EngineMode::Mixed,
            RAMPMETER_REPLICA_PREFILL => EngineMode::Prefill,
            RAMPMETER_REPLICA_DECODE => EngineMode::Decode,
            mode => {
                let (value, max) = (mode.into(), RAMPMETER_REPLICA_DECODE.into());
                return Err(Error::Range { field: "mode", value, min: 0, max }.into());
            }
        };
        let default = ReplicaSpec::new(engine.model()?, engine.kv()?);
        let some = |given: u32, default: u32| if given == 0 { default } else { given };
        Ok(ReplicaSpec {
            running_max: some(self.running_max, default.running_max),
            step_tokens_max: some(self.step_tokens_max, default.step_tokens_max),
            mode,
            link_group: self.link_group,
            ready_at: Nanos(self.ready_at_ns),
            host_load_s_per_block: self.host_load_s_per_block,
            disk_load_s_per_block: self.disk_load_s_per_block,
            adapter_load_s: self.adapter_load_s,
            ..default
        })
    }
}

impl rampmeter_replica_state {
    fn state(&self, now_ns: u64) -> Result<ReplicaState, Fault> {
        if let Some(byte) = self.reserved.iter().find(|byte| **byte != 0) {
            let (field, value) = ("reserved", (*byte).into());
            return Err(Error::Range { field, value, min: 0, max: 0 }.into());
        }
        let known = flag(self.prefill_tokens_known, "prefill_tokens_known")?;
        Ok(ReplicaState {
            as_of: Nanos(if self.as_of_ns == 0 { now_ns } else { self.as_of_ns }),
            running: self.running,
            waiting: self.waiting,
            context_tokens: self.context_tokens,
            kv_free: Blocks(self.kv_blocks_free),
            prefill_tokens: known.then_some(self.prefill_tokens),
        })
    }
}

/// A replica comes; it may be chosen at once, at the price of its cold start.
///
/// Fails: E_TIME_REVERSED, E_RANGE, E_RANGE_REAL, E_FULL (`replicas_max`), E_SIZE, E_TOO_NEW,
/// E_POINTER. `engine` and `spec` are read and not kept. Allocates: no. Blocks: no. Threads: one at a
/// time for each router. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_router_add_replica(
    router: *mut rampmeter_router,
    now_ns: u64,
    engine: *const rampmeter_engine,
    spec: *const rampmeter_replica_spec,
    replica: *mut u64,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change(router, error, |router| {
            let out = Out::new(replica, "replica")?;
            let (engine, spec) = (taken(engine)?, take(spec, "spec")?);
            out.set(router.add_replica(Nanos(now_ns), &spec.spec(&engine)?)?.to_raw());
            Ok(())
        })
    }
}

/// A report of a replica arrives: what it says replaces what was thought, and what was routed since
/// is added to it. `*is_news` is 0 if one that is no older arrived before: nothing is changed then.
///
/// Fails: E_TIME_REVERSED, E_STALE, E_RANGE, E_SIZE, E_TOO_NEW, E_POINTER. Allocates: no. Blocks: no.
/// Threads: one at a time for each router. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_router_report(
    router: *mut rampmeter_router,
    now_ns: u64,
    replica: u64,
    state: *const rampmeter_replica_state,
    is_news: *mut u32,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change_told(router, error, |router| {
            let out = Out::new(is_news, "is_news").told(error)?;
            let state = take(state, "state").told(error)?.state(now_ns).told(error)?;
            let is_news = router.report(Nanos(now_ns), ReplicaId::from_raw(replica), &state);
            out.set(is_news.told(error)?.into());
            Ok(())
        })
    }
}

/// A replica finishes what it has and gets nothing new, until rampmeter_router_resume().
///
/// Fails: E_TIME_REVERSED, E_STALE, E_POINTER. Allocates: no. Blocks: no. Threads: one at a time for
/// each router. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_router_drain(
    router: *mut rampmeter_router,
    now_ns: u64,
    replica: u64,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change(router, error, |router| {
            Ok(router.drain(Nanos(now_ns), ReplicaId::from_raw(replica))?)
        })
    }
}

/// A replica lost its requests and its cache, and gets nothing until rampmeter_router_resume().
/// `*requests` is how many it had: route these anew. rampmeter_router_ended() for them may be said or
/// not, except that each takes its place until then. Takes time in proportion to the known blocks.
///
/// Fails: E_TIME_REVERSED, E_STALE, E_POINTER. Allocates: no. Blocks: no. Threads: one at a time for
/// each router. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_router_fail(
    router: *mut rampmeter_router,
    now_ns: u64,
    replica: u64,
    requests: *mut u32,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change(router, error, |router| {
            let out = Out::new(requests, "requests")?;
            out.set(router.fail(Nanos(now_ns), ReplicaId::from_raw(replica))?);
            Ok(())
        })
    }
}

/// A replica that was drained or failed may be chosen again, from `ready_at_ns` on (0: at once).
///
/// Fails: E_TIME_REVERSED, E_STALE, E_POINTER. Allocates: no. Blocks: no. Threads: one at a time for
/// each router. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_router_resume(
    router: *mut rampmeter_router,
    now_ns: u64,
    replica: u64,
    ready_at_ns: u64,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change(router, error, |router| {
            let replica = ReplicaId::from_raw(replica);
            Ok(router.resume(Nanos(now_ns), replica, Nanos(ready_at_ns))?)
        })
    }
}

/// A replica goes for good, and its requests with it: their handles and its own are stale. Of a pair,
/// one that decodes elsewhere goes on. Takes time in proportion to the known blocks and `requests_max`.
///
/// Fails: E_TIME_REVERSED, E_STALE, E_POINTER. Allocates: no. Blocks: no. Threads: one at a time for
/// each router. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_router_remove_replica(
    router: *mut rampmeter_router,
    now_ns: u64,
    replica: u64,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change(router, error, |router| {
            Ok(router.remove_replica(Nanos(now_ns), ReplicaId::from_raw(replica))?)
        })
    }
}

/// Whether a replica may be chosen: RAMPMETER_REPLICA_READY, RAMPMETER_REPLICA_DRAINING or
/// RAMPMETER_REPLICA_FAILED.
///
/// Fails: E_STALE, E_POINTER. Allocates: no. Blocks: no. Threads: any number, while nobody changes
/// the router. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_router_status(
    router: *const rampmeter_router,
    replica: u64,
    status: *mut u32,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(router, error, |router| {
            let out = Out::new(status, "status")?;
            out.set(router.status(ReplicaId::from_raw(replica))? as u32);
            Ok(())
        })
    }
}
