//! What a reserve knows, for people to read and for its next process to go on with.
//!
//! # What it decides
//! Nothing: a reserve that was saved and restored answers as it would have answered.
//!
//! # Format
//! The envelope of every snapshot (head, length, checksum), and in it 15 words: GPUs, counts, rates,
//! moments, the time. What the policy says is not written: a reserve goes by the one that
//! it is restored with, as if by [`Reserve::apply`].
//!
//! # Bounds and cost
//! O(1), no allocation. Every word is checked before it is used: bytes from anywhere are answered
//! with an error or with a reserve that works.
//!
//! # What it is bad at
//! It is no journal: requests that came, started or ended after it was taken are unknown to it.

use super::{GPUS_MAX, GPUS_MIN, Reserve};
use crate::error::Error;
use crate::headroom::estimate::Moments;
use crate::policy::Policy;
use crate::snapshot::{self, CONTRADICTION, RESERVE, Words, ensure};
use crate::units::Nanos;

/// Least part of a memory that can have passed: a hundredth of a nanosecond of the longest.
const WEIGHT_MIN: f64 = 1e-17;

/// Least mean of GPUs of a request, with room for what rounding takes from [`GPUS_MIN`].
const MEAN_GPUS_MIN: f64 = 0.5 * GPUS_MIN;

/// Most requests at once, on average: those that can be counted, 2^62, waiting and running.
const REQUESTS_MAX: f64 = (1_u64 << 63) as f64;

/// Most GPUs or requests a second: as many as can be counted, of the most GPUs, in the shortest memory,
/// which is not below a second.
const RATE_MAX: f64 = REQUESTS_MAX * GPUS_MAX;

/// What a reserve knows.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "document", derive(serde::Serialize))]
pub struct ReserveStats {
    /// GPUs that there are.
    pub gpus: f64,
    /// Urgent requests that wait.
    pub waiting: u64,
    /// Urgent requests that run.
    pub running: u64,
    /// Urgent requests that come, a second.
    pub rate_per_s: f64,
    /// How long they run on average, in seconds; 0 before one has ended.
    pub run_s: f64,
    /// GPUs of one on average; 0 before one has come.
    pub request_gpus: f64,
    /// Mean of those that run and wait, by rate and run time.
    pub load: f64,
    /// Standard deviation of those that run and wait, as it is used.
    pub sigma: f64,
    /// GPUs that batch work releases, a second.
    pub released_per_s: f64,
}

impl Reserve {
    /// What it knows, as of the last call. O(1).
    #[must_use]
    pub fn stats(&self) -> ReserveStats {
        ReserveStats {
            gpus: self.gpus,
            waiting: self.waiting,
            running: self.running,
            rate_per_s: self.arrivals_per_s(),
            run_s: self.runs.mean(),
            request_gpus: self.request_gpus.mean(),
            load: self.load(),
            sigma: self.sigma(),
            released_per_s: self.per_s(self.releases),
        }
    }

    /// Bytes that [`Reserve::save`] needs.
    #[must_use]
    pub fn snapshot_bytes(&self) -> u64 {
        snapshot::bytes_needed(|save| self.save_state(save))
    }

    /// Writes the whole state to the front of `out` and returns its length in bytes. Allocates
    /// nothing and changes nothing. O(1).
    ///
    /// # Errors
    /// [`Error::BufferTooSmall`] on `snapshot`, and nothing is written.
    pub fn save(&self, out: &mut [u8]) -> Result<usize, Error> {
        snapshot::save(RESERVE, out, |save| self.save_state(save))
    }

    /// A reserve that goes on where the saved one was. Bytes after the snapshot are ignored.
    /// `policy` and `class` are those of the saved one, or changed ones, which are then taken as
    /// [`Reserve::apply`] would.
    ///
    /// # Errors
    /// As [`Reserve::apply`]. [`Error::Snapshot`] for bytes that are no snapshot of a reserve by
    /// this version of the library, were cut short or changed, or contradict themselves.
    pub fn restore(policy: &Policy, class: u32, bytes: &[u8]) -> Result<Self, Error> {
        let mut reserve = Self::new(Nanos::ZERO, policy, class, GPUS_MIN)?;
        snapshot::load(RESERVE, bytes, |take| {
            reserve.load_state(&mut Words::new(take)).map_err(|_| CONTRADICTION)
        })?;
        Ok(reserve)
    }

    fn save_state(&self, save: &mut dyn FnMut(u64)) {
        let Self {
            // The policy's.
            rules: _,
            class: _,
            delay_value: _,
            gpus,
            waiting,
            running,
            weight,
            mean,
            variance,
            arrivals,
            releases,
            request_gpus,
            runs,
            now,
        } = self;
        save(gpus.to_bits());
        save(*waiting);
        save(*running);
        for number in [weight, mean, variance, arrivals, releases] {
            save(number.to_bits());
        }
        request_gpus.save_state(save);
        runs.save_state(save);
        save(now.get());
    }

    fn load_state(&mut self, words: &mut Words<'_>) -> Result<(), Error> {
        self.gpus = words.next_real("gpus", GPUS_MIN, GPUS_MAX)?;
        self.waiting = words.next_count("waiting")?;
        self.running = words.next_count("running")?;
        self.weight = words.next_real("weight", 0.0, 1.0)?;
        self.mean = words.next_real("mean", 0.0, REQUESTS_MAX)?;
        self.variance = words.next_real("variance", 0.0, REQUESTS_MAX * REQUESTS_MAX)?;
        self.arrivals = words.next_real("arrivals", 0.0, RATE_MAX)?;
        self.releases = words.next_real("releases", 0.0, RATE_MAX)?;
        self.request_gpus = Moments::load_state(words)?;
        self.runs = Moments::load_state(words)?;
        self.now = Nanos(words.next()?);
        ensure(self.weight == 0.0 || self.weight >= WEIGHT_MIN)?;
        ensure(self.request_gpus.samples() == 0.0 || self.request_gpus.mean() >= MEAN_GPUS_MIN)?;
        // Who ended once came.
        ensure(self.runs.samples() == 0.0 || self.request_gpus.samples() > 0.0)
    }
}
