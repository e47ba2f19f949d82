//! Why this replica: the prices of all of them.

use super::Router;
use super::choose::RouteRequest;
use super::price::Prices;
use super::replica::ReplicaId;
use crate::error::Error;
use crate::policy::EngineMode;
use crate::units::Nanos;

/// A replica that may be chosen, with what it would cost.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "document", derive(serde::Serialize))]
#[repr(C)]
pub struct Candidate {
    /// The replica.
    pub replica: ReplicaId,
    /// What it costs, by parts.
    pub prices: Prices,
    /// Its last report is too old: it is chosen only where all are.
    pub stale: bool,
    /// Seconds that prompts take here, over those that its step model expects.
    pub pace_ratio: f64,
}

impl Router {
    /// What a request would cost on every replica that may be chosen, in order of their places in
    /// the router, to the front of `out`; how many. Routes nothing and changes nothing that shows.
    /// O(blocks of the prompt + replicas).
    ///
    /// # Errors
    /// As [`Router::route`], but that requests may be full; [`Error::BufferTooSmall`] on
    /// `candidates`.
    pub fn explain(
        &mut self,
        now: Nanos,
        request: &RouteRequest,
        hashes: &[u64],
        out: &mut [Candidate],
    ) -> Result<usize, Error> {
        self.check_request(now, request)?;
        let needed = self.roster.of(EngineMode::Mixed).len() as u64;
        let given = out.len() as u64;
        if given < needed {
            return Err(Error::BufferTooSmall { field: "candidates", given, needed });
        }
        self.index.walk(hashes);
        let asked = self.asked(now, request);
        let mut written = 0;
        for (id, entry) in self.replicas.iter() {
            let listed = self.roster.of(EngineMode::Mixed).get(entry.place as usize);
            if entry.spec.mode != EngineMode::Mixed || listed != Some(&id.index()) {
                continue;
            }
            out[written] = Candidate {
                replica: id,
                prices: self.prices(&asked, request.adapter, id.index(), entry),
                stale: self.is_stale(now, entry),
                pace_ratio: entry.pace.ratio(),
            };
            written += 1;
        }
        Ok(written)
    }
}
