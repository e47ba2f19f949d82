//! How fast does a queue drain?
//!
//! # Formula
//! ```text
//! pace = tokens let in / seconds with something waiting, both faded by e^(-seconds / 30)
//! ```
//! Only time with something waiting counts: a queue that is empty does not drain slowly, it does
//! not drain. Faded sums on both sides need no warming up, as a faded mean would.
//!
//! # Bounds and cost
//! Three numbers a queue; one exponential for each request that leaves it.

use super::form::seconds_between;
use crate::error::Error;
use crate::snapshot::Words;
use crate::units::Nanos;

/// Seconds of waiting after which what was measured counts a third. Long beside the steps that one
/// long prompt takes (seconds), short beside the changes of load within a day (minutes).
const MEMORY_S: f64 = 30.0;

/// Seconds of waiting below which nothing is known yet: a few steps, of which any could be odd.
const MEASURED_MIN_S: f64 = 0.1;

/// What was let in from one queue, and over how much waiting.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    tokens: f64,
    seconds: f64,
    /// Up to when waiting has been counted.
    counted_ns: u64,
}

impl Pace {
    pub(super) const NEW: Self = Self { tokens: 0.0, seconds: 0.0, counted_ns: 0 };

    /// Something waits again, after nothing did.
    pub(super) const fn begin(&mut self, now: Nanos) {
        self.counted_ns = now.get();
    }

    /// Something waited until now.
    pub(super) fn count(&mut self, now: Nanos) {
        if now.get() <= self.counted_ns {
            return;
        }
        let waited_s = seconds_between(self.counted_ns, now.get());
        let kept = libm::exp(-waited_s / MEMORY_S);
        self.tokens *= kept;
        self.seconds = self.seconds * kept + MEMORY_S * (1.0 - kept);
        self.counted_ns = now.get();
    }

    /// So many tokens were let in.
    pub(super) fn let_in(&mut self, tokens: u32) {
        self.tokens += f64::from(tokens);
    }

    /// Tokens a second, if anything was let in over enough waiting to say; `waiting` is whether
    /// something has waited since the last count.
    pub(super) fn per_second(mut self, now: Nanos, waiting: bool) -> Option<f64> {
        if waiting {
            self.count(now);
        }
        let known = self.seconds >= MEASURED_MIN_S && self.tokens > 0.0;
        known.then(|| self.tokens / self.seconds)
    }
}

impl Pace {
    pub(super) fn save_state(&self, save: &mut dyn FnMut(u64)) {
        let Self { tokens, seconds, counted_ns } = self;
        save(tokens.to_bits());
        save(seconds.to_bits());
        save(*counted_ns);
    }

    pub(super) fn load_state(words: &mut Words<'_>) -> Result<Self, Error> {
        Ok(Self {
            tokens: words.next_amount("pace.tokens")?,
            seconds: words.next_amount("pace.seconds")?,
            counted_ns: words.next()?,
        })
    }
}
