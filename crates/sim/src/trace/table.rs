//! A CSV file read row by row: named columns, and one sentence about whatever is wrong.

use std::fs::File;
use std::path::Path;

use csv::{ErrorKind, StringRecord, Trim};
use rampmeter::Nanos;

use super::{ARRIVAL_MAX_S, TOKENS_MAX, seconds};
use crate::InputError;
use crate::input::{Bounded, not_utf8, open, shown, unreadable};

/// An open CSV file.
pub(crate) struct Table<'p> {
    path: &'p Path,
    reader: csv::Reader<Bounded<File>>,
    record: StringRecord,
    headers: Vec<String>,
}

/// A column that a format knows: its place in this file and its name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column {
    index: usize,
    name: &'static str,
}

/// One row.
pub(crate) struct Row<'t> {
    path: &'t Path,
    record: &'t StringRecord,
    /// Line in the file, from 1.
    pub(crate) line: u64,
}

impl<'p> Table<'p> {
    /// Opens a file whose first line names its columns.
    pub(crate) fn open(path: &'p Path) -> Result<Self, InputError> {
        let mut table = Self::new(path, true)?;
        let headers = table.reader.headers().map_err(|error| refused(path, 1, &error))?;
        table.headers = headers.iter().map(str::to_owned).collect();
        table.reader.get_mut().restart();
        if table.headers.iter().all(String::is_empty) {
            return Err(InputError::new(path, "is empty: not even a line of column names"));
        }
        Ok(table)
    }

    /// Opens a file that has no line of names; columns are named by `names`, in order.
    pub(crate) fn open_headless(path: &'p Path, names: &[&str]) -> Result<Self, InputError> {
        let mut table = Self::new(path, false)?;
        table.headers = names.iter().map(|&name| name.to_owned()).collect();
        Ok(table)
    }

    fn new(path: &'p Path, has_headers: bool) -> Result<Self, InputError> {
        let reader = csv::ReaderBuilder::new()
            .has_headers(has_headers)
            .trim(Trim::All)
            .from_reader(Bounded::new(open(path)?));
        Ok(Self { path, reader, record: StringRecord::new(), headers: Vec::new() })
    }

    /// The column names, as they stand in the file.
    pub(crate) fn headers(&self) -> &[String] {
        &self.headers
    }

    /// A column that must be there, once.
    pub(crate) fn required(&self, name: &'static str) -> Result<Column, InputError> {
        let wrong = |problem: String| InputError::new(self.path, problem).at_line(1).in_field(name);
        // Which of the two is meant cannot be told.
        if self.headers.iter().filter(|header| *header == name).count() > 1 {
            return Err(wrong("this column stands twice".to_owned()));
        }
        self.optional(name).ok_or_else(|| {
            let present: Vec<String> = self.headers.iter().map(|name| shown(name)).collect();
            wrong(format!("there is no such column (there are: {})", present.join(", ")))
        })
    }

    /// A column that may be there.
    pub(crate) fn optional(&self, name: &'static str) -> Option<Column> {
        let index = self.headers.iter().position(|header| header == name)?;
        Some(Column { index, name })
    }

    /// The next row, or `None` at the end.
    pub(crate) fn next_row(&mut self) -> Result<Option<Row<'_>>, InputError> {
        let line = self.reader.position().line();
        let more = self
            .reader
            .read_record(&mut self.record)
            .map_err(|error| refused(self.path, line, &error))?;
        self.reader.get_mut().restart();
        if !more {
            return Ok(None);
        }
        let line = self.record.position().map_or(line, csv::Position::line);
        if self.record.len() < self.headers.len() {
            let problem = missing_fields(self.record.len(), self.headers.len());
            return Err(InputError::new(self.path, problem).at_line(line));
        }
        Ok(Some(Row { path: self.path, record: &self.record, line }))
    }
}

fn missing_fields(fields: usize, columns: usize) -> String {
    format!("has {fields} fields where {columns} are expected")
}

/// What the CSV reader said, in our words.
fn refused(path: &Path, line: u64, error: &csv::Error) -> InputError {
    let at = error.position().map_or(line, csv::Position::line);
    match error.kind() {
        ErrorKind::Io(error) if error.kind() == std::io::ErrorKind::FileTooLarge => {
            InputError::new(path, error.to_string()).at_line(line)
        }
        ErrorKind::Io(error) => unreadable(path, error),
        ErrorKind::Utf8 { err, .. } => {
            InputError::new(path, not_utf8(err.valid_up_to())).at_line(at)
        }
        ErrorKind::UnequalLengths { expected_len, len, .. } => {
            InputError::new(path, missing_fields(*len as usize, *expected_len as usize)).at_line(at)
        }
        _ => InputError::new(path, error.to_string()).at_line(at),
    }
}

impl<'t> Row<'t> {
    /// The text of a field; empty where the row is short.
    pub(crate) fn text(&self, column: Column) -> &'t str {
        self.record.get(column.index).unwrap_or("")
    }

    /// An error about one field of this row.
    pub(crate) fn wrong(&self, column: Column, what: &str) -> InputError {
        let problem = format!("`{}` is not {what}", shown(self.text(column)));
        InputError::new(self.path, problem).at_line(self.line).in_field(column.name)
    }

    /// A whole number in `min..=max`.
    pub(crate) fn count(&self, column: Column, min: u32, max: u32) -> Result<u32, InputError> {
        match self.text(column).parse::<u32>() {
            Ok(value) if (min..=max).contains(&value) => Ok(value),
            _ => Err(self.wrong(column, &format!("a whole number in {min}..={max}"))),
        }
    }

    /// A number of tokens, at least 1.
    pub(crate) fn tokens(&self, column: Column) -> Result<u32, InputError> {
        self.count(column, 1, TOKENS_MAX)
    }

    /// A number in `min..=max`.
    pub(crate) fn real(&self, column: Column, min: f64, max: f64) -> Result<f64, InputError> {
        match self.text(column).parse::<f64>() {
            Ok(value) if (min..=max).contains(&value) => Ok(value),
            _ => Err(self.wrong(column, &format!("a number in {min}..={max}"))),
        }
    }

    /// An arrival, in seconds from the start of the trace.
    pub(crate) fn arrival(&self, column: Column) -> Result<Nanos, InputError> {
        seconds::parse(self.text(column), ARRIVAL_MAX_S).ok_or_else(|| {
            let range = format!("a number of seconds in 0..={ARRIVAL_MAX_S} from the start");
            self.wrong(column, &range)
        })
    }

    /// A time in seconds, up to `max_s`.
    pub(crate) fn seconds(&self, column: Column, max_s: u64) -> Result<Nanos, InputError> {
        seconds::parse(self.text(column), max_s)
            .ok_or_else(|| self.wrong(column, &format!("a number of seconds in 0..={max_s}")))
    }
}
