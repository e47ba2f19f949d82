//! What the host hands in about a step that ran: buffers or sequences of the same length.

use pyo3::buffer::{Element, PyBuffer};
use pyo3::conversion::FromPyObjectOwned;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};
use rampmeter::batch::RequestId;
use rampmeter::batch::continuous::StepResult;
use rampmeter::{Error, Tokens};

use crate::error::Fault;

/// One result for each of `request`; one token of each, and none finished, where nothing is said.
pub(super) fn results(
    request: Option<&Bound<'_, PyAny>>,
    output_tokens: Option<&Bound<'_, PyAny>>,
    finished: Option<&Bound<'_, PyAny>>,
) -> PyResult<Vec<StepResult>> {
    let requests: Vec<u64> = request.map_or_else(|| Ok(Vec::new()), numbers)?;
    let tokens: Option<Vec<u32>> = output_tokens.map(numbers).transpose()?;
    let finished: Option<Vec<bool>> = finished.map(PyAnyMethods::extract).transpose()?;
    let lengths = [
        ("output_tokens", tokens.as_ref().map(Vec::len)),
        ("finished", finished.as_ref().map(Vec::len)),
    ];
    for (field, len) in lengths {
        let len = len.unwrap_or(requests.len());
        if len != requests.len() {
            let (value, other_value) = (len as u64, requests.len() as u64);
            let other = "length of `request`";
            let unequal = Error::Contradiction { field, value, other, other_value };
            return Err(Fault::from(unequal).into());
        }
    }
    let result = |(at, request): (usize, &u64)| StepResult {
        request: RequestId::from_raw(*request),
        output_tokens: Tokens(tokens.as_ref().map_or(1, |tokens| tokens[at])),
        finished: finished.as_ref().is_some_and(|finished| finished[at]),
    };
    Ok(requests.iter().enumerate().map(result).collect())
}

/// The numbers of a buffer or a sequence.
fn numbers<T>(given: &Bound<'_, PyAny>) -> PyResult<Vec<T>>
where
    T: Element + for<'py> FromPyObjectOwned<'py, Error = PyErr>,
{
    // Asking a list for a buffer costs an exception.
    if !given.is_instance_of::<PyList>()
        && !given.is_instance_of::<PyTuple>()
        && let Ok(buffer) = PyBuffer::<T>::get(given)
    {
        return buffer.to_vec(given.py());
    }
    given.extract()
}
