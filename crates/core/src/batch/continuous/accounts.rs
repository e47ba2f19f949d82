//! Accounts of one batcher: those of the policy, and those opened at run time.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::Batcher;
use crate::error::Error;
use crate::policy::{Policy, Way};
use crate::share::exchange::path_key;
use crate::share::{AccountId, Ledger};

/// Opens the accounts of the policy, parents before their parts, with the keys by which other
/// engines know them if there may be any.
pub(super) fn open(ledger: &mut Ledger, policy: &Policy) -> Result<Box<[AccountId]>, Error> {
    let mut opened: Vec<AccountId> = Vec::with_capacity(policy.accounts.len());
    let mut way = Way::default();
    for (index, account) in policy.accounts.iter().enumerate() {
        let parent = way.step(&policy.accounts, index)?.map(|above| opened[above]);
        opened.push(ledger.open(parent, account.weight)?);
    }
    if policy.limits.replicas_max > 0 {
        ledger.set_path_keys(policy, &opened)?;
    }
    Ok(opened.into_boxed_slice())
}

impl Batcher {
    /// The account at this place in the policy's list.
    #[must_use]
    pub fn policy_account(&self, index: usize) -> Option<AccountId> {
        self.policy_accounts.get(index).copied()
    }

    /// Opens an account that the policy does not name, as part of `parent` or on the first level,
    /// with the queue limits and rates of `account_default`.
    ///
    /// # Errors
    /// As [`Ledger::open`].
    pub fn open_account(
        &mut self,
        parent: Option<AccountId>,
        weight: f64,
    ) -> Result<AccountId, Error> {
        let account = self.lines.ledger.open(parent, weight)?;
        self.set_account_rates(account, self.default_rates)?;
        self.account_requests[account.index() as usize] = 0;
        self.lines.open(account);
        self.queues.open(account, parent);
        self.forget_lengths(account);
        Ok(account)
    }

    /// Changes an account's weight from now on.
    ///
    /// # Errors
    /// As [`Ledger::set_weight`].
    pub fn set_account_weight(&mut self, account: AccountId, weight: f64) -> Result<(), Error> {
        self.lines.ledger.set_weight(account, weight)
    }

    /// Closes an account without requests. Those that the policy names stay open, because a
    /// changed policy sets their weights. A request that has ended does not count, even while a
    /// step in flight still names it. O(accounts of the policy).
    ///
    /// # Errors
    /// [`Error::Stale`] for an unknown account; [`Error::Contradiction`] while it has requests, or
    /// if the policy names it.
    pub fn close_account(&mut self, account: AccountId) -> Result<(), Error> {
        self.lines.ledger.weight(account)?;
        let contradicts = |other, other_value| {
            Err(Error::Contradiction {
                field: "account",
                value: account.to_raw(),
                other,
                other_value,
            })
        };
        if let Some(place) = self.policy_accounts.iter().position(|named| *named == account) {
            return contradicts("place in the policy", place as u64);
        }
        match self.account_requests[account.index() as usize] {
            0 => self.lines.ledger.close(account),
            requests => contradicts("requests", requests.into()),
        }
    }

    /// The accounts of a changed policy must stand where they stood: moving one would have to move
    /// the service it received. Where others know them by their names, these must be the same, too.
    pub(super) fn check_places(&self, policy: &Policy) -> Result<(), Error> {
        let mut way = Way::default();
        for (index, account) in self.policy_accounts.iter().enumerate() {
            let above = way.step(&policy.accounts, index)?;
            let parent = above.map(|above| self.policy_accounts[above]);
            if self.lines.ledger.parent(*account)? != parent {
                return Err(Error::Contradiction {
                    field: "account[].parent",
                    value: parent.map_or(0, AccountId::to_raw),
                    other: "account",
                    other_value: index as u64,
                });
            }
            if policy.limits.replicas_max == 0 {
                continue;
            }
            let key = path_key(way.names(&policy.accounts));
            if self.lines.ledger.account_of(key) != Some(*account) {
                return Err(Error::Contradiction {
                    field: "account[].name (key)",
                    value: key,
                    other: "account",
                    other_value: index as u64,
                });
            }
        }
        Ok(())
    }
}
