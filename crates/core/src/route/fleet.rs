//! Replicas come, drain, fail, return and go.
//!
//! # Bounds and cost
//! O(1), but for what becomes of the index when a replica loses its cache, O(index), and of requests
//! when it goes for good, O(requests).

use alloc::boxed::Box;
use alloc::vec;

use super::options::RouterOptions;
use super::replica::{Replica, ReplicaId, Status};
use super::{MODES, ReplicaSpec, Router};
use crate::error::Error;
use crate::policy::EngineMode;
use crate::units::Nanos;

/// Replicas that may be chosen, by mode.
#[derive(Debug)]
pub(super) struct Roster {
    /// Room for all replicas in each mode.
    places: [Box<[u32]>; MODES],
    len: [u32; MODES],
}

impl Roster {
    pub(super) fn new(options: &RouterOptions) -> Self {
        let room = || vec![0; options.replicas_max as usize].into_boxed_slice();
        Self { places: core::array::from_fn(|_| room()), len: [0; MODES] }
    }

    pub(super) const fn bytes_needed(options: &RouterOptions) -> u64 {
        MODES as u64 * options.replicas_max as u64 * size_of::<u32>() as u64
    }

    pub(super) fn of(&self, mode: EngineMode) -> &[u32] {
        &self.places[mode as usize][..self.len[mode as usize] as usize]
    }

    pub(super) fn len(&self) -> u32 {
        self.len.iter().sum()
    }

    pub(super) fn clear(&mut self) {
        self.len = [0; MODES];
    }

    /// Adds a replica and returns its place.
    pub(super) fn add(&mut self, mode: EngineMode, replica: u32) -> u32 {
        let place = self.len[mode as usize];
        self.places[mode as usize][place as usize] = replica;
        self.len[mode as usize] += 1;
        place
    }

    /// Takes the replica at a place out; the last one, which is returned, moves there.
    fn remove(&mut self, mode: EngineMode, place: u32) -> u32 {
        self.len[mode as usize] -= 1;
        let last = self.places[mode as usize][self.len[mode as usize] as usize];
        self.places[mode as usize][place as usize] = last;
        last
    }
}

impl Router {
    /// A replica comes; it may be chosen at once, at the price of its cold start. O(1).
    ///
    /// # Errors
    /// [`Error::TimeReversed`]; [`Error::Range`] and [`Error::RangeReal`] on a field of `spec`;
    /// [`Error::Full`] on `replicas`.
    pub fn add_replica(&mut self, now: Nanos, spec: &ReplicaSpec) -> Result<ReplicaId, Error> {
        self.check_time(now)?;
        spec.check(&self.options)?;
        let id = self.replicas.insert(Replica::new(now, spec))?;
        self.now = now;
        let place = self.roster.add(spec.mode, id.index());
        self.replicas.get_mut(id)?.place = place;
        self.post(id.index());
        Ok(id)
    }

    /// A replica finishes what it has and gets nothing new, until [`Router::resume`]. O(1).
    ///
    /// # Errors
    /// [`Error::TimeReversed`]; [`Error::Stale`].
    pub fn drain(&mut self, now: Nanos, replica: ReplicaId) -> Result<(), Error> {
        self.check_time(now)?;
        self.replicas.get(replica)?;
        self.now = now;
        self.set_status(replica, Status::Draining)
    }

    /// A replica lost its requests and its cache, and gets nothing until [`Router::resume`]. Route
    /// its requests anew; [`Router::ended`] for them may be said or not, except that each takes its
    /// place until then. Returns how many it had. O(index).
    ///
    /// # Errors
    /// [`Error::TimeReversed`]; [`Error::Stale`].
    pub fn fail(&mut self, now: Nanos, replica: ReplicaId) -> Result<u32, Error> {
        self.check_time(now)?;
        let lost = self.replicas.get(replica)?;
        let count = lost.running.saturating_add(lost.waiting);
        self.now = now;
        self.set_status(replica, Status::Failed)?;
        self.replicas.get_mut(replica)?.lose_all(now);
        self.post(replica.index());
        self.forget_caches(replica.index());
        Ok(count)
    }

    /// A replica that was drained or failed may be chosen again, from `ready_at` on. O(1).
    ///
    /// # Errors
    /// [`Error::TimeReversed`]; [`Error::Stale`].
    pub fn resume(&mut self, now: Nanos, replica: ReplicaId, ready_at: Nanos) -> Result<(), Error> {
        self.check_time(now)?;
        let returned = self.replicas.get_mut(replica)?;
        (returned.spec.ready_at, returned.heard_at) = (ready_at, now);
        self.now = now;
        self.set_status(replica, Status::Ready)
    }

    /// A replica goes for good, and its requests with it: their handles and its own are stale from
    /// now on. Of a pair, one that decodes elsewhere goes on. O(index + requests).
    ///
    /// # Errors
    /// [`Error::TimeReversed`]; [`Error::Stale`].
    pub fn remove_replica(&mut self, now: Nanos, replica: ReplicaId) -> Result<(), Error> {
        self.check_time(now)?;
        self.replicas.get(replica)?;
        self.now = now;
        self.set_status(replica, Status::Failed)?;
        self.replicas.remove(replica)?;
        self.forget_caches(replica.index());
        self.lose_requests(now, replica);
        Ok(())
    }

    /// Whether a replica may be chosen. O(1).
    ///
    /// # Errors
    /// [`Error::Stale`].
    pub fn status(&self, replica: ReplicaId) -> Result<Status, Error> {
        self.replicas.get(replica).map(|replica| replica.status)
    }

    fn forget_caches(&mut self, replica: u32) {
        self.index.clear(replica);
        self.adapters.clear(replica);
    }

    fn set_status(&mut self, id: ReplicaId, status: Status) -> Result<(), Error> {
        let replica = self.replicas.get_mut(id)?;
        let (mode, place, before) = (replica.spec.mode, replica.place, replica.status);
        replica.status = status;
        match (before == Status::Ready, status == Status::Ready) {
            (false, true) => replica.place = self.roster.add(mode, id.index()),
            (true, false) => {
                let moved = self.roster.remove(mode, place);
                if let Some(moved) = self.replicas.at_mut(moved) {
                    moved.place = place;
                }
            }
            _ => {}
        }
        self.post(id.index());
        Ok(())
    }
}
