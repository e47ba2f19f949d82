//! A request as the host hands it in, and as the batcher keeps it.

use crate::error::Error;
use crate::handle::Handle;
use crate::share::AccountId;
use crate::snapshot::{CONTRADICTION, Words, ensure};
use crate::units::Nanos;

/// A request that comes in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Submission {
    /// The host's own number for it; returned in every plan, never read.
    pub tag: u64,
    /// Index of its class in the options.
    pub class: u16,
    /// Whose request it is.
    pub account: AccountId,
    /// Index of its shape bucket in the options.
    pub bucket: u16,
    /// When it reached the host; targets count from here. At most `now`.
    pub arrival: Nanos,
    /// When its answer is due; `None`: the class's target after its arrival, if there is one.
    pub deadline: Option<Nanos>,
    /// From when on it is of no use to anybody; `None`: the class's time-out after its arrival,
    /// if there is one.
    pub expires_at: Option<Nanos>,
}

/// Names a request of one batcher.
pub type RequestId = Handle<Request>;

/// Where a request is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum Stage {
    /// It waits, and can still be in time.
    Waiting,
    /// It has expired and waits behind its class.
    Delayed,
    /// It waits, and its deadline is lost.
    Late,
    /// It is in a batch.
    Running,
    /// It was cancelled while in a batch.
    Cancelled,
}

/// As they are numbered.
const STAGES: [Stage; 5] =
    [Stage::Waiting, Stage::Delayed, Stage::Late, Stage::Running, Stage::Cancelled];

/// Last moment of a deadline or an expiry: one below the mark of "behind", centuries away.
pub(super) const MOMENT_MAX: u64 = (1 << 63) - 1;

/// Stands for "no deadline" and "never".
pub(super) const NEVER: u64 = u64::MAX;

/// A request as the batcher keeps it.
#[derive(Debug)]
pub struct Request {
    pub(super) tag: u64,
    pub(super) account: AccountId,
    pub(super) arrival_ns: u64,
    /// [`NEVER`] without one.
    pub(super) deadline_ns: u64,
    pub(super) expires_ns: u64,
    pub(super) sequence: u64,
    pub(super) class: u8,
    pub(super) bucket: u8,
    pub(super) stage: Stage,
}

// The promise of the documentation; queue nodes and the slab's bookkeeping come on top.
const _: () = assert!(core::mem::size_of::<Request>() <= 56);

impl Request {
    pub(super) fn save_state(&self, save: &mut dyn FnMut(u64)) {
        let Self {
            tag,
            account,
            arrival_ns,
            deadline_ns,
            expires_ns,
            sequence,
            class,
            bucket,
            stage,
        } = self;
        for word in [*tag, account.to_raw(), *arrival_ns, *deadline_ns, *expires_ns, *sequence] {
            save(word);
        }
        save(u64::from_le_bytes([*class, *bucket, *stage as u8, 0, 0, 0, 0, 0]));
    }

    /// What one request alone can say: whether its account, class and bucket are there is for the
    /// batcher to find out.
    pub(super) fn load_state(words: &mut Words<'_>) -> Result<Self, Error> {
        let (tag, account) = (words.next()?, AccountId::from_raw(words.next()?));
        let (arrival_ns, deadline_ns, expires_ns) = (words.next()?, words.next()?, words.next()?);
        let sequence = words.next_count("request.sequence")?;
        let [class, bucket, stage, rest @ ..] = words.next()?.to_le_bytes();
        let stage = *STAGES.get(usize::from(stage)).ok_or(CONTRADICTION)?;
        let sound = |at_ns| at_ns == NEVER || (arrival_ns..=MOMENT_MAX).contains(&at_ns);
        ensure(rest == [0; 5] && sound(deadline_ns) && sound(expires_ns))?;
        // Who has expired and went behind does not expire again.
        ensure(stage != Stage::Delayed || expires_ns == NEVER)?;
        Ok(Self {
            tag,
            account,
            arrival_ns,
            deadline_ns,
            expires_ns,
            sequence,
            class,
            bucket,
            stage,
        })
    }

    /// It is in a batch, and in no queue.
    pub(super) const fn is_launched(&self) -> bool {
        matches!(self.stage, Stage::Running | Stage::Cancelled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is saved as a number is found again under it.
    #[test]
    fn numbers_of_stages_are_their_places() {
        assert!(STAGES.iter().zip(0..).all(|(stage, place)| *stage as u8 == place));
    }
}
