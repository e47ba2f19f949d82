//! Reclaim rule by rule, protection to the nanosecond, and what is refused.

use std::vec;

use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::protection::ReclaimLimits;
use super::reclaim::{Basis, Holding, Reclamation, Refusal, RunningJob, Verdict};
use super::reclaim_rule::{events, happen, opened};
use super::scheduler::{RESOURCES, Rule, SECOND, World, amounts};
use super::*;

const NOW: Nanos = Nanos(100 * SECOND);

fn new() -> Ledger {
    let options = LedgerOptions {
        accounts_max: 8,
        lanes: 0,
        resources: RESOURCES as u32,
        ..LedgerOptions::default()
    };
    Ledger::new(&options).unwrap()
}

/// An account with a quota, a fair share and what it holds, all of the first resource.
fn account(
    ledger: &mut Ledger,
    above: Option<AccountId>,
    quota: u64,
    share: u64,
    held: u64,
) -> AccountId {
    let account = ledger.open(above, 1.0).unwrap();
    let quota = AccountQuota { quota: Amounts::first(quota), ..AccountQuota::default() };
    ledger.set_quota(account, &quota).unwrap();
    let row = ledger.quotas.row(account.index());
    ledger.quotas.fair_share[row.start] = share;
    ledger.allocate(account, &Amounts::first(held)).unwrap();
    account
}

fn claim(reclaimer: AccountId, amount: u64, short: u64) -> Reclamation {
    Reclamation { reclaimer, amounts: Amounts::first(amount), short: Amounts::first(short) }
}

fn job(account: AccountId, amount: u64) -> RunningJob {
    RunningJob { account, amounts: Amounts::first(amount), started: NOW, saved: NOW }
}

fn verdict(ledger: &Ledger, claim: &Reclamation, job: &RunningJob) -> Verdict {
    ledger.reclaimable(NOW, claim, job).unwrap()
}

fn why(ledger: &Ledger, claim: &Reclamation, job: &RunningJob) -> Refusal {
    match verdict(ledger, claim, job) {
        Verdict::No { why } => why,
        yes @ Verdict::Yes { .. } => panic!("{yes:?}"),
    }
}

fn yes(basis: Basis, below: u64) -> Verdict {
    Verdict::Yes { basis, below: Amounts::first(below) }
}

#[test]
fn an_indivisible_job_goes_as_a_whole_and_says_how_far_that_is_too_much() {
    let mut ledger = new();
    let large = account(&mut ledger, None, 0, 7, 8);
    let small = account(&mut ledger, None, 0, 1, 0);
    assert_eq!(verdict(&ledger, &claim(small, 1, 1), &job(large, 8)), yes(Basis::FairShare, 7));
    assert_eq!(verdict(&ledger, &claim(small, 1, 1), &job(large, 1)), yes(Basis::FairShare, 0));
    // Two are more than its share, and a second job finds the victim within its own.
    let holding = Holding { account: small, resource: 0, held: 2, entitled: 1 };
    let refusal = Refusal::ReclaimerOver(holding);
    assert_eq!(why(&ledger, &claim(small, 2, 2), &job(large, 8)), refusal);
    ledger.release(large, &Amounts::first(1)).unwrap();
    let holding = Holding { account: large, resource: 0, held: 7, entitled: 7 };
    let refusal = Refusal::VictimWithin(holding);
    assert_eq!(why(&ledger, &claim(small, 1, 1), &job(large, 1)), refusal);
}

#[test]
fn a_guarantee_breaks_into_a_share_and_not_into_a_guarantee() {
    let mut ledger = new();
    let victim = account(&mut ledger, None, 2, 6, 6);
    let guaranteed = account(&mut ledger, None, 3, 3, 0);
    let sharing = account(&mut ledger, None, 0, 3, 0);
    assert_eq!(verdict(&ledger, &claim(guaranteed, 3, 3), &job(victim, 4)), yes(Basis::Quota, 4));
    let holding = Holding { account: victim, resource: 0, held: 1, entitled: 2 };
    let refusal = Refusal::VictimGuarantee(holding);
    assert_eq!(why(&ledger, &claim(guaranteed, 3, 3), &job(victim, 5)), refusal);
    let holding = Holding { account: victim, resource: 0, held: 6, entitled: 6 };
    let refusal = Refusal::VictimWithin(holding);
    assert_eq!(why(&ledger, &claim(sharing, 3, 3), &job(victim, 4)), refusal);
    // Above what it is entitled to, it may fall below its quota by one job.
    ledger.allocate(victim, &Amounts::first(1)).unwrap();
    assert_eq!(verdict(&ledger, &claim(sharing, 3, 3), &job(victim, 7)), yes(Basis::FairShare, 6));
}

#[test]
fn a_team_above_its_share_re_divides_what_it_has_and_takes_no_more() {
    let mut ledger = new();
    let team = account(&mut ledger, None, 0, 6, 0);
    let other = account(&mut ledger, None, 0, 2, 4);
    let giver = account(&mut ledger, Some(team), 0, 2, 5);
    let taker = account(&mut ledger, Some(team), 0, 4, 0);
    assert_eq!(verdict(&ledger, &claim(taker, 3, 2), &job(giver, 2)), yes(Basis::FairShare, 0));
    let over =
        |held| Refusal::ReclaimerOver(Holding { account: team, resource: 0, held, entitled: 6 });
    assert_eq!(why(&ledger, &claim(taker, 3, 1), &job(giver, 2)), over(7), "two of them are free");
    assert_eq!(why(&ledger, &claim(taker, 3, 2), &job(other, 2)), over(8), "the team would grow");
    assert_eq!(verdict(&ledger, &claim(taker, 1, 1), &job(other, 2)), yes(Basis::FairShare, 0));
    let scope = ledger.may_reclaim(&claim(taker, 3, 2)).unwrap();
    assert_eq!((scope.share_depth, scope.quota_depth, scope.fits()), (Some(1), None, false));
    assert_eq!(ledger.may_reclaim(&claim(taker, 1, 1)).unwrap().share_depth, Some(0));
    // Nobody takes from whoever stands above or below, nor what is not wanted.
    assert_eq!(why(&ledger, &claim(team, 1, 1), &job(giver, 1)), Refusal::SameBranch);
    assert_eq!(why(&ledger, &claim(taker, 1, 0), &job(giver, 1)), Refusal::NothingWanted);
}

#[test]
fn nobody_reclaims_beyond_its_limit() {
    let mut ledger = new();
    let victim = account(&mut ledger, None, 0, 2, 4);
    let limited = account(&mut ledger, None, u64::MAX, 4, 0);
    let one = claim(limited, 3, 1);
    assert_eq!(verdict(&ledger, &one, &job(victim, 1)), yes(Basis::Quota, 0));
    let mut rules = ledger.quota(limited).unwrap();
    rules.limit = amounts([2, 0]);
    ledger.set_quota(limited, &rules).unwrap();
    let holding = Holding { account: limited, resource: 0, held: 3, entitled: 2 };
    assert_eq!(why(&ledger, &one, &job(victim, 1)), Refusal::ReclaimerOver(holding));
}

#[test]
fn the_most_saturated_gives_first_at_every_level() {
    let mut ledger = new();
    let taker = account(&mut ledger, None, 0, 9, 0);
    let team = account(&mut ledger, None, 0, 4, 0);
    let half = account(&mut ledger, None, 0, 4, 6);
    let within = account(&mut ledger, None, 0, 4, 4);
    let low = account(&mut ledger, Some(team), 0, 2, 3);
    let high = account(&mut ledger, Some(team), 0, 1, 5);
    let unentitled = account(&mut ledger, None, 0, 0, 1);
    let order: Vec<_> = ledger.victims(&claim(taker, 1, 1)).unwrap().collect();
    assert_eq!(order, [unentitled, high, low, half], "8 of 4 before 6 of 4; not {within:?}");
    let order: Vec<_> = ledger.victims(&claim(low, 1, 1)).unwrap().collect();
    assert_eq!(order, [], "it is above its own share");
    let guaranteed = account(&mut ledger, Some(team), 1, 1, 0);
    let order: Vec<_> = ledger.victims(&claim(guaranteed, 1, 1)).unwrap().collect();
    assert_eq!(order, [high, low], "the team is above its share, its users are not all");
}

#[test]
fn least_run_time_is_that_of_the_nearest_account_that_says_one() {
    let mut ledger = new();
    let team = account(&mut ledger, None, 0, 0, 0);
    let victim = account(&mut ledger, Some(team), 0, 0, 2);
    let taker = account(&mut ledger, None, 0, 2, 0);
    let (claim, job) = (claim(taker, 1, 1), job(victim, 1));
    let min_runtime = |span| ReclaimLimits { min_runtime: span, ..ReclaimLimits::default() };
    let at = |ledger: &Ledger, passed| {
        ledger.reclaimable(NOW.saturating_add(Nanos(passed)), &claim, &job).unwrap()
    };
    assert_eq!(at(&ledger, 0), yes(Basis::FairShare, 0));
    ledger.set_reclaim_limits(team, &min_runtime(Some(Nanos(7)))).unwrap();
    let until = NOW.saturating_add(Nanos(7));
    let why = Refusal::MinRuntime { account: team, until };
    assert_eq!((at(&ledger, 6), at(&ledger, 7)), (Verdict::No { why }, yes(Basis::FairShare, 0)));
    ledger.set_reclaim_limits(victim, &min_runtime(Some(Nanos(0)))).unwrap();
    assert_eq!(at(&ledger, 0), yes(Basis::FairShare, 0));
    assert_eq!(ledger.reclaim_limits(victim), Ok(min_runtime(Some(Nanos(0)))));
    ledger.set_reclaim_limits(victim, &min_runtime(None)).unwrap();
    assert_eq!(at(&ledger, 6), Verdict::No { why });
}

#[test]
fn a_budget_is_spent_by_what_is_lost_and_comes_back_to_the_nanosecond() {
    let mut ledger = new();
    let team = account(&mut ledger, None, 0, 0, 0);
    let victim = account(&mut ledger, Some(team), 0, 0, 9);
    let taker = account(&mut ledger, None, 0, 9, 0);
    let limits = ReclaimLimits {
        loss_budget: amounts([10, u64::MAX]),
        loss_window: Nanos(20 * SECOND),
        ..ReclaimLimits::default()
    };
    ledger.set_reclaim_limits(team, &limits).unwrap();
    let claim = claim(taker, 2, 2);
    // Two units for three seconds and a nanosecond: seven unit-seconds.
    let saved = Nanos(NOW.get() - 3 * SECOND - 1);
    let job = RunningJob { started: Nanos(5), saved, ..job(victim, 2) };
    assert_eq!(verdict(&ledger, &claim, &job), yes(Basis::FairShare, 0));
    ledger.reclaimed(NOW, taker, &job).unwrap();
    assert_eq!(
        ledger.loss_left(NOW, team),
        Ok(Amounts([3, u64::MAX, u64::MAX, u64::MAX, u64::MAX, u64::MAX, u64::MAX, u64::MAX]))
    );
    assert_eq!(ledger.loss_left(NOW, victim), Ok(Amounts::UNLIMITED));
    // What came to nothing is given back.
    let before = saved_words(&ledger);
    ledger.reclaimed(NOW, taker, &job).unwrap();
    assert_ne!(saved_words(&ledger), before);
    ledger.reclaim_undone(NOW, taker, &job).unwrap();
    assert_eq!(saved_words(&ledger), before);
    // Four are missing; two seconds give one back.
    let free_at = NOW.saturating_add(Nanos(8 * SECOND));
    assert_eq!(why(&ledger, &claim, &job), Refusal::Budget { account: team, resource: 0, free_at });
    for (now, left) in
        [(free_at.get() - 1, 6), (free_at.get(), 7), (free_at.get() + 6 * SECOND, 10)]
    {
        assert_eq!(ledger.loss_left(Nanos(now), team).unwrap().0[0], left);
    }
    // With half of the window all comes back twice as fast; what is spent stays spent.
    let half = ReclaimLimits { loss_window: Nanos(10 * SECOND), ..limits };
    ledger.set_reclaim_limits(team, &half).unwrap();
    assert_eq!(ledger.loss_left(NOW, team).unwrap().0[0], 3);
    assert_eq!(ledger.loss_left(Nanos(NOW.get() + 2 * SECOND), team).unwrap().0[0], 5);
    // What can never be, what is taken within the team, and time that goes back.
    let long = RunningJob { saved: Nanos(5), ..job };
    let (account, resource, free_at) = (team, 0, Nanos::MAX);
    assert_eq!(why(&ledger, &claim, &long), Refusal::Budget { account, resource, free_at });
    let sibling = super::reclaim_cases::account(&mut ledger, Some(team), 0, 9, 0);
    let inside = Reclamation { reclaimer: sibling, ..claim };
    assert_eq!(verdict(&ledger, &inside, &long), yes(Basis::FairShare, 0));
    let early = Nanos(NOW.get() - 1);
    let error = Error::TimeReversed { now_ns: early.get(), last_ns: NOW.get() };
    let before = saved_words(&ledger);
    assert_eq!(ledger.reclaimable(early, &claim, &long), Err(error));
    assert_eq!(ledger.reclaimed(early, taker, &long), Err(error));
    assert_eq!(saved_words(&ledger), before);
}

fn saved_words(ledger: &Ledger) -> Vec<u64> {
    let mut words = vec![];
    ledger.save_state(&mut |word| words.push(word));
    words
}

#[test]
fn wrong_calls_are_named() {
    let mut ledger = new();
    let victim = account(&mut ledger, None, 0, 0, 3);
    let taker = account(&mut ledger, None, 0, 2, 0);
    let (good, fine) = (claim(taker, 1, 1), job(victim, 1));
    let field = |claim: &Reclamation, job: &RunningJob| {
        ledger.reclaimable(NOW, claim, job).unwrap_err().field()
    };
    assert_eq!(field(&claim(taker, 1, 2), &fine), "short");
    assert_eq!(field(&claim(taker, u64::MAX, 1), &fine), "amounts");
    assert_eq!(field(&claim(AccountId::default(), 1, 1), &fine), "account");
    assert_eq!(field(&good, &job(AccountId::default(), 1)), "account");
    assert_eq!(field(&good, &job(victim, 4)), "amounts");
    assert_eq!(field(&good, &RunningJob { saved: Nanos(3), ..fine }), "started_ns");
    assert_eq!(field(&good, &RunningJob { saved: Nanos(u64::MAX), ..fine }), "saved_ns");
    let far = Amounts([0, 0, 1, 0, 0, 0, 0, 0]);
    assert_eq!(field(&Reclamation { amounts: far, ..good }, &fine), "amounts");
    let plain = ReclaimLimits::default();
    for (limits, field) in [
        (ReclaimLimits { min_runtime: Some(Nanos::MAX), ..plain }, "min_runtime_ns"),
        (ReclaimLimits { loss_window: Nanos(0), ..plain }, "loss_window_ns"),
        (ReclaimLimits { loss_budget: amounts([u64::MAX - 1, 0]), ..plain }, "loss_budget"),
        (ReclaimLimits { loss_budget: far, ..plain }, "loss_budget"),
    ] {
        assert_eq!(ledger.set_reclaim_limits(victim, &limits).unwrap_err().field(), field);
    }
    assert_eq!(ledger.reclaim_limits(victim), Ok(plain));
    let mut none = Ledger::new(&LedgerOptions::default()).unwrap();
    let somebody = none.open(None, 1.0).unwrap();
    assert_eq!(none.reclaim_limits(somebody).unwrap_err().field(), "resources");
    assert_eq!(none.may_reclaim(&claim(somebody, 0, 0)).unwrap_err().field(), "resources");
    for amount in [0, 1] {
        let refused = none.reclaimed(NOW, somebody, &job(somebody, amount));
        assert_eq!(refused.unwrap_err().field(), "resources");
    }
}

/// 24 bytes for each account, and 24 for each account and resource.
#[test]
fn memory_of_protection_is_what_the_documentation_says() {
    let bytes = |accounts_max, resources| {
        let options = LedgerOptions { accounts_max, resources, ..LedgerOptions::default() };
        protection::Protections::bytes_needed(&options)
    };
    assert_eq!((bytes(1_000, 0), bytes(1_000, 3)), (0, 1_000 * (24 + 3 * 24)));
}

proptest! {
    /// What was lost is known after loading; any one word that is something else is refused, or
    /// saved as it was read and harmless.
    #[test]
    fn protection_is_saved_and_loaded(
        limits in prop::collection::vec(
            (prop::option::of(0u64..1 << 62), (0u64..1 << 62, 0u64..50), 1u64..1 << 62), 3),
        losses in prop::collection::vec((0..3usize, 0u64..99), 0..9),
        at in any::<prop::sample::Index>(), word in prop_oneof![any::<u64>(), 0u64..9],
        later in any::<u64>(),
    ) {
        let mut ledger = new();
        let mut accounts = vec![];
        for (span, budget, window) in &limits {
            let opened = account(&mut ledger, accounts.first().copied(), 0, 0, 0);
            let (min_runtime, loss_window) = (span.map(Nanos), Nanos(*window));
            let limits = ReclaimLimits { min_runtime, loss_budget: amounts((*budget).into()), loss_window };
            ledger.set_reclaim_limits(opened, &limits).unwrap();
            accounts.push(opened);
        }
        let taker = account(&mut ledger, None, 9, 9, 0);
        for (account, amount) in losses {
            let job = RunningJob { saved: Nanos(7), started: Nanos(7), ..job(accounts[account], amount) };
            ledger.reclaimed(NOW, taker, &job).unwrap();
        }
        let words = saved_words(&ledger);
        let load = |words: &[u64]| {
            let (mut other, mut words) = (new(), words.iter().copied());
            other.load_state(&mut || words.next()).map(|()| other)
        };
        let other = load(&words).unwrap();
        prop_assert_eq!(saved_words(&other), words.clone());
        for account in &accounts {
            prop_assert_eq!(other.reclaim_limits(*account), ledger.reclaim_limits(*account));
            prop_assert_eq!(other.loss_left(NOW, *account), ledger.loss_left(NOW, *account));
        }
        let mut damaged = words.clone();
        let at = at.index(words.len());
        damaged[at] = word;
        if let Ok(mut other) = load(&damaged) {
            for index in 0..8 {
                let account = other.tree.account_at(index).unwrap_or_default();
                let (now, job) = (Nanos(later), job(account, 0));
                let _ = other.loss_left(now, account);
                let _ = other.reclaimed(now, account, &RunningJob { started: now, saved: now, ..job });
                let plain = ReclaimLimits { loss_window: Nanos(1), ..ReclaimLimits::default() };
                let _ = other.set_reclaim_limits(account, &plain);
            }
        }
    }
}

/// The properties of the scheduler say nothing if it never reclaims: it does, by both rights.
#[test]
fn the_scheduler_does_reclaim() {
    let mut runner = TestRunner::deterministic();
    let (mut reclaims, mut losses) = (0, 0);
    let strategy = (opened(), prop::collection::vec((events(8), any::<[usize; 8]>()), 2..6));
    for _ in 0..200 {
        let (opened, events) = strategy.new_tree(&mut runner).unwrap().current();
        let mut world = World::new([12, 12], &opened, Rule::Ours);
        for (events, picks) in &events {
            for event in events {
                happen(&mut world, event);
            }
            reclaims += world.settle(picks).unwrap();
        }
        losses += world.losses.len();
    }
    std::println!("{reclaims} reclaims in 200 worlds, {losses} losses");
    assert!(reclaims > 50, "{reclaims}");
}
