//! What is a block of a prompt called?
//!
//! # What it decides
//! Names for blocks of tokens such that two prompts give a block the same name exactly where they
//! agree up to its end. A host that has names already (vLLM's block hashes, the hash ids of a
//! trace) uses those; events and requests must use the same.
//!
//! # Formula
//! ```text
//! name[-1] = root            anything that must not share: a model, an adapter, a tenant's salt
//! name[i]  = mix(fold(name[i-1] + (i+1) * 0x9e3779b97f4a7c15, tokens of block i))
//! fold: for each token, sum = (sum xor token) * 0x100000001b3, turned left by 29 bits
//! mix:  the finalizer of splitmix64
//! ```
//! `fold` and `mix` make 0 of zeros and 0; with the place of the block in it no name stays as it is.
//!
//! # Bounds and cost
//! O(tokens), 1 ns each; no state. Only full blocks have names.
//!
//! # What it is bad at
//! It is no cryptographic hash: whoever can choose tokens can make two prompts collide. A router
//! then expects a prefix that is not there, and nothing worse; an engine must not reuse KV by it.
//!
//! # Source
//! Chained block hashes: vLLM V1, `kv_cache_utils.py`. FNV-1a (Fowler, Noll, Vo); splitmix64
//! (Steele, Lea, Flood, OOPSLA'14).

use crate::snapshot::FNV_PRIME;

/// Any odd distance spreads a word's high bits, which multiplication alone never moves down.
const TURN: u32 = 29;

/// The finalizer of splitmix64: a bijection whose output bits each depend on all input bits.
pub(crate) const fn mix(word: u64) -> u64 {
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

/// What splitmix64 adds at each step: 2^64 over the golden ratio, odd.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// Writes the names of the full blocks of `block_tokens` tokens to the front of `names`, as many
/// as fit, and returns how many. Blocks of zero tokens have no names.
pub fn hash_blocks(root: u64, tokens: &[u32], block_tokens: u32, names: &mut [u64]) -> usize {
    let (mut last, mut place) = (root, 0_u64);
    if block_tokens == 0 {
        return 0;
    }
    let blocks = tokens.chunks_exact(block_tokens as usize);
    let mut written = 0;
    for (block, name) in blocks.zip(names) {
        place = place.wrapping_add(STEP);
        let sum = block.iter().fold(last.wrapping_add(place), |sum, token| {
            (sum ^ u64::from(*token)).wrapping_mul(FNV_PRIME).rotate_left(TURN)
        });
        last = mix(sum);
        *name = last;
        written += 1;
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Names agree exactly as far as the prompts do.
        #[test]
        fn names_agree_where_prompts_do(
            a in prop::collection::vec(0_u32..3, 0..60), b in prop::collection::vec(0_u32..3, 0..60),
            block in 1_u32..6, root in prop_oneof![Just(0), Just(7), any::<u64>()],
        ) {
            let (mut of_a, mut of_b) = ([0; 60], [0; 60]);
            let (len_a, len_b) =
                (hash_blocks(root, &a, block, &mut of_a), hash_blocks(root, &b, block, &mut of_b));
            prop_assert_eq!(len_a, a.len() / block as usize);
            let common = a.iter().zip(&b).take_while(|(a, b)| a == b).count() / block as usize;
            for place in 0..len_a.min(len_b) {
                prop_assert_eq!(of_a[place] == of_b[place], place < common);
            }
        }
    }

    /// However much a prompt repeats itself, its blocks are told apart.
    #[test]
    fn no_name_comes_twice_in_a_prompt() {
        for (root, token) in [(0, 0), (0, 7), (7, 0), (u64::MAX, 0), (0_u64.wrapping_sub(STEP), 0)]
        {
            let mut names = [0; 200];
            assert_eq!(hash_blocks(root, &[token; 3_200], 16, &mut names), 200);
            names.sort_unstable();
            assert!(names.windows(2).all(|pair| pair[0] < pair[1]), "root {root}, token {token}");
        }
    }

    #[test]
    fn roots_and_short_memory() {
        let (mut one, mut other) = ([0; 2], [0; 1]);
        assert_eq!(hash_blocks(1, &[1, 2, 3, 4, 5], 2, &mut one), 2);
        assert_eq!(hash_blocks(2, &[1, 2, 3, 4, 5], 2, &mut other), 1);
        assert_ne!(one[0], other[0]);
        assert_eq!(hash_blocks(1, &[1], 0, &mut one), 0);
    }
}
