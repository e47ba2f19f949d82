//! What a desk is built from, and what it accepts.

use alloc::boxed::Box;

use super::estimate::servers::Replica;
use crate::error::{Error, check_range, check_real};
use crate::policy::CLASSES_MAX;
use crate::units::Nanos;

/// Most replicas of one pool.
pub const REPLICAS_MAX: u32 = 65_536;

/// Most seats of one pool: its rehearsal takes 192 bytes for each.
const SEATS_MAX: u64 = 1 << 18;

/// Longest memory, in requests.
pub(super) const MEMORY_MAX: f64 = 1e7;

/// Longest target, in nanoseconds: a day, as for classes of a policy.
const TARGET_MAX: u64 = 86_400_000_000_000;

/// A class that waits for the pool.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClassOptions {
    /// Longest wait that is in time, 1 ns to a day.
    pub target: Nanos,
    /// Share of requests that may wait longer, 0.0001 to 0.5.
    pub late_ratio_max: f64,
    /// What one second of delay is worth, 0.0001 to 10,000; 1.0 = a second of an interactive user.
    pub delay_value: f64,
}

impl Default for ClassOptions {
    /// Two seconds, after which somebody at a screen starts to doubt; one request in twenty may
    /// take longer (the 95th percentile, as targets are usually written); value 1.
    fn default() -> Self {
        Self { target: Nanos(2_000_000_000), late_ratio_max: 0.05, delay_value: 1.0 }
    }
}

/// What a [`super::Headroom`] is built from.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// 1 to 16 classes.
    pub classes: Box<[ClassOptions]>,
    /// What one replica can serve.
    pub replica: Replica,
    /// Replicas at the beginning, 0 to `replicas_max`.
    pub replicas: u32,
    /// Most replicas that there may be, 1 to 65,536; 2^18 seats in all.
    pub replicas_max: u32,
    /// GPUs of one replica, 0.001 to 10,000.
    pub gpus_per_replica: f64,
    /// Requests after which one counts `1/e` of what it did, 1,000 to 10,000,000. 100,000 know a
    /// knee to about 1% under Poisson traffic and 3% under strong bursts.
    pub memory_requests: u32,
}

impl Options {
    /// These classes on so many replicas, of which there will never be more; one GPU each.
    pub fn new(classes: impl Into<Box<[ClassOptions]>>, replica: Replica, replicas: u32) -> Self {
        Self {
            classes: classes.into(),
            replica,
            replicas,
            replicas_max: replicas.max(1),
            gpus_per_replica: 1.0,
            memory_requests: 100_000,
        }
    }

    /// `Ok` if every option is in range.
    ///
    /// # Errors
    /// [`Error::Range`] or [`Error::RangeReal`] naming the option.
    pub fn validate(&self) -> Result<(), Error> {
        check_range("classes", self.classes.len() as u64, 1, CLASSES_MAX as u64)?;
        for ClassOptions { target, late_ratio_max, delay_value } in &self.classes {
            check_range("target_ns", target.get(), 1, TARGET_MAX)?;
            check_real("late_ratio_max", *late_ratio_max, 0.0001, 0.5)?;
            check_real("delay_value", *delay_value, 0.0001, 10_000.0)?;
        }
        self.replica.check()?;
        let seats = u64::from(self.replica.seats);
        let most = u64::from(REPLICAS_MAX).min(SEATS_MAX / seats);
        check_range("replicas_max", self.replicas_max.into(), 1, most)?;
        check_range("replicas", self.replicas.into(), 0, self.replicas_max.into())?;
        check_real("gpus_per_replica", self.gpus_per_replica, 0.001, 10_000.0)?;
        check_range("memory_requests", self.memory_requests.into(), 1_000, MEMORY_MAX as u64)?;
        Ok(())
    }

    pub(super) fn memory(&self) -> f64 {
        f64::from(self.memory_requests)
    }

    /// What is left of a sample when the next one comes.
    pub(super) fn keep(&self) -> f64 {
        1.0 - self.memory().recip()
    }

    /// Most seats that there may be; saturating, for options that are not valid.
    pub(super) const fn seats_max(&self) -> u32 {
        self.replicas_max.saturating_mul(self.replica.seats)
    }
}
