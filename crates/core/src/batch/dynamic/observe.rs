//! What really happened to a batch, and what it teaches.

use super::DynamicBatcher;
use super::plan::{Ending, Observation, Observed};
use super::request::{NEVER, Stage};
use crate::error::{Error, check_real};
use crate::units::Nanos;

impl DynamicBatcher {
    /// A batch ended, in whatever order: its instance is idle, its requests are forgotten, and its
    /// duration teaches the curve of its bucket. O(batch + 64).
    ///
    /// # Errors
    /// [`Error::TimeReversed`]; [`Error::Stale`] on `batch` if it does not run;
    /// [`Error::RangeReal`] on `batch_seconds` for a completed batch that is said to have taken no
    /// time, or more than an hour.
    pub fn observe(&mut self, now: Nanos, seen: &Observation) -> Result<Observed, Error> {
        self.check_time(now)?;
        let flight = self.flights.get(seen.batch)?;
        let since_launch = Nanos(now.get().saturating_sub(flight.launched_ns));
        let seconds = seen.duration.unwrap_or(since_launch).as_seconds();
        if seen.ending == Ending::Completed {
            check_real("batch_seconds", seconds, 1e-9, 3600.0)?;
            let (bucket, len) = (usize::from(flight.bucket), flight.len);
            self.options.buckets[bucket].observe(len, seconds)?;
        }
        let flight = self.flights.land(seen.batch)?;
        self.now = now;
        self.wake_ns = now.get();
        let mut observed = Observed::default();
        for place in 0..flight.len {
            let slot = self.flights.member(seen.batch.index(), place);
            let request = self.request(slot);
            let (deadline_ns, stage) = (request.deadline_ns, request.stage);
            self.forget(slot);
            if stage == Stage::Cancelled {
                continue;
            }
            observed.finished += 1;
            if deadline_ns != NEVER {
                let in_time = now.get() <= deadline_ns && seen.ending == Ending::Completed;
                *(if in_time { &mut observed.in_time } else { &mut observed.missed }) += 1;
            }
        }
        Ok(observed)
    }
}
