//! The `rampmeter` command, as it stands in the binary.

use pyo3::prelude::*;

/// Runs the command on the process's own streams and returns its exit code: 0 it ran, 1 a check
/// that was asked for failed, 2 wrong usage or input.
#[pyfunction]
pub(crate) fn command(py: Python<'_>, args: Vec<String>) -> u8 {
    py.detach(|| rampmeter_cli::run_process(with_name(args)))
}

/// Runs the command and returns its exit code and what it wrote to both streams.
#[pyfunction]
pub(crate) fn captured(py: Python<'_>, args: Vec<String>) -> (u8, Vec<u8>, Vec<u8>) {
    py.detach(|| {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let code = rampmeter_cli::run(with_name(args), &mut out, &mut err);
        (code, out, err)
    })
}

fn with_name(args: Vec<String>) -> impl Iterator<Item = String> {
    std::iter::once("rampmeter".to_owned()).chain(args)
}
