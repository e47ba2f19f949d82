//! Whose pending task is looked at next?
//!
//! # What it decides
//! | order | next |
//! |---|---|
//! | [`PendingOrder::DominantShare`] | the first task of [`Ledger::most_deserving`], by what each account would be given next |
//! | [`PendingOrder::FairTree`] | the first task of [`Ledger::next_ranked`]; accounts with children, which have no rank, come after all others |
//! | [`PendingOrder::Arrival`] | the first task of all |
//!
//! # Bounds and cost
//! As those calls. Accounts with pending tasks are announced to the ledger when a cycle begins and
//! withdrawn when it ends, O(accounts).

use super::Placer;
use super::holdings::{amounts_of, held_by};
use crate::error::Error;
use crate::policy::PendingOrder;
use crate::share::{AccountId, Ledger, Ranking};

impl Placer {
    /// `Ok` if the ledger keeps what the order goes by.
    pub(super) fn check_order(&self, ledger: &mut Ledger) -> Result<(), Error> {
        match self.rules.order {
            PendingOrder::DominantShare => ledger.most_deserving().map(drop),
            PendingOrder::FairTree => ledger.next_ranked(Ranking::FairTree).map(drop),
            PendingOrder::Arrival => Ok(()),
        }
    }

    /// Tells the ledger who has something to be given.
    pub(super) fn announce_all(&self, ledger: &mut Ledger) -> Result<(), Error> {
        self.queues_waiting().try_for_each(|queue| self.announce(ledger, queue))
    }

    /// Tells the ledger that nobody has.
    pub(super) fn withdraw_all(&self, ledger: &mut Ledger) -> Result<(), Error> {
        for queue in self.queues_waiting() {
            if let Some(account) = self.holdings.account(ledger, queue) {
                self.withdraw(ledger, account)?;
            }
        }
        Ok(())
    }

    fn queues_waiting(&self) -> impl Iterator<Item = u32> {
        (0..self.pending.queues()).filter(|queue| self.pending.first(*queue).is_some())
    }

    /// Tells the ledger what the account of a queue would be given next, if anything.
    pub(super) fn announce(&self, ledger: &mut Ledger, queue: u32) -> Result<(), Error> {
        let Some(account) = self.holdings.account(ledger, queue) else { return Ok(()) };
        let Some(entry) = self.pending.first(queue).and_then(|first| self.tasks.at(first)) else {
            return self.withdraw(ledger, account);
        };
        match self.rules.order {
            PendingOrder::DominantShare => {
                let held = held_by(&entry.task, entry.task.members);
                let amounts = amounts_of(&held, ledger.resources());
                ledger.set_next_task(account, Some(&amounts))
            }
            PendingOrder::FairTree => ledger.set_ranked(account, true),
            PendingOrder::Arrival => Ok(()),
        }
    }

    fn withdraw(&self, ledger: &mut Ledger, account: AccountId) -> Result<(), Error> {
        match self.rules.order {
            PendingOrder::DominantShare => ledger.set_next_task(account, None),
            PendingOrder::FairTree => ledger.set_ranked(account, false),
            PendingOrder::Arrival => Ok(()),
        }
    }

    /// The queue and the index of the task that is looked at next.
    pub(super) fn next_in_order(&self, ledger: &mut Ledger) -> Result<Option<(u32, u32)>, Error> {
        let first = |queue: u32| self.pending.first(queue).map(|first| (queue, first));
        if self.rules.order == PendingOrder::Arrival {
            return Ok(first(0));
        }
        // Somebody whom another user of the ledger announced is passed over.
        for _ in 0..=ledger.tree().capacity() {
            let next = match self.rules.order {
                PendingOrder::FairTree => ledger.next_ranked(Ranking::FairTree)?,
                _ => ledger.most_deserving()?,
            };
            let Some(account) = next else { break };
            let is_ours = self.holdings.account(ledger, account.index()) == Some(account);
            match first(account.index()).filter(|_| is_ours) {
                Some(next) => return Ok(Some(next)),
                None => self.withdraw(ledger, account)?,
            }
        }
        let known = |queue: &u32| self.holdings.account(ledger, *queue).is_some();
        Ok(self.queues_waiting().find(known).and_then(first))
    }
}
