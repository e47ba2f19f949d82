//! A machine that is read from a file: for tests, demonstrations, and machines that are elsewhere.
//!
//! The file is a [`Document`]: what `rampmeter probe --json` wrote on that machine, or the few keys
//! of it that matter. It is read again each time, so that a test can change the machine. A file that
//! cannot be read, or is no document, is a driver that fails: `Failed` with the call `fixture`.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::call::Call;
use crate::clock;
use crate::condition::Condition;
use crate::document::{Document, Refused};
use crate::probe::{Due, Probe};
use crate::snapshot::{Snapshot, Source};
use crate::watch::Watch;

/// Why a file is no machine.
#[derive(Debug, thiserror::Error)]
pub enum FixtureError {
    /// It cannot be read.
    #[error("{0}")]
    Unreadable(#[from] std::io::Error),
    /// It is no document, or contradicts itself.
    #[error("{0}")]
    Refused(#[from] Refused),
}

/// GPUs of a file.
#[derive(Debug)]
pub struct Fixture {
    path: PathBuf,
    snapshot: Snapshot,
    watch: Arc<Watch>,
}

impl Fixture {
    /// The machine in this file.
    ///
    /// # Errors
    /// [`FixtureError`] for a file that cannot be read, is no document or contradicts itself.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, FixtureError> {
        let path = path.into();
        let snapshot = machine(&path)?;
        Ok(Self { path, snapshot, watch: Arc::default() })
    }
}

fn machine(path: &Path) -> Result<Snapshot, FixtureError> {
    let document = Document::from_json(&fs::read_to_string(path)?)?;
    let mut snapshot = document.snapshot(clock::now())?;
    snapshot.source = Source::Fixture;
    Ok(snapshot)
}

impl Probe for Fixture {
    fn source(&self) -> Source {
        Source::Fixture
    }

    fn read(&mut self, _: Due) -> &Snapshot {
        let seq = self.snapshot.seq + 1;
        match machine(&self.path) {
            Ok(snapshot) => self.snapshot = snapshot,
            Err(error) => {
                let code = match error {
                    FixtureError::Unreadable(error) => error.raw_os_error().unwrap_or(0),
                    FixtureError::Refused(_) => 0,
                };
                self.snapshot.advance_to(clock::now());
                let code = code.unsigned_abs();
                self.snapshot.clear(Condition::Failed { call: Call::FIXTURE, code });
            }
        }
        self.snapshot.seq = seq;
        &self.snapshot
    }

    fn watch(&self) -> Arc<Watch> {
        Arc::clone(&self.watch)
    }
}
