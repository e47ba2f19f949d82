//! `fit`: step-time coefficients of an engine.

use super::{Failure, JsonTarget};
use crate::args::Fit;
use crate::console::Console;
use crate::{jobs, tables};

/// Prints coefficients and errors; with `--max-error`, fails if the mean error over the
/// replay is larger.
pub(super) fn run(args: &Fit, console: &mut Console<'_>) -> Result<(), Failure> {
    let json = JsonTarget::open(args.json.target.as_ref())?;
    let fitted = jobs::fit(&args.tables, args.tp)?;
    if !json.takes_stdout() {
        tables::fitted(&fitted, console)?;
    }
    json.write(std::slice::from_ref(&fitted), console)?;
    match args.max_error {
        // Asked this way round, an error that is no number has failed too.
        Some(max) if !(0.0..=max).contains(&fitted.replay.mape_pct) => {
            Err(Failure::Check(format!(
                "the mean error over the steps of a replay is {:.2}%, more than the {max}% allowed",
                fitted.replay.mape_pct
            )))
        }
        _ => Ok(()),
    }
}
