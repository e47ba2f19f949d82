//! What a GPU is worth while others wait for it.

use pyo3::prelude::*;
use rampmeter::headroom::ShadowPrice as CoreShadowPrice;
use rampmeter::units::Nanos;

use crate::desk::Desk;

/// The price of a GPU-second, from what waits and what is offered.
///
/// >>> from rampmeter.headroom import ShadowPrice
/// >>> price = ShadowPrice(0, gpus=8)
/// >>> price.waiting(0, value=4)
/// >>> price.price(60_000_000_000) > 0
/// True
#[pyclass(frozen, module = "rampmeter.headroom")]
#[derive(Debug)]
pub(crate) struct ShadowPrice(Desk<CoreShadowPrice>);

#[pymethods]
impl ShadowPrice {
    #[new]
    #[pyo3(signature = (now_ns, *, gpus))]
    fn new(py: Python<'_>, now_ns: u64, gpus: f64) -> PyResult<Self> {
        Desk::create(py, || Ok(CoreShadowPrice::new(Nanos(now_ns), gpus)?)).map(Self)
    }

    /// From now on there are so many GPUs (0 to 1e12).
    fn set_gpus(&self, py: Python<'_>, now_ns: u64, gpus: f64) -> PyResult<()> {
        self.0.ask(py, |price| Ok(price.capacity(Nanos(now_ns), gpus)?))
    }

    /// From now on requests wait whose delay values add up to this (0 to 1e12).
    #[pyo3(signature = (now_ns, *, value))]
    fn waiting(&self, py: Python<'_>, now_ns: u64, value: f64) -> PyResult<()> {
        self.0.ask(py, |price| Ok(price.waiting(Nanos(now_ns), value)?))
    }

    /// Work of so many GPU-seconds came in (0 to 1e12).
    #[pyo3(signature = (now_ns, *, gpu_seconds))]
    fn offered(&self, py: Python<'_>, now_ns: u64, gpu_seconds: f64) -> PyResult<()> {
        self.0.ask(py, |price| Ok(price.offered(Nanos(now_ns), gpu_seconds)?))
    }

    /// The price now, in value-seconds a GPU-second; 0 without GPUs, for none can be lost.
    fn price(&self, py: Python<'_>, now_ns: u64) -> PyResult<f64> {
        self.0.ask(py, |price| Ok(price.price(Nanos(now_ns))?))
    }

    /// Offered work over what all GPUs can do, as of the last call that changed something.
    fn rho(&self, py: Python<'_>) -> PyResult<f64> {
        self.0.ask(py, |price| Ok(price.rho()))
    }
}

pub(super) fn fill(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<ShadowPrice>()
}
