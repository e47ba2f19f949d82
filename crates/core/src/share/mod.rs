//! Who deserves it? One account tree for tokens, GPUs and history.
//!
//! # What it decides
//! An operator writes down once who belongs to whom and with what weight; a serving engine, a
//! cluster scheduler and a batch system ask the same [`Ledger`]:
//!
//! | question | answered by | file |
//! |---|---|---|
//! | whose request is next? | serving counters | `counters` |
//! | how much of each resource is whose? | division of capacity | `division` |
//! | who is furthest below its share of what it needs most? | dominant shares | `dominant` |
//! | who has borrowed most of what others lend? | dominant share of the borrowed part | `borrow` |
//! | who may take from whom? | reclaim | `reclaim`, `protection` |
//! | who used least in the past? | usage with a half-life, two rankings | `history`, `rank` |
//! | may this come in yet? | token buckets | `rate` |
//! | who is called that? | names | `names` |
//! | what did the other copies of this ledger serve? | deltas that merge | `exchange` |
//!
//! Each part takes memory only if [`LedgerOptions`] asks for it; the account ids are the same in
//! all of them. [`Ledger::save`] and [`Ledger::restore`] keep all of it (`snapshot`).
//!
//! # Bounds and cost
//! Opening, closing and changing an account are O(depth) in the tree and O(1) in each part but
//! the counters, which have lanes. Memory: [`Ledger::bytes_needed`]. Only [`Ledger::new`]
//! allocates.
//!
//! Formulas, bounds and sources stand in the file of each part, and together in
//! `docs/policies/share.md`.

pub mod borrow;
mod children;
pub mod counters;
mod decay;
pub mod division;
pub mod dominant;
pub mod exchange;
pub mod history;
mod lane;
mod level;
pub mod names;
mod policy;
pub mod protection;
pub mod quota;
pub mod rank;
pub mod rate;
pub mod reclaim;
mod snapshot;
mod state;
pub mod tree;
pub mod victims;
mod walk;

use alloc::boxed::Box;

use crate::error::{Error, check_range};
use crate::units::Nanos;
use borrow::Borrowing;
use dominant::turns::Turns;
use exchange::Exchange;
use history::History;
use lane::Lane;
use names::Names;
use protection::Protections;
use quota::Quotas;
use rate::Rates;

pub use borrow::BorrowedShare;
pub use division::{Claim, Division, Excess, HistoryDivision, Level, ShareParts, divide_level};
pub use dominant::{DominantShare, ResourceShares};
pub use history::RawShares;
pub use quota::{AccountQuota, Amounts, RESOURCES_MAX};
pub use rank::{Ranked, Ranking, Standing};
pub use rate::{RateDecision, RateKind};
pub use reclaim::{Basis, ReclaimScope, Reclamation, Refusal, RunningJob, Verdict};
pub use tree::{AccountEntry, AccountId, AccountTree, DEPTH_MAX, WEIGHT_MAX, WEIGHT_MIN};
pub use walk::{Lead, Rival};

/// Size of a [`Ledger`], and which of its parts it has. What is zero or `false` is not there and
/// takes no memory; calls about it are refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "each says whether a part is there")]
pub struct LedgerOptions {
    /// Accounts that may be open at once, those with children included, 1 to 2^24.
    pub accounts_max: u32,
    /// Lanes of serving counters, 0 to 64.
    pub lanes: u32,
    /// Kinds of resource that accounts hold, 0 to [`RESOURCES_MAX`].
    pub resources: u32,
    /// Whether it keeps whose turn it is by dominant shares of those resources.
    pub dominant: bool,
    /// Whether it keeps who has borrowed how much of the quotas for them.
    pub borrowing: bool,
    /// Half-life of past usage; zero: no history is kept.
    pub half_life: Nanos,
    /// Whether requests and tokens per minute are limited.
    pub rates: bool,
    /// Whether accounts have names.
    pub names: bool,
    /// Other ledgers that this one exchanges service with, 0 to
    /// [`exchange::REPLICAS_MAX`].
    pub replicas_max: u32,
}

impl Default for LedgerOptions {
    /// 1,024 accounts, one lane of serving counters, nothing else.
    fn default() -> Self {
        Self {
            accounts_max: 1_024,
            lanes: 1,
            resources: 0,
            dominant: false,
            borrowing: false,
            half_life: Nanos::ZERO,
            rates: false,
            names: false,
            replicas_max: 0,
        }
    }
}

impl LedgerOptions {
    /// `Ok` if accounts and lanes are in range: what most of the memory goes by. The rest is checked
    /// where it is used.
    ///
    /// # Errors
    /// [`Error::Range`] on `accounts_max` or `lanes`.
    pub fn validate(&self) -> Result<(), Error> {
        check_range("accounts_max", u64::from(self.accounts_max), 1, 1 << 24)?;
        check_range("lanes", u64::from(self.lanes), 0, 64)?;
        Ok(())
    }
}

/// The accounts, and all that is kept about them.
#[derive(Debug)]
pub struct Ledger {
    options: LedgerOptions,
    tree: AccountTree,
    lanes: Box<[Lane]>,
    names: Names,
    quotas: Quotas,
    turns: Turns,
    borrowing: Borrowing,
    protections: Protections,
    history: History,
    rates: Rates,
    exchange: Exchange,
}

impl Ledger {
    /// A ledger with no account open. The only call that allocates.
    ///
    /// # Errors
    /// [`Error::Range`] for sizes outside those of [`LedgerOptions`].
    pub fn new(options: &LedgerOptions) -> Result<Self, Error> {
        options.validate()?;
        let lanes = (0..options.lanes).map(|_| Lane::new(options.accounts_max)).collect();
        Ok(Self {
            options: *options,
            tree: AccountTree::new(options.accounts_max)?,
            lanes,
            names: Names::new(options),
            quotas: Quotas::new(options)?,
            turns: Turns::new(options),
            borrowing: Borrowing::new(options),
            protections: Protections::new(options),
            history: History::new(options),
            rates: Rates::new(options),
            exchange: Exchange::new(options)?,
        })
    }

    /// Bytes that a ledger of this size takes from the heap.
    #[must_use]
    pub const fn bytes_needed(options: &LedgerOptions) -> u64 {
        AccountTree::bytes_needed(options.accounts_max)
            .saturating_add(
                (options.lanes as u64).saturating_mul(Lane::bytes_needed(options.accounts_max)),
            )
            .saturating_add(Names::bytes_needed(options))
            .saturating_add(Quotas::bytes_needed(options))
            .saturating_add(Turns::bytes_needed(options))
            .saturating_add(Borrowing::bytes_needed(options))
            .saturating_add(Protections::bytes_needed(options))
            .saturating_add(History::bytes_needed(options))
            .saturating_add(Rates::bytes_needed(options))
            .saturating_add(Exchange::bytes_needed(options))
    }

    /// Its size and parts, as it was made.
    #[must_use]
    pub const fn options(&self) -> &LedgerOptions {
        &self.options
    }

    /// Opens an account below `parent`, or below the root, without a name, with a quota of nothing
    /// and no limit; its counters begin at zero and are lifted when it first waits. O(lanes).
    ///
    /// # Errors
    /// As [`AccountTree::open`].
    pub fn open(&mut self, parent: Option<AccountId>, weight: f64) -> Result<AccountId, Error> {
        let account = self.tree.open(parent, weight)?;
        for lane in &mut self.lanes {
            lane.reset(account.index());
        }
        self.quotas.reset(account.index());
        self.turns.reset(&self.quotas, account.index());
        self.borrowing.reset(&self.quotas, account.index());
        self.protections.reset(account.index());
        self.history.reset(account.index());
        self.rates.reset(account.index());
        self.exchange.reset(account.index());
        Ok(account)
    }

    /// Closes an account without children that waits nowhere and neither holds nor asks for
    /// anything; its id is stale from now on. O(lanes).
    ///
    /// # Errors
    /// [`Error::Stale`] for an unknown account, [`Error::Contradiction`] while it has children,
    /// waits, or holds or asks for a resource.
    pub fn close(&mut self, account: AccountId) -> Result<(), Error> {
        self.tree.check_childless(account)?;
        for (index, lane) in self.lanes.iter().enumerate() {
            if lane.seat(account.index()).waiting > 0 {
                return Err(Error::Contradiction {
                    field: "account",
                    value: account.to_raw(),
                    other: "waiting in lane",
                    other_value: index as u64,
                });
            }
        }
        self.quotas.check_idle(account)?;
        self.names.forget(&self.tree, account.index());
        self.turns.forget(&self.tree, &self.quotas, account.index());
        self.borrowing.leave(&self.tree, &self.quotas, account.index());
        self.history.reset(account.index());
        self.rates.reset(account.index());
        self.exchange.forget(account.index());
        self.tree.close(account)
    }

    /// Changes the weight for all service from now on; what was received stays received.
    ///
    /// # Errors
    /// As [`AccountTree::set_weight`].
    pub fn set_weight(&mut self, account: AccountId, weight: f64) -> Result<(), Error> {
        self.tree.set_weight(account, weight)?;
        self.turns.update(&self.tree, &self.quotas, account.index());
        self.history.reweigh();
        Ok(())
    }

    /// The weight of an account next to its siblings.
    ///
    /// # Errors
    /// [`Error::Stale`] for an unknown account.
    pub fn weight(&self, account: AccountId) -> Result<f64, Error> {
        self.tree.weight(account)
    }

    /// The account above; `None` directly below the root.
    ///
    /// # Errors
    /// [`Error::Stale`] for an unknown account.
    pub fn parent(&self, account: AccountId) -> Result<Option<AccountId>, Error> {
        self.tree.parent(account)
    }

    /// The accounts and how they belong together.
    #[must_use]
    pub const fn tree(&self) -> &AccountTree {
        &self.tree
    }

    /// Accounts open.
    #[must_use]
    pub const fn accounts_len(&self) -> u32 {
        self.tree.len()
    }
}

#[cfg(test)]
mod tests;
