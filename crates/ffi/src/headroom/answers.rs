//! Answers: what is safe, and how sure that is.

use rampmeter::Nanos;
use rampmeter::headroom::{Answer, Basis, CanRemove, Estimate};

use super::rampmeter_headroom;
use crate::boundary::look;
use crate::error::rampmeter_error;
use crate::memory::{Out, OutSized, versioned};
use crate::status::rampmeter_status;

/// rampmeter_estimate::basis: formulas, from measured rates and variabilities.
pub const RAMPMETER_BASIS_MODEL: u8 = 0;
/// The requests that came, tried out at other loads.
pub const RAMPMETER_BASIS_REHEARSED: u8 = 1;
/// Waits that were observed, and nothing else: it holds for the load that there was.
pub const RAMPMETER_BASIS_OBSERVED: u8 = 2;

/// rampmeter_can_remove::answer: too few requests were seen to say anything.
pub const RAMPMETER_REMOVE_NOT_ENOUGH_DATA: u32 = 0;
/// Some target is likely missed without it.
pub const RAMPMETER_REMOVE_NO: u32 = 1;
/// Every target likely holds without it; it may turn out to be needed.
pub const RAMPMETER_REMOVE_PERHAPS: u32 = 2;
/// Every target holds without it, nineteen times out of twenty.
pub const RAMPMETER_REMOVE_YES: u32 = 3;

const _: () = {
    assert!(RAMPMETER_BASIS_MODEL == Basis::Model as u8);
    assert!(RAMPMETER_BASIS_REHEARSED == Basis::Rehearsed as u8);
    assert!(RAMPMETER_BASIS_OBSERVED == Basis::Observed as u8);
};

/// A number, and between which it lies nine times out of ten; or how much is missing for one. Set
/// `size` before.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_estimate {
    /// Bytes of this structure as the caller knows it.
    pub size: u32,
    /// 1: this is known; 0: too few requests were seen to say anything.
    pub known: u8,
    /// RAMPMETER_BASIS_...: what weighed most in it.
    pub basis: u8,
    /// 0.
    pub reserved: [u8; 2],
    /// The likeliest; 0 and meaningless if it is not known, as the next two.
    pub value: f64,
    /// Lower end: less in one case out of twenty.
    pub low: f64,
    /// Upper end. May be infinite.
    pub high: f64,
    /// Requests that it rests on, or that were seen.
    pub samples: u64,
    /// Requests that are needed, if it is not known; else 0.
    pub samples_needed: u64,
}
versioned!(rampmeter_estimate, 48);

/// Whether one replica can be taken away. Set `size` before.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_can_remove {
    /// Bytes of this structure as the caller knows it.
    pub size: u32,
    /// RAMPMETER_REMOVE_...
    pub answer: u32,
    /// Requests seen, if that is not enough data; else 0.
    pub samples: u64,
    /// Requests that are needed, if there is not enough data; else 0.
    pub samples_needed: u64,
}
versioned!(rampmeter_can_remove, 24);

/// What a desk of headroom knows and did. Set `size` before.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_stats_headroom {
    /// Bytes of this structure as the caller knows it.
    pub size: u32,
    /// Replicas that there are.
    pub replicas: u32,
    /// Requests that came so far, of all classes.
    pub arrived: u64,
    /// Requests that ended so far.
    pub ended: u64,
    /// Requests that wait.
    pub waiting: u64,
    /// Requests that are being served.
    pub running: u64,
    /// Requests a second, over the memory.
    pub rate_per_s: f64,
    /// Mean seconds that one takes of a server of a full pool.
    pub service_s: f64,
    /// Squared coefficient of variation of that.
    pub service_scv: f64,
    /// Index of dispersion of arrivals over a service time; 1 where they are independent.
    pub dispersion: f64,
    /// Offered load over capacity.
    pub rho: f64,
}
versioned!(rampmeter_stats_headroom, 80);

impl From<Answer> for rampmeter_estimate {
    fn from(answer: Answer) -> Self {
        let (known, estimate, needed) = match answer {
            Answer::Known(estimate) => (true, estimate, 0),
            Answer::NotEnoughData { samples, needed } => {
                (false, Estimate { samples, ..Estimate::default() }, needed)
            }
        };
        Self {
            size: 0,
            known: known.into(),
            basis: estimate.basis as u8,
            reserved: [0; 2],
            value: estimate.value,
            low: estimate.low,
            high: estimate.high,
            samples: estimate.samples,
            samples_needed: needed,
        }
    }
}

impl From<CanRemove> for rampmeter_can_remove {
    fn from(answer: CanRemove) -> Self {
        let (answer, samples, samples_needed) = match answer {
            CanRemove::Yes => (RAMPMETER_REMOVE_YES, 0, 0),
            CanRemove::Perhaps => (RAMPMETER_REMOVE_PERHAPS, 0, 0),
            CanRemove::No => (RAMPMETER_REMOVE_NO, 0, 0),
            CanRemove::NotEnoughData { samples, needed } => {
                (RAMPMETER_REMOVE_NOT_ENOUGH_DATA, samples, needed)
            }
        };
        Self { size: 0, answer, samples, samples_needed }
    }
}

/// The knee: the rate of a class, in requests a second, beyond which more than its `late_ratio_max`
/// wait beyond its target, if all classes grow alike. 0 without replicas. Takes some tenths of a
/// millisecond, as the other answers do.
///
/// Fails: E_RANGE (class), E_SIZE, E_POINTER. Allocates: no. Blocks: no. Threads: any number, while
/// nobody changes the desk. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_headroom_knee(
    headroom: *const rampmeter_headroom,
    class_index: u32,
    knee: *mut rampmeter_estimate,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(headroom, error, |headroom| {
            OutSized::new(knee, "knee")?.set(headroom.knee(class_index)?.into());
            Ok(())
        })
    }
}

/// How far a class is from its knee: 1 - rate / knee. 0 at the knee, negative beyond it, 1 where
/// nothing comes, minus infinity without replicas. As of the last call with a time:
/// rampmeter_headroom_passed() first.
///
/// Fails, and so on: as rampmeter_headroom_knee(). Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_headroom_ratio(
    headroom: *const rampmeter_headroom,
    class_index: u32,
    ratio: *mut rampmeter_estimate,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(headroom, error, |headroom| {
            OutSized::new(ratio, "ratio")?.set(headroom.headroom(class_index)?.into());
            Ok(())
        })
    }
}

/// Share of requests of a class that wait longer than `wait_ns`, at the present load.
///
/// Fails, and so on: as rampmeter_headroom_knee(). Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_headroom_wait_tail(
    headroom: *const rampmeter_headroom,
    class_index: u32,
    wait_ns: u64,
    share: *mut rampmeter_estimate,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(headroom, error, |headroom| {
            let out = OutSized::new(share, "share")?;
            out.set(headroom.wait_tail(class_index, Nanos(wait_ns))?.into());
            Ok(())
        })
    }
}

/// Fewest replicas that keep every class's target under the present load, all three numbers whole;
/// infinite where not even 65,536 do. As of the last call with a time: rampmeter_headroom_passed()
/// first.
///
/// Fails: E_SIZE, E_POINTER. Allocates: no. Blocks: no. Threads: any number, while nobody changes
/// the desk. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_headroom_replicas_needed(
    headroom: *const rampmeter_headroom,
    replicas: *mut rampmeter_estimate,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(headroom, error, |headroom| {
            OutSized::new(replicas, "replicas")?.set(headroom.replicas_needed().into());
            Ok(())
        })
    }
}

/// Whether one replica can be taken away. As of the last call with a time:
/// rampmeter_headroom_passed() first.
///
/// Fails: E_SIZE, E_POINTER. Allocates: no. Blocks: no. Threads: any number, while nobody changes
/// the desk. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_headroom_can_remove(
    headroom: *const rampmeter_headroom,
    verdict: *mut rampmeter_can_remove,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(headroom, error, |headroom| {
            OutSized::new(verdict, "verdict")?.set(headroom.can_remove().into());
            Ok(())
        })
    }
}

/// What a GPU-second of the pool is worth now, in value-seconds: 0 while nobody waits.
///
/// Fails: E_TIME_REVERSED, E_POINTER. Allocates: no. Blocks: no. Threads: any number, while nobody
/// changes the desk. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_headroom_shadow_price(
    headroom: *const rampmeter_headroom,
    now_ns: u64,
    price: *mut f64,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(headroom, error, |headroom| {
            Out::new(price, "price")?.set(headroom.shadow_price(Nanos(now_ns))?);
            Ok(())
        })
    }
}

/// What the desk knows and did so far.
///
/// Fails: E_SIZE, E_POINTER. Allocates: no. Blocks: no. Threads: any number, while nobody changes
/// the desk. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_headroom_stats(
    headroom: *const rampmeter_headroom,
    stats: *mut rampmeter_stats_headroom,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(headroom, error, |headroom| {
            let (out, stats) = (OutSized::new(stats, "stats")?, headroom.stats());
            out.set(rampmeter_stats_headroom {
                size: 0,
                replicas: stats.replicas,
                arrived: stats.arrived,
                ended: stats.ended,
                waiting: stats.waiting,
                running: stats.running,
                rate_per_s: stats.rate_per_s,
                service_s: stats.service_s,
                service_scv: stats.service_scv,
                dispersion: stats.dispersion,
                rho: stats.rho,
            });
            Ok(())
        })
    }
}
