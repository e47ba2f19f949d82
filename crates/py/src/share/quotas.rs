//! Quotas: what an account may have, and holds.

use pyo3::prelude::*;
use pyo3::types::PyDict;
use rampmeter::share::{AccountQuota, Amounts};

use super::{Ledger, amounts, each, id, limits, limits_listed, listed, raw};
use crate::options::set_options;
use crate::record::record;

record! {
    /// What an account is guaranteed, may have and lends, by resource; `None` is no limit.
    #[expect(clippy::struct_field_names, reason = "named as in the other languages")]
    "rampmeter.share" Quota {
        quota: Vec<Option<u64>>,
        limit: Vec<Option<u64>>,
        lending_limit: Vec<Option<u64>>,
        over_quota_weight: Vec<f64>,
        over_quota_priority: i32,
    }
}

#[pymethods]
impl Ledger {
    /// What there is of each resource.
    fn set_capacity(&self, py: Python<'_>, capacity: Vec<u64>) -> PyResult<()> {
        let capacity = amounts(&capacity)?;
        self.0.scan(py, |ledger| Ok(ledger.set_capacity(&capacity)?))
    }

    /// Says what an account may have: by resource `quota` (guaranteed; `None`: all that it asks for),
    /// `limit` (the most), `lending_limit` (the most of its quota that others may use meanwhile),
    /// `over_quota_weight` (its part of what is left over, next to its siblings) and
    /// `over_quota_priority`. What is not said is nothing, no limit, all, 1.0 and 0.
    #[pyo3(signature = (account, **rules))]
    fn set_quota(
        &self,
        py: Python<'_>,
        account: u64,
        rules: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<()> {
        let mut quota = AccountQuota::default();
        set_options!(
            rules,
            quota: over_quota_priority,
            quota => |to: &mut AccountQuota, given: Vec<Option<u64>>| {
                // Resources that are left out are guaranteed nothing.
                let all: Vec<u64> = given.iter().map(|one| one.unwrap_or(u64::MAX)).collect();
                amounts(&all).map(|all| to.quota = all)
            },
            limit => |to: &mut AccountQuota, given: Vec<Option<u64>>| {
                limits(&given).map(|all| to.limit = all)
            },
            lending_limit => |to: &mut AccountQuota, given: Vec<Option<u64>>| {
                limits(&given).map(|all| to.lending_limit = all)
            },
            over_quota_weight => |to: &mut AccountQuota, given: Vec<f64>| {
                each("resources", &given, 1.0).map(|all| to.over_quota_weight = all)
            },
        );
        self.0.scan(py, |ledger| Ok(ledger.set_quota(id(account), &quota)?))
    }

    /// What an account may have, as `set_quota` takes it. Raises `StaleError`.
    fn quota(&self, py: Python<'_>, account: u64) -> PyResult<Quota> {
        self.0.ask(py, |ledger| {
            let quota = ledger.quota(id(account))?;
            let resources = ledger.options().resources as usize;
            Ok(Quota {
                quota: limits_listed(ledger, &quota.quota),
                limit: limits_listed(ledger, &quota.limit),
                lending_limit: limits_listed(ledger, &quota.lending_limit),
                over_quota_weight: quota.over_quota_weight.into_iter().take(resources).collect(),
                over_quota_priority: quota.over_quota_priority,
            })
        })
    }

    /// The first account, from this one upwards, that would exceed its limit with `more`, or `None`.
    #[pyo3(signature = (account, more))]
    fn first_over_limit(
        &self,
        py: Python<'_>,
        account: u64,
        more: Vec<u64>,
    ) -> PyResult<Option<u64>> {
        let more = amounts(&more)?;
        self.0.ask(py, |ledger| Ok(raw(ledger.first_over_limit(id(account), &more)?)))
    }

    /// An account asks for so much more than it holds.
    fn ask(&self, py: Python<'_>, account: u64, amounts: Vec<u64>) -> PyResult<()> {
        let amounts = super::amounts(&amounts)?;
        self.0.ask(py, |ledger| Ok(ledger.ask(id(account), &amounts)?))
    }

    /// An account asks for so much less. Raises `ContradictionError` if it did not ask for as much.
    fn withdraw(&self, py: Python<'_>, account: u64, amounts: Vec<u64>) -> PyResult<()> {
        let amounts = super::amounts(&amounts)?;
        self.0.ask(py, |ledger| Ok(ledger.withdraw(id(account), &amounts)?))
    }

    /// An account holds so much more.
    fn allocate(&self, py: Python<'_>, account: u64, amounts: Vec<u64>) -> PyResult<()> {
        let amounts = super::amounts(&amounts)?;
        self.0.ask(py, |ledger| Ok(ledger.allocate(id(account), &amounts)?))
    }

    /// An account holds so much less. Raises `ContradictionError` if it did not hold as much.
    fn release(&self, py: Python<'_>, account: u64, amounts: Vec<u64>) -> PyResult<()> {
        let amounts = super::amounts(&amounts)?;
        self.0.ask(py, |ledger| Ok(ledger.release(id(account), &amounts)?))
    }

    /// What an account and all below it hold, by resource.
    fn held(&self, py: Python<'_>, account: u64) -> PyResult<Vec<u64>> {
        self.0.ask(py, |ledger| Ok(listed(ledger, &ledger.held(id(account))?)))
    }

    /// What an account and all below it ask for beyond that, by resource.
    fn asked(&self, py: Python<'_>, account: u64) -> PyResult<Vec<u64>> {
        self.0.ask(py, |ledger| Ok(listed(ledger, &ledger.asked(id(account))?)))
    }

    /// What is an account's by the last division, by resource.
    fn fair_share(&self, py: Python<'_>, account: u64) -> PyResult<Vec<u64>> {
        self.0.ask(py, |ledger| {
            let share: Amounts = ledger.fair_share(id(account))?;
            Ok(listed(ledger, &share))
        })
    }
}
