//! Would a request still start in time, and when else?
//!
//! # Formula
//! See [`super`]. `retry_after` is the time in which as much leaves as is too much now, and one
//! more:
//! ```text
//! retry_after = (n - n_max + 1) / r,    n_max the most that starts within the target
//! ```
//!
//! # Bounds and cost
//! O(classes); some ten steps of false position for `retry_after`.

use super::confidence::Pace;
use super::{ENDS_NEEDED, Gate, Outlook, lines};
use crate::error::Error;
use crate::units::Nanos;

/// What a newcomer finds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Found {
    /// A server that nobody else is to have.
    Free,
    /// A server for it and for each class that is owed its next request: it starts after these.
    Owed,
    /// All servers are taken, or for those that go before it.
    Taken,
}

/// Longest time that anybody is told to wait, in seconds: a day, as for targets.
const RETRY_MAX_S: f64 = 86_400.0;

impl Gate {
    /// What a request of a class would find if it came now and displaced nobody. Who waited too long
    /// counts until a call has dropped it: each drops up to 32. O(classes).
    ///
    /// # Errors
    /// [`Error::TimeReversed`]; [`Error::Range`] on `class`.
    pub fn outlook(&self, now: Nanos, class: u32) -> Result<Outlook, Error> {
        self.check_time(now)?;
        self.check_class(class)?;
        let samples = self.drain.ended();
        let pace = self.pace(class);
        if self.found(class) != Found::Taken {
            let (starts_before, likely_wait_s, chance) = (0.0, 0.0, 1.0);
            let starts_per_s = pace.per_s;
            return Ok(Outlook { starts_before, starts_per_s, likely_wait_s, chance, samples });
        }
        let starts_before = self.starts_before(class);
        let target_s = self.lines[class as usize].target.as_seconds();
        let known = samples >= ENDS_NEEDED && pace.per_s > 0.0;
        let chance = if known { pace.chance(starts_before, target_s) } else { 0.0 };
        let likely_wait_s = if known { pace.time_s(starts_before, 0.0) } else { f64::INFINITY };
        Ok(Outlook { starts_before, starts_per_s: pace.per_s, likely_wait_s, chance, samples })
    }

    /// What a newcomer of a class finds, after all that go before it: one for each class below that
    /// is owed its next request.
    pub(super) fn found(&self, class: u32) -> Found {
        let (_, before) = self.ahead(class);
        let free = u64::from(self.servers.saturating_sub(self.running));
        if free <= before {
            return Found::Taken;
        }
        let due = lines::due(&self.lines, &self.requests, |class, head| self.first(class, head));
        let others = due.map(|(owed, _)| owed).filter(|owed| *owed != class as usize);
        let (owed, below) = others.fold((0, 0), |(owed, below), other| {
            (owed + 1, below + u64::from(other > class as usize))
        });
        match (owed, free > before + below) {
            (_, false) => Found::Taken,
            (0, true) => Found::Free,
            (_, true) => Found::Owed,
        }
    }

    /// Work and number of requests that go before a newcomer of a class.
    fn ahead(&self, class: u32) -> (u64, u64) {
        let before = self.lines.iter().take(class as usize + 1);
        before.fold((0, 0), |(work, len), line| (work + line.work, len + u64::from(line.list.len)))
    }

    /// Ends that must come before a newcomer of a class starts, at least 1.
    fn starts_before(&self, class: u32) -> f64 {
        let (work, _) = self.ahead(class);
        let over = f64::from(self.running) - f64::from(self.servers);
        (work as f64 / self.drain.work_mean() + 1.0 + over).max(1.0)
    }

    /// How fast requests of a class can start.
    fn pace(&self, class: u32) -> Pace {
        let work_per_s = self.drain.per_server_s() * f64::from(self.servers);
        let (above, rest) = self.lines.split_at(class as usize);
        let above: f64 = above.iter().map(|line| line.started_per_s(self.now)).sum();
        let waits = rest.iter().skip(1).filter(|line| line.list.len > 0);
        let below: f64 = waits.map(|line| line.guaranteed_ratio).sum();
        let guaranteed = rest.first().map_or(0.0, |line| line.guaranteed_ratio);
        let left = (work_per_s * (1.0 - below) - above).max(work_per_s * guaranteed);
        let per_s = left.max(0.0) / self.drain.work_mean();
        Pace { per_s, samples: self.drain.samples().max(1.0) }
    }

    /// Whether a newcomer of a class starts in time, as likely as the policy wants it.
    pub(super) fn starts_in_time(&self, class: u32) -> bool {
        let target_s = self.lines[class as usize].target.as_seconds();
        self.pace(class).time_s(self.starts_before(class), self.z + self.caution) <= target_s
    }

    /// Work that must go from before a newcomer of a class that would not start in time, so that it
    /// does.
    pub(super) fn missing(&self, class: u32) -> f64 {
        let target_s = self.lines[class as usize].target.as_seconds();
        let most = self.pace(class).starts_within(target_s, self.z + self.caution);
        let starts = self.starts_before(class);
        let excess = (starts - most).max(f64::MIN_POSITIVE) * self.drain.work_mean();
        // Not even the next end comes in time: nobody who gives way helps.
        if most < 1.0 { f64::INFINITY } else { excess }
    }

    /// In how long a request of a class would be let in, as work leaves now; its target where
    /// nothing is known.
    pub(super) fn retry_after(&self, class: u32) -> Nanos {
        let target = self.lines[class as usize].target;
        let pace = self.pace(class);
        if self.drain.ended() < ENDS_NEEDED || pace.per_s <= 0.0 {
            return target;
        }
        let most = pace.starts_within(target.as_seconds(), self.z + self.caution);
        let excess = (self.starts_before(class) - most).max(0.0) + 1.0;
        Nanos::from_seconds((excess / pace.per_s).min(RETRY_MAX_S))
    }
}
