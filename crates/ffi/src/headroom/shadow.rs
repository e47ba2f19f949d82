//! Shadow price: what a GPU is worth while others wait for it.

use rampmeter::Nanos;
use rampmeter::headroom::ShadowPrice;

use crate::boundary::{Guarded, change, create, destroy, look, object};
use crate::error::rampmeter_error;
use crate::memory::Out;
use crate::status::rampmeter_status;

/// The price of a GPU-second, from what waits and what is offered. One thread at a time may change
/// it; calls with a `const` pointer may run side by side.
pub struct rampmeter_shadow_price(Guarded<ShadowPrice>);
object!(rampmeter_shadow_price, ShadowPrice, "shadow_price");

/// Creates a price of so many GPUs, 0 to 1e12, from `now_ns` on.
///
/// Fails: E_RANGE_REAL, E_POINTER. Ownership: `*out` is the caller's, to be given to
/// rampmeter_shadow_price_destroy(); NULL on failure. Allocates: yes, less than 100 bytes. Blocks: no.
/// Threads: any. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_shadow_price_create(
    now_ns: u64,
    gpus: f64,
    out: *mut *mut rampmeter_shadow_price,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe { create(out, error, || Ok(ShadowPrice::new(Nanos(now_ns), gpus)?)) }
}

/// Ends a price. NULL is allowed and does nothing.
///
/// Allocates: no (frees). Blocks: no. Threads: one, and no other may still use it. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_shadow_price_destroy(shadow_price: *mut rampmeter_shadow_price) {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe { destroy(shadow_price) }
}

/// From now on there are so many GPUs, 0 to 1e12.
///
/// Fails: E_TIME_REVERSED, E_RANGE_REAL, E_POINTER. Allocates: no. Blocks: no. Threads: one at a time
/// for each price. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_shadow_price_set_gpus(
    shadow_price: *mut rampmeter_shadow_price,
    now_ns: u64,
    gpus: f64,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe { change(shadow_price, error, |price| Ok(price.capacity(Nanos(now_ns), gpus)?)) }
}

/// From now on requests wait whose delay values add up to `value`, 0 to 1e12.
///
/// Fails, and so on: as rampmeter_shadow_price_set_gpus(). Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_shadow_price_waiting(
    shadow_price: *mut rampmeter_shadow_price,
    now_ns: u64,
    value: f64,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe { change(shadow_price, error, |price| Ok(price.waiting(Nanos(now_ns), value)?)) }
}

/// Work of so many GPU-seconds came in, 0 to 1e12.
///
/// Fails, and so on: as rampmeter_shadow_price_set_gpus(). Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_shadow_price_offered(
    shadow_price: *mut rampmeter_shadow_price,
    now_ns: u64,
    gpu_seconds: f64,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe { change(shadow_price, error, |price| Ok(price.offered(Nanos(now_ns), gpu_seconds)?)) }
}

/// The price at `now_ns`, in value-seconds a GPU-second, into `*price`, and the offered work over what
/// all GPUs can do, as of the last call that changed something, into `*rho`. The price is 0 without
/// GPUs: none can be lost.
///
/// Fails: E_TIME_REVERSED, E_POINTER. Allocates: no. Blocks: no. Threads: any number, while nobody
/// changes the price. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rampmeter_shadow_price_price(
    shadow_price: *const rampmeter_shadow_price,
    now_ns: u64,
    price: *mut f64,
    rho: *mut f64,
    error: *mut rampmeter_error,
) -> rampmeter_status {
    // SAFETY: the caller keeps what the head of the header asks of pointers.
    unsafe {
        look(shadow_price, error, |known| {
            let (to_price, to_rho) = (Out::new(price, "price")?, Out::new(rho, "rho")?);
            to_price.set(known.price(Nanos(now_ns))?);
            to_rho.set(known.rho());
            Ok(())
        })
    }
}
