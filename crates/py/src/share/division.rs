//! Division: how much of a cluster is whose.

use pyo3::prelude::*;
use pyo3::types::PyDict;
use rampmeter::share::{self, Claim, Division, Excess, HistoryDivision, Level};
use rampmeter::units::Nanos;

use super::{Ledger, each};
use crate::error::Fault;
use crate::options::set_options;
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

/// Divides one resource among siblings: the share of each, and what is left.
///
/// A claim is a dictionary of what is known: `request` (what it holds and asks for), `quota`, `limit`
/// (`None` is no limit), `over_quota_weight`, `over_quota_priority` and `usage` (past, as a part of
/// `total`). Where quotas exceed the total they are kept, or with `excess="cut"` cut. Earlier claims
/// take the remainder first.
///
/// >>> from rampmeter.share import divide_level
/// >>> divide_level([{"request": 80, "quota": 10}, {"request": 30}], total=100)
/// ([70, 30], 0)
#[pyfunction]
#[pyo3(signature = (claims, *, total, unit = 1, usage_weight = 0.0, excess = "keep"))]
pub(super) fn divide_level(
    claims: Vec<Bound<'_, PyDict>>,
    total: u64,
    unit: u64,
    usage_weight: f64,
    excess: &str,
) -> PyResult<(Vec<u64>, u64)> {
    let excess = match excess {
        "keep" => Excess::Keep,
        "cut" => Excess::Cut,
        _ => return Err(Fault::Name { what: "excess", name: excess.to_owned() }.into()),
    };
    let mut siblings = Vec::with_capacity(claims.len());
    for (id, said) in (0..).zip(&claims) {
        let mut claim = Claim { id, opened_at: id.into(), ..Claim::default() };
        set_options!(
            Some(said),
            claim: over_quota_priority,
            request,
            over_quota_weight,
            usage,
            quota => |claim: &mut Claim, quota: Option<u64>| {
                claim.quota = quota.unwrap_or(u64::MAX);
                Ok::<_, PyErr>(())
            },
            limit => |claim: &mut Claim, limit: Option<u64>| {
                claim.limit = limit.unwrap_or(u64::MAX);
                Ok::<_, PyErr>(())
            },
        );
        siblings.push(claim);
    }
    let level = Level { total, unit, usage_weight, excess };
    let left = share::divide_level(&level, &mut siblings).map_err(Fault::from)?;
    let mut shares = vec![0; siblings.len()];
    for claim in &siblings {
        if let Some(share) = shares.get_mut(claim.id as usize) {
            *share = claim.share;
        }
    }
    Ok((shares, left))
}
