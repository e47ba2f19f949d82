//! "Did you mean": the known word nearest to an unknown one.

/// Similarity (Jaro-Winkler, 0 to 1) from which a word is taken for a misspelling of another. The
/// usual threshold for short identifiers: it links `kv_block` to `kv_blocks`, not to `seats`.
const SIMILAR: f64 = 0.75;

/// One sentence: `word` is no known `kind`, what was probably meant, and all that is known.
pub(super) fn unknown<'a>(
    word: &str,
    kind: &str,
    known: impl Iterator<Item = &'a str> + Clone,
) -> String {
    let score = |candidate: &str| strsim::jaro_winkler(word, candidate);
    let nearest = known.clone().max_by(|a, b| score(a).total_cmp(&score(b)));
    let hint = match nearest.filter(|candidate| score(candidate) >= SIMILAR) {
        Some(candidate) => format!("; did you mean `{candidate}`?"),
        None => format!("; known: {}", known.collect::<Vec<_>>().join(", ")),
    };
    let word: String = word.chars().take(40).collect();
    format!("unknown {kind} `{word}`{hint}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_answered_with_the_word_and_nonsense_with_all_words() {
        let known = ["layers", "kv_blocks", "seats"].into_iter();
        assert_eq!(
            unknown("kv_block", "key", known.clone()),
            "unknown key `kv_block`; did you mean `kv_blocks`?"
        );
        assert_eq!(
            unknown("xyz", "key", known),
            "unknown key `xyz`; known: layers, kv_blocks, seats"
        );
    }
}
