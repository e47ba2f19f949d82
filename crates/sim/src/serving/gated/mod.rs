//! A gate before an engine: who may come in, whatever the engine's own policy does with them.
//!
//! The gate stands where a proxy or a front end does. It knows who came, who is inside and who
//! ended, and nothing of steps, blocks or how long an answer becomes. What it holds waits outside, unknown to the engine's policy.
//!
//! # What it is bad at
//! A gate in front of a policy that has a queue of its own and triage, as the library's, adds
//! nothing but a second queue: it is for engines that one cannot change.

mod kind;
mod ours;
mod pace;
#[cfg(test)]
mod tests;

use rampmeter::Nanos;
use rampmeter::engine::StepFitStats;

pub use kind::GateKind;

use super::refusal::Refusal;
use super::run::RunError;
use super::scheduler::{Scheduler, StepReport};
use super::state::EngineState;
use crate::engine::Engine;
use crate::workload::Workload;
use ours::Ours;

/// `inner` behind a gate of this kind; itself where there is none.
///
/// # Errors
/// [`RunError`] for a workload that no gate can be built for.
pub fn gated<'w>(
    kind: GateKind,
    inner: Box<dyn Scheduler + 'w>,
    workload: &Workload,
    engine: &Engine,
) -> Result<Box<dyn Scheduler + 'w>, RunError> {
    let gate = match kind {
        GateKind::None => return Ok(inner),
        GateKind::Cap(most) => Gate::Cap { most, inside: 0 },
        GateKind::Rampmeter { servers } => {
            Gate::Ours(Box::new(Ours::new(workload, engine, servers)?))
        }
    };
    Ok(Box::new(Gated { inner, gate }))
}

/// What becomes of a request at the gate.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Answer {
    Enters,
    Waits,
    Leaves(Refusal),
}

/// Who keeps it.
#[derive(Debug)]
enum Gate {
    /// At most so many inside; all others are turned away at once.
    Cap { most: u32, inside: u32 },
    /// The core's.
    Ours(Box<Ours>),
}

impl Gate {
    fn arrive(&mut self, now: Nanos, request: u32, engine: &EngineState<'_>) -> Answer {
        match self {
            Self::Cap { most, inside } if *inside < *most => {
                *inside += 1;
                Answer::Enters
            }
            // It has no idea when somebody will leave.
            Self::Cap { .. } => Answer::Leaves(Refusal::Shed { retry_after: Nanos::ZERO }),
            Self::Ours(ours) => ours.arrive(now, &engine.facts(request), request),
        }
    }

    /// Somebody who waited, and what becomes of them now; `None` if nobody is to be told anything.
    fn next(&mut self, now: Nanos) -> Option<(u32, Answer)> {
        match self {
            Self::Cap { .. } => None,
            Self::Ours(ours) => ours.next(now),
        }
    }

    /// Somebody who entered is gone.
    fn ended(&mut self, now: Nanos, request: u32) {
        match self {
            Self::Cap { inside, .. } => *inside -= 1,
            Self::Ours(ours) => ours.ended(now, request),
        }
    }

    fn next_event(&self, now: Nanos) -> Option<Nanos> {
        match self {
            Self::Cap { .. } => None,
            Self::Ours(ours) => ours.next_event(now),
        }
    }
}

/// A policy behind a gate.
struct Gated<'w> {
    inner: Box<dyn Scheduler + 'w>,
    gate: Gate,
}

impl Gated<'_> {
    /// Lets the policy act; whom it sends away has left the gate's books, too.
    fn inside(
        &mut self,
        now: Nanos,
        engine: &mut EngineState<'_>,
        act: impl FnOnce(&mut dyn Scheduler, &mut EngineState<'_>),
    ) {
        let before = engine.refused().len();
        act(&mut *self.inner, engine);
        for (request, _) in &engine.refused()[before..] {
            self.gate.ended(now, *request);
        }
    }

    fn obey(&mut self, now: Nanos, request: u32, answer: Answer, engine: &mut EngineState<'_>) {
        match answer {
            Answer::Enters => {
                self.inside(now, engine, |inner, engine| inner.submit(now, request, engine));
            }
            Answer::Waits => {}
            Answer::Leaves(why) => engine.refuse(request, why),
        }
    }
}

impl Scheduler for Gated<'_> {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn submit(&mut self, now: Nanos, request: u32, engine: &mut EngineState<'_>) {
        let answer = self.gate.arrive(now, request, engine);
        self.obey(now, request, answer, engine);
    }

    fn form(&mut self, now: Nanos, engine: &mut EngineState<'_>) {
        while let Some((request, answer)) = self.gate.next(now) {
            self.obey(now, request, answer, engine);
        }
        self.inside(now, engine, |inner, engine| inner.form(now, engine));
    }

    fn observe(&mut self, now: Nanos, report: &StepReport<'_>, engine: &EngineState<'_>) {
        for outcome in report.outcomes.iter().filter(|outcome| outcome.finished) {
            self.gate.ended(now, outcome.request);
        }
        self.inner.observe(now, report, engine);
    }

    fn next_event(&self, now: Nanos) -> Option<Nanos> {
        let both = [self.inner.next_event(now), self.gate.next_event(now)];
        both.into_iter().flatten().min()
    }

    fn learned(&self) -> Option<StepFitStats> {
        self.inner.learned()
    }
}
