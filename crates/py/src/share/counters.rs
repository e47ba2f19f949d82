//! Counters: whose request is next.

use pyo3::prelude::*;

use super::{Ledger, id};
use crate::record::record;

record! {
    /// An account whose turn it is, with its weighted service.
    "rampmeter.share" Eligible {
        account: u64,
        counter: f64,
    }
}
record! {
    /// How far an account is ahead of those that it competes with, where it is ahead most.
    "rampmeter.share" Lead {
        counter: f64,
        counter_min: f64,
    }
}
record! {
    /// An account, or the one above it that competes with the other's.
    "rampmeter.share" Rival {
        counter: f64,
        weight: f64,
    }
}

#[pymethods]
impl Ledger {
    /// A request of an account waits in a lane: once for each.
    #[pyo3(signature = (account, *, lane = 0))]
    fn arrive(&self, py: Python<'_>, account: u64, lane: u32) -> PyResult<()> {
        self.0.ask(py, |ledger| Ok(ledger.arrive(lane, id(account))?))
    }

    /// A request of an account waits no more. Raises `ContradictionError` if none did.
    #[pyo3(signature = (account, *, lane = 0))]
    fn depart(&self, py: Python<'_>, account: u64, lane: u32) -> PyResult<()> {
        self.0.ask(py, |ledger| Ok(ledger.depart(lane, id(account))?))
    }

    /// An account was served: `cost` in any unit that is the same for all, 0 to 2**53.
    #[pyo3(signature = (account, cost, *, lane = 0))]
    fn charge(&self, py: Python<'_>, account: u64, cost: f64, lane: u32) -> PyResult<()> {
        self.0.ask(py, |ledger| Ok(ledger.charge(lane, id(account), cost)?))
    }

    /// The weighted service of an account.
    #[pyo3(signature = (account, *, lane = 0))]
    fn counter(&self, py: Python<'_>, account: u64, lane: u32) -> PyResult<f64> {
        self.0.ask(py, |ledger| Ok(ledger.counter(lane, id(account))?))
    }

    /// Requests of an account that wait.
    #[pyo3(signature = (account, *, lane = 0))]
    fn waiting(&self, py: Python<'_>, account: u64, lane: u32) -> PyResult<u32> {
        self.0.ask(py, |ledger| Ok(ledger.waiting(lane, id(account))?))
    }

    /// The smallest counter among those at the top that wait; `None` if nobody does.
    #[pyo3(signature = (*, lane = 0))]
    fn counter_min(&self, py: Python<'_>, lane: u32) -> PyResult<Option<f64>> {
        self.0.ask(py, |ledger| Ok(ledger.counter_min(lane)?))
    }

    /// The accounts that may be served next: those that wait, and whose counters are within `credit`
    /// of the smallest on each level. In no order.
    #[pyo3(signature = (*, lane = 0, credit = 0.0))]
    fn eligible(&self, py: Python<'_>, lane: u32, credit: f64) -> PyResult<Vec<Eligible>> {
        self.0.scan(py, |ledger| {
            let turns = ledger.eligible(lane, credit)?;
            let named = |(index, counter)| {
                let account = ledger.tree().account_at(index)?.to_raw();
                Some(Eligible { account, counter })
            };
            Ok(turns.filter_map(named).collect())
        })
    }

    /// How far an account is ahead of those that it competes with.
    #[pyo3(signature = (account, *, lane = 0))]
    fn lead(&self, py: Python<'_>, account: u64, lane: u32) -> PyResult<Lead> {
        let lead = self.0.ask(py, |ledger| Ok(ledger.lead(lane, id(account))?))?;
        Ok(Lead { counter: lead.counter, counter_min: lead.counter_min })
    }

    /// Where two accounts compete: they, or those above them that are siblings.
    #[pyo3(signature = (account, other, *, lane = 0))]
    fn rivals(
        &self,
        py: Python<'_>,
        account: u64,
        other: u64,
        lane: u32,
    ) -> PyResult<(Rival, Rival)> {
        let (one, another) = self.0.ask(py, |ledger| {
            // That the other account is open.
            ledger.counter(lane, id(other))?;
            Ok(ledger.rivals(lane, id(account), id(other).index())?)
        })?;
        let told =
            |rival: rampmeter::share::Rival| Rival { counter: rival.counter, weight: rival.weight };
        Ok((told(one), told(another)))
    }
}
