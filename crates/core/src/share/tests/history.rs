//! History against its definitions: usage as a sum over all that was recorded, both rankings by
//! recursion, and the next one as the first of a whole ranking.

use super::definition::Definition;
use super::*;
use std::vec;

const ACCOUNTS: u32 = 12;
pub(super) const HALF_LIFE: u64 = 1_000;
const CLASSIC: Ranking = Ranking::Classic { damping: 1.5 };
const RANKINGS: [Ranking; 2] = [CLASSIC, Ranking::FairTree];
/// Some quotients are exact and some are not, so that there are ties and almost ties.
const WEIGHTS: [f64; 5] = [1.0, 2.0, 3.0, 0.7, 5.0];

#[derive(Clone, Copy, Debug)]
enum Op {
    Open(usize, usize),
    Close(usize),
    SetWeight(usize, usize),
    SetShares(usize, RawShares),
    SetRanked(usize, bool),
    /// Account, time that passes before it, amount.
    Record(usize, u64, f64),
    Reload,
}

/// `times` between records, and `amounts` of them.
fn ops(
    times: impl Strategy<Value = u64> + 'static,
    amounts: impl Strategy<Value = f64> + 'static,
) -> impl Strategy<Value = Vec<Op>> {
    let account = || 0..ACCOUNTS as usize;
    let shares = prop_oneof![
        2 => Just(RawShares::Parent),
        1 => Just(RawShares::Weight),
        2 => (0u32..4).prop_map(|number| RawShares::Number(f64::from(number))),
    ];
    let op = prop_oneof![
        4 => (0..20usize, 0..5usize).prop_map(|(parent, weight)| Op::Open(parent, weight)),
        1 => account().prop_map(Op::Close),
        1 => (account(), 0..5usize).prop_map(|(account, weight)| Op::SetWeight(account, weight)),
        1 => (account(), shares).prop_map(|(account, shares)| Op::SetShares(account, shares)),
        5 => (account(), any::<bool>()).prop_map(|(account, on)| Op::SetRanked(account, on)),
        9 => (account(), times, amounts).prop_map(|(account, wait, n)| Op::Record(account, wait, n)),
        1 => Just(Op::Reload),
    ];
    prop::collection::vec(op, 0..150)
}

fn new() -> Ledger {
    let half_life = Nanos(HALF_LIFE);
    let options =
        LedgerOptions { accounts_max: ACCOUNTS, lanes: 0, half_life, ..LedgerOptions::default() };
    Ledger::new(&options).unwrap()
}

fn saved(ledger: &Ledger) -> Vec<u64> {
    let mut words = Vec::new();
    ledger.save_state(&mut |word| words.push(word));
    words
}

fn load(ledger: &mut Ledger, words: &[u64]) -> Result<(), Error> {
    let mut words = words.iter().copied();
    ledger.load_state(&mut || words.next())
}

/// A ledger, and what a definition needs to know of what was done to it.
pub(super) struct Driven {
    pub(super) ledger: Ledger,
    pub(super) now: u64,
    wants: [bool; ACCOUNTS as usize],
    /// When, how much, and for whom, from the account to the top; the root is everybody's.
    pub(super) records: Vec<(u64, f64, Vec<AccountId>)>,
}

impl Driven {
    fn new() -> Self {
        Self { ledger: new(), now: 0, wants: [false; ACCOUNTS as usize], records: Vec::new() }
    }

    fn at(&self, place: usize) -> AccountId {
        self.ledger.tree().account_at(place as u32).unwrap_or_default()
    }

    fn way_up(&self, account: AccountId) -> Vec<AccountId> {
        let above = |account: &AccountId| self.ledger.parent(*account).unwrap();
        core::iter::successors(Some(account), above).collect()
    }

    /// Does it, unless it is refused.
    fn apply(&mut self, op: Op) {
        let done = match op {
            Op::Open(parent, weight) => {
                let parent = (parent < ACCOUNTS as usize).then(|| self.at(parent));
                self.ledger.open(parent, WEIGHTS[weight]).map(|account| {
                    self.wants[account.index() as usize] = false;
                })
            }
            Op::Close(place) => self.ledger.close(self.at(place)),
            Op::SetWeight(place, weight) => self.ledger.set_weight(self.at(place), WEIGHTS[weight]),
            Op::SetShares(place, shares) => self.ledger.set_raw_shares(self.at(place), shares),
            Op::SetRanked(place, on) => {
                let done = self.ledger.set_ranked(self.at(place), on);
                self.wants[place] = if done.is_ok() { on } else { self.wants[place] };
                done
            }
            Op::Record(place, wait, amount) => {
                self.now += wait;
                let account = self.at(place);
                let done = self.ledger.record_usage(Nanos(self.now), account, amount);
                if done.is_ok() {
                    self.records.push((self.now, amount, self.way_up(account)));
                }
                done
            }
            Op::Reload => {
                let words = saved(&self.ledger);
                self.ledger = new();
                load(&mut self.ledger, &words)
            }
        };
        assert!(done.is_ok_and(|()| true) || done.is_err());
    }

    pub(super) fn accounts(&self) -> Vec<AccountId> {
        (0..ACCOUNTS).filter_map(|index| self.ledger.tree().account_at(index)).collect()
    }

    fn ranked(&mut self, ranking: Ranking) -> Vec<Ranked> {
        let mut all = vec![Ranked::default(); ACCOUNTS as usize];
        let users = self.ledger.rank_users(ranking, &mut all).unwrap();
        all.truncate(users);
        all
    }
}

fn check_fair_tree(driven: &mut Driven) -> Result<(), TestCaseError> {
    let found = driven.ranked(Ranking::FairTree);
    let mut expected = Vec::new();
    Definition { driven }.fair_tree(None, false, &mut expected);
    let ranks: Vec<_> = found.iter().map(|entry| (entry.account, entry.rank)).collect();
    prop_assert_eq!(ranks, expected);
    let users = found.len() as f64;
    for entry in found {
        prop_assert_eq!(entry.factor, (users - f64::from(entry.rank) + 1.0) / users);
        let factor = driven.ledger.factor(entry.account, Ranking::FairTree);
        prop_assert_eq!(factor, Ok(Some(entry.factor)));
    }
    Ok(())
}

fn check_classic(driven: &mut Driven) -> Result<(), TestCaseError> {
    let all = if driven.records.iter().any(|record| record.1 > 0.0) { 1.0 } else { 0.0 };
    let mut expected = Vec::new();
    Definition { driven }.classic(None, (all, 1.0), &mut expected);
    for (account, expected) in expected {
        let found = driven.ledger.factor(account, CLASSIC).unwrap().unwrap();
        prop_assert!((found - expected).abs() <= 1e-9, "{account:?} {found} {expected}");
        let standing = driven.ledger.standing(Nanos(driven.now), account, CLASSIC).unwrap();
        let ratio = standing.usage_effective / standing.shares_norm;
        let again = if standing.shares_norm == 0.0 { 0.0 } else { (-ratio / 1.5).exp2() };
        prop_assert!((found - again).abs() <= 1e-9, "{standing:?}");
    }
    let ranked = driven.ranked(CLASSIC);
    for (place, entry) in ranked.iter().enumerate() {
        prop_assert_eq!(driven.ledger.factor(entry.account, CLASSIC), Ok(Some(entry.factor)));
        let first = ranked.iter().position(|other| other.rank == entry.rank).unwrap();
        prop_assert_eq!(entry.rank as usize, first + 1);
        prop_assert!(place == 0 || entry.factor <= ranked[place - 1].factor);
        let standing = driven.ledger.standing(Nanos(driven.now), entry.account, CLASSIC).unwrap();
        prop_assert_eq!(standing.rank, Some(entry.rank));
    }
    Ok(())
}

/// All standings at once are those of each account.
fn check_standings(driven: &mut Driven) -> Result<(), TestCaseError> {
    let now = Nanos(driven.now);
    for ranking in RANKINGS {
        let mut all = vec![Standing::default(); ACCOUNTS as usize];
        driven.ledger.standings(now, ranking, &mut all).unwrap();
        for index in 0..ACCOUNTS {
            let Some(account) = driven.ledger.tree().account_at(index) else {
                prop_assert_eq!(all[index as usize], Standing::default());
                continue;
            };
            let alone = driven.ledger.standing(now, account, ranking).unwrap();
            prop_assert_eq!(all[index as usize], alone);
        }
        let short = driven.ledger.standings(now, ranking, &mut all[1..]).unwrap_err();
        prop_assert_eq!(short.field(), "out");
    }
    Ok(())
}

/// The next is the first of the whole ranking among those that want, or ties with it.
fn check_next(driven: &mut Driven) -> Result<(), TestCaseError> {
    for ranking in RANKINGS {
        let next = driven.ledger.next_ranked(ranking).unwrap();
        let mut ranked = driven.ranked(ranking);
        ranked.retain(|entry| driven.wants[entry.account.index() as usize]);
        let best = ranked.first().map(|entry| entry.rank);
        let found = ranked.iter().find(|entry| Some(entry.account) == next);
        prop_assert_eq!(found.map(|entry| entry.rank), best, "{:?} of {:?}", next, ranked);
        prop_assert_eq!(next.is_some(), best.is_some());
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    /// Whole numbers at whole half-lives are exact, so that the order must be that of the
    /// definition to the last bit, ties and almost ties included.
    #[test]
    fn rankings_are_what_they_are_defined_to_be(
        ops in ops(
            prop_oneof![9 => Just(0), 1 => Just(HALF_LIFE)], (0u32..6).prop_map(f64::from),
        ),
    ) {
        let mut driven = Driven::new();
        for op in ops {
            driven.apply(op);
            check_next(&mut driven)?;
            check_standings(&mut driven)?;
        }
        check_fair_tree(&mut driven)?;
        check_classic(&mut driven)?;
    }

    /// Everybody used what it should have, so that rounding alone decides who is first.
    #[test]
    fn almost_ties_are_told_apart_as_in_the_whole_ranking(
        shares in prop::collection::vec((1u32..60, any::<bool>()), 2..11), other in 0u32..200,
    ) {
        let mut driven = Driven::new();
        driven.apply(Op::Open(20, 0));
        driven.apply(Op::Record(0, 0, f64::from(other)));
        for (place, (shares, wants)) in (1..).zip(shares) {
            let number = f64::from(shares);
            driven.apply(Op::Open(20, 0));
            driven.apply(Op::SetShares(place, RawShares::Number(number)));
            driven.apply(Op::Record(place, 0, number));
            driven.apply(Op::SetRanked(place, wants));
            check_next(&mut driven)?;
        }
        check_fair_tree(&mut driven)?;
        check_classic(&mut driven)?;
    }

    /// At any time, over many bases: usage by its definition, and the next one at every moment.
    #[test]
    fn the_next_is_the_first_at_any_time(
        ops in ops(prop_oneof![9 => 0u64..500, 1 => 0u64..400 * HALF_LIFE], 0.0f64..100.0),
    ) {
        let mut driven = Driven::new();
        for op in ops {
            driven.apply(op);
            check_next(&mut driven)?;
        }
        for account in driven.accounts() {
            let found = driven.ledger.usage(Nanos(driven.now), account).unwrap();
            let expected = Definition { driven: &driven }.usage(Some(account));
            prop_assert!((found - expected).abs() <= 1e-12 * expected + 1e-90);
        }
        let found = driven.ledger.usage_of_all(Nanos(driven.now)).unwrap();
        let expected = Definition { driven: &driven }.usage(None);
        prop_assert!((found - expected).abs() <= 1e-12 * expected + 1e-90);
    }

    /// Nothing but records and changes moves anybody.
    #[test]
    fn time_alone_changes_no_rank_and_halves_usage(
        ops in ops(0u64..3_000, 0.0f64..100.0), later in 0u64..300,
    ) {
        let mut driven = Driven::new();
        for op in ops {
            driven.apply(op);
        }
        let before = RANKINGS.map(|ranking| driven.ranked(ranking));
        let Some(account) = driven.accounts().first().copied() else { return Ok(()) };
        let usage = driven.ledger.usage(Nanos(driven.now), account).unwrap();
        driven.now += later * HALF_LIFE;
        driven.ledger.record_usage(Nanos(driven.now), account, 0.0).unwrap();
        let found = driven.ledger.usage(Nanos(driven.now), account).unwrap();
        prop_assert_eq!(found, libm::ldexp(usage, -(later as i32)));
        prop_assert_eq!(RANKINGS.map(|ranking| driven.ranked(ranking)), before);
    }

    #[test]
    fn a_loaded_history_goes_on_as_the_saved_one(
        before in ops(0u64..3_000, 0.0f64..100.0), after in ops(0u64..3_000, 0.0f64..100.0),
    ) {
        let (mut driven, mut other) = (Driven::new(), Driven::new());
        for op in before {
            driven.apply(op);
        }
        prop_assert_eq!(load(&mut other.ledger, &saved(&driven.ledger)), Ok(()));
        other.now = driven.now;
        for op in after {
            driven.apply(op);
            other.apply(op);
            prop_assert_eq!(saved(&driven.ledger), saved(&other.ledger));
            for ranking in RANKINGS {
                let next = driven.ledger.next_ranked(ranking);
                prop_assert_eq!(next, other.ledger.next_ranked(ranking));
                prop_assert_eq!(driven.ranked(ranking), other.ranked(ranking));
            }
        }
    }

    /// Words of anybody's are refused, leaving a new ledger, or can be used.
    #[test]
    fn damaged_words_are_refused_or_harmless(
        before in ops(0u64..3_000, 0.0f64..100.0), after in ops(0u64..3_000, 0.0f64..100.0),
        at in any::<prop::sample::Index>(),
        word in prop_oneof![
            any::<u64>(), 0u64..12, any::<f64>().prop_map(f64::to_bits),
            Just(f64::NAN.to_bits()), Just(f64::MAX.to_bits()), Just(1e120f64.to_bits()),
            Just((-0.0f64).to_bits()),
        ],
    ) {
        let (mut driven, mut other) = (Driven::new(), Driven::new());
        for op in before {
            driven.apply(op);
        }
        let mut words = saved(&driven.ledger);
        let at = at.index(words.len());
        words[at] = word;
        if load(&mut other.ledger, &words).is_err() {
            prop_assert_eq!(saved(&other.ledger), saved(&new()));
            prop_assert_eq!(load(&mut other.ledger, &words[..words.len() - 1]).is_err(), true);
            return Ok(());
        }
        prop_assert_eq!(saved(&other.ledger), words);
        for op in after {
            other.apply(op);
            for ranking in RANKINGS {
                other.ledger.next_ranked(ranking).unwrap();
                other.ranked(ranking);
            }
            for account in other.accounts() {
                // A forged time may be later than ours.
                let _ = other.ledger.standing(Nanos(other.now), account, Ranking::FairTree);
            }
        }
    }
}

#[test]
fn words_of_another_history_are_refused_by_name() {
    let mut ledger = new();
    let user = ledger.open(None, 1.0).unwrap();
    ledger.record_usage(Nanos(5 * HALF_LIFE), user, 7.0).unwrap();
    let words = saved(&ledger);
    let place = |word: u64| words.iter().rposition(|other| *other == word).unwrap();
    let (half_life, last) = (place(HALF_LIFE), place(5 * HALF_LIFE));
    let usage = place(224f64.to_bits());
    let refusal = |at: usize, word: u64| {
        let mut words = words.clone();
        words[at] = word;
        load(&mut new(), &words).unwrap_err().field()
    };
    assert_eq!(refusal(half_life, 2 * HALF_LIFE), "half_life_ns");
    assert_eq!(refusal(last - 1, 6), "base", "it begins after the last record");
    assert_eq!(refusal(usage, 1e200f64.to_bits()), "usage");
    assert_eq!(refusal(usage, 1e-200f64.to_bits()), "usage");
    assert_eq!(refusal(usage + 1, 300f64.to_bits()), "usage_excess");
    assert_eq!(refusal(usage + 2, 3), "shares");
    assert_eq!(refusal(usage + 3, 1f64.to_bits()), "shares", "a weight has no number");
    assert_eq!(refusal(usage + 4, 2), "ranked");
}

#[test]
fn wrong_calls_are_named_and_change_nothing() {
    let mut without = ledger(2);
    let user = without.open(None, 1.0).unwrap();
    assert_eq!(without.usage(Nanos(0), user).unwrap_err().field(), "half_life_ns");
    assert_eq!(without.record_usage(Nanos(0), user, 1.0).unwrap_err().field(), "half_life_ns");
    assert_eq!(without.set_ranked(user, true).unwrap_err().field(), "half_life_ns");
    assert_eq!(without.next_ranked(CLASSIC).unwrap_err().field(), "half_life_ns");

    let mut ledger = new();
    let user = ledger.open(None, 1.0).unwrap();
    ledger.record_usage(Nanos(9), user, 1.0).unwrap();
    let before = saved(&ledger);
    for amount in [-1.0, f64::NAN, f64::INFINITY, 1e16] {
        let refused = ledger.record_usage(Nanos(9), user, amount).unwrap_err();
        assert_eq!(refused.field(), "amount");
    }
    assert_eq!(ledger.record_usage(Nanos(8), user, 1.0).unwrap_err().field(), "now_ns");
    assert_eq!(ledger.usage(Nanos(8), user).unwrap_err().field(), "now_ns");
    for number in [-1.0, f64::NAN, 1e-300, 3e9] {
        let refused = ledger.set_raw_shares(user, RawShares::Number(number)).unwrap_err();
        assert_eq!(refused.field(), "shares");
    }
    let undamped = Ranking::Classic { damping: 0.5 };
    assert_eq!(ledger.factor(user, undamped).unwrap_err().field(), "damping");
    assert_eq!(ledger.rank_users(CLASSIC, &mut []).unwrap_err().field(), "out");
    let nobody = AccountId::default();
    assert_eq!(ledger.factor(nobody, CLASSIC).unwrap_err().code(), -3);
    assert_eq!(ledger.record_usage(Nanos(9), nobody, 1.0).unwrap_err().code(), -3);
    assert_eq!(saved(&ledger), before);
}

/// What a closed account used still counts above it; who has its place has used nothing.
#[test]
fn a_closed_account_leaves_its_usage_to_those_above() {
    let mut ledger = new();
    let team = ledger.open(None, 1.0).unwrap();
    let user = ledger.open(Some(team), 1.0).unwrap();
    ledger.record_usage(Nanos(0), user, 8.0).unwrap();
    ledger.close(user).unwrap();
    let other = ledger.open(Some(team), 1.0).unwrap();
    assert_eq!(ledger.usage(Nanos(HALF_LIFE), other), Ok(0.0));
    assert_eq!(ledger.usage(Nanos(HALF_LIFE), team), Ok(4.0));
    assert_eq!(ledger.usage_of_all(Nanos(3 * HALF_LIFE)), Ok(1.0));
}

/// Tied accounts stay apart: all of one goes before all of the other. Merged, the users with no
/// usage would go first.
#[test]
fn tied_accounts_are_not_merged() {
    let mut ledger = new();
    let teams = [(); 2].map(|()| ledger.open(None, 1.0).unwrap());
    let users = teams.map(|team| [(); 2].map(|()| ledger.open(Some(team), 1.0).unwrap()));
    for [user, _] in users {
        ledger.record_usage(Nanos(0), user, 1.0).unwrap();
    }
    let mut all = [Ranked::default(); 4];
    ledger.rank_users(Ranking::FairTree, &mut all).unwrap();
    let expected = [(users[0][1], 1), (users[0][0], 2), (users[1][1], 2), (users[1][0], 4)];
    assert_eq!(all.map(|entry| (entry.account, entry.rank)), expected);
}

/// What the documentation says.
#[test]
fn a_history_takes_152_bytes_for_each_account() {
    let bytes = |accounts_max| {
        let half_life = Nanos(1);
        let with = LedgerOptions { accounts_max, half_life, ..LedgerOptions::default() };
        let without = LedgerOptions { half_life: Nanos(0), ..with };
        Ledger::bytes_needed(&with) - Ledger::bytes_needed(&without)
    };
    assert_eq!(bytes(101_000) - bytes(1_000), 100_000 * 152);
}
