//! The account tree: who belongs to whom, and with what weight.
//!
//! # What it decides
//! Nothing. It says whose share is divided among whom: an account's weight counts next to its
//! siblings only, and what it gets is divided among its children by their weights.
//!
//! # Bounds and cost
//! Every call is O(1), on a tree of at most [`DEPTH_MAX`] levels below the root. The root is
//! nobody's account: it is not stored and has no id. Allocates when it is made, never after.

use core::num::NonZeroU32;

use crate::error::{Error, check_range, check_real};
use crate::handle::{Handle, Slab};
use crate::snapshot::Words;

/// Smallest and largest weight of an account: beyond a million to one, a share means nothing.
pub const WEIGHT_MIN: f64 = 0.001;
/// See [`WEIGHT_MIN`].
pub const WEIGHT_MAX: f64 = 1000.0;

/// Levels of accounts below the root. Organisation, division, department, team, project, user and
/// key are seven; the cost of every call of the ledger grows with the levels that are used.
pub const DEPTH_MAX: u32 = 8;

/// An account as the tree keeps it; named by an [`AccountId`].
#[derive(Debug)]
pub struct AccountEntry {
    weight: f64,
    /// Accounts opened before it, since the beginning.
    opened: u64,
    /// Index of the account above, or that of the root.
    parent: u32,
    children: u32,
    /// 1 directly below the root. Never zero, which tells a vacant slot from an account in no more
    /// memory.
    depth: NonZeroU32,
}

const _: () = assert!(size_of::<Option<AccountEntry>>() == 32);

/// Names an open account of one tree.
pub type AccountId = Handle<AccountEntry>;

/// Accounts, each below another one or below the root.
#[derive(Debug)]
pub struct AccountTree {
    accounts: Slab<AccountEntry>,
    /// Accounts opened since the beginning.
    opened: u64,
}

impl AccountTree {
    /// A tree without accounts. The only call that allocates.
    ///
    /// # Errors
    /// [`Error::Range`] unless `1 <= accounts_max < 2^32 - 1`.
    pub fn new(accounts_max: u32) -> Result<Self, Error> {
        Ok(Self { accounts: Slab::new("account", accounts_max)?, opened: 0 })
    }

    /// Bytes that a tree of this size takes from the heap.
    #[must_use]
    pub const fn bytes_needed(accounts_max: u32) -> u64 {
        Slab::<AccountEntry>::bytes_needed(accounts_max)
    }

    /// Opens an account below `parent`, or below the root.
    ///
    /// # Errors
    /// [`Error::RangeReal`] for a weight outside [`WEIGHT_MIN`]..=[`WEIGHT_MAX`];
    /// [`Error::Stale`] for an unknown parent; [`Error::Range`] on `depth` below one that is
    /// [`DEPTH_MAX`] deep; [`Error::Full`] when `accounts_max` are open.
    pub fn open(&mut self, parent: Option<AccountId>, weight: f64) -> Result<AccountId, Error> {
        check_real("weight", weight, WEIGHT_MIN, WEIGHT_MAX)?;
        let (above, depth) = match parent {
            Some(parent) => (parent.index(), self.accounts.get(parent)?.depth.saturating_add(1)),
            None => (self.root(), NonZeroU32::MIN),
        };
        check_range("depth", depth.get().into(), 1, DEPTH_MAX.into())?;
        let opened = self.opened;
        let entry = AccountEntry { weight, opened, parent: above, children: 0, depth };
        let account = self.accounts.insert(entry)?;
        self.opened += 1;
        if let Some(parent) = self.accounts.at_mut(above) {
            parent.children += 1;
        }
        Ok(account)
    }

    /// Closes an account that has no children; its id is stale from now on.
    ///
    /// # Errors
    /// [`Error::Stale`] for an unknown account, [`Error::Contradiction`] while it has children.
    pub fn close(&mut self, account: AccountId) -> Result<(), Error> {
        self.check_childless(account)?;
        let closed = self.accounts.remove(account)?;
        if let Some(parent) = self.accounts.at_mut(closed.parent) {
            parent.children -= 1;
        }
        Ok(())
    }

    /// `Ok` if the account may be closed.
    pub(super) fn check_childless(&self, account: AccountId) -> Result<(), Error> {
        match self.accounts.get(account)?.children {
            0 => Ok(()),
            children => Err(Error::Contradiction {
                field: "account",
                value: account.to_raw(),
                other: "children",
                other_value: children.into(),
            }),
        }
    }

    /// Changes the weight.
    ///
    /// # Errors
    /// As [`AccountTree::open`] for the weight; [`Error::Stale`] for an unknown account.
    pub fn set_weight(&mut self, account: AccountId, weight: f64) -> Result<(), Error> {
        check_real("weight", weight, WEIGHT_MIN, WEIGHT_MAX)?;
        self.accounts.get_mut(account)?.weight = weight;
        Ok(())
    }

    /// The weight of an account next to its siblings.
    ///
    /// # Errors
    /// [`Error::Stale`] for an unknown account.
    pub fn weight(&self, account: AccountId) -> Result<f64, Error> {
        Ok(self.accounts.get(account)?.weight)
    }

    /// The account above; `None` directly below the root.
    ///
    /// # Errors
    /// [`Error::Stale`] for an unknown account.
    pub fn parent(&self, account: AccountId) -> Result<Option<AccountId>, Error> {
        Ok(self.accounts.handle_at(self.accounts.get(account)?.parent))
    }

    /// The account with this index, such as one that [`super::Ledger::eligible`] named.
    #[must_use]
    pub fn account_at(&self, index: u32) -> Option<AccountId> {
        self.accounts.handle_at(index)
    }

    /// Levels from the root, 1 directly below it, at most [`DEPTH_MAX`].
    ///
    /// # Errors
    /// [`Error::Stale`] for an unknown account.
    pub fn depth(&self, account: AccountId) -> Result<u32, Error> {
        Ok(self.accounts.get(account)?.depth.get())
    }

    /// Accounts directly below this one.
    ///
    /// # Errors
    /// [`Error::Stale`] for an unknown account.
    pub fn children_len(&self, account: AccountId) -> Result<u32, Error> {
        Ok(self.accounts.get(account)?.children)
    }

    /// Accounts open.
    #[must_use]
    pub const fn len(&self) -> u32 {
        self.accounts.len()
    }

    /// True when no account is open.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.accounts.is_empty()
    }

    /// Accounts that may be open at once.
    #[must_use]
    pub const fn capacity(&self) -> u32 {
        self.accounts.capacity()
    }

    /// `Ok` if the account is open.
    pub(super) fn check(&self, account: AccountId) -> Result<(), Error> {
        self.accounts.get(account).map(drop)
    }

    /// The index that stands for the root: the first that no account can have.
    pub(super) const fn root(&self) -> u32 {
        self.accounts.capacity()
    }

    /// Index of the account above, or of the root.
    pub(super) fn parent_at(&self, index: u32) -> u32 {
        self.accounts.at(index).map_or(self.root(), |entry| entry.parent)
    }

    /// Index of the account above, or of the root, and the weight.
    pub(super) fn place_at(&self, index: u32) -> (u32, f64) {
        self.accounts.at(index).map_or((self.root(), 1.0), |entry| (entry.parent, entry.weight))
    }

    /// Levels from the root, 0 of the root itself.
    pub(super) fn depth_at(&self, index: u32) -> u32 {
        self.accounts.at(index).map_or(0, |entry| entry.depth.get())
    }

    /// Accounts opened since the beginning.
    pub(super) const fn opened(&self) -> u64 {
        self.opened
    }

    /// Place of an account in the order of opening, which decides between equals: lower was opened
    /// earlier.
    pub(super) fn opened_at(&self, index: u32) -> u64 {
        self.accounts.at(index).map_or(u64::MAX, |entry| entry.opened)
    }

    /// Indices of the open accounts, in order.
    pub(super) fn indices(&self) -> impl Iterator<Item = u32> + '_ {
        (0..self.capacity()).filter(|index| self.accounts.at(*index).is_some())
    }

    /// Tells who is open, below whom, with what weight and since when.
    pub(super) fn save_state(&self, save: &mut dyn FnMut(u64)) {
        self.accounts.save_state(save, |entry, save| {
            save(entry.parent.into());
            save(entry.weight.to_bits());
            save(entry.opened);
        });
        save(self.opened);
    }

    /// Takes what [`AccountTree::save_state`] told; counts and depths follow from it. After an
    /// error the tree must be cleared.
    pub(super) fn load_state(&mut self, words: &mut Words<'_>) -> Result<(), Error> {
        self.accounts.load_state(words, |words| {
            // Whether it is below the capacity, and in use, is found out on the way to the root.
            let parent = words.next_within("parent", 0, u32::MAX)?;
            let weight =
                check_real("weight", words.next_amount("weight")?, WEIGHT_MIN, WEIGHT_MAX)?;
            let (opened, depth) = (words.next_count("opened")?, NonZeroU32::MIN);
            Ok(AccountEntry { weight, opened, parent, children: 0, depth })
        })?;
        let opened = words.next_count("opened")?;
        self.opened = check_range("opened", opened, self.len().into(), u64::MAX)?;
        for index in 0..self.capacity() {
            let Some(entry) = self.accounts.at(index) else { continue };
            let above = entry.parent;
            check_range("opened", entry.opened, 0, self.opened - 1)?;
            let depth = NonZeroU32::new(self.measured_depth(index)?).unwrap_or(NonZeroU32::MIN);
            if let Some(parent) = self.accounts.at_mut(above) {
                parent.children += 1;
            }
            if let Some(entry) = self.accounts.at_mut(index) {
                entry.depth = depth;
            }
        }
        Ok(())
    }

    /// Counts the levels up to the root, giving up on a circle or a way to nowhere.
    fn measured_depth(&self, index: u32) -> Result<u32, Error> {
        let mut above = index;
        for depth in 0..=DEPTH_MAX {
            if above == self.root() {
                return Ok(depth);
            }
            let max = self.root().into();
            let entry = self.accounts.at(above).ok_or(Error::Range {
                field: "parent",
                value: above.into(),
                min: 0,
                max,
            })?;
            above = entry.parent;
        }
        let value = u64::from(DEPTH_MAX) + 1;
        Err(Error::Range { field: "depth", value, min: 1, max: DEPTH_MAX.into() })
    }

    /// Makes it as it was when new.
    pub(super) fn clear(&mut self) {
        self.accounts.clear();
        self.opened = 0;
    }
}
