//! Dominant shares: who needs its next task most, and who borrowed most.

use std::cmp::Ordering;

use pyo3::prelude::*;
use rampmeter::share::{self, Amounts, ResourceShares};

use super::{Ledger, amounts, id, listed, raw};
use crate::error::Fault;
use crate::record::record;

record! {
    /// The largest of an account's shares of resources, and of which; `None` if it holds nothing.
    "rampmeter.share" DominantShare {
        share: f64,
        resource: Option<u32>,
    }
}
record! {
    /// How much an account holds, by what it has most of.
    ///
    /// `weighted` is over its weight; `entitled` is relative to its quota, or else its limit; `level`
    /// is what turns go by, 0.0 where the ledger keeps none; `shares` are parts of the capacity, the
    /// largest first.
    "rampmeter.share" Dominance {
        weighted: DominantShare,
        entitled: DominantShare,
        level: f64,
        shares: Vec<f64>,
    }
}
record! {
    /// How much an account holds beyond its quota, in thousandths of what there is to lend.
    "rampmeter.share" Borrowed {
        permille: u64,
        resource: Option<u32>,
        borrowing: bool,
    }
}

impl From<share::DominantShare> for DominantShare {
    fn from(dominant: share::DominantShare) -> Self {
        Self { share: dominant.share, resource: dominant.resource }
    }
}

#[pymethods]
impl Ledger {
    /// How much an account holds, by what it has most of.
    fn dominance(&self, py: Python<'_>, account: u64) -> PyResult<Dominance> {
        self.0.ask(py, |ledger| {
            let account = id(account);
            let keeps_turns = ledger.options().dominant;
            Ok(Dominance {
                weighted: ledger.dominant_share(account)?.into(),
                entitled: ledger.entitled_share(account)?.into(),
                level: if keeps_turns { ledger.dominant_level(account)? } else { 0.0 },
                shares: ledger.resource_shares(account)?.as_slice().to_vec(),
            })
        })
    }

    /// What the next task of an account takes; `None`: it has none, and no turn.
    fn set_next_task(&self, py: Python<'_>, account: u64, task: Option<Vec<u64>>) -> PyResult<()> {
        let task = task.map(|task| amounts(&task)).transpose()?;
        self.0.ask(py, |ledger| Ok(ledger.set_next_task(id(account), task.as_ref())?))
    }

    /// What the next task of an account takes, or `None`.
    fn next_task(&self, py: Python<'_>, account: u64) -> PyResult<Option<Vec<u64>>> {
        self.0.ask(py, |ledger| {
            let task: Option<Amounts> = ledger.next_task(id(account))?;
            Ok(task.map(|task| listed(ledger, &task)))
        })
    }

    /// The account whose next task should start first, or `None` if nobody has one.
    fn most_deserving(&self, py: Python<'_>) -> PyResult<Option<u64>> {
        self.0.ask(py, |ledger| Ok(raw(ledger.most_deserving()?)))
    }

    /// How much an account borrows, or would with `more`.
    #[pyo3(signature = (account, *, more = None))]
    fn borrowed(&self, py: Python<'_>, account: u64, more: Option<Vec<u64>>) -> PyResult<Borrowed> {
        let more = amounts(&more.unwrap_or_default())?;
        let share = self.0.ask(py, |ledger| Ok(ledger.borrowed_share_with(id(account), &more)?))?;
        Ok(Borrowed {
            permille: share.permille,
            resource: share.resource,
            borrowing: share.borrowing,
        })
    }
}

/// Compares two accounts by their shares of resources, largest first: -1, 0 or 1, and the ratio of
/// the largest.
///
/// >>> from rampmeter.share import compare_shares
/// >>> compare_shares([0.1, 0.5], [0.5, 0.0])
/// (1, 1.0)
#[pyfunction]
pub(super) fn compare_shares(shares: Vec<f64>, other: Vec<f64>) -> PyResult<(i32, f64)> {
    let one = ResourceShares::new(&shares).map_err(Fault::from)?;
    let other = ResourceShares::new(&other).map_err(Fault::from)?;
    let order = match one.compare(&other) {
        Ordering::Less => -1,
        Ordering::Equal => 0,
        Ordering::Greater => 1,
    };
    Ok((order, one.ratio(&other)))
}
