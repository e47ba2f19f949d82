//! What do requests of a class take?
//!
//! # What it decides
//! Nothing. It keeps the last service times as they were, in the order in which requests ended,
//! and hands them out one by one: as many are asked for as come in, so that each is used once.
//! Where more come in than end, the last ones are used again in turn.
//!
//! # Bounds and cost
//! O(1), no allocation, 2 KiB a class.
//!
//! # What it is bad at
//! In the first seconds short requests end first, and all looks faster than it is.

use super::Moments;
use crate::error::Error;
use crate::snapshot::{Words, ensure};

/// Samples kept: more than run at once on most pools, so that hardly any is lost between.
const SAMPLES: usize = 256;

/// Ended requests of one class.
#[derive(Clone, Debug)]
pub struct Service {
    samples: [f64; SAMPLES],
    ended: u64,
    drawn: u64,
    again: u64,
    moments: Moments,
}

impl Default for Service {
    fn default() -> Self {
        Self { samples: [0.0; SAMPLES], ended: 0, drawn: 0, again: 0, moments: Moments::default() }
    }
}

impl Service {
    /// One ended that took so many seconds of a full server.
    pub fn note(&mut self, work_s: f64, memory: f64) {
        self.samples[self.ended as usize % SAMPLES] = work_s;
        self.ended += 1;
        self.drawn = self.drawn.max(self.ended.saturating_sub(SAMPLES as u64));
        self.moments.note(work_s, memory);
    }

    /// The service time of the next that comes; `None` before one ended.
    pub fn draw(&mut self) -> Option<f64> {
        let index = if self.drawn < self.ended {
            self.drawn += 1;
            self.drawn - 1
        } else {
            let kept = self.ended.min(SAMPLES as u64);
            if kept == 0 {
                return None;
            }
            self.again += 1;
            self.ended - 1 - self.again % kept
        };
        Some(self.samples[index as usize % SAMPLES])
    }

    /// Requests that ended so far.
    #[must_use]
    pub const fn ended(&self) -> u64 {
        self.ended
    }

    /// Mean and variance of what they took.
    #[must_use]
    pub const fn moments(&self) -> &Moments {
        &self.moments
    }

    pub(in crate::headroom) fn save_state(&self, save: &mut dyn FnMut(u64)) {
        let Self { samples, ended, drawn, again, moments } = self;
        for sample in samples {
            save(sample.to_bits());
        }
        [*ended, *drawn, *again].into_iter().for_each(&mut *save);
        moments.save_state(save);
    }

    pub(in crate::headroom) fn load_state(&mut self, words: &mut Words<'_>) -> Result<(), Error> {
        for sample in &mut self.samples {
            *sample = words.next_real("sample_s", 0.0, crate::headroom::SPAN_MAX_S)?;
        }
        self.ended = words.next_count("ended")?;
        self.drawn = words.next_count("drawn")?;
        self.again = words.next_count("again")?;
        self.moments = Moments::load_state(words)?;
        let oldest = self.ended.saturating_sub(SAMPLES as u64);
        ensure((oldest..=self.ended).contains(&self.drawn))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_used_once_and_the_last_again() {
        let mut service = Service::default();
        assert_eq!(service.draw(), None);
        (1..=3).for_each(|s| service.note(f64::from(s), 10.0));
        let drawn = [(); 3].map(|()| service.draw());
        assert_eq!(drawn, [Some(1.0), Some(2.0), Some(3.0)]);
        let mut again = [(); 3].map(|()| service.draw().unwrap());
        again.sort_by(f64::total_cmp);
        assert_eq!(again, [1.0, 2.0, 3.0]);
        (0..1_000).for_each(|s| service.note(f64::from(s), 10.0));
        assert_eq!(service.draw(), Some(744.0), "the oldest that is kept");
    }
}
