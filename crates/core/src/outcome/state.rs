//! In what form do books outlive their process?
//!
//! # What it decides
//! Nothing: books that were saved and restored go on as they would have gone on.
//!
//! # Format
//! What they were built from, then the span, what each class and account felt, and what accounts
//! were served. Of a histogram only the buckets that hold something, of the pairs only those that
//! wait together: a class that saw a few hundred requests takes a few hundred words.
//!
//! # Bounds and cost
//! O(buckets + accounts + pairs). `save` allocates nothing; `restore` builds books, and so
//! allocates. Bytes from anywhere are answered with an error or with books that work.

use super::{Options, Outcomes};
use crate::error::Error;
use crate::policy::Policy;
use crate::snapshot::{self, CONTRADICTION, OTHER_CAPACITY, OUTCOMES, Words, ensure};
use crate::units::Nanos;

impl Outcomes {
    /// Bytes that [`Outcomes::save`] needs now. O(state).
    #[must_use]
    pub fn snapshot_bytes(&self) -> u64 {
        snapshot::bytes_needed(|save| self.save_state(save))
    }

    /// Writes the whole state to the front of `out` and returns its length in bytes. Allocates
    /// nothing and changes nothing. O(state).
    ///
    /// # Errors
    /// [`Error::BufferTooSmall`] on `snapshot`, and nothing is written.
    pub fn save(&self, out: &mut [u8]) -> Result<usize, Error> {
        snapshot::save(OUTCOMES, out, |save| self.save_state(save))
    }

    /// Books that go on where the saved ones were, under the policy that they were under and with
    /// the same options. Allocates, as [`Outcomes::new`] does. Bytes after the snapshot are
    /// ignored.
    ///
    /// # Errors
    /// As [`Outcomes::new`]. [`Error::Snapshot`] for bytes that are no snapshot of books by this
    /// version of the library, were cut short or changed, or contradict themselves; with
    /// [`SnapshotFault::OtherCapacity`](crate::error::SnapshotFault::OtherCapacity) if they had
    /// other options, or were under a policy with other classes, targets, costs or
    /// `accounts_max`.
    pub fn restore(policy: &Policy, options: Options, bytes: &[u8]) -> Result<Self, Error> {
        let mut books = Self::new(policy, options)?;
        snapshot::load(OUTCOMES, bytes, |take| {
            let mut words = Words::new(take);
            let (mut same, mut ended) = (true, false);
            books.built_from(&mut |built| match words.next() {
                Ok(word) => same &= word == built,
                Err(_) => ended = true,
            });
            if ended {
                return Err(CONTRADICTION);
            }
            if !same {
                return Err(OTHER_CAPACITY);
            }
            books.load_state(&mut words).map_err(|_| CONTRADICTION)
        })?;
        Ok(books)
    }

    fn built_from(&self, put: &mut dyn FnMut(u64)) {
        put(self.classes.len() as u64);
        put(self.accounts.len() as u64);
        put(self.options.account_histograms.into());
        put(self.options.backlogged_max.into());
        for class in &self.classes {
            put(class.targets.ttft.get());
            put(class.targets.tpot.get());
            put(class.targets.slowdown_floor.get());
        }
        let costs = self.service.costs();
        for cost in [costs.prompt, costs.cached, costs.output] {
            put(cost.to_bits());
        }
    }

    fn save_state(&self, save: &mut dyn FnMut(u64)) {
        self.built_from(save);
        for time in [self.since, self.until, self.gpu_busy] {
            save(time.get());
        }
        self.classes.iter().for_each(|class| class.tally.save_state(save));
        self.accounts.iter().for_each(|account| account.save_state(save));
        self.service.save_state(save);
    }

    fn load_state(&mut self, words: &mut Words<'_>) -> Result<(), Error> {
        for time in [&mut self.since, &mut self.until, &mut self.gpu_busy] {
            *time = Nanos(words.next()?);
        }
        let untold = self.since == Nanos::MAX && self.until == Nanos::ZERO;
        ensure(untold || self.since <= self.until)?;
        for class in &mut self.classes {
            class.tally.load_state(words)?;
        }
        for account in &mut self.accounts {
            account.load_state(words)?;
        }
        self.service.load_state(words)
    }
}
