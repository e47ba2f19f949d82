//! Accounts of a batcher, and what its copies tell each other of them.

use pyo3::prelude::*;
use rampmeter::error::check_range;
use rampmeter::policy::{QueueLimits, RateLimits};
use rampmeter::share::AccountId;
use rampmeter::share::exchange::{self, DeltaSource};
use rampmeter::units::Nanos;

use super::Batcher;
use super::answers::{Delta, DeltaEntry, Merged, heard, told};
use crate::error::Fault;

#[pymethods]
impl Batcher {
    /// The handle of an account of the policy, by its place there. Raises `RangeError`.
    fn policy_account(&self, py: Python<'_>, account_index: usize) -> PyResult<u64> {
        self.0.ask(py, |inner| match inner.core.policy_account(account_index) {
            Some(account) => Ok(account.to_raw()),
            None => Err(Fault::Account { index: account_index }),
        })
    }

    /// Opens an account that the policy does not name. Raises `FullError`, `RangeError`,
    /// `StaleError`.
    #[pyo3(signature = (parent = None, *, weight = 1.0))]
    fn open_account(&self, py: Python<'_>, parent: Option<u64>, weight: f64) -> PyResult<u64> {
        let parent = parent.map(AccountId::from_raw);
        self.0.ask(py, |inner| Ok(inner.core.open_account(parent, weight)?.to_raw()))
    }

    /// Closes an account without requests that was opened at run time. Raises `StaleError`,
    /// `ContradictionError`.
    fn close_account(&self, py: Python<'_>, account: u64) -> PyResult<()> {
        self.0.ask(py, |inner| Ok(inner.core.close_account(AccountId::from_raw(account))?))
    }

    /// Gives an account another weight. Raises `StaleError`, `RangeError`.
    fn set_account_weight(&self, py: Python<'_>, account: u64, weight: f64) -> PyResult<()> {
        let account = AccountId::from_raw(account);
        self.0.ask(py, |inner| Ok(inner.core.set_account_weight(account, weight)?))
    }

    /// Limits what may wait of an account and those below it, from the next request on; 0 is no
    /// limit. Raises `StaleError`, `RangeError`.
    #[pyo3(signature = (account, *, requests_max = 0, tokens_max = 0, wait_max_ns = 0))]
    fn set_account_queue(
        &self,
        py: Python<'_>,
        account: u64,
        requests_max: u32,
        tokens_max: u64,
        wait_max_ns: u64,
    ) -> PyResult<()> {
        let limits = QueueLimits { requests_max, tokens_max, wait_max: Nanos(wait_max_ns) };
        let account = AccountId::from_raw(account);
        self.0.ask(py, |inner| Ok(inner.core.set_account_queue(account, limits)?))
    }

    /// Limits how fast an account and those below it may send, from the next request on; 0 is no
    /// limit. `burst_ns` is how long it must have sent nothing for its buckets to be full (default:
    /// a minute). Raises `StaleError`, `RangeError`.
    #[pyo3(signature = (
        account, *, requests_per_minute = 0, tokens_per_minute = 0, burst_ns = None,
    ))]
    fn set_account_rates(
        &self,
        py: Python<'_>,
        account: u64,
        requests_per_minute: u32,
        tokens_per_minute: u64,
        burst_ns: Option<u64>,
    ) -> PyResult<()> {
        let burst = burst_ns.map_or_else(|| RateLimits::default().burst, Nanos);
        let limits = RateLimits { requests_per_minute, tokens_per_minute, burst };
        let account = AccountId::from_raw(account);
        self.0.ask(py, |inner| Ok(inner.core.set_account_rates(account, limits)?))
    }

    /// Service of an account in a class, at all copies as far as this one knows, in prompt tokens.
    /// Raises `StaleError`, `RangeError`.
    fn account_service(&self, py: Python<'_>, class_index: u16, account: u64) -> PyResult<f64> {
        let account = AccountId::from_raw(account);
        self.0.ask(py, |inner| Ok(inner.core.account_service(class_index, account)?))
    }

    /// Says which copy this engine is, 0 to `limits.replicas_max`, before anything is told or
    /// merged, and after a restart which incarnation: a larger number than before. Raises
    /// `RangeError`, `ContradictionError`.
    fn set_replica(&self, py: Python<'_>, replica: u32, incarnation: u64) -> PyResult<()> {
        self.0.ask(py, |inner| Ok(inner.core.set_replica(replica, incarnation)?))
    }

    /// Gives an account that was opened at run time the key by which other copies know it; see
    /// `path_key`. Raises `StaleError`, `RangeError`, `ContradictionError`.
    fn set_account_key(&self, py: Python<'_>, account: u64, key: u64) -> PyResult<()> {
        let account = AccountId::from_raw(account);
        self.0.ask(py, |inner| Ok(inner.core.set_account_key(account, key)?))
    }

    /// What was charged here since it was told last, at most `entries_max` entries, which counts
    /// as told from now on. Raises `RangeError`, also where it is alone (`limits.replicas_max`).
    #[pyo3(signature = (*, entries_max = 4_096))]
    fn delta(&self, py: Python<'_>, entries_max: usize) -> PyResult<Delta> {
        self.0.scan(py, |inner| {
            let most = usize::from(u16::MAX);
            check_range("entries_max", entries_max as u64, 1, most as u64)?;
            let mut room = vec![exchange::DeltaEntry::default(); entries_max];
            let delta = inner.core.delta(&mut room)?;
            let exchange::Delta { source, len, is_complete } = delta;
            let DeltaSource { replica, incarnation } = source;
            let entries = room[..len].iter().map(told).collect();
            Ok(Delta { replica, incarnation, is_complete, entries })
        })
    }

    /// Takes what another copy told: from the next step on it counts as service received. In any
    /// order, once or often. Raises `RangeError`, `ContradictionError`, `FullError`.
    #[pyo3(signature = (*, replica, incarnation, entries))]
    fn merge(
        &self,
        py: Python<'_>,
        replica: u64,
        incarnation: u64,
        entries: Vec<DeltaEntry>,
    ) -> PyResult<Merged> {
        let source = DeltaSource { replica, incarnation };
        let entries: Vec<_> = entries.into_iter().map(heard).collect();
        let exchange::Merged { news, older, unknown } =
            self.0.scan(py, |inner| Ok(inner.core.merge(source, &entries)?))?;
        Ok(Merged { news, older, unknown })
    }

    /// Forgets what was heard from a copy that is gone; what was charged stays charged. Raises
    /// `RangeError`.
    fn forget_replica(&self, py: Python<'_>, replica: u32) -> PyResult<()> {
        self.0.ask(py, |inner| Ok(inner.core.forget_replica(replica)?))
    }
}

/// The key of the account at the end of a path of names parted by `/`, such as "org/team/user": the
/// same on every machine, for ever.
#[pyfunction]
fn path_key(path: &str) -> u64 {
    exchange::path_key(path.split('/'))
}

pub(super) fn fill(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(path_key, module)?)
}
