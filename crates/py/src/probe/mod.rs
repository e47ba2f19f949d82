//! What the GPUs of this machine say about themselves.
//!
//! Calls of the driver let go of the interpreter, because they take as long as the driver likes; to
//! take a snapshot that was read before does not, because that waits for nobody.

mod backend;
mod bridge;
mod device;
mod poller;
mod reading;
mod signals;
mod snapshot;

use pyo3::prelude::*;
use pyo3::types::PyAny;
use rampmeter_probe::{Due, Probe as CoreProbe};

use self::backend::{Backend, Wanted};
use self::snapshot::{Condition, Snapshot};
use crate::desk::Desk;
use crate::error::Fault;
use crate::record::record;

record! {
    /// A snapshot whose devices know their numbers in CUDA of this process, and whether CUDA could be
    /// asked.
    "rampmeter.probe" Joined {
        snapshot: Snapshot,
        condition: Condition,
    }
}

/// Reads GPUs when it is asked to, for as long as the driver takes. Whoever must not wait reads
/// what a `Poller` has read.
///
/// `backend` is "nvml" (the driver's library, or the one in the file `library`), "cuda" (with
/// `permission` "look": only if this process has started CUDA itself; "start": starts it, and the
/// process must not be forked afterwards; "make_contexts": takes hundreds of MiB of every GPU to read
/// its memory), "fixture" (a machine in the file `path`) or "none". Nothing is loaded before the
/// first `read`. A driver that is missing is no error: the `condition` of the snapshot says so.
///
/// >>> from rampmeter.probe import Probe
/// >>> snapshot = Probe("none").read()
/// >>> snapshot.condition.word, snapshot.devices
/// ('off', ())
#[pyclass(frozen, module = "rampmeter.probe")]
#[derive(Debug)]
pub(crate) struct Probe(Desk<Backend>);

#[pymethods]
impl Probe {
    #[new]
    #[pyo3(signature = (backend = "nvml", *, library = None, path = None, permission = None))]
    fn new(
        py: Python<'_>,
        backend: &str,
        library: Option<std::path::PathBuf>,
        path: Option<std::path::PathBuf>,
        permission: Option<&str>,
    ) -> PyResult<Self> {
        let wanted = Wanted::new(backend, library, path, permission)?;
        Desk::create(py, || wanted.open()).map(Self)
    }

    /// Reads these groups anew ("inventory", "memory", "utilization", "condition", "processes"; all
    /// of them by default) and keeps the rest, which ages. Opens the driver first, if it is not open.
    #[pyo3(signature = (groups = None))]
    fn read(&self, py: Python<'_>, groups: Option<Vec<String>>) -> PyResult<Snapshot> {
        let due = match groups {
            None => Due::ALL,
            Some(groups) => groups.iter().try_fold(Due::NOTHING, |due, group| {
                Ok::<_, Fault>(due.and(self::backend::group(group)?))
            })?,
        };
        self.0.scan(py, |probe| Ok(Snapshot::of(probe.read(due).clone())))
    }

    /// Tells each device of a snapshot its number in CUDA of this process, joined by identifier: of
    /// the backend "cuda" only, with the permission that it has.
    fn join(&self, py: Python<'_>, snapshot: &Bound<'_, Snapshot>) -> PyResult<Joined> {
        let mut told = snapshot.get().core().clone();
        let condition = self.0.scan(py, |probe| probe.join(&mut told))?;
        Ok(Joined { snapshot: Snapshot::of(told), condition: condition.into() })
    }

    /// Gives back what the driver lent. Reading afterwards opens it again.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        self.0.scan(py, |probe| {
            probe.close();
            Ok(())
        })
    }

    fn __enter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    #[pyo3(signature = (*_raised))]
    fn __exit__(&self, py: Python<'_>, _raised: &Bound<'_, PyAny>) -> PyResult<()> {
        self.close(py)
    }
}

impl Drop for Probe {
    /// Without the interpreter where there still is one: the driver may take its time.
    fn drop(&mut self) {
        let _ = Python::try_attach(|py| self.close(py));
    }
}

pub(crate) fn fill(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("STALE_AFTER_NS", rampmeter_probe::poller::STALE_AFTER.get())?;
    module.add("HANGING_AFTER_NS", rampmeter_probe::poller::HANGING_AFTER.get())?;
    module.add_class::<Probe>()?;
    module.add_class::<Joined>()?;
    bridge::fill(module)?;
    device::fill(module)?;
    poller::fill(module)?;
    reading::fill(module)?;
    signals::fill(module)?;
    snapshot::fill(module)
}
