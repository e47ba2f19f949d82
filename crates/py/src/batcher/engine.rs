//! What a step costs, and how large the KV cache is.

use pyo3::prelude::*;
use rampmeter::Blocks;
use rampmeter::engine::{FEATURES, KvGeometry, Profile, StepModel};

use crate::error::Fault;
use crate::record::{fields, shown};

const FIELDS: &[&str] = &["kv_blocks", "kv_block_tokens", "step_coefficients"];

/// An engine: its step times and its KV cache.
///
/// `step_coefficients` are seven numbers whose products with these sum up to the seconds of a step:
/// 1; prompt tokens; requests that decode; KV tokens of these; p * (h + p / 2) for p prompt tokens
/// whose requests had h in KV; 1 if there is a prompt; KV tokens that decode beside one. A batcher
/// corrects them by what it observes; `rampmeter fit` makes them from measurements.
///
/// >>> from rampmeter.batch import Engine
/// >>> Engine.named("llama-3.1-8b").kv_blocks
/// 36578
#[pyclass(frozen, eq, module = "rampmeter.batch")]
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Engine {
    /// KV blocks in all.
    #[pyo3(get)]
    kv_blocks: u32,
    /// Tokens in a KV block.
    #[pyo3(get)]
    kv_block_tokens: u32,
    coefficients: [f64; FEATURES],
}

impl Engine {
    pub(super) fn kv(&self) -> Result<KvGeometry, Fault> {
        Ok(KvGeometry::new(Blocks(self.kv_blocks), self.kv_block_tokens)?)
    }

    pub(super) fn model(&self) -> Result<StepModel, Fault> {
        Ok(StepModel::new(self.coefficients)?)
    }
}

#[pymethods]
impl Engine {
    #[new]
    #[pyo3(signature = (*, kv_blocks, kv_block_tokens, step_coefficients))]
    fn new(
        kv_blocks: u32,
        kv_block_tokens: u32,
        step_coefficients: [f64; FEATURES],
    ) -> PyResult<Self> {
        let engine = Self { kv_blocks, kv_block_tokens, coefficients: step_coefficients };
        engine.kv()?;
        engine.model()?;
        Ok(engine)
    }

    /// A built-in engine: "llama-3.1-8b", "qwen3-32b" or "qwen3-32b-tp2". Raises
    /// `NameUnknownError`.
    #[staticmethod]
    fn named(engine_name: &str) -> PyResult<Self> {
        let profile = Profile::named(engine_name)
            .ok_or_else(|| Fault::Name { what: "engine_name", name: engine_name.to_owned() })?;
        Ok(Self {
            kv_blocks: profile.kv_blocks,
            kv_block_tokens: profile.kv_block_tokens,
            coefficients: profile.coefficients,
        })
    }

    /// Seconds of each feature of a step; see the class.
    #[getter]
    fn step_coefficients(&self) -> (f64, f64, f64, f64, f64, f64, f64) {
        self.coefficients.into()
    }

    #[classattr]
    const fn __match_args__() -> (&'static str, &'static str, &'static str) {
        (FIELDS[0], FIELDS[1], FIELDS[2])
    }

    /// The fields as a dictionary, for logs and metrics.
    fn as_dict<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, pyo3::types::PyDict>> {
        fields(slf.as_any(), FIELDS)
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        shown(slf.as_any(), "Engine", FIELDS)
    }
}
