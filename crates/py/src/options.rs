//! Options and descriptions with many fields, as keyword arguments.

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;

/// Sets those fields of `$options` that `$given`, a dictionary of keyword arguments, names: each as
/// it comes, after `=>` by a conversion of its own. Any other name is a `TypeError`.
macro_rules! set_options {
    ($given:expr, $options:ident: $($field:ident $(=> $set:expr)?),+ $(,)?) => {
        if let Some(given) = $given {
            for (key, value) in given.iter() {
                match key.extract::<std::borrow::Cow<'_, str>>()?.as_ref() {
                    $(stringify!($field) => {
                        $crate::options::set_options!(@ $options, value, $field $(, $set)?);
                    })+
                    other => return Err($crate::options::unexpected(other)),
                }
            }
        }
    };
    (@ $options:ident, $value:ident, $field:ident) => {
        $options.$field = $value.extract()?;
    };
    (@ $options:ident, $value:ident, $field:ident, $set:expr) => {
        $set(&mut $options, $value.extract()?)?;
    };
}
pub(crate) use set_options;

/// The error for an argument that there is not.
#[cold]
pub(crate) fn unexpected(name: &str) -> PyErr {
    PyTypeError::new_err(format!("got an unexpected keyword argument {name:?}"))
}
