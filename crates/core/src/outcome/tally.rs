//! What the users of one class, or of one account, felt: counts and distributions.
//!
//! # What it decides
//! Nothing: it adds up what [`Ended::judge`] made of each request.
//!
//! # Bounds and cost
//! O(1) an entry, and no allocation; 108 KB a tally with histograms, about 100 bytes without.
//! Counters saturate, so that merging is associative.
//!
//! [`Ended::judge`]: super::Ended::judge

use alloc::boxed::Box;

use super::ended::{PRESENT_ALL, Sample, VERDICTS};
use super::histogram::Histogram;
use super::measures::{apdex, per_second, ratio};
use crate::error::Error;
use crate::snapshot::Words;
use crate::units::Nanos;

/// How many requests ended how.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counts {
    /// All requests.
    pub offered: u64,
    /// Served to the end.
    pub completed: u64,
    /// Turned away.
    pub refused: u64,
    /// Given up by the service.
    pub failed: u64,
    /// Given up by the user.
    pub cancelled: u64,
    /// Of those, given up after a target had been missed.
    pub cancelled_late: u64,
    /// Not at their end when the observation ended.
    pub unfinished: u64,
    /// Completed within both targets.
    pub attained: u64,
    /// First token within the TTFT target (Apdex).
    pub satisfied: u64,
    /// First token within four times the TTFT target (Apdex).
    pub tolerating: u64,
    /// Output tokens produced, however the request ended.
    pub output_tokens: u64,
}

impl Counts {
    /// Requests that are judged: all but those that their users cancelled.
    #[must_use]
    pub const fn judged(&self) -> u64 {
        self.offered.saturating_sub(self.cancelled)
    }

    /// Share of judged requests that met both targets; `None` when there was none.
    #[must_use]
    pub fn attainment(&self) -> Option<f64> {
        ratio(self.attained, self.judged())
    }

    /// Apdex of TTFT at its target; `None` when no request was judged.
    #[must_use]
    pub fn apdex(&self) -> Option<f64> {
        apdex(self.satisfied, self.tolerating, self.judged())
    }

    /// Requests a second of `span` that met both targets.
    #[must_use]
    pub fn goodput_per_s(&self, span: Nanos) -> f64 {
        per_second(self.attained, span)
    }
}

/// Distributions of what was felt.
#[derive(Debug, Default, Eq, PartialEq)]
pub struct Histograms {
    /// Wait before the first work was scheduled, in nanoseconds.
    pub queue_wait: Histogram,
    /// Time to first token, in nanoseconds.
    pub ttft: Histogram,
    /// Time per output token after the first, in nanoseconds.
    pub tpot: Histogram,
    /// From arrival to last token (job completion time), in nanoseconds.
    pub end_to_end: Histogram,
    /// Bounded slowdown, in millionths: 1,500,000 is a slowdown of 1.5.
    pub slowdown: Histogram,
}

impl Histograms {
    /// Bytes that they take from the heap, themselves included.
    pub const BYTES_NEEDED: u64 = size_of::<Self>() as u64 + 5 * Histogram::BYTES_NEEDED;

    fn add(&mut self, sample: &Sample) {
        let [queue_wait, ttft, tpot, end_to_end, slowdown] = sample.values;
        if sample.present == PRESENT_ALL {
            self.queue_wait.record(queue_wait);
            self.ttft.record(ttft);
            self.tpot.record(tpot);
            self.end_to_end.record(end_to_end);
            self.slowdown.record(slowdown);
        } else {
            self.add_some(sample);
        }
    }

    #[cold]
    fn add_some(&mut self, sample: &Sample) {
        let values = sample.values;
        for (index, (histogram, value)) in self.all_mut().into_iter().zip(values).enumerate() {
            if sample.present & 1 << index != 0 {
                histogram.record(value);
            }
        }
    }

    fn merge(&mut self, other: &Self) {
        self.queue_wait.merge(&other.queue_wait);
        self.ttft.merge(&other.ttft);
        self.tpot.merge(&other.tpot);
        self.end_to_end.merge(&other.end_to_end);
        self.slowdown.merge(&other.slowdown);
    }

    fn reset(&mut self) {
        self.all_mut().into_iter().for_each(Histogram::reset);
    }

    fn all(&self) -> [&Histogram; 5] {
        [&self.queue_wait, &self.ttft, &self.tpot, &self.end_to_end, &self.slowdown]
    }

    fn all_mut(&mut self) -> [&mut Histogram; 5] {
        [
            &mut self.queue_wait,
            &mut self.ttft,
            &mut self.tpot,
            &mut self.end_to_end,
            &mut self.slowdown,
        ]
    }
}

/// Everything that one group of users felt.
#[derive(Debug, Default, Eq, PartialEq)]
pub struct Tally {
    verdicts: [u64; VERDICTS],
    output_tokens: u64,
    histograms: Option<Box<Histograms>>,
}

impl Tally {
    /// An empty tally; without histograms it only counts.
    #[must_use]
    pub fn new(histograms: bool) -> Self {
        Self { histograms: histograms.then(Box::default), ..Self::default() }
    }

    /// Enters what one user felt.
    #[inline]
    pub fn add(&mut self, sample: &Sample) {
        if let Some(counter) = self.verdicts.get_mut(sample.verdict.index()) {
            *counter = counter.saturating_add(1);
        }
        self.output_tokens = self.output_tokens.saturating_add(u64::from(sample.output_tokens));
        if let Some(histograms) = &mut self.histograms {
            histograms.add(sample);
        }
    }

    /// How many requests ended how.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let [attained, prompt, slow, late, refused, failed, left, left_late, fine, fair, poor] =
            self.verdicts;
        let sum = |parts: &[u64]| parts.iter().fold(0, |sum: u64, part| sum.saturating_add(*part));
        Counts {
            offered: sum(&self.verdicts),
            completed: sum(&[attained, prompt, slow, late]),
            refused,
            failed,
            cancelled: sum(&[left, left_late]),
            cancelled_late: left_late,
            unfinished: sum(&[fine, fair, poor]),
            attained,
            satisfied: sum(&[attained, prompt, fine]),
            tolerating: sum(&[slow, fair]),
            output_tokens: self.output_tokens,
        }
    }

    /// Distributions; `None` in a tally that only counts.
    #[must_use]
    pub fn histograms(&self) -> Option<&Histograms> {
        self.histograms.as_deref()
    }

    /// Adds all that `other` holds, as if it had been entered here.
    ///
    /// # Errors
    /// [`Error::Contradiction`] when one has histograms and the other only counts.
    pub fn merge(&mut self, other: &Self) -> Result<(), Error> {
        let has = |tally: &Self| u64::from(tally.histograms.is_some());
        super::check_same("merged histograms", has(other), "histograms", has(self))?;
        for (mine, theirs) in self.verdicts.iter_mut().zip(other.verdicts) {
            *mine = mine.saturating_add(theirs);
        }
        self.output_tokens = self.output_tokens.saturating_add(other.output_tokens);
        if let (Some(mine), Some(theirs)) = (&mut self.histograms, &other.histograms) {
            mine.merge(theirs);
        }
        Ok(())
    }

    pub(super) fn save_state(&self, save: &mut dyn FnMut(u64)) {
        self.verdicts.iter().for_each(|count| save(*count));
        save(self.output_tokens);
        let histograms = self.histograms.iter().flat_map(|histograms| histograms.all());
        histograms.for_each(|histogram| histogram.save_state(save));
    }

    /// Reads it into a tally that is new, with or without histograms as the saved one was.
    pub(super) fn load_state(&mut self, words: &mut Words<'_>) -> Result<(), Error> {
        for count in &mut self.verdicts {
            *count = words.next()?;
        }
        self.output_tokens = words.next()?;
        if let Some(histograms) = &mut self.histograms {
            for histogram in histograms.all_mut() {
                histogram.load_state(words)?;
            }
        }
        Ok(())
    }

    /// Forgets everything, keeps the memory.
    pub fn reset(&mut self) {
        (self.verdicts, self.output_tokens) = ([0; VERDICTS], 0);
        if let Some(histograms) = &mut self.histograms {
            histograms.reset();
        }
    }
}
