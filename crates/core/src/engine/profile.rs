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
/// Made by `rampmeter fit` on public kernel measurements, which are not part of this crate. Seats
/// and step tokens are those of the measured vLLM runs; KV blocks follow from 90% of 96 GiB a GPU
/// less the weights, which gives the blocks of both runs. Mean absolute errors are those over steps
/// with prompts in chunks as large as a step allows; policies that cut smaller chunks find them
/// up to a tenth shorter or longer, since small matrices cost as much as middling ones.
pub const PROFILES: &[Profile] = &[
    Profile {
        name: "llama-3.1-8b",
        model: "Llama-3.1-8B",
        hardware: "RTX PRO 6000",
        tensor_parallel: 1,
        coefficients: [
            0.011725266232059047,
            0.000032071003592824394,
            0.00002224567738584753,
            8.960474217952408e-8,
            2.0948983668469917e-9,
            0.0,
            8.019506875981404e-8,
        ],
        kv_blocks: 36_578,
        kv_block_tokens: 16,
        running_max: 128,
        step_tokens_max: 2_048,
        source: "fitted to LLMServingSim's kernel measurements on RTX PRO 6000 (github.com/casys-kaist/\
                 LLMServingSim, MIT, 5daddb21), perf/RTXPRO6000/Llama-3.1-8B/tp1; error over the steps of a \
                 replay 1.7%, over those with prompts 2.8%",
    },
    Profile {
        name: "qwen3-32b",
        model: "Qwen3-32B",
        hardware: "RTX PRO 6000",
        tensor_parallel: 1,
        coefficients: [
            0.045869709057879564,
            0.00014819921333805518,
            0.00010356556305034237,
            1.8844088469567188e-7,
            7.938898226891992e-9,
            0.0,
            2.5995804449308356e-7,
        ],
        kv_blocks: 6_495,
        kv_block_tokens: 16,
        running_max: 128,
        step_tokens_max: 2_048,
        source: "fitted to LLMServingSim's kernel measurements on RTX PRO 6000 (github.com/casys-kaist/\
                 LLMServingSim, MIT, 5daddb21), perf/RTXPRO6000/Qwen3-32B/tp1; error over the steps of a \
                 replay 1.6%, over those with prompts 2.4%",
    },
    Profile {
        name: "qwen3-32b-tp2",
        model: "Qwen3-32B",
        hardware: "2x RTX PRO 6000",
        tensor_parallel: 2,
        coefficients: [
            0.02754191863554211,
            0.00015427286419273856,
            0.00013845163087701005,
            9.212681325179763e-8,
            4.324457485578238e-9,
            0.0,
            2.0114404588653716e-7,
        ],
        kv_blocks: 28_614,
        kv_block_tokens: 16,
        running_max: 128,
        step_tokens_max: 2_048,
        source: "fitted to LLMServingSim's kernel measurements on RTX PRO 6000 (github.com/casys-kaist/\
                 LLMServingSim, MIT, 5daddb21), perf/RTXPRO6000/Qwen3-32B/tp2; error over the steps of a \
                 replay 1.0%, over those with prompts 1.7%",
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
