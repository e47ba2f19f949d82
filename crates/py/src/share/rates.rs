//! Rates: what may come in yet.

use pyo3::prelude::*;
use rampmeter::policy;
use rampmeter::share::{RateDecision, RateKind};
use rampmeter::units::Nanos;

use super::{Ledger, id};
use crate::record::record;

record! {
    /// What an account may send: 0 is no limit; a bucket holds what its rate brings in `burst_ns`.
    "rampmeter.share" RateLimits {
        requests_per_minute: u32,
        tokens_per_minute: u64,
        burst_ns: u64,
    }
}
record! {
    /// A request is over a rate: the limit that holds it up longest, whose it is, and in how long it
    /// is within all of them, exactly, if nobody takes before.
    "rampmeter.share" Over {
        limit: &'static str,
        account: u64,
        retry_after_ns: u64,
    }
}

fn told(decision: RateDecision) -> Option<Over> {
    let RateDecision::Over { limit, account, retry_after } = decision else { return None };
    let limit = match limit {
        RateKind::Requests => "requests",
        RateKind::Tokens => "tokens",
    };
    Some(Over { limit, account: account.to_raw(), retry_after_ns: retry_after.get() })
}

#[pymethods]
impl Ledger {
    /// Says what an account may send from now on.
    #[pyo3(signature = (
        now_ns,
        account,
        *,
        requests_per_minute = 0,
        tokens_per_minute = 0,
        burst_ns = 60_000_000_000,
    ))]
    fn set_rates(
        &self,
        py: Python<'_>,
        now_ns: u64,
        account: u64,
        requests_per_minute: u32,
        tokens_per_minute: u64,
        burst_ns: u64,
    ) -> PyResult<()> {
        let burst = Nanos(burst_ns);
        let limits = policy::RateLimits { requests_per_minute, tokens_per_minute, burst };
        self.0.ask(py, |ledger| Ok(ledger.set_rates(Nanos(now_ns), id(account), &limits)?))
    }

    /// What an account may send. Raises `StaleError`.
    fn rates(&self, py: Python<'_>, account: u64) -> PyResult<RateLimits> {
        let limits = self.0.ask(py, |ledger| Ok(ledger.rates(id(account))?))?;
        Ok(RateLimits {
            requests_per_minute: limits.requests_per_minute,
            tokens_per_minute: limits.tokens_per_minute,
            burst_ns: limits.burst.get(),
        })
    }

    /// A request of so many tokens comes: `None` if it is within the limits of its account and all
    /// above it, which are charged; else `Over`, and nothing is taken.
    #[pyo3(signature = (now_ns, account, *, tokens = 0))]
    fn admit_rate(
        &self,
        py: Python<'_>,
        now_ns: u64,
        account: u64,
        tokens: u64,
    ) -> PyResult<Option<Over>> {
        self.0
            .ask(py, |ledger| Ok(ledger.admit_rate(Nanos(now_ns), id(account), tokens)?))
            .map(told)
    }

    /// What `admit_rate` would answer; takes nothing.
    #[pyo3(signature = (now_ns, account, *, tokens = 0))]
    fn rate_check(
        &self,
        py: Python<'_>,
        now_ns: u64,
        account: u64,
        tokens: u64,
    ) -> PyResult<Option<Over>> {
        self.0
            .ask(py, |ledger| Ok(ledger.rate_check(Nanos(now_ns), id(account), tokens)?))
            .map(told)
    }

    /// Takes tokens without asking, such as those of an answer.
    #[pyo3(signature = (now_ns, account, *, tokens))]
    fn charge_rate(&self, py: Python<'_>, now_ns: u64, account: u64, tokens: u64) -> PyResult<()> {
        self.0.ask(py, |ledger| Ok(ledger.charge_rate(Nanos(now_ns), id(account), tokens)?))
    }

    /// Gives back what was taken for requests that did not come about.
    #[pyo3(signature = (now_ns, account, *, requests = 0, tokens = 0))]
    fn refund_rate(
        &self,
        py: Python<'_>,
        now_ns: u64,
        account: u64,
        requests: u32,
        tokens: u64,
    ) -> PyResult<()> {
        let now = Nanos(now_ns);
        self.0.ask(py, |ledger| Ok(ledger.refund_rate(now, id(account), requests, tokens)?))
    }
}
