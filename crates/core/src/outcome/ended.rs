//! One request at its end, and what its user felt.
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
//! O(1) a request, nothing kept.
//!
//! # What it is bad at
//! Attainment is a step: a request late by a millisecond counts like one late by a minute. The
//! quantiles stand beside it for that reason.
//!
//! # Source
//! Attainment and goodput: Zhong et al. (`DistServe`), OSDI 2024, section 2. Apdex technical
//! specification 1.1. Bounded slowdown: Feitelson and Rudolph, JSSPP 1998.

use super::measures::{APDEX_TOLERATED_TARGETS, bounded_slowdown, tpot};
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
    /// False for what is wrong, and for a refusal: which of the two is found out apart.
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
    pub fn judge(&self, targets: &Targets) -> Result<Sample, Error> {
        self.judge_served(targets).map_or_else(|| self.judge_any(targets), Ok)
    }

    /// [`Ended::judge`] of what nearly every request is: completed, with all its times, in order.
    /// `None` for any other.
    #[inline]
    pub(super) fn judge_served(&self, targets: &Targets) -> Option<Sample> {
        if self.status != Status::Completed || self.output_tokens == 0 {
            return None;
        }
        let (scheduled, token) = (self.first_scheduled?.get(), self.first_token?.get());
        let wait = scheduled.checked_sub(self.arrival.get())?;
        let prefill = token.checked_sub(scheduled)?;
        let decode = self.ended.get().checked_sub(token)?;
        let (ttft, run) = (Nanos(wait + prefill), Nanos(prefill + decode));
        let end_to_end = Nanos(wait + run.get());
        let tpot = tpot(ttft, end_to_end, self.output_tokens);
        let tpot_or_zero = tpot.map_or(0, Nanos::get);
        let slowdown = slowdown_parts(Nanos(wait), run, targets);
        Some(Sample {
            values: [wait, ttft.get(), tpot_or_zero, end_to_end.get(), slowdown],
            present: if tpot.is_some() { PRESENT_ALL } else { PRESENT_ALL & !(1 << TPOT) },
            verdict: completed(targets, ttft, tpot),
            output_tokens: self.output_tokens,
        })
    }

    /// [`Ended::judge`] of any request.
    #[cold]
    pub(super) fn judge_any(&self, targets: &Targets) -> Result<Sample, Error> {
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
        let slowdown = queue_wait
            .filter(|_| served)
            .map(|wait| slowdown_parts(wait, end_to_end.saturating_sub(wait), targets));
        let all = [queue_wait, ttft, tpot, served.then_some(end_to_end), slowdown.map(Nanos)];
        let mut sample = Sample {
            values: all.map(|value| value.map_or(0, Nanos::get)),
            present: 0,
            verdict: self.verdict(targets, ttft.unwrap_or(end_to_end), tpot),
            output_tokens: self.output_tokens,
        };
        for (index, value) in all.iter().enumerate() {
            sample.present |= u8::from(value.is_some()) << index;
        }
        Ok(sample)
    }

    /// `ttft` is the time waited so far where there was no first token.
    fn verdict(&self, targets: &Targets, ttft: Nanos, tpot: Option<Nanos>) -> Verdict {
        match self.status {
            Status::Completed => completed(targets, ttft, tpot),
            Status::Refused => Verdict(REFUSED),
            Status::Failed => Verdict(FAILED),
            Status::Cancelled => Verdict(CANCELLED + u8::from(is_late(targets, ttft, tpot))),
            Status::Unfinished if self.first_token.is_none() => Verdict(UNFINISHED + 2),
            Status::Unfinished => Verdict(UNFINISHED + feeling(targets, ttft)),
        }
    }
}

/// Within both targets is 0. Arithmetic, because who is late is hard to predict.
#[inline]
fn completed(targets: &Targets, ttft: Nanos, tpot: Option<Nanos>) -> Verdict {
    Verdict(u8::from(is_late(targets, ttft, tpot)) * (COMPLETED_LATE + feeling(targets, ttft)))
}

#[inline]
fn is_late(targets: &Targets, ttft: Nanos, tpot: Option<Nanos>) -> bool {
    (ttft > targets.ttft) | (tpot.unwrap_or(Nanos::ZERO) > targets.tpot)
}

/// 0 satisfied, 1 tolerating, 2 frustrated.
#[inline]
fn feeling(targets: &Targets, ttft: Nanos) -> u8 {
    let tolerated_ns = targets.ttft.get().saturating_mul(APDEX_TOLERATED_TARGETS);
    u8::from(ttft > targets.ttft) + u8::from(ttft.get() > tolerated_ns)
}

#[inline]
fn slowdown_parts(wait: Nanos, run: Nanos, targets: &Targets) -> u64 {
    // Never negative. By way of 63 bits, because a conversion to all 64 takes twice as long.
    let parts = bounded_slowdown(wait, run, targets.slowdown_floor) * SLOWDOWN_PARTS;
    (parts as i64).cast_unsigned()
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
pub(super) struct Verdict(u8);

/// Completed and some target missed; its TTFT satisfied, tolerated (+1), frustrating (+2).
const COMPLETED_LATE: u8 = 1;
const REFUSED: u8 = 4;
const FAILED: u8 = 5;
/// Cancelled in time, or after a target was missed (+1).
const CANCELLED: u8 = 6;
/// Unfinished; its TTFT satisfied, tolerated (+1), frustrating or not there yet (+2).
const UNFINISHED: u8 = 8;
pub(super) const VERDICTS: usize = 11;

impl Verdict {
    /// Place of its counter, below [`VERDICTS`].
    #[inline]
    pub(super) const fn index(self) -> usize {
        self.0 as usize
    }
}

/// Place of TPOT among the values of a [`Sample`].
const TPOT: usize = 2;
/// Values of a [`Sample`].
const VALUES: usize = 5;
/// A bit for each value.
pub(super) const PRESENT_ALL: u8 = (1 << VALUES) - 1;

/// What the user of one request felt: made by [`Ended::judge`], entered by
/// [`Tally::add`](super::Tally::add).
///
/// Plain numbers beside bits that say which are there, so that the usual case, where all are, is
/// found out at once.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Sample {
    /// In the order of the fields of [`Histograms`]; zero where there is none.
    pub(super) values: [u64; VALUES],
    /// One bit for each value that is there.
    pub(super) present: u8,
    pub(super) verdict: Verdict,
    pub(super) output_tokens: u32,
}
