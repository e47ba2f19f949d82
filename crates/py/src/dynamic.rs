//! Which whole requests run together in the next batch of an ordinary model.

mod answers;
mod batches;
mod options;

use answers::{CurveStats, DynamicExplanation, DynamicStats};
use batches::{Formed, Observed, Submitted};
use options::{Curve, DynamicClass, DynamicOptions};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyType};
use rampmeter::Error;
use rampmeter::batch::dynamic::{
    BatchId, DynamicBatcher as CoreBatcher, Ending, Expired, Observation, Options, Plan, PlanEntry,
    RequestId, Submission,
};
use rampmeter::engine::LatencyCurve;
use rampmeter::share::AccountId;
use rampmeter::units::Nanos;

use crate::desk::{Desk, with_memory};
use crate::error::Fault;

/// A batcher, and the arrays that it writes its plans into.
#[derive(Debug)]
struct State {
    batcher: CoreBatcher,
    entries: Box<[PlanEntry]>,
    expired: Box<[Expired]>,
}

impl State {
    fn new(batcher: CoreBatcher, batch_size_max: u32) -> Self {
        let width = batch_size_max as usize;
        let entries = vec![PlanEntry::default(); width].into_boxed_slice();
        Self { batcher, entries, expired: vec![Expired::default(); width].into_boxed_slice() }
    }

    fn curve(&self, bucket: u32) -> Result<&LatencyCurve, Fault> {
        let known = u16::try_from(bucket).ok().and_then(|bucket| self.batcher.curve(bucket));
        known.ok_or_else(|| {
            let buckets = (0..u16::MAX).take_while(|at| self.batcher.curve(*at).is_some()).count();
            let max = (buckets as u64).saturating_sub(1);
            Error::Range { field: "bucket", value: bucket.into(), min: 0, max }.into()
        })
    }
}

/// A place among classes or buckets, of which there are far fewer than this can name.
fn place(field: &'static str, value: u32) -> Result<u16, Fault> {
    let outside = |_| Error::Range { field, value: value.into(), min: 0, max: u16::MAX.into() };
    Ok(u16::try_from(value).map_err(outside)?)
}

/// Which whole requests run together in the next batch: launch now or wait until when, how many,
/// and who.
///
/// For vision, embedding and ranking models, which answer a batch in one go. `submit` requests as
/// they come; ask `form` whenever an instance is idle, until it says `Wait` or nothing; tell
/// `observe` when a batch ended, from which it learns how long batches take.
/// `rampmeter.integrations.asyncio` drives it in an asyncio server.
///
/// >>> from rampmeter.dynamic import Curve, DynamicBatcher, DynamicOptions
/// >>> guess = Curve(fixed_s=0.005, each_s=0.001)
/// >>> batcher = DynamicBatcher(DynamicOptions([guess], batch_size_max=16))
/// >>> everyone = batcher.open_account()
/// >>> for tag in (7, 8):
/// ...     queued = batcher.submit(1_000, account=everyone, tag=tag)
/// >>> launch = batcher.form(1_000).decision
/// >>> launch.tags
/// [7, 8]
/// >>> batcher.observe(6_000_000, launch.batch).finished
/// 2
#[pyclass(frozen, module = "rampmeter.dynamic")]
#[derive(Debug)]
pub(crate) struct DynamicBatcher(Desk<State>);

#[pymethods]
impl DynamicBatcher {
    #[new]
    fn new(py: Python<'_>, options: &Bound<'_, DynamicOptions>) -> PyResult<Self> {
        let options = options.get();
        let build = || built(&options.core()?, |options| CoreBatcher::new(options));
        Desk::create(py, build).map(Self)
    }

    /// Bytes that a batcher with these options takes, before it is built. Raises `RangeError`.
    #[staticmethod]
    fn bytes_needed(options: &Bound<'_, DynamicOptions>) -> PyResult<u64> {
        Ok(CoreBatcher::bytes_needed(&options.get().core()?))
    }

    /// Opens an account. Raises `FullError`, `RangeError`, `StaleError`.
    #[pyo3(signature = (parent = None, *, weight = 1.0))]
    fn open_account(&self, py: Python<'_>, parent: Option<u64>, weight: f64) -> PyResult<u64> {
        let parent = parent.map(AccountId::from_raw);
        self.0.ask(py, |state| Ok(state.batcher.open_account(parent, weight)?.to_raw()))
    }

    /// Closes an account without requests. Raises `ContradictionError`, `StaleError`.
    fn close_account(&self, py: Python<'_>, account: u64) -> PyResult<()> {
        self.0.ask(py, |state| Ok(state.batcher.close_account(AccountId::from_raw(account))?))
    }

    /// A request comes in: `Queued` or `Shed`.
    ///
    /// `tag` is the host's own number for it, returned in every plan. `arrival_ns` is now unless
    /// given, `deadline_ns` and `expires_at_ns` are what its class says. Raises `RangeError`,
    /// `StaleError`, `TimeReversedError`.
    #[pyo3(signature = (
        now_ns, *, account, tag = 0, class_index = 0, bucket = 0, arrival_ns = None,
        deadline_ns = None, expires_at_ns = None
    ))]
    #[allow(clippy::too_many_arguments)] // Keywords of Python.
    fn submit(
        &self,
        py: Python<'_>,
        now_ns: u64,
        account: u64,
        tag: u64,
        class_index: u32,
        bucket: u32,
        arrival_ns: Option<u64>,
        deadline_ns: Option<u64>,
        expires_at_ns: Option<u64>,
    ) -> PyResult<Submitted> {
        let submission = Submission {
            tag,
            class: place("class_index", class_index)?,
            account: AccountId::from_raw(account),
            bucket: place("bucket", bucket)?,
            arrival: Nanos(arrival_ns.unwrap_or(now_ns)),
            deadline: deadline_ns.map(Nanos),
            expires_at: expires_at_ns.map(Nanos),
        };
        let submit = |state: &mut State| Ok(state.batcher.submit(Nanos(now_ns), &submission)?);
        Ok(self.0.ask(py, submit)?.into())
    }

    /// The host takes a request back. One that runs is forgotten when its batch ends. Raises
    /// `StaleError`.
    fn cancel(&self, py: Python<'_>, now_ns: u64, request: u64) -> PyResult<()> {
        let request = RequestId::from_raw(request);
        self.0.ask(py, |state| Ok(state.batcher.cancel(Nanos(now_ns), request)?))
    }

    /// What to do now: `Launch` a batch, `Wait`, or nothing; and who waited for too long. It speaks
    /// of one instance at a time: after a launch, ask again.
    fn form(&self, py: Python<'_>, now_ns: u64) -> PyResult<Formed> {
        self.0.ask(py, |state| {
            let State { batcher, entries, expired } = state;
            let formed = batcher.form(Nanos(now_ns), &mut Plan { entries, expired })?;
            Ok(Formed::read(&formed, entries, expired))
        })
    }

    /// A batch ended: its instance is idle, its requests are forgotten, and its duration (from
    /// launch until now, unless given) teaches the curve, unless it `failed`. Raises `StaleError`,
    /// `RangeError`.
    #[pyo3(signature = (now_ns, batch, *, duration_ns = None, failed = false))]
    fn observe(
        &self,
        py: Python<'_>,
        now_ns: u64,
        batch: u64,
        duration_ns: Option<u64>,
        failed: bool,
    ) -> PyResult<Observed> {
        let seen = Observation {
            batch: BatchId::from_raw(batch),
            duration: duration_ns.map(Nanos),
            ending: if failed { Ending::Failed } else { Ending::Completed },
        };
        let observed =
            self.0.ask(py, |state| Ok(state.batcher.observe(Nanos(now_ns), &seen)?))?;
        Ok(observed.into())
    }

    /// When to call `form` next: when a wait is over, a request expires, or a batch should end;
    /// `None` if only a call of the host can change anything.
    fn next_event(&self, py: Python<'_>, now_ns: u64) -> PyResult<Option<u64>> {
        let next = self.0.ask(py, |state| Ok(state.batcher.next_event(Nanos(now_ns))))?;
        Ok(next.map(Nanos::get))
    }

    /// Where a request is, and what was last decided about its bucket. Raises `StaleError`.
    fn explain(&self, py: Python<'_>, request: u64) -> PyResult<DynamicExplanation> {
        let request = RequestId::from_raw(request);
        Ok(self.0.ask(py, |state| Ok(state.batcher.explain(request)?))?.into())
    }

    /// The latency curve at one batch size, as learned so far. Raises `RangeError`.
    #[pyo3(signature = (batch_size, *, bucket = 0))]
    fn curve(&self, py: Python<'_>, batch_size: u32, bucket: u32) -> PyResult<CurveStats> {
        self.0.ask(py, |state| {
            let curve = state.curve(bucket)?;
            rampmeter::error::check_range("batch_size", batch_size.into(), 1, u32::MAX.into())?;
            Ok(CurveStats::read(curve, batch_size))
        })
    }

    /// The largest batch of at most `size_max` that ends within `seconds`; 0 if not even one does.
    /// Raises `RangeError`.
    #[pyo3(signature = (*, seconds, size_max, bucket = 0))]
    fn batch_within(
        &self,
        py: Python<'_>,
        seconds: f64,
        size_max: u32,
        bucket: u32,
    ) -> PyResult<u32> {
        self.0.ask(py, |state| {
            let curve = state.curve(bucket)?;
            rampmeter::error::check_real("seconds", seconds, 0.0, f64::MAX)?;
            Ok(curve.batch_within(seconds, size_max))
        })
    }

    /// The whole state, for `restore`. Handles stay good, and batches that run go on running.
    fn save<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let bytes = self.0.scan(py, |state| {
            let mut bytes = vec![0; state.batcher.snapshot_bytes() as usize];
            state.batcher.save(&mut bytes)?;
            Ok(bytes)
        })?;
        Ok(PyBytes::new(py, &bytes))
    }

    /// A batcher that goes on where the saved one was. Sizes, and the numbers of classes and
    /// buckets, must be those that it had; other options may be changed, and curves come from the
    /// snapshot. Raises `SnapshotError`.
    #[classmethod]
    fn restore(
        class: &Bound<'_, PyType>,
        options: &Bound<'_, DynamicOptions>,
        snapshot: &[u8],
    ) -> PyResult<Self> {
        let options = options.get();
        let build = || built(&options.core()?, |options| CoreBatcher::restore(options, snapshot));
        Desk::create(class.py(), build).map(Self)
    }

    /// What the batcher holds, how full it is, and what it did.
    fn stats(&self, py: Python<'_>) -> PyResult<DynamicStats> {
        Ok(self.0.ask(py, |state| Ok(state.batcher.stats()))?.into())
    }
}

fn built(
    options: &Options,
    build: impl FnOnce(&Options) -> Result<CoreBatcher, Error>,
) -> Result<State, Fault> {
    options.validate()?;
    let bytes = CoreBatcher::bytes_needed(options);
    let batcher = with_memory(bytes, || build(options))?;
    Ok(State::new(batcher, options.batch_size_max))
}

pub(crate) fn fill(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<DynamicBatcher>()?;
    module.add_class::<DynamicOptions>()?;
    module.add_class::<DynamicClass>()?;
    module.add_class::<Curve>()?;
    batches::fill(module)?;
    answers::fill(module)
}
