//! The pool against a naive model, and the corner cases of the engine it imitates.

use std::collections::BTreeMap;

use proptest::prelude::*;
use rampmeter::Blocks;

use super::*;
use crate::serving::testing::{request, workload};

const BLOCK_TOKENS: u32 = 4;
const PROMPT_TOKENS: u32 = 30;
const REQUESTS: u32 = 5;

/// Five prompts of 30 tokens; the trace's hashes cover 8 tokens each. The first three share 16
/// tokens, the fourth has hashes of its own, the fifth has none.
fn sharing() -> Workload {
    let prefixes: [&[u64]; 5] =
        [&[1, 2, 3, 4], &[1, 2, 5, 6], &[1, 2, 3, 4], &[9, 10, 11, 12], &[]];
    let of = |prefix: &[u64]| Request { prefix: prefix.into(), ..request(0.0, PROMPT_TOKENS, 30) };
    workload(prefixes.into_iter().map(of).collect())
}

fn pool(workload: &Workload, blocks: u32, shares_prefixes: bool) -> KvPool<'_> {
    let geometry = KvGeometry::new(Blocks(blocks), BLOCK_TOKENS).unwrap();
    KvPool::new(geometry, workload, shares_prefixes)
}

/// The same rules with lists that are searched from end to end.
struct Naive {
    /// Free blocks in order of reuse.
    free: Vec<u32>,
    /// What each block is said to contain: the tokens up to its end, spelt out.
    contents: BTreeMap<u32, String>,
    held: BTreeMap<u32, Vec<u32>>,
    /// Leading blocks of each request that were full before.
    full: BTreeMap<u32, u32>,
    blocks: u32,
}

impl Naive {
    fn new(blocks: u32) -> Self {
        Self {
            free: (0..blocks).collect(),
            contents: BTreeMap::new(),
            held: BTreeMap::new(),
            full: BTreeMap::new(),
            blocks,
        }
    }

    fn content(workload: &Workload, request: u32, position: u32) -> String {
        let prefix = &workload.requests[request as usize].prefix;
        let end = (position + 1) * BLOCK_TOKENS;
        let hashed = end <= PROMPT_TOKENS && end.div_ceil(8) as usize <= prefix.len();
        if hashed {
            format!("{:?} to {end}", &prefix[..end.div_ceil(8) as usize])
        } else {
            format!("request {request} to {end}")
        }
    }

    fn holders(&self, block: u32) -> usize {
        self.held.values().flatten().filter(|held| **held == block).count()
    }

    fn found(&self, workload: &Workload, request: u32, tokens: u32) -> Vec<u32> {
        let mut found = Vec::new();
        for position in 0..(tokens - 1) / BLOCK_TOKENS {
            let wanted = Self::content(workload, request, position);
            match self.contents.iter().find(|(_, content)| **content == wanted) {
                Some((block, _)) => found.push(*block),
                None => break,
            }
        }
        found
    }

    fn reuse(&mut self, workload: &Workload, request: u32, tokens: u32) -> u32 {
        let found = self.found(workload, request, tokens);
        self.free.retain(|block| !found.contains(block));
        let tokens = found.len() as u32 * BLOCK_TOKENS;
        self.full.insert(request, found.len() as u32);
        self.held.insert(request, found);
        tokens
    }

    fn allocate(&mut self, workload: &Workload, request: u32, tokens: u32) -> bool {
        let held = self.held.entry(request).or_default();
        let missing = (tokens.div_ceil(BLOCK_TOKENS) as usize).saturating_sub(held.len());
        if missing > self.free.len() {
            return false;
        }
        for block in self.free.drain(..missing) {
            self.contents.remove(&block);
            held.push(block);
        }
        let full = self.full.insert(request, tokens / BLOCK_TOKENS).unwrap_or(0);
        for position in full..tokens / BLOCK_TOKENS {
            let content = Self::content(workload, request, position);
            if !self.contents.values().any(|known| *known == content) {
                self.contents.insert(held[position as usize], content);
            }
        }
        true
    }

    fn free(&mut self, request: u32) {
        for block in self.held.remove(&request).unwrap_or_default().into_iter().rev() {
            if self.holders(block) == 0 {
                self.free.push(block);
            }
        }
    }

    /// No block is lost, and none is free and held.
    fn check(&self) {
        for block in 0..self.blocks {
            let free = self.free.iter().filter(|known| **known == block).count();
            assert_eq!(free, usize::from(self.holders(block) == 0), "block {block}");
        }
    }
}

/// No block is lost, none is free and held, and holders are counted right.
fn check(pool: &KvPool<'_>) {
    let mut holders = vec![0; pool.blocks.len()];
    for block in pool.held.iter().flat_map(|held| &held.blocks) {
        holders[*block as usize] += 1;
    }
    let counted: Vec<u32> = pool.blocks.iter().map(|block| block.holders).collect();
    assert_eq!(counted, holders);
    assert_eq!(pool.blocks_free() as usize, holders.iter().filter(|n| **n == 0).count());
    for (name, block) in &pool.by_name {
        assert_eq!(pool.blocks[*block as usize].name, Some(*name));
    }
    assert_eq!(pool.by_name.len(), pool.blocks.iter().filter(|b| b.name.is_some()).count());
}

proptest! {
    /// Whatever requests start, grow and end, the pool answers as the naive model does.
    #[test]
    fn behaves_as_a_naive_cache(
        blocks in 4u32..40,
        ops in prop::collection::vec((0u8..4, 0..REQUESTS, 1u32..60), 1..200),
    ) {
        let workload = sharing();
        let mut pool = pool(&workload, blocks, true);
        let mut naive = Naive::new(blocks);
        // Tokens computed so far; a request that is not here holds nothing.
        let mut tokens: BTreeMap<u32, u32> = BTreeMap::new();
        for (op, request, amount) in ops {
            let known = PROMPT_TOKENS + amount / 2;
            match (op, tokens.get(&request).copied()) {
                (0, Some(_)) => {
                    pool.free(request);
                    naive.free(request);
                    tokens.remove(&request);
                }
                (_, None) => {
                    let expected = naive.found(&workload, request, known);
                    let needed = known.div_ceil(BLOCK_TOKENS) as usize;
                    let held = expected.iter().filter(|b| naive.holders(**b) > 0).count();
                    prop_assert_eq!(pool.fits(request, known), needed - held <= naive.free.len());
                    prop_assert_eq!(
                        pool.cached_tokens(request, known), expected.len() as u32 * BLOCK_TOKENS);
                    let cached = naive.reuse(&workload, request, known);
                    prop_assert_eq!(pool.reuse(request, known), cached);
                    tokens.insert(request, cached);
                }
                (_, Some(before)) => {
                    let total = before + amount / 4;
                    let grown = naive.allocate(&workload, request, total);
                    prop_assert_eq!(pool.allocate(request, total), grown);
                    if grown {
                        tokens.insert(request, total);
                    }
                }
            }
            prop_assert_eq!(pool.blocks_free() as usize, naive.free.len());
            for request in 0..REQUESTS {
                let held = naive.held.get(&request).cloned().unwrap_or_default();
                prop_assert_eq!(&pool.held[request as usize].blocks, &held);
            }
            naive.check();
            check(&pool);
        }
    }
}

#[test]
fn one_token_is_always_left_to_compute() {
    let workload = workload(vec![request(0.0, 16, 1), request(0.0, 17, 1)]);
    for (request, cached) in [(0, 12), (1, 16)] {
        let tokens = workload.requests[request as usize].prompt_tokens;
        let mut pool = pool(&workload, 8, true);
        pool.reuse(request, tokens);
        assert!(pool.allocate(request, tokens));
        pool.free(request);
        assert_eq!(pool.cached_tokens(request, tokens), cached);
    }
}

#[test]
fn the_beginning_of_a_prompt_survives_longest() {
    let workload = workload(vec![request(0.0, 17, 1), request(0.0, 8, 1)]);
    let mut pool = pool(&workload, 5, true);
    pool.reuse(0, 17);
    assert!(pool.allocate(0, 17));
    pool.free(0);
    assert_eq!(pool.cached_tokens(0, 17), 16);
    // Two of five blocks are reused: the last two of the first prompt.
    pool.reuse(1, 8);
    assert!(pool.allocate(1, 8));
    assert_eq!(pool.cached_tokens(0, 17), 12);
}

#[test]
fn without_sharing_a_prompt_finds_its_own_blocks_only() {
    let workload = sharing();
    for (shares_prefixes, others) in [(true, 16), (false, 0)] {
        let mut pool = pool(&workload, 40, shares_prefixes);
        pool.reuse(0, PROMPT_TOKENS);
        assert!(pool.allocate(0, PROMPT_TOKENS));
        assert_eq!(pool.cached_tokens(1, PROMPT_TOKENS), others);
        pool.free(0);
        assert_eq!(pool.cached_tokens(0, PROMPT_TOKENS), 28);
    }
}

#[test]
fn what_was_not_computed_after_all_is_not_found() {
    let workload = sharing();
    let mut pool = pool(&workload, 40, true);
    pool.reuse(0, PROMPT_TOKENS);
    assert!(pool.allocate(0, 9) && pool.allocate(0, 24));
    pool.forget_names(0, 9);
    pool.free(0);
    assert_eq!(pool.cached_tokens(0, PROMPT_TOKENS), 8);
    check(&pool);
}
