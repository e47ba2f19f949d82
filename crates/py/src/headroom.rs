//! How much is safe: load, service and waits of one pool, and what follows for its size.

mod answers;
mod options;
mod reserve;
mod shadow;

use answers::{CanRemove, Estimated, HeadroomStats};
use options::{HeadroomClass, HeadroomOptions};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyType};
use rampmeter::headroom::Headroom as CoreHeadroom;
use rampmeter::units::Nanos;

pub(crate) use self::reserve::Reserve;
use crate::desk::{Desk, with_memory};

/// How much load one pool of replicas can take, how many it needs, and whether one can go.
///
/// For planning and autoscaling; who may come in is for a `Gate` to say. Tell it of every request:
/// `arrived`, then `started` and `ended`, or `left`. Times are nanoseconds of one monotonic clock.
/// Answers take some tenths of a millisecond; each is an `Estimate` with its limits of confidence,
/// or `NotEnoughData`.
///
/// >>> from rampmeter.headroom import Headroom, HeadroomClass, HeadroomOptions
/// >>> milli = 1_000_000
/// >>> chat = HeadroomClass(target_ns=500 * milli)
/// >>> pool = Headroom(HeadroomOptions([chat], replicas=4))
/// >>> for request in range(1_000):  # one each 40 ms, each takes 100 ms
/// ...     now_ns = (1_000 + 40 * request) * milli
/// ...     pool.arrived(now_ns)
/// ...     pool.started(now_ns, waited_ns=0)
/// ...     pool.ended(now_ns, ran_ns=100 * milli)
/// >>> 30 < pool.knee().value <= 40  # requests a second
/// True
/// >>> pool.can_remove().answer
/// 'yes'
#[pyclass(frozen, module = "rampmeter.headroom")]
#[derive(Debug)]
pub(crate) struct Headroom(Desk<CoreHeadroom>);

#[pymethods]
impl Headroom {
    #[new]
    fn new(py: Python<'_>, options: &Bound<'_, HeadroomOptions>) -> PyResult<Self> {
        let options = options.get().core();
        let build = || {
            options.validate()?;
            with_memory(CoreHeadroom::bytes_needed(&options), || CoreHeadroom::new(&options))
        };
        Desk::create(py, build).map(Self)
    }

    /// Bytes that a desk with these options takes, before it is built.
    #[staticmethod]
    fn bytes_needed(options: &Bound<'_, HeadroomOptions>) -> u64 {
        CoreHeadroom::bytes_needed(&options.get().core())
    }

    /// A request of a class came in. Raises `RangeError`, `TimeReversedError`.
    #[pyo3(signature = (now_ns, *, class_index = 0))]
    fn arrived(&self, py: Python<'_>, now_ns: u64, class_index: u32) -> PyResult<()> {
        self.0.ask(py, |desk| Ok(desk.arrived(Nanos(now_ns), class_index)?))
    }

    /// A request that waited starts; it waited so long in all. Raises `ContradictionError` where
    /// none waits.
    #[pyo3(signature = (now_ns, *, class_index = 0, waited_ns))]
    fn started(
        &self,
        py: Python<'_>,
        now_ns: u64,
        class_index: u32,
        waited_ns: u64,
    ) -> PyResult<()> {
        self.0.ask(py, |desk| Ok(desk.started(Nanos(now_ns), class_index, Nanos(waited_ns))?))
    }

    /// A request that was served ended; it ran for so long in all. Raises `ContradictionError`
    /// where none runs.
    #[pyo3(signature = (now_ns, *, class_index = 0, ran_ns))]
    fn ended(&self, py: Python<'_>, now_ns: u64, class_index: u32, ran_ns: u64) -> PyResult<()> {
        self.0.ask(py, |desk| Ok(desk.ended(Nanos(now_ns), class_index, Nanos(ran_ns))?))
    }

    /// A request that waited is gone: expired, cancelled or shed. It counts as one that waited.
    #[pyo3(signature = (now_ns, *, class_index = 0, waited_ns))]
    fn left(&self, py: Python<'_>, now_ns: u64, class_index: u32, waited_ns: u64) -> PyResult<()> {
        self.0.ask(py, |desk| Ok(desk.left(Nanos(now_ns), class_index, Nanos(waited_ns))?))
    }

    /// Time passed, and it is `now_ns`. Answers of planning are as of the last call: say this before
    /// you ask between events, or after the last one, so that silence is seen.
    fn passed(&self, py: Python<'_>, now_ns: u64) -> PyResult<()> {
        self.0.ask(py, |desk| Ok(desk.passed(Nanos(now_ns))?))
    }

    /// From now on there are so many replicas (0 to `replicas_max`).
    fn set_replicas(&self, py: Python<'_>, now_ns: u64, replicas: u32) -> PyResult<()> {
        self.0.scan(py, |desk| Ok(desk.capacity(Nanos(now_ns), replicas)?))
    }

    /// The rate of a class, in requests a second, beyond which more than its `late_ratio_max` wait
    /// beyond its target, if all classes grow alike.
    #[pyo3(signature = (*, class_index = 0))]
    fn knee(&self, py: Python<'_>, class_index: u32) -> PyResult<Estimated> {
        Ok(self.0.scan(py, |desk| Ok(desk.knee(class_index)?))?.into())
    }

    /// How far a class is from its knee: 1 - rate / knee. 0 at the knee, negative beyond it,
    /// minus infinity without replicas. As of the last call; `passed` first.
    #[pyo3(signature = (*, class_index = 0))]
    fn ratio(&self, py: Python<'_>, class_index: u32) -> PyResult<Estimated> {
        Ok(self.0.scan(py, |desk| Ok(desk.headroom(class_index)?))?.into())
    }

    /// Share of requests of a class that wait longer than this, at the present load.
    #[pyo3(signature = (*, class_index = 0, wait_ns))]
    fn wait_tail(&self, py: Python<'_>, class_index: u32, wait_ns: u64) -> PyResult<Estimated> {
        Ok(self.0.scan(py, |desk| Ok(desk.wait_tail(class_index, Nanos(wait_ns))?))?.into())
    }

    /// Fewest replicas that keep every class's target under the present load, all three numbers
    /// whole; infinite where not even 65,536 do. As of the last call; `passed` first.
    fn replicas_needed(&self, py: Python<'_>) -> PyResult<Estimated> {
        Ok(self.0.scan(py, |desk| Ok(desk.replicas_needed()))?.into())
    }

    /// Whether one replica can be taken away. As of the last call; `passed` first.
    fn can_remove(&self, py: Python<'_>) -> PyResult<CanRemove> {
        Ok(self.0.scan(py, |desk| Ok(desk.can_remove()))?.into())
    }

    /// What a GPU-second of the pool is worth now, in value-seconds: 0 while nobody waits.
    fn shadow_price(&self, py: Python<'_>, now_ns: u64) -> PyResult<f64> {
        self.0.ask(py, |desk| Ok(desk.shadow_price(Nanos(now_ns))?))
    }

    /// The whole state, for `restore` with the same options.
    fn save<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let bytes = self.0.scan(py, |desk| {
            let mut bytes = vec![0; desk.snapshot_bytes() as usize];
            desk.save(&mut bytes)?;
            Ok(bytes)
        })?;
        Ok(PyBytes::new(py, &bytes))
    }

    /// A desk that goes on where the saved one was. `options` are those that it had, but for
    /// `replicas`, which comes from the snapshot. Raises `SnapshotError`.
    #[classmethod]
    fn restore(
        class: &Bound<'_, PyType>,
        options: &Bound<'_, HeadroomOptions>,
        snapshot: &[u8],
    ) -> PyResult<Self> {
        let options = options.get().core();
        let build = || {
            options.validate()?;
            let bytes = CoreHeadroom::bytes_needed(&options);
            with_memory(bytes, || CoreHeadroom::restore(&options, snapshot))
        };
        Desk::create(class.py(), build).map(Self)
    }

    /// What the desk knows and did.
    fn stats(&self, py: Python<'_>) -> PyResult<HeadroomStats> {
        Ok(self.0.ask(py, |desk| Ok(desk.stats()))?.into())
    }
}

pub(crate) fn fill(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Headroom>()?;
    module.add_class::<HeadroomClass>()?;
    module.add_class::<HeadroomOptions>()?;
    module.add_class::<options::EngineSeats>()?;
    module.add_function(wrap_pyfunction!(options::engine_seats, module)?)?;
    answers::fill(module)?;
    reserve::fill(module)?;
    shadow::fill(module)
}
