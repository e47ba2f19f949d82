//! Reclaim: who may take from whom.

use pyo3::prelude::*;
use rampmeter::share::reclaim::Holding;
use rampmeter::share::{
    self, Amounts, Basis, Reclamation, Refusal, RunningJob, Verdict as CoreVerdict,
};
use rampmeter::units::Nanos;

use super::{Ledger, amounts, id, limits, limits_listed, listed};
use crate::record::record;

record! {
    /// How an account is protected: a job runs for `min_runtime_ns` before it is taken (`None`: as the
    /// account above says), and jobs lose at most `loss_budget` unit-seconds of each resource in any
    /// `loss_window_ns` (`None` is no limit).
    "rampmeter.share" ReclaimLimits {
        min_runtime_ns: Option<u64>,
        loss_budget: Vec<Option<u64>>,
        loss_window_ns: u64,
    }
}
record! {
    /// How far up a reclaimer may look for victims.
    ///
    /// `fits`: everybody would be within what they are entitled to. Depths are those of the highest
    /// account below which all would be within what they are guaranteed, or entitled to; `None`: the
    /// reclaimer itself would exceed it; 0: everybody is in reach. `over_account` is the first, from the
    /// reclaimer upwards, that would exceed what it is entitled to.
    "rampmeter.share" ReclaimScope {
        fits: bool,
        quota_depth: Option<u32>,
        share_depth: Option<u32>,
        over_account: Option<u64>,
    }
}
record! {
    /// Whether a job may be taken: `basis` is by what right, or `refusal` why not.
    ///
    /// `account` is whose share, guarantee, least run time or budget is against it, of which `resource`;
    /// `until_ns` from when on it is not; `below`: how far the victim's account then is below what it
    /// is entitled to.
    "rampmeter.share" Verdict {
        basis: Option<&'static str>,
        refusal: Option<&'static str>,
        account: Option<u64>,
        resource: Option<u32>,
        held: u64,
        entitled: u64,
        until_ns: Option<u64>,
        below: Vec<u64>,
    }
}

fn nothing(refusal: &'static str) -> Verdict {
    Verdict {
        basis: None,
        refusal: Some(refusal),
        account: None,
        resource: None,
        held: 0,
        entitled: 0,
        until_ns: None,
        below: Vec::new(),
    }
}

fn over(refusal: &'static str, holding: Holding) -> Verdict {
    Verdict {
        account: Some(holding.account.to_raw()),
        resource: Some(holding.resource),
        held: holding.held,
        entitled: holding.entitled,
        ..nothing(refusal)
    }
}

fn refused(why: Refusal) -> Verdict {
    match why {
        Refusal::SameBranch => nothing("same_branch"),
        Refusal::NothingWanted => nothing("nothing_wanted"),
        Refusal::ReclaimerOver(holding) => over("reclaimer_over", holding),
        Refusal::VictimWithin(holding) => over("victim_within", holding),
        Refusal::VictimGuarantee(holding) => over("victim_guarantee", holding),
        Refusal::MinRuntime { account, until } => Verdict {
            account: Some(account.to_raw()),
            until_ns: Some(until.get()),
            ..nothing("min_runtime")
        },
        Refusal::Budget { account, resource, free_at } => Verdict {
            account: Some(account.to_raw()),
            resource: Some(resource),
            until_ns: Some(free_at.get()),
            ..nothing("budget")
        },
    }
}

/// A job that runs: `saved_ns` is when its work was saved last, its start if never.
fn job(account: u64, of: Amounts, started_ns: u64, saved_ns: Option<u64>) -> RunningJob {
    let (started, saved) = (Nanos(started_ns), Nanos(saved_ns.unwrap_or(started_ns)));
    RunningJob { account: id(account), amounts: of, started, saved }
}

#[pymethods]
impl Ledger {
    /// Says how an account is protected from reclaim from now on.
    #[pyo3(signature = (
        account,
        *,
        min_runtime_ns = None,
        loss_budget = Vec::new(),
        loss_window_ns = None,
    ))]
    fn set_reclaim_limits(
        &self,
        py: Python<'_>,
        account: u64,
        min_runtime_ns: Option<u64>,
        loss_budget: Vec<Option<u64>>,
        loss_window_ns: Option<u64>,
    ) -> PyResult<()> {
        let limits = share::protection::ReclaimLimits {
            min_runtime: min_runtime_ns.map(Nanos),
            loss_budget: limits(&loss_budget)?,
            loss_window: loss_window_ns
                .map_or(share::protection::ReclaimLimits::default().loss_window, Nanos),
        };
        self.0.ask(py, |ledger| Ok(ledger.set_reclaim_limits(id(account), &limits)?))
    }

    /// How an account is protected from reclaim.
    fn reclaim_limits(&self, py: Python<'_>, account: u64) -> PyResult<ReclaimLimits> {
        self.0.ask(py, |ledger| {
            let limits = ledger.reclaim_limits(id(account))?;
            Ok(ReclaimLimits {
                min_runtime_ns: limits.min_runtime.map(Nanos::get),
                loss_budget: limits_listed(ledger, &limits.loss_budget),
                loss_window_ns: limits.loss_window.get(),
            })
        })
    }

    /// What an account alone may still lose of each resource, in whole unit-seconds; `None` where
    /// nothing limits it.
    fn loss_left(&self, py: Python<'_>, now_ns: u64, account: u64) -> PyResult<Vec<Option<u64>>> {
        self.0.ask(py, |ledger| {
            let left = ledger.loss_left(Nanos(now_ns), id(account))?;
            Ok(limits_listed(ledger, &left))
        })
    }

    /// How far up a reclaimer may look for victims for `wanted`, of which `missing` is not free.
    #[pyo3(signature = (reclaimer, *, wanted, missing))]
    fn may_reclaim(
        &self,
        py: Python<'_>,
        reclaimer: u64,
        wanted: Vec<u64>,
        missing: Vec<u64>,
    ) -> PyResult<ReclaimScope> {
        let claim = claim(reclaimer, &wanted, &missing)?;
        let scope = self.0.ask(py, |ledger| Ok(ledger.may_reclaim(&claim)?))?;
        Ok(ReclaimScope {
            fits: scope.fits(),
            quota_depth: scope.quota_depth,
            share_depth: scope.share_depth,
            over_account: scope.over.map(|over| over.account.to_raw()),
        })
    }

    /// The accounts that may be asked for what is missing, in the order in which they should give, at
    /// most `victims_max`. Each takes time in proportion to all accounts.
    #[pyo3(signature = (reclaimer, *, wanted, missing, victims_max = 64))]
    fn victims(
        &self,
        py: Python<'_>,
        reclaimer: u64,
        wanted: Vec<u64>,
        missing: Vec<u64>,
        victims_max: usize,
    ) -> PyResult<Vec<u64>> {
        let claim = claim(reclaimer, &wanted, &missing)?;
        self.0.scan(py, |ledger| {
            let found = ledger.victims(&claim)?;
            Ok(found.take(victims_max).map(share::AccountId::to_raw).collect())
        })
    }

    /// Whether the reclaimer may have a job of `account` ended, which holds `amounts`.
    #[pyo3(signature = (
        now_ns, reclaimer, *, wanted, missing, account, amounts, started_ns, saved_ns = None
    ))]
    #[expect(clippy::too_many_arguments, reason = "they are a job and a claim, by name")]
    fn reclaimable(
        &self,
        py: Python<'_>,
        now_ns: u64,
        reclaimer: u64,
        wanted: Vec<u64>,
        missing: Vec<u64>,
        account: u64,
        amounts: Vec<u64>,
        started_ns: u64,
        saved_ns: Option<u64>,
    ) -> PyResult<Verdict> {
        let claim = claim(reclaimer, &wanted, &missing)?;
        let job = job(account, super::amounts(&amounts)?, started_ns, saved_ns);
        self.0.ask(py, |ledger| match ledger.reclaimable(Nanos(now_ns), &claim, &job)? {
            CoreVerdict::Yes { basis, below } => Ok(Verdict {
                basis: Some(match basis {
                    Basis::Quota => "quota",
                    Basis::FairShare => "fair_share",
                }),
                refusal: None,
                below: listed(ledger, &below),
                ..nothing("")
            }),
            CoreVerdict::No { why } => Ok(refused(why)),
        })
    }

    /// The job was taken: the work that it loses is charged to its account and those above it.
    #[pyo3(signature = (now_ns, reclaimer, *, account, amounts, started_ns, saved_ns = None))]
    #[expect(clippy::too_many_arguments, reason = "a job, by name")]
    fn reclaimed(
        &self,
        py: Python<'_>,
        now_ns: u64,
        reclaimer: u64,
        account: u64,
        amounts: Vec<u64>,
        started_ns: u64,
        saved_ns: Option<u64>,
    ) -> PyResult<()> {
        let job = job(account, super::amounts(&amounts)?, started_ns, saved_ns);
        self.0.ask(py, |ledger| Ok(ledger.reclaimed(Nanos(now_ns), id(reclaimer), &job)?))
    }

    /// The job that `reclaimed` charged at the same `now_ns` goes on after all.
    #[pyo3(signature = (now_ns, reclaimer, *, account, amounts, started_ns, saved_ns = None))]
    #[expect(clippy::too_many_arguments, reason = "a job, by name")]
    fn reclaim_undone(
        &self,
        py: Python<'_>,
        now_ns: u64,
        reclaimer: u64,
        account: u64,
        amounts: Vec<u64>,
        started_ns: u64,
        saved_ns: Option<u64>,
    ) -> PyResult<()> {
        let job = job(account, super::amounts(&amounts)?, started_ns, saved_ns);
        self.0.ask(py, |ledger| Ok(ledger.reclaim_undone(Nanos(now_ns), id(reclaimer), &job)?))
    }
}

fn claim(reclaimer: u64, wanted: &[u64], missing: &[u64]) -> PyResult<Reclamation> {
    Ok(Reclamation {
        reclaimer: id(reclaimer),
        amounts: amounts(wanted)?,
        short: amounts(missing)?,
    })
}
