//! What a request waits for at a replica before its engine sees it: the replica itself, its adapter,
//! and blocks that are in slower tiers.

use std::collections::{BTreeSet, VecDeque};

use rampmeter::Nanos;
use rampmeter::route::Tier;

use super::news::News;
use super::options::ReplicaOptions;
use super::slots::Slots;
use super::tiers::Tiers;
use crate::serving::kv::{KvChange, KvPool};
use crate::workload::Workload;

/// Before the engine of one replica.
#[derive(Debug)]
pub(super) struct Dock<'w> {
    workload: &'w Workload,
    options: &'w ReplicaOptions,
    ready_at: Nanos,
    slots: Option<Slots>,
    tiers: Option<Tiers>,
    /// Wait for a slot, in the order in which they came.
    waiting: VecDeque<u32>,
    /// On their way in: when, in which order, who, and how many blocks come along.
    coming: BTreeSet<(Nanos, u64, u32, u32)>,
    entered: u64,
    /// Not published yet.
    news: Vec<News>,
}

impl<'w> Dock<'w> {
    /// Of a replica that can begin at `ready_at`, with no adapter and nothing in any tier.
    pub(super) fn new(
        workload: &'w Workload,
        options: &'w ReplicaOptions,
        ready_at: Nanos,
    ) -> Self {
        Self {
            workload,
            options,
            ready_at,
            slots: options.adapters.as_ref().map(Slots::new),
            tiers: options.tiers.as_ref().map(Tiers::new),
            waiting: VecDeque::new(),
            coming: BTreeSet::new(),
            entered: 0,
            news: Vec::new(),
        }
    }

    /// A request comes.
    pub(super) fn comes(&mut self, now: Nanos, request: u32, kv: &KvPool<'_>) {
        if !self.enters(now, request, kv) {
            self.waiting.push_back(request);
        }
    }

    /// A request left its replica: whoever waited for its slot may come.
    pub(super) fn left(&mut self, now: Nanos, request: u32, kv: &KvPool<'_>) {
        let adapter = self.options.adapter(request);
        let Some(slots) = self.slots.as_mut().filter(|_| adapter != 0) else { return };
        slots.release(adapter);
        for waiting in std::mem::take(&mut self.waiting) {
            self.comes(now, waiting, kv);
        }
    }

    fn enters(&mut self, now: Nanos, request: u32, kv: &KvPool<'_>) -> bool {
        let (mut at, adapter) = (now.max(self.ready_at), self.options.adapter(request));
        if let Some(slots) = self.slots.as_mut().filter(|_| adapter != 0) {
            let Some(loaded_at) = slots.take(at, adapter, &mut self.news) else { return false };
            at = loaded_at;
        }
        let mut blocks = 0;
        if let Some(tiers) = &mut self.tiers {
            let asked = &self.workload.requests[request as usize];
            let size = self.workload.prefix_block_tokens.max(1);
            // The last token of a prompt is always computed.
            let usable = ((asked.prompt_tokens - 1) / size).min(asked.prefix.len() as u32);
            let device = kv.cached_tokens(request, asked.prompt_tokens) / size;
            let hashes = &asked.prefix[..usable as usize];
            let (found, loaded_at) = tiers.load(at, hashes, device as usize);
            at = loaded_at;
            blocks = if found as u32 > device { found as u32 } else { 0 };
        }
        self.coming.insert((at, self.entered, request, blocks));
        self.entered += 1;
        true
    }

    /// When the next one is through.
    pub(super) fn next_event(&self) -> Option<Nanos> {
        self.coming.first().map(|(at, ..)| *at)
    }

    /// The next one that is through, and the tokens of its prompt that were loaded or are there.
    pub(super) fn next(&mut self, now: Nanos) -> Option<(u32, u32)> {
        if let Some(slots) = &mut self.slots {
            slots.tell(now, &mut self.news);
        }
        self.next_event().filter(|at| *at <= now)?;
        let (_, _, request, blocks) = self.coming.pop_first()?;
        Some((request, blocks * self.workload.prefix_block_tokens))
    }

    /// What the cache of the engine took in or let go of.
    pub(super) fn note(&mut self, changes: Vec<KvChange>) {
        for change in changes {
            self.news.push(match change {
                KvChange::Stored(hash) => News::Stored(Tier::Device, hash),
                KvChange::Removed(hash) => News::Removed(Tier::Device, hash),
            });
            if let Some(tiers) = &mut self.tiers {
                tiers.note(change, &mut self.news);
            }
        }
    }

    /// What is to be published.
    pub(super) fn take_news(&mut self) -> Vec<News> {
        std::mem::take(&mut self.news)
    }
}
