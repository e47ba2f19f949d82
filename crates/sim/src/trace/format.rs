//! Which format a file is in: by name, or by looking at it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::{azure, csv, lengths, servegen, vtc};
use crate::InputError;
use crate::input::{Lines, unreadable};
use crate::nearest::unknown;

/// A trace format.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Format {
    /// Azure LLM inference traces.
    Azure,
    /// Mooncake's JSON lines with prefix blocks.
    Mooncake,
    /// Lengths alone, as processed for Vidur and Sarathi-Serve.
    Lengths,
    /// Runs of the VTC artifact.
    Vtc,
    /// `ServeGen`'s rates of single clients.
    Servegen,
    /// Our own columns.
    Csv,
}

impl Format {
    /// All formats.
    pub const ALL: [Self; 6] =
        [Self::Azure, Self::Mooncake, Self::Lengths, Self::Vtc, Self::Servegen, Self::Csv];

    /// Its name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Azure => "azure",
            Self::Mooncake => "mooncake",
            Self::Lengths => "lengths",
            Self::Vtc => "vtc",
            Self::Servegen => "servegen",
            Self::Csv => "csv",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Format {
    type Err = String;

    /// By name; the error is a sentence that names the nearest format.
    fn from_str(name: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|format| format.name() == name);
        known.ok_or_else(|| unknown(name, "format", Self::ALL.map(Self::name)))
    }
}

/// A trace as the command line names it: `PATH` or `PATH:FORMAT`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Spec {
    /// File or folder.
    pub path: PathBuf,
    /// The format, where it was given.
    pub given: Option<Format>,
}

impl Spec {
    /// Takes `PATH[:FORMAT]` apart.
    ///
    /// A path may contain colons. What exists as it stands is a path. Otherwise what follows the
    /// last colon is a format if it is the name of one; if it is not, but what precedes it exists,
    /// the format is misspelt.
    ///
    /// # Errors
    /// A misspelt format, or an empty path.
    pub fn parse(text: &str) -> Result<Self, InputError> {
        let (path, given) = take_apart(text)?;
        Ok(Self { path, given })
    }

    /// The format that was given, or else what the file looks like.
    ///
    /// # Errors
    /// See [`guess`].
    pub fn format(&self) -> Result<Format, InputError> {
        self.given.map_or_else(|| guess(&self.path), Ok)
    }
}

/// A path, and the format behind its last colon where there is one.
pub(crate) fn take_apart<F: FromStr<Err = String>>(
    text: &str,
) -> Result<(PathBuf, Option<F>), InputError> {
    let whole = PathBuf::from(text);
    if text.is_empty() {
        return Err(InputError::new("trace", "an empty path names no trace"));
    }
    let Some((path, format)) = text.rsplit_once(':').filter(|(path, _)| !path.is_empty()) else {
        return Ok((whole, None));
    };
    if whole.exists() {
        return Ok((whole, None));
    }
    match format.parse() {
        Ok(format) => Ok((PathBuf::from(path), Some(format))),
        Err(problem) if Path::new(path).exists() => Err(InputError::new(path, problem)),
        Err(_) => Ok((whole, None)),
    }
}

/// The format of a file, from its first line (a folder is `servegen`).
///
/// # Errors
/// The file cannot be read, or looks like none of the formats.
pub fn guess(path: &Path) -> Result<Format, InputError> {
    if path.metadata().map_err(|error| unreadable(path, &error))?.is_dir() {
        return match servegen::clients(path) {
            Ok(_) => Ok(Format::Servegen),
            Err(_) => Err(InputError::new(path, "is a folder without chunk-N-trace.csv files")),
        };
    }
    let mut lines = Lines::open(path)?;
    let Some((_, line)) = lines.next_line()? else {
        return Err(InputError::new(path, "is empty"));
    };
    if line.starts_with('{') {
        return Ok(Format::Mooncake);
    }
    let header: Vec<&str> = line
        .trim_start_matches('\u{feff}')
        .split(',')
        .map(|name| name.trim().trim_matches('"'))
        .collect();
    let known: [(&[&str], Format); 4] = [
        (&azure::COLUMNS, Format::Azure),
        (&lengths::COLUMNS, Format::Lengths),
        (&vtc::COLUMNS, Format::Vtc),
        (&csv::COLUMNS[..3], Format::Csv),
    ];
    let has = |columns: &[&str]| columns.iter().any(|column| header.contains(column));
    known.iter().find(|(columns, _)| has(columns)).map(|&(_, format)| format).ok_or_else(|| {
        let names = Format::ALL.map(Format::name).join(", ");
        let problem = format!("looks like none of the formats ({names}): add one as PATH:FORMAT");
        InputError::new(path, problem).at_line(1)
    })
}
