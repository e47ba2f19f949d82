//! When will a pending task start, and because of what?
//!
//! # What it decides
//! Nothing: it answers. A task with a reservation starts by then. For another one those before it,
//! by priority and arrival, are given the earliest start each, one after the other, then itself, as
//! [`super::future`] finds them; then all of that is forgotten.
//!
//! # Bounds and cost
//! As many earliest starts as there are free reservations, and O(pending log pending). Not for the
//! hot path.
//!
//! # What it is bad at
//! Who goes first by shares is not known ahead, and who will come even less: the answer is what
//! happens if the order is that of priority and arrival, nobody comes and all end when they said.

use super::task::Task;
use super::{Placer, Stage, TaskId};
use crate::error::Error;
use crate::units::Nanos;

/// Why a start is expected then, or why none is known.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[cfg_attr(feature = "document", derive(serde::Serialize, serde::Deserialize))]
pub enum Because {
    /// It has started.
    Started,
    /// It has a reservation.
    Reserved,
    /// There is room then, if all that runs or waits before it ends when it said.
    Ends,
    /// The last cycle held batch work like it for urgent work: it is the earliest that there is
    /// room, and how long it is held nobody knows.
    Held,
    /// More wait before it than were looked at: it is the earliest that it can be.
    ManyBefore,
    /// Whoever is in its way did not say how long it runs: no time is known.
    Unknown,
    /// It would not find room if nothing else ran.
    NeverFits,
}

/// When a task starts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "document", derive(serde::Serialize, serde::Deserialize))]
pub struct Expected {
    /// The time; `None`: none is known.
    pub at: Option<Nanos>,
    /// Why.
    pub because: Because,
}

impl Placer {
    /// When a task is expected to start.
    ///
    /// # Errors
    /// [`Error::Stale`] for an unknown task; [`Error::TimeReversed`].
    pub fn expected_start(&mut self, now: Nanos, task: TaskId) -> Result<Expected, Error> {
        let entry = *self.tasks.get(task)?;
        self.check_now(now)?;
        self.now = now;
        self.future.forget_ends();
        if entry.stage != Stage::Pending {
            return Ok(Expected { at: Some(entry.started), because: Because::Started });
        }
        if let Some(promise) = self.promises.of_task(task) {
            let at = Some(self.promises.get(promise)?.starts.max(now));
            return Ok(Expected { at, because: Because::Reserved });
        }
        let numbers = self.promises.next_number();
        let because = self.reserve_before(task)?;
        let found = self.earliest(&entry.task);
        self.forget_from(numbers)?;
        Ok(match found {
            Some(start) if self.is_like_held(&entry.task) => {
                Expected { at: Some(start.at), because: Because::Held }
            }
            Some(start) => Expected { at: Some(start.at), because },
            None => Expected { at: None, because: self.why_never(&entry.task) },
        })
    }

    fn why_never(&mut self, task: &Task) -> Because {
        if self.fits_when_idle(task) { Because::Unknown } else { Because::NeverFits }
    }

    /// Gives those before a task the earliest start each, while there are reservations.
    fn reserve_before(&mut self, task: TaskId) -> Result<Because, Error> {
        let Self { scratch, tasks, pending, .. } = self;
        let own = pending.turn(task.index());
        let before = |index: &u32| pending.contains(*index) && pending.turn(*index) < own;
        let mut len = 0;
        for index in tasks.iter().map(|(id, _)| id.index()).filter(before) {
            scratch.victims[len] = index;
            len += 1;
        }
        scratch.victims[..len].sort_unstable_by_key(|index| pending.turn(*index));
        for at in 0..len {
            let Some(id) = self.tasks.handle_at(self.scratch.victims[at]) else { continue };
            let before = self.tasks.get(id)?.task;
            if !self.promises.has_place(before.members_needed()) {
                return Ok(Because::ManyBefore);
            }
            // Whoever has no known time is in nobody's way: neither would it be in a cycle.
            if let Some(start) = self.earliest(&before) {
                self.reserve(id, start, false)?;
            }
        }
        Ok(Because::Ends)
    }

    /// Forgets the reservations with this number and those made after.
    fn forget_from(&mut self, number: u64) -> Result<(), Error> {
        for _ in 0..self.promises.len() {
            let made = self.promises.iter().find(|(_, promise)| promise.number >= number);
            let Some((handle, _)) = made else { break };
            self.promises.remove(handle)?;
        }
        self.future.forget_ends();
        Ok(())
    }
}
