//! Conversations of several turns: prompts that begin with an earlier prompt and its answer.
//!
//! # Model
//! With the probability that the caller gives, a request continues a conversation: one that is
//! shorter than its prompt and whose last answer is finished, chosen evenly among the latest
//! [`OPEN_MAX`]. Prompt lengths are drawn before, so their distribution is the same with and
//! without conversations; the share of tokens found in a cache follows from it. Where none fits,
//! the request opens a new conversation.
//!
//! A conversation only grows, so a full block is named by its conversation and its place; the last
//! block of a prompt, if it is not full, by its length too.
//!
//! # Weak when
//! Accounts matter: a mix gives turns of one conversation to different accounts.

use std::collections::VecDeque;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// Tokens of a prefix block. Engines use 16 (vLLM) to 512 (Mooncake's trace); at 64 rounding costs
/// at most 6% of a median conversation prompt, and names for it take 16 words.
pub(super) const BLOCK_TOKENS: u32 = 64;

/// Conversations that may be continued; the longest unused one is forgotten first. Two minutes
/// of the busiest preset.
const OPEN_MAX: usize = 1_024;

/// Seconds that an answer takes for each token: the TPOT target of interactive work.
const TOKEN_S: f64 = 0.05;

/// Conversations that may go on.
pub(super) struct Conversations {
    ratio: f64,
    open: VecDeque<Conversation>,
    next: u64,
}

struct Conversation {
    number: u64,
    /// Tokens of its last prompt and answer.
    tokens: u32,
    /// When its last answer is finished.
    ready_s: f64,
}

impl Conversations {
    /// Requests continue a conversation with the probability `ratio`.
    pub(super) fn new(ratio: f64) -> Self {
        Self { ratio, open: VecDeque::new(), next: 0 }
    }

    /// The prefix hashes of a request; none where nobody ever continues.
    pub(super) fn prefix(
        &mut self,
        arrival_s: f64,
        prompt_tokens: u32,
        output_tokens: u32,
        random: &mut ChaCha8Rng,
    ) -> Box<[u64]> {
        if self.ratio <= 0.0 {
            return Box::default();
        }
        let number = self.continued(arrival_s, prompt_tokens, random).unwrap_or_else(|| {
            self.next += 1;
            self.next
        });
        if self.open.len() == OPEN_MAX {
            self.open.pop_front();
        }
        let tokens = prompt_tokens.saturating_add(output_tokens);
        let ready_s = arrival_s + f64::from(output_tokens) * TOKEN_S;
        self.open.push_back(Conversation { number, tokens, ready_s });
        (0..prompt_tokens.div_ceil(BLOCK_TOKENS))
            .map(|place| {
                let filled = (prompt_tokens - place * BLOCK_TOKENS).min(BLOCK_TOKENS);
                block_name(number, place, filled)
            })
            .collect()
    }

    /// Takes the conversation that this request continues, if it continues one.
    fn continued(
        &mut self,
        arrival_s: f64,
        prompt_tokens: u32,
        random: &mut ChaCha8Rng,
    ) -> Option<u64> {
        let (wants, choice): (f64, f64) = (random.random(), random.random());
        if wants >= self.ratio {
            return None;
        }
        let fits = |conversation: &Conversation| {
            conversation.tokens < prompt_tokens && conversation.ready_s <= arrival_s
        };
        let count = self.open.iter().filter(|&conversation| fits(conversation)).count();
        let chosen = (choice * count as f64) as usize;
        let (index, _) = self.open.iter().enumerate().filter(|(_, open)| fits(open)).nth(chosen)?;
        self.open.remove(index).map(|conversation| conversation.number)
    }
}

/// A name for a block that no other block has: a mixing step (splitmix64, Steele et al., OOPSLA
/// 2014) over each of the three numbers in turn.
fn block_name(conversation: u64, place: u32, filled: u32) -> u64 {
    [conversation, u64::from(place), u64::from(filled)].into_iter().fold(0, |name, part| {
        let mut mixed: u64 = (name ^ part).wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    })
}
