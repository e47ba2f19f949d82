//! Whatever the text, the answer is a valid policy or one sentence.

use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

use proptest::prelude::*;

use crate::policy::document::DocumentError;
use crate::policy::{Policy, arbitrary};

/// Longest sentence: a path and a value cut off, around them words of ours or of a parser.
const SENTENCE_BYTES_MAX: usize = 600;

fn check(result: Result<Policy, DocumentError>) -> Result<(), TestCaseError> {
    match result {
        Ok(policy) => prop_assert_eq!(policy.check(), Ok(())),
        Err(error) => {
            let sentence = error.to_string();
            prop_assert!(!sentence.chars().any(char::is_control), "{sentence:?}");
            prop_assert!(sentence.len() <= SENTENCE_BYTES_MAX, "{sentence:?}");
            prop_assert!(!error.message.is_empty());
        }
    }
    Ok(())
}

/// One change to a text: at a place, so much is taken out and something else put in.
type Edit = (prop::sample::Index, usize, String);

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let put = prop_oneof![
        Just(String::new()),
        "[\\[\\]{}\"'=,.#:\n0-9e-]{1,3}",
        Just("nan".into()),
        Just("-".into()),
        Just("1e999".into()),
        "\\PC{1,4}",
    ];
    prop::collection::vec((any::<prop::sample::Index>(), 0..4_usize, put), 1..6)
}

fn edit(text: &str, edits: &[Edit]) -> String {
    let mut characters: Vec<char> = text.chars().collect();
    for (place, taken, put) in edits {
        let start = place.index(characters.len() + 1);
        let end = (start + taken).min(characters.len());
        characters.splice(start..end, put.chars());
    }
    characters.into_iter().collect()
}

proptest! {
    #[test]
    fn damaged_documents(policy in arbitrary::policy(), edits in edits()) {
        check(Policy::from_toml(&edit(&policy.to_toml(), &edits)))?;
        check(Policy::from_json(&edit(&policy.to_json(), &edits)))?;
    }

    #[test]
    fn any_text(text in any::<String>()) {
        check(Policy::from_toml(&text))?;
        check(Policy::from_json(&text))?;
    }

    /// Values of every kind at places where the reader looks.
    #[test]
    fn any_value_anywhere(
        section in "class|account|limits|batch|history|placement|route|resources|preset|x",
        key in "name|running_max|late_ratio|weight|quota|over_quota_weight|over_quota_priority|\\PC{0,90}",
        value in "-?[0-9]{1,50}|-?[0-9]{1,3}e-?[0-9]{1,4}|null|true|\"\\PC{0,90}\"|\\[\\]|\\{\\}",
    ) {
        let key = serde_json::Value::from(key);
        check(Policy::from_json(&format!("{{\"{section}\": {{{key}: {value}}}}}")))?;
        check(Policy::from_json(&format!("{{\"{section}\": [{{{key}: {value}}}]}}")))?;
        check(Policy::from_json(&format!("{{\"{section}\": {value}}}")))?;
        check(Policy::from_toml(&format!("{section} = {{{key} = {value}}}")))?;
        check(Policy::from_toml(&format!("[[{section}]]\n{key} = {value}")))?;
    }
}

#[test]
fn deep_nesting_is_refused() {
    // Far past the stack if anything recursed without a bound.
    const DEPTH: usize = 200_000;
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let json = open.repeat(DEPTH) + "1" + &close.repeat(DEPTH);
        let error = Policy::from_json(&json).unwrap_err();
        assert!(error.message.contains("recursion limit"), "{error}");
    }
    let nested = [
        format!("a = {}1{}", "[".repeat(DEPTH), "]".repeat(DEPTH)),
        format!("a = {}1{}", "{a = ".repeat(DEPTH), "}".repeat(DEPTH)),
        format!("{}a = 1", "a.".repeat(DEPTH)),
        format!("[{}a]", "a.".repeat(DEPTH)),
    ];
    for toml in nested {
        let error = Policy::from_toml(&toml).unwrap_err();
        assert!(error.message.contains("recurs"), "{error}");
    }
}

#[test]
fn a_huge_key_or_value_is_not_repeated_whole() {
    let huge = "é".repeat(1 << 20);
    for text in [format!("\"{huge}\" = 1"), format!("[limits]\nrunning_max = \"{huge}\"")] {
        let error = Policy::from_toml(&text).unwrap_err();
        assert!(error.to_string().len() <= SENTENCE_BYTES_MAX, "{error}");
    }
}
