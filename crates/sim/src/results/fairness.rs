//! Service difference inside each class: accounts compared only with those that wait in the same
//! class, by the service of that class.
//!
//! Over all classes together an account with batch work waiting counts as backlogged while
//! others' interactive requests are served before it, so the difference of any policy that puts
//! classes first grows without end. Inside a class that policy can be held to its bound.

use rampmeter::outcome::{ServiceDifference, TokenCosts, Work};
use rampmeter::{Error, Nanos};

use crate::workload::{Request, Workload};

/// One tracker a class, and who waits there.
pub(super) struct ClassFairness {
    trackers: Vec<ServiceDifference>,
    /// Requests waiting, by class and then account.
    waiting: Vec<u32>,
    accounts: usize,
}

impl ClassFairness {
    pub(super) fn new(
        workload: &Workload,
        backlogged_max: u32,
        costs: TokenCosts,
    ) -> Result<Self, Error> {
        let accounts = workload.accounts.len();
        let tracker = |_| {
            let mut tracker = ServiceDifference::new(accounts as u32, backlogged_max, costs)?;
            for (index, account) in (0_u32..).zip(&workload.accounts) {
                tracker.set_weight(index, account.weight)?;
            }
            Ok(tracker)
        };
        Ok(Self {
            trackers: (0..workload.classes.len()).map(tracker).collect::<Result<_, Error>>()?,
            waiting: vec![0; workload.classes.len() * accounts],
            accounts,
        })
    }

    /// A request was served.
    pub(super) fn served(
        &mut self,
        now: Nanos,
        request: &Request,
        work: Work,
    ) -> Result<(), Error> {
        self.trackers[usize::from(request.class)].served(now, request.account, work)
    }

    /// A request began to wait, or waits no longer.
    pub(super) fn set_waiting(
        &mut self,
        now: Nanos,
        request: &Request,
        waits: bool,
    ) -> Result<(), Error> {
        let class = usize::from(request.class);
        let waiting = &mut self.waiting[class * self.accounts + request.account as usize];
        let before = *waiting;
        *waiting = if waits { before + 1 } else { before.saturating_sub(1) };
        if (before == 0) == (*waiting == 0) {
            return Ok(());
        }
        self.trackers[class].set_backlogged(now, request.account, waits)
    }

    /// The largest difference in each class, up to `end`.
    pub(super) fn largest(&mut self, end: Nanos) -> Result<Vec<f64>, Error> {
        self.trackers.iter_mut().map(|tracker| Ok(tracker.difference(end)?.max)).collect()
    }
}
