//! Prompts that begin like many others: with one of a few system prompts.
//!
//! # Model
//! Every conversation (of a trace without hashes, every request) gets one of `count` system
//! prompts, the k-th with a probability that goes as 1/k: a few are common, most are not, as
//! applications are. Its tokens stand before all others, so that prompts become longer by them.
//!
//! # Weak when
//! System prompts differ in length, or change in time.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::InputError;
use crate::trace::{Purpose, TOKENS_MAX, Trace, random_stream};

/// Tokens of a prefix block where the trace has none: as generated conversations have.
const BLOCK_TOKENS: u32 = super::conversations::BLOCK_TOKENS;

/// Most system prompts: each is looked for one by one.
const COUNT_MAX: u32 = 65_536;

/// The bits of a block's name that tell system prompts apart from everything else.
const NAMES: u64 = 0x5afe << 48;

/// How many system prompts there are, and how long each is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SystemPrompts {
    /// How many, at least 1.
    pub count: u32,
    /// Tokens of each, rounded up to whole blocks.
    pub tokens: u32,
}

impl SystemPrompts {
    /// Puts them before the prompts of a trace.
    ///
    /// # Errors
    /// `count` is outside 1..=65536, or a prompt becomes longer than any can be; nothing is
    /// changed.
    pub fn apply(self, trace: &mut Trace, seed: u64) -> Result<(), InputError> {
        let wrong = |problem| InputError::new(&trace.source, problem).in_field("system_prompts");
        if !(1..=COUNT_MAX).contains(&self.count) {
            return Err(wrong(format!(
                "`{}` is not a whole number in 1..={COUNT_MAX}",
                self.count
            )));
        }
        let size =
            if trace.prefix_block_tokens > 0 { trace.prefix_block_tokens } else { BLOCK_TOKENS };
        let blocks = self.tokens.div_ceil(size);
        let longest = trace.requests.iter().map(|request| request.prompt_tokens).max();
        let longer =
            blocks.checked_mul(size).and_then(|added| added.checked_add(longest.unwrap_or(0)));
        let Some(added) = longer.filter(|tokens| *tokens <= TOKENS_MAX).map(|_| blocks * size)
        else {
            return Err(wrong(format!(
                "`{}` tokens make prompts longer than {TOKENS_MAX}",
                self.tokens
            )));
        };
        trace.prefix_block_tokens = size;
        for (number, request) in (0..).zip(&mut trace.requests) {
            // Turns of one conversation begin with the same block.
            let key = request.prefix.first().copied().unwrap_or(number);
            let chosen = self.choose(&mut random_stream(seed ^ key, Purpose::SystemPrompts, 0));
            let own = request.prefix.iter().map(|name| name ^ u64::from(chosen).rotate_left(32));
            let shared =
                (0..blocks).map(|block| NAMES | u64::from(chosen) << 24 | u64::from(block));
            request.prefix = shared.chain(own).collect();
            request.prompt_tokens += added;
        }
        Ok(())
    }

    /// The k-th of them with a probability that goes as 1/k.
    fn choose(self, random: &mut ChaCha8Rng) -> u32 {
        let total: f64 = (1..=self.count).map(|rank| f64::from(rank).recip()).sum();
        let mut place: f64 = random.random::<f64>() * total;
        let chosen = (1..=self.count).find(|rank| {
            place -= f64::from(*rank).recip();
            place < 0.0
        });
        chosen.unwrap_or(self.count) - 1
    }
}
