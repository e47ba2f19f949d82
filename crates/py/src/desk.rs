//! A desk that several threads may share.
//!
//! A lock around each desk, because the core has none. A thread that waits for it lets go of the
//! interpreter, so that the one that holds it can always finish. A panic is a bug of the library:
//! it is caught, because Python's `PanicException` passes by every `except Exception` of a server,
//! the desk is not used any more, and `InternalError` is raised from then on. A call that asks the
//! host something in its middle ([`Desk::ask_calling`]) holds the lock meanwhile: what the host's
//! function asks of the same desk is refused, because it would wait for itself.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::prelude::*;
use pyo3::sync::MutexExt;

use crate::error::Fault;

const BUG: Fault = Fault::Internal { what: "a bug of the library; report it" };
const UNUSABLE: Fault = Fault::Internal {
    what: "the object met a bug of the library in an earlier call: make another",
};

#[derive(Debug)]
struct State<T> {
    desk: T,
    /// A call did not come to its end: what it left may contradict itself.
    poisoned: bool,
}

/// A desk of the core behind a lock.
#[derive(Debug)]
pub(crate) struct Desk<T> {
    state: Mutex<State<T>>,
    /// The thread that is in a function of the host, by way of this desk; 0: none.
    calling: AtomicUsize,
}

/// A number that no other thread has at the same time, and not 0.
fn this_thread() -> usize {
    thread_local!(static HERE: u8 = const { 0 });
    HERE.with(|here| ptr::from_ref(here).addr())
}

impl<T: Send> Desk<T> {
    /// Builds it without the interpreter: constructors take memory, which takes time.
    pub(crate) fn create(
        py: Python<'_>,
        build: impl FnOnce() -> Result<T, Fault> + Send,
    ) -> PyResult<Self> {
        let desk = py.detach(|| catch_unwind(AssertUnwindSafe(build)).unwrap_or(Err(BUG)))?;
        let state = Mutex::new(State { desk, poisoned: false });
        Ok(Self { state, calling: AtomicUsize::new(0) })
    }

    /// A call that takes a microsecond: the interpreter is kept meanwhile. `call` must not use it.
    pub(crate) fn ask<R>(
        &self,
        py: Python<'_>,
        call: impl FnOnce(&mut T) -> Result<R, Fault>,
    ) -> PyResult<R> {
        self.check_calling()?;
        let mut state = self.state.lock_py_attached(py).unwrap_or_else(PoisonError::into_inner);
        Ok(state.run(call)?)
    }

    /// As [`Desk::ask`], for a call that asks the host something in its middle.
    pub(crate) fn ask_calling<R>(
        &self,
        py: Python<'_>,
        call: impl FnOnce(&mut T) -> Result<R, Fault>,
    ) -> PyResult<R> {
        self.check_calling()?;
        let mut state = self.state.lock_py_attached(py).unwrap_or_else(PoisonError::into_inner);
        self.calling.store(this_thread(), Ordering::Relaxed);
        let done = state.run(call);
        self.calling.store(0, Ordering::Relaxed);
        Ok(done?)
    }

    /// Only the thread that is in the call can find itself there, whatever others store.
    fn check_calling(&self) -> Result<(), Fault> {
        if self.calling.load(Ordering::Relaxed) == this_thread() {
            return Err(Fault::Reentrant);
        }
        Ok(())
    }

    /// A call that looks at more than a few things: other Python threads go on meanwhile.
    pub(crate) fn scan<R: Send>(
        &self,
        py: Python<'_>,
        call: impl FnOnce(&mut T) -> Result<R, Fault> + Send,
    ) -> PyResult<R> {
        self.check_calling()?;
        Ok(py.detach(|| self.locked().run(call))?)
    }

    /// A [`Desk::scan`] of two desks. All such calls lock in the order of addresses, so that no two
    /// of them wait for each other.
    pub(crate) fn scan_with<U: Send, R: Send>(
        &self,
        py: Python<'_>,
        other: &Desk<U>,
        call: impl FnOnce(&mut T, &mut U) -> Result<R, Fault> + Send,
    ) -> PyResult<R> {
        let (here, there) = (ptr::from_ref(self).addr(), ptr::from_ref(other).addr());
        if here == there {
            return Err(Fault::Same.into());
        }
        self.check_calling()?;
        other.check_calling()?;
        let done = py.detach(|| {
            let (mut mine, mut theirs);
            if here < there {
                mine = self.locked();
                theirs = other.locked();
            } else {
                theirs = other.locked();
                mine = self.locked();
            }
            let was_poisoned = theirs.poisoned;
            let done = mine.run(|mine| theirs.run(|theirs| call(mine, theirs)));
            mine.poisoned |= theirs.poisoned && !was_poisoned;
            done
        });
        Ok(done?)
    }

    /// To be called without the interpreter.
    fn locked(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> State<T> {
    fn run<R>(&mut self, call: impl FnOnce(&mut T) -> Result<R, Fault>) -> Result<R, Fault> {
        if self.poisoned {
            return Err(UNUSABLE);
        }
        let desk = &mut self.desk;
        catch_unwind(AssertUnwindSafe(|| call(desk))).unwrap_or_else(|_| {
            self.poisoned = true;
            Err(BUG)
        })
    }
}

/// Calls `build` if there are `bytes` of memory, so that too large a desk is an exception.
pub(crate) fn with_memory<T>(
    bytes: u64,
    build: impl FnOnce() -> Result<T, rampmeter::Error>,
) -> Result<T, Fault> {
    let wanted = usize::try_from(bytes).map_err(|_| Fault::Memory { bytes })?;
    let mut room: Vec<u8> = Vec::new();
    room.try_reserve_exact(wanted).map_err(|_| Fault::Memory { bytes })?;
    drop(room);
    Ok(build()?)
}
