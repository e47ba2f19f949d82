//! Who gives way when the KV cache is full, and how it comes back.

use super::*;

/// Two requests of 100 prompt tokens decode in a cache that both fill up.
fn full_cache(policy: &Policy, classes: [u16; 2]) -> (Rig, [RequestId; 2]) {
    let mut rig = Rig::with_blocks(policy, 22);
    let ids = classes.map(|class| rig.submit(class, 0, 100, 100));
    for _ in 0..11 {
        assert_eq!(rig.step().len(), 2);
        assert!(rig.preempted.is_empty());
    }
    assert_eq!(rig.batcher.stats().kv_blocks_free, Blocks(0));
    (rig, ids)
}

#[test]
fn the_victim_costs_least_to_compute_again() {
    // Equal work and blocks, but a second of the lower class is worth a tenth.
    for (classes, victim) in [([0, 1], 1), ([1, 0], 0)] {
        let (mut rig, ids) = full_cache(&policy(), classes);
        let entries = rig.form();
        assert_eq!(*requests(&entries), [ids[1 - victim]]);
        assert_eq!(rig.preempted.len(), 1);
        assert_eq!(rig.preempted[0].request, ids[victim]);
        assert_eq!(rig.preempted[0].computed_tokens, Tokens(110));
        assert_eq!(rig.stage(ids[victim]), Stage::Preempted);
    }
}

#[test]
fn among_equals_the_newest_gives_way() {
    let (mut rig, ids) = full_cache(&policy(), [0, 0]);
    rig.form();
    assert_eq!(rig.preempted[0].request, ids[1]);
}

#[test]
fn a_victim_too_often_comes_last() {
    let mut policy = policy();
    policy.batch.preemptions_max = 1;
    let (mut rig, ids) = full_cache(&policy, [0, 1]);
    rig.batcher.request_mut(ids[1].index()).preemptions = 1;
    rig.form();
    assert_eq!(rig.preempted[0].request, ids[0], "dearer, but it was spared so far");
}

/// Two requests, the first with so many output tokens, and a cache that their eleventh tokens
/// fill up: formed, and not yet observed.
fn full_cache_in_flight(output: u32) -> (Rig, [RequestId; 2]) {
    let mut policy = policy();
    policy.limits.steps_in_flight_max = 2;
    let mut rig = Rig::with_blocks(&policy, 22);
    let ids = [rig.submit(1, 0, 100, output), rig.submit(0, 0, 100, 100)];
    for _ in 0..10 {
        rig.step();
    }
    assert_eq!(rig.form().len(), 2);
    assert_eq!(rig.batcher.stats().kv_blocks_free, Blocks(0));
    (rig, ids)
}

#[test]
fn a_request_whose_last_token_is_on_its_way_does_not_give_way() {
    // One token more than is in flight, and its KV takes longer to come back than that.
    for (output, gives_way) in [(13, true), (12, false), (11, false)] {
        let (mut rig, [last, _]) = full_cache_in_flight(output);
        rig.form();
        let given_way = rig.preempted.iter().any(|preemption| preemption.request == last);
        assert_eq!(given_way, gives_way, "{output} output tokens");
    }
}

#[test]
fn nobody_gives_way_for_blocks_that_are_about_to_be_free() {
    let (mut rig, [last, other]) = full_cache_in_flight(11);
    assert!(rig.form().is_empty(), "it waits for a step");
    assert!(rig.preempted.is_empty());
    assert_eq!(rig.land().finished, 1);
    assert!(rig.batcher.progress(last).is_err());
    assert_eq!(*requests(&rig.form()), [other]);
    assert_eq!(rig.batcher.progress(other).unwrap().preemptions, 0);
}

/// It is computed again with every token that came out, however many a step brought.
#[test]
fn a_victim_comes_back_when_its_steps_are_over() {
    let (mut rig, [victim, other]) = full_cache_in_flight(50);
    rig.form();
    assert_eq!(rig.preempted[0].request, victim);
    rig.land_with(|entry| Tokens(if entry.request == victim { 3 } else { 1 }));
    rig.batcher.cancel(rig.now, other).unwrap();
    let entries = rig.form();
    assert_eq!(*requests(&entries), [victim]);
    assert_eq!((entries[0].computed_tokens, entries[0].tokens), (Tokens(0), Tokens(113)));

    let (mut rig, [victim, other]) = full_cache_in_flight(50);
    rig.batcher.cancel(rig.now, other).unwrap();
    rig.batcher.preempt(victim.index(), false);
    assert!(rig.form().is_empty(), "a step that computes it is still in flight");
    rig.land();
    assert_eq!(*requests(&rig.form()), [victim]);
}

#[test]
fn tokens_on_their_way_to_a_victim_still_count() {
    let (mut rig, [victim, _]) = full_cache_in_flight(50);
    rig.form();
    assert_eq!(rig.preempted[0].request, victim);
    assert_eq!(rig.batcher.progress(victim).unwrap().output_tokens, Tokens(10));
    rig.land();
    let progress = rig.batcher.progress(victim).unwrap();
    assert_eq!((progress.stage, progress.output_tokens), (Stage::Preempted, Tokens(11)));
}

#[test]
fn a_preempted_request_goes_ahead_of_its_class() {
    let (mut rig, ids) = full_cache(&policy(), [0, 0]);
    rig.step();
    assert_eq!(rig.stage(ids[1]), Stage::Preempted);
    let waiting = rig.submit(0, 1, 50, 5);
    rig.batcher.cancel(rig.now, ids[0]).unwrap();
    let entries = rig.form();
    assert_eq!(*requests(&entries), [ids[1], waiting]);
    // Eleven tokens had come out: they are computed again with the prompt.
    assert_eq!((entries[0].computed_tokens, entries[0].tokens), (Tokens(0), Tokens(111)));
    assert!(entries[0].emits && entries[0].admitted);
    assert_eq!(rig.batcher.progress(ids[1]).unwrap().preemptions, 1);
}

#[test]
fn a_preempted_prompt_is_not_paid_for_twice() {
    let (mut rig, ids) = full_cache(&policy(), [0, 0]);
    rig.step();
    let before = rig.batcher.lines.ledger.counter(0, rig.account(0)).unwrap();
    rig.batcher.cancel(rig.now, ids[0]).unwrap();
    rig.form();
    assert_eq!(rig.batcher.lines.ledger.counter(0, rig.account(0)), Ok(before));
}

#[test]
fn nobody_is_let_in_by_a_step_that_turns_somebody_out() {
    let (mut rig, ids) = full_cache(&policy(), [0, 0]);
    let waiting = rig.submit(0, 1, 10, 5);
    assert_eq!(*requests(&rig.form()), [ids[0]]);
    assert_eq!(rig.stage(waiting), Stage::Waiting);
}
