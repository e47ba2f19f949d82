//! `policy check|show|presets`.

use std::path::PathBuf;

use serde::Serialize;

use super::{Failure, JsonTarget};
use crate::args::{PolicyCommand, PolicyFile, PolicyFileOrPreset};
use crate::console::Console;
use crate::jobs::{self, Document};
use crate::tables;

/// Preset that `show` prints when nothing is named.
const PRESET_DEFAULT: &str = "balanced";

/// Runs one of the three.
pub(super) fn run(command: PolicyCommand, console: &mut Console<'_>) -> Result<(), Failure> {
    match command {
        PolicyCommand::Check(args) => check(&args, console),
        PolicyCommand::Show(args) => show(args, console),
        PolicyCommand::Presets(args) => presets(args.json.target.as_ref(), console),
    }
}

#[derive(Serialize)]
struct Checked {
    file: String,
    valid: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

fn check(args: &PolicyFile, console: &mut Console<'_>) -> Result<(), Failure> {
    let json = JsonTarget::open(args.json.target.as_ref())?;
    let found = jobs::document(&args.file)?;
    let file = args.file.display().to_string();
    let problem = found.as_ref().err().map(ToString::to_string);
    if let (Ok(document), false) = (&found, json.takes_stdout()) {
        writeln!(
            console.out,
            "{file}: valid; classes {}; {} named accounts",
            document.classes.join(", "),
            document.accounts
        )?;
    }
    let checked = Checked { file, valid: problem.is_none(), problem: problem.clone() };
    json.write(&[checked], console)?;
    problem.map_or(Ok(()), |problem| Err(Failure::Check(problem)))
}

#[derive(Serialize)]
struct Shown<'a> {
    name: String,
    policy: &'a serde_json::Value,
}

fn show(args: PolicyFileOrPreset, console: &mut Console<'_>) -> Result<(), Failure> {
    let json = JsonTarget::open(args.json.target.as_ref())?;
    let path = args.file.unwrap_or_else(|| PathBuf::from(PRESET_DEFAULT));
    let name = path.display().to_string();
    // A file called like a preset is meant when it is there.
    let document = if path.is_file() { None } else { jobs::preset(&name) };
    let document: Document = match document {
        Some(document) => document,
        None => jobs::document(&path)??,
    };
    if !json.takes_stdout() {
        write!(console.out, "{}", document.toml)?;
    }
    json.write(&[Shown { name, policy: &document.json }], console)
}

fn presets(target: Option<&PathBuf>, console: &mut Console<'_>) -> Result<(), Failure> {
    let json = JsonTarget::open(target)?;
    let documents: Vec<(&str, Document)> = jobs::policy_preset_names()
        .into_iter()
        .filter_map(|name| Some((name, jobs::preset(name)?)))
        .collect();
    if !json.takes_stdout() {
        tables::presets(&documents, console)?;
    }
    let shown: Vec<Shown<'_>> = documents
        .iter()
        .map(|(name, document)| Shown { name: (*name).to_owned(), policy: &document.json })
        .collect();
    json.write(&shown, console)
}
