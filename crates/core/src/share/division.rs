//! Division of capacity: how much of each resource is whose.
//!
//! # What it decides
//! The fair share of every account: what it may count on of each resource, given what everybody
//! asks for. It moves nothing; who may start and who must give back is decided by comparing what an
//! account holds with its share.
//!
//! # Formula
//! Among siblings, for one resource, `total` to divide, `request` what each holds and asks for:
//! ```text
//! first       share = min(quota, request, limit)
//! what is     by descending over-quota priority, in each among those with
//! left, R     rest = min(request, limit) - share > 0  and  over_quota_weight > 0:
//!               n     = over_quota_weight / sum of over_quota_weight
//!               w     = max(0, n + k * (n - usage))
//!               share += min(rest, level * w),  the level such that they take R, or all their rest
//! rounding    each part down to whole units; what that leaves unit by unit, the largest fraction
//!             first, then the account opened first, then the lowest id
//! at last     with k > 0, what those with w > 0 do not want, in the same way with w = n
//! ```
//! The level is where rounds of `R * w / sum w` end, of which each account takes no more than its
//! rest and another round divides what is left over. Here only those take part in a round that
//! are covered by it, so that fractions are rounded once, at the end, and not in every round.
//!
//! In a tree the children of an account divide its share, from the top down. What the account itself
//! holds and asks for competes with them as one more child of quota 0, without limit, of over-quota
//! weight 1 and priority 0. A request counts as far as limits below let it be served. Where quotas
//! exceed what there is, see [`Excess`]. Usage is told ([`Ledger::divide`](super::Ledger::divide)),
//! or out of the history that is kept
//! ([`Ledger::divide_by_history`](super::Ledger::divide_by_history)).
//!
//! # Bounds and cost
//! Every part is within one unit of `level * w`; sums are exact. O(n log n) for n siblings and one
//! resource, and O(accounts) more for a tree that changed; no memory is taken. Weights are divided by
//! a power of two so that all siblings fit into 62 bits: next to the heaviest one, a weight counts to
//! one part in 2^60 / n, and as no less than that.
//!
//! # What it is bad at
//! Largest fractions have the paradox of all such methods: with one unit more to divide, somebody may
//! get one unit less. Resources are divided one by one: nobody is paid in memory for what it lacks in
//! GPUs (that is what dominant shares are for). A share is a number and no place: that it fits onto
//! nodes is not looked at.
//!
//! # Source
//! `KAI-Scheduler`, division of resources in its proportion plugin: quota, over-quota weight and
//! priority, usage with weight k, order of the remainder. Max-min fairness by progressive filling:
//! Bertsekas and Gallager, "Data Networks", 6.5.2. The largest fraction: A. Hamilton, 1792.

use super::quota::{AMOUNT_MAX, Amounts, OVER_QUOTA_WEIGHT_MAX, RESOURCES_MAX};
use super::tree::AccountTree;
use crate::error::{Error, check_range, check_real};

mod fill;
mod history;
mod ledger;

use fill::{fill, weigh, weigh_guarantees};
pub use history::HistoryDivision;
pub use ledger::ShareParts;

/// Largest weight of past usage: at a million, one part in a million of the capacity weighs as much
/// as all weights together, and history alone decides.
pub const USAGE_WEIGHT_MAX: f64 = 1e6;

/// What happens when what is guaranteed to siblings exceeds what there is to divide.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Excess {
    /// Everybody keeps its guarantee, and the sum of shares exceeds the total. For the accounts
    /// directly below the root: whoever promised more than there is must break the promise, and no
    /// formula knows which.
    #[default]
    Keep,
    /// The total is divided in proportion to the guarantees. For accounts below others: nobody can
    /// pass on more than it was given, so that an account cannot gain against its siblings by what
    /// is written below it.
    Cut,
}

/// What is divided among siblings, and how.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Level {
    /// The amount to divide.
    pub total: u64,
    /// Beyond guarantees, shares are whole multiples of this as far as requests are, 1 to 2^62: 1,000
    /// for milli-GPU of which only whole GPUs are of use.
    pub unit: u64,
    /// The `k` of the formula, 0 to [`USAGE_WEIGHT_MAX`]; 0: past usage does not count.
    pub usage_weight: f64,
    /// What happens when guarantees exceed the total.
    pub excess: Excess,
}

impl Default for Level {
    /// Nothing to divide, by ones, without regard to the past.
    fn default() -> Self {
        Self { total: 0, unit: 1, usage_weight: 0.0, excess: Excess::Keep }
    }
}

/// One of the siblings that one resource is divided among.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C)]
pub struct Claim {
    /// Names it, and decides the last ties; unique among the siblings.
    pub id: u32,
    /// Siblings of a higher priority take what is left over before others.
    pub over_quota_priority: i32,
    /// Guaranteed; `u64::MAX`: all that it asks for.
    pub quota: u64,
    /// The most it may have; `u64::MAX`: no limit.
    pub limit: u64,
    /// What it holds and asks for.
    pub request: u64,
    /// Its part of what is left over, 0 to 10^12; 0: nothing beyond its quota.
    pub over_quota_weight: f64,
    /// Past usage as a part of the total: 1 for one that had all of it. Not below 0.
    pub usage: f64,
    /// When it was opened, in any order that grows: the oldest takes the remainder first.
    pub opened_at: u64,
    /// The answer.
    pub share: u64,
    /// Room to work in; what stands there before does not matter.
    pub scratch: Scratch,
}

/// Room to work in, in each [`Claim`].
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[repr(C)]
pub struct Scratch {
    /// What it may still have.
    rest: u64,
    weight: u64,
    /// What was rounded away: units of the resource, and of those that were rounded away the part
    /// by the weights.
    fraction: (u64, u64),
}

impl Default for Claim {
    /// Asks for nothing, without quota or limit, over-quota weight 1.
    fn default() -> Self {
        Self {
            id: 0,
            over_quota_priority: 0,
            quota: 0,
            limit: u64::MAX,
            request: 0,
            over_quota_weight: 1.0,
            usage: 0.0,
            opened_at: 0,
            share: 0,
            scratch: Scratch::default(),
        }
    }
}

/// Divides one resource among siblings: `share` of every claim is set. Returns what nobody wants or
/// may have. Claims come back by `id`; in what order they came does not matter (with
/// `usage_weight > 0` but for the last bit of a sum of weights). O(n log n).
///
/// # Errors
/// [`Error::Range`] unless `1 <= unit <= 2^62`; [`Error::RangeReal`] for a `usage_weight` outside
/// `0..=10^6`, an `over_quota_weight` outside `0..=10^12` or a `usage` that is negative or not
/// finite. Nothing was changed then.
pub fn divide_level(level: &Level, claims: &mut [Claim]) -> Result<u64, Error> {
    check_range("unit", level.unit, 1, AMOUNT_MAX)?;
    check_real("usage_weight", level.usage_weight, 0.0, USAGE_WEIGHT_MAX)?;
    for claim in claims.iter() {
        check_real("over_quota_weight", claim.over_quota_weight, 0.0, OVER_QUOTA_WEIGHT_MAX)?;
        check_real("usage", claim.usage, 0.0, f64::MAX)?;
    }
    let left = divide_checked(level, claims);
    claims.sort_unstable_by_key(|claim| claim.id);
    Ok(left)
}

/// The same with claims that are known to be sound, which come back in any order.
fn divide_checked(level: &Level, claims: &mut [Claim]) -> u64 {
    let mut guaranteed = 0_u128;
    for claim in claims.iter_mut() {
        claim.share = claim.quota.min(claim.request).min(claim.limit);
        guaranteed += u128::from(claim.share);
    }
    let Some(mut left) = u128::from(level.total).checked_sub(guaranteed) else {
        if level.excess == Excess::Cut {
            cut(level, guaranteed, claims);
        }
        return 0;
    };
    if claims.windows(2).any(|pair| pair[0].over_quota_priority != pair[1].over_quota_priority) {
        claims.sort_unstable_by_key(|claim| {
            (core::cmp::Reverse(claim.over_quota_priority), claim.id)
        });
    }
    for equals in claims.chunk_by_mut(|a, b| a.over_quota_priority == b.over_quota_priority) {
        if left == 0 {
            break;
        }
        left = divide_left_over(level, left as u64, equals).into();
    }
    left as u64
}

/// Divides less than what is guaranteed.
fn cut(level: &Level, guaranteed: u128, claims: &mut [Claim]) {
    for claim in claims.iter_mut() {
        claim.scratch.rest = core::mem::take(&mut claim.share);
    }
    let asking = first_ones(claims, |claim| claim.scratch.rest > 0);
    weigh_guarantees(asking, guaranteed);
    fill(asking, level.total, level.unit);
}

/// Divides what is left over among siblings of one priority, and returns what they leave.
fn divide_left_over(level: &Level, left: u64, claims: &mut [Claim]) -> u64 {
    let mut left = left;
    for claim in claims.iter_mut() {
        claim.scratch.rest = claim.request.min(claim.limit) - claim.share;
    }
    if level.usage_weight > 0.0 {
        let asking = asking(claims);
        weigh(asking, level.usage_weight);
        left = fill(first_ones(asking, |claim| claim.scratch.weight > 0), left, level.unit);
    }
    let asking = asking(claims);
    weigh(asking, 0.0);
    fill(asking, left, level.unit)
}

/// Those that may have something beyond their quota and want it.
fn asking(claims: &mut [Claim]) -> &mut [Claim] {
    first_ones(claims, |claim| claim.scratch.rest > 0 && claim.over_quota_weight > 0.0)
}

/// Moves those that are `chosen` to the front.
fn first_ones(claims: &mut [Claim], chosen: impl Fn(&Claim) -> bool) -> &mut [Claim] {
    let mut len = 0;
    for at in 0..claims.len() {
        if chosen(&claims[at]) {
            claims.swap(len, at);
            len += 1;
        }
    }
    &mut claims[..len]
}

/// How a ledger divides its capacity.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Division<'a> {
    /// The `k` of the formula, 0 to [`USAGE_WEIGHT_MAX`]; 0: past usage does not count.
    pub usage_weight: f64,
    /// What each account with everybody below it held on average in the past, recent times counting
    /// more if so wished, in the units of the amounts: one row of all resources for each index below
    /// `accounts_max`. Next to its siblings it counts as a part of what they divide. Not looked at if
    /// `usage_weight` is zero.
    pub usage: &'a [f64],
    /// For each resource, what shares beyond guarantees are whole multiples of, 1 to 2^62. Those of
    /// resources that are not there are not looked at.
    pub units: Amounts,
}

impl Default for Division<'_> {
    /// By ones, without regard to the past.
    fn default() -> Self {
        Self { usage_weight: 0.0, usage: &[], units: Amounts([1; RESOURCES_MAX]) }
    }
}

impl Division<'_> {
    fn check(&self, tree: &AccountTree, resources: u32) -> Result<(), Error> {
        check_rules(self.usage_weight, &self.units, resources)?;
        if self.usage_weight == 0.0 {
            return Ok(());
        }
        let resources = resources as usize;
        let (given, needed) = (self.usage.len(), tree.capacity() as usize * resources);
        if given < needed {
            let (given, needed) = (given as u64, needed as u64);
            return Err(Error::BufferTooSmall { field: "usage", given, needed });
        }
        for index in tree.indices() {
            let begin = index as usize * resources;
            for usage in &self.usage[begin..begin + resources] {
                check_real("usage", *usage, 0.0, f64::MAX)?;
            }
        }
        Ok(())
    }
}

/// `Ok` if a ledger of so many resources, at least one, can be divided by these.
fn check_rules(usage_weight: f64, units: &Amounts, resources: u32) -> Result<(), Error> {
    check_real("usage_weight", usage_weight, 0.0, USAGE_WEIGHT_MAX)?;
    for unit in units.used(resources) {
        check_range("units", *unit, 1, AMOUNT_MAX)?;
    }
    Ok(())
}
