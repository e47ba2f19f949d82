//! The ledger against the oracle, on trees that change while they are used.

use super::oracle::{Lift, Oracle};
use super::*;

pub(super) const ACCOUNTS: u32 = 9;
pub(super) const LANES: u32 = 2;
/// Quotients by most of these are not exact: the same operations must be done in the same order.
const WEIGHTS: [f64; 5] = [1.0, 3.0, 0.7, WEIGHT_MIN, WEIGHT_MAX];

#[derive(Clone, Copy, Debug)]
pub(super) enum Op {
    Open(usize, usize),
    Close(usize),
    SetWeight(usize, usize),
    Arrive(u32, usize),
    Depart(u32, usize),
    Charge(u32, usize, f64),
}

pub(super) fn ops(len: usize) -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        2 => (0..20usize, 0..5usize).prop_map(|(parent, weight)| Op::Open(parent, weight)),
        1 => (0..10usize).prop_map(Op::Close),
        1 => (0..10usize, 0..5usize).prop_map(|(account, weight)| Op::SetWeight(account, weight)),
        5 => (0..LANES, 0..10usize).prop_map(|(lane, account)| Op::Arrive(lane, account)),
        4 => (0..LANES, 0..10usize).prop_map(|(lane, account)| Op::Depart(lane, account)),
        4 => (0..LANES, 0..10usize, 0.0f64..900.0)
            .prop_map(|(lane, account, cost)| Op::Charge(lane, account, cost)),
    ];
    prop::collection::vec(op, 0..len)
}

/// Does `op` to the ledger; places without an account are tried with an id of nobody.
pub(super) fn apply(ledger: &mut Ledger, op: Op) -> Result<Option<AccountId>, Error> {
    let account =
        |ledger: &Ledger, place: usize| ledger.tree().account_at(place as u32).unwrap_or_default();
    match op {
        Op::Open(parent, weight) => {
            let parent = (parent < 10).then(|| account(ledger, parent));
            ledger.open(parent, WEIGHTS[weight]).map(Some)
        }
        Op::Close(place) => ledger.close(account(ledger, place)).map(|()| None),
        Op::SetWeight(place, weight) => {
            ledger.set_weight(account(ledger, place), WEIGHTS[weight]).map(|()| None)
        }
        Op::Arrive(lane, place) => ledger.arrive(lane, account(ledger, place)).map(|()| None),
        Op::Depart(lane, place) => ledger.depart(lane, account(ledger, place)).map(|()| None),
        Op::Charge(lane, place, cost) => {
            ledger.charge(lane, account(ledger, place), cost).map(|()| None)
        }
    }
}

/// What the ledger says of a lane: smallest counter, eligible accounts, counters and waiting.
pub(super) fn answers(
    ledger: &Ledger,
    lane: u32,
    credit: f64,
) -> impl PartialEq + core::fmt::Debug {
    let mut eligible: Vec<_> = ledger.eligible(lane, credit).unwrap().collect();
    eligible.sort_unstable_by_key(|entry| entry.0);
    let accounts = (0..ACCOUNTS).filter_map(|index| ledger.tree().account_at(index));
    let counters: Vec<_> = accounts
        .map(|account| (ledger.counter(lane, account), ledger.waiting(lane, account)))
        .collect();
    (ledger.counter_min(lane), eligible, counters)
}

/// Does to the oracles what the ledger has done and answered.
fn follow(oracles: &mut [Oracle], op: Op, opened: Option<AccountId>) {
    match op {
        Op::Open(parent, weight) => {
            let index = opened.unwrap().index() as usize;
            for oracle in oracles {
                oracle.open(index, (parent < 10).then_some(parent), WEIGHTS[weight]);
            }
        }
        Op::Close(index) => oracles.iter_mut().for_each(|oracle| oracle.close(index)),
        Op::SetWeight(index, weight) => {
            for oracle in oracles {
                oracle.set_weight(index, WEIGHTS[weight]);
            }
        }
        Op::Arrive(lane, index) => oracles[lane as usize].arrive(index),
        Op::Depart(lane, index) => oracles[lane as usize].depart(index),
        Op::Charge(lane, index, cost) => oracles[lane as usize].charge(index, cost),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    /// To the last bit, whatever is opened, closed and weighed anew in between.
    #[test]
    fn the_ledger_does_what_the_rules_say(ops in ops(250), credit in 0.0f64..2000.0) {
        let options = LedgerOptions { accounts_max: ACCOUNTS, lanes: LANES, ..LedgerOptions::default() };
        let mut ledger = Ledger::new(&options).unwrap();
        let oracle = Oracle::new(ACCOUNTS as usize, Lift::Everywhere);
        let mut oracles = [oracle.clone(), oracle];
        for op in ops {
            if let Ok(opened) = apply(&mut ledger, op) {
                follow(&mut oracles, op, opened);
            }
            for (lane, oracle) in (0..LANES).zip(&oracles) {
                prop_assert_eq!(ledger.counter_min(lane), Ok(oracle.counter_min(oracle.root())));
                for account in (0..ACCOUNTS).filter_map(|index| ledger.tree().account_at(index)) {
                    let index = account.index() as usize;
                    prop_assert_eq!(ledger.counter(lane, account), Ok(oracle.counter(index)));
                    prop_assert_eq!(ledger.waiting(lane, account), Ok(oracle.waiting(index)));
                }
                let mut found: Vec<_> = ledger.eligible(lane, credit).unwrap().collect();
                found.sort_unstable_by_key(|entry| entry.0);
                let expected: Vec<_> = oracle.eligible(credit).into_iter()
                    .map(|index| (index as u32, oracle.counter(index)))
                    .collect();
                prop_assert_eq!(found, expected);
            }
        }
    }
}
