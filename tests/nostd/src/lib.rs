//! The core as a library for a C program without a Rust runtime: no `std`, and no memory after
//! [`nostd_seal`].
//!
//! The few functions here serve that proof alone; the C interface of rampmeter is another crate.
//! One batcher, one placer, one router and one gate stand in static memory, and one thread calls.

#![no_std]

mod allocator;
mod front;
mod placer;

extern crate alloc;

use alloc::boxed::Box;
use alloc::vec;
use core::ffi::c_int;
use core::panic::PanicInfo;
use core::ptr;
use core::slice;
use core::sync::atomic::{AtomicPtr, Ordering};

use rampmeter::batch::continuous::{
    Batcher, Expiry, Observation, Plan, PlanEntry, Preemption, RequestId, StepResult, Submission,
};
use rampmeter::engine::{KvSwap, Profile};
use rampmeter::policy::{Account, Limits, Policy};
use rampmeter::share::AccountId;
use rampmeter::{Blocks, Error, Nanos, Tokens};

#[global_allocator]
static ALLOCATOR: allocator::Bump = allocator::Bump;

#[panic_handler]
fn panic(_info: &PanicInfo<'_>) -> ! {
    allocator::stop()
}

/// The unwind tables of the precompiled `core` and `alloc` name this function. It is never called,
/// since a panic ends the process.
#[unsafe(no_mangle)]
pub extern "C" fn rust_eh_personality() {
    allocator::stop()
}

/// `c_int` is 32 bits wherever this runs; no error of the core has this code.
const NO_DESK: c_int = -1000;

/// What the calls work on.
struct Desk {
    batcher: Batcher,
    /// The policy it was built from, and one with other weights, to change between.
    policies: [Policy; 2],
    expired: Box<[Expiry]>,
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

/// Builds the desk: `accounts` accounts on the first built-in engine.
#[unsafe(no_mangle)]
pub extern "C" fn nostd_create(requests_max: u32, running_max: u32, accounts: u32) -> c_int {
    match create(requests_max, running_max, accounts) {
        Ok(desk) => {
            DESK.store(Box::leak(Box::new(desk)), Ordering::Release);
            0
        }
        Err(error) => error.code(),
    }
}

fn create(requests_max: u32, running_max: u32, accounts: u32) -> Result<Desk, Error> {
    let limits = Limits { requests_max, running_max, accounts_max: 16, ..Limits::default() };
    let named = |weight: f64| {
        let account = |index: u32| Account::new(alloc::format!("account-{index}"), weight);
        Policy::default()
            .with_limits(limits)
            .with_accounts(Box::from_iter((0..accounts).map(account)))
    };
    let policies = [named(1.0), named(2.0)];
    let profile = &rampmeter::engine::profile::PROFILES[0];
    let batcher = new_batcher(&policies[0], profile)?;
    let expired = vec![Expiry::default(); running_max as usize].into_boxed_slice();
    Ok(Desk { batcher, policies, expired })
}

fn new_batcher(policy: &Policy, profile: &Profile) -> Result<Batcher, Error> {
    Batcher::new(policy, profile.kv()?, profile.step_model()?)
}

/// Ends the time in which memory may be asked for.
#[unsafe(no_mangle)]
pub extern "C" fn nostd_seal() {
    allocator::seal();
}

/// Bytes handed out so far.
#[unsafe(no_mangle)]
pub extern "C" fn nostd_bytes() -> usize {
    allocator::used().0
}

/// Times that memory was asked for so far.
#[unsafe(no_mangle)]
pub extern "C" fn nostd_allocations() -> usize {
    allocator::used().1
}

/// Asks for memory as a constructor does: the negative control.
#[unsafe(no_mangle)]
pub extern "C" fn nostd_allocate() {
    drop(core::hint::black_box(Box::new(7_u64)));
}

/// Submits a request of a policy account, by its place in the policy.
///
/// # Safety
/// `request` points to a `uint64_t` that may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nostd_submit(
    now_ns: u64,
    class: u16,
    account: u32,
    prompt_tokens: u32,
    output_tokens_max: u32,
    request: *mut u64,
) -> c_int {
    on_desk(|desk| {
        let account = desk.batcher.policy_account(account as usize);
        let submission = Submission {
            tag: 0,
            class,
            account: account.unwrap_or(AccountId::from_raw(u64::MAX)),
            arrival: Nanos(now_ns),
            prompt_tokens: Tokens(prompt_tokens),
            output_tokens_max: Tokens(output_tokens_max),
            ..Submission::default()
        };
        let id = desk.batcher.submit(Nanos(now_ns), &submission)?.queued().unwrap_or_default();
        // SAFETY: the caller vouches for the pointer.
        unsafe { request.write(id.to_raw()) };
        Ok(())
    })
}

/// Takes a request back.
#[unsafe(no_mangle)]
pub extern "C" fn nostd_cancel(now_ns: u64, request: u64) -> c_int {
    on_desk(|desk| desk.batcher.cancel(Nanos(now_ns), RequestId::from_raw(request)))
}

/// Forms a step. `step` is 0 where there is nothing to run.
///
/// # Safety
/// `entries` and `preempted` point to as many elements as they say, `step`, `entries_len` and
/// `ends_at_ns` to one each; all may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nostd_form(
    now_ns: u64,
    entries: *mut PlanEntry,
    entries_size: u32,
    preempted: *mut Preemption,
    preempted_size: u32,
    step: *mut u64,
    entries_len: *mut u32,
    ends_at_ns: *mut u64,
) -> c_int {
    on_desk(|desk| {
        // SAFETY: the caller vouches for the arrays and keeps no other pointer to them in use.
        let (entries, preempted) = unsafe {
            (
                slice::from_raw_parts_mut(entries, entries_size as usize),
                slice::from_raw_parts_mut(preempted, preempted_size as usize),
            )
        };
        let plan = &mut Plan { entries, preempted, expired: &mut desk.expired };
        let formed = desk.batcher.form(Nanos(now_ns), plan)?;
        // SAFETY: the caller vouches for the pointers.
        unsafe {
            step.write(formed.step.unwrap_or(0));
            entries_len.write(formed.entries_len);
            ends_at_ns.write(formed.ends_at.get());
        }
        Ok(())
    })
}

/// Reports the oldest step in flight.
///
/// # Safety
/// `results` points to `results_len` elements that are set.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nostd_observe(
    now_ns: u64,
    step: u64,
    results: *const StepResult,
    results_len: u32,
) -> c_int {
    on_desk(|desk| {
        // SAFETY: the caller vouches for the array; every field of an element is an integer, or
        // a `bool` that C's `bool` sets to 0 or 1.
        let results = unsafe { slice::from_raw_parts(results, results_len as usize) };
        let seen = Observation { step, results, ..Observation::default() };
        desk.batcher.observe(Nanos(now_ns), &seen).map(drop)
    })
}

/// Finds more of a prompt in the cache.
#[unsafe(no_mangle)]
pub extern "C" fn nostd_set_cached_tokens(request: u64, tokens: u32) -> c_int {
    on_desk(|desk| desk.batcher.set_cached_tokens(RequestId::from_raw(request), Tokens(tokens)))
}

/// Changes between the two policies.
#[unsafe(no_mangle)]
pub extern "C" fn nostd_set_policy(pick: u32) -> c_int {
    on_desk(|desk| desk.batcher.set_policy(&desk.policies[pick as usize % 2]))
}

/// Opens an account and closes it again.
#[unsafe(no_mangle)]
pub extern "C" fn nostd_open_and_close(weight: f64) -> c_int {
    on_desk(|desk| {
        let account = desk.batcher.open_account(None, weight)?;
        desk.batcher.close_account(account)
    })
}

/// Tells of a swap space.
#[unsafe(no_mangle)]
pub extern "C" fn nostd_set_swap(blocks: u32, s_per_block: f64) -> c_int {
    on_desk(|desk| {
        desk.batcher.set_swap(Some(KvSwap::new(Blocks(blocks), s_per_block, s_per_block)?));
        Ok(())
    })
}

/// Says that swapped KV is lost.
#[unsafe(no_mangle)]
pub extern "C" fn nostd_drop_swapped(now_ns: u64, request: u64) -> c_int {
    on_desk(|desk| desk.batcher.drop_swapped(Nanos(now_ns), RequestId::from_raw(request)))
}

/// Asks why a request is not in the batch; the code of the reason goes to `reason`.
///
/// # Safety
/// `reason` points to a byte that may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nostd_explain(now_ns: u64, request: u64, reason: *mut u8) -> c_int {
    on_desk(|desk| {
        let why = desk.batcher.explain(Nanos(now_ns), RequestId::from_raw(request))?;
        // SAFETY: the caller vouches for the pointer.
        unsafe { reason.write(why.reason as u8) };
        Ok(())
    })
}

/// Requests known, or 0 without a desk.
#[unsafe(no_mangle)]
pub extern "C" fn nostd_requests() -> u32 {
    let mut requests = 0;
    on_desk(|desk| {
        requests = desk.batcher.stats().requests;
        Ok(())
    });
    requests
}
