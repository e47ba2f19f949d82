//! Who is asked.

use std::path::PathBuf;
use std::sync::Arc;

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use rampmeter_probe::cuda::{Cuda, Permission};
use rampmeter_probe::fixture::Fixture;
use rampmeter_probe::nvml::Nvml;
use rampmeter_probe::probe::Nothing;
use rampmeter_probe::{Condition, Due, Probe, Snapshot, Source, Watch};

use crate::error::Fault;

/// What the arguments ask for, before anything is opened.
#[derive(Debug)]
pub(super) enum Wanted {
    Nvml(Option<PathBuf>),
    Cuda(Permission),
    Fixture(PathBuf),
    Nothing,
}

impl Wanted {
    pub(super) fn new(
        backend: &str,
        library: Option<PathBuf>,
        path: Option<PathBuf>,
        permission: Option<&str>,
    ) -> PyResult<Self> {
        let alone = |given: bool, argument: &str, of: &str| {
            if given && backend != of {
                let text = format!("`{argument}` is for the backend {of:?}");
                return Err(PyTypeError::new_err(text));
            }
            Ok(())
        };
        let wanted = match backend {
            "nvml" => Self::Nvml(library.clone()),
            "cuda" => Self::Cuda(permitted(permission.unwrap_or("look"))?),
            "fixture" => {
                let missing = || PyTypeError::new_err("the backend \"fixture\" needs a `path`");
                Self::Fixture(path.clone().ok_or_else(missing)?)
            }
            "none" => Self::Nothing,
            other => return Err(unknown("backend", other).into()),
        };
        alone(library.is_some(), "library", "nvml")?;
        alone(path.is_some(), "path", "fixture")?;
        alone(permission.is_some(), "permission", "cuda")?;
        Ok(wanted)
    }

    /// Reads the file of a fixture; of the others nothing is loaded yet.
    pub(super) fn open(self) -> Result<Backend, Fault> {
        Ok(match self {
            Self::Nvml(None) => Backend::Nvml(Box::new(Nvml::new())),
            Self::Nvml(Some(library)) => Backend::Nvml(Box::new(Nvml::with_library(library))),
            Self::Cuda(permission) => Backend::Cuda(Cuda::new(permission)),
            Self::Fixture(path) => Backend::Fixture(Fixture::open(path)?),
            Self::Nothing => Backend::Nothing(Nothing::default()),
        })
    }
}

fn permitted(name: &str) -> Result<Permission, Fault> {
    match name {
        "look" => Ok(Permission::Look),
        "start" => Ok(Permission::Start),
        "make_contexts" => Ok(Permission::MakeContexts),
        other => Err(unknown("permission", other)),
    }
}

/// A group of readings by its name.
pub(super) fn group(name: &str) -> Result<Due, Fault> {
    match name {
        "inventory" => Ok(Due::INVENTORY),
        "memory" => Ok(Due::MEMORY),
        "utilization" => Ok(Due::UTILIZATION),
        "condition" => Ok(Due::CONDITION),
        "processes" => Ok(Due::PROCESSES),
        other => Err(unknown("groups", other)),
    }
}

fn unknown(what: &'static str, name: &str) -> Fault {
    Fault::Name { what, name: name.to_owned() }
}

/// A probe of either kind.
pub(super) enum Backend {
    Nvml(Box<Nvml>),
    Cuda(Cuda),
    Fixture(Fixture),
    Nothing(Nothing),
}

impl std::fmt::Debug for Backend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.source().word())
    }
}

impl Backend {
    fn probe(&self) -> &dyn Probe {
        match self {
            Self::Nvml(probe) => &**probe,
            Self::Cuda(probe) => probe,
            Self::Fixture(probe) => probe,
            Self::Nothing(probe) => probe,
        }
    }

    fn probe_mut(&mut self) -> &mut dyn Probe {
        match self {
            Self::Nvml(probe) => &mut **probe,
            Self::Cuda(probe) => probe,
            Self::Fixture(probe) => probe,
            Self::Nothing(probe) => probe,
        }
    }

    pub(super) fn join(&mut self, snapshot: &mut Snapshot) -> Result<Condition, Fault> {
        match self {
            Self::Cuda(cuda) => Ok(cuda.join(snapshot)),
            other => Err(unknown("backend", other.source().word())),
        }
    }
}

impl Probe for Backend {
    fn source(&self) -> Source {
        self.probe().source()
    }

    fn read(&mut self, due: Due) -> &Snapshot {
        self.probe_mut().read(due)
    }

    fn watch(&self) -> Arc<Watch> {
        self.probe().watch()
    }

    fn close(&mut self) {
        self.probe_mut().close();
    }
}
