//! Rows of a measured table: a CSV file read strictly, with errors that name line and column.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs;
use std::path::Path;

use csv::StringRecord;

use crate::InputError;
use crate::input::{not_utf8, shown, unreadable};

/// The largest size (tokens, requests) that a table may name. Far above any engine's, and far
/// below where an `f64` would stop to count exactly.
const SIZE_MAX: u32 = 100_000_000;

/// The longest time that a table may hold, in microseconds: one hour.
const TIME_US_MAX: f64 = 3.6e9;

/// Columns of a table: texts, then whole numbers, then the time in microseconds.
pub(super) struct Columns<const T: usize, const N: usize> {
    /// Columns that hold a name.
    pub(super) texts: [&'static str; T],
    /// Columns that hold a size.
    pub(super) sizes: [&'static str; N],
    /// The column that holds the time.
    pub(super) time_us: &'static str,
}

/// One row of a table.
pub(super) struct Row<const T: usize, const N: usize> {
    /// Line in the file, from 1.
    pub(super) line: u64,
    /// In the order of [`Columns::texts`].
    pub(super) texts: [String; T],
    /// In the order of [`Columns::sizes`].
    pub(super) sizes: [u32; N],
    /// Microseconds.
    pub(super) time_us: f64,
}

impl<const T: usize, const N: usize> Columns<T, N> {
    /// All rows of a file. Other columns may stand beside these and are not looked at.
    ///
    /// # Errors
    /// Naming file, line and column: a file that cannot be read or has no rows; a missing column;
    /// a row of another length; a value that is not a number, or outside its range; a repeated row.
    pub(super) fn read(&self, path: &Path) -> Result<Vec<Row<T, N>>, InputError> {
        // Opening a directory succeeds on some systems, and only reading it fails.
        let is_file = fs::metadata(path).map_err(|error| unreadable(path, &error))?.is_file();
        if !is_file {
            return Err(InputError::new(path, "is not a file; expected a CSV table"));
        }
        let bytes = fs::read(path).map_err(|error| unreadable(path, &error))?;
        let mut lines = Lines { bytes: &bytes, at: 0, line: 1 };
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(&bytes[..]);
        let header = match reader.headers() {
            Ok(header) => header.clone(),
            Err(error) => return Err(malformed(path, &error, &mut lines)),
        };
        let column = |name: &str| {
            header.iter().position(|title| title == name).ok_or_else(|| {
                let found = header.iter().collect::<Vec<_>>().join(", ");
                let found: String = found.chars().take(200).collect();
                InputError::new(path, format!("this column is missing; found: {found}"))
                    .at_line(1)
                    .in_field(name)
            })
        };
        let mut texts = [0; T];
        for (index, name) in texts.iter_mut().zip(self.texts) {
            *index = column(name)?;
        }
        let mut sizes = [0; N];
        for (index, name) in sizes.iter_mut().zip(self.sizes) {
            *index = column(name)?;
        }
        let time_us = column(self.time_us)?;
        let mut rows = Vec::new();
        for record in reader.records() {
            let record = record.map_err(|error| malformed(path, &error, &mut lines))?;
            let at = At { path, record: &record, line: lines.line_of(record.position()) };
            let mut row = Row {
                line: at.line,
                texts: texts.map(|index| record[index].to_owned()),
                sizes: [0; N],
                time_us: at.time_us(time_us, self.time_us)?,
            };
            for ((size, index), name) in row.sizes.iter_mut().zip(sizes).zip(self.sizes) {
                *size = at.size(index, name)?;
            }
            rows.push(row);
        }
        if rows.is_empty() {
            return Err(InputError::new(path, "has no rows; at least one is needed"));
        }
        self.check_unique(path, &rows)?;
        Ok(rows)
    }

    fn check_unique(&self, path: &Path, rows: &[Row<T, N>]) -> Result<(), InputError> {
        let mut lines = HashMap::with_capacity(rows.len());
        for row in rows {
            match lines.entry((&row.texts, row.sizes)) {
                Entry::Vacant(free) => free.insert(row.line),
                Entry::Occupied(first) => {
                    let names = self.texts.iter().chain(&self.sizes).copied();
                    let names = names.collect::<Vec<_>>().join(", ");
                    let values = row.texts.iter().cloned();
                    let values = values.chain(row.sizes.iter().map(u32::to_string));
                    let values = values.collect::<Vec<_>>().join(", ");
                    let problem = format!(
                        "({values}) stands already on line {}; each may stand once",
                        first.get()
                    );
                    return Err(InputError::new(path, problem).at_line(row.line).in_field(names));
                }
            };
        }
        Ok(())
    }
}

/// One record and where it stands.
struct At<'a> {
    path: &'a Path,
    record: &'a StringRecord,
    line: u64,
}

impl At<'_> {
    fn size(&self, index: usize, name: &str) -> Result<u32, InputError> {
        let parsed = self.record[index].parse::<u32>().ok();
        parsed.filter(|size| *size <= SIZE_MAX).ok_or_else(|| {
            self.error(index, name, &format!("is not a whole number in 0..={SIZE_MAX}"))
        })
    }

    fn time_us(&self, index: usize, name: &str) -> Result<f64, InputError> {
        let parsed = self.record[index].parse::<f64>().ok();
        parsed.filter(|time| (0.0..=TIME_US_MAX).contains(time)).ok_or_else(|| {
            self.error(index, name, &format!("is not a time in 0..={TIME_US_MAX} us"))
        })
    }

    #[cold]
    fn error(&self, index: usize, name: &str, problem: &str) -> InputError {
        let value = shown(&self.record[index]);
        InputError::new(self.path, format!("`{value}` {problem}")).at_line(self.line).in_field(name)
    }
}

/// Counts lines. The reader's own count stops before the line end of the previous record, so that
/// it is short after blank lines and in files with Windows line ends.
struct Lines<'a> {
    bytes: &'a [u8],
    at: usize,
    line: u64,
}

impl Lines<'_> {
    /// The line (from 1) of a record; positions must not go back.
    fn line_of(&mut self, position: Option<&csv::Position>) -> u64 {
        let start = position.map_or(0, |position| position.byte() as usize);
        while let Some(&byte) = self.bytes.get(self.at) {
            if self.at >= start && !matches!(byte, b'\n' | b'\r') {
                break;
            }
            self.line += u64::from(byte == b'\n');
            self.at += 1;
        }
        self.line
    }
}

/// A file that is not CSV, or whose rows differ in length.
fn malformed(path: &Path, error: &csv::Error, lines: &mut Lines) -> InputError {
    let problem = match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("has {len} fields where the header has {expected_len}")
        }
        csv::ErrorKind::Utf8 { err, .. } => not_utf8(err.valid_up_to()),
        _ => error.to_string(),
    };
    InputError::new(path, problem).at_line(lines.line_of(error.position()))
}
