//! Amounts of resources, and what an account may have of each: the plain data of quotas.
//!
//! What becomes of them is decided in `share`, which names these types too.

use crate::error::{Error, check_range, check_real};

/// Most kinds of resource in one ledger: GPU, CPU, memory, network, licences and some to spare.
/// Every change walks them all at every level.
pub const RESOURCES_MAX: usize = 8;

/// Largest finite amount, 2^62: sums of two never overflow. In bytes it is four exbibytes.
pub const AMOUNT_MAX: u64 = 1 << 62;

/// Widest range of over-quota weights that means anything, as for weights; zero: nothing beyond
/// the quota.
pub(crate) const OVER_QUOTA_WEIGHT_MAX: f64 = 1e12;

/// One amount for each resource, in the order that the host gives them; those beyond the
/// resources that there are must be zero, or unlimited where that is allowed.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[repr(transparent)]
pub struct Amounts(pub [u64; RESOURCES_MAX]);

impl Amounts {
    /// Nothing of anything.
    pub const ZERO: Self = Self([0; RESOURCES_MAX]);
    /// No limit on anything.
    pub const UNLIMITED: Self = Self([u64::MAX; RESOURCES_MAX]);

    /// This much of the first resource, nothing of the others.
    #[must_use]
    pub const fn first(amount: u64) -> Self {
        let mut amounts = [0; RESOURCES_MAX];
        amounts[0] = amount;
        Self(amounts)
    }

    /// The amounts of the first `resources`.
    pub(crate) fn used(&self, resources: u32) -> &[u64] {
        &self.0[..resources as usize]
    }

    /// `Ok` if every amount is finite, and zero beyond `resources`.
    pub(crate) fn check(&self, field: &'static str, resources: u32) -> Result<(), Error> {
        for (resource, amount) in self.0.iter().enumerate() {
            let max = if resource < resources as usize { AMOUNT_MAX } else { 0 };
            check_range(field, *amount, 0, max)?;
        }
        Ok(())
    }

    /// The same, where `u64::MAX` stands for no limit.
    fn check_limit(&self, field: &'static str, resources: u32) -> Result<(), Error> {
        let finite = self.0.map(|amount| if amount == u64::MAX { 0 } else { amount });
        Self(finite).check(field, resources)
    }
}

/// What an account may have.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AccountQuota {
    /// Guaranteed: its own before anything is divided. `u64::MAX`: all that it asks for.
    pub quota: Amounts,
    /// The most it may have; `u64::MAX`: no limit.
    pub limit: Amounts,
    /// The most of its quota that others may use while it does not; `u64::MAX`: all.
    pub lending_limit: Amounts,
    /// For each resource, its part of what is left over next to its siblings, 0 to 10^12; 0: it
    /// gets nothing beyond its quota.
    pub over_quota_weight: [f64; RESOURCES_MAX],
    /// Siblings of a higher priority take what is left over before others.
    pub over_quota_priority: i32,
}

impl Default for AccountQuota {
    /// No quota, no limit, everything lent, over-quota weight 1.
    fn default() -> Self {
        Self {
            quota: Amounts::ZERO,
            limit: Amounts::UNLIMITED,
            lending_limit: Amounts::UNLIMITED,
            over_quota_weight: [1.0; RESOURCES_MAX],
            over_quota_priority: 0,
        }
    }
}

impl AccountQuota {
    /// `Ok` if every number is in its range, and nothing is said of more than `resources`.
    pub(crate) fn check(&self, resources: u32) -> Result<(), Error> {
        self.quota.check_limit("quota", resources)?;
        self.limit.check_limit("limit", resources)?;
        self.lending_limit.check_limit("lending_limit", resources)?;
        for weight in self.over_quota_weight {
            check_real("over_quota_weight", weight, 0.0, OVER_QUOTA_WEIGHT_MAX)?;
        }
        Ok(())
    }
}
