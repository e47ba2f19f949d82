//! `lengths`: prompt and output lengths without arrivals.
//!
//! Columns `num_prefill_tokens,num_decode_tokens`; others are ignored. Each row is one request,
//! in the order of the file; arrivals are a Poisson process at the rate that the caller gives.
//!
//! Source: the processed traces of Agrawal et al., "Vidur" (`MLSys` 2024) and "Sarathi-Serve"
//! (OSDI 2024), github.com/microsoft/vidur.

use std::path::Path;

use rampmeter::Nanos;

use super::builder::{Builder, plain, source};
use super::renewal::{Arrivals, Gaps, Segment};
use super::table::Table;
use super::{Purpose, ReadOptions, Trace, random_stream};
use crate::InputError;

pub(super) const COLUMNS: [&str; 2] = ["num_prefill_tokens", "num_decode_tokens"];

/// Slowest and fastest rate accepted: one request in eleven days, and a million a second.
pub(crate) const RATE_PER_S: std::ops::RangeInclusive<f64> = 1e-6..=1e6;

pub(super) fn read(path: &Path, options: &ReadOptions) -> Result<Trace, InputError> {
    let rate_per_s = rate(path, options)?;
    let mut table = Table::open(path)?;
    let prompt = table.required(COLUMNS[0])?;
    let output = table.required(COLUMNS[1])?;
    let mut builder = Builder::new(path, options);
    let steady = Segment { end_s: f64::INFINITY, rate_per_s, gaps: Gaps::poisson() };
    let random = random_stream(options.seed, Purpose::Arrivals, 0);
    let mut arrivals = Arrivals::new(0.0, std::iter::once(steady), random);
    while !builder.is_full() {
        let Some(row) = table.next_row()? else { break };
        let Some(arrival_s) = arrivals.next() else { break };
        let arrival = Nanos::from_seconds(arrival_s);
        let request = plain(arrival, row.tokens(prompt)?, row.tokens(output)?);
        builder.push(row.line, "rate", request)?;
    }
    builder.finish(format!("{} at {rate_per_s}/s", source("lengths", path)), 0)
}

/// Every row's lengths, for drawing from.
pub(super) fn pairs(path: &Path) -> Result<Vec<(u32, u32)>, InputError> {
    let any_rate = ReadOptions { rate_per_s: Some(1.0), ..ReadOptions::default() };
    let trace = read(path, &any_rate)?;
    Ok(trace
        .requests
        .iter()
        .map(|request| (request.prompt_tokens, request.output_tokens))
        .collect())
}

fn rate(path: &Path, options: &ReadOptions) -> Result<f64, InputError> {
    let (min, max) = (RATE_PER_S.start(), RATE_PER_S.end());
    let problem = match options.rate_per_s {
        Some(rate) if RATE_PER_S.contains(&rate) => return Ok(rate),
        Some(rate) => format!("`{rate}` is not a number of requests a second in {min}..={max}"),
        None => {
            "has no arrival times: the format `lengths` needs a rate in requests a second".into()
        }
    };
    Err(InputError::new(path, problem).in_field("rate"))
}
