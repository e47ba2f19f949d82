//! Where calls from C come in: null checks, panics, and what becomes of an object that met one.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};

use rampmeter::error::codes;

use crate::error::{Fault, Refusal, Refused, rampmeter_error};
use crate::memory::Out;
use crate::status::rampmeter_status;

/// What one call comes to.
pub(crate) type Outcome = Result<(), Fault>;

/// A desk behind a pointer, and whether it can still be believed.
pub(crate) struct Guarded<T> {
    desk: T,
    /// A call panicked, so the desk may be half changed. Atomic because calls that only look run
    /// side by side; relaxed because it guards no other memory.
    poisoned: AtomicBool,
}

/// An object that C holds by a pointer.
pub(crate) trait Object: Sized {
    /// What is in it.
    type Desk;
    /// Name of the argument that holds it, for messages.
    const NAME: &'static str;
    fn wrap(guarded: Guarded<Self::Desk>) -> Self;
    fn guarded(&self) -> &Guarded<Self::Desk>;
    fn guarded_mut(&mut self) -> &mut Guarded<Self::Desk>;
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
            fn guarded(&self) -> &$crate::boundary::Guarded<$desk> {
                &self.0
            }
            fn guarded_mut(&mut self) -> &mut $crate::boundary::Guarded<$desk> {
                &mut self.0
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
    unsafe { caught(error, call) }
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

#[inline]
unsafe fn caught<R: Refusal>(
    error: *mut rampmeter_error,
    call: impl FnOnce() -> Result<(), R>,
) -> rampmeter_status {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(())) => codes::OK,
        // SAFETY: passed on.
        Ok(Err(refusal)) => unsafe { refusal.status(error) },
        // SAFETY: passed on.
        Err(_) => unsafe { Fault::Internal { poisoned: false }.tell(error) },
    }
}

#[inline]
unsafe fn change_any<O: Object, R: Refusal>(
    object: *mut O,
    error: *mut rampmeter_error,
    call: impl FnOnce(&mut O::Desk) -> Result<(), R>,
) -> rampmeter_status {
    // SAFETY: null, or the caller's promise.
    let Some(object) = (unsafe { object.as_mut() }) else {
        // SAFETY: passed on.
        return unsafe { Fault::Pointer { argument: O::NAME, null: true }.tell(error) };
    };
    let guarded = object.guarded_mut();
    if *guarded.poisoned.get_mut() {
        // SAFETY: passed on.
        return unsafe { Fault::Internal { poisoned: true }.tell(error) };
    }
    match catch_unwind(AssertUnwindSafe(|| call(&mut guarded.desk))) {
        Ok(Ok(())) => codes::OK,
        // SAFETY: passed on.
        Ok(Err(refusal)) => unsafe { refusal.status(error) },
        Err(_) => {
            *guarded.poisoned.get_mut() = true;
            // SAFETY: passed on.
            unsafe { Fault::Internal { poisoned: false }.tell(error) }
        }
    }
}

/// A call that changes two objects.
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
    let (first, second) = match unsafe { (guarded_mut(first), guarded_mut(second)) } {
        (Ok(first), Ok(second)) => (first, second),
        // SAFETY: passed on.
        (Err(fault), _) | (_, Err(fault)) => return unsafe { fault.tell(error) },
    };
    match catch_unwind(AssertUnwindSafe(|| call(&mut first.desk, &mut second.desk))) {
        Ok(Ok(())) => codes::OK,
        // SAFETY: passed on.
        Ok(Err(fault)) => unsafe { fault.tell(error) },
        Err(_) => {
            *first.poisoned.get_mut() = true;
            *second.poisoned.get_mut() = true;
            // SAFETY: passed on.
            unsafe { Fault::Internal { poisoned: false }.tell(error) }
        }
    }
}

/// What is in an object that can still be believed.
///
/// # Safety
/// As [`change`], for as long as the answer is used.
#[inline]
unsafe fn guarded_mut<'a, O: Object + 'a>(
    object: *mut O,
) -> Result<&'a mut Guarded<O::Desk>, Fault> {
    // SAFETY: null, or the caller's promise.
    let Some(object) = (unsafe { object.as_mut() }) else {
        return Err(Fault::Pointer { argument: O::NAME, null: true });
    };
    let guarded = object.guarded_mut();
    if *guarded.poisoned.get_mut() {
        return Err(Fault::Internal { poisoned: true });
    }
    Ok(guarded)
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
        Ok(desk) => unsafe { caught(error, || call(desk)) },
        // SAFETY: passed on.
        Err(fault) => unsafe { fault.tell(error) },
    }
}

/// The desk in an object that is an argument beside others.
///
/// # Safety
/// As [`look`], for as long as the answer is used.
#[inline]
pub(crate) unsafe fn desk<'a, O: Object + 'a>(object: *const O) -> Result<&'a O::Desk, Fault> {
    // SAFETY: null, or the caller's promise.
    match unsafe { object.as_ref() } {
        None => Err(Fault::Pointer { argument: O::NAME, null: true }),
        Some(object) if object.guarded().poisoned.load(Ordering::Relaxed) => {
            Err(Fault::Internal { poisoned: true })
        }
        Some(object) => Ok(&object.guarded().desk),
    }
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
            let guarded = Guarded { desk: call()?, poisoned: AtomicBool::new(false) };
            out.set(Box::into_raw(Box::new(O::wrap(guarded))));
            Ok(())
        })
    }
}

/// Ends an object; null is nothing to do.
///
/// # Safety
/// `object` is null, or came from [`create`] and nobody uses it now or later.
pub(crate) unsafe fn destroy<O: Object>(object: *mut O) {
    if !object.is_null() {
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
