use super::*;
use proptest::prelude::*;
use std::vec::Vec;

fn ledger(accounts_max: u32) -> Ledger {
    Ledger::new(&LedgerOptions { accounts_max, lanes: 2 }).unwrap()
}

#[test]
fn an_account_that_returns_is_lifted_to_its_lane_only() {
    let mut ledger = ledger(4);
    let [a, b] = [ledger.open(1.0).unwrap(), ledger.open(1.0).unwrap()];
    ledger.arrive(0, a).unwrap();
    ledger.charge(0, a, 1000.0).unwrap();
    ledger.charge(1, a, 70.0).unwrap();
    ledger.arrive(0, b).unwrap();
    assert_eq!(ledger.counter(0, b), Ok(1000.0));
    ledger.arrive(1, b).unwrap();
    assert_eq!(ledger.counter(1, b), Ok(0.0), "nobody waits there and nobody has left");
}

#[test]
fn an_empty_lane_stands_where_the_last_one_left_it() {
    let mut ledger = ledger(4);
    let [a, b] = [ledger.open(2.0).unwrap(), ledger.open(1.0).unwrap()];
    ledger.arrive(0, a).unwrap();
    ledger.charge(0, a, 1000.0).unwrap();
    ledger.depart(0, a).unwrap();
    assert_eq!(ledger.counter_min(0), Ok(None));
    ledger.arrive(0, b).unwrap();
    assert_eq!(ledger.counter(0, b), Ok(500.0), "weight 2 halves the counter");
}

#[test]
fn wrong_calls_are_named_and_change_nothing() {
    let mut ledger = ledger(1);
    assert_eq!(ledger.open(f64::NAN).unwrap_err().field(), "weight");
    let account = ledger.open(1.0).unwrap();
    assert_eq!(ledger.open(1.0), Err(Error::Full { field: "account", capacity: 1 }));
    assert_eq!(ledger.arrive(2, account).unwrap_err().field(), "lane");
    assert_eq!(ledger.depart(0, account).unwrap_err().field(), "waiting");
    for bad in [-1.0, f64::NAN, f64::INFINITY] {
        assert_eq!(ledger.charge(0, account, bad).unwrap_err().field(), "cost");
    }
    assert_eq!(ledger.counter(0, account), Ok(0.0));
    ledger.arrive(1, account).unwrap();
    assert!(matches!(ledger.close(account), Err(Error::Contradiction { .. })));
    ledger.depart(1, account).unwrap();
    ledger.close(account).unwrap();
    assert!(matches!(ledger.charge(0, account, 1.0), Err(Error::Stale { .. })));
}

#[test]
fn a_reused_place_does_not_inherit_a_counter() {
    let mut ledger = ledger(1);
    let first = ledger.open(1.0).unwrap();
    ledger.charge(0, first, 5.0).unwrap();
    ledger.close(first).unwrap();
    let second = ledger.open(1.0).unwrap();
    assert_eq!(ledger.counter(0, second), Ok(0.0));
}

#[derive(Clone, Debug)]
enum Op {
    Arrive(usize),
    Depart(usize),
    Charge(usize, u32),
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        (0usize..12).prop_map(Op::Arrive),
        (0usize..12).prop_map(Op::Depart),
        (0usize..12, 0u32..5000).prop_map(|(account, cost)| Op::Charge(account, cost)),
    ];
    prop::collection::vec(op, 1..300)
}

proptest! {
    /// Against plain vectors: counters, minimum and the eligible set, after every call.
    #[test]
    fn agrees_with_a_naive_ledger(ops in ops(), credit in 0.0f64..8000.0) {
        let mut ledger = ledger(12);
        let accounts: Vec<_> =
            (0..12u32).map(|i| ledger.open(1.0 + f64::from(i % 3)).unwrap()).collect();
        let (mut counters, mut waiting) = ([0.0f64; 12], [0u32; 12]);
        let mut last_left = 0.0;
        let min = |counters: &[f64; 12], waiting: &[u32; 12]| {
            (0..12).filter(|i| waiting[*i] > 0).map(|i| counters[i]).min_by(f64::total_cmp)
        };
        for op in ops {
            match op {
                Op::Arrive(i) => {
                    ledger.arrive(0, accounts[i]).unwrap();
                    if waiting[i] == 0 {
                        let floor = min(&counters, &waiting).unwrap_or(last_left);
                        counters[i] = counters[i].max(floor);
                    }
                    waiting[i] += 1;
                }
                Op::Depart(i) => {
                    prop_assert_eq!(ledger.depart(0, accounts[i]).is_ok(), waiting[i] > 0);
                    if waiting[i] == 1 {
                        last_left = counters[i];
                    }
                    waiting[i] = waiting[i].saturating_sub(1);
                }
                Op::Charge(i, cost) => {
                    ledger.charge(0, accounts[i], f64::from(cost)).unwrap();
                    counters[i] += f64::from(cost) / (1.0 + (i % 3) as f64);
                }
            }
            let smallest = min(&counters, &waiting);
            prop_assert_eq!(ledger.counter_min(0), Ok(smallest));
            let mut eligible: Vec<u32> = ledger.eligible(0, credit).unwrap().map(|e| e.0).collect();
            eligible.sort_unstable();
            let expected: Vec<u32> = (0..12u32)
                .filter(|i| waiting[*i as usize] > 0)
                .filter(|i| counters[*i as usize] <= smallest.unwrap() + credit)
                .collect();
            prop_assert_eq!(eligible, expected);
        }
    }
}
