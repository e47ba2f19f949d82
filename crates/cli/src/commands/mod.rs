//! The commands: arguments in, one job, results out.

mod cluster;
mod fit;
mod pack;
mod policy;
mod probe;
mod serving;
mod share;
mod validate;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use rampmeter_sim::InputError;
use rampmeter_sim::results::{Document, SCHEMA};
use serde::Serialize;

use crate::args::{Cli, Command, Replay};
use crate::console::Console;
use crate::output::{Filled, Output};

/// Why a command did not simply run.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Wrong usage or input.
    Usage(String),
    /// A check that was asked for failed.
    Check(String),
    /// Standard output or standard error cannot be written.
    Output(io::Error),
}

impl Failure {
    /// Wrong usage.
    pub(crate) fn usage(sentence: impl Into<String>) -> Self {
        Self::Usage(sentence.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(sentence) | Self::Check(sentence) => f.write_str(sentence),
            Self::Output(error) => write!(f, "results cannot be written: {error}"),
        }
    }
}

impl From<InputError> for Failure {
    fn from(error: InputError) -> Self {
        Self::Usage(error.to_string())
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

/// Runs the command.
pub(crate) fn run(cli: Cli, command_line: &str, console: &mut Console<'_>) -> Result<(), Failure> {
    match cli.command {
        Command::Highway(args) => serving::highway(args, command_line, console),
        Command::Replay(Replay::Serving(args)) => serving::replay(args, command_line, console),
        Command::Pack(args) => pack::run(args, console),
        Command::Replay(Replay::Cluster(args)) => cluster::run(args, console),
        Command::Validate(args) => validate::run(&args, console),
        Command::Fit(args) => fit::run(&args, console),
        Command::Probe(args) => probe::run(&args, console),
        Command::Share(args) => share::run(&args, console),
        Command::Policy(command) => policy::run(command, console),
    }
}

/// Where `--json` goes.
#[derive(Debug)]
pub(super) enum JsonTarget {
    /// Nowhere.
    None,
    /// Standard output, which then carries nothing else.
    Stdout,
    /// A file.
    File(Box<Output>),
}

impl JsonTarget {
    /// Opens the file, so that a wrong path is found before the job.
    pub(super) fn open(target: Option<&PathBuf>) -> Result<Self, Failure> {
        match target {
            None => Ok(Self::None),
            Some(path) if path == Path::new("-") => Ok(Self::Stdout),
            Some(path) => Ok(Self::File(Box::new(Output::open(path)?))),
        }
    }

    /// Whether standard output is taken.
    pub(super) const fn takes_stdout(&self) -> bool {
        matches!(self, Self::Stdout)
    }

    /// Writes the results where they go, files still without their names.
    pub(super) fn fill<T: Serialize>(self, runs: &[T]) -> Result<Figures, Failure> {
        self.fill_whole(&Document::new(runs.iter().collect()))
    }

    /// Writes a document of another form where it goes.
    fn fill_whole<T: Serialize>(self, document: &T) -> Result<Figures, Failure> {
        if matches!(self, Self::None) {
            return Ok(Figures::None);
        }
        let mut text =
            serde_json::to_vec_pretty(document).map_err(|error| Failure::Output(error.into()))?;
        text.push(b'\n');
        match self {
            Self::File(file) => Ok(Figures::File(file.fill(&text)?)),
            Self::None | Self::Stdout => Ok(Figures::Stdout(text)),
        }
    }

    /// Writes the results, if they were asked for.
    pub(super) fn write<T: Serialize>(
        self,
        runs: &[T],
        console: &mut Console<'_>,
    ) -> Result<(), Failure> {
        self.fill(runs)?.publish(console)
    }

    /// Writes results that do not stand under `runs`, if they were asked for.
    pub(super) fn write_whole<T: Serialize>(
        self,
        results: &T,
        console: &mut Console<'_>,
    ) -> Result<(), Failure> {
        self.fill_whole(&Whole { schema: SCHEMA, results })?.publish(console)
    }
}

/// One line of JSON, for results that come again and again.
fn line<T: Serialize>(results: &T, console: &mut Console<'_>) -> Result<(), Failure> {
    let mut text = serde_json::to_vec(&Whole { schema: SCHEMA, results })
        .map_err(|error| Failure::Output(error.into()))?;
    text.push(b'\n');
    console.out.write_all(&text)?;
    Ok(console.out.flush()?)
}

/// Results beside the number of their schema.
#[derive(Serialize)]
struct Whole<'a, T> {
    schema: u32,
    #[serde(flatten)]
    results: &'a T,
}

/// Results as JSON that nobody has seen yet.
#[derive(Debug)]
pub(super) enum Figures {
    /// Not asked for.
    None,
    /// For standard output.
    Stdout(Vec<u8>),
    /// In a file without its name.
    File(Filled),
}

impl Figures {
    /// Shows them.
    pub(super) fn publish(self, console: &mut Console<'_>) -> Result<(), Failure> {
        match self {
            Self::None => Ok(()),
            Self::Stdout(text) => Ok(console.out.write_all(&text)?),
            Self::File(file) => Ok(file.publish()?),
        }
    }
}
