//! Requests that are sent away: who may be, what is told, and what is left of them.

use proptest::prelude::*;
use rampmeter::Nanos;

use super::refusal::Refusal;
use super::run::RunOptions;
use super::scheduler::{Scheduler, StepReport};
use super::state::EngineState;
use super::testing::{Log, S, engine, log_of, request, workload};
use crate::workload::Workload;

/// Serves one request after the other, and sends away what a closure says, by the number of the
/// call.
struct Refuses<F> {
    act: F,
    calls: u32,
    waiting: Vec<u32>,
    serves: Option<u32>,
}

impl<F: FnMut(u32, &mut Vec<u32>, &mut EngineState<'_>)> Scheduler for Refuses<F> {
    fn name(&self) -> &'static str {
        "act"
    }
    fn submit(&mut self, _now: Nanos, request: u32, engine: &mut EngineState<'_>) {
        self.waiting.push(request);
        self.calls += 1;
        (self.act)(self.calls, &mut self.waiting, engine);
    }
    fn form(&mut self, _now: Nanos, engine: &mut EngineState<'_>) {
        self.calls += 1;
        (self.act)(self.calls, &mut self.waiting, engine);
        if self.serves.is_none() && !self.waiting.is_empty() {
            let next = self.waiting.remove(0);
            engine.admit(next);
            self.serves = Some(next);
        }
        if let Some(request) = self.serves {
            let tokens = engine.remaining_tokens(request).min(engine.tokens_left());
            if tokens > 0 {
                assert!(engine.compute(request, tokens));
            }
        }
    }
    fn observe(&mut self, _now: Nanos, report: &StepReport<'_>, _engine: &EngineState<'_>) {
        if report.outcomes.iter().any(|outcome| outcome.finished) {
            self.serves = None;
        }
    }
}

fn log_with(
    workload: &Workload,
    steps_in_flight: u32,
    act: impl FnMut(u32, &mut Vec<u32>, &mut EngineState<'_>),
) -> Result<Log, String> {
    let policy = Refuses { act, calls: 0, waiting: Vec::new(), serves: None };
    let options = RunOptions { steps_in_flight, ..RunOptions::default() };
    log_of(workload, &engine(100, 2, 10), Box::new(policy), options)
        .map_err(|error| error.to_string())
}

#[test]
fn who_is_sent_away_hears_of_it_at_once_and_once() {
    let workload = workload(vec![request(0.0, 8, 3), request(0.5, 8, 3), request(0.5, 8, 3)]);
    let shed = Refusal::Shed { retry_after: Nanos(7 * S) };
    let log = log_with(&workload, 1, |call, waiting, engine| {
        // The first call is the submission of request 0, the second its first step, the third the
        // submission of request 1.
        if call == 3 {
            waiting.retain(|request| *request != 1);
            engine.refuse(1, shed);
        }
    });
    let log = log.unwrap();
    assert_eq!(log.refused, [1]);
    assert!(log.lines.contains(&format!("{} refused 1: {shed:?}", Nanos(S))), "{:?}", log.lines);
    assert_eq!((log.finished[1].len(), log.served[1]), (0, (0, 0)));
    assert_eq!(
        (log.finished[0].as_slice(), log.finished[2].as_slice()),
        (&[3 * S][..], &[6 * S][..])
    );
}

#[test]
fn an_idle_engine_whose_whole_queue_is_sent_away_is_done() {
    let workload = workload((0..9).map(|_| request(0.0, 8, 3)).collect());
    let mut held = Vec::new();
    let log = log_with(&workload, 2, |call, waiting, engine| {
        // All nine have come: whoever is formed for now is hidden, and goes later.
        if call > 9 {
            held.append(waiting);
            if let Some(request) = held.pop() {
                engine.refuse(request, Refusal::Expired);
            }
        }
    });
    assert_eq!(log.unwrap().refused, [8, 7, 6, 5, 4, 3, 2, 1, 0]);
}

#[test]
fn only_what_waits_can_be_sent_away() {
    let workload = workload(vec![request(0.0, 8, 3), request(9.0, 8, 3)]);
    let wrong: [(u32, u32); 4] = [(3, 0), (2, 1), (1, 77), (9, 0)];
    for (at, request) in wrong {
        let error = log_with(&workload, 1, |call, _, engine| {
            if call == at {
                engine.refuse(request, Refusal::Expired);
            }
        });
        let expected = format!("request {request} was admitted or refused but does not wait");
        assert!(error.as_ref().is_err_and(|error| error.contains(&expected)), "{error:?}");
    }
    let twice = log_with(&workload, 1, |call, waiting, engine| {
        if call == 1 {
            waiting.clear();
            engine.refuse(0, Refusal::Expired);
            engine.refuse(0, Refusal::Expired);
        }
    });
    assert!(twice.is_err());
}

proptest! {
    /// Whoever comes is served to the end or sent away, and never both.
    #[test]
    fn everybody_is_served_or_sent_away(
        gaps in prop::collection::vec(0u32..6, 1..30), seed: u64, steps_in_flight in 1u32..=4,
    ) {
        let mut at = 0.0;
        let of = |gap: &u32| {
            at += f64::from(*gap) * 0.7;
            request(at, 5 + gap, 1 + gap % 3)
        };
        let workload = workload(gaps.iter().map(of).collect());
        let mut state = seed;
        let log = log_with(&workload, steps_in_flight, |_, waiting, engine| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            if (state >> 33).is_multiple_of(3) && !waiting.is_empty() {
                let request = waiting.swap_remove((state >> 40) as usize % waiting.len());
                engine.refuse(request, Refusal::Expired);
            }
        });
        let log = log.unwrap();
        for index in 0..gaps.len() {
            let refusals = log.refused.iter().filter(|refused| **refused == index as u32).count();
            prop_assert_eq!(refusals + log.finished[index].len(), 1, "request {}", index);
        }
    }
}
