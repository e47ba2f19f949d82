//! What may change while a gate works: the policy, the servers, accounts.
//!
//! # Bounds and cost
//! `apply` is O(classes * accounts * log accounts), the others O(classes). None allocates.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::confidence;
use super::usage::Growing;
use super::{Gate, SERVERS_MAX};
use crate::error::{Error, check_range};
use crate::policy::{Class, GateRules, Policy, Way};
use crate::share::{AccountId, Ledger, LedgerOptions};
use crate::snapshot;
use crate::units::Nanos;

/// Accounts only: usage fades here in another way than tokens are counted.
pub(super) fn ledger_options(accounts_max: u32) -> LedgerOptions {
    LedgerOptions { accounts_max, lanes: 0, ..LedgerOptions::default() }
}

/// Opens the accounts of a policy, each at its place.
pub(super) fn open(ledger: &mut Ledger, policy: &Policy) -> Result<Box<[AccountId]>, Error> {
    let mut opened: Vec<AccountId> = Vec::with_capacity(policy.accounts.len());
    let mut way = Way::default();
    for (index, account) in policy.accounts.iter().enumerate() {
        let parent = way.step(&policy.accounts, index)?.map(|above| opened[above]);
        opened.push(ledger.open(parent, account.weight)?);
    }
    Ok(opened.into_boxed_slice())
}

/// How long requests of a class may wait.
pub(super) fn target(policy: &Policy, class: &Class) -> Nanos {
    let target_s = class.ttft_target.as_seconds() * policy.gate.wait_ratio;
    let target = Nanos(Nanos::from_seconds(target_s).get().max(1));
    if class.queue.wait_max == Nanos::ZERO { target } else { target.min(class.queue.wait_max) }
}

/// Field and place of each name of a policy, and a key made of it: of accounts, then of classes.
/// Names are told apart by 64 bits.
pub(super) fn keys(policy: &Policy) -> impl Iterator<Item = (&'static str, u64, u64)> {
    let accounts = policy.accounts.iter().map(|account| account.name.as_str());
    let classes = policy.classes.iter().map(|class| class.name.as_str());
    let key = |name: &str| snapshot::digest(|put| name.bytes().for_each(|byte| put(byte.into())));
    let named = |field| move |(place, name)| (field, place, key(name));
    (0..)
        .zip(accounts)
        .map(named("account[].name (key)"))
        .chain((0..).zip(classes).map(named("class[].name (key)")))
}

/// Standard deviations of the confidence that is in force.
pub(super) fn deviations(rules: &GateRules) -> f64 {
    confidence::deviations(if rules.expiry {
        rules.expiring_confidence_ratio
    } else {
        rules.lasting_confidence_ratio
    })
}

impl Gate {
    /// Takes a changed policy; nothing that waits or runs is lost. Targets, guarantees, weights and
    /// rules hold from now on, for what waits as well.
    ///
    /// # Errors
    /// As [`Policy::validate`]; [`Error::Range`] if it has another number of classes or accounts,
    /// or another `requests_max` or `accounts_max`, than the one the gate was built with: these are
    /// fixed; [`Error::Contradiction`] if an account has another parent, or an account or a class
    /// another name: requests and handles know them by their places.
    pub fn apply(&mut self, policy: &Policy) -> Result<(), Error> {
        let limits = &policy.limits;
        let (requests_max, accounts_max) = (self.requests.capacity(), self.names_max());
        let fixed = [
            ("classes", policy.classes.len() as u64, self.lines.len() as u64),
            ("accounts", policy.accounts.len() as u64, self.policy_accounts.len() as u64),
            ("requests_max", limits.requests_max.into(), requests_max.into()),
            ("accounts_max", limits.accounts_max.into(), accounts_max.into()),
        ];
        for (field, given, built) in fixed {
            check_range(field, given, built, built)?;
        }
        policy.validate_in(&mut self.names)?;
        self.check_places(policy)?;
        self.check_names(policy)?;
        for (account, wanted) in self.policy_accounts.iter().zip(&policy.accounts) {
            let weighed = self.ledger.set_weight(*account, wanted.weight);
            debug_assert!(weighed.is_ok(), "accounts of the policy stay open");
        }
        for (line, class) in self.lines.iter_mut().zip(&policy.classes) {
            line.target = target(policy, class);
            line.guaranteed_ratio = class.guaranteed_ratio;
        }
        let growing = Growing::new(policy.gate.usage_memory);
        let change = self.growing.change_to(&growing, self.now);
        for fairness in &mut self.fairness {
            fairness.reorder(&self.ledger, |usage| usage.times(change));
        }
        self.growing = growing;
        self.rules = policy.gate;
        self.z = deviations(&policy.gate);
        self.caution = 0.0;
        Ok(())
    }

    /// From now on there are so many servers. More may run than that for a while.
    ///
    /// # Errors
    /// [`Error::TimeReversed`]; [`Error::Range`] on `servers`.
    pub fn capacity(&mut self, now: Nanos, servers: u32) -> Result<(), Error> {
        self.check_time(now)?;
        check_range("servers", servers.into(), 0, SERVERS_MAX.into())?;
        self.pass(now);
        self.servers = servers;
        Ok(())
    }

    /// The account at this place in the policy's list.
    #[must_use]
    pub fn policy_account(&self, index: usize) -> Option<AccountId> {
        self.policy_accounts.get(index).copied()
    }

    /// Opens an account that the policy does not name, as part of `parent` or on the first level.
    ///
    /// # Errors
    /// As [`Ledger::open`].
    pub fn open_account(
        &mut self,
        parent: Option<AccountId>,
        weight: f64,
    ) -> Result<AccountId, Error> {
        let account = self.ledger.open(parent, weight)?;
        self.fairness.iter_mut().for_each(|fairness| fairness.open(account.index(), weight));
        Ok(account)
    }

    /// Closes an account without requests. Those that the policy names stay open.
    ///
    /// # Errors
    /// [`Error::Stale`] for an unknown account; [`Error::Contradiction`] while it has requests or
    /// children, or if the policy names it.
    pub fn close_account(&mut self, account: AccountId) -> Result<(), Error> {
        self.ledger.weight(account)?;
        let contradicts = |other, other_value| {
            let (field, value) = ("account", account.to_raw());
            Err(Error::Contradiction { field, value, other, other_value })
        };
        if let Some(place) = self.policy_accounts.iter().position(|named| *named == account) {
            return contradicts("place in the policy", place as u64);
        }
        match self.account_requests[account.index() as usize] {
            0 => self.ledger.close(account),
            requests => contradicts("requests", requests.into()),
        }
    }

    /// Accounts and classes must be those that they were: others would get their usage and what
    /// waits.
    fn check_names(&self, policy: &Policy) -> Result<(), Error> {
        let other = "place in the policy";
        match self.keys.iter().zip(keys(policy)).find(|(key, (_, _, given))| *key != given) {
            None => Ok(()),
            Some((_, (field, other_value, value))) => {
                Err(Error::Contradiction { field, value, other, other_value })
            }
        }
    }

    fn names_max(&self) -> u32 {
        self.ledger.tree().capacity()
    }

    /// Accounts must stand where they stood: moving one would have to move its usage.
    fn check_places(&self, policy: &Policy) -> Result<(), Error> {
        let mut way = Way::default();
        for (index, account) in self.policy_accounts.iter().enumerate() {
            let above = way.step(&policy.accounts, index)?;
            let parent = above.map(|above| self.policy_accounts[above]);
            if self.ledger.parent(*account)? != parent {
                let value = parent.map_or(0, AccountId::to_raw);
                let (field, other) = ("account[].parent", "account");
                return Err(Error::Contradiction {
                    field,
                    value,
                    other,
                    other_value: index as u64,
                });
            }
        }
        Ok(())
    }
}
