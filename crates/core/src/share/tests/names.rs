//! Names against a map, and as many of them as the largest sites have.

use super::*;
use crate::policy::NAME_BYTES_MAX;
use std::collections::BTreeMap;
use std::format;
use std::string::{String, ToString};

const ACCOUNTS: u32 = 12;

fn options(accounts_max: u32) -> LedgerOptions {
    LedgerOptions { accounts_max, lanes: 0, names: true, ..LedgerOptions::default() }
}

fn named(accounts_max: u32) -> Ledger {
    Ledger::new(&options(accounts_max)).unwrap()
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

/// What is done to one account; few names and few accounts, so that they often meet.
#[derive(Clone, Debug)]
enum Op {
    Open(Option<prop::sample::Index>),
    Name(prop::sample::Index, String),
    Close(prop::sample::Index),
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let name = prop_oneof!["[a-c]{1,2}", "x{126,130}", "[é/\\x00-\\x20\\x7f-\\x9f]{0,2}"];
    let index = any::<prop::sample::Index>;
    let op = prop_oneof![
        2 => prop::option::of(index()).prop_map(Op::Open),
        4 => (index(), name).prop_map(|(account, name)| Op::Name(account, name)),
        1 => index().prop_map(Op::Close),
    ];
    prop::collection::vec(op, 1..150)
}

/// Names by parent and name, and back, as plain maps.
#[derive(Default)]
struct Model {
    accounts: Vec<(AccountId, Option<AccountId>)>,
    by_name: BTreeMap<(Option<AccountId>, String), AccountId>,
    names: BTreeMap<AccountId, String>,
}

fn is_good(name: &str) -> bool {
    (1..=NAME_BYTES_MAX).contains(&name.len())
        && !name.chars().any(|character| character.is_control() || character == '/')
}

impl Model {
    fn apply(&mut self, ledger: &mut Ledger, op: &Op) -> Result<(), TestCaseError> {
        let pick = |index: &prop::sample::Index| {
            (!self.accounts.is_empty()).then(|| self.accounts[index.index(self.accounts.len())])
        };
        match op {
            Op::Open(parent) => {
                let parent = parent.and_then(|parent| pick(&parent)).map(|(parent, _)| parent);
                if let Ok(account) = ledger.open(parent, 1.0) {
                    self.accounts.push((account, parent));
                }
            }
            Op::Name(account, name) => {
                let Some((account, parent)) = pick(account) else { return Ok(()) };
                let key = (parent, name.clone());
                let taken = self.by_name.get(&key).is_some_and(|other| *other != account);
                let answer = ledger.set_name(account, name);
                prop_assert_eq!(answer.is_ok(), is_good(name) && !taken, "{:?}", answer);
                if answer.is_ok() {
                    if let Some(old) = self.names.insert(account, name.clone()) {
                        self.by_name.remove(&(parent, old));
                    }
                    self.by_name.insert(key, account);
                }
            }
            Op::Close(account) => {
                let Some((account, parent)) = pick(account) else { return Ok(()) };
                if ledger.close(account).is_ok() {
                    self.accounts.retain(|(other, _)| *other != account);
                    if let Some(name) = self.names.remove(&account) {
                        self.by_name.remove(&(parent, name));
                    }
                }
            }
        }
        Ok(())
    }

    /// Every account under every name that is in use anywhere.
    fn check(&self, ledger: &Ledger) -> Result<(), TestCaseError> {
        let parents = self.accounts.iter().map(|(account, _)| Some(*account)).chain([None]);
        for parent in parents {
            for name in self.names.values() {
                let expected = self.by_name.get(&(parent, name.clone())).copied();
                prop_assert_eq!(ledger.account_named(parent, name), expected);
            }
        }
        for (account, _) in &self.accounts {
            let name = self.names.get(account).map_or("", String::as_str);
            prop_assert_eq!(ledger.name(*account), Ok(name));
        }
        Ok(())
    }
}

proptest! {
    #[test]
    fn names_are_found_as_in_a_map(ops in ops()) {
        let (mut ledger, mut model) = (named(ACCOUNTS), Model::default());
        for op in &ops {
            model.apply(&mut ledger, op)?;
            model.check(&ledger)?;
        }
        let mut other = named(ACCOUNTS);
        prop_assert_eq!(load(&mut other, &saved(&ledger)), Ok(()));
        model.check(&other)?;
        prop_assert_eq!(saved(&other), saved(&ledger));
        for op in &ops {
            let _ = model.apply(&mut other, op);
        }
        model.check(&other)?;
    }

    /// One word changed, or the end cut off: refused with nothing left behind, or a ledger whose
    /// names can all be found.
    #[test]
    fn damaged_names_are_refused_or_harmless(
        ops in ops(), at in any::<prop::sample::Index>(),
        word in prop_oneof![any::<u64>(), 0u64..130], cut in any::<bool>(),
    ) {
        let (mut ledger, mut model) = (named(ACCOUNTS), Model::default());
        for op in &ops {
            model.apply(&mut ledger, op)?;
        }
        let mut words = saved(&ledger);
        let at = at.index(words.len());
        words[at] = word;
        if cut {
            words.truncate(at);
        }
        let mut other = named(ACCOUNTS);
        if load(&mut other, &words).is_err() {
            prop_assert_eq!(saved(&other), saved(&named(ACCOUNTS)));
            return Ok(());
        }
        for account in other.tree.indices().filter_map(|index| other.tree.account_at(index)) {
            let (parent, name) = (other.parent(account).unwrap(), other.name(account).unwrap());
            if !name.is_empty() {
                prop_assert_eq!(other.account_named(parent, name), Some(account));
            }
        }
    }
}

#[test]
fn paths_lead_from_the_first_level_down() {
    let mut ledger = named(8);
    let [org, other] = [(); 2].map(|()| ledger.open(None, 1.0).unwrap());
    let team = ledger.open(Some(org), 1.0).unwrap();
    // The same user below two accounts, as a batch system has it.
    let users = [team, other].map(|above| ledger.open(Some(above), 1.0).unwrap());
    for (account, name) in [(org, "org"), (other, "other"), (team, "team")] {
        ledger.set_name(account, name).unwrap();
    }
    for user in users {
        ledger.set_name(user, "ann").unwrap();
    }
    assert_eq!(ledger.account_at_path("org"), Some(org));
    assert_eq!(ledger.account_at_path("org/team/ann"), Some(users[0]));
    assert_eq!(ledger.account_at_path("other/ann"), Some(users[1]));
    for nothing in ["", "/", "/org", "org/", "org//team", "team", "org/ann", "org/team/ann/x"] {
        assert_eq!(ledger.account_at_path(nothing), None, "{nothing}");
    }
    ledger.close(users[0]).unwrap();
    assert_eq!(ledger.account_at_path("org/team/ann"), None);
    assert_eq!(ledger.account_named(Some(users[0]), "ann"), None, "nobody is there");
    assert_eq!(ledger.name(users[0]).unwrap_err().code(), -3);
}

#[test]
fn refusals_name_what_is_wrong() {
    let mut ledger = named(4);
    let [a, b] = [(); 2].map(|()| ledger.open(None, 1.0).unwrap());
    ledger.set_name(a, "a").unwrap();
    let sentence =
        |name: &str, ledger: &mut Ledger| ledger.set_name(b, name).unwrap_err().to_string();
    assert_eq!(sentence("", &mut ledger), "`name (bytes)` = 0 is outside 1..=128");
    assert_eq!(sentence(&"é".repeat(65), &mut ledger), "`name (bytes)` = 130 is outside 1..=128");
    assert_eq!(
        sentence("a/b", &mut ledger),
        "`name (character code; `/` parts the names of a path)` = 47 is outside 48..=1114111"
    );
    assert_eq!(
        sentence("a\u{85}", &mut ledger),
        "`name (character code; no control characters)` = 133 is outside 160..=1114111"
    );
    assert_eq!(sentence("a", &mut ledger), "`name` of entry 1 repeats that of entry 0");
    assert_eq!(ledger.name(b), Ok(""));
    ledger.set_name(a, "a").unwrap();
    let mut without = Ledger::new(&LedgerOptions::default()).unwrap();
    let account = without.open(None, 1.0).unwrap();
    assert_eq!(without.set_name(account, "a").unwrap_err().field(), "names");
    assert_eq!((without.name(account), without.account_at_path("a")), (Ok(""), None));
}

/// 100 teams of 999 users of the same names, opened, found, half of them closed, opened again.
#[test]
fn a_hundred_thousand_accounts_have_names() {
    const TEAMS: usize = 100;
    const USERS: usize = 999;
    let mut ledger = named((TEAMS * (USERS + 1)) as u32);
    let mut users = Vec::new();
    for team in 0..TEAMS {
        let above = ledger.open(None, 1.0).unwrap();
        ledger.set_name(above, &format!("team-{team}")).unwrap();
        for user in 0..USERS {
            let account = ledger.open(Some(above), 1.0).unwrap();
            ledger.set_name(account, &format!("user{user:04}")).unwrap();
            users.push((account, above, format!("team-{team}/user{user:04}")));
        }
    }
    assert_eq!(ledger.open(None, 1.0).unwrap_err().field(), "account");
    // What chance would need at this load is 1.31 (Knuth, 6.4): half as much again is a bad hash.
    let steps = |ledger: &Ledger| ledger.names.steps() as f64 / f64::from(ledger.accounts_len());
    std::println!("places looked at: {:.3}", steps(&ledger));
    assert!(steps(&ledger) < 2.0, "{}", steps(&ledger));
    for (account, _, path) in &users {
        assert_eq!(ledger.account_at_path(path), Some(*account), "{path}");
    }
    for round in 0..3 {
        for (place, (account, above, path)) in users.iter_mut().enumerate() {
            if place % 2 == round % 2 {
                ledger.close(*account).unwrap();
                assert_eq!(ledger.account_at_path(path), None);
                let renamed = format!("u{place}-{round}");
                *account = ledger.open(Some(*above), 1.0).unwrap();
                ledger.set_name(*account, &renamed).unwrap();
                *path = format!("{}/{renamed}", path.split_once('/').unwrap().0);
            }
        }
    }
    for (account, _, path) in &users {
        assert_eq!(ledger.account_at_path(path), Some(*account), "{path}");
    }
    assert!(steps(&ledger) < 2.0, "churn leaves nothing behind: {}", steps(&ledger));
    let mut other = named(ledger.tree().capacity());
    load(&mut other, &saved(&ledger)).unwrap();
    assert_eq!(saved(&other), saved(&ledger));
}

#[test]
fn memory_is_what_was_said() {
    let of = |accounts_max, names| {
        Ledger::bytes_needed(&LedgerOptions { names, ..options(accounts_max) })
    };
    assert_eq!(of(100_000, true) - of(100_000, false), 100_000 * 129 + 262_144 * 8);
    let names = named(1_000).names;
    let bytes =
        size_of_val(&*names.lengths) + size_of_val(&*names.texts) + size_of_val(&*names.places);
    assert_eq!(of(1_000, true) - of(1_000, false), bytes as u64);
}

/// Places in the order of opening are never given twice, and survive a snapshot.
#[test]
fn the_order_of_opening_is_kept() {
    let mut ledger = named(3);
    let first = ledger.open(None, 1.0).unwrap();
    let second = ledger.open(None, 1.0).unwrap();
    ledger.close(first).unwrap();
    let third = ledger.open(Some(second), 1.0).unwrap();
    assert_eq!(third.index(), first.index());
    let places = |ledger: &Ledger| [second, third].map(|it| ledger.tree.opened_at(it.index()));
    assert_eq!(places(&ledger), [1, 2]);
    let mut other = named(3);
    load(&mut other, &saved(&ledger)).unwrap();
    assert_eq!(places(&other), [1, 2]);
    let fourth = other.open(None, 1.0).unwrap();
    assert_eq!(other.tree.opened_at(fourth.index()), 3);
    assert_eq!(other.open(None, 1.0).unwrap_err().field(), "account");
    other.close(fourth).unwrap();
    let fifth = other.open(None, 1.0).unwrap();
    assert_eq!(other.tree.opened_at(fifth.index()), 4, "a refusal takes no place");
}
