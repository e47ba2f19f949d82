//! What is a GPU worth while others wait for it?
//!
//! # What it decides
//! The *shadow price* `pi`: seconds of waiting, times what they are worth, that one GPU-second
//! less would cost. Prices of placement that hold GPUs back are multiplied by it.
//!
//! # Formula
//! ```text
//! pi    = (Vq / C_eff) / max(1 - rho, 0.05)          [value-seconds per GPU-second]
//! Vq    = mean over 30 min of the sum of delay_value over waiting requests
//! rho   = mean over 4 h of GPU-seconds of work offered a second, over C_eff
//! C_eff = 0.97 * GPUs
//! ```
//! Both means are exponential in time; before so long has passed they are means over what has. By
//! Little's law the waiting add up to `lambda * W`; in heavy traffic that grows as `1 / (1 - rho)`,
//! so that its elasticity in capacity is the quotient. Observed, not assumed: nobody waits, and
//! the price is 0; beyond saturation it stays finite by the cap of 20.
//!
//! # Bounds and cost
//! O(1), an exponential a call, 80 bytes, no allocation.
//!
//! # What it is bad at
//! It follows a sudden queue within minutes, not at once. Its scale is known to a factor of some:
//! ten times as much costs 2 s of mean delay in the experiment that it comes from.
//!
//! # Source
//! Little, "A proof for the queuing formula L = lambda W" (1961). Constants: an experiment with
//! 588 GPUs at seven loads, see `docs/policies/headroom.md`.

use crate::error::{Error, check_real};
use crate::snapshot::{Words, ensure};
use crate::units::Nanos;

/// Time over which what waits is smoothed, in seconds: half an hour.
const QUEUE_S: f64 = 1_800.0;

/// Time over which offered work is smoothed, in seconds: four hours.
const LOAD_S: f64 = 14_400.0;

/// Part of all GPUs that work can be found for: the rest is between jobs.
pub(super) const EFFECTIVE: f64 = 0.97;

/// Least distance from saturation.
const SLACK_MIN: f64 = 0.05;

/// Most GPUs, value, or GPU-seconds in one call; beyond is a wrong unit.
pub(super) const AMOUNT_MAX: f64 = 1e12;

/// The price of a GPU-second, from what waits and what is offered.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ShadowPrice {
    gpus: f64,
    waiting_value: f64,
    queue_mean: f64,
    work_rate: f64,
    began: Nanos,
    now: Nanos,
}

impl ShadowPrice {
    /// Of so many GPUs, 0 to 10^12, from `now` on.
    ///
    /// # Errors
    /// [`Error::RangeReal`] on `gpus`.
    pub fn new(now: Nanos, gpus: f64) -> Result<Self, Error> {
        check_real("gpus", gpus, 0.0, AMOUNT_MAX)?;
        let (waiting_value, queue_mean, work_rate) = (0.0, 0.0, 0.0);
        Ok(Self { gpus, waiting_value, queue_mean, work_rate, began: now, now })
    }

    /// From now on there are so many GPUs.
    ///
    /// # Errors
    /// [`Error::TimeReversed`]; [`Error::RangeReal`] on `gpus`.
    pub fn capacity(&mut self, now: Nanos, gpus: f64) -> Result<(), Error> {
        self.check_time(now)?;
        check_real("gpus", gpus, 0.0, AMOUNT_MAX)?;
        self.advance(now);
        self.gpus = gpus;
        Ok(())
    }

    /// From now on requests wait whose `delay_value` adds up to `value`.
    ///
    /// # Errors
    /// [`Error::TimeReversed`]; [`Error::RangeReal`] on `waiting_value`.
    pub fn waiting(&mut self, now: Nanos, value: f64) -> Result<(), Error> {
        self.check_time(now)?;
        check_real("waiting_value", value, 0.0, AMOUNT_MAX)?;
        self.advance(now);
        self.waiting_value = value;
        Ok(())
    }

    /// Work of so many GPU-seconds came in.
    ///
    /// # Errors
    /// [`Error::TimeReversed`]; [`Error::RangeReal`] on `gpu_seconds`.
    pub fn offered(&mut self, now: Nanos, gpu_seconds: f64) -> Result<(), Error> {
        self.check_time(now)?;
        check_real("gpu_seconds", gpu_seconds, 0.0, AMOUNT_MAX)?;
        self.advance(now);
        self.work_rate += gpu_seconds / LOAD_S;
        Ok(())
    }

    /// The price at `now`, in value-seconds a GPU-second. 0 without GPUs: none can be lost.
    ///
    /// # Errors
    /// [`Error::TimeReversed`].
    pub fn price(&self, now: Nanos) -> Result<f64, Error> {
        self.check_time(now)?;
        let mut then = *self;
        then.advance(now);
        let effective = EFFECTIVE * self.gpus;
        if effective <= 0.0 {
            return Ok(0.0);
        }
        let seconds = now.saturating_sub(self.began).as_seconds();
        let queue = then.queue_mean / so_far(seconds, QUEUE_S).max(f64::MIN_POSITIVE);
        Ok(queue / effective / (1.0 - then.rho()).max(SLACK_MIN))
    }

    /// Offered work over what all GPUs can do, as of the last call.
    #[must_use]
    pub fn rho(&self) -> f64 {
        let seconds = self.now.saturating_sub(self.began).as_seconds();
        let part = so_far(seconds, LOAD_S);
        let effective = EFFECTIVE * self.gpus;
        if part > 0.0 && effective > 0.0 { self.work_rate / part / effective } else { 0.0 }
    }

    fn check_time(&self, now: Nanos) -> Result<(), Error> {
        if now < self.now {
            return Err(Error::TimeReversed { now_ns: now.get(), last_ns: self.now.get() });
        }
        Ok(())
    }

    fn advance(&mut self, now: Nanos) {
        let seconds = now.saturating_sub(self.now).as_seconds();
        self.queue_mean += (self.waiting_value - self.queue_mean) * so_far(seconds, QUEUE_S);
        self.work_rate *= 1.0 - so_far(seconds, LOAD_S);
        self.now = now;
    }

    pub(super) fn save_state(&self, save: &mut dyn FnMut(u64)) {
        let Self { gpus, waiting_value, queue_mean, work_rate, began, now } = self;
        for number in [gpus, waiting_value, queue_mean, work_rate] {
            save(number.to_bits());
        }
        save(began.get());
        save(now.get());
    }

    /// Of a desk whose last call was at `latest`.
    pub(super) fn load_state(words: &mut Words<'_>, latest: Nanos) -> Result<Self, Error> {
        let price = Self {
            gpus: words.next_real("gpus", 0.0, AMOUNT_MAX)?,
            waiting_value: words.next_real("waiting_value", 0.0, AMOUNT_MAX)?,
            queue_mean: words.next_real("queue_mean", 0.0, AMOUNT_MAX)?,
            work_rate: words.next_amount("work_rate")?,
            began: Nanos(words.next()?),
            now: Nanos(words.next()?),
        };
        ensure(price.began <= price.now && price.now <= latest)?;
        Ok(price)
    }
}

/// Part of an exponential mean that the last `seconds` make up.
fn so_far(seconds: f64, mean_s: f64) -> f64 {
    -libm::expm1(-seconds / mean_s)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(seconds: f64) -> Nanos {
        Nanos::from_seconds(seconds)
    }

    /// A steady queue of ten, half of the capacity offered: the formula by hand, at any time.
    #[test]
    fn a_steady_state_has_the_price_of_the_formula() {
        let mut price = ShadowPrice::new(at(0.0), 100.0).unwrap();
        price.waiting(at(0.0), 10.0).unwrap();
        for minute in 1..2_000 {
            price.offered(at(60.0 * f64::from(minute)), 60.0 * 48.5).unwrap();
            if minute > 600 {
                let got = price.price(at(60.0 * f64::from(minute))).unwrap();
                assert!((got / (10.0 / 97.0 / 0.5) - 1.0).abs() < 0.01, "{minute}: {got}");
            }
        }
        assert!((price.rho() - 0.5).abs() < 0.005);
    }

    #[test]
    fn nothing_waits_at_no_price_and_saturation_is_finite() {
        let mut price = ShadowPrice::new(at(5.0), 8.0).unwrap();
        price.offered(at(5.0), 1e9).unwrap();
        assert_eq!(price.price(at(6.0)), Ok(0.0));
        assert_eq!(price.price(at(5.0)), Ok(0.0));
        price.waiting(at(10.0), 4.0).unwrap();
        let high = price.price(at(100_000.0)).unwrap();
        assert!(high.is_finite() && high > 0.0);
        assert!(high <= 4.0 / (0.97 * 8.0) * 20.0 * 1.000_001, "{high}");
        // It empties again: the price falls with the half hour.
        price.waiting(at(100_000.0), 0.0).unwrap();
        let later = price.price(at(100_000.0 + 1_800.0 * 10.0)).unwrap();
        assert!(later < high * 1e-3, "{later}");
        assert_eq!(ShadowPrice::new(at(0.0), 0.0).unwrap().price(at(9.0)), Ok(0.0));
    }

    #[test]
    fn wrong_calls_change_nothing() {
        let mut price = ShadowPrice::new(at(5.0), 8.0).unwrap();
        let before = price;
        assert_eq!(price.waiting(at(4.0), 1.0).unwrap_err().field(), "now_ns");
        assert_eq!(price.waiting(at(6.0), f64::NAN).unwrap_err().field(), "waiting_value");
        assert_eq!(price.offered(at(6.0), -1.0).unwrap_err().field(), "gpu_seconds");
        assert_eq!(price.capacity(at(6.0), f64::INFINITY).unwrap_err().field(), "gpus");
        assert_eq!(price, before);
    }

    proptest! {
        /// It is never negative, never infinite, and linear in what waits.
        #[test]
        fn prices_are_finite(calls in prop::collection::vec((0u8..3, 0.0f64..1e5, 0.0f64..1e9), 1..30)) {
            let mut single = ShadowPrice::new(at(0.0), 64.0).unwrap();
            let mut double = single;
            let mut now = 0.0;
            for (kind, later, amount) in calls {
                now += later;
                if kind == 0 {
                    single.waiting(at(now), amount).unwrap();
                    double.waiting(at(now), 2.0 * amount).unwrap();
                } else {
                    single.offered(at(now), amount).unwrap();
                    double.offered(at(now), amount).unwrap();
                }
                let (one, two) = (single.price(at(now)).unwrap(), double.price(at(now)).unwrap());
                prop_assert!(one.is_finite() && one >= 0.0);
                prop_assert!((two - 2.0 * one).abs() <= 1e-9 * two);
            }
        }
    }
}
