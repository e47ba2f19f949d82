//! What ledgers tell each other, as bytes.
//!
//! ```text
//! delta  "RMPDELT1"  replica u64  incarnation u64  entry*
//! entry  key u64  lane u64  began f64  told f64  served f64
//! ```
//! All little-endian, nothing between.

use pyo3::prelude::*;
use pyo3::types::PyBytes;
use rampmeter::Error;
use rampmeter::share;
use rampmeter::share::exchange::{Delta, DeltaEntry, DeltaSource};

use super::{Ledger, id, raw};
use crate::error::Fault;
use crate::record::record;

record! {
    /// What became of the entries of a delta: told something new, came twice or late, or are about
    /// accounts that are not open here (open them and merge the same delta again).
    "rampmeter.share" Merged {
        news: u32,
        older: u32,
        unknown: u32,
    }
}

/// Says that what follows is a delta, and of which form.
const MAGIC: u64 = u64::from_le_bytes(*b"RMPDELT1");
const WORD: usize = size_of::<u64>();
const HEAD_WORDS: usize = 3;
const ENTRY_WORDS: usize = 5;
/// Entries that are asked for at once: 40 KB.
const ENTRIES_AT_ONCE: usize = 1_024;

fn written(source: DeltaSource, entries: &[DeltaEntry]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity((HEAD_WORDS + ENTRY_WORDS * entries.len()) * WORD);
    let mut put = |words: &[u64]| words.iter().for_each(|word| bytes.extend(word.to_le_bytes()));
    put(&[MAGIC, source.replica, source.incarnation]);
    for entry in entries {
        let DeltaEntry { key, lane, began, told, served } = *entry;
        put(&[key, lane, began.to_bits(), told.to_bits(), served.to_bits()]);
    }
    bytes
}

fn read(bytes: &[u8]) -> Result<(DeltaSource, Vec<DeltaEntry>), Fault> {
    let refused =
        Error::Range { field: "delta", value: bytes.len() as u64, min: 24, max: u64::MAX };
    let (words, rest) = bytes.as_chunks::<WORD>();
    let words: Vec<u64> = words.iter().copied().map(u64::from_le_bytes).collect();
    let Some((&[magic, replica, incarnation], words)) = words.split_first_chunk::<HEAD_WORDS>()
    else {
        return Err(refused.into());
    };
    let (entries, odd) = words.as_chunks::<ENTRY_WORDS>();
    if magic != MAGIC || !rest.is_empty() || !odd.is_empty() {
        return Err(refused.into());
    }
    let entry = |&[key, lane, began, told, served]: &[u64; ENTRY_WORDS]| DeltaEntry {
        key,
        lane,
        began: f64::from_bits(began),
        told: f64::from_bits(told),
        served: f64::from_bits(served),
    };
    Ok((DeltaSource { replica, incarnation }, entries.iter().map(entry).collect()))
}

/// All entries that `more` has, by and by.
fn gathered(
    mut more: impl FnMut(&mut [DeltaEntry]) -> Result<Delta, Error>,
) -> Result<Vec<u8>, Fault> {
    let mut all = Vec::new();
    loop {
        let begin = all.len();
        all.resize(begin + ENTRIES_AT_ONCE, DeltaEntry::default());
        let delta = more(&mut all[begin..])?;
        all.truncate(begin + delta.len);
        if delta.is_complete {
            return Ok(written(delta.source, &all));
        }
    }
}

#[pymethods]
impl Ledger {
    /// Says which copy this ledger is, 0 to `replicas_max`, before anything is told or merged;
    /// `incarnation` grows with every start, such as the time. Raises `ContradictionError`,
    /// `RangeError`.
    #[pyo3(signature = (replica, *, incarnation))]
    fn set_replica(&self, py: Python<'_>, replica: u32, incarnation: u64) -> PyResult<()> {
        self.0.ask(py, |ledger| Ok(ledger.set_replica(replica, incarnation)?))
    }

    /// Gives an account the key by which other copies know it, such as `path_key` makes. Raises
    /// `ContradictionError` if it, or the key, has another.
    fn set_key(&self, py: Python<'_>, account: u64, key: u64) -> PyResult<()> {
        self.0.scan(py, |ledger| Ok(ledger.set_key(id(account), key)?))
    }

    /// The account with this key, or `None`.
    fn account_of(&self, py: Python<'_>, key: u64) -> PyResult<Option<u64>> {
        self.0.ask(py, |ledger| Ok(raw(ledger.account_of(key))))
    }

    /// Service of an account in a lane, at all copies as far as this one knows, as it was charged.
    #[pyo3(signature = (account, *, lane = 0))]
    fn service(&self, py: Python<'_>, account: u64, lane: u32) -> PyResult<f64> {
        self.0.ask(py, |ledger| Ok(ledger.service(lane, id(account))?))
    }

    /// What was charged here since it was told last, for all other copies alike; it is told now.
    ///
    /// Send the bytes to the others as they are, every 100 ms; they may come late, twice, in any order
    /// or get lost. Raises `RangeError` before `set_replica`.
    fn delta<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let bytes = self.0.scan(py, |ledger| gathered(|out| ledger.delta(out)))?;
        Ok(PyBytes::new(py, &bytes))
    }

    /// Everything that was charged here, told or not: for a copy that begins, and every tenth time in
    /// place of `delta`, to make up for what was lost.
    fn delta_all<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let bytes = self.0.scan(py, |ledger| {
            let mut next = 0;
            gathered(|out| ledger.delta_all(&mut next, out))
        })?;
        Ok(PyBytes::new(py, &bytes))
    }

    /// Takes what another copy told: charges what is new in it. Raises `RangeError` for bytes that are
    /// no delta of another copy, and nothing is changed.
    fn merge(&self, py: Python<'_>, delta: &[u8]) -> PyResult<Merged> {
        let merged = self.0.scan(py, |ledger| {
            let (source, entries) = read(delta)?;
            Ok(ledger.merge(source, &entries)?)
        })?;
        let share::exchange::Merged { news, older, unknown } = merged;
        Ok(Merged { news, older, unknown })
    }

    /// Forgets what was heard from a copy that is gone; what was charged stays charged.
    fn forget_replica(&self, py: Python<'_>, replica: u32) -> PyResult<()> {
        self.0.scan(py, |ledger| Ok(ledger.forget_replica(replica)?))
    }
}

/// The key of the account at the end of a path of names, such as "org/team/user": the same on every
/// machine, for ever.
///
/// >>> from rampmeter.share import path_key
/// >>> path_key("org/team") != path_key("org/user")
/// True
#[pyfunction]
pub(super) fn path_key(path: &str) -> u64 {
    share::exchange::path_key(path.split('/'))
}
