//! Who deserves it: one tree of accounts, and what is kept about each.
//!
//! A file for each part of the ledger, as in the core.

mod accounts;
mod counters;
mod division;
mod dominant;
mod exchange;
mod history;
mod quotas;
mod rates;
mod reclaim;

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyType};
use rampmeter::share::{AccountId, Amounts, Ledger as CoreLedger, LedgerOptions, RESOURCES_MAX};
use rampmeter::units::Nanos;

use crate::desk::{Desk, with_memory};
use crate::error::Fault;
use crate::options::set_options;
use crate::policy::Policy;
use crate::record::record;

record! {
    /// How full a ledger is.
    "rampmeter.share" LedgerStats {
        accounts: u32,
        accounts_max: u32,
        has_rate_limits: bool,
    }
}

/// Who deserves it: one tree of accounts, and about each what the host asks for.
///
/// Whose request is next (counters), what an account may have and holds (quotas), how much of a
/// cluster is whose (division), who needs its next task most (dominant shares), who may take from
/// whom (reclaim), who used least in the past (history), what may come in yet (rates), what other
/// ledgers served (exchange). Each part is there only if the options ask for it, and a call about
/// one that is not raises `RangeError`.
///
/// Options: `accounts_max=1024`, `lanes=1` (of counters, up to 64), `resources=0` (kinds that accounts
/// hold, up to 8), `dominant=False`, `borrowing=False`, `half_life_ns=0` (of past usage; 0: no
/// history), `rates=False`, `names=False`, `replicas_max=0` (other ledgers to exchange with, up to
/// 255).
///
/// Amounts are lists with a number for each resource, in the smallest unit of each (milli-GPU,
/// MiB...), 0 for those that are left out; of limits `None` is no limit.
///
/// >>> from rampmeter import Ledger
/// >>> ledger = Ledger(lanes=1)
/// >>> busy, idle = ledger.open(weight=2.0), ledger.open()
/// >>> for account in (busy, idle):
/// ...     ledger.arrive(account)
/// >>> ledger.charge(busy, 100.0)
/// >>> [turn.account == idle for turn in ledger.eligible()]
/// [True]
#[pyclass(frozen, module = "rampmeter.share")]
#[derive(Debug)]
pub(crate) struct Ledger(pub(crate) Desk<CoreLedger>);

#[pymethods]
impl Ledger {
    #[new]
    #[pyo3(signature = (**options))]
    fn new(py: Python<'_>, options: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        let options = options_of(None, options)?;
        build(py, &options, || CoreLedger::new(&options))
    }

    /// A ledger with the accounts of a policy open, each with its weight, and as far as there is room
    /// for them with its name, quota, rates and key. `account_at_path` has their handles.
    ///
    /// Parts that no option mentions are there if the policy says something about them: a lane for
    /// each class, its resources, its half-life, rates if an account has one. Raises `RangeError`,
    /// `FullError`, `ContradictionError`.
    #[classmethod]
    #[pyo3(signature = (policy, **options))]
    fn from_policy(
        class: &Bound<'_, PyType>,
        policy: &Bound<'_, Policy>,
        options: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        let options = options_of(Some(policy), options)?;
        let policy = &policy.get().0;
        build(class.py(), &options, || CoreLedger::from_policy(&options, policy))
    }

    /// Bytes that a ledger with these options takes, before it is built.
    #[staticmethod]
    #[pyo3(signature = (policy = None, **options))]
    fn bytes_needed(
        policy: Option<&Bound<'_, Policy>>,
        options: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<u64> {
        Ok(CoreLedger::bytes_needed(&options_of(policy, options)?))
    }

    /// The whole state, for `restore` with the same options. Handles stay good.
    fn save<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let bytes = self.0.scan(py, |ledger| {
            let mut bytes = vec![0; ledger.snapshot_bytes() as usize];
            let written = ledger.save(&mut bytes)?;
            bytes.truncate(written);
            Ok(bytes)
        })?;
        Ok(PyBytes::new(py, &bytes))
    }

    /// A ledger that goes on where the saved one was; `policy` and options as it was made. Raises
    /// `SnapshotError`.
    #[classmethod]
    #[pyo3(signature = (snapshot, policy = None, **options))]
    fn restore(
        class: &Bound<'_, PyType>,
        snapshot: &[u8],
        policy: Option<&Bound<'_, Policy>>,
        options: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        let options = options_of(policy, options)?;
        build(class.py(), &options, || CoreLedger::restore(&options, snapshot))
    }

    /// How full the ledger is.
    fn stats(&self, py: Python<'_>) -> PyResult<LedgerStats> {
        self.0.ask(py, |ledger| {
            Ok(LedgerStats {
                accounts: ledger.accounts_len(),
                accounts_max: ledger.options().accounts_max,
                has_rate_limits: ledger.has_rate_limits(),
            })
        })
    }
}

fn build(
    py: Python<'_>,
    options: &LedgerOptions,
    make: impl FnOnce() -> Result<CoreLedger, rampmeter::Error> + Send,
) -> PyResult<Ledger> {
    let build = || {
        options.validate()?;
        with_memory(CoreLedger::bytes_needed(options), make)
    };
    Desk::create(py, build).map(Ledger)
}

fn options_of(
    policy: Option<&Bound<'_, Policy>>,
    given: Option<&Bound<'_, PyDict>>,
) -> PyResult<LedgerOptions> {
    let mut options = match policy {
        Some(policy) => LedgerOptions::of_policy(&policy.get().0),
        None => LedgerOptions::default(),
    };
    set_options!(
        given,
        options: accounts_max,
        lanes,
        resources,
        dominant,
        borrowing,
        half_life_ns => |options: &mut LedgerOptions, half_life_ns: u64| {
            options.half_life = Nanos(half_life_ns);
            Ok::<_, PyErr>(())
        },
        rates,
        names,
        replicas_max,
    );
    Ok(options)
}

fn id(account: u64) -> AccountId {
    AccountId::from_raw(account)
}

fn raw(account: Option<AccountId>) -> Option<u64> {
    account.map(AccountId::to_raw)
}

/// A value for each resource; `rest` for those that are left out.
fn each<T: Copy>(field: &'static str, given: &[T], rest: T) -> Result<[T; RESOURCES_MAX], Fault> {
    let len = given.len() as u64;
    rampmeter::error::check_range(field, len, 0, RESOURCES_MAX as u64)?;
    let mut all = [rest; RESOURCES_MAX];
    for (place, value) in all.iter_mut().zip(given) {
        *place = *value;
    }
    Ok(all)
}

fn amounts(given: &[u64]) -> Result<Amounts, Fault> {
    Ok(Amounts(each("resources", given, 0)?))
}

/// Amounts of which `None` is no limit.
fn limits(given: &[Option<u64>]) -> Result<Amounts, Fault> {
    let limit = |given: Option<u64>| given.unwrap_or(u64::MAX);
    Ok(Amounts(each("resources", given, None)?.map(limit)))
}

/// The amounts of the resources that there are.
fn listed(ledger: &CoreLedger, amounts: &Amounts) -> Vec<u64> {
    amounts.0.iter().copied().take(ledger.options().resources as usize).collect()
}

fn limits_listed(ledger: &CoreLedger, amounts: &Amounts) -> Vec<Option<u64>> {
    let told = |limit: u64| (limit != u64::MAX).then_some(limit);
    listed(ledger, amounts).into_iter().map(told).collect()
}

pub(crate) fn fill(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Ledger>()?;
    module.add_class::<LedgerStats>()?;
    module.add_class::<accounts::Account>()?;
    module.add_class::<counters::Eligible>()?;
    module.add_class::<counters::Lead>()?;
    module.add_class::<counters::Rival>()?;
    module.add_class::<division::ShareParts>()?;
    module.add_class::<dominant::Borrowed>()?;
    module.add_class::<dominant::Dominance>()?;
    module.add_class::<dominant::DominantShare>()?;
    module.add_class::<exchange::Merged>()?;
    module.add_class::<history::Ranked>()?;
    module.add_class::<history::Standing>()?;
    module.add_class::<quotas::Quota>()?;
    module.add_class::<rates::Over>()?;
    module.add_class::<rates::RateLimits>()?;
    module.add_class::<reclaim::ReclaimLimits>()?;
    module.add_class::<reclaim::ReclaimScope>()?;
    module.add_class::<reclaim::Verdict>()?;
    module.add_function(wrap_pyfunction!(division::divide_level, module)?)?;
    module.add_function(wrap_pyfunction!(dominant::compare_shares, module)?)?;
    module.add_function(wrap_pyfunction!(exchange::path_key, module)?)
}
