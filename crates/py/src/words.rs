//! Block names and tokens: arrays of numbers, as Python has them.
//!
//! An array (`NumPy`, `array.array`, `memoryview`), `bytes` of native 64-bit numbers, or any sequence
//! of `int`. Arrays are copied as a whole, without an object for each number, because another thread
//! may write to them while the core looks at them; `bytes`, which nobody can write to, are read where
//! they lie.

use std::borrow::Cow;

use pyo3::buffer::{Element, ElementType, PyUntypedBuffer};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyTuple};
use zerocopy::FromBytes;

const BYTES: usize = size_of::<u64>();

/// Names of blocks. Signed numbers are taken by their bits, as `NumPy` keeps hashes in `int64`.
#[derive(Debug, Default)]
pub(crate) struct Names<'a>(pub(crate) Cow<'a, [u64]>);

/// Tokens of a prompt.
#[derive(Debug)]
pub(crate) struct TokenIds(pub(crate) Vec<u32>);

impl<'a, 'py> FromPyObject<'a, 'py> for Names<'a> {
    type Error = PyErr;

    fn extract(given: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        if given.is_instance_of::<PyBytes>() {
            let bytes: &'a [u8] = given.extract()?;
            let in_place = <[u64]>::ref_from_bytes(bytes).map(Cow::Borrowed);
            return in_place.or_else(|_| of_bytes(bytes).map(Cow::Owned)).map(Self);
        }
        Ok(Self(Cow::Owned(copied(&given)?)))
    }
}

/// The names in anything but `bytes`.
fn copied(given: &Bound<'_, PyAny>) -> PyResult<Vec<u64>> {
    if let Some(names) = listed(given) {
        return names;
    }
    let Ok(buffer) = PyUntypedBuffer::get(given) else { return given.extract() };
    let py = given.py();
    match (ElementType::from_format(buffer.format()), buffer.item_size()) {
        (ElementType::UnsignedInteger { .. }, BYTES) => column::<u64>(py, &buffer),
        (ElementType::SignedInteger { .. }, BYTES) => {
            let names = column::<i64>(py, &buffer)?;
            Ok(names.into_iter().map(i64::cast_unsigned).collect())
        }
        (ElementType::UnsignedInteger { .. }, 1) => of_bytes(&column::<u8>(py, &buffer)?),
        _ => Err(PyTypeError::new_err("an array of block names has 64-bit integers")),
    }
}

impl<'a, 'py> FromPyObject<'a, 'py> for TokenIds {
    type Error = PyErr;

    fn extract(given: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        if let Some(tokens) = listed(&given) {
            return Ok(Self(tokens?));
        }
        let Ok(buffer) = PyUntypedBuffer::get(&given) else { return Ok(Self(given.extract()?)) };
        let py = given.py();
        match (ElementType::from_format(buffer.format()), buffer.item_size()) {
            (ElementType::UnsignedInteger { .. }, 4) => Ok(Self(column::<u32>(py, &buffer)?)),
            (ElementType::SignedInteger { .. }, 4) => ids(column::<i32>(py, &buffer)?),
            (ElementType::UnsignedInteger { .. }, BYTES) => ids(column::<u64>(py, &buffer)?),
            (ElementType::SignedInteger { .. }, BYTES) => ids(column::<i64>(py, &buffer)?),
            _ => Err(PyTypeError::new_err("an array of tokens has integers of 32 or 64 bits")),
        }
    }
}

/// The numbers of a list or tuple; `None` for anything else.
fn listed<T>(given: &Bound<'_, PyAny>) -> Option<PyResult<Vec<T>>>
where
    T: for<'a, 'py> FromPyObject<'a, 'py, Error = PyErr>,
{
    if let Ok(list) = given.cast::<PyList>() {
        return Some(list.iter().map(|number| number.extract()).collect());
    }
    let tuple = given.cast::<PyTuple>().ok()?;
    Some(tuple.iter().map(|number| number.extract()).collect())
}

fn of_bytes(bytes: &[u8]) -> PyResult<Vec<u64>> {
    let (words, rest) = bytes.as_chunks::<BYTES>();
    if !rest.is_empty() {
        return Err(PyValueError::new_err("bytes of block names come in eights"));
    }
    Ok(words.iter().copied().map(u64::from_ne_bytes).collect())
}

fn column<T: Element>(py: Python<'_>, buffer: &PyUntypedBuffer) -> PyResult<Vec<T>> {
    // An array without elements may begin anywhere, also where no number can be.
    if buffer.item_count() == 0 {
        return Ok(Vec::new());
    }
    buffer.as_typed::<T>()?.to_vec(py)
}

fn ids<T: TryInto<u32>>(numbers: Vec<T>) -> PyResult<TokenIds> {
    let outside = |_| PyValueError::new_err("a token is outside 0..=4294967295");
    let ids: Result<_, _> = numbers.into_iter().map(TryInto::try_into).collect();
    Ok(TokenIds(ids.map_err(outside)?))
}
