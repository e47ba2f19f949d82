mod borrow;
mod bound;
mod children;
mod definition;
mod dominant;
mod exchange;
mod history;
mod names;
mod oracle;
mod policy;
mod quotas;
mod rate;
mod reclaim_cases;
mod reclaim_rule;
mod scheduler;
mod state;
mod swarm;

use super::*;
use proptest::prelude::*;
use std::vec::Vec;

fn ledger(accounts_max: u32) -> Ledger {
    Ledger::new(&LedgerOptions { accounts_max, lanes: 2, ..LedgerOptions::default() }).unwrap()
}

#[test]
fn an_account_that_returns_is_lifted_to_its_lane_only() {
    let mut ledger = ledger(4);
    let [a, b] = [ledger.open(None, 1.0).unwrap(), ledger.open(None, 1.0).unwrap()];
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
    let [a, b] = [ledger.open(None, 2.0).unwrap(), ledger.open(None, 1.0).unwrap()];
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
    assert_eq!(ledger.open(None, f64::NAN).unwrap_err().field(), "weight");
    let account = ledger.open(None, 1.0).unwrap();
    assert_eq!(ledger.open(None, 1.0), Err(Error::Full { field: "account", capacity: 1 }));
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
    let first = ledger.open(None, 1.0).unwrap();
    ledger.charge(0, first, 5.0).unwrap();
    ledger.close(first).unwrap();
    let second = ledger.open(None, 1.0).unwrap();
    assert_eq!(ledger.counter(0, second), Ok(0.0));
}

#[test]
fn a_deep_tree_has_an_end_and_is_closed_from_below() {
    let mut ledger = ledger(DEPTH_MAX + 1);
    let mut way = Vec::new();
    for depth in 1..=DEPTH_MAX {
        let account = ledger.open(way.last().copied(), 2.0).unwrap();
        assert_eq!(ledger.parent(account), Ok(way.last().copied()));
        assert_eq!(ledger.tree().depth(account), Ok(depth));
        way.push(account);
    }
    let last = *way.last().unwrap();
    assert_eq!(ledger.open(Some(last), 1.0).unwrap_err().field(), "depth");
    assert_eq!(ledger.open(Some(AccountId::default()), 1.0).unwrap_err().code(), -3);
    ledger.arrive(0, last).unwrap();
    ledger.charge(0, last, 6.0).unwrap();
    for account in &way {
        assert_eq!(ledger.counter(0, *account), Ok(3.0));
    }
    assert_eq!(ledger.eligible(0, 0.0).unwrap().collect::<Vec<_>>(), [(last.index(), 3.0)]);
    let above = way[way.len() - 2];
    let refused = ledger.close(above).unwrap_err();
    assert!(matches!(refused, Error::Contradiction { other: "children", other_value: 1, .. }));
    ledger.depart(0, last).unwrap();
    assert_eq!(ledger.counter_min(0), Ok(None));
    for account in way.into_iter().rev() {
        ledger.close(account).unwrap();
    }
    assert!(ledger.tree().is_empty());
}

/// A team of many users gets no more than a team of one.
#[test]
fn many_users_do_not_make_a_larger_share() {
    let mut ledger = ledger(8);
    let [large, small] = [(); 2].map(|()| ledger.open(None, 1.0).unwrap());
    let mut users: Vec<_> = (0..4).map(|_| ledger.open(Some(large), 1.0).unwrap()).collect();
    users.push(ledger.open(Some(small), 1.0).unwrap());
    for user in &users {
        ledger.arrive(0, *user).unwrap();
    }
    for _ in 0..800 {
        let index = ledger.eligible(0, 0.0).unwrap().map(|entry| entry.0).min().unwrap();
        let user = ledger.tree().account_at(index).unwrap();
        ledger.charge(0, user, 1.0).unwrap();
    }
    let served: Vec<_> = users.iter().map(|user| ledger.counter(0, *user).unwrap()).collect();
    assert_eq!(served, [100.0, 100.0, 100.0, 100.0, 400.0]);
}

#[test]
fn own_requests_compete_with_children_as_one_more_child_of_weight_1() {
    let mut ledger = ledger(8);
    let team = ledger.open(None, 5.0).unwrap();
    ledger.arrive(0, team).unwrap();
    ledger.charge(0, team, 100.0).unwrap();
    let user = ledger.open(Some(team), 2.0).unwrap();
    ledger.arrive(0, user).unwrap();
    assert_eq!(ledger.counter(0, user), Ok(100.0), "lifted to the requests that were there");
    let turns = |ledger: &Ledger| -> Vec<u32> {
        let mut turns: Vec<_> = ledger.eligible(0, 0.0).unwrap().map(|entry| entry.0).collect();
        turns.sort_unstable();
        turns
    };
    assert_eq!(turns(&ledger), [team.index(), user.index()]);
    ledger.charge(0, team, 10.0).unwrap();
    assert_eq!(turns(&ledger), [user.index()]);
    ledger.charge(0, user, 20.0).unwrap();
    assert_eq!(turns(&ledger), [team.index(), user.index()], "weight 2 takes twice as much");
    ledger.charge(0, user, 1.0).unwrap();
    assert_eq!(turns(&ledger), [team.index()]);
}

/// 48 bytes for each account and lane, and 48 for each account.
#[test]
fn memory_is_what_the_documentation_says() {
    let bytes = |accounts_max, lanes| {
        Ledger::bytes_needed(&LedgerOptions { accounts_max, lanes, ..LedgerOptions::default() })
    };
    let (small, large) = (bytes(1_000, 4), bytes(101_000, 4));
    assert_eq!(large - small, 100_000 * (4 * 48 + 40));
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
            (0..12u32).map(|i| ledger.open(None, 1.0 + f64::from(i % 3)).unwrap()).collect();
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

/// A tree, and what is done to it: open below the account picked, arrive, depart or charge.
fn grown(calls: &[(u8, u8, u8)]) -> (Ledger, Vec<AccountId>) {
    let mut ledger = ledger(12);
    let mut accounts: Vec<AccountId> = Vec::new();
    for (call, pick, amount) in calls {
        let picked = accounts.get(usize::from(*pick) % 12).copied();
        match (call % 6, picked) {
            (0, above) => {
                // Weights that divide every charge leave counters whole: no rounding.
                accounts.extend(ledger.open(above, f64::from(1 << (amount % 3))));
            }
            (1 | 2, Some(account)) => ledger.arrive(0, account).unwrap(),
            (3, Some(account)) => drop(ledger.depart(0, account)),
            (_, Some(account)) => ledger.charge(0, account, 4.0 * f64::from(*amount)).unwrap(),
            _ => {}
        }
    }
    (ledger, accounts)
}

proptest! {
    #[test]
    fn a_lead_says_which_credit_makes_it_their_turn(
        calls in prop::collection::vec(any::<(u8, u8, u8)>(), 0..120),
        credit in 0_u32..2_000,
    ) {
        let (ledger, accounts) = grown(&calls);
        let credit = f64::from(credit);
        let eligible: Vec<u32> = ledger.eligible(0, credit).unwrap().map(|entry| entry.0).collect();
        for account in accounts.into_iter().filter(|account| ledger.waiting(0, *account) != Ok(0)) {
            let Lead { counter, counter_min } = ledger.lead(0, account).unwrap();
            let is_eligible = eligible.contains(&account.index());
            prop_assert_eq!(is_eligible, counter - counter_min <= credit);
        }
    }

    #[test]
    fn rivals_are_what_competes_below_the_lowest_account_above_both(
        calls in prop::collection::vec(any::<(u8, u8, u8)>(), 0..120),
    ) {
        let (ledger, accounts) = grown(&calls);
        // By whole paths from the root: the first step at which they differ.
        let path = |account: AccountId| {
            let above = |account: &AccountId| ledger.parent(*account).unwrap();
            let mut path: Vec<_> = core::iter::successors(Some(account), above).collect();
            path.reverse();
            path
        };
        for one in &accounts {
            for other in &accounts {
                let (mine, theirs) = ledger.rivals(0, *one, other.index()).unwrap();
                let back = ledger.rivals(0, *other, one.index()).unwrap();
                prop_assert_eq!(back, (theirs, mine));
                let (here, there) = (path(*one), path(*other));
                let same = here.iter().zip(&there).take_while(|(a, b)| a == b).count();
                if let Some(part) = here.get(same) {
                    prop_assert_eq!(Ok(mine.counter), ledger.counter(0, *part));
                    prop_assert_eq!(Ok(mine.weight), ledger.weight(*part));
                } else {
                    prop_assert_eq!(mine.weight, 1.0);
                }
            }
        }
    }
}
