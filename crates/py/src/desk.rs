//! A desk that several threads may share.
//!
//! A lock around each desk, because the core has none. A thread that waits for it lets go of the
//! interpreter, so that the one that holds it can always finish. A panic is a bug of the library:
//! it is caught, because Python's `PanicException` passes by every `except Exception` of a server,
//! the desk is not used any more, and `InternalError` is raised from then on.

use std::panic::{AssertUnwindSafe, catch_unwind};
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
pub(crate) struct Desk<T>(Mutex<State<T>>);

impl<T: Send> Desk<T> {
    /// Builds it without the interpreter: constructors take memory, which takes time.
    pub(crate) fn create(
        py: Python<'_>,
        build: impl FnOnce() -> Result<T, Fault> + Send,
    ) -> PyResult<Self> {
        let desk = py.detach(|| catch_unwind(AssertUnwindSafe(build)).unwrap_or(Err(BUG)))?;
        Ok(Self(Mutex::new(State { desk, poisoned: false })))
    }

    /// A call that takes a microsecond: the interpreter is kept meanwhile. `call` must not use it.
    pub(crate) fn ask<R>(
        &self,
        py: Python<'_>,
        call: impl FnOnce(&mut T) -> Result<R, Fault>,
    ) -> PyResult<R> {
        let mut state = self.0.lock_py_attached(py).unwrap_or_else(PoisonError::into_inner);
        Ok(state.run(call)?)
    }

    /// A call that looks at more than a few things: other Python threads go on meanwhile.
    pub(crate) fn scan<R: Send>(
        &self,
        py: Python<'_>,
        call: impl FnOnce(&mut T) -> Result<R, Fault> + Send,
    ) -> PyResult<R> {
        Ok(py.detach(|| self.locked().run(call))?)
    }

    /// To be called without the interpreter.
    fn locked(&self) -> MutexGuard<'_, State<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A call that changes this desk by what another one holds, at the cost of `scan`. Two threads
    /// that do so in opposite directions lock in the same order.
    pub(crate) fn both(
        &self,
        py: Python<'_>,
        other: &Self,
        call: impl FnOnce(&mut T, &mut T) -> Result<(), Fault> + Send,
    ) -> PyResult<()> {
        if std::ptr::eq(self, other) {
            return Err(Fault::Same.into());
        }
        py.detach(|| {
            let (mut mine, mut theirs);
            if std::ptr::from_ref(self) < std::ptr::from_ref(other) {
                mine = self.locked();
                theirs = other.locked();
            } else {
                theirs = other.locked();
                mine = self.locked();
            }
            theirs.run(|theirs| mine.run(|mine| call(mine, theirs)))
        })?;
        Ok(())
    }

    /// A [`Desk::scan`] of two desks. Always the placer first, so that no two calls wait for each
    /// other.
    pub(crate) fn scan_with<U: Send, R: Send>(
        &self,
        py: Python<'_>,
        other: &Desk<U>,
        call: impl FnOnce(&mut T, &mut U) -> Result<R, Fault> + Send,
    ) -> PyResult<R> {
        let done = py.detach(|| {
            let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let mut second = other.0.lock().unwrap_or_else(PoisonError::into_inner);
            let was_poisoned = second.poisoned;
            let done = state.run(|desk| second.run(|other| call(desk, other)));
            state.poisoned |= second.poisoned && !was_poisoned;
            done
        });
        Ok(done?)
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
