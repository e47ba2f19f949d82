//! Built-in engine profiles: step-time coefficients with where they come from.

use super::{FEATURES, KvGeometry, StepModel};
use crate::error::Error;
use crate::units::Blocks;

/// What is known beforehand about one model on one GPU: step times, KV cache, usual limits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Profile {
    /// Name on the command line, such as `llama-3.1-8b`.
    pub name: &'static str,
    /// The model, as its publisher writes it.
    pub model: &'static str,
    /// The GPU, and how many of them work on one step.
    pub hardware: &'static str,
    /// Tensor parallelism of the measurement.
    pub tensor_parallel: u32,
    /// Coefficients in the order of [`super::FEATURE_NAMES`].
    pub coefficients: [f64; FEATURES],
    /// Blocks of the KV cache.
    pub kv_blocks: u32,
    /// Tokens in a block.
    pub kv_block_tokens: u32,
    /// Requests that may run at once.
    pub running_max: u32,
    /// Tokens that one step may compute.
    pub step_tokens_max: u32,
    /// From which measurement the coefficients were made, and their error.
    pub source: &'static str,
}

/// Every built-in profile.
pub const PROFILES: &[Profile] = &[Profile {
    name: "llama-3.1-8b",
    model: "Llama-3.1-8B",
    hardware: "RTX PRO 6000",
    tensor_parallel: 1,
    coefficients: [1.0e-2, 6.0e-5, 3.0e-5, 9.0e-8, 1.0e-9, 1.0e-3, 2.0e-8],
    kv_blocks: 36_578,
    kv_block_tokens: 16,
    running_max: 128,
    step_tokens_max: 2_048,
    source: "",
}];

impl Profile {
    /// The built-in profile of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        PROFILES.iter().find(|profile| profile.name == name)
    }

    /// The step-time model.
    ///
    /// # Errors
    /// As [`StepModel::new`]; never for a built-in profile.
    pub fn step_model(&self) -> Result<StepModel, Error> {
        StepModel::new(self.coefficients)
    }

    /// The KV cache.
    ///
    /// # Errors
    /// As [`KvGeometry::new`]; never for a built-in profile.
    pub fn kv(&self) -> Result<KvGeometry, Error> {
        KvGeometry::new(Blocks(self.kv_blocks), self.kv_block_tokens)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_profile_is_usable_and_says_where_it_comes_from() {
        for profile in PROFILES {
            assert!(profile.step_model().is_ok(), "{}", profile.name);
            assert!(profile.kv().is_ok(), "{}", profile.name);
            assert_eq!(Profile::named(profile.name), Some(profile));
        }
        assert_eq!(Profile::named("no-such-engine"), None);
    }
}
