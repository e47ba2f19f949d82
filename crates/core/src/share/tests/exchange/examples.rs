//! One thing at a time: history, keys, lives, short arrays, returning, wrong calls, memory.

use super::super::super::exchange::path_key;
use super::*;

#[test]
fn a_newcomer_pays_for_no_history() {
    let [mut old, mut late] = [replica(0), replica(1)];
    let served = open(&mut old, None, 1.0, 7);
    old.charge(0, served, 1e6).unwrap();
    delta(&mut old, 9);
    old.charge(0, served, 30.0).unwrap();
    let known = open(&mut late, None, 2.0, 7);
    // It is told all there is, and of that only what the last delta did not tell is news.
    let merged = merge(&mut late, &delta_all(&old, 9)[0]);
    assert_eq!(merged, Merged { news: 1, older: 0, unknown: 0 });
    assert_eq!(late.counter(0, known), Ok(15.0), "weight 2 halves it");
    assert_eq!(late.service(0, known), Ok(1_000_030.0));
    assert_eq!(merge(&mut late, &delta(&mut old, 9)).older, 1);
    old.charge(0, served, 8.0).unwrap();
    merge(&mut late, &delta(&mut old, 9));
    assert_eq!(late.counter(0, known), Ok(19.0));
    // Whoever was out of reach for long can be heard anew.
    old.charge(0, served, 1e9).unwrap();
    delta(&mut old, 9);
    late.forget_replica(0).unwrap();
    merge(&mut late, &delta_all(&old, 9)[0]);
    assert_eq!(late.counter(0, known), Ok(19.0));
}

#[test]
fn a_key_that_comes_back_is_counted_once() {
    let [mut a, mut b] = [replica(0), replica(1)];
    let known = open(&mut b, None, 1.0, 7);
    for (cost, heard) in [(100.0, true), (500.0, false), (70.0, true), (1.0, true)] {
        let account = open(&mut a, None, 1.0, 7);
        assert_eq!(a.service(0, account), Ok(0.0));
        a.charge(0, account, cost).unwrap();
        let message = delta(&mut a, 9);
        if heard {
            merge(&mut b, &message);
            merge(&mut b, &message);
        }
        a.close(account).unwrap();
    }
    assert_eq!(b.service(0, known), Ok(171.0), "what was never heard is not made up");
    assert_eq!(b.counter(0, known), Ok(171.0));
}

#[test]
fn an_older_life_is_not_heard() {
    let [mut a, mut b] = [with_teams(0), with_teams(1)];
    let account = a.account_of(3).unwrap();
    a.charge(0, account, 10.0).unwrap();
    let first = delta(&mut a, 9);
    a.charge(0, account, 10.0).unwrap();
    let lost = delta(&mut a, 9);
    merge(&mut b, &first);
    a.set_replica(0, 2).unwrap();
    assert_eq!(a.service(0, account), Ok(20.0));
    a.charge(0, account, 3.0).unwrap();
    merge(&mut b, &delta(&mut a, 9));
    assert_eq!(merge(&mut b, &lost), Merged { news: 0, older: 1, unknown: 0 });
    assert_eq!(b.service(0, b.account_of(3).unwrap()), Ok(13.0));
    assert_eq!(a.set_replica(0, 1).unwrap_err().field(), "incarnation");
    assert_eq!(a.set_replica(1, 3).unwrap_err().field(), "replica");
}

#[test]
fn unknown_accounts_are_counted_and_can_be_merged_later() {
    let [mut a, mut b] = [with_teams(0), replica(1)];
    for key in [1, 3] {
        a.charge(0, a.account_of(key).unwrap(), 8.0).unwrap();
    }
    let message = delta(&mut a, 9);
    let team = open(&mut b, None, 1.0, 1);
    assert_eq!(merge(&mut b, &message), Merged { news: 1, older: 0, unknown: 1 });
    let user = open(&mut b, Some(team), 4.0, 3);
    assert_eq!(merge(&mut b, &message), Merged { news: 1, older: 1, unknown: 0 });
    assert_eq!((b.counter(0, user), b.counter(0, team)), (Ok(2.0), Ok(16.0)));
}

/// However short the array and whoever is served meanwhile, everybody is told in turn.
#[test]
fn a_short_array_passes_nobody_over() {
    let mut ledger = with_teams(0);
    let mut told = std::collections::BTreeSet::new();
    for _ in 0..6 {
        for key in 1..=6 {
            for lane in 0..LANES {
                ledger.charge(lane, ledger.account_of(key).unwrap(), 1.0).unwrap();
            }
        }
        let mut out = [NONE; 2];
        let delta = ledger.delta(&mut out).unwrap();
        assert_eq!((delta.len, delta.is_complete), (2, false));
        told.extend(out.map(|entry| (entry.key, entry.lane)));
    }
    assert_eq!(told.len(), 12);
    assert!(!ledger.delta(&mut []).unwrap().is_complete);
}

/// Where nobody waits, idling earns nothing all the same if others are served elsewhere.
#[test]
fn who_returns_to_an_idle_router_comes_in_where_others_are_served() {
    let [mut a, mut b] = [with_teams(0), with_teams(1)];
    let [idle, busy] = [3, 5].map(|key| a.account_of(key).unwrap());
    b.charge(0, b.account_of(5).unwrap(), 1_000.0).unwrap();
    merge(&mut a, &delta(&mut b, 9));
    a.arrive(0, idle).unwrap();
    a.arrive(0, busy).unwrap();
    // Weight 2 of the team halves it; inside the idle team nobody was served.
    assert_eq!(a.counter(0, a.account_of(1).unwrap()), Ok(500.0));
    assert_eq!(a.counter(0, idle), Ok(0.0));
    assert_eq!(a.counter(0, a.account_of(2).unwrap()), Ok(500.0));
    assert_eq!(a.counter(0, busy), Ok(500.0));
}

#[test]
fn wrong_calls_are_named_and_change_nothing() {
    let mut alone = ledger(2);
    let account = alone.open(None, 1.0).unwrap();
    for error in [
        alone.set_replica(0, 0).unwrap_err(),
        alone.set_key(account, 1).unwrap_err(),
        alone.delta(&mut []).unwrap_err(),
        alone.delta_all(&mut 0, &mut []).unwrap_err(),
        alone.merge(DeltaSource::default(), &[]).unwrap_err(),
        alone.forget_replica(0).unwrap_err(),
        alone.service(0, account).unwrap_err(),
    ] {
        assert_eq!(error.field(), "replicas_max");
    }
    let mut ledger = new();
    assert_eq!(ledger.delta(&mut []).unwrap_err().field(), "replica", "not yet told");
    assert_eq!(ledger.set_replica(REPLICAS_MAX + 1, 1).unwrap_err().field(), "replica");
    ledger.set_replica(2, 1).unwrap();
    let [one, other] = [ledger.open(None, 1.0).unwrap(), ledger.open(None, 1.0).unwrap()];
    assert_eq!(ledger.set_key(one, 0).unwrap_err().field(), "key");
    ledger.set_key(one, 5).unwrap();
    ledger.set_key(one, 5).unwrap();
    assert!(matches!(ledger.set_key(one, 6), Err(Error::Contradiction { other_value: 5, .. })));
    let twice = Error::Duplicate { field: "key", index: 1, first_index: 0 };
    assert_eq!(ledger.set_key(other, 5), Err(twice));
    let state = saved(&ledger);
    let source = |replica| DeltaSource { replica, incarnation: 1 };
    let good = DeltaEntry { key: 5, lane: 0, began: 0.0, told: 1.0, served: 2.0 };
    assert_eq!(ledger.merge(source(2), &[good]).unwrap_err().code(), -7, "its own number");
    assert_eq!(ledger.merge(source(5), &[good]).unwrap_err().field(), "replica");
    assert_eq!(ledger.forget_replica(2).unwrap_err().code(), -7);
    for (bad, field) in [
        (DeltaEntry { key: 0, ..good }, "key"),
        (DeltaEntry { lane: 2, ..good }, "lane"),
        (DeltaEntry { served: f64::NAN, ..good }, "served"),
        (DeltaEntry { served: 2f64.powi(54), ..good }, "served"),
        (DeltaEntry { served: -1.0, ..good }, "served"),
        (DeltaEntry { told: 3.0, ..good }, "told"),
        (DeltaEntry { began: 1.5, ..good }, "began"),
    ] {
        assert_eq!(ledger.merge(source(0), &[good, bad]).unwrap_err().field(), field);
    }
    let mut out = [NONE; 4];
    let mut beyond = u64::from(ACCOUNTS * LANES) + 1;
    assert_eq!(ledger.delta_all(&mut beyond, &mut out).unwrap_err().field(), "next");
    assert_eq!(saved(&ledger), state);
    assert_eq!(ledger.account_of(5), Some(one));
    ledger.close(one).unwrap();
    assert_eq!(ledger.account_of(5), None);
}

/// 24 bytes for each account, 32 for each account and lane, 8 for each of these and replica.
#[test]
fn memory_is_what_the_documentation_says() {
    let bytes = |accounts_max, replicas_max| {
        let options =
            LedgerOptions { accounts_max, lanes: 4, replicas_max, ..LedgerOptions::default() };
        Ledger::bytes_needed(&options)
            - Ledger::bytes_needed(&LedgerOptions { replicas_max: 0, ..options })
    };
    let each = bytes(10_001, 7) - bytes(10_000, 7);
    assert_eq!((each, bytes(10_000, 7) / 10_000), (24 + 4 * (32 + 7 * 8), each));
    assert_eq!(bytes(10_000, 0), 0);
}

/// The keys of paths are part of what ledgers of different versions say to each other.
#[test]
fn path_keys_do_not_change() {
    // FNV-1a of `61 ff`, and of nothing, as published.
    let by_hand = |bytes: &[u8]| {
        bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| {
            (sum ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
        })
    };
    assert_eq!(path_key([]), 0xcbf2_9ce4_8422_2325);
    assert_eq!(path_key(["a"]), by_hand(b"a\xff"));
    assert_eq!(path_key(["ab", "c"]), by_hand(b"ab\xffc\xff"));
    assert_ne!(path_key(["ab", "c"]), path_key(["a", "bc"]));
}
