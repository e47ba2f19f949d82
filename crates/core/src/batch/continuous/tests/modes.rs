//! Engines of one half: prompts that are handed on, and decodes of what was handed over.

use super::*;
use crate::policy::EngineMode;

fn mode(mode: EngineMode) -> Policy {
    let mut policy = policy();
    policy.batch.mode = mode;
    policy
}

impl Rig {
    fn handed_over(&self, prompt: u32, output: u32, first_token: Nanos) -> Submission {
        Submission {
            account: self.account(0),
            prompt_tokens: Tokens(prompt),
            output_tokens_max: Tokens(50),
            handed_over: Some(HandOver { output_tokens: Tokens(output), first_token }),
            ..Submission::default()
        }
    }
}

#[test]
fn a_prefill_engine_is_done_with_the_first_token() {
    let mut policy = mode(EngineMode::Prefill);
    policy.limits.steps_in_flight_max = 2;
    // More output than the cache could hold is no matter: it is not produced here.
    let mut rig = Rig::with_blocks(&policy, 20);
    let id = rig.submit(0, 0, 100, 5_000);
    assert_eq!(rig.form().len(), 1);
    assert!(rig.form().is_empty(), "there is nothing to decode");
    let observed = rig.land();
    assert_eq!((observed.first_tokens, observed.finished), (1, 0));
    assert_eq!(rig.stage(id), Stage::HandedOver);
    let stats = rig.batcher.stats();
    assert_eq!((stats.running, stats.requests, stats.kv_blocks_free), (0, 1, Blocks(10)));
    assert_eq!(rig.batcher.next_event(rig.now), None);
    // Its blocks are in the way of the next one until they are released.
    let next = rig.submit(0, 0, 110, 5);
    assert!(rig.form().is_empty());
    assert_eq!(rig.batcher.progress(next).unwrap().obstacle, Obstacle::Memory);
    assert_eq!(rig.batcher.next_event(rig.now), None);
    rig.batcher.release(rig.now, id).unwrap();
    assert_eq!(rig.batcher.next_event(rig.now), Some(rig.now));
    assert_eq!(*requests(&rig.form()), [next]);
    let stale = |id: RequestId| Err(Error::Stale { field: "request", handle: id.to_raw() });
    assert_eq!(rig.batcher.release(rig.now, id), stale(id), "twice");
    assert_eq!(rig.batcher.release(rig.now, next), stale(next), "it runs");
    assert_eq!(rig.batcher.release(Nanos(0), next).unwrap_err().code(), -4);
}

#[test]
fn what_ends_on_a_prefill_engine_is_not_handed_on() {
    let mut rig = Rig::with_blocks(&mode(EngineMode::Prefill), 20);
    let ids = [rig.submit(0, 0, 50, 5), rig.submit(0, 0, 60, 5)];
    rig.form();
    let Flying { id, ends_at, .. } = rig.flying.remove(0);
    rig.now = ends_at;
    let result = |request, finished| StepResult { request, output_tokens: Tokens(1), finished };
    let results = [result(ids[0], true), result(ids[1], false)];
    let seen = Observation { step: id, results: &results, ..Observation::default() };
    assert_eq!(rig.batcher.observe(rig.now, &seen).unwrap().finished, 1);
    assert_eq!(rig.batcher.stats().kv_blocks_free, Blocks(14));
    rig.batcher.cancel(rig.now, ids[1]).unwrap();
    let stats = rig.batcher.stats();
    assert_eq!((stats.requests, stats.kv_blocks_free), (0, Blocks(20)));
}

#[test]
fn what_was_handed_over_decodes_at_once() {
    for kind in [EngineMode::Decode, EngineMode::Mixed] {
        let mut rig = Rig::with_blocks(&mode(kind), 20);
        rig.wait(1.0);
        let submission = rig.handed_over(100, 1, Nanos(900_000_000));
        let id = rig.batcher.submit(rig.now, &submission).unwrap().queued().unwrap();
        let entries = rig.form();
        let expected = PlanEntry {
            request: id,
            tag: 0,
            computed_tokens: Tokens(100),
            tokens: Tokens(1),
            phase: Phase::Decode,
            emits: true,
            admitted: true,
            swapped_in: false,
        };
        assert_eq!(*entries, [expected]);
        assert_eq!(rig.batcher.stats().kv_blocks_free, Blocks(9), "eleven blocks at once");
        let observed = rig.land();
        assert_eq!((observed.first_tokens, observed.output_tokens), (0, 1));
        assert_eq!(rig.batcher.progress(id).unwrap().output_tokens, Tokens(2));
        for _ in 0..48 {
            assert_eq!(rig.step().len(), 1);
        }
        let stats = rig.batcher.stats();
        assert_eq!((stats.requests, stats.kv_blocks_free), (0, Blocks(20)));
    }
}

#[test]
fn all_blocks_of_a_hand_over_must_be_free() {
    let mut rig = Rig::with_blocks(&mode(EngineMode::Decode), 20);
    let submission = rig.handed_over(100, 1, Nanos(0));
    let ids: Vec<RequestId> = (0..2)
        .map(|_| rig.batcher.submit(rig.now, &submission).unwrap().queued().unwrap())
        .collect();
    assert_eq!(*requests(&rig.step()), ids[..1]);
    assert_eq!(*requests(&rig.step()), ids[..1]);
    assert_eq!(rig.batcher.progress(ids[1]).unwrap().obstacle, Obstacle::Memory);
    rig.batcher.cancel(rig.now, ids[0]).unwrap();
    assert_eq!(*requests(&rig.step()), ids[1..]);
}

/// Its order is its next token; being past it makes nobody late.
#[test]
fn hand_overs_go_by_their_next_token() {
    let mut policy = one_seat();
    policy.batch.mode = EngineMode::Decode;
    let mut rig = Rig::new(&policy);
    rig.wait(30.0);
    let at = |seconds: f64| Nanos::from_seconds(seconds);
    // Due: 20 + 10 * 0.05, 20.2 + 0.05, 20.1 + 0.05.
    let submissions = [(10, 20.0), (1, 20.2), (1, 20.1)]
        .map(|(output, first)| rig.handed_over(100, output, at(first)));
    let ids = submissions
        .map(|submission| rig.batcher.submit(rig.now, &submission).unwrap().queued().unwrap());
    for next in [2, 1, 0] {
        assert_eq!(*requests(&rig.step()), [ids[next]]);
        assert_eq!(rig.batcher.stats().late, 0);
        rig.batcher.cancel(rig.now, ids[next]).unwrap();
    }
}

#[test]
fn a_hand_over_that_lost_its_kv_is_computed_here() {
    let mut rig = Rig::new(&mode(EngineMode::Decode));
    let submission = rig.handed_over(100, 5, Nanos(0));
    let id = rig.batcher.submit(rig.now, &submission).unwrap().queued().unwrap();
    rig.step();
    rig.batcher.preempt(id.index(), false);
    assert_eq!(rig.stage(id), Stage::Preempted);
    let entries = rig.step();
    assert_eq!((entries[0].phase, entries[0].tokens), (Phase::Prefill, Tokens(106)));
    // And one whose transfer failed before it came in.
    let id = rig.batcher.submit(rig.now, &submission).unwrap().queued().unwrap();
    rig.batcher.set_cached_tokens(id, Tokens(0)).unwrap();
    let entries = rig.step();
    assert_eq!((entries[1].phase, entries[1].tokens), (Phase::Prefill, Tokens(105)));
    assert!(entries[1].emits);
}

#[test]
fn hand_overs_where_they_do_not_belong_are_refused() {
    for (kind, brings) in [(EngineMode::Decode, false), (EngineMode::Prefill, true)] {
        let mut rig = Rig::new(&mode(kind));
        let mut submission = rig.handed_over(100, 5, Nanos(0));
        submission.handed_over = submission.handed_over.filter(|_| brings);
        let refused = Error::Contradiction {
            field: "handed_over.output_tokens",
            value: if brings { 5 } else { 0 },
            other: "batch.mode",
            other_value: kind as u64,
        };
        assert_eq!(rig.batcher.submit(rig.now, &submission), Err(refused));
    }
    let mut rig = Rig::new(&mode(EngineMode::Mixed));
    for (output, first, field) in
        [(0, 0, "output_tokens"), (50, 0, "output_tokens"), (1, 1, "first_token_ns")]
    {
        let submission = rig.handed_over(100, output, Nanos(first));
        let refused = rig.batcher.submit(rig.now, &submission).unwrap_err();
        assert_eq!((refused.code(), refused.field()), (-1, &*std::format!("handed_over.{field}")));
    }
    assert_eq!(rig.batcher.stats().requests, 0);
}

#[test]
fn the_mode_of_an_engine_stays() {
    let mut rig = Rig::new(&policy());
    let refused = Error::Range { field: "mode", value: 2, min: 0, max: 0 };
    assert_eq!(rig.batcher.set_policy(&mode(EngineMode::Decode)), Err(refused));
}

/// A draft that was rejected leaves no KV behind: the count follows the tokens that came out.
#[test]
fn rejected_drafts_hold_no_blocks() {
    let mut rig = Rig::with_blocks(&policy(), 30);
    let id = rig.submit(0, 0, 100, 100);
    rig.step();
    for (accepted, computed, free) in [(5, 105, 19), (1, 106, 19), (6, 112, 18)] {
        rig.form();
        rig.land_with(|_| Tokens(accepted));
        let progress = rig.batcher.progress(id).unwrap();
        assert_eq!(progress.computed_tokens, Tokens(computed));
        assert_eq!(rig.batcher.stats().kv_blocks_free, Blocks(free), "{accepted} came out");
    }
    // Blocks that the engine still keeps for drafts are not free until it says so.
    rig.batcher.set_kv_blocks_free(rig.now, Blocks(10)).unwrap();
    assert_eq!(rig.batcher.stats().kv_blocks_free, Blocks(10));
    rig.batcher.cancel(rig.now, id).unwrap();
    assert_eq!(rig.batcher.stats().kv_blocks_free, Blocks(22));
}
