//! What a dynamic batcher is built from, and what it accepts.

use alloc::boxed::Box;

use crate::engine::LatencyCurve;
use crate::error::{Error, check_range, check_real};
use crate::policy::{ACCOUNTS_MAX, CLASSES_MAX, Class, RESERVED_RATIO_MAX};
use crate::units::Nanos;

/// Most shape buckets.
pub const BUCKETS_MAX: usize = 16;

/// Most instances: executors that run batches at the same time.
pub const INSTANCES_MAX: u32 = 64;

/// Largest `batch_size_max`: four times the largest that Triton's model analyser tries.
pub const SIZE_MAX: u32 = 4096;

/// Most preferred sizes.
pub const PREFERRED_MAX: usize = 16;

/// Most lanes of a ledger: classes times buckets.
const LANES_MAX: u64 = 64;

/// Longest span of any option: a day. Anything above is a wrong unit.
const SPAN_MAX: u64 = 86_400_000_000_000;

/// When to launch.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(u8)]
pub enum Rule {
    /// By the price of waiting and of launching; see the formula of [`super`].
    #[default]
    Priced,
    /// As Triton documents its dynamic batcher: the largest preferred size as soon as it is
    /// there, else whatever is there once the oldest has waited `queue_delay_max`. Without
    /// preferred sizes, `batch_size_max` is the only one; without a delay nothing is waited for.
    Fixed,
}

/// What happens to a request whose `expires_at` comes while it waits.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(u8)]
pub enum Expiry {
    /// It is taken out and reported in the plan.
    #[default]
    Reject,
    /// It goes behind all others of its class.
    Delay,
}

/// A kind of request. Earlier classes go first.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClassOptions {
    /// Deadline of a request that brings none, counted from its arrival.
    pub latency_target: Option<Nanos>,
    /// What one second of delay is worth; 0.0001 to 10,000.
    pub delay_value: f64,
    /// Share of all seats (0..=1) kept for this class while it waits.
    pub guaranteed_ratio: f64,
    /// Most requests of this class that may wait.
    pub queue_max: u32,
    /// Life of a request that brings no `expires_at`, counted from its arrival.
    pub timeout: Option<Nanos>,
    /// What happens when a request's life is over.
    pub expiry: Expiry,
}

impl Default for ClassOptions {
    /// No deadline, no time-out, no limit but `requests_max`; a delay worth 1.0 and a fiftieth of
    /// the seats.
    fn default() -> Self {
        Self {
            latency_target: None,
            delay_value: 1.0,
            // As the guarantee of class `batch` in the policy's presets.
            guaranteed_ratio: 0.02,
            queue_max: u32::MAX,
            timeout: None,
            expiry: Expiry::Reject,
        }
    }
}

impl From<&Class> for ClassOptions {
    /// `ttft_target` is the latency target: the first answer of such a model is its only one.
    fn from(class: &Class) -> Self {
        Self {
            latency_target: Some(class.ttft_target),
            delay_value: class.delay_value,
            guaranteed_ratio: class.guaranteed_ratio,
            ..Self::default()
        }
    }
}

/// What a [`super::DynamicBatcher`] is built from. [`Options::new`] fills in the defaults.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Largest batch, 1 to 4,096.
    pub batch_size_max: u32,
    /// Sizes that the model runs best, in growing order; at most [`PREFERRED_MAX`].
    pub preferred_sizes: Box<[u32]>,
    /// Longest that an idle instance is kept waiting on account of a request, from its arrival.
    /// `None`: the time of the largest batch under [`Rule::Priced`], no waiting at all under
    /// [`Rule::Fixed`].
    pub queue_delay_max: Option<Nanos>,
    /// Requests that may be known at once, running ones included; 1 to 2^20.
    pub requests_max: u32,
    /// Executors that run batches at the same time, 1 to 64.
    pub instances: u32,
    /// Accounts that may be open at once.
    pub accounts_max: u32,
    /// When to launch.
    pub rule: Rule,
    /// Requests of a bucket may ride in a batch of a later one (padded to its shape) where that
    /// takes less of an instance than a batch of their own.
    pub padding: bool,
    /// Requests whose predicted waiting time is above this are shed; `None`: never.
    pub wait_max: Option<Nanos>,
    /// What a missed deadline costs, in deadlines' worth of delay, 0 to 1,000.
    pub miss_ratio: f64,
    /// By how much waiting must be cheaper than launching to be done, 0 to 1: the prices are
    /// estimates, and their errors must not make an instance idle.
    pub wait_gain_ratio: f64,
    /// Share of the seats (0..=0.5) kept for requests that can no longer be in time.
    pub late_ratio: f64,
    /// How far past its fair turn an account may go, in time of instances, for an earlier deadline.
    pub urgency_credit: Nanos,
    /// In order of precedence; 1 to 16.
    pub classes: Box<[ClassOptions]>,
    /// One latency curve for each bucket, small shapes first; 1 to 16, times classes at most 64.
    pub buckets: Box<[LatencyCurve]>,
}

impl Options {
    /// One class without deadlines, one instance, one bucket with this curve.
    #[must_use]
    pub fn new(batch_size_max: u32, curve: LatencyCurve) -> Self {
        Self {
            batch_size_max,
            preferred_sizes: Box::default(),
            queue_delay_max: None,
            // 16,384 as in the policy document: seconds to minutes of queue on one server.
            requests_max: 16_384,
            instances: 1,
            accounts_max: 1,
            rule: Rule::Priced,
            padding: false,
            wait_max: None,
            // Attainment is what counts: a miss costs as much as four times its deadline of delay.
            miss_ratio: 4.0,
            // Between 0 and 1 attainment differs by a tenth of a point; see the page of the policy.
            wait_gain_ratio: 0.3,
            // As `batch.late_ratio` of the policy, for the same reason, but in whole seats.
            late_ratio: 0.01,
            // Some ten batches.
            urgency_credit: Nanos::from_millis(100),
            classes: Box::new([ClassOptions::default()]),
            buckets: Box::new([curve]),
        }
    }

    /// Checks every field; the first that is wrong is named.
    ///
    /// # Errors
    /// [`Error::Range`] or [`Error::RangeReal`], naming the field.
    pub fn validate(&self) -> Result<(), Error> {
        check_range("batch_size_max", self.batch_size_max.into(), 1, SIZE_MAX.into())?;
        let preferred = self.preferred_sizes.len() as u64;
        check_range("preferred_sizes", preferred, 0, PREFERRED_MAX as u64)?;
        let mut least = 1;
        for size in &self.preferred_sizes {
            check_range("preferred_size", (*size).into(), least, self.batch_size_max.into())?;
            least = u64::from(*size) + 1;
        }
        check_range("requests_max", self.requests_max.into(), 1, 1 << 20)?;
        check_range("instances", self.instances.into(), 1, INSTANCES_MAX.into())?;
        check_range("accounts_max", self.accounts_max.into(), 1, ACCOUNTS_MAX as u64)?;
        check_span("queue_delay_max_ns", self.queue_delay_max, 0)?;
        check_span("wait_max_ns", self.wait_max, 1)?;
        check_span("urgency_credit_ns", Some(self.urgency_credit), 0)?;
        check_real("miss_ratio", self.miss_ratio, 0.0, 1000.0)?;
        check_real("wait_gain_ratio", self.wait_gain_ratio, 0.0, 1.0)?;
        check_real("late_ratio", self.late_ratio, 0.0, 0.5)?;
        check_range("classes", self.classes.len() as u64, 1, CLASSES_MAX as u64)?;
        let buckets_max = (LANES_MAX / self.classes.len() as u64).min(BUCKETS_MAX as u64);
        check_range("buckets", self.buckets.len() as u64, 1, buckets_max)?;
        let mut reserved = self.late_ratio;
        for class in &self.classes {
            check_span("latency_target_ns", class.latency_target, 1)?;
            check_span("timeout_ns", class.timeout, 1)?;
            check_real("delay_value", class.delay_value, 1e-4, 1e4)?;
            check_real("guaranteed_ratio", class.guaranteed_ratio, 0.0, 1.0)?;
            check_range("queue_max", class.queue_max.into(), 1, u32::MAX.into())?;
            reserved += class.guaranteed_ratio;
        }
        check_real("guaranteed_ratio", reserved, 0.0, RESERVED_RATIO_MAX).map(drop)
    }
}

fn check_span(field: &'static str, span: Option<Nanos>, least: u64) -> Result<(), Error> {
    span.map_or(Ok(()), |span| check_range(field, span.get(), least, SPAN_MAX).map(drop))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_wrong_field_is_named() {
        let good = Options::new(8, LatencyCurve::linear(5e-3, 1e-3).unwrap());
        assert_eq!(good.validate(), Ok(()));
        let field = |change: &dyn Fn(&mut Options)| {
            let mut options = good.clone();
            change(&mut options);
            options.validate().unwrap_err().field()
        };
        assert_eq!(field(&|o| o.batch_size_max = 0), "batch_size_max");
        assert_eq!(field(&|o| o.preferred_sizes = Box::new([4, 4])), "preferred_size");
        assert_eq!(field(&|o| o.preferred_sizes = Box::new([9])), "preferred_size");
        assert_eq!(field(&|o| o.instances = 65), "instances");
        assert_eq!(field(&|o| o.late_ratio = f64::NAN), "late_ratio");
        assert_eq!(field(&|o| o.wait_max = Some(Nanos::ZERO)), "wait_max_ns");
        assert_eq!(field(&|o| o.classes = Box::default()), "classes");
        assert_eq!(field(&|o| o.buckets = Box::default()), "buckets");
        assert_eq!(field(&|o| o.classes[0].guaranteed_ratio = 0.99), "guaranteed_ratio");
        assert_eq!(field(&|o| o.classes[0].delay_value = -1.0), "delay_value");
        let many = |o: &mut Options| {
            o.classes = (0..16).map(|_| ClassOptions::default()).collect();
            o.buckets = (0..5).map(|_| o.buckets[0].clone()).collect();
        };
        assert_eq!(field(&many), "buckets");
    }
}
