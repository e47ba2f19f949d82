//! History: who used how much, with a half-life, and what share everybody should have had.
//!
//! # What it decides
//! Nothing by itself. It keeps what the rankings of [`super::rank`] go by.
//!
//! # Formula
//! ```text
//! usage(account, now) = sum of  amount * 2^(-(now - when) / half_life)  over the account and
//!                       everybody below it
//! part(account)       = shares / sum of the shares of its level
//! ```
//! Shares are the account's weight unless told otherwise. An account that has its parent's shares
//! stands aside: its children share with its siblings. What a closed account used still counts for
//! those above it until it has decayed.
//!
//! # Bounds and cost
//! Recording is O(depth * log accounts), O(depth) while nobody wants to be found, and O(accounts)
//! once in 256 half-lives. Asking is O(1). The passing of time changes nothing that is kept, and
//! sums do not drift. Memory: 152 bytes for each account.
//!
//! # What it is bad at
//! It knows one kind of usage, which the host must have weighed (GPU seconds, say), and counts it
//! when it is told: a job that runs for a week should be recorded as it runs.
//!
//! # Source
//! Slurm's multifactor priority: raw usage, `PriorityDecayHalfLife`, `Fairshare=parent`.

use super::decay::{AMOUNT_MAX, Decay, KeptSum};
use super::level::Levels;
use super::tree::{AccountTree, WEIGHT_MIN};
use super::{AccountId, Ledger, LedgerOptions};
use crate::error::{Error, check_real};
use crate::snapshot::Words;
use crate::units::Nanos;

/// Largest number of shares, 2^31: Slurm's are integers below that.
pub const SHARES_MAX: f64 = 2_147_483_648.0;

/// What an account should use next to its siblings, for the rankings by history.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum RawShares {
    /// As many as its weight in the tree.
    #[default]
    Weight,
    /// This many: 0, or [`WEIGHT_MIN`] to [`SHARES_MAX`]. With none, an account comes last.
    Number(f64),
    /// Those of its parent. For an account with children: they share with its siblings.
    Parent,
}

/// Usage and shares of all accounts.
#[derive(Debug)]
pub(super) struct History {
    pub(super) decay: Decay,
    pub(super) levels: Levels,
}

impl History {
    pub(super) fn new(options: &LedgerOptions) -> Self {
        let has = options.half_life > Nanos::ZERO;
        let levels = Levels::new(if has { options.accounts_max } else { 0 });
        Self { decay: Decay::new(options.half_life), levels }
    }

    pub(super) const fn bytes_needed(options: &LedgerOptions) -> u64 {
        if options.half_life.get() == 0 { 0 } else { Levels::bytes_needed(options.accounts_max) }
    }

    fn is_kept(&self) -> bool {
        self.decay.check().is_ok()
    }

    /// Forgets whoever had this index before.
    pub(super) fn reset(&mut self, index: u32) {
        if self.is_kept() {
            self.levels.reset(index);
        }
    }

    /// A weight has changed.
    pub(super) fn reweigh(&mut self) {
        self.levels.mark_stale();
    }

    /// Makes it as it was when new.
    pub(super) fn clear(&mut self) {
        self.decay.clear();
        self.levels.clear();
    }

    /// Tells what it knows about the open accounts.
    pub(super) fn save_state(&self, tree: &AccountTree, save: &mut dyn FnMut(u64)) {
        if !self.is_kept() {
            return;
        }
        self.decay.save_state(save);
        self.levels.seat(tree.root()).used.save_state(save);
        for index in tree.indices() {
            let seat = self.levels.seat(index);
            seat.used.save_state(save);
            let (kind, number) = match seat.shares {
                RawShares::Weight => (0, 0.0),
                RawShares::Number(number) => (1, number),
                RawShares::Parent => (2, 0.0),
            };
            [kind, f64::to_bits(number), u64::from(seat.ranked)].into_iter().for_each(&mut *save);
        }
    }

    /// Takes what [`Self::save_state`] told.
    pub(super) fn load_state(
        &mut self,
        tree: &AccountTree,
        words: &mut Words<'_>,
    ) -> Result<(), Error> {
        if !self.is_kept() {
            return Ok(());
        }
        self.clear();
        self.decay.load_state(words)?;
        self.levels.seat_mut(tree.root()).used = KeptSum::load_state(words)?;
        for index in tree.indices() {
            let used = KeptSum::load_state(words)?;
            let kind = words.next_within("shares", 0, 2)?;
            let most = if kind == 1 { SHARES_MAX } else { 0.0 };
            let number = check_real("shares", words.next_amount("shares")?, 0.0, most)?;
            let shares = match kind {
                0 => RawShares::Weight,
                1 => RawShares::Number(number),
                _ => RawShares::Parent,
            };
            check_shares(shares)?;
            let ranked = words.next_flag("ranked")?;
            let seat = self.levels.seat_mut(index);
            (seat.used, seat.shares, seat.ranked) = (used, shares, ranked);
        }
        Ok(())
    }
}

impl Ledger {
    /// Records that `account` has used an amount, in a unit of the host's, up to `now`. It counts
    /// for everybody above it, too. O(depth * log accounts).
    ///
    /// # Errors
    /// [`Error::Range`] on `half_life_ns` without one; [`Error::Stale`] for an unknown account;
    /// [`Error::RangeReal`] unless `0 <= amount <= 2^53`; [`Error::TimeReversed`] before the last
    /// record.
    pub fn record_usage(
        &mut self,
        now: Nanos,
        account: AccountId,
        amount: f64,
    ) -> Result<(), Error> {
        self.history.decay.check_time(now)?;
        self.tree.check(account)?;
        check_real("amount", amount, 0.0, AMOUNT_MAX)?;
        let History { decay, levels } = &mut self.history;
        let moved = decay.advance(now);
        if moved > 0 {
            levels.halve(moved);
        }
        if amount > 0.0 {
            levels.add(&self.tree, account.index(), decay.inflated(now, amount));
        }
        Ok(())
    }

    /// What `account` and everybody below it used, as it counts at `now`.
    ///
    /// # Errors
    /// [`Error::Range`] on `half_life_ns` without one; [`Error::Stale`] for an unknown account;
    /// [`Error::TimeReversed`] before the last record.
    pub fn usage(&self, now: Nanos, account: AccountId) -> Result<f64, Error> {
        self.history.decay.check_time(now)?;
        self.tree.check(account)?;
        let kept = self.history.levels.seat(account.index()).used.get();
        Ok(self.history.decay.at(now, kept))
    }

    /// What everybody used, closed accounts included, as it counts at `now`.
    ///
    /// # Errors
    /// As [`Ledger::usage`].
    pub fn usage_of_all(&self, now: Nanos) -> Result<f64, Error> {
        self.history.decay.check_time(now)?;
        let kept = self.history.levels.seat(self.tree.root()).used.get();
        Ok(self.history.decay.at(now, kept))
    }

    /// Gives an account other shares in the rankings by history than its weight. What it used
    /// stays used. O(1), and the next question about ranks is O(accounts * log accounts).
    ///
    /// # Errors
    /// [`Error::Range`] on `half_life_ns` without one; [`Error::Stale`] for an unknown account;
    /// [`Error::RangeReal`] for a number that is none of [`RawShares::Number`].
    pub fn set_raw_shares(&mut self, account: AccountId, shares: RawShares) -> Result<(), Error> {
        self.history.decay.check()?;
        self.tree.check(account)?;
        check_shares(shares)?;
        // Zero has one form, the one that can be restored.
        let shares = match shares {
            RawShares::Number(number) => RawShares::Number(number + 0.0),
            other => other,
        };
        self.history.levels.seat_mut(account.index()).shares = shares;
        Ok(())
    }

    /// The shares that were set.
    ///
    /// # Errors
    /// [`Error::Range`] on `half_life_ns` without one; [`Error::Stale`] for an unknown account.
    pub fn raw_shares(&self, account: AccountId) -> Result<RawShares, Error> {
        self.history.decay.check()?;
        self.tree.check(account)?;
        Ok(self.history.levels.seat(account.index()).shares)
    }
}

fn check_shares(shares: RawShares) -> Result<(), Error> {
    match shares {
        RawShares::Number(number) if number != 0.0 => {
            check_real("shares", number, WEIGHT_MIN, SHARES_MAX).map(drop)
        }
        _ => Ok(()),
    }
}
