//! One policy over one workload, with the books kept: what `replay serving` and `highway` are
//! made of.

use rampmeter::Nanos;
use rampmeter::policy::Policy;

use super::bound::service_bound;
use super::gated::{GateKind, gated};
use super::observer::Observer;
use super::run::{RunError, RunOptions, run};
use super::spec::{PolicySpec, build};
use crate::engine::{Engine, Step};
use crate::results::{Labels, Recorder, ServingRun};
use crate::workload::Workload;

/// Serves `workload` under the policy that `spec` names, behind a gate; `load` and `seed` only label
/// the result.
///
/// Every policy is judged by the workload's own targets, whatever its document says.
///
/// # Errors
/// [`RunError`] naming the option, the document, the request or the rule that was broken.
pub fn replay(
    workload: &Workload,
    engine: &Engine,
    spec: &PolicySpec,
    gate: GateKind,
    options: RunOptions,
    load: Option<f64>,
    seed: u64,
) -> Result<ServingRun, RunError> {
    let scheduler = build(spec, workload, engine, options.steps_in_flight)?;
    let scheduler = gated(gate, scheduler, workload, engine)?;
    let judge = Policy::default();
    let mut recorder = Recorder::new(workload, &judge, 1)?;
    let end = run(workload, engine, scheduler, options, &mut recorder)?;
    let labels = Labels {
        policy: spec.to_string(),
        gate: gate.to_string(),
        router: "none".to_owned(),
        load,
        seed,
        service_bound: service_bound(spec, workload, engine, &judge)?,
    };
    Ok(recorder.finish(end, labels)?)
}

/// Serves `workload` and returns every step with the seconds it took: what a step model is fitted
/// to.
///
/// # Errors
/// As [`replay`].
pub fn steps_of(
    workload: &Workload,
    engine: &Engine,
    spec: &PolicySpec,
    options: RunOptions,
) -> Result<Vec<(Step, f64)>, RunError> {
    let scheduler = build(spec, workload, engine, options.steps_in_flight)?;
    let mut log = StepLog::default();
    run(workload, engine, scheduler, options, &mut log)?;
    Ok(log.steps)
}

#[derive(Default)]
struct StepLog {
    steps: Vec<(Step, f64)>,
}

impl Observer for StepLog {
    fn step(&mut self, start: Nanos, end: Nanos, step: &Step) {
        self.steps.push((*step, end.saturating_sub(start).as_seconds()));
    }
}
