//! `azure`: the Azure LLM inference traces of 2023 and 2024.
//!
//! Columns `TIMESTAMP,ContextTokens,GeneratedTokens`; others are ignored. Times are calendar
//! times with up to nine digits of a second, with an offset from UTC (2024) or without (2023,
//! taken as UTC); the first request arrives at zero.
//!
//! Source: github.com/Azure/AzurePublicDataset, described in Patel et al., "Splitwise" (ISCA
//! 2024) and Stojkovic et al., "`DynamoLLM`" (HPCA 2025).

use std::path::Path;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use rampmeter::Nanos;

use super::builder::{Builder, plain, source};
use super::table::Table;
use super::{ReadOptions, Trace};
use crate::InputError;

pub(super) const COLUMNS: [&str; 3] = ["TIMESTAMP", "ContextTokens", "GeneratedTokens"];

pub(super) fn read(path: &Path, options: &ReadOptions) -> Result<Trace, InputError> {
    let mut table = Table::open(path)?;
    let time = table.required(COLUMNS[0])?;
    let prompt = table.required(COLUMNS[1])?;
    let output = table.required(COLUMNS[2])?;
    let mut builder = Builder::new(path, options);
    let mut first = None;
    while !builder.is_full() {
        let Some(row) = table.next_row()? else { break };
        let Some(timestamp) = instant(row.text(time)) else {
            return Err(row.wrong(time, "a time like 2023-11-16 18:17:03.9799600"));
        };
        let since_first = timestamp.duration_since(*first.get_or_insert(timestamp));
        let Some(nanos) = u64::try_from(since_first.as_nanos()).ok() else {
            return Err(row.wrong(time, "later than the first request: arrivals must be in order"));
        };
        let request = plain(Nanos(nanos), row.tokens(prompt)?, row.tokens(output)?);
        builder.push(row.line, COLUMNS[0], request)?;
    }
    builder.finish(source("azure", path), 0)
}

/// A calendar time with an offset, or without one (then UTC).
fn instant(text: &str) -> Option<Timestamp> {
    text.parse().ok().or_else(|| {
        let time: DateTime = text.parse().ok()?;
        TimeZone::UTC.to_timestamp(time).ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_years_of_timestamps() {
        let plain = instant("2023-11-16 18:17:03.9799600").unwrap();
        let offset = instant("2023-11-16 19:17:03.979960+01:00").unwrap();
        assert_eq!(plain, offset);
        assert_eq!(plain.subsec_nanosecond(), 979_960_000);
        assert_eq!(instant("2023-13-16 18:17:03"), None);
        assert_eq!(instant("NaN"), None);
    }
}
