//! What a cache really holds: the KV events of an engine.
//!
//! vLLM publishes `BlockStored`, `BlockRemoved` and `AllBlocksCleared`, each with block hashes and,
//! where there is more than one, the medium. A host hands them on in order. Where it sees a gap in
//! their numbers, it calls [`Router::cleared`] and asks the engine for a replay, if it has one.
//!
//! # Bounds and cost
//! O(blocks of the event); `cleared` O(index). The first event of a replica O(index + requests).

use super::Router;
use super::flight::{Flight, Phase, Stop};
use super::options::Tier;
use super::replica::ReplicaId;
use crate::error::Error;
use crate::units::Nanos;

impl Router {
    /// A replica holds these blocks in a tier from now on. From its first event on, what it holds
    /// is what it tells, besides the prompts that are on their way to it: let it tell all that it
    /// holds.
    ///
    /// # Errors
    /// [`Error::TimeReversed`]; [`Error::Stale`].
    pub fn stored(
        &mut self,
        now: Nanos,
        replica: ReplicaId,
        tier: Tier,
        hashes: &[u64],
    ) -> Result<(), Error> {
        self.tells(now, replica)?;
        // The beginning of a prompt is used last, and so forgotten last.
        for hash in hashes.iter().rev() {
            self.index.hold(now, *hash, replica.index(), tier);
        }
        Ok(())
    }

    /// A replica holds these blocks in this tier no more.
    ///
    /// # Errors
    /// [`Error::TimeReversed`]; [`Error::Stale`].
    pub fn removed(
        &mut self,
        now: Nanos,
        replica: ReplicaId,
        tier: Tier,
        hashes: &[u64],
    ) -> Result<(), Error> {
        self.tells(now, replica)?;
        for hash in hashes {
            self.index.lose(*hash, replica.index(), tier);
        }
        Ok(())
    }

    /// A replica holds nothing any more. O(index).
    ///
    /// # Errors
    /// [`Error::TimeReversed`]; [`Error::Stale`].
    pub fn cleared(&mut self, now: Nanos, replica: ReplicaId) -> Result<(), Error> {
        self.tells(now, replica)?;
        self.index.clear(replica.index());
        Ok(())
    }

    /// A replica has an adapter from now on.
    ///
    /// # Errors
    /// [`Error::TimeReversed`]; [`Error::Stale`].
    pub fn adapter_loaded(
        &mut self,
        now: Nanos,
        replica: ReplicaId,
        adapter: u64,
    ) -> Result<(), Error> {
        self.check_time(now)?;
        self.replicas.get(replica)?;
        self.now = now;
        self.adapters.hold(replica.index(), adapter, self.decisions, now);
        Ok(())
    }

    /// A replica has an adapter no more.
    ///
    /// # Errors
    /// [`Error::TimeReversed`]; [`Error::Stale`].
    pub fn adapter_unloaded(
        &mut self,
        now: Nanos,
        replica: ReplicaId,
        adapter: u64,
    ) -> Result<(), Error> {
        self.check_time(now)?;
        self.replicas.get(replica)?;
        self.now = now;
        self.adapters.lose(replica.index(), adapter);
        Ok(())
    }

    fn tells(&mut self, now: Nanos, replica: ReplicaId) -> Result<(), Error> {
        self.check_time(now)?;
        let known = self.replicas.get_mut(replica)?;
        let is_first = !core::mem::replace(&mut known.tells_events, true);
        let (incarnation, forgotten) = (known.incarnation, known.horizon.since());
        self.now = now;
        if is_first {
            self.drop_assumed(replica, incarnation, forgotten);
        }
        Ok(())
    }

    /// What a replica was only taken to hold goes, but for what prompts on their way to it use,
    /// unless that was forgotten before.
    fn drop_assumed(&mut self, replica: ReplicaId, incarnation: u32, forgotten: Nanos) {
        let comes = |flight: &&Flight| {
            let Stop { replica: to, incarnation: then, .. } = flight.prefill;
            (to, then) == (replica, incarnation) && flight.phase != Phase::Decoding
        };
        let coming = self.requests.iter().map(|(_, flight)| flight).filter(comes);
        match coming.map(|flight| flight.routed_at).min() {
            Some(first) => self.index.clear_before(replica.index(), first.max(forgotten)),
            None => self.index.clear(replica.index()),
        }
    }
}
