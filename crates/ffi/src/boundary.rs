//! Where calls from C come in: null checks, panics, what becomes of an object that met one, and calls
//! from within a call.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::atomic::{AtomicU8, Ordering};

use rampmeter::error::codes;

use crate::error::{Fault, Refusal, Refused, rampmeter_error};
use crate::memory::Out;
use crate::status::rampmeter_status;

/// What one call comes to.
pub(crate) type Outcome = Result<(), Fault>;

/// Nothing is against using the desk.
const READY: u8 = 0;
/// A call panicked, so the desk may be half changed.
const POISONED: u8 = 1;
/// A call has called the host, and is not over.
const BUSY: u8 = 2;

/// A desk behind a pointer, and whether it can be used.
pub(crate) struct Guarded<T> {
    desk: T,
    /// Atomic because calls that only look run side by side; relaxed because it guards no other
    /// memory.
    state: AtomicU8,
}

/// An object that C holds by a pointer.
pub(crate) trait Object: Sized {
    /// What is in it.
    type Desk;
    /// Name of the argument that holds it, for messages.
    const NAME: &'static str;
    fn wrap(guarded: Guarded<Self::Desk>) -> Self;
    /// Where it is, without a reference to it: a call from within a call must not make one.
    ///
    /// # Safety
    /// `object` came from [`create`] and has not ended.
    unsafe fn guarded(object: *const Self) -> *const Guarded<Self::Desk>;
}

/// Makes a `struct rampmeter_x(Guarded<X>)` an [`Object`], and checks what the header says of
/// threads: it may be sent to another, and looked at by several.
macro_rules! object {
    ($object:ident, $desk:ty, $name:literal) => {
        impl $crate::boundary::Object for $object {
            type Desk = $desk;
            const NAME: &'static str = $name;
            fn wrap(guarded: $crate::boundary::Guarded<$desk>) -> Self {
                Self(guarded)
            }
            unsafe fn guarded(object: *const Self) -> *const $crate::boundary::Guarded<$desk> {
                // SAFETY: it is there, and no reference is made.
                unsafe { &raw const (*object).0 }
            }
        }
        const _: () = {
            const fn shareable<T: Send + Sync>() {}
            shareable::<$object>();
        };
    };
}
pub(crate) use object;

/// A call without an object, or one that only looks at objects that it has checked itself.
///
/// # Safety
/// `error` is null or may be written.
#[inline]
pub(crate) unsafe fn answer(
    error: *mut rampmeter_error,
    call: impl FnOnce() -> Outcome,
) -> rampmeter_status {
    // SAFETY: passed on.
    unsafe { caught(error, None, call) }
}

/// A call that changes the object.
///
/// # Safety
/// `object` is null, or came from `create` and nobody else uses it meanwhile; `error` is null or
/// may be written.
#[inline]
pub(crate) unsafe fn change<O: Object>(
    object: *mut O,
    error: *mut rampmeter_error,
    call: impl FnOnce(&mut O::Desk) -> Outcome,
) -> rampmeter_status {
    // SAFETY: passed on.
    unsafe { change_any(object, error, call) }
}

/// As [`change`], for what a running host calls: faults are told where they are found.
///
/// # Safety
/// As [`change`].
#[inline]
pub(crate) unsafe fn change_told<O: Object>(
    object: *mut O,
    error: *mut rampmeter_error,
    call: impl FnOnce(&mut O::Desk) -> Result<(), Refused>,
) -> rampmeter_status {
    // SAFETY: passed on.
    unsafe { change_any(object, error, call) }
}

/// As [`change_told`], for a call that calls the host: until it is over, the object answers every
/// other call from there with an error.
///
/// # Safety
/// As [`change`].
pub(crate) unsafe fn change_calling<O: Object>(
    object: *mut O,
    error: *mut rampmeter_error,
    call: impl FnOnce(&mut O::Desk) -> Result<(), Refused>,
) -> rampmeter_status {
    // SAFETY: passed on.
    let (desk, state) = match unsafe { parts_mut(object) } {
        Ok(parts) => parts,
        // SAFETY: passed on.
        Err(fault) => return unsafe { fault.tell(error) },
    };
    state.store(BUSY, Ordering::Relaxed);
    // SAFETY: passed on.
    let status = unsafe { caught(error, Some(state), || call(desk)) };
    if status != codes::INTERNAL {
        state.store(READY, Ordering::Relaxed);
    }
    status
}

/// A call that only looks.
///
/// # Safety
/// `object` is null, or came from `create` and nobody changes it meanwhile; `error` is null or may
/// be written.
#[inline]
pub(crate) unsafe fn look<O: Object>(
    object: *const O,
    error: *mut rampmeter_error,
    call: impl FnOnce(&O::Desk) -> Outcome,
) -> rampmeter_status {
    // SAFETY: passed on.
    unsafe { look_any(object, error, call) }
}

/// As [`look`], for what a running host calls.
///
/// # Safety
/// As [`look`].
#[inline]
pub(crate) unsafe fn look_told<O: Object>(
    object: *const O,
    error: *mut rampmeter_error,
    call: impl FnOnce(&O::Desk) -> Result<(), Refused>,
) -> rampmeter_status {
    // SAFETY: passed on.
    unsafe { look_any(object, error, call) }
}

/// Runs a call; one that panics leaves `state` poisoned, if there is one.
#[inline]
unsafe fn caught<R: Refusal>(
    error: *mut rampmeter_error,
    state: Option<&AtomicU8>,
    call: impl FnOnce() -> Result<(), R>,
) -> rampmeter_status {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(())) => codes::OK,
        // SAFETY: passed on.
        Ok(Err(refusal)) => unsafe { refusal.status(error) },
        Err(_) => {
            if let Some(state) = state {
                state.store(POISONED, Ordering::Relaxed);
            }
            // SAFETY: passed on.
            unsafe { Fault::Internal { poisoned: false }.tell(error) }
        }
    }
}

#[inline]
unsafe fn change_any<O: Object, R: Refusal>(
    object: *mut O,
    error: *mut rampmeter_error,
    call: impl FnOnce(&mut O::Desk) -> Result<(), R>,
) -> rampmeter_status {
    // SAFETY: passed on.
    match unsafe { parts_mut(object) } {
        // SAFETY: passed on.
        Ok((desk, state)) => unsafe { caught(error, Some(state), || call(desk)) },
        // SAFETY: passed on.
        Err(fault) => unsafe { fault.tell(error) },
    }
}

#[inline]
unsafe fn look_any<O: Object, R: Refusal>(
    object: *const O,
    error: *mut rampmeter_error,
    call: impl FnOnce(&O::Desk) -> Result<(), R>,
) -> rampmeter_status {
    // SAFETY: passed on.
    match unsafe { desk(object) } {
        // SAFETY: passed on.
        Ok(desk) => unsafe { caught(error, None, || call(desk)) },
        // SAFETY: passed on.
        Err(fault) => unsafe { fault.tell(error) },
    }
}

/// A call that changes two objects of different kinds.
///
/// # Safety
/// Each object as in [`change`]; `error` is null or may be written.
#[inline]
pub(crate) unsafe fn change_both<A: Object, B: Object>(
    first: *mut A,
    second: *mut B,
    error: *mut rampmeter_error,
    call: impl FnOnce(&mut A::Desk, &mut B::Desk) -> Outcome,
) -> rampmeter_status {
    // SAFETY: passed on.
    let ((one, first), (other, second)) = match unsafe { (parts_mut(first), parts_mut(second)) } {
        (Ok(first), Ok(second)) => (first, second),
        // SAFETY: passed on.
        (Err(fault), _) | (_, Err(fault)) => return unsafe { fault.tell(error) },
    };
    // SAFETY: passed on.
    let status = unsafe { caught(error, Some(first), || call(one, other)) };
    if status == codes::INTERNAL {
        second.store(POISONED, Ordering::Relaxed);
    }
    status
}

/// Where an object is, if it can be used.
///
/// # Safety
/// `object` is null, or came from [`create`] and has not ended.
#[inline]
unsafe fn ready<O: Object>(object: *const O) -> Result<*const Guarded<O::Desk>, Fault> {
    if object.is_null() {
        return Err(Fault::Pointer { argument: O::NAME, null: true });
    }
    // SAFETY: passed on; the reference is to the state alone.
    let (guarded, state) = unsafe {
        let guarded = O::guarded(object);
        (guarded, (*guarded).state.load(Ordering::Relaxed))
    };
    match state {
        READY => Ok(guarded),
        BUSY => Err(Fault::Reentrant { argument: O::NAME }),
        _ => Err(Fault::Internal { poisoned: true }),
    }
}

/// What is in an object, to be changed.
///
/// # Safety
/// As [`change`], for as long as the answer is used.
#[inline]
unsafe fn parts_mut<'a, O: Object + 'a>(
    object: *mut O,
) -> Result<(&'a mut O::Desk, &'a AtomicU8), Fault> {
    // SAFETY: passed on.
    let guarded = unsafe { ready(object)? }.cast_mut();
    // SAFETY: nobody else uses the desk, by the caller's promise and because no call is under way.
    Ok(unsafe { (&mut (*guarded).desk, &(*guarded).state) })
}

/// The desk in an object that is an argument beside others.
///
/// # Safety
/// As [`look`], for as long as the answer is used.
#[inline]
pub(crate) unsafe fn desk<'a, O: Object + 'a>(object: *const O) -> Result<&'a O::Desk, Fault> {
    // SAFETY: passed on; nobody changes it, by the caller's promise.
    Ok(unsafe { &(*ready(object)?).desk })
}

/// Makes an object. `*out` is null unless it succeeds.
///
/// # Safety
/// `out` is null or may be written; `error` is null or may be written.
pub(crate) unsafe fn create<O: Object>(
    out: *mut *mut O,
    error: *mut rampmeter_error,
    call: impl FnOnce() -> Result<O::Desk, Fault>,
) -> rampmeter_status {
    // SAFETY: the caller's promises, passed on.
    unsafe {
        answer(error, || {
            let out = Out::new(out, "out")?;
            out.set(ptr::null_mut());
            let guarded = Guarded { desk: call()?, state: AtomicU8::new(READY) };
            out.set(Box::into_raw(Box::new(O::wrap(guarded))));
            Ok(())
        })
    }
}

/// Ends an object; null is nothing to do, nor is one in the middle of a call: what that goes on with
/// must be there.
///
/// # Safety
/// `object` is null, or came from [`create`] and nobody uses it now or later.
pub(crate) unsafe fn destroy<O: Object>(object: *mut O) {
    // SAFETY: passed on.
    let is_busy = matches!(unsafe { ready(object) }, Err(Fault::Reentrant { .. }));
    if !object.is_null() && !is_busy {
        // A panic while it is taken apart must not reach C either; there is nobody to tell.
        // SAFETY: it came from a box, and it is given back once.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(unsafe { Box::from_raw(object) })));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct counter(Guarded<u32>);
    object!(counter, u32, "counter");

    fn made() -> *mut counter {
        let mut out = ptr::null_mut();
        // SAFETY: both may be written.
        let status = unsafe { create::<counter>(&raw mut out, ptr::null_mut(), || Ok(7)) };
        assert_eq!(status, codes::OK);
        out
    }

    #[test]
    fn a_panic_is_caught_and_poisons_the_object() {
        let object = made();
        let none = ptr::null_mut();
        // SAFETY: it came from `create`, and one thread uses it.
        unsafe {
            let bug = change(object, none, |count| {
                *count = 8;
                panic!("on purpose")
            });
            assert_eq!(bug, codes::INTERNAL);
            assert_eq!(change(object, none, |_| Ok(())), codes::INTERNAL);
            assert_eq!(look(object, none, |_| Ok(())), codes::INTERNAL);
            destroy(object);
        }
    }

    #[test]
    fn a_panic_poisons_both_objects_of_a_call() {
        let (one, other, none) = (made(), made(), ptr::null_mut());
        // SAFETY: they came from `create`, and one thread uses them; null is allowed.
        unsafe {
            assert_eq!(
                change_both(one, other, none, |one, other| {
                    (*one, *other) = (8, 9);
                    Ok(())
                }),
                codes::OK
            );
            let nobody = ptr::null_mut::<counter>();
            assert_eq!(change_both(one, nobody, none, |_, _| Ok(())), codes::POINTER);
            assert_eq!(change_both(one, other, none, |_, _| panic!("on purpose")), codes::INTERNAL);
            for object in [one, other] {
                assert_eq!(look(object, none, |_| Ok(())), codes::INTERNAL);
                destroy(object);
            }
        }
    }

    #[test]
    fn a_panic_of_a_call_that_looks_leaves_the_object_as_it_was() {
        let object = made();
        let none = ptr::null_mut();
        // SAFETY: as above.
        unsafe {
            assert_eq!(look(object, none, |_| panic!("on purpose")), codes::INTERNAL);
            assert_eq!(
                look(object, none, |count| {
                    assert_eq!(*count, 7);
                    Ok(())
                }),
                codes::OK
            );
            destroy(object);
        }
    }

    #[test]
    fn a_call_from_within_a_call_is_refused() {
        let object = made();
        let none = ptr::null_mut();
        // SAFETY: it came from `create`, and one thread uses it.
        unsafe {
            let outer = change_calling(object, none, |count| {
                *count = 9;
                assert_eq!(change(object, none, |_| Ok(())), codes::REENTRANT);
                assert_eq!(look(object, none, |_| Ok(())), codes::REENTRANT);
                destroy(object);
                assert_eq!(*count, 9);
                Ok(())
            });
            assert_eq!(outer, codes::OK);
            assert_eq!(change(object, none, |_| Ok(())), codes::OK);
            assert_eq!(change_calling(object, none, |_| panic!("on purpose")), codes::INTERNAL);
            assert_eq!(look(object, none, |_| Ok(())), codes::INTERNAL);
            destroy(object);
        }
    }

    #[test]
    fn nothing_is_made_where_it_fails() {
        let mut out = ptr::NonNull::<counter>::dangling().as_ptr();
        // SAFETY: both may be written.
        let status =
            unsafe { create(&raw mut out, ptr::null_mut(), || Err(Fault::Text { argument: "x" })) };
        assert_eq!((status, out.is_null()), (codes::TEXT, true));
        // SAFETY: null is allowed everywhere.
        unsafe {
            assert_eq!(change::<counter>(out, ptr::null_mut(), |_| Ok(())), codes::POINTER);
            assert_eq!(look::<counter>(out, ptr::null_mut(), |_| Ok(())), codes::POINTER);
            assert_eq!(
                create::<counter>(ptr::null_mut(), ptr::null_mut(), || Ok(1)),
                codes::POINTER
            );
            destroy(out);
        }
    }
}
