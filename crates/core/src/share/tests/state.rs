//! Saving and loading: a loaded ledger goes on as the saved one, and no words can harm it.

use super::swarm::{ACCOUNTS, LANES, Op, answers, apply, ops};
use super::*;

fn new() -> Ledger {
    Ledger::new(&LedgerOptions { accounts_max: ACCOUNTS, lanes: LANES, ..LedgerOptions::default() })
        .unwrap()
}

pub(super) fn saved(ledger: &Ledger) -> Vec<u64> {
    let mut words = Vec::new();
    ledger.save_state(&mut |word| words.push(word));
    words
}

pub(super) fn load(ledger: &mut Ledger, words: &[u64]) -> Result<(), Error> {
    let mut words = words.iter().copied();
    ledger.load_state(&mut || words.next())
}

fn driven(ops: &[Op]) -> Ledger {
    let mut ledger = new();
    for op in ops {
        // Refused ones are part of the drive.
        let _ = apply(&mut ledger, *op);
    }
    ledger
}

/// Loads words that may be anything: an error leaves a new ledger, and what was accepted can be
/// used, and saved and loaded again.
fn load_anything(words: &[u64], ops: &[Op]) -> Result<bool, TestCaseError> {
    let mut ledger = new();
    if load(&mut ledger, words).is_err() {
        prop_assert_eq!(saved(&ledger), saved(&new()));
        return Ok(false);
    }
    let mut again = new();
    prop_assert_eq!(load(&mut again, &saved(&ledger)), Ok(()));
    for op in ops {
        prop_assert_eq!(apply(&mut ledger, *op), apply(&mut again, *op));
    }
    for lane in 0..LANES {
        prop_assert_eq!(answers(&ledger, lane, 50.0), answers(&again, lane, 50.0));
    }
    prop_assert_eq!(saved(&ledger), saved(&again));
    Ok(true)
}

proptest! {
    #[test]
    fn a_loaded_ledger_goes_on_as_the_saved_one(
        before in ops(200), after in ops(100), credit in 0.0f64..2000.0,
    ) {
        let mut ledger = driven(&before);
        let mut other = new();
        prop_assert_eq!(load(&mut other, &saved(&ledger)), Ok(()));
        prop_assert_eq!(saved(&other), saved(&ledger));
        for op in after {
            prop_assert_eq!(apply(&mut ledger, op), apply(&mut other, op));
            for lane in 0..LANES {
                prop_assert_eq!(answers(&ledger, lane, credit), answers(&other, lane, credit));
            }
        }
        prop_assert_eq!(saved(&other), saved(&ledger));
    }

    #[test]
    fn damaged_words_are_refused_or_harmless(
        ops in ops(150), at in any::<prop::sample::Index>(),
        word in prop_oneof![any::<u64>(), 0u64..12, Just(f64::NAN.to_bits())],
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut words = saved(&driven(&ops));
        let at = at.index(words.len());
        words[at] = word;
        if let Some(cut) = cut {
            words.truncate(cut.index(words.len()));
            prop_assert!(!load_anything(&words, &ops)?, "a word is missing");
        } else {
            load_anything(&words, &ops)?;
        }
    }

    #[test]
    fn garbage_is_refused_or_harmless(
        words in prop::collection::vec(prop_oneof![any::<u64>(), 0u64..20], 0..90),
    ) {
        let head = [u64::from(ACCOUNTS), u64::from(LANES)];
        load_anything(&[&head[..], &words].concat(), &[])?;
    }
}

/// Where the words of the tree begin, and how each account takes three words after its mark.
#[test]
fn trees_that_cannot_be_are_refused() {
    let mut ledger = new();
    let top = ledger.open(None, 1.0).unwrap();
    let team = ledger.open(Some(top), 1.0).unwrap();
    ledger.arrive(1, team).unwrap();
    let words = saved(&ledger);
    let (parent_of_top, parent_of_team, weight, opened) = (6, 10, 11, 12);
    assert_eq!((words[parent_of_top], words[parent_of_team]), (u64::from(ACCOUNTS), 0));
    let refusal = |at: usize, word: u64| {
        let mut words = words.clone();
        words[at] = word;
        load(&mut new(), &words).unwrap_err()
    };
    assert_eq!(refusal(parent_of_top, 1).field(), "depth", "a circle");
    assert_eq!(refusal(parent_of_team, 5).field(), "parent", "nobody is there");
    assert_eq!(refusal(parent_of_team, 400).field(), "parent");
    assert_eq!(refusal(weight, 2000f64.to_bits()).field(), "weight");
    assert_eq!(refusal(weight, f64::NAN.to_bits()).field(), "weight");
    assert_eq!(words[opened], 1);
    assert_eq!(refusal(opened, 2).field(), "opened", "two were opened");
    assert_eq!(refusal(words.len() - 1, 2).field(), "sum of waiting");
    assert_eq!(load(&mut new(), &words[..words.len() - 1]).unwrap_err().field(), "state");
    assert_eq!(load(&mut ledger, &words).unwrap_err().field(), "accounts", "it is in use");
    assert_eq!(saved(&ledger), words);
}
