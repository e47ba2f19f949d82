//! In what form does a ledger of its own outlive its process?
//!
//! # What it decides
//! Nothing: a ledger that was saved and restored answers as it would have answered.
//!
//! # Format
//! The envelope of every snapshot (head, length, checksum), and in it all of [`LedgerOptions`] and
//! the words of `state`. A ledger within a batcher stands in the snapshot of that batcher.
//!
//! # Bounds and cost
//! As in `state`, of 8 bytes a word, for each account: 4, and 4 for each lane; 1 to 17 for a name;
//! with resources 4, and 10 for each of them; 1 for a next task, and 1 for each resource; 5 of
//! history; 3 to 7 of rates; for the exchange 1, and for each lane 4 and 1 for each other replica.
//! 2 for a place that is free. `save` allocates nothing; `restore` builds a
//! ledger, and so allocates. Every word is checked before it is used: bytes from anywhere are
//! answered with an error or with a ledger that works.
//!
//! # What it is bad at
//! It is no journal: what happened after it was taken is lost. Of a ledger that exchanges service
//! with others, see [`Ledger::set_replica`] before one is restored that is older than the last.

use super::{Ledger, LedgerOptions};
use crate::error::Error;
use crate::snapshot::{self, CONTRADICTION, LEDGER, OTHER_CAPACITY};

impl Ledger {
    /// Bytes that [`Ledger::save`] needs now. O(state).
    #[must_use]
    pub fn snapshot_bytes(&self) -> u64 {
        snapshot::bytes_needed(|save| self.save_whole(save))
    }

    /// Writes the whole state to the front of `out` and returns its length in bytes. Allocates
    /// nothing and changes nothing. O(state).
    ///
    /// # Errors
    /// [`Error::BufferTooSmall`] on `snapshot`, and nothing is written.
    pub fn save(&self, out: &mut [u8]) -> Result<usize, Error> {
        snapshot::save(LEDGER, out, |save| self.save_whole(save))
    }

    /// A ledger that goes on where the saved one was: every later call has the answer that it
    /// would have had, but for the order of [`Ledger::eligible`], and every id names whom it named.
    /// Allocates, as [`Ledger::new`] does. Bytes after the snapshot are ignored.
    ///
    /// ```
    /// use rampmeter::Nanos;
    /// use rampmeter::share::{Ledger, LedgerOptions};
    ///
    /// let half_life = Nanos(7 * 86_400_000_000_000);
    /// let options = LedgerOptions { half_life, names: true, ..LedgerOptions::default() };
    /// let mut ledger = Ledger::new(&options)?;
    /// let team = ledger.open(None, 2.0)?;
    /// ledger.set_name(team, "vision")?;
    /// ledger.charge(0, team, 900.0)?;
    ///
    /// let mut bytes = vec![0; ledger.snapshot_bytes() as usize];
    /// let len = ledger.save(&mut bytes)?;
    ///
    /// let restored = Ledger::restore(&options, &bytes[..len])?;
    /// assert_eq!(restored.account_at_path("vision"), Some(team));
    /// assert_eq!(restored.counter(0, team), Ok(450.0));
    /// # Ok::<(), rampmeter::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Ledger::new`]. [`Error::Snapshot`] for bytes that are no snapshot of a ledger by this
    /// version of the library, were cut short or changed, or contradict themselves; with
    /// [`SnapshotFault::OtherCapacity`](crate::error::SnapshotFault::OtherCapacity) if it was taken
    /// with any other option.
    pub fn restore(options: &LedgerOptions, bytes: &[u8]) -> Result<Self, Error> {
        let mut ledger = Self::new(options)?;
        snapshot::load(LEDGER, bytes, |take| {
            for option in words(options) {
                if take().ok_or(CONTRADICTION)? != option {
                    return Err(OTHER_CAPACITY);
                }
            }
            ledger.load_state(take).map_err(|_| CONTRADICTION)
        })?;
        Ok(ledger)
    }

    fn save_whole(&self, save: &mut dyn FnMut(u64)) {
        words(&self.options).into_iter().for_each(&mut *save);
        self.save_state(save);
    }
}

/// All options: a state fits into a ledger of the same parts and sizes only.
fn words(options: &LedgerOptions) -> [u64; 9] {
    let LedgerOptions {
        accounts_max,
        lanes,
        resources,
        dominant,
        borrowing,
        half_life,
        rates,
        names,
        replicas_max,
    } = *options;
    [
        accounts_max.into(),
        lanes.into(),
        resources.into(),
        dominant.into(),
        borrowing.into(),
        half_life.get(),
        rates.into(),
        names.into(),
        replicas_max.into(),
    ]
}
