//! Time of the attention kernel of one layer: what a step reads of the KV cache.
//!
//! # What it decides
//! Attention time from four sizes: prompt tokens computed in the step (all chunks together), the
//! KV tokens those prompts had before, the requests that decode, and their mean KV tokens.
//!
//! # Formula
//! Two grids, since a step without decodes runs another kernel and has no decode context:
//! prompts alone over (chunk, history), and steps with decodes over (chunk, decodes, history,
//! decode context). Each is interpolated and continued as [`super::grid`] says. The axes are in the
//! order in which missing points should borrow: first from another context of the same decodes,
//! then from another history, then from another number of decodes, and last from another chunk.
//!
//! # What it is bad at
//! Batches of very unequal contexts: only their mean is known to the table.

use std::path::Path;

use rampmeter::engine::StepShape;

use super::grid::{CELLS_MAX, Grid};
use super::rows::{Columns, Row};
use crate::InputError;

/// The columns of `attention.csv`.
const COLUMNS: Columns<0, 4> = Columns {
    texts: [],
    sizes: ["prefill_chunk", "kv_prefill", "n_decode", "kv_decode"],
    time_us: "time_us",
};

/// Attention of one layer, measured.
#[derive(Clone, Debug)]
pub(super) struct Attention {
    /// Over (chunk, history).
    prompts: Grid<2>,
    /// Over (chunk, decodes, history, mean decode context).
    decodes: Grid<4>,
}

impl Attention {
    /// Reads `attention.csv`.
    ///
    /// # Errors
    /// As [`Columns::read`], and when one of the two grids would have no points or too many.
    pub(super) fn read(path: &Path) -> Result<Self, InputError> {
        let rows = COLUMNS.read(path)?;
        let (prompts, decodes): (Vec<_>, Vec<_>) = rows.iter().partition(|row| row.sizes[2] == 0);
        let grid_error = |what: &str, rows: usize| {
            let problem = if rows == 0 {
                format!("no row {what}; at least one is needed")
            } else {
                format!("rows {what} differ so much that their grid exceeds {CELLS_MAX} cells")
            };
            InputError::new(path, problem).in_field("n_decode")
        };
        let prompt = |row: &&Row<0, 4>| {
            let [chunk, history, ..] = row.sizes.map(f64::from);
            ([chunk, history], row.time_us)
        };
        let decode = |row: &&Row<0, 4>| {
            let [chunk, history, requests, context] = row.sizes.map(f64::from);
            ([chunk, requests, history, context], row.time_us)
        };
        Ok(Self {
            prompts: Grid::through(&prompts.iter().map(prompt).collect::<Vec<_>>())
                .ok_or_else(|| grid_error("with `n_decode` = 0", prompts.len()))?,
            decodes: Grid::through(&decodes.iter().map(decode).collect::<Vec<_>>())
                .ok_or_else(|| grid_error("with `n_decode` >= 1", decodes.len()))?,
        })
    }

    /// Microseconds in one layer.
    #[inline]
    pub(super) fn time_us(&self, shape: &StepShape) -> f64 {
        let chunk = f64::from(shape.prefill_tokens);
        let history = shape.prefill_history_tokens as f64;
        match shape.decode_context_tokens.checked_div(u64::from(shape.decode_requests)) {
            Some(context) => {
                let requests = f64::from(shape.decode_requests);
                self.decodes.at([chunk, requests, history, context as f64])
            }
            None if shape.prefill_tokens == 0 => 0.0,
            None => self.prompts.at([chunk, history]),
        }
    }
}
