//! Classes in order of precedence, arrival within a class: vLLM's `priority` policy.
//!
//! # What it decides
//! ```text
//! waiting   by (class, arrival); a preempted request comes back to its own turn
//! victim    the running request with the worst (class, arrival)
//! ```
//! A victim may already have a part of the step that is being planned; that part is given back.
//! With triage, late requests go behind the others *of their class*: a late interactive request
//! still goes before batch work, as the operator who ranks classes asks for.
//!
//! # What it is bad at
//! Lower classes starve for as long as higher ones keep the engine busy.
//!
//! # Source
//! vLLM V1 0.19, `scheduling_policy = "priority"`; priorities are class indices here.

use super::base::Rules;
use super::waiting::Place;
use crate::serving::state::{EngineState, Facts};

/// Class, then arrival.
#[derive(Clone, Copy, Debug, Default)]
pub struct Priority;

impl Rules for Priority {
    fn preempted_goes_first(&self) -> bool {
        false
    }

    fn place(&self, facts: &Facts) -> Place {
        Place { lane: 0, rank: u32::from(facts.class) }
    }

    fn victim(&self, running: &[u32], engine: &EngineState<'_>) -> usize {
        let worst = |position: &usize| {
            let request = running[*position];
            let facts = engine.facts(request);
            // Requests are numbered in order of arrival, which settles ties.
            (facts.class, facts.arrival, request)
        };
        (0..running.len()).max_by_key(worst).unwrap_or(0)
    }
}
