//! The simulator against a measured engine run: the same requests, replayed.
//!
//! # What is compared
//! For each request of the run, from the moment the engine queued it: time to first token, time
//! per output token after the first, and latency to the last token.
//! ```text
//! ttft    = first_token_ts - queued_ts
//! tpot    = (last_token_ts - first_token_ts) / (output tokens - 1)
//! latency = last_token_ts - queued_ts
//! ```
//! # What is modelled
//! The `fcfs` peer under asynchronous scheduling on one [`Engine`], with seats, step tokens and,
//! where the run recorded them, KV blocks of the run itself. Not modelled: tokenisation, the HTTP
//! front end, and whatever else happens before a request is queued.
//!
//! # Files
//! `DIR/vllm/meta.json` and `DIR/vllm/requests.jsonl`, as `LLMServingSim`'s benchmark writes them.

use std::path::Path;

use rampmeter::engine::KvGeometry;
use rampmeter::policy::{Account, Class};
use rampmeter::{Blocks, Nanos};

use super::observer::Observer;
use super::run::{RunError, RunOptions, run};
use super::spec::{PeerKind, PolicySpec, build};
use crate::InputError;
use crate::engine::Engine;
use crate::input::{self, Lines};
use crate::json::Object;
use crate::results::Latency;
use crate::workload::{Request, Workload};

/// Longest prompt or output that a measured run may name: no model takes more.
const TOKENS_MAX: u32 = 10_000_000;

/// Most GPUs of one tensor-parallel group, most seats and most KV blocks that a run may name: far
/// above any engine's, and small enough to be simulated.
const TENSOR_PARALLEL_MAX: u32 = 1_024;
const RUNNING_MAX: u32 = 65_536;
const KV_BLOCKS_MAX: u32 = 100_000_000;

/// Latest reading of the engine's monotonic clock, in seconds: 300 years.
const CLOCK_S_MAX: f64 = 1e10;

/// Longest run, in seconds of the engine's clock: ten days.
const RUN_S_MAX: f64 = 864_000.0;

/// What a request took whose first token and last token came out at these times.
fn latency(queued_s: f64, first_s: f64, last_s: f64, output_tokens: u32) -> Latency {
    let gaps = f64::from(output_tokens) - 1.0;
    Latency {
        ttft_s: first_s - queued_s,
        tpot_s: (gaps > 0.0).then(|| (last_s - first_s) / gaps),
        latency_s: last_s - queued_s,
    }
}

/// A measured run: the engine's limits, its requests, and what they took.
#[derive(Clone, Debug)]
pub struct MeasuredRun {
    /// The model, as the run names it.
    pub model: String,
    /// GPUs that worked on each step.
    pub tensor_parallel: u32,
    /// Requests that could run at once.
    pub running_max: u32,
    /// Tokens that a step could compute.
    pub step_tokens_max: u32,
    /// Blocks of the KV cache, where the run recorded them.
    pub kv_blocks: Option<u32>,
    /// The requests, in the order in which they were queued, from time zero.
    pub workload: Workload,
    /// What each of them took.
    pub latencies: Vec<Latency>,
}

/// One request, measured and simulated.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Compared {
    /// On the real engine.
    pub measured: Latency,
    /// In the simulator.
    pub simulated: Latency,
}

/// What `meta.json` says of the engine.
struct Meta {
    model: String,
    tensor_parallel: u32,
    running_max: u32,
    step_tokens_max: u32,
    kv_blocks: Option<u32>,
}

/// What one line of `requests.jsonl` says.
struct Row {
    input_toks: u32,
    output_toks: u32,
    queued_ts: f64,
    first_token_ts: f64,
    last_token_ts: f64,
}

/// Reads a measured run from `dir/vllm`.
///
/// # Errors
/// [`InputError`] naming file, line and field of the first thing that cannot be used.
pub fn read(dir: &Path) -> Result<MeasuredRun, InputError> {
    let meta_path = dir.join("vllm").join("meta.json");
    let meta = read_meta(&meta_path)?;
    let rows_path = dir.join("vllm").join("requests.jsonl");
    let mut rows = read_rows(&rows_path)?;
    rows.sort_by(|a, b| a.queued_ts.total_cmp(&b.queued_ts));
    let Some(start_s) = rows.first().map(|row| row.queued_ts) else {
        return Err(InputError::new(&rows_path, "has no requests"));
    };
    let requests = rows.iter().map(|row| Request {
        arrival: Nanos::from_seconds(row.queued_ts - start_s),
        prompt_tokens: row.input_toks,
        output_tokens: row.output_toks,
        // The benchmark ignores end-of-sequence: the engine knew every length.
        output_tokens_max: row.output_toks,
        class: 0,
        account: 0,
        prefix: Box::default(),
    });
    let latencies = rows
        .iter()
        .map(|row| latency(row.queued_ts, row.first_token_ts, row.last_token_ts, row.output_toks));
    Ok(MeasuredRun {
        model: meta.model,
        tensor_parallel: meta.tensor_parallel,
        running_max: meta.running_max,
        step_tokens_max: meta.step_tokens_max,
        kv_blocks: meta.kv_blocks,
        latencies: latencies.collect(),
        workload: Workload {
            source: rows_path.display().to_string(),
            requests: requests.collect(),
            classes: vec![Class {
                ttft_target: Nanos::MAX,
                tpot_target: Nanos::MAX,
                delay_value: 1.0,
                ..Class::new("measured")
            }],
            accounts: vec![Account::new("measured", 1.0)],
            prefix_block_tokens: 0,
        },
    })
}

fn read_meta(path: &Path) -> Result<Meta, InputError> {
    let text = input::document(path)?;
    let meta = Object::parse(path, &text)?;
    let kwargs = meta.object("engine_kwargs")?;
    let cache = if meta.has("kv_cache") { Some(meta.object("kv_cache")?) } else { None };
    let recorded = cache.filter(|cache| cache.has("num_gpu_blocks"));
    let kv_blocks = recorded.map(|cache| cache.count("num_gpu_blocks", 1, KV_BLOCKS_MAX));
    Ok(Meta {
        model: meta.text("model")?.to_owned(),
        tensor_parallel: kwargs.count("tensor_parallel_size", 1, TENSOR_PARALLEL_MAX)?,
        running_max: kwargs.count("max_num_seqs", 1, RUNNING_MAX)?,
        step_tokens_max: kwargs.count("max_num_batched_tokens", 1, TOKENS_MAX)?,
        kv_blocks: kv_blocks.transpose()?,
    })
}

fn read_rows(path: &Path) -> Result<Vec<Row>, InputError> {
    let mut lines = Lines::open(path)?;
    let mut rows: Vec<Row> = Vec::new();
    while let Some((number, line)) = lines.next_line()? {
        rows.push(read_row(path, line).map_err(|error| error.at_line(number))?);
    }
    let start_s = rows.iter().map(|row| row.queued_ts).fold(f64::INFINITY, f64::min);
    let end_s = rows.iter().map(|row| row.last_token_ts).fold(start_s, f64::max);
    if end_s - start_s > RUN_S_MAX {
        let problem = format!("spans {} s, at most {RUN_S_MAX} s are possible", end_s - start_s);
        return Err(InputError::new(path, problem));
    }
    Ok(rows)
}

fn read_row(path: &Path, line: &str) -> Result<Row, InputError> {
    let object = Object::parse(path, line)?;
    let time = |field: &str| object.real(field, 0.0, CLOCK_S_MAX);
    let row = Row {
        input_toks: object.count("input_toks", 1, TOKENS_MAX)?,
        output_toks: object.count("output_toks", 1, TOKENS_MAX)?,
        queued_ts: time("queued_ts")?,
        first_token_ts: time("first_token_ts")?,
        last_token_ts: time("last_token_ts")?,
    };
    for (field, value, since) in [
        ("first_token_ts", row.first_token_ts, row.queued_ts),
        ("last_token_ts", row.last_token_ts, row.first_token_ts),
    ] {
        if value < since {
            let problem = format!("{value} is before what comes first, at {since}");
            return Err(InputError::new(path, problem).in_field(field));
        }
    }
    Ok(row)
}

/// The engine with the limits of the measured run.
///
/// # Errors
/// [`InputError`] if the recorded KV cache cannot be.
pub fn engine_of(measured: &MeasuredRun, engine: &Engine) -> Result<Engine, InputError> {
    let blocks = measured.kv_blocks.map_or(engine.kv.blocks(), Blocks);
    let kv = KvGeometry::new(blocks, engine.kv.block_tokens())
        .map_err(|error| InputError::new(&measured.workload.source, error.to_string()))?;
    Ok(Engine {
        kv,
        running_max: measured.running_max,
        step_tokens_max: measured.step_tokens_max,
        ..engine.clone()
    })
}

/// Serves the requests of the measured run in the simulator, as its engine did.
///
/// # Errors
/// [`RunError`] if the engine cannot run them; a request that it refuses has no latency and is
/// reported as [`RunError::Workload`].
pub fn replay(measured: &MeasuredRun, engine: &Engine) -> Result<Vec<Compared>, RunError> {
    let workload = &measured.workload;
    let engine = engine_of(measured, engine)?;
    let options = RunOptions::default();
    let fcfs = PolicySpec::peer(PeerKind::Fcfs);
    let scheduler = build(&fcfs, workload, &engine, options.steps_in_flight)?;
    let mut stamps = Stamps { first: vec![None; workload.requests.len()], last: Vec::new() };
    stamps.last = stamps.first.clone();
    run(workload, &engine, scheduler, options, &mut stamps)?;
    let ends = stamps.first.iter().zip(&stamps.last);
    let rows = workload.requests.iter().zip(&measured.latencies).zip(ends).zip(0u32..);
    rows.map(|(((request, measured), (first, last)), index)| {
        let (Some(first), Some(last)) = (first, last) else {
            return Err(RunError::Workload {
                workload: workload.source.clone(),
                request: index,
                problem: "does not fit into the KV cache of the engine",
            });
        };
        let queued_s = request.arrival.as_seconds();
        let output_tokens = request.output_tokens;
        let simulated = latency(queued_s, first.as_seconds(), last.as_seconds(), output_tokens);
        Ok(Compared { measured: *measured, simulated })
    })
    .collect()
}

/// When each request's first and last token came out.
struct Stamps {
    first: Vec<Option<Nanos>>,
    last: Vec<Option<Nanos>>,
}

impl Observer for Stamps {
    fn first_token(&mut self, now: Nanos, request: u32) {
        self.first[request as usize] = Some(now);
    }

    fn finished(&mut self, now: Nanos, request: u32) {
        self.last[request as usize] = Some(now);
    }
}

#[cfg(test)]
#[path = "validate_tests.rs"]
mod tests;
