//! `csv`: our own columns, for traces of your own.
//!
//! | column | | unit and range |
//! |---|---|---|
//! | `arrival_s` | required | seconds from the start, 0..=100,000,000, in order |
//! | `prompt_tokens` | required | 1..=10,000,000 |
//! | `output_tokens` | required | 1..=10,000,000 |
//! | `output_tokens_max` | optional | the limit stated, at least `output_tokens`; empty: none |
//! | `class` | optional | 1..=128 bytes, no control characters; empty: left to the mix |
//! | `account` | optional | 1..=128 bytes, no control characters; empty: left to the mix |
//!
//! Columns may stand in any order. An unknown column is an error that names the nearest known
//! one, since a misspelt `account` must not pass for no accounts at all. Fields may be quoted.

use std::collections::HashSet;
use std::io::Write;
use std::path::Path;

use super::builder::{Builder, Names, name_range, plain, source};
use super::table::{Column, Row, Table};
use super::{ReadOptions, TOKENS_MAX, Trace};
use crate::InputError;
use crate::input::shown;
use crate::nearest::unknown;

/// All columns; the first three are required.
pub(super) const COLUMNS: [&str; 6] =
    ["arrival_s", "prompt_tokens", "output_tokens", "output_tokens_max", "class", "account"];

pub(super) fn read(path: &Path, options: &ReadOptions) -> Result<Trace, InputError> {
    let mut table = Table::open(path)?;
    check_columns(path, table.headers(), &COLUMNS)?;
    let arrival = table.required(COLUMNS[0])?;
    let prompt = table.required(COLUMNS[1])?;
    let output = table.required(COLUMNS[2])?;
    let output_max = table.optional(COLUMNS[3]);
    let class = table.optional(COLUMNS[4]);
    let account = table.optional(COLUMNS[5]);
    let mut builder = Builder::new(path, options);
    while !builder.is_full() {
        let Some(row) = table.next_row()? else { break };
        let mut request = plain(row.arrival(arrival)?, row.tokens(prompt)?, row.tokens(output)?);
        request.output_tokens_max = match output_max.filter(|&column| !row.text(column).is_empty())
        {
            Some(column) => Some(row.count(column, request.output_tokens, TOKENS_MAX)?),
            None => None,
        };
        request.class = named(&row, class, &mut builder.classes, usize::from(u16::MAX))?
            .map(|index| index as u16);
        request.account = named(&row, account, &mut builder.accounts, super::REQUESTS_MAX)?
            .map(|index| index as u32);
        builder.push(row.line, COLUMNS[0], request)?;
    }
    builder.finish(source("csv", path), 0)
}

/// The index of the name in this field, if the column is there and the field is not empty.
fn named(
    row: &Row<'_>,
    column: Option<Column>,
    names: &mut Names,
    count_max: usize,
) -> Result<Option<usize>, InputError> {
    let Some(column) = column.filter(|&column| !row.text(column).is_empty()) else {
        return Ok(None);
    };
    match names.index(row.text(column)) {
        Some(index) if index < count_max => Ok(Some(index)),
        Some(_) => Err(row.wrong(column, &format!("among the first {count_max} names"))),
        None => Err(row.wrong(column, &name_range())),
    }
}

/// Refuses a column that is unknown or stands twice.
pub(crate) fn check_columns(
    path: &Path,
    headers: &[String],
    known: &[&'static str],
) -> Result<(), InputError> {
    let mut seen = HashSet::new();
    for header in headers {
        let problem = if !known.contains(&header.as_str()) {
            unknown(header, "column", known.iter().copied())
        } else if !seen.insert(header) {
            "this column stands twice".to_owned()
        } else {
            continue;
        };
        return Err(InputError::new(path, problem).at_line(1).in_field(shown(header)));
    }
    Ok(())
}

/// Writes a trace in the format `csv`, arrivals exact to the nanosecond. Prefix hashes have no
/// column and are left out.
///
/// # Errors
/// What the writer says.
pub fn write(trace: &Trace, writer: impl Write) -> std::io::Result<()> {
    let mut table = ::csv::Writer::from_writer(writer);
    table.write_record(COLUMNS)?;
    for request in &trace.requests {
        let nanos = request.arrival.get();
        let class = request.class.map_or("", |index| &trace.classes[usize::from(index)]);
        let account = request.account.map_or("", |index| &trace.accounts[index as usize]);
        table.write_record([
            &format!("{}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000),
            &request.prompt_tokens.to_string(),
            &request.output_tokens.to_string(),
            &request.output_tokens_max.map_or_else(String::new, |max| max.to_string()),
            class,
            account,
        ])?;
    }
    table.flush()
}
