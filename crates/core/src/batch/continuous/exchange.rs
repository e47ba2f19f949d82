//! Several engines: batchers that tell each other whom they served.
//!
//! # What it decides
//! Nothing by itself. Whose turn it is at one engine is decided by what everybody got at all of
//! them, once each has merged what the others charged: an account that comes to every engine has
//! one share, and not one at each.
//!
//! # Formula
//! As of ledgers, in [`crate::share::exchange`]; a lane is a class.
//!
//! ```text
//! key    of an account of the policy: path_key of the names from the first level down to it
//!        of one that was opened later: what the host says
//! ```
//! Engines under one policy therefore know each other's accounts without further ado. Their
//! classes must be the same, in the same order.
//!
//! # Bounds and cost
//! Those of the ledger: `delta` is O(accounts * classes), `merge` is
//! O(entries * levels * log accounts). None allocates. Two accounts that wait at all `N` engines
//! differ by what they may at one, and by what the others serve until it is heard of; see
//! `docs/policies/exchange.md`.
//!
//! # What it is bad at
//! Service alone is exchanged. Queue limits, rates, guarantees of classes and the share of late
//! requests hold at each engine; for one rate at all of them the host limits where requests come
//! in. Equal costs are assumed: engines of different speed should be under policies with the
//! same cost of an output token, and not measure it.
//!
//! # Source
//! As of [`crate::share::exchange`].

use super::Batcher;
use crate::error::Error;
use crate::share::AccountId;
use crate::share::exchange::{Delta, DeltaEntry, DeltaSource, Merged};

impl Batcher {
    /// Says which replica this engine is, from 0 to `limits.replicas_max`, before anything is told
    /// or merged, and after a restart which incarnation; see
    /// [`Ledger::set_replica`](crate::share::Ledger::set_replica). O(accounts * classes).
    ///
    /// # Errors
    /// As [`Ledger::set_replica`](crate::share::Ledger::set_replica).
    pub fn set_replica(&mut self, replica: u32, incarnation: u64) -> Result<(), Error> {
        self.lines.ledger.set_replica(replica, incarnation)
    }

    /// Gives an account that was opened at run time the key by which other engines know it. Those
    /// of the policy have theirs. O(accounts).
    ///
    /// # Errors
    /// As [`Ledger::set_key`](crate::share::Ledger::set_key).
    pub fn set_account_key(&mut self, account: AccountId, key: u64) -> Result<(), Error> {
        self.lines.ledger.set_key(account, key)
    }

    /// The account with this key, if one is open. O(log accounts).
    #[must_use]
    pub fn account_of_key(&self, key: u64) -> Option<AccountId> {
        self.lines.ledger.account_of(key)
    }

    /// Service of `account` itself in `class`, at all engines as far as this one knows, since it
    /// was opened: in prompt tokens as charged. O(1).
    ///
    /// # Errors
    /// As [`Ledger::service`](crate::share::Ledger::service).
    pub fn account_service(&self, class: u16, account: AccountId) -> Result<f64, Error> {
        self.lines.ledger.service(class.into(), account)
    }

    /// Writes what was charged here since it was told last, for all other engines alike, and takes
    /// it for told. With too short an array the next call goes on where this one ended.
    /// O(accounts * classes).
    ///
    /// # Errors
    /// As [`Ledger::delta`](crate::share::Ledger::delta).
    pub fn delta(&mut self, out: &mut [DeltaEntry]) -> Result<Delta, Error> {
        self.lines.ledger.delta(out)
    }

    /// Writes everything that was charged here, told or not, from place `next` on, and moves
    /// `next`; takes nothing for told. For an engine that begins, and against lost deltas.
    /// O(accounts * classes).
    ///
    /// # Errors
    /// As [`Ledger::delta_all`](crate::share::Ledger::delta_all).
    pub fn delta_all(&self, next: &mut u64, out: &mut [DeltaEntry]) -> Result<Delta, Error> {
        self.lines.ledger.delta_all(next, out)
    }

    /// Takes what another engine told: from the next step on it counts as service received. In any
    /// order, once or often. O(entries * levels * log accounts).
    ///
    /// # Errors
    /// As [`Ledger::merge`](crate::share::Ledger::merge), with nothing changed.
    pub fn merge(&mut self, source: DeltaSource, entries: &[DeltaEntry]) -> Result<Merged, Error> {
        let merged = self.lines.ledger.merge(source, entries)?;
        // Somebody else may be first now, who fits where the one before did not.
        self.stalled &= merged.news == 0;
        Ok(merged)
    }

    /// Forgets what was heard from a replica that is gone; what was charged stays charged.
    /// O(accounts * classes).
    ///
    /// # Errors
    /// As [`Ledger::forget_replica`](crate::share::Ledger::forget_replica).
    pub fn forget_replica(&mut self, replica: u32) -> Result<(), Error> {
        self.lines.ledger.forget_replica(replica)
    }
}
