//! Queues as words: limits that were set at run time, and paces. What waits follows from the
//! requests, and the limits of classes from the policy.

use super::{AccountQueue, NOBODY, Pace, Queue, Queues};
use crate::batch::continuous::request::Request;
use crate::error::Error;
use crate::policy::QueueLimits;
use crate::share::{AccountId, AccountTree};
use crate::snapshot::Words;
use crate::units::Nanos;

impl Queues {
    /// `tree` says which accounts are open.
    pub(in super::super) fn save_state(&self, tree: &AccountTree, save: &mut dyn FnMut(u64)) {
        let Self { classes, accounts, default_limits: _, accounts_waiting: _, shed, expired } =
            self;
        for Queue { limits: _, requests: _, tokens: _, pace } in classes {
            pace.save_state(save);
        }
        for (index, AccountQueue { queue, parent: _ }) in (0..).zip(accounts) {
            if tree.account_at(index).is_none() {
                continue;
            }
            let Queue { limits, requests: _, tokens: _, pace } = queue;
            let QueueLimits { requests_max, tokens_max, wait_max } = limits;
            for word in [u64::from(*requests_max), *tokens_max, wait_max.get()] {
                save(word);
            }
            pace.save_state(save);
        }
        save(*shed);
        save(*expired);
    }

    /// Takes limits and paces; nothing waits yet.
    pub(in super::super) fn load_state(
        &mut self,
        tree: &AccountTree,
        words: &mut Words<'_>,
    ) -> Result<(), Error> {
        for queue in &mut self.classes {
            queue.pace = Pace::load_state(words)?;
        }
        for (index, entry) in (0..).zip(&mut self.accounts) {
            let Some(account) = tree.account_at(index) else { continue };
            let limits = QueueLimits {
                requests_max: words.next_u32("requests_max")?,
                tokens_max: words.next()?,
                wait_max: Nanos(words.next()?),
            };
            limits.check()?;
            let parent = tree.parent(account)?.map_or(NOBODY, AccountId::index);
            let queue = Queue { pace: Pace::load_state(words)?, ..Queue::new(limits) };
            *entry = AccountQueue { queue, parent };
        }
        self.shed = words.next_count("shed")?;
        self.expired = words.next_count("expired")?;
        Ok(())
    }

    /// A restored request waits for its first seat: the clocks of its queues run already.
    pub(in super::super) fn find(&mut self, request: &Request) {
        let tokens = u64::from(request.prompt_tokens);
        let class = &mut self.classes[usize::from(request.class)];
        (class.requests, class.tokens) = (class.requests + 1, class.tokens + tokens);
        let mut index = request.account.index();
        while let Some(AccountQueue { queue, parent }) = self.accounts.get_mut(index as usize) {
            self.accounts_waiting += u32::from(queue.requests == 0);
            (queue.requests, queue.tokens) = (queue.requests + 1, queue.tokens + tokens);
            index = *parent;
        }
    }
}
