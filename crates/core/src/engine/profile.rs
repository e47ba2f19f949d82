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
///
/// Made by `rampmeter fit` on public kernel measurements, which are not part of this crate; seven
/// digits are kept. Seats and step tokens are those of the measured vLLM runs; KV blocks follow
/// from 90% of 96 GiB a GPU less the weights, which gives the blocks of both runs. The errors are
/// those of steps with whole and with small chunks. Chunks of some 64 tokens beside few decodes
/// are predicted 10 to 16% too short for the larger model: the first tokens of a chunk are taken
/// to be free, and there they are not quite.
pub const PROFILES: &[Profile] = &[
    Profile {
        name: "llama-3.1-8b",
        model: "Llama-3.1-8B",
        hardware: "RTX PRO 6000",
        tensor_parallel: 1,
        coefficients: [
            1.172_476e-2,
            3.391_715e-5,
            3.227_593e-5,
            8.553_016e-8,
            2.141_629e-9,
            -3.773_865e-3,
            7.227_458e-8,
        ],
        kv_blocks: 36_578,
        kv_block_tokens: 16,
        running_max: 128,
        step_tokens_max: 2_048,
        source: "fitted to RTXPRO6000/Llama-3.1-8B/tp1 of LLMServingSim's kernel measurements \
                 (MIT, github.com/casys-kaist/LLMServingSim at 5daddb21); mean error 1.6% over \
                 the steps of a replay, 2.2% over those with prompts",
    },
    Profile {
        name: "qwen3-32b",
        model: "Qwen3-32B",
        hardware: "RTX PRO 6000",
        tensor_parallel: 1,
        coefficients: [
            4.589_340e-2,
            1.527_938e-4,
            2.130_223e-4,
            1.332_436e-7,
            8.035_356e-9,
            -1.697_419e-2,
            4.549_422e-7,
        ],
        kv_blocks: 6_496,
        kv_block_tokens: 16,
        running_max: 128,
        step_tokens_max: 2_048,
        source: "fitted to RTXPRO6000/Qwen3-32B/tp1 of LLMServingSim's kernel measurements \
                 (MIT, github.com/casys-kaist/LLMServingSim at 5daddb21); mean error 1.5% over \
                 the steps of a replay, 1.7% over those with prompts",
    },
    Profile {
        name: "qwen3-32b-tp2",
        model: "Qwen3-32B",
        hardware: "2x RTX PRO 6000",
        tensor_parallel: 2,
        coefficients: [
            2.753_701e-2,
            1.562_544e-4,
            1.285_552e-4,
            9.919_381e-8,
            4.465_954e-9,
            -7.904_092e-3,
            2.173_852e-7,
        ],
        kv_blocks: 28_614,
        kv_block_tokens: 16,
        running_max: 128,
        step_tokens_max: 2_048,
        source: "fitted to RTXPRO6000/Qwen3-32B/tp2 of LLMServingSim's kernel measurements \
                 (MIT, github.com/casys-kaist/LLMServingSim at 5daddb21); mean error 1.2% over \
                 the steps of a replay, 1.7% over those with prompts",
    },
];

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
            assert!(profile.source.contains("fitted to"), "{}", profile.name);
        }
        assert_eq!(Profile::named("no-such-engine"), None);
    }
}
