//! Turns by dominant shares against their definition, on trees that change while they are used.

use super::super::dominant::share;
use super::super::lane::OWN_WEIGHT;
use super::*;

const ACCOUNTS: u32 = 9;
const WEIGHTS: [f64; 4] = [1.0, 3.0, 0.5, WEIGHT_MAX];

#[derive(Clone, Copy, Debug)]
enum Op {
    Open(Option<usize>, usize),
    Close(usize),
    SetWeight(usize, usize),
    SetTask(usize, Option<[u64; 2]>),
    Allocate(usize, [u64; 2]),
    Release(usize, [u64; 2]),
    SetCapacity([u64; 2]),
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let (place, amounts) = (0..10_usize, || [0_u64..20, 0..20]);
    let op = prop_oneof![
        3 => (prop::option::of(place.clone()), 0..4_usize).prop_map(|(p, w)| Op::Open(p, w)),
        1 => place.clone().prop_map(Op::Close),
        1 => (place.clone(), 0..4_usize).prop_map(|(p, w)| Op::SetWeight(p, w)),
        5 => (place.clone(), prop::option::weighted(0.7, amounts()))
            .prop_map(|(p, task)| Op::SetTask(p, task)),
        5 => (place.clone(), amounts()).prop_map(|(p, a)| Op::Allocate(p, a)),
        3 => (place, amounts()).prop_map(|(p, a)| Op::Release(p, a)),
        1 => [0_u64..300, 0..300].prop_map(Op::SetCapacity),
    ];
    prop::collection::vec(op, 0..120)
}

fn amounts([first, second]: [u64; 2]) -> Amounts {
    let mut amounts = Amounts::first(first);
    amounts.0[1] = second;
    amounts
}

fn new() -> Ledger {
    let options = LedgerOptions {
        accounts_max: ACCOUNTS,
        resources: 2,
        dominant: true,
        borrowing: true,
        ..LedgerOptions::default()
    };
    Ledger::new(&options).unwrap()
}

/// Refused calls are part of the drive.
fn apply(ledger: &mut Ledger, op: Op) -> Result<(), Error> {
    let at =
        |ledger: &Ledger, place: usize| ledger.tree().account_at(place as u32).unwrap_or_default();
    match op {
        Op::Open(parent, weight) => {
            let parent = parent.map(|place| at(ledger, place));
            ledger.open(parent, WEIGHTS[weight]).map(drop)
        }
        Op::Close(place) => ledger.close(at(ledger, place)),
        Op::SetWeight(place, weight) => ledger.set_weight(at(ledger, place), WEIGHTS[weight]),
        Op::SetTask(place, task) => {
            ledger.set_next_task(at(ledger, place), task.map(amounts).as_ref())
        }
        Op::Allocate(place, held) => ledger.allocate(at(ledger, place), &amounts(held)),
        Op::Release(place, held) => ledger.release(at(ledger, place), &amounts(held)),
        Op::SetCapacity(capacity) => ledger.set_capacity(&amounts(capacity)),
    }
}

fn driven(ops: &[Op]) -> Ledger {
    let mut ledger = new();
    for op in ops {
        let _ = apply(&mut ledger, *op);
    }
    ledger
}

/// An account as the definition has it.
#[derive(Debug)]
struct Defined {
    shares: [f64; 2],
    level: f64,
    /// Of the next task below it, not divided by its weight, and whose it is.
    next: Option<(f64, u32)>,
}

fn shares(ledger: &Ledger, of: Amounts) -> [f64; 2] {
    [0, 1].map(|resource| share(of.0[resource], ledger.capacity().0[resource]))
}

fn define(ledger: &Ledger, index: u32) -> Defined {
    let quotas = &ledger.quotas;
    let own = shares(ledger, quotas.amounts(&quotas.held_own, index));
    let own_next = ledger.turns.task(quotas, index).map(|task| {
        let [first, second] = shares(ledger, task);
        (first.max(second), index)
    });
    let own = Defined { shares: own, level: own[0].max(own[1]) / OWN_WEIGHT, next: own_next };
    let below = ledger.tree.indices().filter(|child| ledger.tree.parent_at(*child) == index);
    let mut parts = std::vec![(own, OWN_WEIGHT)];
    parts.extend(below.map(|child| (define(ledger, child), ledger.tree.place_at(child).1)));
    // The first of equals, as it stands before the others: its own, then by index.
    let poorest = parts
        .iter()
        .filter(|part| part.0.next.is_some())
        .min_by(|one, other| one.0.level.total_cmp(&other.0.level));
    let mut shares = shares(ledger, quotas.amounts(&quotas.held, index));
    let next = poorest.and_then(|(poorest, weight)| {
        let (step, account) = poorest.next?;
        let level = poorest.level + step / weight;
        for (resource, share) in shares.iter_mut().enumerate() {
            let scaled = |(part, weight): &(Defined, f64)| {
                let dominant = part.shares[0].max(part.shares[1]);
                if dominant > 0.0 { part.shares[resource] * weight * level / dominant } else { 0.0 }
            };
            *share = share.min(parts.iter().map(scaled).sum());
        }
        Some((step, account))
    });
    let (_, weight) = ledger.tree.place_at(index);
    Defined { shares, level: shares[0].max(shares[1]) / weight, next }
}

fn levels(ledger: &Ledger) -> Vec<u64> {
    let accounts = (0..ACCOUNTS).filter_map(|index| ledger.tree().account_at(index));
    accounts.map(|account| ledger.dominant_level(account).unwrap().to_bits()).collect()
}

fn near(one: f64, other: f64) -> bool {
    (one - other).abs() <= 1e-6 * one.max(other).max(1e-3)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn levels_and_turns_are_as_defined(ops in ops()) {
        let mut ledger = new();
        for op in ops {
            let before = levels(&ledger);
            if apply(&mut ledger, op).is_err() {
                prop_assert_eq!(&levels(&ledger), &before);
            }
            for index in ledger.tree.indices() {
                let (found, defined) = (ledger.turns.level(index), define(&ledger, index));
                prop_assert!(near(found, defined.level), "{} {}: {} {:?}", op_name(op), index, found, defined);
            }
        }
        // Levels that are equal but for rounding may change places.
        let root = define(&ledger, ledger.tree.root());
        let found = ledger.most_deserving().unwrap();
        prop_assert_eq!(found.is_some(), root.next.is_some());
        if let (Some(found), Some((_, expected))) = (found, root.next) {
            let (found, expected) = (path(&ledger, found.index()), path(&ledger, expected));
            let fork = found.iter().zip(&expected).find(|(one, other)| one != other);
            if let Some((one, other)) = fork {
                let level = |index: u32| define(&ledger, index).level;
                prop_assert!(near(level(*one), level(*other)), "{found:?} {expected:?}");
            }
        }
    }

    /// To the last bit: nothing depends on the way there.
    #[test]
    fn a_loaded_or_rebuilt_ledger_has_the_same_turns(ops in ops()) {
        let mut ledger = driven(&ops);
        let (before, first) = (levels(&ledger), ledger.most_deserving());
        let mut words = Vec::new();
        ledger.turns.save_state(&ledger.tree, &ledger.quotas, &mut |word| words.push(word));
        ledger.turns.clear(&ledger.quotas);
        prop_assert_eq!(ledger.most_deserving(), Ok(None));
        let mut source = words.iter().copied();
        let mut source = || source.next();
        let loaded = ledger.turns.load_state(
            &ledger.tree, &ledger.quotas, &mut crate::snapshot::Words::new(&mut source),
        );
        prop_assert_eq!(loaded, Ok(()));
        prop_assert_eq!((levels(&ledger), ledger.most_deserving()), (before, first));
    }

    #[test]
    fn damaged_words_are_refused_or_harmless(
        before in ops(), after in ops(), at in any::<prop::sample::Index>(), word in any::<u64>(),
    ) {
        let mut ledger = driven(&before);
        let mut words = Vec::new();
        ledger.turns.save_state(&ledger.tree, &ledger.quotas, &mut |word| words.push(word));
        prop_assume!(!words.is_empty());
        let at = at.index(words.len());
        words[at] = word;
        let mut source = words.iter().copied();
        let mut source = || source.next();
        let loaded = ledger.turns.load_state(
            &ledger.tree, &ledger.quotas, &mut crate::snapshot::Words::new(&mut source),
        );
        if loaded.is_ok() {
            for op in after {
                let _ = apply(&mut ledger, op);
            }
            prop_assert!(levels(&ledger).iter().all(|level| f64::from_bits(*level).is_finite()));
        }
    }
}

fn op_name(op: Op) -> std::string::String {
    std::format!("after {op:?}, account")
}

/// Accounts from the top down to this one.
fn path(ledger: &Ledger, index: u32) -> Vec<u32> {
    let above = |index: &u32| Some(ledger.tree.parent_at(*index));
    let all = core::iter::successors(Some(index), above);
    let mut path: Vec<u32> = all.take_while(|index| *index != ledger.tree.root()).collect();
    path.reverse();
    path
}

#[test]
fn shares_say_of_what_they_are() {
    let mut ledger = new();
    let team = ledger.open(None, 2.0).unwrap();
    let user = ledger.open(Some(team), 1.0).unwrap();
    assert_eq!(ledger.dominant_share(team), Ok(DominantShare::default()));
    ledger.allocate(user, &amounts([10, 30])).unwrap();
    let all_of_nothing = DominantShare { share: 0.5, resource: Some(0) };
    assert_eq!(ledger.dominant_share(team), Ok(all_of_nothing), "there is no capacity");
    ledger.set_capacity(&amounts([100, 100])).unwrap();
    assert_eq!(ledger.dominant_share(team).unwrap().share, 0.15, "weight 2 halves it");
    assert_eq!(ledger.resource_shares(team).unwrap().as_slice(), [0.3, 0.1]);
    let rules = AccountQuota {
        quota: amounts([8, 0]),
        limit: amounts([u64::MAX, 60]),
        ..AccountQuota::default()
    };
    ledger.set_quota(user, &rules).unwrap();
    let entitled = ledger.entitled_share(user).unwrap();
    assert_eq!((entitled.share, entitled.resource), (1.25, Some(0)), "10 of 8, 30 of 60");
}

#[test]
fn wrong_calls_are_named() {
    let mut ledger =
        Ledger::new(&LedgerOptions { resources: 2, ..LedgerOptions::default() }).unwrap();
    let account = ledger.open(None, 1.0).unwrap();
    assert_eq!(ledger.most_deserving().unwrap_err().field(), "dominant");
    assert_eq!(ledger.dominant_level(account).unwrap_err().field(), "dominant");
    assert_eq!(ledger.set_next_task(account, None).unwrap_err().field(), "dominant");
    assert_eq!(ledger.borrowed_share(account).unwrap_err().field(), "borrowing");
    let mut ledger = new();
    let account = ledger.open(None, 1.0).unwrap();
    let third = Amounts([0, 0, 1, 0, 0, 0, 0, 0]);
    assert_eq!(ledger.set_next_task(account, Some(&third)).unwrap_err().field(), "task");
    assert_eq!(ledger.borrowed_share_with(account, &third).unwrap_err().field(), "amounts");
    let stranger = AccountId::default();
    assert_eq!(ledger.dominant_share(stranger).unwrap_err().code(), -3);
    assert_eq!(ledger.set_next_task(stranger, None).unwrap_err().code(), -3);
    assert_eq!(ResourceShares::new(&[f64::NAN]).unwrap_err().field(), "share");
    assert_eq!(ResourceShares::new(&[0.0; 9]).unwrap_err().field(), "shares");
    let no_resources = Ledger::new(&LedgerOptions { dominant: true, ..LedgerOptions::default() });
    assert_eq!(no_resources.unwrap().most_deserving().unwrap_err().field(), "dominant");
}

/// For each account: 48 bytes and 24 for each resource that turns, and 24 for each resource that
/// borrowed shares take.
#[test]
fn memory_is_what_the_documentation_says() {
    let bytes = |accounts_max, dominant, borrowing| {
        let resources = 2;
        Ledger::bytes_needed(&LedgerOptions {
            accounts_max,
            resources,
            dominant,
            borrowing,
            ..LedgerOptions::default()
        })
    };
    let more = |dominant, borrowing| {
        let each = |d, b| bytes(101_000, d, b) - bytes(1_000, d, b);
        (each(dominant, borrowing) - each(false, false)) / 100_000
    };
    assert_eq!((more(true, false), more(false, true)), (48 + 24 * 2, 24 * 2));
}
