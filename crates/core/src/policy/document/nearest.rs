//! The known key or name that a misspelt one most likely means.

use std::borrow::ToOwned;
use std::string::String;

use strsim::damerau_levenshtein;

use crate::policy::reference::{SECTIONS, keys};

/// Most characters of an unknown key that are compared. The longest known key has 21; comparing
/// takes time proportional to the length, and what is longer resembles none of them.
const COMPARED_CHARACTERS_MAX: usize = 64;

/// Places where a key may be wrong in spelling and in section at once: spelling weighs double,
/// so that a key of this section wins over an equally close one of another.
const SPELLING_WEIGHT: usize = 2;

/// The known key nearest to `name`, which stands in the section at `path` (such as `class[1]`,
/// empty for the top): as a whole path, in the same section where spelling leaves a choice.
pub(super) fn key(path: &str, name: &str) -> String {
    let section = path.split_once('[').map_or(path, |(section, _)| section);
    let mut best = (usize::MAX, String::new());
    let mut offer = |distance: usize, candidate: String| {
        if distance < best.0 {
            best = (distance, candidate);
        }
    };
    for known in keys() {
        let (head, tail) = known.path.rsplit_once('.').unwrap_or(("", known.path));
        let elsewhere = head.trim_end_matches("[]") != section;
        let full = if elsewhere || path.is_empty() {
            known.path.to_owned()
        } else {
            [path, ".", tail].concat()
        };
        offer(distance(name, tail) * SPELLING_WEIGHT + usize::from(elsewhere), full);
    }
    for known in SECTIONS {
        let elsewhere = usize::from(!path.is_empty());
        offer(distance(name, known) * SPELLING_WEIGHT + elsewhere, known.to_owned());
    }
    best.1
}

/// The one of `known` nearest to `name`.
pub(super) fn name<'a>(known: impl Iterator<Item = &'a str>, name: &str) -> &'a str {
    known.min_by_key(|known| distance(name, known)).unwrap_or_default()
}

fn distance(unknown: &str, known: &str) -> usize {
    let unknown: String = unknown.chars().take(COMPARED_CHARACTERS_MAX).collect();
    damerau_levenshtein(&unknown.to_lowercase(), known)
}
