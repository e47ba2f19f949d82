//! Errors of the core as exceptions of `rampmeter.errors`, by the one table of codes.

mod names;

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyType};
use rampmeter::Error;
use rampmeter::error::codes;
use rampmeter::policy::document::DocumentError;
use rampmeter_probe::document::Refused;
use rampmeter_probe::fixture::FixtureError;
use rampmeter_probe::poller::StartError;

/// Why a call was refused, before it becomes an exception: it can be made without Python.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The core says so.
    Core(Error),
    /// A policy document is wrong.
    Document(DocumentError),
    /// A machine in a document cannot be.
    Machine(Refused),
    /// The system refuses a file or a thread.
    System(std::io::Error),
    /// Nothing has this name.
    Name { what: &'static str, name: String },
    /// The policy names fewer accounts.
    Account { index: usize },
    /// An object was to be changed by what it holds itself.
    Same,
    /// There is not as much memory.
    Memory { bytes: u64 },
    /// The call comes from within a call of the same object, by way of a function of the host.
    Reentrant,
    /// A bug of the library, in this call or in an earlier one.
    Internal { what: &'static str },
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Core(error)
    }
}

impl From<DocumentError> for Fault {
    fn from(error: DocumentError) -> Self {
        Self::Document(error)
    }
}

impl From<Refused> for Fault {
    fn from(refused: Refused) -> Self {
        Self::Machine(refused)
    }
}

impl From<FixtureError> for Fault {
    fn from(error: FixtureError) -> Self {
        match error {
            FixtureError::Unreadable(error) => Self::System(error),
            FixtureError::Refused(refused) => Self::Machine(refused),
        }
    }
}

impl From<StartError> for Fault {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Cadence(error) => Self::Core(error),
            StartError::Thread(error) => Self::System(error),
        }
    }
}

impl Fault {
    fn code(&self) -> i32 {
        match self {
            Self::Core(error) => error.code(),
            Self::Document(_) | Self::Machine(_) => codes::DOCUMENT,
            Self::Name { .. } => codes::NAME,
            Self::Account { .. } => codes::RANGE,
            Self::Same => codes::CONTRADICTION,
            Self::Memory { .. } => codes::MEMORY,
            Self::Reentrant => codes::REENTRANT,
            // For what the system refuses Python has classes of its own.
            Self::Internal { .. } | Self::System(_) => codes::INTERNAL,
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Core(error) => names::in_python(*error).to_string(),
            Self::Document(error) => error.to_string(),
            Self::Machine(refused) => refused.to_string(),
            Self::System(error) => error.to_string(),
            Self::Name { what, name } => format!("`{what}` = {name:?} is the name of nothing"),
            Self::Account { index } => {
                format!("`account_index` = {index}: the policy names fewer accounts")
            }
            Self::Same => "`other` is the object itself".to_owned(),
            Self::Memory { bytes } => format!("there are not {bytes} bytes of memory for it"),
            Self::Reentrant => "the object is in the middle of a call".to_owned(),
            Self::Internal { what } => (*what).to_owned(),
        }
    }
}

impl From<Fault> for PyErr {
    #[cold]
    fn from(fault: Fault) -> Self {
        let fault = match fault {
            Fault::System(error) => return error.into(),
            other => other,
        };
        Python::attach(|py| match class_of(py, fault.code()) {
            Ok(class) => PyErr::from_type(class, (fault.text(), fault.code())),
            Err(error) => error,
        })
    }
}

/// The class of `rampmeter.errors` for a code.
fn class_of(py: Python<'_>, code: i32) -> PyResult<Bound<'_, PyType>> {
    static BY_CODE: PyOnceLock<Py<PyDict>> = PyOnceLock::new();
    let table = BY_CODE.get_or_try_init(py, || {
        let table = py.import("rampmeter.errors")?.getattr("BY_CODE")?;
        Ok::<_, PyErr>(table.cast_into::<PyDict>()?.unbind())
    })?;
    Ok(table.bind(py).as_any().get_item(code)?.cast_into::<PyType>()?)
}

/// Every code with its name and what it means, for tests and for `rampmeter.errors` to be held
/// against.
pub(crate) fn codes(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let table = PyDict::new(py);
    for (number, name, means) in codes::ALL {
        table.set_item(number, (name, means.to_str().unwrap_or_default()))?;
    }
    Ok(table)
}

pub(crate) use names::names;
