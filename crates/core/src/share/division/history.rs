//! The capacity of a ledger, divided with regard to the history that it keeps.
//!
//! # Formula
//! ```text
//! window    = half_life / ln 2                         weight of all the past, as seconds of now
//! average   = usage(a, now) / (usage_per_s_max * window)
//! usage     = average * capacity_r                     for each resource r, in the formula of division
//! ```
//! Who has used a constant part of everything for ever has just that part as its average: the
//! integral of `2^(-t / half_life)` over all the past is the window. History is one number for each
//! account, so that the past counts alike for all resources: who has used the GPUs goes behind
//! for the CPUs as well, whose use was weighed into the same number or left out by the host.

use core::f64::consts::LN_2;

use super::check_rules;
use super::ledger::Rules;
use crate::error::{Error, check_real};
use crate::share::{Amounts, Ledger, RESOURCES_MAX};
use crate::units::Nanos;

/// Largest rate, 2^62: that of the largest capacity. The smallest is one part in as many, so that
/// quotients stay far from the ends of `f64`.
const RATE_MAX: f64 = (1_u64 << 62) as f64;

/// How a ledger divides its capacity by the history that it keeps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HistoryDivision {
    /// The `k` of the formula, 0 to [`USAGE_WEIGHT_MAX`](super::USAGE_WEIGHT_MAX); 0: past usage
    /// does not count.
    pub usage_weight: f64,
    /// What [`Ledger::record_usage`] would be told of one second in which all of the capacity is in
    /// use, 2^-62 to 2^62 in the unit of those records: 64 where GPU seconds are recorded of a
    /// cluster of 64 GPUs, what 64 GPUs cost in a second where bills are.
    pub usage_per_s_max: f64,
    /// For each resource, what shares beyond guarantees are whole multiples of, 1 to 2^62. Those of
    /// resources that are not there are not looked at.
    pub units: Amounts,
}

impl HistoryDivision {
    /// By ones of each resource.
    #[must_use]
    pub const fn new(usage_weight: f64, usage_per_s_max: f64) -> Self {
        Self { usage_weight, usage_per_s_max, units: Amounts([1; RESOURCES_MAX]) }
    }
}

impl Ledger {
    /// Divides the capacity as [`Ledger::divide`] does, with past usage out of the history as it
    /// counts at `now`. What closed accounts used counts as used by the account above them itself.
    /// Cost as there; no memory.
    ///
    /// A ledger that began less than some half-lives ago knows of little usage: the past then
    /// counts for less than it will.
    ///
    /// # Errors
    /// [`Error::Range`] on `half_life_ns` for a ledger without history, on `resources` if there are
    /// none, and for `units` outside `1..=2^62`; [`Error::RangeReal`] for a `usage_weight` outside
    /// `0..=10^6`, or `usage_per_s_max` outside `2^-62..=2^62`; [`Error::TimeReversed`] before the
    /// last record.
    pub fn divide_by_history(
        &mut self,
        now: Nanos,
        division: &HistoryDivision,
    ) -> Result<(), Error> {
        let HistoryDivision { usage_weight, usage_per_s_max, units } = division;
        check_rules(*usage_weight, units, self.quotas.check_present()?)?;
        check_real("usage_per_s_max", *usage_per_s_max, RATE_MAX.recip(), RATE_MAX)?;
        let history = &self.history;
        history.decay.check_time(now)?;
        let window_s = history.decay.half_life().as_seconds() / LN_2;
        let average = history.decay.at(now, 1.0) / (usage_per_s_max * window_s);
        let capacity = self.quotas.capacity;
        let past = |index: u32, resource: usize| {
            history.levels.seat(index).used.get() * average * capacity.0[resource] as f64
        };
        self.quotas.divide(&self.tree, &Rules { usage_weight: *usage_weight, units, past });
        Ok(())
    }
}
