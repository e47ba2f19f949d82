//! What the users of one class, or of one account, felt: counts and distributions.
//!
//! # What it decides
//! What each ended request counts as, by [`Status`]:
//!
//! | status | attainment | Apdex of TTFT | samples |
//! |---|---|---|---|
//! | completed | met if TTFT and TPOT are within target | by its TTFT | all |
//! | refused, failed | a miss | frustrated | queue wait and TTFT if they had happened |
//! | cancelled by the user | not judged | not judged | queue wait and TTFT if they had happened |
//! | unfinished | a miss | by its TTFT, frustrated without one | all, with what it felt so far |
//!
//! *Cancelled* is judged neither way: the user changed their mind, and nobody knows whether the
//! service would have kept its promise. But users also leave because it did not. So those who
//! left after a target had been missed already are counted apart (`cancelled_late`): when that
//! number grows, attainment flatters.
//!
//! *Unfinished* is for whoever stops observing while requests are still under way. Leaving them
//! out would make a jam look better the longer its queue is; their times so far are lower bounds.
//!
//! A refused request has no TTFT. Entering the moment of refusal as one would reward refusing.
//!
//! # Formula
//! ```text
//! queue wait = first_scheduled - arrival      ttft     = first_token - arrival
//! end to end = ended - arrival                tpot     = (end to end - ttft) / (output_tokens - 1)
//! slowdown   = max((wait + run) / max(run, floor), 1),  run = ended - first_scheduled
//! ```
//! With one output token there is no TPOT sample and the TPOT target counts as met. For a job,
//! end to end is its completion time. `run` is the time as it was, shared with others.
//!
//! # Bounds and cost
//! O(1) an entry; 108 KB a tally with histograms, about 100 bytes without.
//!
//! # What it is bad at
//! Attainment is a step: a request late by a millisecond counts like one late by a minute. The
//! quantiles stand beside it for that reason.
//!
//! # Source
//! Attainment and goodput: Zhong et al. (`DistServe`), OSDI 2024, section 2. Apdex technical
//! specification 1.1. Bounded slowdown: Feitelson and Rudolph, JSSPP 1998.

use alloc::boxed::Box;

use super::histogram::Histogram;
use super::measures::{APDEX_TOLERATED_TARGETS, apdex, bounded_slowdown, per_second, ratio, tpot};
use crate::error::{Error, check_range};
use crate::units::Nanos;

/// Slowdown is kept in this many parts of one: 1e-6 is finer than a bucket of the histogram.
const SLOWDOWN_PARTS: f64 = 1e6;

/// How a request ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum Status {
    /// Served to its last token.
    Completed = 0,
    /// Turned away before it was scheduled.
    Refused = 1,
    /// Given up by the service, at whatever point.
    Failed = 2,
    /// Given up by the user.
    Cancelled = 3,
    /// Still waiting or running when the observation ended.
    Unfinished = 4,
}

/// One request at its end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ended {
    /// Index of its class in the policy.
    pub class: u16,
    /// Index of its account.
    pub account: u32,
    /// When it reached the service.
    pub arrival: Nanos,
    /// When its first token of work was scheduled; `None` if never, or if the host cannot know.
    pub first_scheduled: Option<Nanos>,
    /// When its first output token was out; `None` if never. For an answer that comes in one
    /// piece, the time of that.
    pub first_token: Option<Nanos>,
    /// When its last token was out, or when it was refused, failed, cancelled or last seen.
    pub ended: Nanos,
    /// Output tokens produced.
    pub output_tokens: u32,
    /// How it ended.
    pub status: Status,
}

impl Ended {
    /// True for nearly every record: what is wrong is found out apart, off the hot path.
    fn is_plausible(&self) -> bool {
        let scheduled = self.first_scheduled.unwrap_or(self.arrival);
        let token = self.first_token.unwrap_or(self.ended);
        let served = self.first_token.is_some();
        self.arrival <= scheduled
            && scheduled <= token
            && token <= self.ended
            && served == (self.output_tokens > 0)
            && (served || self.status != Status::Completed)
            && self.status != Status::Refused
    }

    /// Refuses what cannot have happened: times out of order, tokens without a first token.
    #[cold]
    fn check(&self) -> Result<(), Error> {
        let Self { arrival, ended, status, .. } = *self;
        in_order("ended_ns", ended, "arrival_ns", arrival)?;
        let mut after = ("arrival_ns", arrival);
        if let Some(scheduled) = self.first_scheduled {
            in_order("first_scheduled_ns", scheduled, "arrival_ns", arrival)?;
            in_order("ended_ns", ended, "first_scheduled_ns", scheduled)?;
            after = ("first_scheduled_ns", scheduled);
        }
        if let Some(token) = self.first_token {
            in_order("first_token_ns", token, after.0, after.1)?;
            in_order("ended_ns", ended, "first_token_ns", token)?;
            check_range("output_tokens", self.output_tokens.into(), 1, u32::MAX.into())?;
        } else {
            check_range("output_tokens", self.output_tokens.into(), 0, 0)?;
            if status == Status::Completed {
                let (min, max) = (after.1.get(), ended.get());
                return Err(Error::Range { field: "first_token_ns", value: 0, min, max });
            }
        }
        let served = self.first_scheduled.or(self.first_token);
        match (status, served) {
            (Status::Refused, Some(time)) => Err(Error::Contradiction {
                field: "first_scheduled_ns",
                value: time.get(),
                other: "status",
                other_value: Status::Refused as u64,
            }),
            _ => Ok(()),
        }
    }

    /// What its user felt, judged by `targets`.
    ///
    /// # Errors
    /// [`Error::Contradiction`] or [`Error::Range`] when its times or tokens cannot have happened:
    /// arrival, first scheduled, first token and end must not decrease; a completed request has a
    /// first token; there are output tokens exactly when there was a first one; a refused request
    /// was not scheduled.
    #[inline]
    pub fn judge(&self, targets: &Targets) -> Result<Sample, Error> {
        if !self.is_plausible() {
            self.check()?;
        }
        let so_far = self.status == Status::Unfinished;
        let since = |time: Nanos| time.saturating_sub(self.arrival);
        let end_to_end = since(self.ended);
        let or_so_far = |time: Option<Nanos>| time.map(since).or(so_far.then_some(end_to_end));
        let served = so_far || self.status == Status::Completed;
        let queue_wait = or_so_far(self.first_scheduled);
        let ttft = or_so_far(self.first_token);
        let tpot = match self.first_token {
            Some(token) if served => tpot(since(token), end_to_end, self.output_tokens),
            _ => None,
        };
        let slowdown = queue_wait.filter(|_| served).map(|wait| {
            let run = end_to_end.saturating_sub(wait);
            let slowdown = bounded_slowdown(wait, run, targets.slowdown_floor);
            (slowdown * SLOWDOWN_PARTS) as u64
        });
        let verdict = self.verdict(targets, ttft.unwrap_or(end_to_end), tpot);
        Ok(Sample {
            queue_wait,
            ttft,
            tpot,
            end_to_end: served.then_some(end_to_end),
            slowdown,
            verdict,
            output_tokens: self.output_tokens,
        })
    }

    /// `ttft` is the time waited so far where there was no first token.
    fn verdict(&self, targets: &Targets, ttft: Nanos, tpot: Option<Nanos>) -> Verdict {
        let tolerated_ns = targets.ttft.get().saturating_mul(APDEX_TOLERATED_TARGETS);
        // 0 satisfied, 1 tolerating, 2 frustrated.
        let feeling = usize::from(ttft > targets.ttft) + usize::from(ttft.get() > tolerated_ns);
        let late = ttft > targets.ttft || tpot.is_some_and(|time| time > targets.tpot);
        match self.status {
            // 0 within both targets. Arithmetic, because who is late is hard to predict.
            Status::Completed => Verdict(usize::from(late) * (COMPLETED_LATE + feeling)),
            Status::Refused => Verdict(REFUSED),
            Status::Failed => Verdict(FAILED),
            Status::Cancelled => Verdict(CANCELLED + usize::from(late)),
            Status::Unfinished if self.first_token.is_none() => Verdict(UNFINISHED + 2),
            Status::Unfinished => Verdict(UNFINISHED + feeling),
        }
    }
}

fn in_order(
    field: &'static str,
    later: Nanos,
    other: &'static str,
    earlier: Nanos,
) -> Result<(), Error> {
    if later >= earlier {
        return Ok(());
    }
    Err(Error::Contradiction { field, value: later.get(), other, other_value: earlier.get() })
}

/// What a class was promised.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Targets {
    /// Time to first token.
    pub ttft: Nanos,
    /// Time per output token after the first.
    pub tpot: Nanos,
    /// Floor of the run time in bounded slowdown.
    pub slowdown_floor: Nanos,
}

impl Targets {
    pub(super) fn check_same(&self, other: &Self) -> Result<(), Error> {
        let pairs = [
            ("merged ttft_target_ns", other.ttft, "ttft_target_ns", self.ttft),
            ("merged tpot_target_ns", other.tpot, "tpot_target_ns", self.tpot),
            (
                "merged slowdown_floor_ns",
                other.slowdown_floor,
                "slowdown_floor_ns",
                self.slowdown_floor,
            ),
        ];
        for (field, value, name, mine) in pairs {
            super::check_same(field, value.get(), name, mine.get())?;
        }
        Ok(())
    }
}

/// Which of the counters a request belongs to: each belongs to exactly one, so that entering it
/// is one addition. Those of [`Counts`] are sums of them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Verdict(usize);

/// Completed and some target missed; its TTFT satisfied, tolerated (+1), frustrating (+2).
const COMPLETED_LATE: usize = 1;
const REFUSED: usize = 4;
const FAILED: usize = 5;
/// Cancelled in time, or after a target was missed (+1).
const CANCELLED: usize = 6;
/// Unfinished; its TTFT satisfied, tolerated (+1), frustrating or not there yet (+2).
const UNFINISHED: usize = 8;
const VERDICTS: usize = 11;

/// What the user of one request felt: made by [`Ended::judge`], entered by [`Tally::add`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    queue_wait: Option<Nanos>,
    ttft: Option<Nanos>,
    tpot: Option<Nanos>,
    end_to_end: Option<Nanos>,
    /// In millionths.
    slowdown: Option<u64>,
    verdict: Verdict,
    output_tokens: u32,
}

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
        let record = |histogram: &mut Histogram, time: Option<Nanos>| {
            if let Some(time) = time {
                histogram.record(time.get());
            }
        };
        record(&mut self.queue_wait, sample.queue_wait);
        record(&mut self.ttft, sample.ttft);
        record(&mut self.tpot, sample.tpot);
        record(&mut self.end_to_end, sample.end_to_end);
        if let Some(slowdown) = sample.slowdown {
            self.slowdown.record(slowdown);
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
        self.queue_wait.reset();
        self.ttft.reset();
        self.tpot.reset();
        self.end_to_end.reset();
        self.slowdown.reset();
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
        if let Some(counter) = self.verdicts.get_mut(sample.verdict.0) {
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

    /// Forgets everything, keeps the memory.
    pub fn reset(&mut self) {
        (self.verdicts, self.output_tokens) = ([0; VERDICTS], 0);
        if let Some(histograms) = &mut self.histograms {
            histograms.reset();
        }
    }
}
