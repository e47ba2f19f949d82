//! What is lost if a task ends now?
//!
//! # Formula
//! ```text
//! lost_work = weight * (T + warm_up) * (v + g*pi)
//! ```
//! with T the seconds since its last checkpoint ([`Placer::checkpointed`]; since it started where it
//! has none), `warm_up` what it loads when it starts again, `v` the delay value of its class, `g` the
//! GPUs that its members hold and `pi` the shadow price of a GPU: somebody waits for the work to be
//! done again, and for so long it holds its devices again.
//!
//! # What it is bad at
//! Work that others wait for (a task of a pipeline) counts as its own only.

use super::{Entry, Placer, Stage, TaskId};
use crate::error::{Error, check_range};
use crate::snapshot::{Words, pair};
use crate::units::Nanos;

const MILLI: f64 = 1_000.0;

/// What a placer knows of the ends of a task that were not its own.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Ends {
    /// Its last checkpoint; before it started: none.
    pub(super) saved: Nanos,
    /// Times that it was made to end.
    pub(super) preemptions: u32,
    /// For whom it ends.
    pub(super) beneficiary: TaskId,
    /// Others end for it: what it claims counts as held by its account.
    pub(super) claims: bool,
}

impl Ends {
    /// Tells itself as 3 words.
    pub(super) fn save_state(&self, save: &mut dyn FnMut(u64)) {
        let Self { saved, preemptions, beneficiary, claims } = *self;
        save(saved.get());
        save(pair(preemptions, claims.into()));
        save(beneficiary.to_raw());
    }

    /// Takes what was told.
    pub(super) fn load_state(words: &mut Words<'_>) -> Result<Self, Error> {
        let saved = Nanos(words.next()?);
        let (preemptions, claims) = words.next_pair()?;
        check_range("claims", claims.into(), 0, 1)?;
        let beneficiary = TaskId::from_raw(words.next()?);
        Ok(Self { saved, preemptions, beneficiary, claims: claims == 1 })
    }
}

/// Worth of time, as lost work is priced.
#[derive(Clone, Copy, Debug)]
pub(super) struct Worth<'a> {
    pub(super) weight: f64,
    pub(super) shadow_price: f64,
    pub(super) delay_values: &'a [f64],
}

impl Entry {
    /// From when on its work would be lost.
    pub(super) fn saved(&self) -> Nanos {
        self.ends.saved.max(self.started)
    }
}

impl Worth<'_> {
    pub(super) fn lost_work_s(&self, now: Nanos, entry: &Entry) -> f64 {
        let gpu_milli = u64::from(entry.task.member.gpu_milli()) * u64::from(entry.members_len);
        let value = self.delay_values.get(entry.task.class as usize).copied().unwrap_or(0.0);
        let second = value + gpu_milli as f64 / MILLI * self.shadow_price;
        let again = now.saturating_sub(entry.saved()).saturating_add(entry.task.warm_up);
        self.weight * again.as_seconds() * second
    }
}

impl Placer {
    pub(super) fn worth(&self) -> Worth<'_> {
        Worth {
            weight: self.rules.lost_work_weight,
            shadow_price: self.shadow_price,
            delay_values: &self.delay_values,
        }
    }

    /// What would be lost if a running task ended at `now`, in seconds of delay; 0 for one that does
    /// not run. O(1).
    ///
    /// # Errors
    /// [`Error::Stale`] for an unknown task; [`Error::TimeReversed`].
    pub fn lost_work_s(&self, now: Nanos, task: TaskId) -> Result<f64, Error> {
        let entry = self.tasks.get(task)?;
        self.check_now(now)?;
        let runs = entry.stage != Stage::Pending;
        Ok(if runs { self.worth().lost_work_s(now, entry) } else { 0.0 })
    }

    /// The work that a running task had done at `at` is saved. The latest report counts. O(1).
    ///
    /// # Errors
    /// [`Error::Stale`] for an unknown task; [`Error::TimeReversed`]; [`Error::Contradiction`] on
    /// `at` for a time before it started or after `now`, and on `task` for one that does not run.
    pub fn checkpointed(&mut self, now: Nanos, task: TaskId, at: Nanos) -> Result<(), Error> {
        let entry = self.running(task, "task")?;
        self.check_now(now)?;
        let against = |other, limit: Nanos| Error::Contradiction {
            field: "at",
            value: at.get(),
            other,
            other_value: limit.get(),
        };
        if at < entry.started {
            return Err(against("started", entry.started));
        }
        if at > now {
            return Err(against("now", now));
        }
        self.now = now;
        let ends = &mut self.tasks.get_mut(task)?.ends;
        ends.saved = ends.saved.max(at);
        Ok(())
    }
}
