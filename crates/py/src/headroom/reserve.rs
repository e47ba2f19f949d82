//! Whether a batch job waits so that urgent work finds room.

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyType};
use rampmeter::headroom::hold::{BatchJob, HoldReason, Reserve as CoreReserve};
use rampmeter::units::Nanos;

use crate::desk::Desk;
use crate::policy::Policy;
use crate::record::record;

record! {
    /// Whether a batch job waits (`hold`), and what weighed: "price" (value lost a second by urgent
    /// work if it starts against that by batch work if it waits), "reserve" (the least that the
    /// policy keeps) or "not_enough_data" (it starts).
    "rampmeter.headroom" HoldVerdict {
        hold: bool,
        reason: &'static str,
        urgent_price: f64,
        batch_price: f64,
        slots_left: f64,
        sigma: f64,
    }
}
record! {
    /// What a reserve knows of urgent work, as of the last call.
    "rampmeter.headroom" ReserveStats {
        waiting: u64,
        running: u64,
        gpus: f64,
        rate_per_s: f64,
        run_s: f64,
        request_gpus: f64,
        load: f64,
        sigma: f64,
        released_per_s: f64,
    }
}

/// Whether a batch job waits so that urgent work finds room, by what both cost.
///
/// Tell it of urgent work (`arrived`, then `started` and `ended`, or `left`) and of GPUs that batch
/// work released; ask `hold` for the batch job at the head of its queue.
///
/// >>> from rampmeter import Policy
/// >>> from rampmeter.headroom import Reserve
/// >>> reserve = Reserve(0, Policy(), class_index=0, gpus=64)
/// >>> reserve.hold(0, gpus=8, waiting=3, gpus_free=10).reason
/// 'not_enough_data'
#[pyclass(frozen, module = "rampmeter.headroom")]
#[derive(Debug)]
pub(crate) struct Reserve(pub(crate) Desk<CoreReserve>);

#[pymethods]
impl Reserve {
    #[new]
    #[pyo3(signature = (now_ns, policy, *, class_index, gpus))]
    fn new(
        py: Python<'_>,
        now_ns: u64,
        policy: &Bound<'_, Policy>,
        class_index: u32,
        gpus: f64,
    ) -> PyResult<Self> {
        let policy = &policy.get().0;
        let build = || Ok(CoreReserve::new(Nanos(now_ns), policy, class_index, gpus)?);
        Desk::create(py, build).map(Self)
    }

    /// Takes a changed policy, and goes on with what is known.
    #[pyo3(signature = (policy, *, class_index))]
    fn set_policy(
        &self,
        py: Python<'_>,
        policy: &Bound<'_, Policy>,
        class_index: u32,
    ) -> PyResult<()> {
        let policy = &policy.get().0;
        self.0.scan(py, |reserve| Ok(reserve.apply(policy, class_index)?))
    }

    /// From now on there are so many GPUs (0.001 to 1e9).
    fn set_gpus(&self, py: Python<'_>, now_ns: u64, gpus: f64) -> PyResult<()> {
        self.0.ask(py, |reserve| Ok(reserve.capacity(Nanos(now_ns), gpus)?))
    }

    /// An urgent request came that takes so many GPUs (0.001 to 1e9).
    #[pyo3(signature = (now_ns, *, gpus))]
    fn arrived(&self, py: Python<'_>, now_ns: u64, gpus: f64) -> PyResult<()> {
        self.0.ask(py, |reserve| Ok(reserve.arrived(Nanos(now_ns), gpus)?))
    }

    /// An urgent request that waited starts. Raises `ContradictionError` where none waits.
    fn started(&self, py: Python<'_>, now_ns: u64) -> PyResult<()> {
        self.0.ask(py, |reserve| Ok(reserve.started(Nanos(now_ns))?))
    }

    /// An urgent request that ran ended; it ran for so long in all. Raises `ContradictionError`
    /// where none runs.
    #[pyo3(signature = (now_ns, *, ran_ns))]
    fn ended(&self, py: Python<'_>, now_ns: u64, ran_ns: u64) -> PyResult<()> {
        self.0.ask(py, |reserve| Ok(reserve.ended(Nanos(now_ns), Nanos(ran_ns))?))
    }

    /// An urgent request that waited is gone. Raises `ContradictionError` where none waits.
    fn left(&self, py: Python<'_>, now_ns: u64) -> PyResult<()> {
        self.0.ask(py, |reserve| Ok(reserve.left(Nanos(now_ns))?))
    }

    /// Batch work released so many GPUs (0 to 1e9).
    #[pyo3(signature = (now_ns, *, gpus))]
    fn released(&self, py: Python<'_>, now_ns: u64, gpus: f64) -> PyResult<()> {
        self.0.ask(py, |reserve| Ok(reserve.released(Nanos(now_ns), gpus)?))
    }

    /// Whether this batch job waits now; changes nothing. If it does, stop backfill of batch work as
    /// well, and ask again when something ends, comes or starts.
    ///
    /// `gpus` that it takes of the `gpus_free`, `delay_value` of a second of its delay, `waiting`
    /// batch jobs in all.
    #[pyo3(signature = (now_ns, *, gpus, gpus_free, waiting, delay_value = 1.0))]
    fn hold(
        &self,
        py: Python<'_>,
        now_ns: u64,
        gpus: f64,
        gpus_free: f64,
        waiting: u32,
        delay_value: f64,
    ) -> PyResult<HoldVerdict> {
        let job = BatchJob { gpus, delay_value, waiting, gpus_free };
        let verdict = self.0.ask(py, |reserve| Ok(reserve.hold(Nanos(now_ns), &job)?))?;
        Ok(HoldVerdict {
            hold: verdict.hold,
            reason: match verdict.reason {
                HoldReason::Price => "price",
                HoldReason::Reserve => "reserve",
                HoldReason::NotEnoughData => "not_enough_data",
            },
            urgent_price: verdict.urgent_price,
            batch_price: verdict.batch_price,
            slots_left: verdict.slots_left,
            sigma: verdict.sigma,
        })
    }

    /// The whole state, for `restore`.
    fn save<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let bytes = self.0.scan(py, |reserve| {
            let mut bytes = vec![0; reserve.snapshot_bytes() as usize];
            reserve.save(&mut bytes)?;
            Ok(bytes)
        })?;
        Ok(PyBytes::new(py, &bytes))
    }

    /// A reserve that goes on where the saved one was, under the policy and class that it had or
    /// under changed ones. Raises `SnapshotError`.
    #[classmethod]
    #[pyo3(signature = (policy, snapshot, *, class_index))]
    fn restore(
        class: &Bound<'_, PyType>,
        policy: &Bound<'_, Policy>,
        snapshot: &[u8],
        class_index: u32,
    ) -> PyResult<Self> {
        let policy = &policy.get().0;
        let build = || Ok(CoreReserve::restore(policy, class_index, snapshot)?);
        Desk::create(class.py(), build).map(Self)
    }

    /// What the reserve knows.
    fn stats(&self, py: Python<'_>) -> PyResult<ReserveStats> {
        let stats = self.0.ask(py, |reserve| Ok(reserve.stats()))?;
        Ok(ReserveStats {
            waiting: stats.waiting,
            running: stats.running,
            gpus: stats.gpus,
            rate_per_s: stats.rate_per_s,
            run_s: stats.run_s,
            request_gpus: stats.request_gpus,
            load: stats.load,
            sigma: stats.sigma,
            released_per_s: stats.released_per_s,
        })
    }
}

pub(super) fn fill(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Reserve>()?;
    module.add_class::<HoldVerdict>()?;
    module.add_class::<ReserveStats>()
}
