//! In what form does a dynamic batcher outlive its process?
//!
//! # What it decides
//! Nothing: a batcher that was saved and restored decides as it would have decided.
//!
//! # Format
//! The envelope of every snapshot (head, length, checksum), and in it the capacities and what only
//! the past can tell: latency curves as learned, arrivals, the last verdicts, requests, accounts
//! and their counters, seats owed, batches that run. Queues and counts are not written: they
//! follow from the requests, and what follows cannot contradict. Of the other options only a
//! digest is written, to know whether they were changed.
//!
//! # Bounds and cost
//! O(state), of 8 bytes a word: 8 words a request that is known, 2 for a place that is free; 3 an
//! open account and 4 more for each class and bucket; 5 for each knot of a curve that learns.
//! `save` allocates nothing; `restore` builds a batcher, and so allocates; it is
//! O(state * log requests). Every word is checked before it is used, and against the others as far
//! as anything relies on it: bytes from anywhere are answered with an error or with a batcher that
//! works.
//!
//! # What it is bad at
//! It is no journal: what happened after it was taken is lost. Batches in flight come back as they
//! were, and it is for the host to say what became of them.

use alloc::vec;

use super::rate::Arrivals;
use super::request::MOMENT_MAX;
use super::{DynamicBatcher, Options, Request, Totals, Verdict, Why};
use crate::engine::LatencyCurve;
use crate::error::Error;
use crate::snapshot::{self, CONTRADICTION, DYNAMIC_BATCHER, OTHER_CAPACITY, Words, ensure, pair};
use crate::units::Nanos;

mod digest;

use digest::digest;

/// As they are numbered.
const WHYS: [Why; 9] = [
    Why::Busy,
    Why::Full,
    Why::WorthNow,
    Why::Preferred,
    Why::Deadline,
    Why::DelayMax,
    Why::Late,
    Why::WorthWaiting,
    Why::MoreExpired,
];

impl DynamicBatcher {
    /// Bytes that [`DynamicBatcher::save`] needs now. O(state).
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
        snapshot::save(DYNAMIC_BATCHER, out, |save| self.save_state(save))
    }

    /// A batcher that goes on where the saved one was: every later call has the answer that it
    /// would have had, and every handle names what it named. Batches that ran run again. Allocates,
    /// as [`DynamicBatcher::new`] does. Bytes after the snapshot are ignored.
    ///
    /// `options` are those of the saved batcher, or have other rules: these then hold from now on,
    /// and the next call of [`DynamicBatcher::form`] is due at once. Latency curves are in the
    /// snapshot, as learned; of those in `options` only the number counts.
    ///
    /// ```
    /// use rampmeter::Nanos;
    /// use rampmeter::batch::dynamic::{DynamicBatcher, Options, Submission};
    /// use rampmeter::engine::LatencyCurve;
    ///
    /// let options = Options::new(16, LatencyCurve::linear(5e-3, 1e-3)?.learning(16)?);
    /// let mut batcher = DynamicBatcher::new(&options)?;
    /// let account = batcher.open_account(None, 1.0)?;
    /// let (tag, class, bucket, arrival) = (7, 0, 0, Nanos(5));
    /// let (deadline, expires_at) = (None, None);
    /// batcher.submit(Nanos(5), &Submission {
    ///     tag, class, account, bucket, arrival, deadline, expires_at,
    /// })?;
    ///
    /// let mut bytes = vec![0; batcher.snapshot_bytes() as usize];
    /// let len = batcher.save(&mut bytes)?;
    ///
    /// let restored = DynamicBatcher::restore(&options, &bytes[..len])?;
    /// assert_eq!(restored.stats(), batcher.stats());
    /// assert_eq!(restored.next_event(Nanos(5)), batcher.next_event(Nanos(5)));
    /// # Ok::<(), rampmeter::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Options::validate`]. [`Error::Snapshot`] for bytes that are no snapshot of a dynamic
    /// batcher by this version of the library, were cut short or changed, or contradict
    /// themselves; with
    /// [`SnapshotFault::OtherCapacity`](crate::error::SnapshotFault::OtherCapacity) if
    /// `batch_size_max`, `requests_max`, `instances`, `accounts_max`, or the number of classes or
    /// buckets is another one.
    pub fn restore(options: &Options, bytes: &[u8]) -> Result<Self, Error> {
        options.validate()?;
        snapshot::load(DYNAMIC_BATCHER, bytes, |take| {
            let mut words = Words::new(take);
            for capacity in capacities(options) {
                if words.next().map_err(|_| CONTRADICTION)? != capacity {
                    return Err(OTHER_CAPACITY);
                }
            }
            let mut batcher = Self::new(options)?;
            let saved_under = batcher.load_state(&mut words).map_err(|_| CONTRADICTION)?;
            if saved_under != digest(options) {
                batcher.wake_ns = batcher.now.get();
            }
            Ok(batcher)
        })
    }

    fn save_state(&self, save: &mut dyn FnMut(u64)) {
        let Self {
            options,
            requests,
            lines,
            flights,
            arrivals,
            last_deadline_ns,
            verdicts,
            // These mean nothing between two calls.
            scan: _,
            dues: _,
            aside: _,
            aside_len: _,
            // Follows from the requests.
            account_requests: _,
            now,
            sequence,
            wake_ns,
            totals: Totals { batches, launched, expired, shed },
        } = self;
        capacities(options).into_iter().for_each(&mut *save);
        let clocks = [digest(options), now.get(), *sequence, *wake_ns];
        for word in clocks.into_iter().chain([*batches, *launched, *expired, *shed]) {
            save(word);
        }
        for (bucket, curve) in options.buckets.iter().enumerate() {
            curve.save_state(save);
            arrivals[bucket].save_state(save);
            save(last_deadline_ns[bucket]);
            save_verdict(verdicts[bucket], save);
        }
        requests.save_state(save, Request::save_state);
        lines.save_state(save);
        flights.save_state(save);
    }

    /// Takes what was saved into a new batcher, and returns the digest of the options it was under.
    fn load_state(&mut self, words: &mut Words<'_>) -> Result<u64, Error> {
        let digest = words.next()?;
        self.now = Nanos(words.next()?);
        self.sequence = words.next_count("sequence")?;
        self.wake_ns = words.next()?;
        self.totals = Totals {
            batches: words.next_count("batches")?,
            launched: words.next_count("launched")?,
            expired: words.next_count("expired")?,
            shed: words.next_count("shed")?,
        };
        let size_max = self.options.batch_size_max;
        let buckets = self.options.buckets.len();
        for bucket in 0..buckets {
            self.options.buckets[bucket] = LatencyCurve::load_state(words)?;
            self.arrivals[bucket] = Arrivals::load_state(words)?;
            self.last_deadline_ns[bucket] = words.next()?;
            ensure(self.last_deadline_ns[bucket] <= MOMENT_MAX)?;
            self.verdicts[bucket] = load_verdict(size_max, words)?;
        }
        self.requests.load_state(words, Request::load_state)?;
        self.lines.load_state(size_max, words)?;
        self.flights.load_state(buckets, words)?;
        self.find_owners()?;
        self.find_launched()?;
        self.lines.find(&self.requests)?;
        Ok(digest)
    }

    /// Every request has an account, a class and a bucket that there is.
    fn find_owners(&mut self) -> Result<(), Error> {
        for (_, request) in self.requests.iter() {
            ensure(usize::from(request.class) < self.options.classes.len())?;
            ensure(usize::from(request.bucket) < self.options.buckets.len())?;
            ensure(request.sequence < self.sequence && request.arrival_ns <= self.now.get())?;
            self.lines.ledger.weight(request.account)?;
            self.account_requests[request.account.index() as usize] += 1;
        }
        Ok(())
    }

    /// Whoever is said to run is in one batch, and whoever is in a batch runs.
    fn find_launched(&self) -> Result<(), Error> {
        let mut found = vec![false; self.requests.capacity() as usize];
        let mut found_len = 0;
        for slot in self.flights.members() {
            ensure(self.requests.at(slot).is_some_and(Request::is_launched))?;
            ensure(!core::mem::replace(&mut found[slot as usize], true))?;
            found_len += 1;
        }
        let launched = self.requests.iter().filter(|(_, request)| request.is_launched());
        ensure(launched.count() == found_len)
    }
}

/// What must be the same for a state to fit.
fn capacities(options: &Options) -> [u64; 6] {
    [
        options.classes.len() as u64,
        options.buckets.len() as u64,
        options.batch_size_max.into(),
        options.requests_max.into(),
        options.instances.into(),
        options.accounts_max.into(),
    ]
}

fn save_verdict(verdict: Option<Verdict>, save: &mut dyn FnMut(u64)) {
    save(verdict.is_some().into());
    if let Some(Verdict { size, wait_s, why, launch_cost, wait_cost }) = verdict {
        save(pair(size, why as u32));
        for number in [wait_s, launch_cost, wait_cost] {
            save(number.to_bits());
        }
    }
}

/// Its seconds and prices may be any numbers: they are told, and not used again.
fn load_verdict(size_max: u32, words: &mut Words<'_>) -> Result<Option<Verdict>, Error> {
    if !words.next_flag("verdict")? {
        return Ok(None);
    }
    let (size, why) = words.next_pair()?;
    ensure(size <= size_max)?;
    Ok(Some(Verdict {
        size,
        why: *WHYS.get(why as usize).ok_or(CONTRADICTION)?,
        wait_s: f64::from_bits(words.next()?),
        launch_cost: f64::from_bits(words.next()?),
        wait_cost: f64::from_bits(words.next()?),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is saved as a number is found again under it.
    #[test]
    fn numbers_of_reasons_are_their_places() {
        assert!(WHYS.iter().zip(0..).all(|(why, place)| *why as u32 == place));
    }
}
