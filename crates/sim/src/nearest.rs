//! "Did you mean": the known word nearest to an unknown one.

use crate::input::shown;

/// Similarity (Jaro-Winkler, 0 to 1) from which a word is taken for a misspelling of another. At
/// 0.7 a swapped, missing or doubled letter is found, and `GPU` is not taken for `prompt`.
const SIMILAR: f64 = 0.7;

/// One sentence: `word` is no known `kind`, and what was probably meant, or else all that is known.
pub(crate) fn unknown<'a>(
    word: &str,
    kind: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> String {
    let known: Vec<&str> = known.into_iter().collect();
    let lower = word.to_lowercase();
    let scores = known.iter().map(|candidate| (strsim::jaro_winkler(&lower, candidate), candidate));
    let nearest = scores.max_by(|(a, _), (b, _)| a.total_cmp(b));
    let hint = match nearest.filter(|(score, _)| *score >= SIMILAR) {
        Some((_, candidate)) => format!("did you mean `{candidate}`?"),
        None => format!("known are {}", known.join(", ")),
    };
    format!("unknown {kind} `{}`; {hint}", shown(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_answered_with_the_word_and_nonsense_with_all_words() {
        let known = ["layers", "kv_blocks", "seats"];
        assert_eq!(
            unknown("kv_block", "key", known),
            "unknown key `kv_block`; did you mean `kv_blocks`?"
        );
        assert_eq!(
            unknown("xyz", "key", known),
            "unknown key `xyz`; known are layers, kv_blocks, seats"
        );
    }
}
