//! Accounts: who asks, what they may, and what other engines served them.

use rampmeter::batch::RequestId;
use rampmeter::engine::KvSwap;
use rampmeter::policy::{QueueLimits, RateLimits};
use rampmeter::share::AccountId;
use rampmeter::{Blocks, Nanos};

use super::rampmeter_batcher;
use crate::boundary::{change, look};
use crate::error::{Fault, rampmeter_error};
use crate::exchange::{heard, rampmeter_delta, rampmeter_delta_entry, rampmeter_merged, told};
use crate::memory::{Out, OutSized, take, versioned};
use crate::status::rampmeter_status;

/// How much of an account may wait, its parts included; what comes on top is shed. 0 is no limit.
/// Set `size` before.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_queue_limits {
    /// Bytes of this structure as the caller knows it.
    pub size: u32,
    /// Requests that wait.
    pub requests_max: u32,
    /// Prompt tokens that wait to be computed.
    pub tokens_max: u64,
    /// How long a request may wait for its seat.
    pub wait_max_ns: u64,
}
versioned!(rampmeter_queue_limits, 24);

/// How much of an account may come in per minute; what comes on top is shed. 0 is no limit. Set
/// `size` before.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_rate_limits {
    /// Bytes of this structure as the caller knows it.
    pub size: u32,
    /// Requests.
    pub requests_per_minute: u32,
    /// Tokens, prompt and output together.
    pub tokens_per_minute: u64,
    /// How long an account must have sent nothing for its buckets to be full; 0: a minute.
    pub burst_ns: u64,
}
versioned!(rampmeter_rate_limits, 24);

impl rampmeter_rate_limits {
    pub(crate) fn core(&self) -> RateLimits {
        let default = RateLimits::default();
        RateLimits {
            requests_per_minute: self.requests_per_minute,
            tokens_per_minute: self.tokens_per_minute,
            burst: if self.burst_ns == 0 { default.burst } else { Nanos(self.burst_ns) },
        }
    }
}

impl From<RateLimits> for rampmeter_rate_limits {
    fn from(limits: RateLimits) -> Self {
        Self {
            size: 0,
            requests_per_minute: limits.requests_per_minute,
            tokens_per_minute: limits.tokens_per_minute,
            burst_ns: limits.burst.get(),
        }
    }
}

/// The handle of an account that the policy names, by its place there.
///
/// Fails: E_RANGE, E_POINTER. Allocates: no. Blocks: no. Threads: any number, while nobody changes
/// the batcher. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_batcher_policy_account(
    batcher: *const rampmeter_batcher,
    account_index: u32,
    account: *mut u64,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(batcher, error, |batcher| {
            let out = Out::new(account, "account")?;
            let account = |index| batcher.policy_account(index);
            let known = account(account_index as usize);
            let known = known.ok_or_else(|| Fault::unnamed(account_index, account))?;
            out.set(known.to_raw());
            Ok(())
        })
    }
}

/// Opens an account at run time, below `parent` (0: at the top).
///
/// Fails: E_STALE (parent), E_RANGE_REAL (weight), E_RANGE (too deep), E_FULL, E_POINTER.
/// Allocates: no. Blocks: no. Threads: one at a time for each batcher. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_batcher_open_account(
    batcher: *mut rampmeter_batcher,
    parent: u64,
    weight: f64,
    account: *mut u64,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change(batcher, error, |batcher| {
            let out = Out::new(account, "account")?;
            let parent = (parent != 0).then_some(AccountId::from_raw(parent));
            out.set(batcher.open_account(parent, weight)?.to_raw());
            Ok(())
        })
    }
}

/// Closes an account that was opened at run time and has no requests.
///
/// Fails: E_STALE, E_CONTRADICTION (the policy names it, it has requests or accounts below it),
/// E_POINTER. Allocates: no. Blocks: no. Threads: one at a time for each batcher. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_batcher_close_account(
    batcher: *mut rampmeter_batcher,
    account: u64,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change(batcher, error, |batcher| Ok(batcher.close_account(AccountId::from_raw(account))?))
    }
}

/// Gives an account another weight.
///
/// Fails: E_STALE, E_RANGE_REAL, E_POINTER. Allocates: no. Blocks: no. Threads: one at a time for
/// each batcher. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_batcher_set_account_weight(
    batcher: *mut rampmeter_batcher,
    account: u64,
    weight: f64,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change(batcher, error, |batcher| {
            Ok(batcher.set_account_weight(AccountId::from_raw(account), weight)?)
        })
    }
}

/// Limits what may wait of an account and those below it, from the next request on.
///
/// Fails: E_STALE, E_RANGE, E_SIZE, E_TOO_NEW, E_POINTER. Allocates: no. Blocks: no. Threads: one at
/// a time for each batcher. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_batcher_set_account_queue(
    batcher: *mut rampmeter_batcher,
    account: u64,
    limits: *const rampmeter_queue_limits,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change(batcher, error, |batcher| {
            let limits = take(limits, "limits")?;
            let limits = QueueLimits {
                requests_max: limits.requests_max,
                tokens_max: limits.tokens_max,
                wait_max: Nanos(limits.wait_max_ns),
            };
            Ok(batcher.set_account_queue(AccountId::from_raw(account), limits)?)
        })
    }
}

/// Limits how fast an account and those below it may send, from the next request on.
///
/// Fails: E_STALE, E_RANGE, E_SIZE, E_TOO_NEW, E_POINTER. Allocates: no. Blocks: no. Threads: one at
/// a time for each batcher. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_batcher_set_account_rates(
    batcher: *mut rampmeter_batcher,
    account: u64,
    limits: *const rampmeter_rate_limits,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change(batcher, error, |batcher| {
            let limits = take(limits, "limits")?.core();
            Ok(batcher.set_account_rates(AccountId::from_raw(account), limits)?)
        })
    }
}

/// Says which copy this engine is, 0 to `limits.replicas_max`, before anything is told or merged, and
/// after a restart which incarnation: a larger number than before.
///
/// Fails: E_RANGE, E_CONTRADICTION, E_POINTER. Allocates: no. Blocks: no. Threads: one at a time for
/// each batcher. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_batcher_set_replica(
    batcher: *mut rampmeter_batcher,
    replica: u32,
    incarnation: u64,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe { change(batcher, error, |batcher| Ok(batcher.set_replica(replica, incarnation)?)) }
}

/// Gives an account that was opened at run time the key by which other copies know it. Those that
/// the policy names have theirs.
///
/// Fails: E_STALE, E_RANGE (0), E_DUPLICATE, E_POINTER. Allocates: no. Blocks: no. Threads: one at a
/// time for each batcher. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_batcher_set_account_key(
    batcher: *mut rampmeter_batcher,
    account: u64,
    key: u64,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change(batcher, error, |batcher| {
            Ok(batcher.set_account_key(AccountId::from_raw(account), key)?)
        })
    }
}

/// Service of an account in a class, at all copies as far as this one knows, in prompt tokens.
///
/// Fails: E_STALE, E_RANGE (class), E_POINTER. Allocates: no. Blocks: no. Threads: any number, while
/// nobody changes the batcher. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_batcher_account_service(
    batcher: *const rampmeter_batcher,
    class_index: u32,
    account: u64,
    service_tokens: *mut f64,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(batcher, error, |batcher| {
            let out = Out::new(service_tokens, "service_tokens")?;
            let most = u64::from(u16::MAX);
            rampmeter::error::check_range("class_index", class_index.into(), 0, most)?;
            let account = AccountId::from_raw(account);
            out.set(batcher.account_service(class_index as u16, account)?);
            Ok(())
        })
    }
}

/// Writes what was charged here since it was told last, for all other copies alike, and takes it for
/// told. With too short an array the next call goes on where this one ended.
///
/// Fails: E_CONTRADICTION (it is alone), E_BUFFER_TOO_SMALL (no room for one), E_SIZE, E_POINTER.
/// Allocates: no. Blocks: no. Threads: one at a time for each batcher. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_batcher_delta(
    batcher: *mut rampmeter_batcher,
    entries: *mut rampmeter_delta_entry,
    capacity: usize,
    delta: *mut rampmeter_delta,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers; any bits are a delta.
    unsafe {
        change(batcher, error, |batcher| {
            let out = OutSized::new(delta, "delta")?;
            out.set(batcher.delta(told(entries, capacity)?)?.into());
            Ok(())
        })
    }
}

/// Takes what another copy told: from the next step on it counts as service received. In any order,
/// once or often. Read `replica` and `incarnation` of `delta`; the rest of it is not looked at.
///
/// Fails: E_RANGE, E_RANGE_REAL, E_CONTRADICTION, E_FULL, E_SIZE, E_TOO_NEW, E_POINTER. Allocates:
/// no. Blocks: no. Threads: one at a time for each batcher. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_batcher_merge(
    batcher: *mut rampmeter_batcher,
    delta: *const rampmeter_delta,
    entries: *const rampmeter_delta_entry,
    len: usize,
    merged: *mut rampmeter_merged,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers; any bits are a delta.
    unsafe {
        change(batcher, error, |batcher| {
            let out = OutSized::new(merged, "merged")?;
            let source = take(delta, "delta")?.source();
            out.set(batcher.merge(source, heard(entries, len)?)?.into());
            Ok(())
        })
    }
}

/// Forgets what was heard from a copy that is gone; what was charged stays charged.
///
/// Fails: E_RANGE, E_POINTER. Allocates: no. Blocks: no. Threads: one at a time for each batcher.
/// Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_batcher_forget_replica(
    batcher: *mut rampmeter_batcher,
    replica: u32,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe { change(batcher, error, |batcher| Ok(batcher.forget_replica(replica)?)) }
}

/// Room for KV outside the cache, `kv_blocks` blocks, with the seconds (0 to 1) that one takes to be
/// moved out and to come back; 0 blocks: KV that gives way is dropped and computed again.
///
/// Fails: E_RANGE_REAL, E_POINTER. Allocates: no. Blocks: no. Threads: one at a time for each
/// batcher. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_batcher_set_swap(
    batcher: *mut rampmeter_batcher,
    kv_blocks: u32,
    out_s_per_block: f64,
    in_s_per_block: f64,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change(batcher, error, |batcher| {
            let swap = KvSwap::new(Blocks(kv_blocks), out_s_per_block, in_s_per_block)?;
            batcher.set_swap((kv_blocks > 0).then_some(swap));
            Ok(())
        })
    }
}

/// The KV of a request that was swapped out is lost: it is computed again.
///
/// Fails: E_TIME_REVERSED, E_STALE (unknown, or not swapped out), E_POINTER. Allocates: no. Blocks:
/// no. Threads: one at a time for each batcher. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_batcher_drop_swapped(
    batcher: *mut rampmeter_batcher,
    now_ns: u64,
    request: u64,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        change(batcher, error, |batcher| {
            Ok(batcher.drop_swapped(Nanos(now_ns), RequestId::from_raw(request))?)
        })
    }
}
