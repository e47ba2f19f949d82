//! Division with regard to the ledger's own history, held against the definition.

use proptest::prelude::*;
use rampmeter::Nanos;
use rampmeter::share::{
    AccountId, AccountQuota, Amounts, Division, HistoryDivision, Ledger, LedgerOptions,
};

const SECOND: u64 = 1_000_000_000;
const HOUR: u64 = 3_600 * SECOND;
/// 64 GPUs, in thousandths; what is recorded is GPU seconds.
const CAPACITY: u64 = 64_000;
const RATE: f64 = 64.0;

fn ledger(half_life: Nanos) -> Ledger {
    let options = LedgerOptions {
        accounts_max: 16,
        lanes: 0,
        resources: 2,
        half_life,
        ..LedgerOptions::default()
    };
    let mut ledger = Ledger::new(&options).unwrap();
    ledger.set_capacity(&Amounts([CAPACITY, 700, 0, 0, 0, 0, 0, 0])).unwrap();
    ledger
}

/// An account that wants all there is.
fn greedy(ledger: &mut Ledger, parent: Option<AccountId>, over_quota_weight: f64) -> AccountId {
    let account = ledger.open(parent, 1.0).unwrap();
    let over_quota_weight = [over_quota_weight; 8];
    let rules = AccountQuota { over_quota_weight, ..AccountQuota::default() };
    ledger.set_quota(account, &rules).unwrap();
    ledger.ask(account, &Amounts([CAPACITY, 700, 0, 0, 0, 0, 0, 0])).unwrap();
    account
}

fn shares(ledger: &Ledger) -> Vec<[u64; 2]> {
    let open = (0..16).filter_map(|index| ledger.tree().account_at(index));
    let share = |account| ledger.fair_share(account).unwrap().0;
    open.map(share).map(|share| [share[0], share[1]]).collect()
}

/// The share of GPUs.
fn gpus(ledger: &Ledger, account: AccountId) -> u64 {
    ledger.fair_share(account).unwrap().0[0]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    /// The same as with usage reckoned by its definition and handed over, but for what rounding
    /// moves; and without `k` the same as without a past.
    #[test]
    fn history_counts_as_defined(
        weights in prop::collection::vec(0.5f64..9.0, 2..5),
        records in prop::collection::vec((0usize..12, 0u64..HOUR, 0.0f64..40_000.0), 0..60),
        half_life in HOUR / 4..6 * HOUR, later in 0..HOUR, usage_weight in 0.0f64..3.0,
    ) {
        let mut ledger = ledger(Nanos(half_life));
        let mut accounts = Vec::new();
        for weight in &weights {
            let team = ledger.open(None, 1.0).unwrap();
            let over_quota_weight = [*weight; 8];
            let rules = AccountQuota { over_quota_weight, ..AccountQuota::default() };
            ledger.set_quota(team, &rules).unwrap();
            accounts.push((team, None));
            accounts.extend((0..2).map(|_| (greedy(&mut ledger, Some(team), *weight), Some(team))));
        }
        let (mut now, mut told) = (0, Vec::new());
        for (place, wait, amount) in records {
            now += wait;
            let (account, parent) = accounts[place % accounts.len()];
            ledger.record_usage(Nanos(now), account, amount).unwrap();
            told.push((now, account, parent, amount));
        }
        now += later;
        let mut usage = vec![0.0; 16 * 2];
        for (at, account, parent, amount) in told {
            let decayed = amount * (-((now - at) as f64) / half_life as f64).exp2();
            let seconds = half_life as f64 / SECOND as f64 / std::f64::consts::LN_2;
            let average = decayed / (RATE * seconds);
            for account in [Some(account), parent].into_iter().flatten() {
                usage[account.index() as usize * 2] += average * CAPACITY as f64;
                usage[account.index() as usize * 2 + 1] += average * 700.0;
            }
        }
        let division = Division { usage_weight, usage: &usage, ..Division::default() };
        ledger.divide(&division).unwrap();
        let wanted = shares(&ledger);
        let division = HistoryDivision::new(usage_weight, RATE);
        ledger.divide_by_history(Nanos(now), &division).unwrap();
        for (found, wanted) in shares(&ledger).iter().flatten().zip(wanted.iter().flatten()) {
            prop_assert!(found.abs_diff(*wanted) <= 2, "{found} {wanted}");
        }
        ledger.divide_by_history(Nanos(now), &HistoryDivision::new(0.0, RATE)).unwrap();
        let without = shares(&ledger);
        ledger.divide(&Division::default()).unwrap();
        prop_assert_eq!(without, shares(&ledger));
    }

    /// Of two that differ in nothing else, who used less gets more, of every resource, if it is less
    /// by what a unit of the scarcest is worth: 64 a second over five hours are a million.
    #[test]
    fn who_used_less_gets_more(
        used in 0.0f64..1e6, more in 2e5f64..1e6, usage_weight in 0.1f64..2.0, later in 0..HOUR,
    ) {
        let mut ledger = ledger(Nanos(5 * HOUR));
        let [little, much] = [(); 2].map(|()| greedy(&mut ledger, None, 1.0));
        ledger.record_usage(Nanos(7), little, used).unwrap();
        ledger.record_usage(Nanos(7), much, used + more).unwrap();
        let division = HistoryDivision::new(usage_weight, RATE);
        ledger.divide_by_history(Nanos(7 + later), &division).unwrap();
        for resource in 0..2 {
            let share = |account| ledger.fair_share(account).unwrap().0[resource];
            prop_assert!(share(little) > share(much), "{} {}", share(little), share(much));
        }
        prop_assert_eq!(gpus(&ledger, little) + gpus(&ledger, much), CAPACITY);
    }
}

/// Who has held a constant part of everything for long has that part as its usage: with three
/// quarters and one quarter, `k` = 1 and equal weights the next shares are the other way round.
#[test]
fn a_constant_part_for_ever_is_that_part() {
    let mut ledger = ledger(Nanos(HOUR));
    let [much, little] = [(); 2].map(|()| greedy(&mut ledger, None, 1.0));
    let mut now = Nanos(0);
    for minute in 0..60 * 40 {
        now = Nanos(minute * 60 * SECOND);
        ledger.record_usage(now, much, 48.0 * 60.0).unwrap();
        ledger.record_usage(now, little, 16.0 * 60.0).unwrap();
    }
    let parts = |ledger: &Ledger| [much, little].map(|account| gpus(ledger, account) / 640);
    ledger.divide_by_history(now, &HistoryDivision::new(1.0, RATE)).unwrap();
    // Records once a minute, at its end: off by half a minute of a window of 87.
    assert_eq!(parts(&ledger), [24, 75]);
    // Ten times the capacity: the same usage is a tenth of it.
    ledger.divide_by_history(now, &HistoryDivision::new(1.0, 10.0 * RATE)).unwrap();
    assert_eq!(parts(&ledger), [48, 51]);
    // And half of that half a day later.
    let later = now.saturating_add(Nanos(12 * HOUR));
    ledger.divide_by_history(later, &HistoryDivision::new(1.0, RATE)).unwrap();
    assert_eq!(parts(&ledger), [49, 50]);
}

/// GPU minutes of each after so many of them, with whole GPUs, each holding what it is given.
fn long_run(gpus_len: u64, weights: &[f64], usage_weight: f64, minutes: u64) -> Vec<u64> {
    let mut ledger = ledger(Nanos(2 * HOUR));
    let capacity = Amounts::first(1_000 * gpus_len);
    ledger.set_capacity(&capacity).unwrap();
    let accounts: Vec<_> =
        weights.iter().map(|weight| greedy(&mut ledger, None, *weight)).collect();
    let mut totals = vec![0; weights.len()];
    for minute in 0..minutes {
        let now = Nanos(minute * 60 * SECOND);
        let units = Amounts([1_000; 8]);
        let division =
            HistoryDivision { units, ..HistoryDivision::new(usage_weight, gpus_len as f64) };
        ledger.divide_by_history(now, &division).unwrap();
        for (account, total) in accounts.iter().zip(&mut totals) {
            let held = gpus(&ledger, *account) / 1_000;
            ledger.record_usage(now, *account, held as f64 * 60.0).unwrap();
            *total += held;
        }
    }
    totals
}

/// Three whole GPUs for two: without a past the older one has two of them for ever.
#[test]
fn long_run_shares_become_equal() {
    assert_eq!(long_run(3, &[1.0, 1.0], 0.0, 3_000), [6_000, 3_000]);
    let totals = long_run(3, &[1.0, 1.0], 1.0, 3_000);
    println!("{totals:?}");
    assert!(totals[0].abs_diff(totals[1]) <= 45, "{totals:?}");
    // Two GPUs for three. In whole units a past that hardly counts cannot make up for rounding.
    let away = |usage_weight| {
        let totals = long_run(2, &[1.0, 2.0, 5.0], usage_weight, 8_000);
        println!("k = {usage_weight}: {totals:?}");
        totals.iter().zip([1, 2, 5]).map(|(total, weight)| total.abs_diff(2_000 * weight)).max()
    };
    assert!(away(0.0) > Some(2_000));
    assert!(away(1.0) < Some(1_500));
    assert!(away(100.0) < Some(100));
}

/// What a closed account used counts for the account above it itself, next to its children.
#[test]
fn closed_children_burden_their_parent() {
    let mut ledger = ledger(Nanos(HOUR));
    let team = greedy(&mut ledger, None, 1.0);
    let [gone, here] = [(); 2].map(|()| greedy(&mut ledger, Some(team), 1.0));
    ledger.record_usage(Nanos(1), gone, RATE * 2_000.0).unwrap();
    ledger.withdraw(gone, &Amounts([CAPACITY, 700, 0, 0, 0, 0, 0, 0])).unwrap();
    ledger.close(gone).unwrap();
    ledger.divide_by_history(Nanos(1), &HistoryDivision::new(1.0, RATE)).unwrap();
    assert_eq!(gpus(&ledger, team), CAPACITY);
    // 2,000 of 5,194 seconds: 1 - 0.385 of two parts for the team's own.
    assert_eq!(gpus(&ledger, here) * 100 / CAPACITY, 61);
}

#[test]
fn what_cannot_be_is_refused() {
    let right = HistoryDivision::new(1.0, RATE);
    let mut ledger = ledger(Nanos(HOUR));
    let account = greedy(&mut ledger, None, 1.0);
    ledger.record_usage(Nanos(HOUR), account, 1.0).unwrap();
    ledger.divide_by_history(Nanos(HOUR), &right).unwrap();
    let before = shares(&ledger);
    let mut refused = |now: u64, division: HistoryDivision| {
        let error = ledger.divide_by_history(Nanos(now), &division).unwrap_err();
        assert_eq!(shares(&ledger), before);
        error.field()
    };
    assert_eq!(refused(HOUR - 1, right), "now_ns");
    assert_eq!(refused(HOUR, HistoryDivision { usage_weight: -0.1, ..right }), "usage_weight");
    assert_eq!(refused(HOUR, HistoryDivision { units: Amounts::ZERO, ..right }), "units");
    for usage_per_s_max in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e30] {
        let division = HistoryDivision { usage_per_s_max, ..right };
        assert_eq!(refused(HOUR, division), "usage_per_s_max");
    }
    let without = |options: &LedgerOptions| {
        Ledger::new(options).unwrap().divide_by_history(Nanos(0), &right).unwrap_err().field()
    };
    let options = LedgerOptions { resources: 1, ..LedgerOptions::default() };
    assert_eq!(without(&options), "half_life_ns");
    let options = LedgerOptions { half_life: Nanos(1), ..LedgerOptions::default() };
    assert_eq!(without(&options), "resources");
}
