//! The recorded vectors of other projects: which files there are, and in which format.
//!
//! They lie in the folder `vectors` of `$RAMPMETER_SHARED`, by default `../shared` from the root of
//! the workspace. Each file says by its content whose it is; one that nobody knows fails every test
//! that reads the folder, so that no recorded case is passed over in silence.

#![allow(unreachable_pub, reason = "each test that reads vectors has this module as its own")]

use std::path::PathBuf;

use serde_json::Value;

/// What a file holds, and so which test reads it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Format {
    /// Division of resources among queues.
    Kai,
    /// Dominant shares, flat and hierarchical.
    DominantShare,
    /// Dominant share of what is borrowed from a cohort.
    Borrowing,
    /// Ranking of associations by past usage.
    SlurmRanking,
    /// Fragmentation of a cluster: checked where the experiment is, in the simulator's tests.
    Fragmentation,
}

pub struct VectorFile {
    pub name: String,
    pub format: Format,
    pub content: Value,
}

/// All files of the folder, by name; `None`, with a message, when there is no such folder.
pub fn files() -> Option<Vec<VectorFile>> {
    let folder = folder();
    let Ok(entries) = std::fs::read_dir(&folder) else {
        println!("no recorded vectors in {}: nothing was checked", folder.display());
        return None;
    };
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let files = paths.into_iter().map(|path| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        let content = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        let format = format(&content).unwrap_or_else(|| panic!("{name}: no test knows its format"));
        VectorFile { name, format, content }
    });
    Some(files.collect())
}

/// The files of one format; `None`, with a message, when there is no folder.
pub fn files_of(format: Format) -> Option<Vec<VectorFile>> {
    let files: Vec<_> = files()?.into_iter().filter(|file| file.format == format).collect();
    assert!(!files.is_empty(), "the folder has no file of format {format:?}");
    Some(files)
}

/// The cases of a file.
#[allow(dead_code, reason = "Slurm's files have none")]
pub fn cases(file: &VectorFile) -> &[Value] {
    let cases =
        file.content["cases"].as_array().unwrap_or_else(|| panic!("{}: no cases", file.name));
    assert!(!cases.is_empty(), "{} has no cases", file.name);
    cases
}

fn folder() -> PathBuf {
    let shared = std::env::var_os("RAMPMETER_SHARED").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
        PathBuf::from,
    );
    shared.join("vectors")
}

/// By what stands in it: the project that the cases come from, and the fields that they have.
pub fn format(content: &Value) -> Option<Format> {
    let cases = |field: &str| {
        let cases = content["cases"].as_array();
        cases.is_some_and(|cases| {
            !cases.is_empty() && cases.iter().all(|case| !case[field].is_null())
        })
    };
    let source = content["meta"]["source"].as_str().unwrap_or_default();
    if source.contains("/resource_division/") && cases("fn") && cases("queues") {
        return Some(Format::Kai);
    }
    if source.contains("TestDominantResourceShare") && cases("cluster_queues") {
        return Some(Format::Borrowing);
    }
    if !content["meta"]["sources"]["drf"].is_null() && cases("fn") {
        return Some(Format::DominantShare);
    }
    if content["ranking"].is_string() && content["associations"].is_array() {
        return Some(Format::SlurmRanking);
    }
    let measured = content["unit"].is_array() && content["arrivals"].is_object();
    (measured && cases("frag_milli")).then_some(Format::Fragmentation)
}
