//! Router: which replica takes it
//!
//! A router chooses among engines that serve the same model. It predicts, for each, the seconds until
//! the first token and what the request would cost others there, and takes the cheapest. Nothing is
//! needed but rampmeter_router_route() and rampmeter_router_ended(); each of the other calls makes it
//! better: first tokens, reports of the engines, what their caches hold. Prompts are known by the
//! hashes of their blocks, the engine's own or those of rampmeter_hash_blocks().
//! `docs/policies/route.md` says how it decides.

mod answers;
mod events;
mod replicas;
mod requests;

pub use answers::*;
pub use events::*;
pub use replicas::*;
pub use requests::*;

use rampmeter::policy::Policy;
use rampmeter::route::{Router, RouterOptions};

use crate::boundary::{Guarded, change, create, desk, destroy, look, object};
use crate::error::{Fault, rampmeter_error};
use crate::memory::{Out, array, array_mut, room, take, versioned};
use crate::policy::rampmeter_policy;
use crate::status::rampmeter_status;

/// Chooses replicas for requests. One thread at a time may change it; calls with a `const` pointer
/// may run side by side.
pub struct rampmeter_router(Guarded<Router>);
object!(rampmeter_router, Router, "router");

/// Capacities of a router. Set all of it to 0, then `size`, then what is to be other than the
/// default.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_router_options {
    /// Bytes of this structure as the caller knows it.
    pub size: u32,
    /// Replicas that may be there at once, 1 to 1,048,576; 0: 64.
    pub replicas_max: u32,
    /// Requests that may be routed and not ended, 1 to 16,777,216; 0: 16,384.
    pub requests_max: u32,
    /// Tokens in a block of the hashes that requests and events come with, 1 to 65,536; 0: 16.
    pub block_tokens: u32,
    /// Blocks that it can know, 1 to 2^28; 0: 2^20. As many as the caches of all replicas hold is
    /// enough; with fewer, those that nobody asked for are forgotten first.
    pub blocks_max: u32,
    /// Sets of holders that it can know, up to 2^28; 0: 2^20. A block takes one for each 64 replicas
    /// among which it has a holder.
    pub sets_max: u32,
    /// Blocks of a prompt that are looked up, from its beginning, 1 to 16,777,216; 0: 8,192.
    pub prompt_blocks_max: u32,
    /// Adapters that a replica can have loaded, 1 to 4,096; 0: 8.
    pub adapters_max: u32,
    /// Link groups, 1 to 1,048,576; 0: 64.
    pub link_groups_max: u32,
    /// Must be 0.
    pub reserved: u32,
    /// KV bytes of a token over all layers, which a prefill replica hands to a decode replica, 1 to
    /// 2^30; 0: 131,072.
    pub kv_bytes_per_token: u64,
    /// Bytes a second between replicas of one link group, 1e3 to 1e15; 0: 400e9.
    pub link_bytes_per_s: f64,
    /// Bytes a second between replicas of two link groups, 1e3 to 1e15; 0: 50e9.
    pub network_bytes_per_s: f64,
}
versioned!(rampmeter_router_options, 64);

impl rampmeter_router_options {
    fn options(&self) -> Result<RouterOptions, Fault> {
        rampmeter::error::check_range("reserved", self.reserved.into(), 0, 0)?;
        let default = RouterOptions::default();
        let some = |given: u32, default: u32| if given == 0 { default } else { given };
        let real = |given: f64, default: f64| if given == 0.0 { default } else { given };
        let kv_bytes = self.kv_bytes_per_token;
        Ok(RouterOptions {
            replicas_max: some(self.replicas_max, default.replicas_max),
            requests_max: some(self.requests_max, default.requests_max),
            block_tokens: some(self.block_tokens, default.block_tokens),
            blocks_max: some(self.blocks_max, default.blocks_max),
            sets_max: some(self.sets_max, default.sets_max),
            prompt_blocks_max: some(self.prompt_blocks_max, default.prompt_blocks_max),
            adapters_max: some(self.adapters_max, default.adapters_max),
            link_groups_max: some(self.link_groups_max, default.link_groups_max),
            kv_bytes_per_token: if kv_bytes == 0 { default.kv_bytes_per_token } else { kv_bytes },
            link_bytes_per_s: real(self.link_bytes_per_s, default.link_bytes_per_s),
            network_bytes_per_s: real(self.network_bytes_per_s, default.network_bytes_per_s),
        })
    }
}

/// The policy, once it is clear that there is memory for such a router.
///
/// # Safety
/// As [`desk`].
unsafe fn made<'a>(
    policy: *const rampmeter_policy,
    options: &RouterOptions,
) -> Result<&'a Policy, Fault> {
    // SAFETY: passed on.
    let policy = unsafe { desk(policy)? };
    options.validate()?;
    room(Router::bytes_needed(policy, options))?;
    Ok(policy)
}

/// Creates a router without replicas, with all the memory that it will ever use.
///
/// Fails: E_RANGE, E_RANGE_REAL, E_DUPLICATE, E_MEMORY, E_SIZE, E_TOO_NEW, E_POINTER. Ownership:
/// `*out` is the caller's, to be given to rampmeter_router_destroy(); NULL on failure. `policy` and
/// `options` are read and not kept. Allocates: yes, rampmeter_router_bytes_needed(). Blocks: no.
/// Threads: any. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_router_create(
    policy: *const rampmeter_policy,
    options: *const rampmeter_router_options,
    out: *mut *mut rampmeter_router,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        create(out, error, || {
            let options = take(options, "options")?.options()?;
            let policy = made(policy, &options)?;
            Ok(Router::new(policy, &options)?)
        })
    }
}

/// Ends a router. NULL is allowed and does nothing.
///
/// Allocates: no (frees). Blocks: no. Threads: one, and no other may still use it. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_router_destroy(router: *mut rampmeter_router) {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe { destroy(router) }
}

/// Bytes that a router for this policy with these options takes, to within a few fixed fields.
///
/// Fails: E_RANGE, E_RANGE_REAL, E_SIZE, E_TOO_NEW, E_POINTER. Allocates: no. Blocks: no. Threads:
/// any. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_router_bytes_needed(
    policy: *const rampmeter_policy,
    options: *const rampmeter_router_options,
    bytes: *mut u64,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(policy, error, |policy| {
            let out = Out::new(bytes, "bytes")?;
            let options = take(options, "options")?.options()?;
            options.validate()?;
            out.set(Router::bytes_needed(policy, &options));
            Ok(())
        })
    }
}

/// Takes a changed policy: delay values and the rules of `[route]` hold from the next request on.
///
/// Fails: E_RANGE if it has another number of classes, or more accounts than the first policy;
/// E_RANGE_REAL, E_DUPLICATE, E_POINTER. Allocates: no. Blocks: no. Threads: one at a time for each
/// router. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_router_set_policy(
    router: *mut rampmeter_router,
    policy: *const rampmeter_policy,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe { change(router, error, |router| Ok(router.set_policy(desk(policy)?)?)) }
}

/// Bytes that rampmeter_router_save() will write now.
///
/// Fails: E_POINTER. Allocates: no. Blocks: no. Threads: any number, while nobody changes the
/// router. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_router_snapshot_bytes(
    router: *const rampmeter_router,
    bytes: *mut u64,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(router, error, |router| {
            Out::new(bytes, "bytes")?.set(router.snapshot_bytes());
            Ok(())
        })
    }
}

/// Writes all state into `out`; `*written` is its length. Handles of replicas and requests stay good
/// in what is restored from it.
///
/// Fails: E_BUFFER_TOO_SMALL, E_POINTER. Allocates: no. Blocks: no. Threads: any number, while
/// nobody changes the router. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_router_save(
    router: *const rampmeter_router,
    out: *mut u8,
    capacity: usize,
    written: *mut usize,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(router, error, |router| {
            let written = Out::new(written, "written")?;
            written.set(router.save(array_mut(out, capacity, "out")?)?);
            Ok(())
        })
    }
}

/// Creates a router from `len` bytes that rampmeter_router_save() wrote, which are believed in
/// nothing: damaged or forged ones are refused. `options` must be those that it had. KV events that
/// came meanwhile are lost: let engines tell anew what they hold, or call rampmeter_router_cleared().
///
/// Fails: E_SNAPSHOT, and as rampmeter_router_create(). Ownership, and so on: as there. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_router_restore(
    policy: *const rampmeter_policy,
    options: *const rampmeter_router_options,
    bytes: *const u8,
    len: usize,
    out: *mut *mut rampmeter_router,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        create(out, error, || {
            let options = take(options, "options")?.options()?;
            let policy = made(policy, &options)?;
            Ok(Router::restore(policy, &options, array(bytes, len, "bytes")?)?)
        })
    }
}
