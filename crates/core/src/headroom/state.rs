//! In what form does a desk outlive its process?
//!
//! # What it decides
//! Nothing: a desk that was saved and restored answers as it would have answered.
//!
//! # Format
//! The envelope of every snapshot (head, length, checksum), and in it the options, then the pool,
//! the classes, the imagined pools with the seats that are taken, and the price.
//!
//! # Bounds and cost
//! O(state): 24 words a seat that is taken, 400 a class. `save` allocates nothing; `restore` builds
//! a desk, and so allocates. Every word is checked before it is used: bytes from anywhere are
//! answered with an error or with a desk that works.
//!
//! # What it is bad at
//! It is no journal: requests that came, started or ended after it was taken are unknown to it.

use super::shadow::AMOUNT_MAX;
use super::waiting::ladder::Ladder;
use super::{Arrivals, Class, Headroom, Options, Pool, ShadowPrice};
use crate::error::Error;
use crate::snapshot::{self, CONTRADICTION, HEADROOM, OTHER_CAPACITY, Words, ensure};
use crate::units::Nanos;

impl Headroom {
    /// Bytes that [`Headroom::save`] needs now. O(state).
    #[must_use]
    pub fn snapshot_bytes(&self) -> u64 {
        snapshot::bytes_needed(|save| self.save_state(save))
    }

    /// Writes the whole state to the front of `out` and returns its length in bytes. Allocates
    /// nothing and changes nothing. O(state).
    ///
    /// # Errors
    /// [`Error::BufferTooSmall`] on `snapshot`, and nothing is written.
    pub fn save(&self, out: &mut [u8]) -> Result<usize, Error> {
        snapshot::save(HEADROOM, out, |save| self.save_state(save))
    }

    /// A desk that goes on where the saved one was. Allocates, as [`Headroom::new`] does. Bytes
    /// after the snapshot are ignored. `options` are those of the saved desk; of them only
    /// `replicas` may be another number, and is not used.
    ///
    /// # Errors
    /// As [`Options::validate`]. [`Error::Snapshot`] for bytes that are no snapshot of a desk of
    /// headroom by this version of the library, were cut short or changed, or contradict
    /// themselves; with
    /// [`SnapshotFault::OtherCapacity`](crate::error::SnapshotFault::OtherCapacity) if it was taken
    /// with any other option.
    pub fn restore(options: &Options, bytes: &[u8]) -> Result<Self, Error> {
        let mut desk = Self::new(options)?;
        snapshot::load(HEADROOM, bytes, |take| {
            let mut words = Words::new(take);
            let mut same = true;
            let mut ended = false;
            option_words(options, &mut |option| match words.next() {
                Ok(word) => same &= word == option,
                Err(_) => ended = true,
            });
            if ended {
                return Err(CONTRADICTION);
            }
            if !same {
                return Err(OTHER_CAPACITY);
            }
            desk.load_state(&mut words).map_err(|_| CONTRADICTION)
        })?;
        Ok(desk)
    }

    fn save_state(&self, save: &mut dyn FnMut(u64)) {
        let Self { options, classes, pool, rehearsal, shadow, replicas, waiting_value, now } = self;
        option_words(options, save);
        save(u64::from(*replicas));
        save(waiting_value.to_bits());
        save(now.get());
        pool.save_state(save);
        for Class { arrivals, service, waits, share, waiting, running, correction } in classes {
            arrivals.save_state(save);
            service.save_state(save);
            waits.save_state(save);
            save(share.to_bits());
            save(*waiting);
            save(*running);
            save(correction.to_bits());
        }
        rehearsal.save_state(save);
        shadow.save_state(save);
    }

    fn load_state(&mut self, words: &mut Words<'_>) -> Result<(), Error> {
        self.replicas = words.next_within("replicas", 0, self.options.replicas_max)?;
        self.waiting_value = words.next_real("waiting_value", 0.0, AMOUNT_MAX)?;
        self.now = Nanos(words.next()?);
        self.pool = Pool::load_state(words)?;
        let mut running = 0_u64;
        for class in &mut self.classes {
            class.arrivals = Arrivals::load_state(words)?;
            class.service.load_state(words)?;
            class.waits = Ladder::load_state(words)?;
            class.share = words.next_real("share", 0.0, 1.0)?;
            class.waiting = words.next_count("waiting")?;
            class.running = words.next_count("running")?;
            class.correction = words.next_real("correction", 1.0 / 65.0, 65.0)?;
            running = running.saturating_add(class.running);
        }
        ensure(running == self.pool.running)?;
        let seats = self.seats();
        self.rehearsal.load_state(words, seats)?;
        self.shadow = ShadowPrice::load_state(words, self.now)?;
        Ok(())
    }
}

/// All options but the replicas at the beginning.
fn option_words(options: &Options, put: &mut dyn FnMut(u64)) {
    let Options { classes, replica, replicas: _, replicas_max, gpus_per_replica, memory_requests } =
        options;
    put(classes.len() as u64);
    for class in classes {
        put(class.target.get());
        put(class.late_ratio_max.to_bits());
        put(class.delay_value.to_bits());
    }
    put(replica.seats.into());
    put(replica.loaded_share.to_bits());
    put(u64::from(*replicas_max));
    put(gpus_per_replica.to_bits());
    put(u64::from(*memory_requests));
}
