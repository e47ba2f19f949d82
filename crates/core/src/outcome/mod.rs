//! What did users feel?
//!
//! # What it decides
//! Nothing. [`Outcomes`] keeps the books by which every other desk is judged: how long users
//! waited, whether they got what they were promised, and whether some were served at the expense
//! of others; per class and per account.
//!
//! # Formula
//! | part | question | where |
//! |---|---|---|
//! | waiting, TTFT, TPOT, slowdown | what did one user feel? | [`ended`] |
//! | attainment, goodput, Apdex | what did one group feel? | [`tally`] |
//! | quantiles | how bad is it for the unlucky? | [`histogram`] |
//! | Jain's index, finish-time fairness | who got how much? | [`measures`] |
//! | service difference of accounts that wait together | who was passed over? | [`service`] |
//!
//! **GPU busy time is an effect.** It is kept here so that it can be shown beside what users felt,
//! and for no other use: a GPU can be busy all the time while users wait ten minutes, and idle a
//! third of it while nobody waits.
//!
//! # Bounds and cost
//! [`Outcomes::record`] is O(1); a wrong record changes nothing. All memory is taken in
//! [`Outcomes::new`]; [`Outcomes::bytes_needed`] says how much beforehand. A class takes 108 KB.
//! An account takes about 150 bytes, or 108 KB more with [`Options::account_histograms`]: off by
//! default, because a thousand accounts would take 108 MB.
//!
//! # What it is bad at
//! - It holds everything since it was built. For the last minute, keep a desk a minute and merge.
//! - Jain's index compares what accounts *got*, also when some asked for less: a low index is a
//!   question, the service difference is the answer.
//! - Averages over all classes are not offered, for they hide who pays.
//!
//! # Source
//! See each part.

pub mod ended;
pub mod histogram;
pub mod measures;
pub mod service;
mod state;
pub mod tally;

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::error::{Error, check_range, check_real};
use crate::policy::{CLASSES_MAX, Policy};
use crate::units::Nanos;

pub use ended::{Ended, Sample, Status, Targets};
pub use histogram::Histogram;
pub use service::{Difference, ServiceDifference, TokenCosts, Work};
pub use tally::{Counts, Histograms, Tally};

/// What the books hold beyond what the policy says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Options {
    /// Keep distributions per account, not only counts.
    pub account_histograms: bool,
    /// Accounts that may be compared while they are backlogged together; 1 to
    /// [`service::BACKLOGGED_MAX`]. Pairs take `8 * backlogged_max^2` bytes.
    pub backlogged_max: u32,
}

impl Default for Options {
    /// Counts per account, 64 backlogged accounts compared (32 KiB).
    fn default() -> Self {
        Self { account_histograms: false, backlogged_max: 64 }
    }
}

#[derive(Debug)]
struct ClassBook {
    targets: Targets,
    tally: Tally,
}

/// The books of what users felt.
#[derive(Debug)]
pub struct Outcomes {
    classes: Box<[ClassBook]>,
    accounts: Box<[Tally]>,
    service: ServiceDifference,
    options: Options,
    /// Earliest arrival, or earliest time told; `Nanos::MAX` while nothing was told.
    since: Nanos,
    until: Nanos,
    gpu_busy: Nanos,
}

impl Outcomes {
    /// Empty books for the classes, accounts, costs and objectives of `policy`.
    ///
    /// An account is named by an index below `limits.accounts_max`; those that the policy lists
    /// come first, in its order and with its weights.
    ///
    /// # Errors
    /// [`Error::Range`] or [`Error::RangeReal`] naming what is outside its range: no class or too
    /// many, more accounts than `accounts_max`, a weight, a cost, a floor or an option.
    pub fn new(policy: &Policy, options: Options) -> Result<Self, Error> {
        check_policy(policy)?;
        let accounts_max = policy.limits.accounts_max;
        let costs = costs_of(policy);
        let mut service = ServiceDifference::new(accounts_max, options.backlogged_max, costs)?;
        for account in 0..accounts_max {
            service.set_weight(account, policy.account_default_weight)?;
        }
        set_named_weights(&mut service, policy)?;
        let classes: Vec<ClassBook> = (0..policy.classes.len())
            .map(|index| ClassBook { targets: targets_of(policy, index), tally: Tally::new(true) })
            .collect();
        let accounts: Vec<Tally> =
            (0..accounts_max).map(|_| Tally::new(options.account_histograms)).collect();
        Ok(Self {
            classes: classes.into_boxed_slice(),
            accounts: accounts.into_boxed_slice(),
            service,
            options,
            since: Nanos::MAX,
            until: Nanos::ZERO,
            gpu_busy: Nanos::ZERO,
        })
    }

    /// Bytes that [`Outcomes::new`] takes from the heap for this policy and these options.
    #[must_use]
    pub fn bytes_needed(policy: &Policy, options: Options) -> u64 {
        let classes = policy.classes.len() as u64;
        let accounts = u64::from(policy.limits.accounts_max);
        let account_histograms = if options.account_histograms { accounts } else { 0 };
        let books = classes * size_of::<ClassBook>() as u64
            + accounts * size_of::<Tally>() as u64
            + (classes + account_histograms) * Histograms::BYTES_NEEDED;
        let (accounts_max, compared) = (policy.limits.accounts_max, options.backlogged_max);
        books.saturating_add(ServiceDifference::bytes_needed(accounts_max, compared))
    }

    /// Takes a changed policy without losing what was recorded. What was recorded before stays
    /// judged by the targets of its time; service is weighed with the new costs, and with the new
    /// weights of the accounts that the policy lists. Accounts opened at run time keep theirs.
    ///
    /// # Errors
    /// As [`Outcomes::new`], and [`Error::Contradiction`] when the number of classes or
    /// `accounts_max` is not that of the books. Then nothing has changed.
    pub fn adopt(&mut self, policy: &Policy) -> Result<(), Error> {
        check_policy(policy)?;
        let counts = (policy.classes.len() as u64, u64::from(policy.limits.accounts_max));
        self.check_layout(counts)?;
        self.service.set_costs(costs_of(policy))?;
        set_named_weights(&mut self.service, policy)?;
        for (index, class) in self.classes.iter_mut().enumerate() {
            class.targets = targets_of(policy, index);
        }
        Ok(())
    }

    /// Enters one request at its end. Records may come in any order.
    ///
    /// # Errors
    /// [`Error::Range`] for a class or account outside these books; else as [`Ended::judge`].
    pub fn record(&mut self, ended: &Ended) -> Result<(), Error> {
        let Some(class) = self.classes.get_mut(usize::from(ended.class)) else {
            return Err(outside("class", ended.class.into(), self.classes.len()));
        };
        let Some(account) = self.accounts.get_mut(ended.account as usize) else {
            return Err(outside("account", ended.account.into(), self.accounts.len()));
        };
        // Two ways to the same books: a sample that either may have made would be copied.
        if let Some(sample) = ended.judge_served(&class.targets) {
            class.tally.add(&sample);
            account.add(&sample);
        } else {
            let sample = ended.judge_any(&class.targets)?;
            enter(&sample, &mut class.tally, account);
        }
        self.since = self.since.min(ended.arrival);
        self.until = self.until.max(ended.ended);
        Ok(())
    }

    /// `account` was served `work`, all of it by `now`.
    ///
    /// # Errors
    /// As [`ServiceDifference::served`].
    pub fn served(&mut self, now: Nanos, account: u32, work: Work) -> Result<(), Error> {
        self.service.served(now, account, work)?;
        self.saw(now);
        Ok(())
    }

    /// `account` has requests waiting from `now` on, or has none any more.
    ///
    /// # Errors
    /// As [`ServiceDifference::set_backlogged`].
    pub fn set_backlogged(
        &mut self,
        now: Nanos,
        account: u32,
        backlogged: bool,
    ) -> Result<(), Error> {
        self.service.set_backlogged(now, account, backlogged)?;
        self.saw(now);
        Ok(())
    }

    /// How far apart accounts were, up to `now`; the observed span reaches to `now` as well.
    ///
    /// # Errors
    /// [`Error::TimeReversed`].
    pub fn difference(&mut self, now: Nanos) -> Result<Difference, Error> {
        let difference = self.service.difference(now)?;
        self.saw(now);
        Ok(difference)
    }

    /// Some GPU was busy for this long. An effect, kept to be shown beside what users felt.
    pub fn add_gpu_busy(&mut self, time: Nanos) {
        self.gpu_busy = self.gpu_busy.saturating_add(time);
    }

    /// GPU busy time in all.
    #[must_use]
    pub const fn gpu_busy(&self) -> Nanos {
        self.gpu_busy
    }

    /// Share of the observed span that `gpus` GPUs were busy; zero over no time or no GPU.
    #[must_use]
    pub fn utilization(&self, gpus: u32) -> f64 {
        let offered_s = self.span().as_seconds() * f64::from(gpus);
        if offered_s > 0.0 { self.gpu_busy.as_seconds() / offered_s } else { 0.0 }
    }

    /// From the first arrival, or the first time told, to the latest.
    #[must_use]
    pub const fn span(&self) -> Nanos {
        self.until.saturating_sub(self.since)
    }

    /// What users of a class felt; `None` outside the policy.
    #[must_use]
    pub fn class(&self, class: u16) -> Option<&Tally> {
        Some(&self.classes.get(usize::from(class))?.tally)
    }

    /// What an account felt; `None` at or above `accounts_max`.
    #[must_use]
    pub fn account(&self, account: u32) -> Option<&Tally> {
        self.accounts.get(account as usize)
    }

    /// Requests of a class that met both targets, per second of the observed span.
    #[must_use]
    pub fn goodput_per_s(&self, class: u16) -> Option<f64> {
        Some(self.class(class)?.counts().goodput_per_s(self.span()))
    }

    /// What accounts were served.
    #[must_use]
    pub const fn service(&self) -> &ServiceDifference {
        &self.service
    }

    /// Jain's index over the weighted service of every account that offered a request or was
    /// served; 1 when there is none.
    #[must_use]
    pub fn jain(&self) -> f64 {
        let took_part = self.accounts.iter().enumerate().filter_map(|(index, tally)| {
            let service = self.service.weighted_service(index as u32)?;
            (tally.counts().offered > 0 || service > 0.0).then_some(service)
        });
        measures::jain_of(took_part)
    }

    /// Sets the weight of an account that is opened at run time.
    ///
    /// # Errors
    /// As [`ServiceDifference::set_weight`].
    pub fn set_weight(&mut self, account: u32, weight: f64) -> Result<(), Error> {
        self.service.set_weight(account, weight)
    }

    /// Forgets an account, so that its place can be given to another. Its requests stay in the
    /// books of their classes.
    ///
    /// # Errors
    /// As [`ServiceDifference::forget`].
    pub fn forget_account(&mut self, now: Nanos, account: u32) -> Result<(), Error> {
        self.service.forget(now, account)?;
        if let Some(tally) = self.accounts.get_mut(account as usize) {
            tally.reset();
        }
        Ok(())
    }

    /// Adds what `other` holds: for records, as if all had been entered here. Service differences
    /// are those found inside each desk (see [`service`]).
    ///
    /// # Errors
    /// [`Error::Contradiction`] when the two differ in classes, targets, accounts or options: what
    /// was judged differently cannot be added. Then nothing has changed.
    pub fn merge(&mut self, other: &Self) -> Result<(), Error> {
        self.check_layout((other.classes.len() as u64, other.accounts.len() as u64))?;
        let (mine, theirs) = (self.options, other.options);
        check_same(
            "merged account_histograms",
            u64::from(theirs.account_histograms),
            "account_histograms",
            u64::from(mine.account_histograms),
        )?;
        for (mine, theirs) in self.classes.iter().zip(&other.classes) {
            mine.targets.check_same(&theirs.targets)?;
        }
        self.service.merge(&other.service)?;
        for (mine, theirs) in self.classes.iter_mut().zip(&other.classes) {
            mine.tally.merge(&theirs.tally)?;
        }
        for (mine, theirs) in self.accounts.iter_mut().zip(&other.accounts) {
            mine.merge(theirs)?;
        }
        self.since = self.since.min(other.since);
        self.until = self.until.max(other.until);
        self.add_gpu_busy(other.gpu_busy);
        Ok(())
    }

    fn check_layout(&self, (classes, accounts): (u64, u64)) -> Result<(), Error> {
        check_same("given classes", classes, "classes", self.classes.len() as u64)?;
        check_same("given accounts_max", accounts, "accounts_max", self.accounts.len() as u64)
    }

    fn saw(&mut self, now: Nanos) {
        self.since = self.since.min(now);
        self.until = self.until.max(now);
    }
}

#[cold]
fn enter(sample: &Sample, class: &mut Tally, account: &mut Tally) {
    class.add(sample);
    account.add(sample);
}

#[cold]
const fn outside(field: &'static str, value: u64, len: usize) -> Error {
    Error::Range { field, value, min: 0, max: len as u64 - 1 }
}

fn check_policy(policy: &Policy) -> Result<(), Error> {
    check_range("classes", policy.classes.len() as u64, 1, CLASSES_MAX as u64)?;
    let accounts_max = u64::from(policy.limits.accounts_max);
    check_range("accounts_max", accounts_max, 1, u64::from(service::ACCOUNTS_MAX))?;
    check_range("accounts", policy.accounts.len() as u64, 0, accounts_max)?;
    costs_of(policy).checked()?;
    let named = policy.accounts.iter().map(|account| account.weight);
    for weight in named.chain([policy.account_default_weight]) {
        check_real("weight", weight, service::WEIGHT_MIN, service::WEIGHT_MAX)?;
    }
    Ok(())
}

fn costs_of(policy: &Policy) -> TokenCosts {
    TokenCosts {
        prompt: policy.batch.prompt_token_cost,
        cached: policy.batch.cached_token_cost,
        output: policy.batch.output_token_cost_assumed(),
    }
}

fn set_named_weights(service: &mut ServiceDifference, policy: &Policy) -> Result<(), Error> {
    for (account, named) in (0..).zip(&policy.accounts) {
        service.set_weight(account, named.weight)?;
    }
    Ok(())
}

fn targets_of(policy: &Policy, class: usize) -> Targets {
    let (ttft, tpot) = policy
        .classes
        .get(class)
        .map_or((Nanos::MAX, Nanos::MAX), |class| (class.ttft_target, class.tpot_target));
    Targets { ttft, tpot, slowdown_floor: policy.objectives.slowdown_floor }
}

fn check_same(
    field: &'static str,
    value: u64,
    other: &'static str,
    other_value: u64,
) -> Result<(), Error> {
    if value == other_value {
        Ok(())
    } else {
        Err(Error::Contradiction { field, value, other, other_value })
    }
}

#[cfg(test)]
mod tests;
