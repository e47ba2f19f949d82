//! Reserve: whether a batch job waits so that urgent work finds room.

use rampmeter::Nanos;
use rampmeter::headroom::hold::{BatchJob, HoldReason, Reserve};

use crate::boundary::{Guarded, change, create, desk, destroy, look, object};
use crate::error::rampmeter_error;
use crate::memory::{Out, OutSized, array, array_mut, take, versioned};
use crate::policy::rampmeter_policy;
use crate::status::rampmeter_status;

/// rampmeter_hold_verdict::reason: the two prices.
pub const RAMPMETER_HOLD_PRICE: u8 = 0;
/// The least reserve that the policy asks for.
pub const RAMPMETER_HOLD_RESERVE: u8 = 1;
/// Too few urgent requests have ended to say anything: the job starts.
pub const RAMPMETER_HOLD_NOT_ENOUGH_DATA: u8 = 2;

const _: () = {
    assert!(RAMPMETER_HOLD_PRICE == HoldReason::Price as u8);
    assert!(RAMPMETER_HOLD_RESERVE == HoldReason::Reserve as u8);
    assert!(RAMPMETER_HOLD_NOT_ENOUGH_DATA == HoldReason::NotEnoughData as u8);
};

/// Says whether batch work waits for urgent work. One thread at a time may change it; calls with a
/// `const` pointer may run side by side.
pub struct rampmeter_reserve(Guarded<Reserve>);
object!(rampmeter_reserve, Reserve, "reserve");

/// A batch job for which there is room. Set all of it to 0, then `size`, then the rest.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_batch_job {
    /// Bytes of this structure as the caller knows it.
    pub size: u32,
    /// Batch jobs that wait, this one included or not.
    pub waiting: u32,
    /// GPUs that it takes, 0.001 to 1e9.
    pub gpus: f64,
    /// What one second of its delay is worth, 0.0001 to 10,000.
    pub delay_value: f64,
    /// GPUs that are free, 0 to 1e9.
    pub gpus_free: f64,
}
versioned!(rampmeter_batch_job, 32);

/// Whether a batch job waits, and why. Set `size` before.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_hold_verdict {
    /// Bytes of this structure as the caller knows it.
    pub size: u32,
    /// 1: it waits, and so does all batch work behind it, backfill included; 0: it starts.
    pub hold: u8,
    /// RAMPMETER_HOLD_...: what weighed.
    pub reason: u8,
    /// 0.
    pub reserved: [u8; 2],
    /// Value that urgent work loses a second if it starts.
    pub urgent_price: f64,
    /// Value that batch work loses a second if it waits.
    pub batch_price: f64,
    /// Slots of urgent requests that would be free after it, less those that wait.
    pub slots_left: f64,
    /// Standard deviation of urgent work that runs and waits, in slots.
    pub sigma: f64,
}
versioned!(rampmeter_hold_verdict, 40);

/// What a reserve knows. Set `size` before.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_stats_reserve {
    /// Bytes of this structure as the caller knows it.
    pub size: u32,
    /// 0.
    pub reserved: u32,
    /// Urgent requests that wait.
    pub waiting: u64,
    /// Urgent requests that run.
    pub running: u64,
    /// GPUs that there are.
    pub gpus: f64,
    /// Urgent requests that come, a second.
    pub rate_per_s: f64,
    /// How long they run on average, in seconds; 0 before one has ended.
    pub run_s: f64,
    /// GPUs of one on average; 0 before one has come.
    pub request_gpus: f64,
    /// Mean of those that run and wait, by rate and run time.
    pub load: f64,
    /// Standard deviation of those that run and wait, as it is used.
    pub sigma: f64,
    /// GPUs that batch work releases, a second.
    pub released_per_s: f64,
}
versioned!(rampmeter_stats_reserve, 80);

/// Creates a reserve for urgent work of this class on a cluster of so many GPUs (0.001 to 1e9), from
/// `now_ns` on.
///
/// Fails: E_RANGE (class), E_RANGE_REAL, E_DUPLICATE, E_POINTER. Ownership: `*out` is the caller's, to
/// be given to rampmeter_reserve_destroy(); NULL on failure. `policy` is read and not kept.
/// Allocates: yes, less than 300 bytes. Blocks: no. Threads: any. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_reserve_create(
    now_ns: u64,
    policy: *const rampmeter_policy,
    class_index: u32,
    gpus: f64,
    out: *mut *mut rampmeter_reserve,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        create(out, error, || Ok(Reserve::new(Nanos(now_ns), desk(policy)?, class_index, gpus)?))
    }
}

/// Ends a reserve. NULL is allowed and does nothing.
///
/// Allocates: no (frees). Blocks: no. Threads: one, and no other may still use it. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_reserve_destroy(reserve: *mut rampmeter_reserve) {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe { destroy(reserve) }
}

/// Takes a changed policy, and goes on with what is known.
///
/// Fails: E_RANGE (class), E_RANGE_REAL, E_DUPLICATE, E_POINTER. Allocates: a list of the names of the
/// accounts, which it frees. Blocks: no. Threads: one at a time for each reserve. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_reserve_set_policy(
    reserve: *mut rampmeter_reserve,
    policy: *const rampmeter_policy,
    class_index: u32,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe { change(reserve, error, |reserve| Ok(reserve.apply(desk(policy)?, class_index)?)) }
}

/// From now on there are so many GPUs, 0.001 to 1e9.
///
/// Fails: E_TIME_REVERSED, E_RANGE_REAL, E_POINTER. Allocates: no. Blocks: no. Threads: one at a time
/// for each reserve. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_reserve_set_gpus(
    reserve: *mut rampmeter_reserve,
    now_ns: u64,
    gpus: f64,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe { change(reserve, error, |reserve| Ok(reserve.capacity(Nanos(now_ns), gpus)?)) }
}

/// An urgent request came that takes so many GPUs, 0.001 to 1e9. Say of each what became of it: it
/// started and ended, or it left.
///
/// Fails: E_TIME_REVERSED, E_RANGE_REAL, E_POINTER. Allocates: no. Blocks: no. Threads: one at a time
/// for each reserve. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_reserve_arrived(
    reserve: *mut rampmeter_reserve,
    now_ns: u64,
    gpus: f64,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe { change(reserve, error, |reserve| Ok(reserve.arrived(Nanos(now_ns), gpus)?)) }
}

/// An urgent request that waited starts.
///
/// Fails: E_TIME_REVERSED, E_CONTRADICTION (none waits), E_POINTER. Allocates: no. Blocks: no.
/// Threads: one at a time for each reserve. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_reserve_started(
    reserve: *mut rampmeter_reserve,
    now_ns: u64,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe { change(reserve, error, |reserve| Ok(reserve.started(Nanos(now_ns))?)) }
}

/// An urgent request that ran ended; it ran for `ran_ns` in all.
///
/// Fails: E_TIME_REVERSED, E_RANGE (a run that began before time did), E_CONTRADICTION (none runs),
/// E_POINTER. Allocates: no. Blocks: no. Threads: one at a time for each reserve. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_reserve_ended(
    reserve: *mut rampmeter_reserve,
    now_ns: u64,
    ran_ns: u64,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe { change(reserve, error, |reserve| Ok(reserve.ended(Nanos(now_ns), Nanos(ran_ns))?)) }
}

/// An urgent request that waited is gone.
///
/// Fails, and so on: as rampmeter_reserve_started(). Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_reserve_left(
    reserve: *mut rampmeter_reserve,
    now_ns: u64,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe { change(reserve, error, |reserve| Ok(reserve.left(Nanos(now_ns))?)) }
}

/// Batch work released so many GPUs, 0 to 1e9.
///
/// Fails: E_TIME_REVERSED, E_RANGE_REAL, E_POINTER. Allocates: no. Blocks: no. Threads: one at a time
/// for each reserve. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_reserve_released(
    reserve: *mut rampmeter_reserve,
    now_ns: u64,
    gpus: f64,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe { change(reserve, error, |reserve| Ok(reserve.released(Nanos(now_ns), gpus)?)) }
}

/// What a reserve knows, as of the last call.
///
/// Fails: E_SIZE, E_POINTER. Allocates: no. Blocks: no. Threads: any number, while nobody changes
/// the reserve. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_reserve_stats(
    reserve: *const rampmeter_reserve,
    stats: *mut rampmeter_stats_reserve,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(reserve, error, |reserve| {
            let (out, stats) = (OutSized::new(stats, "stats")?, reserve.stats());
            out.set(rampmeter_stats_reserve {
                size: 0,
                reserved: 0,
                waiting: stats.waiting,
                running: stats.running,
                gpus: stats.gpus,
                rate_per_s: stats.rate_per_s,
                run_s: stats.run_s,
                request_gpus: stats.request_gpus,
                load: stats.load,
                sigma: stats.sigma,
                released_per_s: stats.released_per_s,
            });
            Ok(())
        })
    }
}

/// Bytes that rampmeter_reserve_save() will write now.
///
/// Fails: E_POINTER. Allocates: no. Blocks: no. Threads: any number, while nobody changes the
/// reserve. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_reserve_snapshot_bytes(
    reserve: *const rampmeter_reserve,
    bytes: *mut u64,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(reserve, error, |reserve| {
            Out::new(bytes, "bytes")?.set(reserve.snapshot_bytes());
            Ok(())
        })
    }
}

/// Writes all state into `out`; `*written` is its length.
///
/// Fails: E_BUFFER_TOO_SMALL, E_POINTER. Allocates: no. Blocks: no. Threads: any number, while
/// nobody changes the reserve. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_reserve_save(
    reserve: *const rampmeter_reserve,
    out: *mut u8,
    capacity: usize,
    written: *mut usize,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(reserve, error, |reserve| {
            let written = Out::new(written, "written")?;
            written.set(reserve.save(array_mut(out, capacity, "out")?)?);
            Ok(())
        })
    }
}

/// Creates a reserve from `len` bytes that rampmeter_reserve_save() wrote. `policy` and class are
/// those that it had, or changed ones.
///
/// Fails: E_SNAPSHOT, and as rampmeter_reserve_create(). Ownership, and so on: as there. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_reserve_restore(
    policy: *const rampmeter_policy,
    class_index: u32,
    bytes: *const u8,
    len: usize,
    out: *mut *mut rampmeter_reserve,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        create(out, error, || {
            Ok(Reserve::restore(desk(policy)?, class_index, array(bytes, len, "bytes")?)?)
        })
    }
}

/// Whether this batch job, the one at the head of its queue, waits now. If it does, stop backfill of
/// batch work as well, and ask again when something ends, comes or starts. Urgent work is never asked
/// about.
///
/// Fails: E_TIME_REVERSED, E_RANGE_REAL, E_SIZE, E_TOO_NEW, E_POINTER. Allocates: no. Blocks: no.
/// Threads: any number, while nobody changes the reserve. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_reserve_hold(
    reserve: *const rampmeter_reserve,
    now_ns: u64,
    job: *const rampmeter_batch_job,
    verdict: *mut rampmeter_hold_verdict,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(reserve, error, |reserve| {
            let (out, job) = (OutSized::new(verdict, "verdict")?, take(job, "job")?);
            let job = BatchJob {
                gpus: job.gpus,
                delay_value: job.delay_value,
                waiting: job.waiting,
                gpus_free: job.gpus_free,
            };
            let verdict = reserve.hold(Nanos(now_ns), &job)?;
            out.set(rampmeter_hold_verdict {
                size: 0,
                hold: verdict.hold.into(),
                reason: verdict.reason as u8,
                reserved: [0; 2],
                urgent_price: verdict.urgent_price,
                batch_price: verdict.batch_price,
                slots_left: verdict.slots_left,
                sigma: verdict.sigma,
            });
            Ok(())
        })
    }
}
