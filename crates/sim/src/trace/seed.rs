//! Where randomness comes from: one seed, and a numbered stream of it for each purpose.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// What a stream of random numbers is for. Each purpose has its own stream, so that a change in
/// how many numbers one of them draws leaves the others as they were.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Purpose {
    /// Gaps between requests.
    Arrivals = 1,
    /// Prompt and output lengths.
    Lengths = 2,
    /// Slow changes of the rate.
    Modulation = 3,
    /// Classes and accounts.
    Mix = 4,
    /// Who continues which conversation.
    Conversations = 5,
    /// In what order tasks come, and which come again.
    Tasks = 6,
    /// In what order nodes stand, which decides ties.
    Nodes = 7,
    /// Nodes that fail.
    Failures = 8,
    /// Replicas that a router draws.
    Routing = 9,
    /// Which prompts begin with which system prompt.
    SystemPrompts = 10,
    /// Which requests need which adapter.
    Adapters = 11,
}

/// The random numbers for `purpose`; `index` tells clients or services apart (below 2^48).
pub(crate) fn random_stream(seed: u64, purpose: Purpose, index: u64) -> ChaCha8Rng {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(((purpose as u64) << 48) | (index & 0xffff_ffff_ffff));
    random
}
