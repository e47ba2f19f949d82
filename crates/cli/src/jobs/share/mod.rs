//! An account tree in a file, and what the library says of every account in it.

mod associations;
mod document;
mod ledger;
mod rows;
mod sshare;
mod tree;

use std::path::Path;

use rampmeter_sim::{InputError, read_document};
use serde_json::Value;

pub(crate) use rows::{Holding, Row, Shares, Standings};
pub(crate) use tree::RankingName;

use tree::Tree;

/// Damping of the classic ranking where nothing is said: Slurm's own default.
const DAMPING_DEFAULT: f64 = 1.0;

/// What is asked about a tree.
#[derive(Clone, Debug)]
pub(crate) struct ShareJob<'a> {
    pub(crate) file: &'a Path,
    /// Instead of the ranking of the file.
    pub(crate) ranking: Option<RankingName>,
    /// Instead of the damping of the file.
    pub(crate) damping: Option<f64>,
    /// The path of one account: only it and the accounts above it are wanted.
    pub(crate) account: Option<&'a str>,
}

/// Where every account of a file stands.
pub(crate) fn standings(job: &ShareJob<'_>) -> Result<Standings, InputError> {
    let tree = read(job.file)?;
    let name = job.ranking.or(tree.ranking).unwrap_or_default();
    let damping = job.damping.or(tree.damping).unwrap_or(DAMPING_DEFAULT);
    if tree.members.is_empty() {
        return Err(InputError::new(job.file, "there is no account in it"));
    }
    let mut opened = ledger::open(job.file, &tree)?;
    let mut standings = rows::standings(job.file, &tree, &mut opened, name, damping)?;
    if let Some(path) = job.account {
        standings.keep_way_to(path)?;
    }
    Ok(standings)
}

fn read(path: &Path) -> Result<Tree, InputError> {
    let text = read_document(path)?;
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    let first_line = text.lines().find(|line| !line.trim().is_empty());
    let Some(first_line) = first_line else {
        return Err(InputError::new(path, "is empty"));
    };
    match ending {
        "toml" => document::tree(path, document::from_toml(path, &text)?),
        "json" => from_json(path, &text),
        _ if first_line.trim_start().starts_with('{') => from_json(path, &text),
        _ if first_line.contains(sshare::SEPARATOR) => sshare::tree(path, &text),
        _ => document::tree(path, document::from_toml(path, &text)?),
    }
}

fn from_json(path: &Path, text: &str) -> Result<Tree, InputError> {
    let value: Value = serde_json::from_str(text).map_err(|error| {
        let problem = format!("is not JSON at column {}", error.column());
        InputError::new(path, problem).at_line(error.line() as u64)
    })?;
    match &value {
        Value::Object(keys) if keys.contains_key("associations") => associations::tree(path, keys),
        _ => document::tree(path, value),
    }
}
