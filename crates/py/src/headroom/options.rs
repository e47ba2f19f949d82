//! What a pool is, and who waits for it.

use pyo3::prelude::*;
use rampmeter::engine::{KvGeometry, Profile, StepModel};
use rampmeter::headroom::estimate::servers::{Replica, RequestShape};
use rampmeter::headroom::{ClassOptions, Options};
use rampmeter::{Blocks, Nanos, Tokens};

use crate::error::Fault;
use crate::record::record;

record! {
    /// A class that waits for a pool: its longest wait that is in time (`target_ns`, 2 s unless
    /// given), the share of requests that may wait longer (`late_ratio_max`, 0.05) and what one
    /// second of delay is worth (`delay_value`, 1).
    ///
    /// >>> from rampmeter.headroom import HeadroomClass
    /// >>> HeadroomClass(target_ns=500_000_000).late_ratio_max
    /// 0.05
    "rampmeter.headroom" HeadroomClass {
        target_ns: u64,
        late_ratio_max: f64,
        delay_value: f64,
    }
    impl {
        #[new]
        #[pyo3(signature = (
            *, target_ns = None, late_ratio_max = None, delay_value = None
        ))]
        fn new(
            target_ns: Option<u64>,
            late_ratio_max: Option<f64>,
            delay_value: Option<f64>,
        ) -> Self {
            let default = ClassOptions::default();
            Self {
                target_ns: target_ns.unwrap_or(default.target.get()),
                late_ratio_max: late_ratio_max.unwrap_or(default.late_ratio_max),
                delay_value: delay_value.unwrap_or(default.delay_value),
            }
        }
    }
}

record! {
    /// What a pool is: who waits for it, and what it has. `replicas` now and at most, the seats of
    /// one and how much those seated slow each other down (see `engine_seats`), its GPUs, and the
    /// requests after which one counts 1/e of what it did.
    "rampmeter.headroom" HeadroomOptions {
        classes: Vec<HeadroomClass>,
        replicas: u32,
        replicas_max: u32,
        seats: u32,
        loaded_share: f64,
        gpus_per_replica: f64,
        memory_requests: u32,
    }
    impl {
        #[new]
        #[pyo3(signature = (
            classes, *, replicas, replicas_max = None, seats = 1, loaded_share = 0.0,
            gpus_per_replica = None, memory_requests = None
        ))]
        fn new(
            classes: Vec<Bound<'_, HeadroomClass>>,
            replicas: u32,
            replicas_max: Option<u32>,
            seats: u32,
            loaded_share: f64,
            gpus_per_replica: Option<f64>,
            memory_requests: Option<u32>,
        ) -> Self {
            let default = Options::new([], Replica::server(), replicas);
            Self {
                classes: classes.iter().map(|class| class.get().clone()).collect(),
                replicas,
                replicas_max: replicas_max.unwrap_or(default.replicas_max),
                seats,
                loaded_share,
                gpus_per_replica: gpus_per_replica.unwrap_or(default.gpus_per_replica),
                memory_requests: memory_requests.unwrap_or(default.memory_requests),
            }
        }
    }
}

impl HeadroomOptions {
    pub(super) fn core(&self) -> Options {
        let class = |class: &HeadroomClass| ClassOptions {
            target: Nanos(class.target_ns),
            late_ratio_max: class.late_ratio_max,
            delay_value: class.delay_value,
        };
        Options {
            classes: self.classes.iter().map(class).collect(),
            replica: Replica { seats: self.seats, loaded_share: self.loaded_share },
            replicas: self.replicas,
            replicas_max: self.replicas_max,
            gpus_per_replica: self.gpus_per_replica,
            memory_requests: self.memory_requests,
        }
    }
}

record! {
    /// How many requests one engine can serve at once, and what part of a full step is due to them.
    "rampmeter.headroom" EngineSeats {
        seats: u32,
        loaded_share: f64,
    }
}

/// An engine, by the name of a profile or by its numbers.
#[derive(Debug, FromPyObject)]
pub(crate) enum Engine {
    Named(String),
    Given { step_coefficients: [f64; 7], kv_blocks: u32, kv_block_tokens: u32 },
}

impl Engine {
    fn parts(&self) -> Result<(StepModel, KvGeometry), Fault> {
        let (coefficients, blocks, tokens) = match self {
            Self::Named(name) => {
                let unknown = || Fault::Name { what: "engine", name: name.clone() };
                let profile = Profile::named(name).ok_or_else(unknown)?;
                (profile.coefficients, profile.kv_blocks, profile.kv_block_tokens)
            }
            Self::Given { step_coefficients, kv_blocks, kv_block_tokens } => {
                (*step_coefficients, *kv_blocks, *kv_block_tokens)
            }
        };
        Ok((StepModel::new(coefficients)?, KvGeometry::new(Blocks(blocks), tokens)?))
    }
}

/// How many requests of this shape one engine can serve at once, with at most `seats_max`, and how
/// much they slow each other down: `seats` and `loaded_share` of `HeadroomOptions`.
///
/// `engine` is the name of a profile ("llama-3.1-8b"...), or anything with `step_coefficients`,
/// `kv_blocks` and `kv_block_tokens`. `output_scv` is the squared coefficient of variation of the
/// output tokens. Raises `NameUnknownError`, `RangeError`.
///
/// >>> from rampmeter.headroom import engine_seats
/// >>> engine_seats("llama-3.1-8b", seats_max=128, prompt_tokens=900, output_tokens=250).seats
/// 128
#[pyfunction]
#[pyo3(signature = (engine, *, seats_max, prompt_tokens, output_tokens, output_scv = 1.0))]
#[allow(clippy::needless_pass_by_value)] // As PyO3 hands it over.
pub(crate) fn engine_seats(
    engine: Engine,
    seats_max: u32,
    prompt_tokens: u32,
    output_tokens: u32,
    output_scv: f64,
) -> PyResult<EngineSeats> {
    let (model, kv) = engine.parts()?;
    let (prompt_tokens, output_tokens) = (Tokens(prompt_tokens), Tokens(output_tokens));
    let shape = RequestShape { prompt_tokens, output_tokens, output_scv };
    let replica = Replica::engine(&model, &kv, seats_max, &shape).map_err(Fault::from)?;
    Ok(EngineSeats { seats: replica.seats, loaded_share: replica.loaded_share })
}
