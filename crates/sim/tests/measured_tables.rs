//! The measured kernel tables of `LLMServingSim`, where they are at hand.

use std::path::PathBuf;

use rampmeter::engine::profile::PROFILES;
use rampmeter::engine::{Profile, StepShape};
use rampmeter_sim::engine::{Engine, EngineOverrides, Step};

/// The folder of tables that a profile was fitted on, or `None` with one line that says so.
fn tables(profile: &Profile) -> Option<PathBuf> {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared");
    let shared = std::env::var("RAMPMETER_SHARED").unwrap_or_else(|_| default.to_owned());
    let folder =
        PathBuf::from(shared).join("traces/llmservingsim/perf/RTXPRO6000").join(profile.model);
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("shared traces absent at {}: real-data checks not run", folder.display());
    None
}

fn overrides(profile: &Profile) -> EngineOverrides {
    EngineOverrides { tensor_parallel: Some(profile.tensor_parallel), ..EngineOverrides::default() }
}

#[test]
fn every_profile_is_what_its_tables_give_and_fits_them() {
    for profile in PROFILES {
        let Some(folder) = tables(profile) else { return };
        let (engine, report) = Engine::fitted(&folder, &overrides(profile)).unwrap();
        println!("{}: {}", engine.name, serde_json::to_string_pretty(&report).unwrap());
        assert!(report.mape_pct <= 2.0, "{}: {report:?}", engine.name);
        assert!(report.mape_prefill_pct <= 4.0, "{}: {report:?}", engine.name);
        for (fitted, built_in) in report.coefficients.into_iter().zip(profile.coefficients) {
            let difference = (fitted - built_in).abs();
            // Profiles keep seven digits.
            assert!(difference <= 1e-6 * built_in.abs(), "{}: {report:?}", engine.name);
        }
        assert_eq!(engine.kv, profile.kv().unwrap());
        assert_eq!(engine.running_max, profile.running_max);
        assert_eq!(engine.step_tokens_max, profile.step_tokens_max);
    }
}

/// Points of the tables themselves, added up by hand.
#[test]
fn a_step_of_measured_sizes_is_the_sum_of_its_kernels() {
    let Some(profile) = Profile::named("llama-3.1-8b") else { panic!("a built-in profile") };
    let Some(folder) = tables(profile) else { return };
    let engine = Engine::load(folder.to_str().unwrap(), &overrides(profile)).unwrap();
    let shape = StepShape::default().with_prefill(2_048, 0);
    let seconds = engine.clock.seconds(&Step { shape, sampled_requests: 1 });
    let layer = 2.0 * 15.7068 + 302.965 + 12.0107 + 193.195 + 1_152.83 + 94.3577 + 608.715;
    let attention = 172.609;
    let us = 600.0 + 7.904 + 32.0 * (layer + attention) + 19.5837 + 714.006 + 24.746;
    assert!((seconds * 1e6 - us).abs() < 1e-6 * us, "{} {us}", seconds * 1e6);
}

/// Beyond the measured sizes of real, noisy tables, more work never takes less time.
#[test]
fn real_tables_are_continued_without_falling() {
    for profile in PROFILES {
        let Some(folder) = tables(profile) else { return };
        let engine = Engine::load(folder.to_str().unwrap(), &overrides(profile)).unwrap();
        let mut last = 0.0;
        for size in 1..200_u32 {
            let shape = StepShape {
                prefill_tokens: 2_048 + 64 * size,
                prefill_history_tokens: 16_384 + 512 * u64::from(size),
                decode_requests: 256 + size,
                decode_context_tokens: (256 + u64::from(size)) * (16_384 + 512 * u64::from(size)),
            };
            let seconds = engine.clock.seconds(&Step { shape, sampled_requests: 256 + size });
            assert!(seconds > last, "{}: {shape:?}", engine.name);
            last = seconds;
        }
    }
}
