//! What was wrong with the input: one sentence that names file, line, field and range.

use std::fmt;
use std::path::{Path, PathBuf};

/// Input that cannot be used. Displays as one line.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct InputError {
    /// The file (or option) it stands in.
    pub path: PathBuf,
    /// Line in the file, from 1.
    pub line: Option<u64>,
    /// Column, key or option.
    pub field: Option<String>,
    /// What is wrong, with the value and the range it should be in.
    pub problem: String,
}

impl InputError {
    /// An error about a file as a whole.
    pub fn new(path: impl AsRef<Path>, problem: impl Into<String>) -> Self {
        Self { path: path.as_ref().to_path_buf(), line: None, field: None, problem: problem.into() }
    }

    /// The same error, at a line (from 1).
    #[must_use]
    pub fn at_line(mut self, line: u64) -> Self {
        self.line = Some(line);
        self
    }

    /// The same error, about a column, key or option.
    #[must_use]
    pub fn in_field(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }
}

impl fmt::Display for InputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if let Some(field) = &self.field {
            write!(f, ": field `{field}`")?;
        }
        write!(f, ": {}", self.problem)
    }
}

impl std::error::Error for InputError {}
