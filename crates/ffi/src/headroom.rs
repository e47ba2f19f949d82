//! Headroom: how much is safe
//!
//! Three desks of planning. A rampmeter_headroom hears what comes, starts and ends on one pool of
//! replicas, and says how much more it can take, how many replicas are needed, and whether one can
//! go; each answer carries its limits of confidence, or says how much is missing for one. A
//! rampmeter_reserve says whether a batch job waits so that urgent work finds room. A
//! rampmeter_shadow_price says what a GPU is worth while others wait for it. None of them is asked for
//! every request: that is what a gate is for. `docs/policies/headroom.md` says how they decide.

mod answers;
mod events;
mod reserve;
mod shadow;

pub use answers::*;
pub use events::*;
pub use reserve::*;
pub use shadow::*;

use rampmeter::engine::{KvGeometry, StepModel};
use rampmeter::headroom::estimate::servers::{Replica, RequestShape};
use rampmeter::headroom::{ClassOptions, Headroom, Options};
use rampmeter::{Nanos, Tokens};

use crate::boundary::{Guarded, answer, create, destroy, look, object};
use crate::engine::{rampmeter_engine, taken};
use crate::error::{Fault, rampmeter_error};
use crate::memory::{Out, array, array_mut, room, take, versioned};
use crate::status::rampmeter_status;

/// Says how much load one pool of replicas can take. One thread at a time may change it; calls with a
/// `const` pointer may run side by side.
pub struct rampmeter_headroom(Guarded<Headroom>);
object!(rampmeter_headroom, Headroom, "headroom");

/// A class that waits for the pool. 0 in a field means the default.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_headroom_class {
    /// Longest wait that is in time, up to a day; 0: 2 seconds.
    pub target_ns: u64,
    /// Share of requests that may wait longer, 0.0001 to 0.5; 0: 0.05.
    pub late_ratio_max: f64,
    /// What one second of delay is worth, 0.0001 to 10,000; 0: 1, a second of an interactive user.
    pub delay_value: f64,
}

/// What a pool is. Set all of it to 0, then `size`, then what is known.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_headroom_options {
    /// Bytes of this structure as the caller knows it.
    pub size: u32,
    /// Elements of `classes`, 1 to 16.
    pub classes_len: u32,
    /// Who waits for it, first come, first served.
    pub classes: *const rampmeter_headroom_class,
    /// Requests that a replica serves at once, 1 to 4,096; 0: 1. See rampmeter_engine_seats().
    pub seats: u32,
    /// Replicas at the beginning, 0 to `replicas_max`.
    pub replicas: u32,
    /// Most replicas that there may be, 1 to 65,536, and 2^18 seats in all; 0: no more than at the
    /// beginning, at least 1.
    pub replicas_max: u32,
    /// Requests after which one counts 1/e of what it did, 1,000 to 10,000,000; 0: 100,000, which
    /// know a knee to about 1% under Poisson traffic and 3% under strong bursts.
    pub memory_requests: u32,
    /// Part of a full engine's step that is due to those seated, 0 to 0.95; 0 for servers that do
    /// not slow each other down. See rampmeter_engine_seats().
    pub loaded_share: f64,
    /// GPUs of one replica, 0.001 to 10,000; 0: 1.
    pub gpus_per_replica: f64,
}
versioned!(rampmeter_headroom_options, 48);

/// What requests of an engine look like on average. Set all of it to 0, then `size`, then the rest.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rampmeter_request_shape {
    /// Bytes of this structure as the caller knows it.
    pub size: u32,
    /// Prompt tokens that have to be computed, 1 to 16,777,216.
    pub prompt_tokens: u32,
    /// Output tokens, 1 to 16,777,216.
    pub output_tokens: u32,
    /// Must be 0.
    pub reserved: u32,
    /// Squared coefficient of variation of the output tokens, 0 (all alike) to 100.
    pub output_scv: f64,
}
versioned!(rampmeter_request_shape, 24);

impl rampmeter_headroom_class {
    fn options(&self) -> ClassOptions {
        let default = ClassOptions::default();
        let real = |given: f64, default: f64| if given == 0.0 { default } else { given };
        ClassOptions {
            target: if self.target_ns == 0 { default.target } else { Nanos(self.target_ns) },
            late_ratio_max: real(self.late_ratio_max, default.late_ratio_max),
            delay_value: real(self.delay_value, default.delay_value),
        }
    }
}

/// # Safety
/// As [`take`], and as [`array`] for the classes.
unsafe fn options(options: *const rampmeter_headroom_options) -> Result<Options, Fault> {
    // SAFETY: passed on.
    let (given, classes) = unsafe {
        let given = take(options, "options")?;
        (given, array(given.classes, given.classes_len as usize, "options.classes")?)
    };
    rampmeter::error::check_range("classes", classes.len() as u64, 1, CLASSES_MAX)?;
    let seats = if given.seats == 0 { Replica::server().seats } else { given.seats };
    let replica = Replica { seats, loaded_share: given.loaded_share };
    let classes: Box<[ClassOptions]> =
        classes.iter().map(rampmeter_headroom_class::options).collect();
    let mut options = Options::new(classes, replica, given.replicas);
    if given.replicas_max != 0 {
        options.replicas_max = given.replicas_max;
    }
    if given.memory_requests != 0 {
        options.memory_requests = given.memory_requests;
    }
    if given.gpus_per_replica != 0.0 {
        options.gpus_per_replica = given.gpus_per_replica;
    }
    options.validate()?;
    Ok(options)
}

/// Most classes, so that no list is copied that is refused later.
const CLASSES_MAX: u64 = rampmeter::policy::CLASSES_MAX as u64;

/// How many requests of this shape one engine can serve at once, with at most `seats_max` (1 to
/// 4,096), and how much they slow each other down: rampmeter_headroom_options::seats and
/// rampmeter_headroom_options::loaded_share.
///
/// Fails: E_RANGE, E_RANGE_REAL, E_SIZE, E_TOO_NEW, E_POINTER. Allocates: no. Blocks: no. Threads:
/// any. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_engine_seats(
    engine: *const rampmeter_engine,
    seats_max: u32,
    shape: *const rampmeter_request_shape,
    seats: *mut u32,
    loaded_share: *mut f64,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        answer(error, || {
            let (to_seats, to_share) =
                (Out::new(seats, "seats")?, Out::new(loaded_share, "loaded_share")?);
            let (engine, shape) = (taken(engine)?, take(shape, "shape")?);
            let (model, kv): (StepModel, KvGeometry) = (engine.model()?, engine.kv()?);
            rampmeter::error::check_range("reserved", shape.reserved.into(), 0, 0)?;
            let shape = RequestShape {
                prompt_tokens: Tokens(shape.prompt_tokens),
                output_tokens: Tokens(shape.output_tokens),
                output_scv: shape.output_scv,
            };
            let replica = Replica::engine(&model, &kv, seats_max, &shape)?;
            to_seats.set(replica.seats);
            to_share.set(replica.loaded_share);
            Ok(())
        })
    }
}

/// Creates a desk without any history, with all the memory that it will ever use.
///
/// Fails: E_RANGE, E_RANGE_REAL, E_MEMORY, E_SIZE, E_TOO_NEW, E_POINTER. Ownership: `*out` is the
/// caller's, to be given to rampmeter_headroom_destroy(); NULL on failure. `options` is read and not
/// kept. Allocates: yes, rampmeter_headroom_bytes_needed(). Blocks: no. Threads: any. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_headroom_create(
    options: *const rampmeter_headroom_options,
    out: *mut *mut rampmeter_headroom,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        create(out, error, || {
            let options = self::options(options)?;
            options.validate()?;
            room(Headroom::bytes_needed(&options))?;
            Ok(Headroom::new(&options)?)
        })
    }
}

/// Ends a desk. NULL is allowed and does nothing.
///
/// Allocates: no (frees). Blocks: no. Threads: one, and no other may still use it. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_headroom_destroy(headroom: *mut rampmeter_headroom) {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe { destroy(headroom) }
}

/// Bytes that a desk with these options takes, to within a few fixed fields.
///
/// Fails: E_RANGE, E_RANGE_REAL, E_SIZE, E_TOO_NEW, E_POINTER. Allocates: a list of the classes, which
/// it frees. Blocks: no. Threads: any. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_headroom_bytes_needed(
    options: *const rampmeter_headroom_options,
    bytes: *mut u64,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        answer(error, || {
            let out = Out::new(bytes, "bytes")?;
            let options = self::options(options)?;
            out.set(Headroom::bytes_needed(&options));
            Ok(())
        })
    }
}

/// Bytes that rampmeter_headroom_save() will write now.
///
/// Fails: E_POINTER. Allocates: no. Blocks: no. Threads: any number, while nobody changes the desk.
/// Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_headroom_snapshot_bytes(
    headroom: *const rampmeter_headroom,
    bytes: *mut u64,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(headroom, error, |headroom| {
            Out::new(bytes, "bytes")?.set(headroom.snapshot_bytes());
            Ok(())
        })
    }
}

/// Writes all state into `out`; `*written` is its length.
///
/// Fails: E_BUFFER_TOO_SMALL, E_POINTER. Allocates: no. Blocks: no. Threads: any number, while
/// nobody changes the desk. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_headroom_save(
    headroom: *const rampmeter_headroom,
    out: *mut u8,
    capacity: usize,
    written: *mut usize,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(headroom, error, |headroom| {
            let written = Out::new(written, "written")?;
            written.set(headroom.save(array_mut(out, capacity, "out")?)?);
            Ok(())
        })
    }
}

/// Creates a desk from `len` bytes that rampmeter_headroom_save() wrote, which are believed in
/// nothing: damaged or forged ones are refused. `options` must be those that it had, but for
/// `replicas`, which comes from the snapshot.
///
/// Fails: E_SNAPSHOT, and as rampmeter_headroom_create(). Ownership, and so on: as there. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_headroom_restore(
    options: *const rampmeter_headroom_options,
    bytes: *const u8,
    len: usize,
    out: *mut *mut rampmeter_headroom,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        create(out, error, || {
            let options = self::options(options)?;
            options.validate()?;
            room(Headroom::bytes_needed(&options))?;
            Ok(Headroom::restore(&options, array(bytes, len, "bytes")?)?)
        })
    }
}
