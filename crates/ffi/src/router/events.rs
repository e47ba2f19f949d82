//! Events: what caches really hold, and which adapters are loaded.

use rampmeter::route::{ReplicaId, Tier};
use rampmeter::{Error, Nanos};

use super::rampmeter_router;
use crate::boundary::change_told;
use crate::error::{Told as _, rampmeter_error};
use crate::memory::array;
use crate::status::rampmeter_status;

/// Where a replica holds the KV of a block: in memory of the device, with nothing to load.
pub const RAMPMETER_TIER_DEVICE: u32 = 0;
/// In memory of the host.
pub const RAMPMETER_TIER_HOST: u32 = 1;
/// On a local disk, or in a store that the replica can read.
pub const RAMPMETER_TIER_DISK: u32 = 2;

fn tier_of(tier: u32) -> Result<Tier, Error> {
    match tier {
        RAMPMETER_TIER_DEVICE => Ok(Tier::Device),
        RAMPMETER_TIER_HOST => Ok(Tier::Host),
        RAMPMETER_TIER_DISK => Ok(Tier::Disk),
        tier => {
            let (value, max) = (tier.into(), RAMPMETER_TIER_DISK.into());
            Err(Error::Range { field: "tier", value, min: 0, max })
        }
    }
}

/// A replica holds these blocks in a tier from now on (vLLM: BlockStored). From its first event on,
/// what it holds is what it tells, besides the prompts that are on their way to it: let it tell all that
/// it holds.
///
/// Fails: E_TIME_REVERSED, E_STALE, E_RANGE (tier), E_POINTER. Allocates: no. Blocks: no. Threads:
/// one at a time for each router. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_router_stored(
    router: *mut rampmeter_router,
    now_ns: u64,
    replica: u64,
    tier: u32,
    hashes: *const u64,
    hashes_len: usize,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change_told(router, error, |router| {
            let (replica, tier) = (ReplicaId::from_raw(replica), tier_of(tier).told(error)?);
            let hashes = array(hashes, hashes_len, "hashes").told(error)?;
            router.stored(Nanos(now_ns), replica, tier, hashes).told(error)
        })
    }
}

/// A replica holds these blocks in this tier no more (vLLM: BlockRemoved).
///
/// Fails, and so on: as rampmeter_router_stored(). Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_router_removed(
    router: *mut rampmeter_router,
    now_ns: u64,
    replica: u64,
    tier: u32,
    hashes: *const u64,
    hashes_len: usize,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change_told(router, error, |router| {
            let (replica, tier) = (ReplicaId::from_raw(replica), tier_of(tier).told(error)?);
            let hashes = array(hashes, hashes_len, "hashes").told(error)?;
            router.removed(Nanos(now_ns), replica, tier, hashes).told(error)
        })
    }
}

/// A replica holds nothing any more (vLLM: AllBlocksCleared). Call it also where event numbers have a
/// gap, and ask the engine for a replay. Takes time in proportion to the known blocks.
///
/// Fails: E_TIME_REVERSED, E_STALE, E_POINTER. Allocates: no. Blocks: no. Threads: one at a time for
/// each router. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_router_cleared(
    router: *mut rampmeter_router,
    now_ns: u64,
    replica: u64,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change_told(router, error, |router| {
            router.cleared(Nanos(now_ns), ReplicaId::from_raw(replica)).told(error)
        })
    }
}

/// A replica has an adapter from now on.
///
/// Fails: E_TIME_REVERSED, E_STALE, E_POINTER. Allocates: no. Blocks: no. Threads: one at a time for
/// each router. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_router_adapter_loaded(
    router: *mut rampmeter_router,
    now_ns: u64,
    replica: u64,
    adapter: u64,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change_told(router, error, |router| {
            router.adapter_loaded(Nanos(now_ns), ReplicaId::from_raw(replica), adapter).told(error)
        })
    }
}

/// A replica has an adapter no more.
///
/// Fails, and so on: as rampmeter_router_adapter_loaded(). Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_router_adapter_unloaded(
    router: *mut rampmeter_router,
    now_ns: u64,
    replica: u64,
    adapter: u64,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change_told(router, error, |router| {
            router
                .adapter_unloaded(Nanos(now_ns), ReplicaId::from_raw(replica), adapter)
                .told(error)
        })
    }
}
