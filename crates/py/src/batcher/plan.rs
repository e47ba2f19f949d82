//! What a step computes: columns over the arrays that the batcher wrote.

use std::sync::Arc;

use pyo3::prelude::*;
use rampmeter::batch::continuous::{Formed, PlanArrays, PlanEntry};

use crate::column::{Column, Element};
use crate::record::record;

record! {
    /// A request that loses its KV before the step and waits again: free its blocks.
    "rampmeter.batch" Preemption {
        request: u64,
        tag: u64,
        computed_tokens: u32,
        swapped_out: bool,
        restore_s: f64,
        price: f64,
    }
}
record! {
    /// A request that waited for too long and is given up; it is forgotten.
    "rampmeter.batch" Expiry {
        request: u64,
        tag: u64,
    }
}

/// Arrays that are kept to be filled again: as many as a host holds at once that has four steps in
/// flight, the most that there are, and looks at the last.
const KEPT_MAX: usize = 5;

/// Arrays for plans, each of which is filled again once nobody holds it.
#[derive(Debug)]
pub(super) struct Arrays {
    running_max: u32,
    kept: Vec<Arc<PlanArrays>>,
}

impl Arrays {
    pub(super) fn new(running_max: u32) -> Self {
        let mut kept = Vec::with_capacity(KEPT_MAX);
        kept.push(Arc::new(PlanArrays::new(running_max)));
        Self { running_max, kept }
    }

    /// Bytes of one.
    pub(super) fn bytes_needed(running_max: u32) -> u64 {
        let row = size_of::<PlanEntry>()
            + size_of::<rampmeter::batch::continuous::Preemption>()
            + size_of::<rampmeter::batch::continuous::Expiry>();
        u64::from(running_max) * row as u64
    }

    /// Arrays that nobody else holds; the first of what is kept afterwards.
    pub(super) fn vacant(&mut self) -> &mut Arc<PlanArrays> {
        let vacant = self.kept.iter_mut().position(|held| Arc::get_mut(held).is_some());
        let at = vacant.unwrap_or_else(|| {
            // The host keeps many plans: the oldest becomes its own.
            if self.kept.len() == KEPT_MAX {
                self.kept.remove(0);
            }
            self.kept.push(Arc::new(PlanArrays::new(self.running_max)));
            self.kept.len() - 1
        });
        &mut self.kept[at]
    }
}

/// What a step computes, formed by `Batcher.form`.
///
/// Its columns show one element for each request of the step: requests that decode come first,
/// `decode_requests` of them, then those whose prompt is computed. It stays as it is for as long as
/// it is held; when it is not, its memory serves for a later plan.
///
/// `step` is `None` where there is nothing to run; then, too, requests may have lost their KV
/// (`preempted`) or been given up (`expired`). Act on `preempted` before the step runs.
///
/// See `Batcher`.
#[pyclass(frozen, module = "rampmeter.batch")]
#[derive(Debug)]
pub(crate) struct Plan {
    arrays: Arc<PlanArrays>,
    formed: Formed,
}

impl Plan {
    pub(super) const fn new(arrays: Arc<PlanArrays>, formed: Formed) -> Self {
        Self { arrays, formed }
    }

    fn column<T: Element + 'static>(&self, field: fn(&PlanEntry) -> &T) -> Column {
        let len = self.formed.entries_len as usize;
        Column::new(&self.arrays, |arrays| &arrays.entries, field, len)
    }
}

#[pymethods]
impl Plan {
    /// The step, to be observed, or `None`.
    #[getter]
    fn step(&self) -> Option<u64> {
        self.formed.step
    }

    /// Requests that get a seat with this step.
    #[getter]
    fn admissions(&self) -> u32 {
        self.formed.admitted
    }

    /// When the step is expected to begin: now, or after the steps in flight.
    #[getter]
    fn starts_at_ns(&self) -> u64 {
        self.formed.starts_at.get()
    }

    /// When it is expected to end.
    #[getter]
    fn ends_at_ns(&self) -> u64 {
        self.formed.ends_at.get()
    }

    /// Prompt tokens that the step computes.
    #[getter]
    fn prefill_tokens(&self) -> u32 {
        self.formed.shape.prefill_tokens
    }

    /// KV tokens that requests with a prompt chunk had before the step.
    #[getter]
    fn prefill_history_tokens(&self) -> u64 {
        self.formed.shape.prefill_history_tokens
    }

    /// Requests that decode in it.
    #[getter]
    fn decode_requests(&self) -> u32 {
        self.formed.shape.decode_requests
    }

    /// KV tokens that decoding requests had before the step.
    #[getter]
    fn decode_context_tokens(&self) -> u64 {
        self.formed.shape.decode_context_tokens
    }

    /// The requests.
    #[getter]
    fn request(&self) -> Column {
        self.column(|entry| &entry.request)
    }

    /// The host's own numbers for them.
    #[getter]
    fn tag(&self) -> Column {
        self.column(|entry| &entry.tag)
    }

    /// Tokens that each has in KV before the step. Where `admitted`, these are not its own: they
    /// come from the prefix cache, from a request that it shares with, or with its hand-over.
    #[getter]
    fn computed_tokens(&self) -> Column {
        self.column(|entry| &entry.computed_tokens)
    }

    /// Tokens to compute of each.
    #[getter]
    fn tokens(&self) -> Column {
        self.column(|entry| &entry.tokens)
    }

    /// `PREFILL` or `DECODE`.
    #[getter]
    fn phase(&self) -> Column {
        self.column(|entry| &entry.phase)
    }

    /// Whether the step ends with an output token of it.
    #[getter]
    fn emits(&self) -> Column {
        self.column(|entry| &entry.emits)
    }

    /// Whether it gets its seat with this step.
    #[getter]
    fn admitted(&self) -> Column {
        self.column(|entry| &entry.admitted)
    }

    /// Whether its KV comes back from where it was swapped to, before the step.
    #[getter]
    fn swapped_in(&self) -> Column {
        self.column(|entry| &entry.swapped_in)
    }

    /// Who loses their KV before the step.
    #[getter]
    fn preempted(&self) -> Vec<Preemption> {
        let all = &self.arrays.preempted[..self.formed.preempted_len as usize];
        let record = |one: &rampmeter::batch::continuous::Preemption| Preemption {
            request: one.request.to_raw(),
            tag: one.tag,
            computed_tokens: one.computed_tokens.get(),
            swapped_out: one.swapped_out,
            restore_s: one.restore_s,
            price: one.price,
        };
        all.iter().map(record).collect()
    }

    /// Who waited for too long.
    #[getter]
    fn expired(&self) -> Vec<Expiry> {
        let all = &self.arrays.expired[..self.formed.expired_len as usize];
        all.iter().map(|one| Expiry { request: one.request.to_raw(), tag: one.tag }).collect()
    }

    fn __len__(&self) -> usize {
        self.formed.entries_len as usize
    }

    fn __bool__(&self) -> bool {
        self.formed.step.is_some()
    }

    fn __repr__(&self) -> String {
        let Formed { entries_len, preempted_len, expired_len, .. } = self.formed;
        let step = self.formed.step.map_or_else(|| "None".to_owned(), |step| step.to_string());
        format!(
            "Plan(step={step}, entries={entries_len}, preempted={preempted_len}, \
             expired={expired_len})"
        )
    }
}
