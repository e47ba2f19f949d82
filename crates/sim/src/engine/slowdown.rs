//! An engine that changes its speed: from one moment of a run on, every step takes longer.
//!
//! # What it is for
//! Clock throttling, a noisy neighbour or a new driver change step times while a policy runs. It
//! is told the engine's step model as before, and has to notice.
//!
//! # Formula
//! ```text
//! seconds = clock.seconds(step) * (factor if the step starts at or after `from`, else 1)
//! ```
//! A step that is under way at that moment keeps its duration.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use rampmeter::Nanos;

use super::{Engine, Step, StepClock};

/// Factors that make sense: a hundred times faster to a hundred times slower.
const FACTOR_MIN: f64 = 0.01;
const FACTOR_MAX: f64 = 100.0;

/// Latest moment accepted, in seconds: as long as the longest trace, a few years.
const FROM_MAX_S: f64 = 1e8;

/// By how much, and from when on: `FACTOR@SECONDS`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Slowdown {
    /// What step times are multiplied by, 0.01..=100.
    factor: f64,
    /// Simulated time of the first step that takes so much longer.
    from: Nanos,
}

impl Slowdown {
    /// The engine with a clock that changes its speed. What a policy is told stays as it was.
    #[must_use]
    pub fn apply(self, engine: &Engine) -> Engine {
        Engine {
            name: format!("{}, {self}", engine.name),
            clock: Arc::new(SlowedClock { clock: Arc::clone(&engine.clock), slowdown: self }),
            ..engine.clone()
        }
    }
}

impl fmt::Display for Slowdown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "steps x{} from {} s on", self.factor, self.from.as_seconds())
    }
}

impl FromStr for Slowdown {
    type Err = String;

    /// Reads `FACTOR@SECONDS`; the error is a sentence with the ranges.
    fn from_str(text: &str) -> Result<Self, String> {
        let number = |part: &str, min: f64, max: f64| {
            part.trim().parse().ok().filter(|value| (min..=max).contains(value))
        };
        let read = text.split_once('@').and_then(|(factor, from_s)| {
            let factor = number(factor, FACTOR_MIN, FACTOR_MAX)?;
            let from = Nanos::try_from_seconds(number(from_s, 0.0, FROM_MAX_S)?)?;
            Some(Self { factor, from })
        });
        read.ok_or_else(|| {
            format!(
                "must be FACTOR@SECONDS, a factor in {FACTOR_MIN}..={FACTOR_MAX} and seconds in \
                 0..={FROM_MAX_S}"
            )
        })
    }
}

/// A clock and its change.
struct SlowedClock {
    clock: Arc<dyn StepClock + Send + Sync>,
    slowdown: Slowdown,
}

impl StepClock for SlowedClock {
    /// As before the change.
    fn seconds(&self, step: &Step) -> f64 {
        self.clock.seconds(step)
    }

    fn seconds_at(&self, start: Nanos, step: &Step) -> f64 {
        let factor = if start >= self.slowdown.from { self.slowdown.factor } else { 1.0 };
        self.clock.seconds_at(start, step) * factor
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_factor_at_no_time_is_refused() {
        for good in ["1.5@60", "0.01@0", "100@1e8", " 2 @ 3 "] {
            assert!(good.parse::<Slowdown>().is_ok(), "{good}");
        }
        for bad in ["", "@", "1.5", "1.5@", "@60", "0@1", "101@1", "nan@1", "1@nan", "1@-1"] {
            let error = bad.parse::<Slowdown>().unwrap_err();
            assert!(error.contains("FACTOR@SECONDS") && error.contains("0.01..=100"), "{error}");
        }
        assert!("1@1e9".parse::<Slowdown>().is_err() && "1@1@1".parse::<Slowdown>().is_err());
    }

    #[test]
    fn two_changes_multiply_from_their_moments_on() {
        struct Constant;
        impl StepClock for Constant {
            fn seconds(&self, _step: &Step) -> f64 {
                3.0
            }
        }
        let slowed = |clock, text: &str| -> Arc<dyn StepClock + Send + Sync> {
            Arc::new(SlowedClock { clock, slowdown: text.parse().unwrap() })
        };
        let clock = slowed(slowed(Arc::new(Constant), "2@10"), "0.5@20");
        let at = |seconds| clock.seconds_at(Nanos::from_seconds(seconds), &Step::default());
        assert_eq!([at(0.0), at(9.9), at(10.0), at(19.9), at(20.0)], [3.0, 3.0, 6.0, 6.0, 3.0]);
        assert_eq!(clock.seconds(&Step::default()), 3.0);
    }
}
