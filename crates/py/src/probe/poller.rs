//! A thread that asks, so that nobody who decides has to.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use pyo3::prelude::*;
use pyo3::types::{PyAny, PyDict};
use rampmeter::units::Nanos;
use rampmeter_probe::poller::{State, Stopped as CoreStopped};
use rampmeter_probe::{Cadence, Poller as CorePoller, Reader};

use super::backend::Wanted;
use super::snapshot::Snapshot;
use crate::error::Fault;
use crate::options::set_options;
use crate::record::record;

/// How long the first snapshot is waited for where nothing else is said: a driver that is only slow
/// to start has answered by then, as on the command line.
const FIRST_PATIENCE_NS: u64 = 20_000_000_000;
/// How long stopping waits where nothing else is said: longer than any call that does not hang.
const STOP_PATIENCE_NS: u64 = 250_000_000;

record! {
    /// What a poller is doing: "running", "hanging" (in the driver call `call`, since `since_ns`),
    /// "ended" or "forked" (this is a child of the process that it runs in).
    "rampmeter.probe" PollerState {
        word: &'static str,
        call: Option<&'static str>,
        since_ns: Option<u64>,
    }
}
record! {
    /// How a poller was stopped: "clean" (its thread has ended), "detached" (the thread still waits for
    /// the driver call `call`, as far as that can be told, and ends when it returns) or "forked" (this
    /// is a child process: there was nothing to stop).
    "rampmeter.probe" Stopped {
        how: &'static str,
        call: Option<&'static str>,
    }
}

/// A thread that reads GPUs at its cadence. Any thread takes its last snapshot without waiting.
///
/// `Poller.start` takes the arguments of `Probe` and how often each group is read: `memory_ns` (200 ms,
/// at least 100 ms), `utilization_ns` (500 ms, 250 ms), `condition_ns` (power, clocks, temperature,
/// throttling, events: 2 s, 1 s), `processes_ns` (5 s, 1 s), `inventory_ns` (which devices there are:
/// 60 s, 5 s), and `retry_ns` (30 s, 1 s), after which a driver that did not answer is tried again.
/// Raises `RangeError`. The thread never uses Python.
///
/// A child of a fork has no thread: there `state` says "forked", `latest` gives the last snapshot of
/// before, which ages, and `Poller.start` starts another one.
///
/// >>> import time
/// >>> from rampmeter.probe import Poller
/// >>> with Poller.start("none") as poller:
/// ...     poller.wait_first()
/// ...     poller.latest().condition.word
/// ...     poller.state(time.monotonic_ns()).word
/// True
/// 'off'
/// 'running'
/// >>> poller.state(time.monotonic_ns()).word
/// 'ended'
#[pyclass(frozen, module = "rampmeter.probe")]
#[derive(Debug)]
pub(crate) struct Poller {
    reader: Reader,
    /// Until it is stopped. The lock is held to take it out, and never while somebody waits.
    poller: Mutex<Option<CorePoller>>,
}

fn cadence(given: Option<&Bound<'_, PyDict>>) -> PyResult<Cadence> {
    /// By the names that errors have.
    struct Periods {
        memory_ns: u64,
        utilization_ns: u64,
        condition_ns: u64,
        processes_ns: u64,
        inventory_ns: u64,
        retry_ns: u64,
    }
    let default = Cadence::default();
    let mut periods = Periods {
        memory_ns: default.memory.get(),
        utilization_ns: default.utilization.get(),
        condition_ns: default.condition.get(),
        processes_ns: default.processes.get(),
        inventory_ns: default.inventory.get(),
        retry_ns: default.retry.get(),
    };
    set_options!(
        given,
        periods: memory_ns,
        utilization_ns,
        condition_ns,
        processes_ns,
        inventory_ns,
        retry_ns,
    );
    Ok(Cadence {
        memory: Nanos(periods.memory_ns),
        utilization: Nanos(periods.utilization_ns),
        condition: Nanos(periods.condition_ns),
        processes: Nanos(periods.processes_ns),
        inventory: Nanos(periods.inventory_ns),
        retry: Nanos(periods.retry_ns),
    })
}

#[pymethods]
impl Poller {
    /// Starts a thread. The first snapshot has `seq` 0 until something was read: see `wait_first`.
    #[staticmethod]
    #[pyo3(signature = (
        backend = "nvml", *, library = None, path = None, permission = None, **cadence
    ))]
    fn start(
        py: Python<'_>,
        backend: &str,
        library: Option<PathBuf>,
        path: Option<PathBuf>,
        permission: Option<&str>,
        cadence: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        let wanted = Wanted::new(backend, library, path, permission)?;
        let cadence = self::cadence(cadence)?;
        let poller = py.detach(|| Ok::<_, Fault>(CorePoller::start(wanted.open()?, &cadence)?))?;
        Ok(Self { reader: poller.reader(), poller: Mutex::new(Some(poller)) })
    }

    /// The last snapshot. Never waits and asks no driver; in a child of a fork, and after the end, it
    /// is that of before.
    fn latest(&self) -> Snapshot {
        Snapshot::of((*self.reader.latest()).clone())
    }

    /// What it is doing.
    fn state(&self, now_ns: u64) -> PollerState {
        let alone = |word| PollerState { word, call: None, since_ns: None };
        match self.reader.state(Nanos(now_ns)) {
            State::Running => alone("running"),
            State::Hanging { call, since } => PollerState {
                word: "hanging",
                call: Some(call.name()),
                since_ns: Some(since.get()),
            },
            State::Ended => alone("ended"),
            State::Forked => alone("forked"),
        }
    }

    /// Waits until something was read, at most so long (20 s by default); other Python threads go on
    /// meanwhile. Whether there is something now; never in a child of a fork.
    #[pyo3(signature = (patience_ns = FIRST_PATIENCE_NS))]
    fn wait_first(&self, py: Python<'_>, patience_ns: u64) -> bool {
        py.detach(|| self.reader.wait_first(Duration::from_nanos(patience_ns)))
    }

    /// Stops it. Waits for the driver call that runs, at most so long (250 ms by default); other Python
    /// threads go on meanwhile. The end of a `with` block and garbage collection stop it, too.
    #[pyo3(signature = (patience_ns = STOP_PATIENCE_NS))]
    fn stop(&self, py: Python<'_>, patience_ns: u64) -> Stopped {
        let poller = self.poller.lock().unwrap_or_else(PoisonError::into_inner).take();
        let stopped = poller.map_or(CoreStopped::Clean, |poller| {
            py.detach(|| poller.stop(Duration::from_nanos(patience_ns)))
        });
        match stopped {
            CoreStopped::Clean => Stopped { how: "clean", call: None },
            CoreStopped::Detached { call } => {
                Stopped { how: "detached", call: call.map(rampmeter_probe::Call::name) }
            }
            CoreStopped::Forked => Stopped { how: "forked", call: None },
        }
    }

    fn __enter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    #[pyo3(signature = (*_raised))]
    fn __exit__(&self, py: Python<'_>, _raised: &Bound<'_, PyAny>) {
        self.stop(py, STOP_PATIENCE_NS);
    }
}

impl Drop for Poller {
    /// Waits for nobody: the thread is told to end, and does after the call that runs.
    fn drop(&mut self) {
        let poller = self.poller.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        let _ = poller.map(|poller| poller.stop(Duration::ZERO));
    }
}

pub(super) fn fill(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Poller>()?;
    module.add_class::<PollerState>()?;
    module.add_class::<Stopped>()
}
