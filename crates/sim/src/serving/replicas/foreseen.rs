//! What a router said would happen, and what happened.

use rampmeter::Nanos;

/// What a router says of a request that it has routed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Foreseen {
    /// Prompt tokens that will not be computed.
    pub cached_tokens: u32,
    /// Seconds until the first token.
    pub ttft_s: f64,
    /// Of these, seconds of handing the KV from one replica to another.
    pub transfer_s: f64,
}

/// How far a number was from what was foreseen.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Difference {
    /// Of how many requests.
    pub count: u64,
    /// Sum of what was foreseen.
    pub foreseen: f64,
    /// Sum of what happened.
    pub happened: f64,
    /// Sum of the differences, without sign.
    pub apart: f64,
    /// How often both were the same.
    pub exact: u64,
}

impl Difference {
    pub(super) fn note(&mut self, foreseen: f64, happened: f64) {
        self.count += 1;
        self.foreseen += foreseen;
        self.happened += happened;
        self.apart += (foreseen - happened).abs();
        self.exact += u64::from(foreseen == happened);
    }

    /// Mean difference, without sign.
    #[must_use]
    pub fn mean(&self) -> f64 {
        self.apart / (self.count as f64).max(1.0)
    }

    /// Mean difference with its sign: above zero where more was foreseen than happened.
    #[must_use]
    pub fn bias(&self) -> f64 {
        (self.foreseen - self.happened) / (self.count as f64).max(1.0)
    }

    /// Part of all requests of which exactly that happened.
    #[must_use]
    pub fn exact_ratio(&self) -> f64 {
        self.exact as f64 / (self.count as f64).max(1.0)
    }

    /// Both together.
    pub fn add(&mut self, other: &Self) {
        self.count += other.count;
        self.foreseen += other.foreseen;
        self.happened += other.happened;
        self.apart += other.apart;
        self.exact += other.exact;
    }
}

/// What became of what a router foresaw, and what replicas did beside computing.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Seen {
    /// Blocks of the prompt that were cached when it was begun.
    pub cached_blocks: Difference,
    /// Seconds until the first token.
    pub ttft_s: Difference,
    /// Seconds from the end of the prompt on one replica until its KV was on another.
    pub transfer_s: Difference,
    /// Adapters that were loaded.
    pub adapter_loads: u64,
}

impl Seen {
    /// Both together.
    pub fn add(&mut self, other: &Self) {
        self.cached_blocks.add(&other.cached_blocks);
        self.ttft_s.add(&other.ttft_s);
        self.transfer_s.add(&other.transfer_s);
        self.adapter_loads += other.adapter_loads;
    }
}

/// What was foreseen of each request that has not come so far.
#[derive(Debug)]
pub(super) struct Watch {
    block_tokens: u32,
    foreseen: Vec<Option<(Nanos, Foreseen)>>,
    pub(super) seen: Seen,
}

impl Watch {
    pub(super) fn new(requests: usize, block_tokens: u32) -> Self {
        let block_tokens = block_tokens.max(1);
        Self { block_tokens, foreseen: vec![None; requests], seen: Seen::default() }
    }

    /// A request was routed.
    pub(super) fn routed(&mut self, now: Nanos, request: u32, foreseen: Option<Foreseen>) {
        self.foreseen[request as usize] = foreseen.map(|foreseen| (now, foreseen));
    }

    /// Its prompt was begun, with so much of it cached.
    pub(super) fn started(&mut self, request: u32, cached_tokens: u32) {
        if let Some((_, foreseen)) = self.foreseen[request as usize] {
            let blocks = |tokens: u32| f64::from(tokens / self.block_tokens);
            let (said, found) = (blocks(foreseen.cached_tokens), blocks(cached_tokens));
            self.seen.cached_blocks.note(said, found);
        }
    }

    /// Its KV is where it is decoded.
    pub(super) fn handed_on(&mut self, request: u32, seconds: f64) {
        if let Some((_, foreseen)) = self.foreseen[request as usize] {
            self.seen.transfer_s.note(foreseen.transfer_s, seconds);
        }
    }

    /// Its first token is out.
    pub(super) fn first_token(&mut self, now: Nanos, request: u32) {
        if let Some((at, foreseen)) = self.foreseen[request as usize].take() {
            self.seen.ttft_s.note(foreseen.ttft_s, now.saturating_sub(at).as_seconds());
        }
    }
}
