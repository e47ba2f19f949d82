//! Division: how much of a cluster is whose.

use pyo3::prelude::*;
use rampmeter::share::{self, Division, HistoryDivision};
use rampmeter::units::Nanos;

use super::{Ledger, each};
use crate::record::record;

record! {
    /// What a fair share of one resource is made of.
    "rampmeter.share" ShareParts {
        wanted: u64,
        request: u64,
        guaranteed: u64,
        share: u64,
    }
}

#[pymethods]
impl Ledger {
    /// Divides the capacity among all accounts: `fair_share` answers by it from now on.
    ///
    /// `units` are what shares beyond guarantees are multiples of, by resource (1 for those left out).
    /// With a `usage_weight` other than 0, `usage` says what each account held in the past: a row of
    /// all resources for each index below `accounts_max`.
    #[pyo3(signature = (*, usage_weight = 0.0, usage = Vec::new(), units = Vec::new()))]
    fn divide(
        &self,
        py: Python<'_>,
        usage_weight: f64,
        usage: Vec<f64>,
        units: Vec<u64>,
    ) -> PyResult<()> {
        let units = share::Amounts(each("resources", &units, 1)?);
        let division = Division { usage_weight, usage: &usage, units };
        self.0.scan(py, |ledger| Ok(ledger.divide(&division)?))
    }

    /// Divides as `divide` does, with past usage out of the history. `usage_per_s_max` is what
    /// `record_usage` would be told of a second in which all of the capacity is in use.
    #[pyo3(signature = (now_ns, *, usage_weight, usage_per_s_max, units = Vec::new()))]
    fn divide_by_history(
        &self,
        py: Python<'_>,
        now_ns: u64,
        usage_weight: f64,
        usage_per_s_max: f64,
        units: Vec<u64>,
    ) -> PyResult<()> {
        let units = share::Amounts(each("resources", &units, 1)?);
        let division = HistoryDivision { usage_weight, usage_per_s_max, units };
        self.0.scan(py, |ledger| Ok(ledger.divide_by_history(Nanos(now_ns), &division)?))
    }

    /// What the fair share of every account is made of, of one resource: a list over the indexes of
    /// accounts, `accounts_max` long.
    #[pyo3(signature = (*, resource))]
    fn share_parts(&self, py: Python<'_>, resource: u32) -> PyResult<Vec<ShareParts>> {
        let parts = self.0.scan(py, |ledger| {
            let count = ledger.options().accounts_max as usize;
            let mut parts = vec![share::ShareParts::default(); count];
            ledger.share_parts(resource, &mut parts)?;
            Ok(parts)
        })?;
        let told = |parts: share::ShareParts| ShareParts {
            wanted: parts.wanted,
            request: parts.request,
            guaranteed: parts.guaranteed,
            share: parts.share,
        };
        Ok(parts.into_iter().map(told).collect())
    }
}
