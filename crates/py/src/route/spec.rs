//! What is said about replicas, from keyword arguments.

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use rampmeter::engine::{FEATURES, KvGeometry, Profile, StepModel};
use rampmeter::policy::EngineMode;
use rampmeter::route::{ReplicaSpec, ReplicaState, Status, Tier};
use rampmeter::units::{Blocks, Nanos};

use crate::error::Fault;
use crate::options::set_options;

/// Keyword arguments of `add_replica`.
struct Given {
    step_coefficients: Option<[f64; FEATURES]>,
    kv_blocks: Option<u32>,
    kv_block_tokens: Option<u32>,
    running_max: Option<u32>,
    step_tokens_max: Option<u32>,
    mode: EngineMode,
    link_group: u32,
    ready_at_ns: u64,
    host_load_s_per_block: f64,
    disk_load_s_per_block: f64,
    adapter_load_s: f64,
}

const NOTHING: Given = Given {
    step_coefficients: None,
    kv_blocks: None,
    kv_block_tokens: None,
    running_max: None,
    step_tokens_max: None,
    mode: EngineMode::Mixed,
    link_group: 0,
    ready_at_ns: 0,
    host_load_s_per_block: 0.0,
    disk_load_s_per_block: 0.0,
    adapter_load_s: 0.0,
};

pub(super) fn replica_spec(
    engine: Option<&Bound<'_, PyAny>>,
    spec: Option<&Bound<'_, PyDict>>,
) -> PyResult<ReplicaSpec> {
    let mut given = NOTHING;
    set_options!(
        spec,
        given: step_coefficients,
        kv_blocks,
        kv_block_tokens,
        running_max,
        step_tokens_max,
        mode => |given: &mut Given, name: String| mode(&name).map(|mode| given.mode = mode),
        link_group,
        ready_at_ns,
        host_load_s_per_block,
        disk_load_s_per_block,
        adapter_load_s,
    );
    let profile = match engine.map(PyAnyMethods::extract::<&str>) {
        Some(Ok(name)) => Some(named(name)?),
        _ => None,
    };
    if let (Some(engine), None) = (engine, profile) {
        given.step_coefficients.get_or_insert(engine.getattr("step_coefficients")?.extract()?);
        given.kv_blocks.get_or_insert(engine.getattr("kv_blocks")?.extract()?);
        given.kv_block_tokens.get_or_insert(engine.getattr("kv_block_tokens")?.extract()?);
    }
    let missing = || PyTypeError::new_err("needs `engine`, or step_coefficients and kv_blocks");
    let coefficients = given.step_coefficients.or(profile.map(|known| known.coefficients));
    let blocks = given.kv_blocks.or(profile.map(|known| known.kv_blocks));
    let block_tokens = given.kv_block_tokens.or(profile.map(|known| known.kv_block_tokens));
    let model = StepModel::new(coefficients.ok_or_else(missing)?).map_err(Fault::from)?;
    let (blocks, block_tokens) = (Blocks(blocks.ok_or_else(missing)?), block_tokens.unwrap_or(16));
    let default =
        ReplicaSpec::new(model, KvGeometry::new(blocks, block_tokens).map_err(Fault::from)?);
    let running_max = given.running_max.or(profile.map(|known| known.running_max));
    let step_tokens_max = given.step_tokens_max.or(profile.map(|known| known.step_tokens_max));
    Ok(ReplicaSpec {
        running_max: running_max.unwrap_or(default.running_max),
        step_tokens_max: step_tokens_max.unwrap_or(default.step_tokens_max),
        mode: given.mode,
        link_group: given.link_group,
        ready_at: Nanos(given.ready_at_ns),
        host_load_s_per_block: given.host_load_s_per_block,
        disk_load_s_per_block: given.disk_load_s_per_block,
        adapter_load_s: given.adapter_load_s,
        ..default
    })
}

pub(super) fn replica_state(
    now_ns: u64,
    running: u32,
    waiting: u32,
    kv_blocks_free: u32,
    more: Option<&Bound<'_, PyDict>>,
) -> PyResult<ReplicaState> {
    let mut state = ReplicaState {
        as_of: Nanos(now_ns),
        running,
        waiting,
        context_tokens: 0,
        kv_free: Blocks(kv_blocks_free),
        prefill_tokens: None,
    };
    set_options!(
        more,
        state: context_tokens,
        prefill_tokens,
        as_of_ns => |state: &mut ReplicaState, as_of_ns: Option<u64>| {
            state.as_of = Nanos(as_of_ns.unwrap_or(now_ns));
            Ok::<_, PyErr>(())
        },
    );
    Ok(state)
}

fn named(name: &str) -> Result<&'static Profile, Fault> {
    Profile::named(name).ok_or_else(|| Fault::Name { what: "engine", name: name.to_owned() })
}

fn mode(name: &str) -> Result<EngineMode, Fault> {
    match name {
        "mixed" => Ok(EngineMode::Mixed),
        "prefill" => Ok(EngineMode::Prefill),
        "decode" => Ok(EngineMode::Decode),
        _ => Err(Fault::Name { what: "mode", name: name.to_owned() }),
    }
}

pub(super) fn tier(name: &str) -> Result<Tier, Fault> {
    match name {
        "device" => Ok(Tier::Device),
        "host" => Ok(Tier::Host),
        "disk" => Ok(Tier::Disk),
        _ => Err(Fault::Name { what: "tier", name: name.to_owned() }),
    }
}

pub(super) fn status_name(status: Status) -> &'static str {
    match status {
        Status::Ready => "ready",
        Status::Draining => "draining",
        Status::Failed => "failed",
    }
}
