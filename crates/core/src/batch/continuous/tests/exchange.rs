//! Engines that hear of each other.

use super::*;
use crate::error::SnapshotFault;
use crate::share::exchange::{Delta, DeltaEntry, DeltaSource, Merged, path_key};

/// With one seat and two other engines.
fn shared() -> Policy {
    let mut policy = one_seat();
    policy.limits.replicas_max = 2;
    policy
}

fn rig(policy: &Policy) -> Rig {
    let mut rig = Rig::new(policy);
    rig.batcher.set_replica(0, 1).unwrap();
    rig
}

/// Engine 1 tells that it served so much to an account of the first level, in the first class.
fn hear(rig: &mut Rig, name: &str, served: f64) -> Merged {
    let entry = DeltaEntry { key: path_key([name]), served, ..DeltaEntry::default() };
    rig.batcher.merge(DeltaSource { replica: 1, incarnation: 1 }, &[entry]).unwrap()
}

#[test]
fn who_was_served_elsewhere_goes_later() {
    for (served, first) in [("b", 0), ("a", 1)] {
        let mut rig = rig(&shared());
        let waiting = [rig.submit(0, 0, 100, 5), rig.submit(0, 1, 100, 5)];
        assert_eq!(hear(&mut rig, served, 500.0).news, 1);
        assert_eq!(requests(&rig.form()), [waiting[first]].into());
    }
}

#[test]
fn a_stalled_engine_looks_again_at_news() {
    let mut rig = rig(&shared());
    rig.batcher.set_kv_blocks_free(rig.now, Blocks(2)).unwrap();
    rig.submit(0, 0, 100, 5);
    let small = rig.submit(0, 1, 10, 5);
    hear(&mut rig, "b", 1.0);
    assert!(rig.form().is_empty(), "who is first does not fit");
    assert_eq!(rig.batcher.next_event(rig.now), None);
    let nobody = DeltaEntry { key: 5, served: 9.0, ..DeltaEntry::default() };
    let source = DeltaSource { replica: 1, incarnation: 1 };
    rig.batcher.merge(source, &[nobody]).unwrap();
    assert_eq!(rig.batcher.next_event(rig.now), None, "nothing that is known here");
    hear(&mut rig, "a", 500.0);
    assert_eq!(rig.batcher.next_event(rig.now), Some(rig.now));
    assert_eq!(requests(&rig.form()), [small].into());
}

#[test]
fn what_is_served_is_told_once() {
    let mut rig = rig(&shared());
    rig.submit(0, 2, 100, 2);
    while !rig.step().is_empty() {}
    let mut out = [DeltaEntry::default(); 4];
    let source = DeltaSource { replica: 0, incarnation: 1 };
    assert_eq!(rig.batcher.delta(&mut out), Ok(Delta { source, len: 1, is_complete: true }));
    let (key, served) = (path_key(["c"]), 110.0);
    let expected = DeltaEntry { key, lane: 0, began: 0.0, told: 0.0, served };
    assert_eq!(out[0], expected, "100 prompt tokens, and 2 of 5 each");
    assert_eq!(rig.batcher.delta(&mut out).map(|told| told.len), Ok(0));
    assert_eq!(rig.batcher.delta_all(&mut 0, &mut out).map(|told| told.len), Ok(1));
    assert_eq!(rig.batcher.account_service(0, rig.account(2)), Ok(served));
}

#[test]
fn accounts_of_the_policy_have_keys_and_others_get_one() {
    let mut policy = shared();
    policy.accounts[2] = Account::new("c", 1.0).under("a");
    let mut rig = rig(&policy);
    for (place, path) in [["a"].as_slice(), &["b"], &["a", "c"]].into_iter().enumerate() {
        let key = path_key(path.iter().copied());
        assert_eq!(rig.batcher.account_of_key(key), Some(rig.account(place)));
    }
    let guest = rig.batcher.open_account(None, 1.0).unwrap();
    assert_eq!(hear(&mut rig, "guest", 9.0).unknown, 1);
    let key = path_key(["guest"]);
    rig.batcher.set_account_key(guest, key).unwrap();
    assert_eq!(hear(&mut rig, "guest", 9.0).news, 1);
    let refused = rig.batcher.set_account_key(rig.account(1), key).unwrap_err();
    assert_eq!(refused.field(), "key", "it has its own");
    rig.batcher.close_account(guest).unwrap();
    assert_eq!(rig.batcher.account_of_key(key), None);
}

#[test]
fn an_engine_alone_exchanges_nothing() {
    let mut rig = Rig::new(&one_seat());
    let account = rig.account(0);
    let refusals = [
        rig.batcher.set_replica(0, 1),
        rig.batcher.set_account_key(account, 1),
        rig.batcher.delta(&mut []).map(drop),
        rig.batcher.merge(DeltaSource::default(), &[]).map(drop),
        rig.batcher.forget_replica(1),
        rig.batcher.account_service(0, account).map(drop),
    ];
    for refused in refusals {
        assert_eq!(refused.unwrap_err().field(), "replicas_max");
    }
    assert_eq!(rig.batcher.account_of_key(path_key(["a"])), None);
    let mut renamed = one_seat();
    renamed.accounts[1].name = "z".into();
    assert_eq!(rig.batcher.set_policy(&renamed), Ok(()), "nobody knows it by its name");
}

#[test]
fn names_and_number_of_replicas_stay() {
    let policy = shared();
    let mut rig = rig(&policy);
    hear(&mut rig, "a", 70.0);
    let mut more = policy.clone();
    more.limits.replicas_max = 3;
    assert_eq!(rig.batcher.set_policy(&more).unwrap_err().field(), "replicas_max");
    let mut renamed = policy.clone();
    renamed.accounts[1].name = "z".into();
    let of_name = |error: Error| error.field() == "account[].name (key)";
    assert!(rig.batcher.set_policy(&renamed).is_err_and(of_name));

    let mut bytes = std::vec![0; rig.batcher.snapshot_bytes() as usize];
    rig.batcher.save(&mut bytes).unwrap();
    let kv = rig.batcher.memory.geometry();
    let restored = Batcher::restore(&policy, kv, &bytes).unwrap();
    assert_eq!(restored.account_service(0, rig.account(0)), Ok(70.0));
    let fault = Batcher::restore(&more, kv, &bytes).unwrap_err();
    assert!(matches!(fault, Error::Snapshot { fault: SnapshotFault::OtherCapacity, .. }));
    assert!(Batcher::restore(&renamed, kv, &bytes).is_err_and(of_name));
}
