//! A ledger from a policy: everything that the operator wrote down, and nothing else.

use super::*;
use crate::policy::{Account, HistoryRules, Limits, Policy, RateLimits};
use crate::share::exchange::path_key;
use std::format;

fn quota(gpu_milli: u64) -> AccountQuota {
    AccountQuota { quota: Amounts::first(gpu_milli), ..AccountQuota::default() }
}

fn policy() -> Policy {
    let accounts = [
        Account::new("org", 2.0).with_quota(quota(8_000)),
        Account::new("other", 3.0),
        Account::new("team", 0.5).under("org").with_quota(quota(3_000)),
    ];
    let history = HistoryRules { half_life: Nanos::from_millis(1_000), usage_weight: 1.0 };
    Policy::default().with_accounts(accounts).with_history(history)
}

#[test]
fn a_ledger_has_the_accounts_of_its_policy() {
    let options = LedgerOptions::of_policy(&policy());
    assert_eq!(
        options,
        LedgerOptions {
            accounts_max: 1_024,
            lanes: 2,
            resources: 3,
            dominant: true,
            borrowing: true,
            half_life: Nanos::from_millis(1_000),
            rates: false,
            names: true,
            replicas_max: 0,
        }
    );
    let ledger = Ledger::from_policy(&options, &policy()).unwrap();
    let team = ledger.account_at_path("org/team").unwrap();
    assert_eq!(ledger.tree().account_at(2), Some(team));
    assert_eq!(ledger.weight(team), Ok(0.5));
    let of_team = ledger.quota(team).unwrap();
    assert_eq!(of_team.quota, Amounts::first(3_000));
    assert_eq!(of_team.limit.0[..3], [u64::MAX; 3]);
    assert_eq!(ledger.parent(team), Ok(ledger.account_at_path("org")));
    let other = ledger.account_named(None, "other").unwrap();
    assert_eq!(ledger.quota(other).map(|it| it.quota), Ok(Amounts::ZERO));
    assert_eq!(ledger.accounts_len(), 3);
}

#[test]
fn accounts_have_the_keys_of_their_names_where_others_may_ask() {
    let mut policy = policy();
    policy.limits.replicas_max = 2;
    let options = LedgerOptions::of_policy(&policy);
    assert_eq!(options.replicas_max, 2);
    let ledger = Ledger::from_policy(&options, &policy).unwrap();
    for (index, path) in [["org"].as_slice(), &["other"], &["org", "team"]].into_iter().enumerate()
    {
        let account = ledger.account_of(path_key(path.iter().copied()));
        assert_eq!(account, ledger.tree().account_at(index as u32));
    }
}

#[test]
fn parts_that_are_not_asked_for_are_left_out_and_contradictions_named() {
    let options = LedgerOptions { accounts_max: 3, ..LedgerOptions::default() };
    let ledger = Ledger::from_policy(&options, &policy()).unwrap();
    assert_eq!(ledger.name(ledger.tree().account_at(2).unwrap()), Ok(""));
    let refused = |options: &LedgerOptions, policy: &Policy| {
        Ledger::from_policy(options, policy).map(|ledger| ledger.accounts_len()).unwrap_err()
    };
    let few = LedgerOptions { accounts_max: 2, ..options };
    assert_eq!(refused(&few, &policy()), Error::Full { field: "account", capacity: 2 });
    let two = LedgerOptions { resources: 2, ..options };
    assert_eq!(refused(&two, &policy()).field(), "resources");
    let named = LedgerOptions { names: true, ..options };
    let slash = policy().with_accounts([Account::new("a/b", 1.0)]);
    assert!(refused(&named, &slash).field().starts_with("name (character code"));
    let wrong = policy().with_accounts([Account::new("a", 1.0).under("b")]);
    assert_eq!(refused(&options, &wrong).field(), "account[].parent");
    let mut limited = policy();
    limited.accounts[1].rates = RateLimits { requests_per_minute: 6, ..RateLimits::default() };
    assert!(LedgerOptions::of_policy(&limited).rates);
}

/// 100,000 users in 1,000 teams, level after level: no search of the whole list for each.
#[test]
fn a_hundred_thousand_accounts_are_opened() {
    const TEAMS: usize = 1_000;
    const USERS: usize = 100_000;
    let teams = (0..TEAMS).map(|team| Account::new(format!("team-{team}"), 1.0));
    let user = |user: usize| {
        let team = user * TEAMS / USERS;
        Account::new(format!("user-{user}"), 1.0).under(format!("team-{team}"))
    };
    let accounts: Vec<Account> = teams.chain((0..USERS).map(user)).collect();
    let limits = Limits { accounts_max: (TEAMS + USERS) as u32, ..Limits::default() };
    let policy = Policy::default().with_accounts(accounts).with_limits(limits);
    let ledger = Ledger::from_policy(&LedgerOptions::of_policy(&policy), &policy).unwrap();
    assert_eq!(ledger.accounts_len(), 101_000);
    let last = ledger.account_at_path("team-999/user-99999").unwrap();
    assert_eq!(last.index(), 100_999);
    assert_eq!(ledger.tree().children_len(ledger.parent(last).unwrap().unwrap()), Ok(100));
    assert_eq!(ledger.tree().opened_at(last.index()), 100_999);
}
