//! What comes to all servers of a pool together.

use super::estimate::Moments;
use super::estimate::bursts::Bursts;
use super::estimate::servers::Replica;
use crate::error::Error;
use crate::snapshot::Words;
use crate::units::Nanos;

/// Shortest mean gap believed, in seconds: the resolution of time.
const GAP_MIN_S: f64 = 1e-9;

/// Arrivals of all classes, and how fast servers work just now.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pool {
    gaps: Moments,
    works: Moments,
    bursts: Bursts,
    seen: u64,
    last: Nanos,
    /// A stop was before the last one, as in `Arrivals`.
    stopped: bool,
    /// Requests that are being served.
    pub(super) running: u64,
    /// Their speed next to that of a full pool, over about a service time; 0 before one is known.
    speed: f64,
    ran_s: f64,
    passed: Nanos,
}

impl Pool {
    /// Time passes with as many running as there are.
    pub(super) fn pass(&mut self, now: Nanos, seats: u32, replica: &Replica) {
        let seconds = now.saturating_sub(self.passed).as_seconds();
        self.passed = now;
        if self.running == 0 || seats == 0 || replica.loaded_share <= 0.0 {
            return;
        }
        let speed = replica.speed(self.running as f64 / f64::from(seats));
        let part = if self.speed > 0.0 && self.ran_s > 0.0 {
            -libm::expm1(-seconds / self.ran_s)
        } else {
            1.0
        };
        self.speed += (speed - self.speed) * part;
    }

    /// A request came. The gap before it in seconds, `None` for the first, and after a stop: bursts and
    /// the rehearsal go on as if there had been none.
    pub(super) fn came(&mut self, now: Nanos, memory: f64) -> Option<f64> {
        let gap_s = (self.seen > 0).then(|| now.saturating_sub(self.last).as_seconds());
        self.stopped = !self.stopped && gap_s.is_some_and(|gap_s| self.gaps.is_stop(gap_s));
        let gap_s = gap_s.filter(|_| !self.stopped);
        if let Some(gap_s) = gap_s {
            self.gaps.note(gap_s, memory);
        }
        self.seen += 1;
        self.last = now;
        gap_s
    }

    /// It takes `work_s`, as others did.
    pub(super) fn takes(&mut self, work_s: f64, gap_s: f64, memory: f64, keep: f64) {
        self.works.note(work_s, memory);
        self.bursts.note(gap_s, self.works.mean(), keep);
    }

    /// Seconds that a request which ran so long takes of a full server.
    pub(super) fn work_s(&mut self, ran_s: f64) -> f64 {
        // Speed is smoothed over the time that requests stay; the last sixteen tell that.
        self.ran_s += (ran_s - self.ran_s) / 16.0;
        if self.speed > 0.0 { ran_s * self.speed } else { ran_s }
    }

    /// Requests that came so far.
    pub(super) const fn seen(&self) -> u64 {
        self.seen
    }

    /// Seconds of a full server that requests take.
    pub(super) const fn works(&self) -> &Moments {
        &self.works
    }

    /// How unevenly they come.
    pub(super) const fn bursts(&self) -> &Bursts {
        &self.bursts
    }

    /// Requests a second over the memory; 0 before there was a gap.
    pub(super) fn rate_per_s(&self) -> f64 {
        if self.gaps.samples() > 0.0 { self.gaps.mean().max(GAP_MIN_S).recip() } else { 0.0 }
    }

    pub(super) fn save_state(&self, save: &mut dyn FnMut(u64)) {
        let Self { gaps, works, bursts, seen, last, stopped, running, speed, ran_s, passed } = self;
        gaps.save_state(save);
        works.save_state(save);
        bursts.save_state(save);
        for word in [*seen, last.get(), *running, speed.to_bits(), ran_s.to_bits(), passed.get()] {
            save(word);
        }
        save((*stopped).into());
    }

    pub(super) fn load_state(words: &mut Words<'_>) -> Result<Self, Error> {
        Ok(Self {
            gaps: Moments::load_state(words)?,
            works: Moments::load_state(words)?,
            bursts: Bursts::load_state(words)?,
            seen: words.next_count("seen")?,
            last: Nanos(words.next()?),
            running: words.next_count("running")?,
            speed: words.next_real("speed", 0.0, 20.0)?,
            ran_s: words.next_real("ran_s", 0.0, super::SPAN_MAX_S)?,
            passed: Nanos(words.next()?),
            stopped: words.next_flag("stopped")?,
        })
    }
}
