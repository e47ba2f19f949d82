//! What the core calls by another name than Python.
//!
//! The core knows of no face, and faces differ: C has a table of its own, for its own names.

use pyo3::prelude::*;
use pyo3::types::PyDict;
use rampmeter::Error;

/// The core's own word, and where to look in Python; by the first. Not in it: what only a policy
/// document has, whose keys have names of their own, and what tells of a relation instead of a field.
const NAMES: [(&str, &str); 19] = [
    ("at", "at_ns"),
    ("batch_seconds", "duration_ns (in seconds)"),
    ("began", "entries[][2]"),
    ("class", "class_index"),
    ("count", "device_count"),
    ("curve_points", "points"),
    ("curve_seconds", "points[][1]"),
    ("curve_size", "points[][0]"),
    ("handed_over.first_token_ns", "handed_over_first_token_ns"),
    ("handed_over.output_tokens", "handed_over_output_tokens"),
    ("kv_free", "kv_blocks_free"),
    ("milli", "device_milli"),
    ("preferred_size", "preferred_sizes[]"),
    ("quantile", "parts[]"),
    ("served", "entries[][4]"),
    ("short", "missing"),
    ("told", "entries[][3]"),
    ("urgent_class", "class_index"),
    ("waiting_value", "value"),
];

/// The same error in the words of Python.
pub(super) fn in_python(mut error: Error) -> Error {
    let known = |name: &mut &'static str| {
        if let Ok(at) = NAMES.binary_search_by_key(name, |(core, _)| core) {
            *name = NAMES[at].1;
        }
    };
    match &mut error {
        Error::Contradiction { field, other, .. } => {
            known(field);
            known(other);
        }
        Error::Range { field, .. }
        | Error::RangeReal { field, .. }
        | Error::Stale { field, .. }
        | Error::Full { field, .. }
        | Error::BufferTooSmall { field, .. } => known(field),
        _ => {}
    }
    error
}

/// The table, for tests to be held against the core and the stubs.
pub(crate) fn names(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let table = PyDict::new(py);
    for (core, python) in NAMES {
        table.set_item(core, python)?;
    }
    Ok(table)
}
