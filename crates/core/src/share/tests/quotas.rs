//! Saving and loading of quotas, holdings, requests and shares.

use super::quota::AMOUNT_MAX;
use super::state::{load, saved};
use super::*;

const ACCOUNTS: u32 = 6;
const RESOURCES: u32 = 2;

fn new() -> Ledger {
    let (accounts_max, lanes, resources) = (ACCOUNTS, 0, RESOURCES);
    let options = LedgerOptions { accounts_max, lanes, resources, ..LedgerOptions::default() };
    Ledger::new(&options).unwrap()
}

#[derive(Clone, Copy, Debug)]
enum Op {
    Open(u32),
    Close(u32),
    Capacity(Amounts),
    Rules(u32, AccountQuota),
    Ask(u32, Amounts),
    Withdraw(u32, Amounts),
    Allocate(u32, Amounts),
    Release(u32, Amounts),
    Divide,
}

fn amounts() -> impl Strategy<Value = Amounts> {
    let amount = || prop_oneof![4 => 0u64..500, 1 => 0..=AMOUNT_MAX, 1 => Just(u64::MAX)];
    (amount(), amount()).prop_map(|(first, second)| {
        let mut amounts = Amounts::first(first);
        amounts.0[1] = second;
        amounts
    })
}

fn ops(len: usize) -> impl Strategy<Value = Vec<Op>> {
    let place = || 0..ACCOUNTS + 1;
    let rules = (amounts(), amounts(), amounts(), 0.0f64..5.0, any::<i32>());
    let rules = rules.prop_map(|(quota, limit, lending_limit, weight, over_quota_priority)| {
        let mut over_quota_weight = [1.0; RESOURCES_MAX];
        over_quota_weight[1] = weight;
        AccountQuota { quota, limit, lending_limit, over_quota_weight, over_quota_priority }
    });
    let op = prop_oneof![
        3 => place().prop_map(Op::Open),
        1 => place().prop_map(Op::Close),
        1 => amounts().prop_map(Op::Capacity),
        2 => (place(), rules).prop_map(|(place, rules)| Op::Rules(place, rules)),
        2 => (place(), amounts()).prop_map(|(place, amounts)| Op::Ask(place, amounts)),
        1 => (place(), amounts()).prop_map(|(place, amounts)| Op::Withdraw(place, amounts)),
        2 => (place(), amounts()).prop_map(|(place, amounts)| Op::Allocate(place, amounts)),
        1 => (place(), amounts()).prop_map(|(place, amounts)| Op::Release(place, amounts)),
        1 => Just(Op::Divide),
    ];
    prop::collection::vec(op, 0..len)
}

#[expect(clippy::large_types_passed_by_value, reason = "it is copied from a list, once")]
fn apply(ledger: &mut Ledger, op: Op) -> Result<(), Error> {
    let at = |place: u32| ledger.tree().account_at(place).unwrap_or_default();
    match op {
        Op::Open(place) => ledger.open(ledger.tree().account_at(place), 1.0).map(drop),
        Op::Close(place) => ledger.close(at(place)),
        Op::Capacity(capacity) => ledger.set_capacity(&capacity),
        Op::Rules(place, rules) => ledger.set_quota(at(place), &rules),
        Op::Ask(place, amounts) => ledger.ask(at(place), &amounts),
        Op::Withdraw(place, amounts) => ledger.withdraw(at(place), &amounts),
        Op::Allocate(place, amounts) => ledger.allocate(at(place), &amounts),
        Op::Release(place, amounts) => ledger.release(at(place), &amounts),
        Op::Divide => ledger.divide(&Division::default()),
    }
}

fn driven(ops: &[Op]) -> Ledger {
    let mut ledger = new();
    for op in ops {
        // Refused ones are part of the drive.
        let _ = apply(&mut ledger, *op);
    }
    ledger
}

/// All that can be asked.
fn answers(ledger: &Ledger) -> impl PartialEq + core::fmt::Debug + use<> {
    let accounts = ledger.tree().indices().filter_map(|index| ledger.tree().account_at(index));
    let accounts: Vec<_> = accounts
        .map(|account| {
            let (held, asked) = (ledger.held(account), ledger.asked(account));
            (account, ledger.quota(account), held, asked, ledger.fair_share(account))
        })
        .collect();
    (*ledger.capacity(), accounts)
}

proptest! {
    #[test]
    fn loaded_quotas_go_on_as_the_saved_ones(before in ops(80), after in ops(40)) {
        let mut ledger = driven(&before);
        let mut other = new();
        // Lists of another tree must not survive.
        other.open(None, 1.0).unwrap();
        other.divide(&Division::default()).unwrap();
        other.close(other.tree().account_at(0).unwrap()).unwrap();
        prop_assert_eq!(load(&mut other, &saved(&ledger)), Ok(()));
        prop_assert_eq!(saved(&other), saved(&ledger));
        for op in after {
            prop_assert_eq!(apply(&mut ledger, op), apply(&mut other, op));
            prop_assert_eq!(answers(&ledger), answers(&other));
        }
        prop_assert_eq!(saved(&other), saved(&ledger));
    }

    #[test]
    fn damaged_words_are_refused_or_harmless(
        before in ops(80), after in ops(40), at in any::<prop::sample::Index>(),
        word in prop_oneof![any::<u64>(), 0u64..12, 0..=AMOUNT_MAX, Just(AMOUNT_MAX)],
        again in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut words = saved(&driven(&before));
        let len = words.len();
        words[at.index(len)] = word;
        if let Some(again) = again {
            words[again.index(len)] = AMOUNT_MAX;
        }
        let mut ledger = new();
        if load(&mut ledger, &words).is_err() {
            prop_assert_eq!(saved(&ledger), saved(&new()));
            prop_assert_eq!(answers(&ledger), answers(&new()));
            return Ok(());
        }
        let mut other = new();
        prop_assert_eq!(load(&mut other, &saved(&ledger)), Ok(()));
        for op in after.into_iter().chain([Op::Divide]) {
            prop_assert_eq!(apply(&mut ledger, op), apply(&mut other, op));
        }
        prop_assert_eq!(answers(&ledger), answers(&other));
    }
}

/// What adds up to more than the largest amount, and each field beyond its range.
#[test]
fn quotas_that_cannot_be_are_refused() {
    let mut ledger = new();
    let team = ledger.open(None, 1.0).unwrap();
    let user = ledger.open(Some(team), 1.0).unwrap();
    for account in [team, user] {
        ledger.allocate(account, &Amounts::first(3)).unwrap();
    }
    let words = saved(&ledger);
    let mut of_quotas = Vec::new();
    ledger.quotas.save_state(&ledger.tree, &mut |word| of_quotas.push(word));
    let begin = words.windows(of_quotas.len()).position(|window| window == of_quotas).unwrap();
    // From their end: two resources of seven words and a priority for each account, two
    // capacities, and how many resources there are.
    let user_at = begin + of_quotas.len() - 15;
    let team_at = user_at - 15;
    let refusal = |at: usize, word: u64| {
        let mut words = words.clone();
        words[at] = word;
        let mut ledger = new();
        let error = load(&mut ledger, &words).unwrap_err();
        assert_eq!(saved(&ledger), saved(&new()));
        error.field()
    };
    assert_eq!(refusal(team_at - 3, 3), "resources");
    assert_eq!(refusal(team_at - 2, AMOUNT_MAX + 1), "capacity");
    assert_eq!(refusal(team_at, 1 << 32), "over_quota_priority");
    assert_eq!(refusal(team_at + 1, AMOUNT_MAX + 1), "quota");
    assert_eq!(refusal(team_at + 2, u64::MAX - 1), "limit");
    assert_eq!(refusal(team_at + 3, AMOUNT_MAX + 1), "lending_limit");
    assert_eq!(refusal(team_at + 4, f64::NAN.to_bits()), "over_quota_weight");
    assert_eq!(refusal(team_at + 5, AMOUNT_MAX + 1), "held");
    assert_eq!(refusal(team_at + 6, AMOUNT_MAX + 1), "asked");
    assert_eq!(refusal(team_at + 7, u64::MAX), "fair_share");
    assert_eq!(refusal(user_at + 5, AMOUNT_MAX - 2), "amounts", "3 are held above already");
    let mut none = Ledger::new(&LedgerOptions {
        accounts_max: ACCOUNTS,
        lanes: 0,
        ..LedgerOptions::default()
    })
    .unwrap();
    assert_eq!(load(&mut none, &words), Ok(()), "words that it does not need are not its own");
}

/// The sequence of opening: none stands after the next.
#[test]
fn accounts_opened_in_the_future_are_refused() {
    let mut ledger = new();
    ledger.open(None, 1.0).unwrap();
    let words = saved(&ledger);
    // After the limits of the ledger and the slab, the mark, the parent and the weight.
    let opened_at = 8;
    assert_eq!(words[opened_at], 0);
    let mut forged = words.clone();
    forged[opened_at] = 1;
    assert_eq!(load(&mut new(), &forged).unwrap_err().field(), "opened");
    let opened = words.iter().rposition(|word| *word == 1);
    let mut forged = words.clone();
    forged[opened.unwrap()] = 0;
    assert_eq!(load(&mut new(), &forged).unwrap_err().field(), "opened");
}
