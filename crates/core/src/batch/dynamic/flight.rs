//! Batches that run: one for each busy instance.

use alloc::boxed::Box;
use alloc::vec;

use super::options::{INSTANCES_MAX, SIZE_MAX};
use super::plan::BatchId;
use crate::error::Error;
use crate::handle::Slab;
use crate::snapshot::{Words, ensure, pair};

/// Share of a batch's predicted time that it is taken to need still, once it is overdue: nothing
/// is known then but that it cannot take much less than what it took already.
const OVERDUE_RATIO: f64 = 0.1;

/// Longest batch: a curve knows sizes of at most an hour, and beyond them rises in proportion.
const SECONDS_MAX: f64 = 3600.0 * SIZE_MAX as f64;

/// A batch that runs.
#[derive(Debug)]
pub struct Flight {
    pub(super) launched_ns: u64,
    pub(super) seconds: f64,
    pub(super) len: u32,
    pub(super) bucket: u8,
}

#[derive(Debug)]
pub(super) struct Flights {
    running: Slab<Flight>,
    /// Slots of the requests of each instance's batch, `batch_size_max` to an instance.
    members: Box<[u32]>,
    width: u32,
}

impl Flights {
    pub(super) fn new(instances: u32, width: u32) -> Result<Self, Error> {
        let members = vec![0; (instances * width) as usize].into_boxed_slice();
        Ok(Self { running: Slab::new("batch", instances)?, members, width })
    }

    pub(super) const fn bytes_needed(instances: u32, width: u32) -> u64 {
        Slab::<Flight>::bytes_needed(instances)
            + instances as u64 * width as u64 * size_of::<u32>() as u64
    }

    pub(super) const fn len(&self) -> u32 {
        self.running.len()
    }

    pub(super) const fn all_busy(&self) -> bool {
        self.running.is_full()
    }

    pub(super) fn get(&self, batch: BatchId) -> Result<&Flight, Error> {
        self.running.get(batch)
    }

    pub(super) fn get_mut(&mut self, batch: BatchId) -> Result<&mut Flight, Error> {
        self.running.get_mut(batch)
    }

    pub(super) fn launch(&mut self, flight: Flight) -> Result<BatchId, Error> {
        self.running.insert(flight)
    }

    pub(super) fn land(&mut self, batch: BatchId) -> Result<Flight, Error> {
        self.running.remove(batch)
    }

    /// The places for the requests of an instance's batch.
    pub(super) fn members_mut(&mut self, instance: u32) -> &mut [u32] {
        let from = (instance * self.width) as usize;
        &mut self.members[from..from + self.width as usize]
    }

    pub(super) fn member(&self, instance: u32, place: u32) -> u32 {
        self.members[(instance * self.width + place) as usize]
    }

    /// Seconds from `now_ns` until each busy instance is expected to be free, soonest first; the
    /// first `len` are set.
    pub(super) fn free_in(&self, now_ns: u64) -> ([f64; INSTANCES_MAX as usize], usize) {
        let (mut soonest, mut len) = ([f64::INFINITY; INSTANCES_MAX as usize], 0);
        for (_, flight) in self.running.iter() {
            let ran_s = now_ns.saturating_sub(flight.launched_ns) as f64 / 1e9;
            soonest[len] = (flight.seconds - ran_s).max(OVERDUE_RATIO * flight.seconds);
            len += 1;
        }
        soonest[..len].sort_unstable_by(f64::total_cmp);
        (soonest, len)
    }

    /// Work that is left on all instances, in seconds.
    pub(super) fn backlog_s(&self, now_ns: u64) -> f64 {
        let (free_in, len) = self.free_in(now_ns);
        free_in[..len].iter().sum()
    }
}

impl Flight {
    fn save_state(&self, save: &mut dyn FnMut(u64)) {
        let Self { launched_ns, seconds, len, bucket } = self;
        for word in [*launched_ns, seconds.to_bits(), pair(*len, u32::from(*bucket))] {
            save(word);
        }
    }

    fn load_state(words: &mut Words<'_>) -> Result<Self, Error> {
        let launched_ns = words.next()?;
        let seconds = words.next_real("seconds", 0.0, SECONDS_MAX)?;
        let (len, bucket) = words.next_pair()?;
        ensure(len > 0 && bucket <= u8::MAX.into())?;
        Ok(Self { launched_ns, seconds, len, bucket: bucket as u8 })
    }
}

impl Flights {
    pub(super) fn save_state(&self, save: &mut dyn FnMut(u64)) {
        self.running.save_state(save, Flight::save_state);
        self.members().for_each(|slot| save(slot.into()));
    }

    /// Takes the batches and who is in them; whether these run is for the requests to say.
    pub(super) fn load_state(
        &mut self,
        buckets: usize,
        words: &mut Words<'_>,
    ) -> Result<(), Error> {
        self.running.load_state(words, Flight::load_state)?;
        for (batch, flight) in self.running.iter() {
            ensure(flight.len <= self.width && usize::from(flight.bucket) < buckets)?;
            let from = (batch.index() * self.width) as usize;
            for member in &mut self.members[from..from + flight.len as usize] {
                *member = words.next_u32("member")?;
            }
        }
        Ok(())
    }

    /// Slots of all requests that are in a batch.
    pub(super) fn members(&self) -> impl Iterator<Item = u32> + '_ {
        let places = move |(batch, flight): (BatchId, &Flight)| {
            (0..flight.len).map(move |place| self.member(batch.index(), place))
        };
        self.running.iter().flat_map(places)
    }
}
