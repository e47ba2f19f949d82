//! A request as the gate keeps it.

use crate::error::{Error, check_range};
use crate::handle::Handle;
use crate::heap::NONE;
use crate::policy::CLASSES_MAX;
use crate::share::AccountId;
use crate::snapshot::Words;
use crate::units::Nanos;

/// Names a request that a gate let in, until it ended, left, or was read as given up.
pub type Ticket = Handle<Request>;

/// Most work of one request, in units of the host: a sum of 2^20 of them is exact in an `f64`.
pub const WORK_MAX: u32 = 1 << 24;

/// How far a request has come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub(super) enum Stage {
    Waiting,
    Running,
    Expired,
    Displaced,
}

impl Stage {
    const ALL: [Self; 4] = [Self::Waiting, Self::Running, Self::Expired, Self::Displaced];
}

/// A request that was let in; named by a [`Ticket`].
#[derive(Clone, Copy, Debug)]
pub struct Request {
    pub(super) account: AccountId,
    pub(super) since: Nanos,
    /// Place in the order of its line, or of those given up: lower came earlier.
    pub(super) sequence: u64,
    pub(super) work: u32,
    pub(super) class: u8,
    pub(super) stage: Stage,
    /// Before and after it in its line, or among those given up.
    pub(super) before: u32,
    pub(super) after: u32,
    /// The same among those of its account that wait in its class.
    pub(super) older: u32,
    pub(super) newer: u32,
}

impl Request {
    pub(super) const fn new(account: AccountId, since: Nanos, work: u32, class: u8) -> Self {
        let (stage, sequence) = (Stage::Waiting, 0);
        let [before, after, older, newer] = [NONE; 4];
        Self { account, since, sequence, work, class, stage, before, after, older, newer }
    }

    pub(super) fn save(&self, save: &mut dyn FnMut(u64)) {
        save(self.account.to_raw());
        save(self.since.get());
        save(self.sequence);
        save(u64::from(self.work));
        save(u64::from(self.class) | u64::from(self.stage as u8) << 8);
    }

    /// Lists are made anew: see [`super::state`].
    pub(super) fn load(words: &mut Words<'_>) -> Result<Self, Error> {
        let (account, since) = (AccountId::from_raw(words.next()?), Nanos(words.next()?));
        let sequence = words.next_count("sequence")?;
        let work = words.next_within("work", 1, WORK_MAX)?;
        let kind = words.next_u32("class")?;
        let class = check_range("class", u64::from(kind & 0xff), 0, CLASSES_MAX as u64 - 1)? as u8;
        let stage = check_range("stage", u64::from(kind >> 8), 0, 3)? as usize;
        let stage = Stage::ALL[stage];
        Ok(Self { sequence, stage, ..Self::new(account, since, work, class) })
    }
}
