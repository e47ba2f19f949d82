//! The clock of an engine whose kernels were measured.
//!
//! # What it decides
//! How long a step takes, from the times of its kernels.
//!
//! # Formula
//! ```text
//! step = overhead
//!      + embedding(T) + final_layernorm(T)
//!      + layers * [ 2 layernorm + qkv_proj + qk_norm + rotary_emb + attention + o_proj
//!                 + gate_up_proj + act_fn + down_proj + 2 all_reduce ](T)
//!      + lm_head(n) + sampler(n)
//! ```
//! `T` tokens in the step (prompt and decode), `n` requests whose last token goes through the
//! head. `qk_norm` where the model has it, `attention` as in [`super::attention`]. `all_reduce`
//! with tensor parallelism `g` over links of `B` bytes a second, in a ring: `2 (g - 1) / g` of the
//! activations (`T * hidden_size * 2` bytes) pass every link, and `g - 1` exchanges wait for the
//! link's latency.
//!
//! # Overhead
//! A constant for what no kernel table holds: planning the step, launches, host work between
//! steps. See [`STEP_OVERHEAD_US`].
//!
//! # Bounds and cost
//! The dense kernels depend on `T` alone, so that they are added up once, when read; a step costs
//! three look-ups.
//!
//! # What it is bad at
//! Kernels that overlap, graph capture that pads the batch, and links shared with others.

use std::path::Path;

use super::attention::Attention;
use super::grid::Grid;
use super::rows::Columns;
use super::{Step, StepClock};
use crate::InputError;

/// Host time a step that no kernel table holds, in microseconds, unless `engine.toml` says
/// otherwise.
///
/// One and the same value for both measured vLLM 0.19 runs that the simulator is checked against
/// (Llama-3.1-8B and Qwen3-32B on RTX PRO 6000): without it simulated steps are 1 to 3% too short;
/// 900 us suits the former a little better and the latter a little worse.
pub const STEP_OVERHEAD_US: f64 = 600.0;

/// Bytes of one activation: 16-bit floats, as all known tables were measured with.
const ACTIVATION_BYTES: f64 = 2.0;

/// All-reduces a layer under tensor parallelism: after attention, and after the MLP.
const ALL_REDUCES_PER_LAYER: f64 = 2.0;

/// Bytes in a gigabyte, as link speeds are given.
const BYTES_PER_GB: f64 = 1e9;

const US_PER_S: f64 = 1e6;

/// How often a kernel runs in one step.
#[derive(Clone, Copy)]
enum Runs {
    /// This many times.
    Once,
    /// So many times in every layer.
    PerLayer(f64),
    /// As `PerLayer`, in models that have it.
    PerLayerIfMeasured(f64),
}

/// The kernels of `dense.csv`.
const DENSE: [(&str, Runs); 10] = [
    ("embedding", Runs::Once),
    ("layernorm", Runs::PerLayer(2.0)),
    ("qkv_proj", Runs::PerLayer(1.0)),
    ("qk_norm", Runs::PerLayerIfMeasured(1.0)),
    ("rotary_emb", Runs::PerLayer(1.0)),
    ("o_proj", Runs::PerLayer(1.0)),
    ("gate_up_proj", Runs::PerLayer(1.0)),
    ("act_fn", Runs::PerLayer(1.0)),
    ("down_proj", Runs::PerLayer(1.0)),
    ("final_layernorm", Runs::Once),
];

/// The kernels of `per_sequence.csv`.
const PER_SEQUENCE: [(&str, Runs); 2] = [("lm_head", Runs::Once), ("sampler", Runs::Once)];

/// What the tables do not say about the engine that they were measured on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Layout {
    /// Transformer layers.
    pub layers: u32,
    /// Width of the activations, in elements.
    pub hidden_size: u32,
    /// GPUs that share every layer.
    pub tensor_parallel: u32,
    /// What one link carries, in 10^9 bytes a second in one direction.
    pub link_gb_per_s: f64,
    /// How long one exchange between two neighbours takes besides its bytes, in microseconds.
    pub link_latency_us: f64,
    /// Host time a step, in microseconds.
    pub step_overhead_us: f64,
}

impl Layout {
    /// Communication in one step: microseconds whatever it holds, and microseconds a token.
    fn communication_us(&self) -> (f64, f64) {
        let gpus = f64::from(self.tensor_parallel);
        let all_reduces = ALL_REDUCES_PER_LAYER * f64::from(self.layers);
        let bytes_per_token = f64::from(self.hidden_size) * ACTIVATION_BYTES;
        let share = 2.0 * (gpus - 1.0) / gpus;
        let us_per_token = share * bytes_per_token / (self.link_gb_per_s * BYTES_PER_GB) * US_PER_S;
        (all_reduces * (gpus - 1.0) * self.link_latency_us, all_reduces * us_per_token)
    }
}

/// Step times from measured kernels. See the module documentation.
#[derive(Clone, Debug)]
pub struct TableClock {
    layers: f64,
    /// Microseconds of all kernels of a step that depend on its tokens alone.
    dense: Grid<1>,
    /// Microseconds of the head and the sampler, over requests.
    head: Grid<1>,
    attention: Attention,
    fixed_us: f64,
    communication_us_per_token: f64,
}

impl TableClock {
    /// Reads `dense.csv`, `per_sequence.csv` and `attention.csv` in `folder`.
    ///
    /// # Errors
    /// Naming file, line and column: a file that is missing, empty or no table; a value outside
    /// its range; a repeated row; a kernel that is missing or unknown.
    pub fn read(folder: &Path, layout: &Layout) -> Result<Self, InputError> {
        let layers = f64::from(layout.layers);
        let (fixed_us, communication_us_per_token) = layout.communication_us();
        Ok(Self {
            layers,
            dense: read_kernels(&folder.join("dense.csv"), "tokens", &DENSE, layers)?,
            head: read_kernels(
                &folder.join("per_sequence.csv"),
                "sequences",
                &PER_SEQUENCE,
                layers,
            )?,
            attention: Attention::read(&folder.join("attention.csv"))?,
            fixed_us: layout.step_overhead_us + fixed_us,
            communication_us_per_token,
        })
    }
}

impl StepClock for TableClock {
    fn seconds(&self, step: &Step) -> f64 {
        let shape = &step.shape;
        let tokens = f64::from(shape.prefill_tokens) + f64::from(shape.decode_requests);
        let us = self.fixed_us
            + self.dense.at([tokens])
            + self.communication_us_per_token * tokens
            + self.layers * self.attention.time_us(shape)
            + self.head.at([f64::from(step.sampled_requests)]);
        us / US_PER_S
    }
}

/// The times of all `kernels` together in one step, over the column `size`.
fn read_kernels(
    path: &Path,
    size: &'static str,
    kernels: &[(&'static str, Runs)],
    layers: f64,
) -> Result<Grid<1>, InputError> {
    let columns = Columns { texts: ["layer"], sizes: [size], time_us: "time_us" };
    let rows = columns.read(path)?;
    if let Some(row) = rows.iter().find(|row| kernels.iter().all(|(name, _)| *name != row.texts[0]))
    {
        let known = kernels.iter().map(|(name, _)| *name);
        let problem = crate::nearest::unknown(&row.texts[0], "kernel", known);
        return Err(InputError::new(path, problem).at_line(row.line).in_field("layer"));
    }
    let mut curves = Vec::new();
    for &(name, runs) in kernels {
        let measured = rows.iter().filter(|row| row.texts[0] == name);
        let points: Vec<_> = measured.map(|row| ([f64::from(row.sizes[0])], row.time_us)).collect();
        let times = match runs {
            Runs::Once => 1.0,
            Runs::PerLayer(times) | Runs::PerLayerIfMeasured(times) => layers * times,
        };
        match (Grid::through(&points), runs) {
            (Some(curve), _) => curves.push((times, curve)),
            (None, Runs::PerLayerIfMeasured(_)) => {}
            (None, _) => {
                let problem = format!("no row for the kernel `{name}`; at least one is needed");
                return Err(InputError::new(path, problem).in_field("layer"));
            }
        }
    }
    // A sum of curves that are straight between their points is straight between all points.
    let sizes = curves.iter().flat_map(|(_, curve)| curve.axis(0));
    let points: Vec<_> = sizes
        .map(|&size| ([size], curves.iter().map(|(times, curve)| times * curve.at([size])).sum()))
        .collect();
    Grid::through(&points).ok_or_else(|| InputError::new(path, "has no rows"))
}
