//! One reading: a value with its age, or why there is none.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple, PyType};
use rampmeter::Nanos;
use rampmeter_probe::Reading as CoreReading;

use super::device::{Clocks, Memory, NvLink, Power, Processes, Throttle, Utilization, Xid};
use crate::record::{fields, record, shown};

/// What a reading can be of.
#[derive(Clone, Debug, IntoPyObject, PartialEq)]
pub(super) enum Value {
    Clocks(Clocks),
    Memory(Memory),
    NvLinks(Vec<NvLink>),
    Power(Power),
    Processes(Processes),
    Throttle(Throttle),
    Utilization(Utilization),
    Xid(Xid),
    Number(u64),
    Real(f64),
    Truth(bool),
    Text(String),
    Names(Vec<&'static str>),
    Pair((u16, u16)),
    Numbers(Vec<u32>),
}

/// It was read: `value`, and `age_ns`, how long before its snapshot was taken (of `Signals`: before
/// they were asked for).
#[pyclass(frozen, get_all, eq, name = "Ok", module = "rampmeter.probe")]
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Known {
    value: Value,
    age_ns: u64,
}

const KNOWN_FIELDS: &[&str] = &["value", "age_ns"];

#[pymethods]
impl Known {
    #[classattr]
    fn __match_args__(py: Python<'_>) -> PyResult<Bound<'_, PyTuple>> {
        PyTuple::new(py, KNOWN_FIELDS)
    }

    /// For types: `Ok[Memory]`.
    #[classmethod]
    fn __class_getitem__(class: &Bound<'_, PyType>, _of: &Bound<'_, PyAny>) -> Py<PyType> {
        class.clone().unbind()
    }

    /// The value, if it is at most `age_max_ns` old for whoever holds a snapshot of this age; else
    /// `None`.
    fn fresh(&self, snapshot_age_ns: u64, age_max_ns: u64) -> Option<Value> {
        let is_fresh = self.age_ns.saturating_add(snapshot_age_ns) <= age_max_ns;
        is_fresh.then(|| self.value.clone())
    }

    /// The fields as a dictionary, for logs and metrics.
    fn as_dict<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyDict>> {
        fields(slf.as_any(), KNOWN_FIELDS)
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        shown(slf.as_any(), "Ok", KNOWN_FIELDS)
    }
}

/// Declares a reading that has no value, for a reason that needs no more words.
macro_rules! without_value {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[pyclass(frozen, eq, module = "rampmeter.probe")]
        #[derive(Clone, Copy, Debug, PartialEq)]
        pub(super) struct $name;

        #[pymethods]
        impl $name {
            #[new]
            const fn new() -> Self {
                Self
            }

            #[classattr]
            fn __match_args__(py: Python<'_>) -> Bound<'_, PyTuple> {
                PyTuple::empty(py)
            }

            /// `None`: there is no value.
            #[allow(clippy::unused_self, reason = "it is that of every reading")]
            const fn fresh(&self, _snapshot_age_ns: u64, _age_max_ns: u64) -> Option<u64> {
                None
            }

            /// The fields as a dictionary, for logs and metrics: there are none.
            #[allow(clippy::unused_self, reason = "it is that of every record")]
            fn as_dict<'py>(&self, py: Python<'py>) -> Bound<'py, PyDict> {
                PyDict::new(py)
            }

            #[allow(clippy::unused_self, reason = "Python calls it so")]
            const fn __repr__(&self) -> &'static str {
                concat!(stringify!($name), "()")
            }
        }
    };
}

without_value! {
    /// This device, driver or backend does not tell it.
    Unsupported
}
without_value! {
    /// It may be told, but not to this process.
    Denied
}
record! {
    /// The driver call of this name failed with this status; 0: it claimed to succeed, and its answer
    /// cannot be.
    "rampmeter.probe" Failed {
        call: &'static str,
        code: u32,
    } impl {
        /// `None`: there is no value.
        #[allow(clippy::unused_self, reason = "it is that of every reading")]
        const fn fresh(&self, _snapshot_age_ns: u64, _age_max_ns: u64) -> Option<u64> {
            None
        }
    }
}

/// What came of asking for a value.
#[derive(Clone, Debug, IntoPyObject, PartialEq)]
pub(super) enum Reading {
    Known(Known),
    Unsupported(Unsupported),
    Denied(Denied),
    Failed(Failed),
}

impl Reading {
    /// A reading of the core, with its value in the words of Python.
    pub(super) fn of<T>(reading: CoreReading<T>, value: impl FnOnce(T) -> Value) -> Self {
        match reading {
            CoreReading::Ok { value: known, age: Nanos(age_ns) } => {
                Self::Known(Known { value: value(known), age_ns })
            }
            CoreReading::Unsupported => Self::Unsupported(Unsupported),
            CoreReading::Denied => Self::Denied(Denied),
            CoreReading::Failed { call, code } => Self::Failed(Failed { call: call.name(), code }),
        }
    }
}

pub(super) fn fill(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Known>()?;
    module.add_class::<Unsupported>()?;
    module.add_class::<Denied>()?;
    module.add_class::<Failed>()
}
