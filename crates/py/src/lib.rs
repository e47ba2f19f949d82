//! The Python face of rampmeter: conversions only, nothing is decided here.
//!
//! Each room of the core is a module of `rampmeter._native`, which the public package hands on:
//! `rampmeter.batch` is `rampmeter._native.batch` and so on. Objects may be shared between threads,
//! with and without a GIL; see [`desk`].

// What stands above a class or a method is its docstring: it is written for Python.
#![allow(clippy::doc_link_with_quotes, clippy::doc_markdown)]
// Arguments belong to a method as PyO3 made them, and their names are given by whoever calls.
#![allow(clippy::needless_pass_by_value, clippy::too_many_arguments)]
// Fields have the names that they have in the core and in C.
#![allow(clippy::struct_field_names)]

mod batcher;
mod column;
mod command;
mod desk;
mod dynamic;
mod error;
mod gate;
mod headroom;
mod options;
mod outcome;
mod place;
mod policy;
mod probe;
mod record;
mod route;
mod share;
mod words;

use pyo3::prelude::*;
use pyo3::types::PyModule;

/// Fills a module with its classes and functions.
type Fill = fn(&Bound<'_, PyModule>) -> PyResult<()>;

/// The rooms, by their names.
const ROOMS: &[(&str, Fill)] = &[
    // A line each.
    ("batch", batcher::fill),
    ("dynamic", dynamic::fill),
    ("gate", gate::fill),
    ("headroom", headroom::fill),
    ("outcome", outcome::fill),
    ("place", place::fill),
    ("policy", policy::fill),
    ("probe", probe::fill),
    ("route", route::fill),
    ("share", share::fill),
];

#[pymodule(gil_used = false)]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add("ERROR_CODES", error::codes(py)?)?;
    module.add("ERROR_NAMES", error::names(py)?)?;
    module.add_function(wrap_pyfunction!(command::command, module)?)?;
    module.add_function(wrap_pyfunction!(command::captured, module)?)?;
    let loaded = py.import("sys")?.getattr("modules")?;
    for (name, fill) in ROOMS {
        let path = format!("rampmeter._native.{name}");
        let room = PyModule::new(py, &path)?;
        fill(&room)?;
        module.add(*name, &room)?;
        // So that `import rampmeter._native.NAME` finds it, as if it were a file of a package.
        loaded.set_item(path, &room)?;
    }
    Ok(())
}
