//! A ledger with the accounts of a policy: what an operator writes down once.

use alloc::vec::Vec;

use super::exchange::path_key;
use super::{AccountId, Ledger, LedgerOptions};
use crate::error::Error;
use crate::policy::{Account, Policy, RateLimits, Way};
use crate::units::Nanos;

impl LedgerOptions {
    /// The parts that a policy says something about: its `limits.accounts_max` accounts with names,
    /// a lane for each class, its resources with all that is kept of them, its half-life, rates if any
    /// account has one, and its `limits.replicas_max` others to exchange with.
    #[must_use]
    pub fn of_policy(policy: &Policy) -> Self {
        let is_limited =
            |rates: &RateLimits| rates.requests_per_minute > 0 || rates.tokens_per_minute > 0;
        Self {
            accounts_max: policy.limits.accounts_max,
            lanes: policy.classes.len() as u32,
            resources: policy.resources.len() as u32,
            dominant: !policy.resources.is_empty(),
            borrowing: !policy.resources.is_empty(),
            half_life: policy.history.half_life,
            rates: is_limited(&policy.account_default_rates)
                || policy.accounts.iter().any(|account| is_limited(&account.rates)),
            names: true,
            replicas_max: policy.limits.replicas_max,
        }
    }
}

impl Ledger {
    /// A ledger with the accounts of a policy open, each with its weight, its name if the ledger has
    /// names, its quota if it has resources, its rates if it limits them, and the key of its names
    /// ([`path_key`]) if it exchanges with others. The account at place `i` of the policy has index
    /// `i`: [`account_at`](super::AccountTree::account_at) gives its id. Allocates as
    /// [`Ledger::new`], and 8 bytes an account that it gives back, 24 with keys. O(accounts) where
    /// parts stand behind their parents, with keys O(accounts * log accounts).
    ///
    /// # Errors
    /// As [`Policy::validate`] and [`Ledger::new`]; [`Error::Duplicate`] on `key` if the names of
    /// two accounts have one; [`Error::Contradiction`] for resources of
    /// another number than the policy has; [`Error::Full`] for more accounts than `accounts_max`;
    /// [`Error::Range`] for a name with `/` or a control character in it, if the ledger has names.
    pub fn from_policy(options: &LedgerOptions, policy: &Policy) -> Result<Self, Error> {
        policy.validate()?;
        let (value, other_value) = (options.resources.into(), policy.resources.len() as u64);
        if value != 0 && value != other_value {
            let (field, other) = ("resources", "resources of the policy");
            return Err(Error::Contradiction { field, value, other, other_value });
        }
        let mut ledger = Self::new(options)?;
        let mut opened: Vec<AccountId> = Vec::with_capacity(policy.accounts.len());
        let mut way = Way::default();
        for (index, account) in policy.accounts.iter().enumerate() {
            let above = way.step(&policy.accounts, index)?;
            let parent = above.and_then(|place| opened.get(place).copied());
            opened.push(ledger.open_named(options, parent, account)?);
        }
        if options.replicas_max > 0 {
            ledger.set_path_keys(policy, &opened)?;
        }
        Ok(ledger)
    }

    /// Gives the accounts of a valid policy, opened in its order, the keys of their names.
    /// O(accounts * log accounts); allocates.
    pub(crate) fn set_path_keys(
        &mut self,
        policy: &Policy,
        opened: &[AccountId],
    ) -> Result<(), Error> {
        let mut way = Way::default();
        let mut keys: Vec<(u64, AccountId)> = Vec::with_capacity(opened.len());
        for (index, account) in opened.iter().enumerate() {
            way.step(&policy.accounts, index)?;
            keys.push((path_key(way.names(&policy.accounts)), *account));
        }
        // In their order each goes to the end of the list, and nothing has to be moved.
        keys.sort_unstable_by_key(|(key, account)| (*key, account.index()));
        keys.into_iter().try_for_each(|(key, account)| self.set_key(account, key))
    }

    fn open_named(
        &mut self,
        options: &LedgerOptions,
        parent: Option<AccountId>,
        account: &Account,
    ) -> Result<AccountId, Error> {
        let opened = self.open(parent, account.weight)?;
        if options.names {
            self.set_name(opened, &account.name)?;
        }
        if options.resources > 0 {
            self.set_quota(opened, &account.quota)?;
        }
        if options.rates {
            self.set_rates(Nanos::ZERO, opened, &account.rates)?;
        }
        Ok(opened)
    }
}
