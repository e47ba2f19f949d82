//! Shares of the borrowed part against their definition, on trees that change.

use super::*;
use crate::share::quota::AMOUNT_MAX;

const ACCOUNTS: u32 = 9;

#[derive(Clone, Copy, Debug)]
enum Op {
    Open(Option<usize>),
    Close(usize),
    /// Quota, limit beyond it, lending limit.
    SetQuota(usize, u64, Option<u64>, Option<u64>),
    Allocate(usize, u64),
    Release(usize, u64),
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let place = || 0..10_usize;
    let quota = prop_oneof![6 => 0..60_u64, 1 => Just(u64::MAX)];
    let op = prop_oneof![
        3 => prop::option::of(place()).prop_map(Op::Open),
        1 => place().prop_map(Op::Close),
        4 => (place(), quota, prop::option::of(0..40_u64), prop::option::of(0..40_u64))
            .prop_map(|(p, q, limit, lending)| Op::SetQuota(p, q, limit, lending)),
        5 => (place(), 0..50_u64).prop_map(|(p, amount)| Op::Allocate(p, amount)),
        3 => (place(), 0..50_u64).prop_map(|(p, amount)| Op::Release(p, amount)),
    ];
    prop::collection::vec(op, 0..120)
}

fn new() -> Ledger {
    let options = LedgerOptions {
        accounts_max: ACCOUNTS,
        resources: 1,
        borrowing: true,
        ..LedgerOptions::default()
    };
    Ledger::new(&options).unwrap()
}

/// Refused calls are part of the drive.
fn apply(ledger: &mut Ledger, op: Op) {
    let at =
        |ledger: &Ledger, place: usize| ledger.tree().account_at(place as u32).unwrap_or_default();
    let _ = match op {
        Op::Open(parent) => {
            let parent = parent.map(|place| at(ledger, place));
            ledger.open(parent, 0.5).map(drop)
        }
        Op::Close(place) => ledger.close(at(ledger, place)),
        Op::SetQuota(place, quota, beyond, lending) => {
            let limit = beyond.map_or(u64::MAX, |beyond| quota.saturating_add(beyond));
            let rules = AccountQuota {
                quota: Amounts::first(quota),
                limit: Amounts::first(limit),
                lending_limit: Amounts::first(lending.unwrap_or(u64::MAX)),
                ..AccountQuota::default()
            };
            ledger.set_quota(at(ledger, place), &rules)
        }
        Op::Allocate(place, amount) => ledger.allocate(at(ledger, place), &Amounts::first(amount)),
        Op::Release(place, amount) => ledger.release(at(ledger, place), &Amounts::first(amount)),
    };
}

/// What an account and those below it may use without borrowing, what only they can, and what
/// they use of it.
#[derive(Clone, Copy, Debug, Default)]
struct Pool {
    pooled: u128,
    local: u128,
    used: u128,
}

fn finite(amount: u64) -> u128 {
    if amount == u64::MAX { u128::from(AMOUNT_MAX) } else { amount.into() }
}

/// Of an account, or of the root.
fn pool(ledger: &Ledger, account: Option<AccountId>) -> Pool {
    let mut pool = Pool::default();
    for child in ledger.tree.indices().filter_map(|index| ledger.tree.account_at(index)) {
        if ledger.parent(child) == Ok(account) {
            let below = self::pool(ledger, Some(child));
            pool.pooled += below.pooled - below.local;
            pool.used += below.used.saturating_sub(below.local);
        }
    }
    if let Some(account) = account {
        let rules = ledger.quota(account).unwrap();
        pool.pooled += finite(rules.quota.0[0]);
        pool.used += u128::from(ledger.quotas.held_own[account.index() as usize]);
        let lent_max = rules.lending_limit.0[0];
        if lent_max != u64::MAX {
            pool.local = pool.pooled.saturating_sub(lent_max.into());
        }
    }
    pool
}

fn usable(ledger: &Ledger, account: Option<AccountId>) -> u128 {
    let pool = pool(ledger, account);
    let Some(account) = account else {
        let all = ledger.tree.indices().filter_map(|index| ledger.tree.account_at(index));
        let quotas: u128 = all.map(|one| finite(ledger.quota(one).unwrap().quota.0[0])).sum();
        return pool.pooled + u128::from(ledger.capacity().0[0]).saturating_sub(quotas);
    };
    let usable = pool.local + usable(ledger, ledger.parent(account).unwrap());
    match ledger.quota(account).unwrap().limit.0[0] {
        u64::MAX => usable,
        limit => usable.min(limit.into()),
    }
}

/// Rounded up without any fraction; weights here are 1/2.
fn defined(ledger: &Ledger, account: AccountId) -> u128 {
    let pool = pool(ledger, Some(account));
    let borrowed = pool.used.saturating_sub(pool.pooled);
    let of = usable(ledger, ledger.parent(account).unwrap());
    if borrowed > 0 && of == 0 { 2_000 } else { (2_000 * borrowed).div_ceil(of.max(1)) }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn shares_are_as_defined(ops in ops(), capacity in 0..200_u64) {
        let mut ledger = new();
        ledger.set_capacity(&Amounts::first(capacity)).unwrap();
        for op in ops {
            apply(&mut ledger, op);
            for account in (0..ACCOUNTS).filter_map(|index| ledger.tree().account_at(index)) {
                let (found, expected) =
                    (ledger.borrowed_share(account).unwrap(), defined(&ledger, account));
                prop_assert_eq!(u128::from(found.permille), expected, "{:?} {:?}", op, account);
                prop_assert_eq!(found.borrowing, expected > 0);
                prop_assert_eq!(found.resource, (expected > 0).then_some(0));
            }
        }
        let (pooled, used) = (ledger.borrowing.pooled.clone(), ledger.borrowing.used.clone());
        ledger.borrowing.rebuild(&ledger.tree, &ledger.quotas);
        for index in ledger.tree.indices().chain([ledger.tree.root()]) {
            let index = index as usize;
            prop_assert_eq!(ledger.borrowing.pooled[index], pooled[index]);
            prop_assert_eq!(ledger.borrowing.used[index], used[index]);
        }
    }
}

#[test]
fn what_an_account_would_borrow_can_be_asked_before() {
    let mut ledger = new();
    let [borrower, lender] = [(); 2].map(|()| ledger.open(None, 1.0).unwrap());
    ledger
        .set_quota(lender, &AccountQuota { quota: Amounts::first(8), ..Default::default() })
        .unwrap();
    assert_eq!(ledger.borrowed_share(borrower), Ok(BorrowedShare::default()));
    let with = ledger.borrowed_share_with(borrower, &Amounts::first(2)).unwrap();
    ledger.allocate(borrower, &Amounts::first(2)).unwrap();
    assert_eq!(ledger.borrowed_share(borrower), Ok(with));
    assert_eq!(with, BorrowedShare { permille: 250, resource: Some(0), borrowing: true });
}
