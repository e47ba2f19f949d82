//! The KV cache as the batcher counts it: blocks that are free, and blocks promised to prompts
//! that were let in but are not computed yet. The engine's own count replaces it whenever the
//! host reports one.

use super::request::Request;
use crate::engine::KvGeometry;
use crate::error::{Error, check_range};
use crate::snapshot::{Words, pair};
use crate::units::{Blocks, Tokens};

#[derive(Debug)]
pub(super) struct Memory {
    geometry: KvGeometry,
    free: u32,
    promised: u32,
    /// Blocks of all running requests together, as counted here.
    held: u64,
}

impl Memory {
    pub(super) const fn new(geometry: KvGeometry) -> Self {
        Self { geometry, free: geometry.blocks().get(), promised: 0, held: 0 }
    }

    pub(super) const fn geometry(&self) -> KvGeometry {
        self.geometry
    }

    pub(super) const fn free(&self) -> Blocks {
        Blocks(self.free)
    }

    /// Full blocks of a prompt that can be shared: one token is left to compute.
    pub(super) const fn shareable_blocks(&self, prompt_tokens: u32) -> u32 {
        (prompt_tokens - 1) / self.geometry.block_tokens()
    }

    /// Blocks that a request holds together with others.
    const fn shared(&self, request: &Request) -> u32 {
        if request.holds_shared { self.shareable_blocks(request.prompt_tokens) } else { 0 }
    }

    /// Blocks that running requests hold or could still take: what is free, and what is theirs.
    pub(super) const fn within_reach(&self) -> u64 {
        self.held + self.free as u64
    }

    /// Blocks that a request lacks to hold `tokens` tokens.
    pub(super) fn lacking(&self, request: &Request, tokens: u32) -> u32 {
        // Usually there is room in its last block, and a product is cheaper than a quotient.
        let held = request.blocks + self.shared(request);
        let room = u64::from(held) * u64::from(self.geometry.block_tokens());
        if u64::from(tokens) <= room {
            return 0;
        }
        let wanted = self.geometry.blocks_for(Tokens(tokens)).get();
        wanted.saturating_sub(held)
    }

    /// The whole prompt of a waiting request, of which it would share so many blocks, fits beside
    /// what was promised before.
    pub(super) fn fits(&self, request: &Request, shared: u32) -> bool {
        let spare = self.free.saturating_sub(self.promised);
        self.geometry.blocks_for(Tokens(request.goal_tokens)).get() - shared <= spare
    }

    /// Sets the whole prompt of a request aside; nothing is taken yet.
    pub(super) fn promise(&mut self, request: &Request) {
        let wanted = self.geometry.blocks_for(Tokens(request.goal_tokens)).get();
        self.promised += wanted - self.shared(request);
    }

    /// The most tokens that `request`, which shares so many blocks, could hold with the blocks
    /// that are free.
    pub(super) fn tokens_within(&self, request: &Request, shared: u32) -> u32 {
        let blocks = u64::from(request.blocks) + u64::from(shared) + u64::from(self.free);
        let tokens = blocks * u64::from(self.geometry.block_tokens());
        u32::try_from(tokens).unwrap_or(u32::MAX)
    }

    /// Takes the blocks for `request` to hold `tokens` tokens; false, and nothing taken, if they
    /// are not free. Blocks of a prompt come out of its promise.
    pub(super) fn grow(&mut self, request: &mut Request, tokens: u32) -> bool {
        let lacking = self.lacking(request, tokens);
        if lacking > self.free {
            return false;
        }
        if request.is_prefilling() {
            self.promised = self.promised.saturating_sub(lacking);
        }
        self.free -= lacking;
        self.take(request, lacking);
        true
    }

    /// As [`Memory::grow`] for what the engine has done already: never refused.
    pub(super) fn follow(&mut self, request: &mut Request, tokens: u32) {
        let lacking = self.lacking(request, tokens);
        self.free = self.free.saturating_sub(lacking);
        self.take(request, lacking);
    }

    fn take(&mut self, request: &mut Request, blocks: u32) {
        request.blocks += blocks;
        self.held += u64::from(blocks);
    }

    /// Gives back all that a request holds or was promised.
    pub(super) fn give_back(&mut self, request: &mut Request) {
        if request.is_prefilling() {
            let open = self.lacking(request, request.goal_tokens);
            self.promised = self.promised.saturating_sub(open);
        }
        self.free = self.free.saturating_add(request.blocks).min(self.geometry.blocks().get());
        self.held = self.held.saturating_sub(request.blocks.into());
        request.blocks = 0;
    }

    /// The last that held the shared blocks of a prompt is gone.
    pub(super) fn give_back_shared(&mut self, prompt_tokens: u32) {
        let blocks = self.shareable_blocks(prompt_tokens);
        self.free = self.free.saturating_add(blocks).min(self.geometry.blocks().get());
        self.held = self.held.saturating_sub(blocks.into());
    }

    /// The engine says how many blocks are free.
    pub(super) fn reconcile(&mut self, free: Blocks) {
        self.free = free.get();
    }
}

impl Memory {
    pub(super) fn save_state(&self, save: &mut dyn FnMut(u64)) {
        let Self { geometry: _, free, promised, held } = self;
        save(pair(*free, *promised));
        save(*held);
    }

    pub(super) fn load_state(&mut self, words: &mut Words<'_>) -> Result<(), Error> {
        let blocks = self.geometry.blocks().get();
        let (free, promised) = words.next_pair()?;
        // What is promised was free.
        for (field, value) in [("free", free), ("promised", promised)] {
            check_range(field, value.into(), 0, blocks.into())?;
        }
        (self.free, self.promised) = (free, promised);
        self.held = words.next_count("held")?;
        Ok(())
    }
}
