//! What the operator wants: one document for every desk.

use std::path::PathBuf;

use pyo3::prelude::*;
use pyo3::types::{PyString, PyType};
use rampmeter::policy::{Policy as CorePolicy, Preset};

use crate::error::Fault;

/// What the operator wants, read from one document and found valid; never changed afterwards.
///
/// `Policy(preset)` is one of the presets "interactive", "balanced" (the default) and "throughput".
///
/// >>> from rampmeter import Policy
/// >>> policy = Policy.from_toml('''
/// ... [[class]]
/// ... name = "chat"
/// ... ttft_target_s = 2.0
/// ... ''')
/// >>> policy.class_names
/// ['chat']
/// >>> policy.class_index("chat")
/// 0
#[pyclass(frozen, eq, name = "Policy", module = "rampmeter.policy")]
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Policy(pub(crate) CorePolicy);

#[pymethods]
impl Policy {
    #[new]
    #[pyo3(signature = (preset = "balanced"))]
    fn new(preset: &str) -> PyResult<Self> {
        let known = Preset::from_name(preset);
        let unknown = || Fault::Name { what: "preset", name: preset.to_owned() };
        Ok(Self(known.ok_or_else(unknown)?.policy()))
    }

    /// Reads a policy from TOML; an empty text is the preset "balanced".
    ///
    /// Raises `DocumentError`, which names the line, the key and its range.
    #[classmethod]
    fn from_toml(_class: &Bound<'_, PyType>, document: &str) -> PyResult<Self> {
        Ok(Self(CorePolicy::from_toml(document).map_err(Fault::from)?))
    }

    /// Reads a policy from JSON; `{}` is the preset "balanced". Raises `DocumentError`.
    #[classmethod]
    fn from_json(_class: &Bound<'_, PyType>, document: &str) -> PyResult<Self> {
        Ok(Self(CorePolicy::from_json(document).map_err(Fault::from)?))
    }

    /// Reads a policy from a file: JSON if its name ends in `.json`, else TOML.
    ///
    /// Raises `OSError` or `DocumentError`.
    #[classmethod]
    fn load(class: &Bound<'_, PyType>, path: PathBuf) -> PyResult<Self> {
        let json = path.extension().is_some_and(|end| end.eq_ignore_ascii_case("json"));
        let document = std::fs::read_to_string(path)?;
        if json { Self::from_json(class, &document) } else { Self::from_toml(class, &document) }
    }

    /// The policy with every key; with `comments` each has its unit, range and meaning beside it.
    #[pyo3(signature = (*, comments = false))]
    fn to_toml(&self, comments: bool) -> String {
        if comments { self.0.to_toml_with_comments() } else { self.0.to_toml() }
    }

    /// The policy with every key, as `from_json` reads it.
    fn to_json(&self) -> String {
        self.0.to_json()
    }

    /// Names of the classes, in the order of the document: what calls name `class_index`.
    #[getter]
    fn class_names(&self) -> Vec<&str> {
        self.0.classes.iter().map(|class| class.name.as_ref()).collect()
    }

    /// Names of the accounts, in the order of the document.
    #[getter]
    fn account_names(&self) -> Vec<&str> {
        self.0.accounts.iter().map(|account| account.name.as_ref()).collect()
    }

    /// The place of a class in the document, from 0. Raises `NameUnknownError`.
    fn class_index(&self, name: &str) -> PyResult<usize> {
        Ok(found(self.0.class_index(name), "class_name", name)?)
    }

    /// The place of an account in the document, from 0; each desk has its own handle for it, by
    /// `policy_account`. Raises `NameUnknownError`.
    fn account_index(&self, name: &str) -> PyResult<usize> {
        Ok(found(self.0.account_index(name), "account_name", name)?)
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(format!("Policy.from_json({})", PyString::new(py, &self.0.to_json()).repr()?))
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<(Bound<'py, PyAny>, (String,))> {
        Ok((slf.get_type().getattr("from_json")?, (slf.get().0.to_json(),)))
    }
}

fn found(index: Option<usize>, what: &'static str, name: &str) -> Result<usize, Fault> {
    index.ok_or_else(|| Fault::Name { what, name: name.to_owned() })
}

pub(crate) fn fill(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Policy>()
}
