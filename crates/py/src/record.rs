//! Answers with named fields: read-only, comparable, printable, and open to `match`.

use pyo3::prelude::*;
use pyo3::types::PyDict;

/// Declares one. Each field is a Python attribute of the same name.
///
/// ```text
/// record! {
///     /// What a desk holds.
///     "rampmeter.gate" GateStats {
///         /// Requests that wait.
///         waiting: u32,
///     }
/// }
/// ```
///
/// Methods of its own, such as a constructor, stand in an `impl { ... }` behind it.
macro_rules! record {
    ($(#[$meta:meta])* $module:literal $name:ident {
        $($(#[$field_meta:meta])* $field:ident: $type:ty,)+
    } $(impl { $($methods:tt)* })?) => {
        $(#[$meta])*
        #[pyo3::pyclass(frozen, get_all, eq, module = $module)]
        #[derive(Clone, Debug, PartialEq)]
        pub(crate) struct $name {
            $($(#[$field_meta])* pub(crate) $field: $type,)+
        }

        #[pyo3::pymethods]
        impl $name {
            #[classattr]
            fn __match_args__(
                py: pyo3::Python<'_>,
            ) -> pyo3::PyResult<pyo3::Bound<'_, pyo3::types::PyTuple>> {
                pyo3::types::PyTuple::new(py, [$(stringify!($field)),+])
            }

            fn __repr__(slf: &pyo3::Bound<'_, Self>) -> pyo3::PyResult<String> {
                $crate::record::shown(slf.as_any(), stringify!($name), &[$(stringify!($field)),+])
            }

            /// The fields as a dictionary, for logs and metrics.
            fn as_dict<'py>(
                slf: &pyo3::Bound<'py, Self>,
            ) -> pyo3::PyResult<pyo3::Bound<'py, pyo3::types::PyDict>> {
                $crate::record::fields(slf.as_any(), &[$(stringify!($field)),+])
            }

            $($($methods)*)?
        }
    };
}
pub(crate) use record;

/// `Name(field=value, ...)`, with the values as Python shows them.
pub(crate) fn shown(record: &Bound<'_, PyAny>, name: &str, fields: &[&str]) -> PyResult<String> {
    let mut parts = Vec::with_capacity(fields.len());
    for field in fields {
        parts.push(format!("{field}={}", record.getattr(*field)?.repr()?));
    }
    Ok(format!("{name}({})", parts.join(", ")))
}

/// The fields with their values.
pub(crate) fn fields<'py>(
    record: &Bound<'py, PyAny>,
    fields: &[&str],
) -> PyResult<Bound<'py, PyDict>> {
    let all = PyDict::new(record.py());
    for field in fields {
        all.set_item(field, record.getattr(*field)?)?;
    }
    Ok(all)
}
