//! Which format a file of jobs is in: by name, or by looking at it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::jobs::JobList;
use super::nodes::NodeList;
use super::{ReadOptions, csv, muri, openb, philly, swf};
use crate::InputError;
use crate::input::Lines;
use crate::nearest::unknown;
use crate::trace::format::take_apart;

/// A format of jobs with run times.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Format {
    /// Microsoft's Philly clusters.
    Philly,
    /// Traces of the Muri artifact.
    Muri,
    /// Standard Workload Format.
    Swf,
    /// Alibaba's cluster-trace-gpu-v2023.
    Openb,
    /// Our own columns.
    Csv,
}

impl Format {
    /// All formats.
    pub const ALL: [Self; 5] = [Self::Philly, Self::Muri, Self::Swf, Self::Openb, Self::Csv];

    /// Its name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Philly => "philly",
            Self::Muri => "muri",
            Self::Swf => "swf",
            Self::Openb => "openb",
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

/// Jobs as the command line names them: `PATH` or `PATH:FORMAT`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Spec {
    /// The file.
    pub path: PathBuf,
    /// The format, where it was given.
    pub given: Option<Format>,
}

impl Spec {
    /// Takes `PATH[:FORMAT]` apart, as [`crate::trace::Spec::parse`] does.
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

    /// Reads the jobs. Models that they name and no node has get a number among those of the nodes.
    ///
    /// # Errors
    /// One sentence about the first thing that is wrong.
    pub fn read(&self, options: ReadOptions, nodes: &mut NodeList) -> Result<JobList, InputError> {
        match self.format()? {
            Format::Philly => philly::read(&self.path, options),
            Format::Muri => muri::read(&self.path, options),
            Format::Swf => swf::read(&self.path, options),
            Format::Openb => openb::read(&self.path, nodes),
            Format::Csv => csv::read(&self.path, options),
        }
    }
}

/// The format of a file, from its first line.
///
/// # Errors
/// The file cannot be read, or looks like none of the formats.
pub fn guess(path: &Path) -> Result<Format, InputError> {
    let mut lines = Lines::open(path)?;
    let Some((_, line)) = lines.next_line()? else {
        return Err(InputError::new(path, "is empty"));
    };
    if swf::looks_like(line) {
        return Ok(Format::Swf);
    }
    let header: Vec<&str> = line.split(',').map(|name| name.trim().trim_matches('"')).collect();
    let known: [(&[&str], Format); 4] = [
        (&philly::COLUMNS, Format::Philly),
        (&muri::COLUMNS, Format::Muri),
        (&openb::COLUMNS, Format::Openb),
        (&csv::COLUMNS[..3], Format::Csv),
    ];
    let has_all = |columns: &[&str]| columns.iter().all(|column| header.contains(column));
    known.iter().find(|(columns, _)| has_all(columns)).map(|&(_, format)| format).ok_or_else(|| {
        let names = Format::ALL.map(Format::name).join(", ");
        let problem = format!("looks like none of the formats ({names}): add one as PATH:FORMAT");
        InputError::new(path, problem).at_line(1)
    })
}
