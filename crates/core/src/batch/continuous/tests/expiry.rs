//! Who has waited for too long: when exactly, how it is told, and who never expires.

use super::*;

/// One seat that is taken for long, so that everybody else waits.
fn busy(policy: &Policy) -> Rig {
    let mut rig = Rig::new(policy);
    rig.submit(0, 2, 100, 5_000);
    rig.step();
    rig
}

fn submit_until(rig: &mut Rig, class: u16, expires_s: Option<f64>) -> RequestId {
    let submission = Submission {
        tag: 7,
        class,
        account: rig.account(0),
        arrival: rig.now,
        prompt_tokens: Tokens(100),
        expires_at: expires_s.map(Nanos::from_seconds),
        ..Submission::default()
    };
    rig.batcher.submit(rig.now, &submission).unwrap().queued().unwrap()
}

/// Forms a step and returns who expired.
fn expired(rig: &mut Rig) -> Vec<RequestId> {
    let mut arrays = PlanArrays::new(rig.batcher.stats().running_max);
    let formed = rig.batcher.form(rig.now, &mut arrays.plan()).unwrap();
    if let Some(id) = formed.step {
        let entries = arrays.entries[..formed.entries_len as usize].to_vec();
        rig.flying.push(Flying { id, ends_at: formed.ends_at, entries });
        rig.land();
    }
    let expired = &arrays.expired[..formed.expired_len as usize];
    assert!(expired.iter().all(|expiry| expiry.tag == 7));
    expired.iter().map(|expiry| expiry.request).collect()
}

#[test]
fn the_earliest_of_all_limits_holds_and_it_holds_exactly() {
    for (class_s, account_s, own_s, at_s) in [
        (3.0, 5.0, Some(4.0), 3.0),
        (5.0, 3.0, Some(4.0), 3.0),
        (5.0, 4.0, Some(3.0), 3.0),
        (0.0, 3.0, None, 3.0),
        (0.0, 0.0, Some(3.0), 3.0),
    ] {
        let mut policy = one_seat();
        policy.classes[0].queue.wait_max = Nanos::from_seconds(class_s);
        policy.accounts[0].queue.wait_max = Nanos::from_seconds(account_s);
        let mut rig = Rig::new(&policy);
        let id = submit_until(&mut rig, 0, own_s);
        rig.now = Nanos::from_seconds(at_s);
        assert_eq!(expired(&mut rig), [id], "at its very end it is too late");
        assert!(rig.batcher.progress(id).is_err(), "it is forgotten");
        let stats = rig.batcher.stats();
        assert_eq!((stats.expired, stats.waiting, stats.requests), (1, 0, 0));
        let mut rig = Rig::new(&policy);
        let id = submit_until(&mut rig, 0, own_s);
        rig.now = Nanos(Nanos::from_seconds(at_s).get() - 1);
        assert_eq!(expired(&mut rig), []);
        assert_eq!(rig.batcher.stats().expired, 0, "{id:?} was let in just in time");
    }
}

#[test]
fn an_account_covers_its_parts() {
    let mut policy = one_seat();
    policy.accounts[0].parent = None;
    policy.accounts[1].parent = Some("a".into());
    policy.accounts[0].queue.wait_max = Nanos::from_seconds(2.0);
    let mut rig = Rig::new(&policy);
    let id = rig.submit(0, 1, 100, 1);
    rig.wait(2.0);
    assert!(rig.form().is_empty());
    assert!(rig.batcher.progress(id).is_err());
}

#[test]
fn a_host_is_woken_when_a_request_may_expire() {
    let mut rig = Rig::with_blocks(&policy(), 20);
    rig.batcher.set_kv_blocks_free(rig.now, Blocks(0)).unwrap();
    let id = submit_until(&mut rig, 0, Some(1.5));
    assert!(expired(&mut rig).is_empty());
    assert_eq!(rig.batcher.next_event(rig.now), Some(Nanos::from_seconds(1.5)));
    rig.now = Nanos::from_seconds(1.5);
    assert_eq!(rig.batcher.next_event(rig.now), Some(rig.now));
    assert_eq!(expired(&mut rig), [id]);
    assert_eq!(rig.batcher.next_event(rig.now), None);
}

#[test]
fn those_behind_the_head_are_found_within_two_rounds() {
    let mut policy = one_seat();
    policy.limits.requests_max = 2_000;
    policy.limits.running_max = 1;
    let mut rig = busy(&policy);
    let ids: Vec<RequestId> = (0..1_000).map(|_| submit_until(&mut rig, 0, Some(5.0))).collect();
    let stays = submit_until(&mut rig, 0, None);
    rig.wait(10.0);
    let mut found = Vec::new();
    // One place in the array: one is told at a time, and none is lost.
    for _ in 0..2_000 {
        let some = expired(&mut rig);
        assert!(some.len() <= 1);
        found.extend(some);
    }
    found.sort_unstable();
    assert_eq!(found, ids);
    assert_eq!(rig.stage(stays), Stage::Waiting);
    policy.limits.running_max = 500;
    let mut rig = Rig::with_blocks(&policy, 20);
    rig.batcher.set_kv_blocks_free(rig.now, Blocks(0)).unwrap();
    submit_until(&mut rig, 0, None);
    for _ in 0..400 {
        submit_until(&mut rig, 1, Some(5.0));
    }
    rig.wait(10.0);
    let rounds: usize = (0..128).map(|_| expired(&mut rig).len()).sum();
    assert_eq!(rounds, 400, "behind a head that waits for memory, without a step");
    assert_eq!(rig.batcher.next_event(rig.now), None, "and then there is nothing to wake for");
}

/// One that has a seat and lost it again, with or without a token before.
fn victim(tokens: u32) -> (Rig, RequestId) {
    let mut rig = Rig::new(&one_seat());
    let submission = Submission {
        tag: 7,
        account: rig.account(0),
        prompt_tokens: Tokens(100),
        output_tokens_max: Tokens(9),
        expires_at: Some(Nanos::from_seconds(5.0)),
        ..Submission::default()
    };
    let id = rig.batcher.submit(rig.now, &submission).unwrap().queued().unwrap();
    rig.form();
    rig.land_with(|_| Tokens(tokens));
    rig.batcher.preempt(id.index(), false);
    rig.wait(9.0);
    (rig, id)
}

#[test]
fn who_has_produced_a_token_never_expires_but_who_has_not_may() {
    let (mut rig, id) = victim(1);
    assert_eq!(rig.stage(id), Stage::Preempted);
    assert_eq!(*requests(&rig.form()), [id]);
    let (mut rig, id) = victim(0);
    assert_eq!(rig.stage(id), Stage::Waiting);
    assert_eq!(expired(&mut rig), [id]);
}
