//! What a live placer goes by: the policy, and the shadow price.

use super::Placer;
use crate::error::{Error, check_range, check_real};
use crate::policy::Policy;

/// Highest shadow price of a GPU, in value-seconds of waiting for a GPU-second lost: at the cap of
/// 20 for a full cluster, with 2^24 tasks of the highest delay value (10,000) waiting for one GPU.
pub const SHADOW_PRICE_MAX: f64 = 20.0 * (1 << 24) as f64 * 10_000.0;

impl Placer {
    /// What a GPU-second is worth now, in value-seconds of waiting: what was last said, else the
    /// policy's.
    #[must_use]
    pub const fn shadow_price(&self) -> f64 {
        self.shadow_price
    }

    /// Says what a GPU-second is worth from now on, in value-seconds of waiting: the delay value of
    /// what waits over the GPUs there are, and over the part of them that is not asked for:
    /// `pi = (Vq / C) / max(1 - rho, 0.05)`. An empty queue makes it 0. Prices of what runs already
    /// stay as they were. O(1).
    ///
    /// # Errors
    /// [`Error::RangeReal`] outside 0 to [`SHADOW_PRICE_MAX`].
    pub fn set_shadow_price(&mut self, shadow_price: f64) -> Result<(), Error> {
        check_real("shadow_price", shadow_price, 0.0, SHADOW_PRICE_MAX)?;
        self.shadow_price = shadow_price;
        self.shadow_price_told = true;
        Ok(())
    }

    /// Takes a changed policy; what runs stays where it is, at the price that it had. Delay values
    /// and rules hold from now on; its shadow price only where the host has said none. Allocates
    /// nothing. O(accounts log accounts + tasks log tasks).
    ///
    /// # Errors
    /// What [`Policy::validate`] says; [`Error::Range`] if it has another number of classes: tasks
    /// are of one of them; or more accounts than [`super::PlacerOptions::accounts_max`]; or another
    /// `placement.measure`, by its place in [`crate::policy::Measure::ALL`]: what it goes by was made
    /// with the placer. Nothing is changed then.
    pub fn set_policy(&mut self, policy: &Policy) -> Result<(), Error> {
        let room = &mut self.scratch.names;
        check_range("account entries", policy.accounts.len() as u64, 0, room.len() as u64)?;
        policy.validate_in(&mut room[..policy.accounts.len()])?;
        let (classes, built) = (policy.classes.len() as u64, self.delay_values.len() as u64);
        check_range("classes", classes, built, built)?;
        let (measure, made) = (policy.placement.measure as u64, self.stranding.measure() as u64);
        check_range("placement.measure", measure, made, made)?;
        for (delay_value, class) in self.delay_values.iter_mut().zip(&policy.classes) {
            *delay_value = class.delay_value;
        }
        self.set_rules(policy.placement);
        if !self.shadow_price_told {
            self.shadow_price = policy.placement.shadow_price;
        }
        Ok(())
    }
}
