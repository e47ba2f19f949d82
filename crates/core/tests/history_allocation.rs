//! No call about history allocates, refused ones included.

mod counting;
mod support;

use std::hint::black_box;

use counting::tally;
use rampmeter::Nanos;
use rampmeter::share::{Ledger, LedgerOptions, Ranked, Ranking, RawShares};
use support::Prng;

#[test]
fn the_counter_counts() {
    let before = tally().calls;
    drop(black_box(Box::new(7_u8)));
    assert_eq!(tally().calls - before, 2);
}

#[test]
fn no_call_about_history_allocates() {
    const ACCOUNTS: u32 = 40;
    let half_life = Nanos(1_000);
    let options =
        LedgerOptions { accounts_max: ACCOUNTS, lanes: 0, half_life, ..LedgerOptions::default() };
    let mut ledger = Ledger::new(&options).unwrap();
    let (mut prng, mut now) = (Prng(5), Nanos(0));
    let mut ranks = [Ranked::default(); ACCOUNTS as usize];
    let (mut taken, mut refused) = (0_u32, 0_u32);
    let before = tally().calls;
    for _ in 0..20_000 {
        let place = prng.below(u64::from(ACCOUNTS)) as u32;
        let account = ledger.tree().account_at(place).unwrap_or_default();
        let number = [0.0, 1.0, 250.0, -1.0, f64::NAN][prng.below(5) as usize];
        let ranking =
            if prng.chance(50) { Ranking::FairTree } else { Ranking::Classic { damping: number } };
        now = now.saturating_add(Nanos(prng.below(9_000)));
        let done = match prng.below(10) {
            0 => ledger.open(prng.chance(70).then_some(account), number).map(drop),
            1 if prng.chance(30) => ledger.close(account),
            2 => ledger.set_weight(account, number),
            3 if prng.chance(50) => ledger.set_raw_shares(account, RawShares::Parent),
            3 => ledger.set_raw_shares(account, RawShares::Number(number)),
            4 => ledger.set_ranked(account, prng.chance(70)),
            5 => ledger.next_ranked(ranking).map(drop),
            6 => ledger.standing(now, account, ranking).map(drop),
            7 => ledger.rank_users(ranking, &mut ranks).map(drop),
            _ => ledger.record_usage(now, account, number),
        };
        taken += u32::from(done.is_ok());
        refused += u32::from(done.is_err());
    }
    assert_eq!(tally().calls - before, 0);
    assert!(taken > 5_000 && refused > 1_000, "{taken} {refused}");
}
