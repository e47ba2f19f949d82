//! How many requests can be served at once, and how much do they slow each other down?
//!
//! # What it decides
//! Nothing. A replica has a number of seats; ordinary servers have one each and work at one speed.
//! An engine that batches has many, and a request goes slower the more are seated:
//! ```text
//! step(n)  = fixed + each * n                                    seconds of a step with n seated
//! share    = each * N / step(N)                                  part of a full step that is the load's
//! speed(n) = step(N) / step(n) = 1 / (1 - share + share * n / N)    1 when full, 1 / (1 - share) alone
//! ```
//! Seats of an engine: `N = min(seats, KV blocks / mean footprint)`. A step in the long run holds
//! one decode of each seated request, and the prompt of every request that takes a seat, spread
//! over its output tokens:
//! ```text
//! fixed = c0
//! each  = c2 + c3 * context + (p * (c1 + c4 * p / 2) + c5 + c6 * N * context) / L
//! context = p + L * (1 + Cl^2) / 2        prompt p, output of mean L and variability Cl^2 as seen
//!                                         by chance: long outputs sit longer
//! ```
//!
//! # Bounds and cost
//! O(1).
//!
//! # What it is bad at
//! Several replicas are taken for one pool: whoever routes to them keeps them even.

use crate::engine::{KvGeometry, StepModel};
use crate::error::{Error, check_range, check_real};
use crate::units::Tokens;

/// Most seats of one replica.
pub const SEATS_MAX: u32 = 4_096;

/// Most that a full step may be the load's: an engine alone is then 20 times as fast.
const LOADED_SHARE_MAX: f64 = 0.95;

/// What one replica can serve at once.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Replica {
    /// Requests served at once, 1 to 4,096.
    pub seats: u32,
    /// Part of a full engine's step that is due to those seated, 0 to 0.95; 0 for servers that do
    /// not slow each other down.
    pub loaded_share: f64,
}

/// What requests of an engine look like on average.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RequestShape {
    /// Prompt tokens that have to be computed, 1 to 2^24.
    pub prompt_tokens: Tokens,
    /// Output tokens, 1 to 2^24.
    pub output_tokens: Tokens,
    /// Squared coefficient of variation of the output tokens, 0 to 100.
    pub output_scv: f64,
}

impl Replica {
    /// A server of one request at a time.
    #[must_use]
    pub const fn server() -> Self {
        Self { seats: 1, loaded_share: 0.0 }
    }

    /// A batching engine with this step model and cache, `seats_max` seats by configuration.
    ///
    /// # Errors
    /// [`Error::Range`] or [`Error::RangeReal`] naming what is out of range.
    pub fn engine(
        model: &StepModel,
        kv: &KvGeometry,
        seats_max: u32,
        requests: &RequestShape,
    ) -> Result<Self, Error> {
        let RequestShape { prompt_tokens, output_tokens, output_scv } = *requests;
        check_range("seats_max", seats_max.into(), 1, SEATS_MAX.into())?;
        check_range("prompt_tokens", prompt_tokens.get().into(), 1, 1 << 24)?;
        check_range("output_tokens", output_tokens.get().into(), 1, 1 << 24)?;
        check_real("output_scv", output_scv, 0.0, 100.0)?;
        let (p, l) = (f64::from(prompt_tokens.get()), f64::from(output_tokens.get()));
        let context = p + l * (1.0 + output_scv) / 2.0;
        // Half of the last block of a request is empty.
        let footprint = context + f64::from(kv.block_tokens()) / 2.0;
        let fit = (kv.tokens_max() as f64 / footprint).max(1.0);
        let seats = fit.min(f64::from(seats_max)) as u32;
        let n = f64::from(seats);
        let [c0, c1, c2, c3, c4, c5, c6] = model.coefficients();
        let prompt_s = (p * (c1 + c4 * p / 2.0) + c5 + c6 * n * context).max(0.0);
        let load_s = n * (c2 + c3 * context + prompt_s / l);
        let step_s = c0 + load_s;
        let share = if step_s > 0.0 { load_s / step_s } else { 0.0 };
        Ok(Self { seats, loaded_share: share.min(LOADED_SHARE_MAX) })
    }

    /// `Ok` if both are in range.
    ///
    /// # Errors
    /// [`Error::Range`] on `seats`, [`Error::RangeReal`] on `loaded_share`.
    pub fn check(&self) -> Result<(), Error> {
        check_range("seats", self.seats.into(), 1, SEATS_MAX.into())?;
        check_real("loaded_share", self.loaded_share, 0.0, LOADED_SHARE_MAX).map(drop)
    }

    /// Speed of a request while a share `full` (0 to 1) of all seats is taken, next to that with
    /// all of them taken.
    #[must_use]
    pub fn speed(&self, full: f64) -> f64 {
        (1.0 - self.loaded_share + self.loaded_share * full.min(1.0)).recip()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Profile;

    #[test]
    fn seats_end_where_the_cache_does() {
        let profile = Profile::named("llama-3.1-8b").unwrap();
        let (model, kv) = (profile.step_model().unwrap(), profile.kv().unwrap());
        let shape = |p, l| RequestShape {
            prompt_tokens: Tokens(p),
            output_tokens: Tokens(l),
            output_scv: 1.0,
        };
        let chat = Replica::engine(&model, &kv, 128, &shape(900, 250)).unwrap();
        assert_eq!(chat.seats, 128);
        assert!((0.3..0.95).contains(&chat.loaded_share), "{}", chat.loaded_share);
        assert!(chat.speed(0.0) > 1.4 && chat.speed(1.0) == 1.0);
        // 36,578 blocks of 16 tokens hold 30 contexts of 19,008 tokens.
        let long = Replica::engine(&model, &kv, 128, &shape(18_000, 1_000)).unwrap();
        assert_eq!(long.seats, 30);
        let none = Replica::engine(&model, &kv, 0, &shape(1, 1)).unwrap_err();
        assert_eq!(none.field(), "seats_max");
        assert!(Replica { seats: 1, loaded_share: f64::NAN }.check().is_err());
    }
}
