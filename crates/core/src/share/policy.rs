//! A ledger with the accounts of a policy: what an operator writes down once.

use alloc::vec::Vec;

use super::{AccountId, Ledger, LedgerOptions};
use crate::error::Error;
use crate::policy::{Account, Policy, RateLimits, Way};
use crate::units::Nanos;

impl LedgerOptions {
    /// The parts that a policy says something about: its `limits.accounts_max` accounts with names,
    /// a lane for each class, its resources with all that is kept of them, its half-life, and rates if any account has one.
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
            replicas_max: 0,
        }
    }
}

impl Ledger {
    /// A ledger with the accounts of a policy open, each with its weight, its name if the ledger has
    /// names, its quota if it has resources, and its rates if it limits them. The account at place `i` of the policy has index
    /// `i`: [`account_at`](super::AccountTree::account_at) gives its id. Allocates as
    /// [`Ledger::new`], and 8 bytes an account that it gives back. O(accounts) where parts stand
    /// behind their parents.
    ///
    /// # Errors
    /// As [`Policy::validate`] and [`Ledger::new`]; [`Error::Contradiction`] for resources of
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
        Ok(ledger)
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
