//! What users felt: the books by which everything else is judged.

mod answers;
mod service;

use answers::{Counts, Distribution, Felt, Group, OutcomesStats};
use pyo3::prelude::*;
use rampmeter::outcome::{Ended, Options, Outcomes as CoreOutcomes, Status, Work};
use rampmeter::units::Nanos;
use rampmeter::{Error, error};
use service::{AccountWork, Difference};

use crate::desk::{Desk, with_memory};
use crate::error::Fault;
use crate::policy::Policy;

/// The books of what users felt: for each class and account, how long they waited, and whether they
/// got what their class was promised.
///
/// `record` every request when it ends, refused ones too: a refusal counts as a miss. An account is
/// named by its place in the policy; those opened later by any other below `limits.accounts_max`.
/// With `account_histograms` accounts have distributions, too, at 108 KB each; `backlogged_max`
/// accounts are compared while they wait together.
///
/// >>> from rampmeter import Outcomes, Policy
/// >>> books = Outcomes(Policy())
/// >>> books.record(class_index=0, account_index=0, arrival_ns=0, first_token_ns=9_000_000,
/// ...              ended_ns=40_000_000, output_tokens=2)
/// >>> books.record(class_index=0, account_index=0, arrival_ns=0, ended_ns=1_000, status="refused")
/// >>> books.counts(class_index=0).attainment
/// 0.5
#[pyclass(frozen, module = "rampmeter.outcome")]
#[derive(Debug)]
pub(crate) struct Outcomes(Desk<CoreOutcomes>);

fn options(account_histograms: bool, backlogged_max: Option<u32>) -> Options {
    let default = Options::default().backlogged_max;
    Options { account_histograms, backlogged_max: backlogged_max.unwrap_or(default) }
}

#[pymethods]
impl Outcomes {
    #[new]
    #[pyo3(signature = (policy, *, account_histograms = false, backlogged_max = None))]
    fn new(
        py: Python<'_>,
        policy: &Bound<'_, Policy>,
        account_histograms: bool,
        backlogged_max: Option<u32>,
    ) -> PyResult<Self> {
        let policy = &policy.get().0;
        let options = options(account_histograms, backlogged_max);
        let bytes = CoreOutcomes::bytes_needed(policy, options);
        Desk::create(py, || with_memory(bytes, || CoreOutcomes::new(policy, options))).map(Self)
    }

    /// Bytes that books for this policy take, before they are built.
    #[staticmethod]
    #[pyo3(signature = (policy, *, account_histograms = false, backlogged_max = None))]
    fn bytes_needed(
        policy: &Bound<'_, Policy>,
        account_histograms: bool,
        backlogged_max: Option<u32>,
    ) -> u64 {
        CoreOutcomes::bytes_needed(&policy.get().0, options(account_histograms, backlogged_max))
    }

    /// Takes a changed policy; nothing is lost, and what was recorded stays judged by the targets of
    /// its time. Raises `ContradictionError` where the number of classes or accounts differs.
    fn set_policy(&self, py: Python<'_>, policy: &Bound<'_, Policy>) -> PyResult<()> {
        let policy = &policy.get().0;
        self.0.scan(py, |books| Ok(books.adopt(policy)?))
    }

    /// Enters one request at its end: "completed", "refused" (before it was scheduled), "failed" (given
    /// up by the service), "cancelled" (by the user) or "unfinished" (when the observation ended).
    ///
    /// For an answer in one piece, `first_token_ns` is its time and `output_tokens` 1. Records may
    /// come in any order. Raises `RangeError`, and `ContradictionError` for times that cannot be.
    #[pyo3(signature = (
        *, class_index, account_index, arrival_ns, ended_ns, status = "completed",
        first_scheduled_ns = None, first_token_ns = None, output_tokens = 0
    ))]
    #[allow(clippy::too_many_arguments)] // Keywords of Python.
    fn record(
        &self,
        py: Python<'_>,
        class_index: u32,
        account_index: u32,
        arrival_ns: u64,
        ended_ns: u64,
        status: &str,
        first_scheduled_ns: Option<u64>,
        first_token_ns: Option<u64>,
        output_tokens: u32,
    ) -> PyResult<()> {
        let max = u16::MAX.into();
        error::check_range("class_index", class_index.into(), 0, max).map_err(Fault::from)?;
        let ended = Ended {
            class: class_index as u16,
            account: account_index,
            arrival: Nanos(arrival_ns),
            first_scheduled: first_scheduled_ns.map(Nanos),
            first_token: first_token_ns.map(Nanos),
            ended: Nanos(ended_ns),
            output_tokens,
            status: match status {
                "completed" => Status::Completed,
                "refused" => Status::Refused,
                "failed" => Status::Failed,
                "cancelled" => Status::Cancelled,
                "unfinished" => Status::Unfinished,
                other => return Err(Fault::Name { what: "status", name: other.into() }.into()),
            },
        };
        self.0.ask(py, |books| Ok(books.record(&ended)?))
    }

    /// An account was served so many tokens, all of them by now. Raises `RangeError`,
    /// `TimeReversedError`.
    #[pyo3(signature = (
        now_ns, *, account_index, prompt_tokens = 0, cached_tokens = 0, output_tokens = 0
    ))]
    fn served(
        &self,
        py: Python<'_>,
        now_ns: u64,
        account_index: u32,
        prompt_tokens: u64,
        cached_tokens: u64,
        output_tokens: u64,
    ) -> PyResult<()> {
        let work = Work { prompt_tokens, cached_tokens, output_tokens };
        self.0.ask(py, |books| Ok(books.served(Nanos(now_ns), account_index, work)?))
    }

    /// An account has requests waiting from now on, or has none any more.
    #[pyo3(signature = (now_ns, *, account_index, backlogged))]
    fn set_backlogged(
        &self,
        py: Python<'_>,
        now_ns: u64,
        account_index: u32,
        backlogged: bool,
    ) -> PyResult<()> {
        let at = Nanos(now_ns);
        self.0.scan(py, |books| Ok(books.set_backlogged(at, account_index, backlogged)?))
    }

    /// How far apart accounts were that waited together, up to now.
    fn difference(&self, py: Python<'_>, now_ns: u64) -> PyResult<Difference> {
        Ok(self.0.scan(py, |books| Ok(books.difference(Nanos(now_ns))?))?.into())
    }

    /// What an account was served in all. Raises `RangeError`.
    fn work(&self, py: Python<'_>, account_index: u32) -> PyResult<AccountWork> {
        self.0.ask(py, |books| {
            let known = books.service();
            let work = known.work(account_index).zip(known.weighted_service(account_index));
            let (work, weighted_service) = work.ok_or(Error::Range {
                field: "account_index",
                value: account_index.into(),
                min: 0,
                max: u64::from(known.accounts_max()) - 1,
            })?;
            Ok(AccountWork {
                prompt_tokens: work.prompt_tokens,
                cached_tokens: work.cached_tokens,
                output_tokens: work.output_tokens,
                weighted_service,
            })
        })
    }

    /// Sets the weight of an account that is opened at run time.
    #[pyo3(signature = (account_index, *, weight))]
    fn set_weight(&self, py: Python<'_>, account_index: u32, weight: f64) -> PyResult<()> {
        self.0.ask(py, |books| Ok(books.set_weight(account_index, weight)?))
    }

    /// Forgets an account, so that its place can be given to another. Its requests stay in the books
    /// of their classes.
    fn forget_account(&self, py: Python<'_>, now_ns: u64, account_index: u32) -> PyResult<()> {
        self.0.scan(py, |books| Ok(books.forget_account(Nanos(now_ns), account_index)?))
    }

    /// Some GPU was busy for so long: an effect, kept to be shown.
    fn add_gpu_busy(&self, py: Python<'_>, busy_ns: u64) -> PyResult<()> {
        self.0.ask(py, |books| {
            books.add_gpu_busy(Nanos(busy_ns));
            Ok(())
        })
    }

    /// Adds what other books hold, as if all had been entered here. Raises `ContradictionError` where
    /// classes, targets, accounts or options differ, or `other` are these books themselves.
    fn merge(&self, py: Python<'_>, other: &Bound<'_, Outcomes>) -> PyResult<()> {
        self.0.both(py, &other.get().0, |books, other| Ok(books.merge(other)?))
    }

    /// How many requests of a class or an account ended how. Raises `RangeError`.
    #[pyo3(signature = (*, class_index = None, account_index = None))]
    fn counts(
        &self,
        py: Python<'_>,
        class_index: Option<u32>,
        account_index: Option<u32>,
    ) -> PyResult<Counts> {
        let group = Group::named(class_index, account_index)?;
        self.0.ask(py, |books| Ok(Counts::read(group.tally(books)?, books.span())))
    }

    /// How what a class or an account felt is distributed: "queue_wait", "ttft", "tpot" or "end_to_end"
    /// in nanoseconds, or "slowdown" in millionths. Raises `NameUnknownError`, and `RangeError` also
    /// for an account without histograms.
    #[pyo3(signature = (felt, *, class_index = None, account_index = None))]
    fn distribution(
        &self,
        py: Python<'_>,
        felt: &str,
        class_index: Option<u32>,
        account_index: Option<u32>,
    ) -> PyResult<Distribution> {
        let (felt, group) = (Felt::named(felt)?, Group::named(class_index, account_index)?);
        self.0.scan(py, |books| Ok(Distribution::read(felt.of(group.tally(books)?)?)))
    }

    /// Quantiles of what a class or an account felt, to within 0.8 %: for each of these parts from 0 to
    /// 1 the smallest value that at least that part of all do not exceed; `None` where nothing was
    /// recorded. Raises as `distribution`.
    #[pyo3(signature = (felt, parts, *, class_index = None, account_index = None))]
    fn quantiles(
        &self,
        py: Python<'_>,
        felt: &str,
        parts: Vec<f64>,
        class_index: Option<u32>,
        account_index: Option<u32>,
    ) -> PyResult<Vec<Option<u64>>> {
        let (felt, group) = (Felt::named(felt)?, Group::named(class_index, account_index)?);
        self.0.scan(py, |books| {
            let values = felt.of(group.tally(books)?)?;
            parts.iter().map(|part| Ok(values.quantile(*part)?)).collect()
        })
    }

    /// How many felt at most each of these values, or up to 1.6 % more: a cumulative histogram. Raises
    /// as `distribution`.
    #[pyo3(signature = (felt, values, *, class_index = None, account_index = None))]
    fn counts_at_most(
        &self,
        py: Python<'_>,
        felt: &str,
        values: Vec<u64>,
        class_index: Option<u32>,
        account_index: Option<u32>,
    ) -> PyResult<Vec<u64>> {
        let (felt, group) = (Felt::named(felt)?, Group::named(class_index, account_index)?);
        self.0.scan(py, |books| {
            let felt = felt.of(group.tally(books)?)?;
            Ok(values.iter().map(|value| felt.count_at_most(*value)).collect())
        })
    }

    /// What the books say of all together, on so many GPUs.
    #[pyo3(signature = (*, gpus = 1))]
    fn stats(&self, py: Python<'_>, gpus: u32) -> PyResult<OutcomesStats> {
        self.0.scan(py, |books| {
            Ok(OutcomesStats {
                accounts_max: books.service().accounts_max(),
                span_ns: books.span().get(),
                gpu_busy_ns: books.gpu_busy().get(),
                utilization: books.utilization(gpus),
                jain: books.jain(),
            })
        })
    }
}

pub(crate) fn fill(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Outcomes>()?;
    answers::fill(module)?;
    service::fill(module)
}
