//! `validate`: the simulator against a measured engine run.

use super::{Failure, JsonTarget};
use crate::args::Validate;
use crate::console::Console;
use crate::{jobs, tables};

/// Prints the error of each figure; with `--max-error`, fails on the worst.
pub(super) fn run(args: &Validate, console: &mut Console<'_>) -> Result<(), Failure> {
    let json = JsonTarget::open(args.json.target.as_ref())?;
    let validation = jobs::validate(&args.measured, &args.tables, args.kv_blocks)?;
    if !json.takes_stdout() {
        tables::validation(&validation, console)?;
    }
    json.write(std::slice::from_ref(&validation), console)?;
    let worst =
        validation.quantiles.iter().max_by(|a, b| a.error_pct.abs().total_cmp(&b.error_pct.abs()));
    match (worst, args.max_error) {
        // Asked this way round, an error that is no number has failed too.
        (Some(worst), Some(max)) if !(0.0..=max).contains(&worst.error_pct.abs()) => {
            Err(Failure::Check(format!(
                "{} {} is {:+.1}% off, more than the {max}% allowed",
                worst.metric, worst.stat, worst.error_pct
            )))
        }
        _ => Ok(()),
    }
}
