//! Whether generated requests look like those of the services they imitate: against published
//! numbers always, against the traces themselves where they are present.

use std::collections::HashSet;

use rampmeter_sim::trace::{Format, ReadOptions, Trace};
use rampmeter_sim::workload::{Extent, Generator, Preset};

use crate::shared::{
    arrivals_s, assert_near, gap_cv, mean_and_variance, outputs, prompts, quantile, rate_cv,
    read_ok, shared, shared_trace,
};

fn generated(preset: Preset, requests: usize, seed: u64) -> Trace {
    let extent = Extent::Requests(requests);
    Generator { extent, ..Generator::new(preset, seed) }.generate().unwrap()
}

/// The middle of a statistic over twenty hours, each with its own seed.
fn median_hour(preset: Preset, statistic: impl Fn(&[f64]) -> f64) -> f64 {
    let hour = |seed| {
        let extent = Extent::Seconds(3_600.0);
        let trace = Generator { extent, ..Generator::new(preset, seed) }.generate().unwrap();
        statistic(&arrivals_s(&trace))
    };
    let mut values: Vec<f64> = (0..20).map(hour).collect();
    values.sort_by(f64::total_cmp);
    f64::midpoint(values[9], values[10])
}

/// Patel et al., "Splitwise", section III-A.
#[test]
fn published_medians() {
    let chat = generated(Preset::Chat, 50_000, 1);
    assert_near("chat prompts", quantile(&prompts(&chat), 0.5), 1_020.0, 0.05);
    assert_near("chat outputs", quantile(&outputs(&chat), 0.5), 129.0, 0.08);
    let code = generated(Preset::Code, 50_000, 1);
    assert_near("code prompts", quantile(&prompts(&code), 0.5), 1_500.0, 0.05);
    assert_near("code outputs", quantile(&outputs(&code), 0.5), 13.0, 0.08);
}

/// The processed arXiv trace of Agrawal et al., "Vidur": medians 2,730 and 167, 90th percentiles
/// 3,702 and 372.
#[test]
fn published_summarisation() {
    let trace = generated(Preset::Summarisation, 50_000, 1);
    assert_near("p50 prompt", quantile(&prompts(&trace), 0.5), 2_730.0, 0.03);
    assert_near("p90 prompt", quantile(&prompts(&trace), 0.9), 3_702.0, 0.03);
    assert_near("p50 output", quantile(&outputs(&trace), 0.5), 167.0, 0.05);
    assert_near("p90 output", quantile(&outputs(&trace), 0.9), 372.0, 0.08);
    let sum = |request: &rampmeter_sim::trace::TraceRequest| {
        request.prompt_tokens + request.output_tokens
    };
    assert!(trace.requests.iter().all(|request| sum(request) <= 4_096));
}

#[test]
fn code_lengths_are_those_of_the_azure_trace() {
    let name = "azure-llm-2023/AzureLLMInferenceTrace_code.csv";
    let Some(real) = shared_trace(name, Format::Azure) else { return };
    let made = generated(Preset::Code, 50_000, 2);
    for q in [0.1, 0.25, 0.5, 0.6, 0.75, 0.85, 0.9, 0.95, 0.99] {
        let (found, expected) = (quantile(&prompts(&made), q), quantile(&prompts(&real), q));
        assert_near(&format!("prompt at {q}"), found, expected, 0.08);
        let (found, expected) = (quantile(&outputs(&made), q), quantile(&outputs(&real), q));
        assert_near(&format!("output at {q}"), found, expected, 0.10);
    }
    let mean = |trace: &Trace| trace.prompt_tokens() as f64 / trace.requests.len() as f64;
    assert_near("mean prompt", mean(&made), mean(&real), 0.05);
    let mean = |trace: &Trace| trace.output_tokens() as f64 / trace.requests.len() as f64;
    assert_near("mean output", mean(&made), mean(&real), 0.08);
}

#[test]
fn summarisation_lengths_are_those_of_the_arxiv_trace() {
    let Some(path) = shared("lengths/arxiv_summarization_llama2.csv") else { return };
    let options = ReadOptions { rate_per_s: Some(1.0), ..ReadOptions::default() };
    let real = read_ok(&path, Format::Lengths, &options);
    let made = generated(Preset::Summarisation, 50_000, 2);
    for q in [0.1, 0.25, 0.5, 0.75, 0.9, 0.95] {
        let (found, expected) = (quantile(&prompts(&made), q), quantile(&prompts(&real), q));
        assert_near(&format!("prompt at {q}"), found, expected, 0.05);
        let (found, expected) = (quantile(&outputs(&made), q), quantile(&outputs(&real), q));
        assert_near(&format!("output at {q}"), found, expected, 0.10);
    }
}

/// The numbers stand in `presets.rs`; with the trace at hand they are computed again from it.
#[test]
fn code_arrives_in_bursts_like_the_azure_trace() {
    let windows_s = [1.0, 10.0, 60.0, 300.0];
    let mut expected = vec![2.18, 1.66, 1.04, 0.42];
    let name = "azure-llm-2023/AzureLLMInferenceTrace_code.csv";
    if let Some(real) = shared_trace(name, Format::Azure) {
        let arrivals_s = arrivals_s(&real);
        let computed: Vec<f64> =
            windows_s.iter().map(|&window_s| rate_cv(&arrivals_s, window_s)).collect();
        for (stated, &computed) in expected.iter().zip(&computed) {
            assert_near("stated in the docs", *stated, computed, 0.01);
        }
        expected = computed;
    }
    for (window_s, expected) in windows_s.into_iter().zip(expected) {
        let found = median_hour(Preset::Code, |arrivals_s| rate_cv(arrivals_s, window_s));
        assert_near(&format!("rate CV over {window_s} s"), found, expected, 0.15);
    }
    let gaps = median_hour(Preset::Code, gap_cv);
    assert!((5.0..10.0).contains(&gaps), "gap CV {gaps}");
}

/// Mooncake rounds its times to 3 s, so windows below 10 s cannot be compared; its rate is 3.18/s.
#[test]
fn chat_arrives_as_evenly_as_mooncake() {
    let windows_s = [10.0, 60.0];
    let mut expected = vec![0.173, 0.092];
    let name = "mooncake-fast25/conversation_000-030min.jsonl";
    if let Some(real) = shared_trace(name, Format::Mooncake) {
        let arrivals_s = arrivals_s(&real);
        expected = windows_s.iter().map(|&window_s| rate_cv(&arrivals_s, window_s)).collect();
    }
    let half_hour = |seed| {
        let (rate_per_s, extent) = (3.18, Extent::Seconds(1_800.0));
        let generator = Generator { rate_per_s, extent, ..Generator::new(Preset::Chat, seed) };
        arrivals_s(&generator.generate().unwrap())
    };
    let hours: Vec<Vec<f64>> = (0..40).map(half_hour).collect();
    for (window_s, expected) in windows_s.into_iter().zip(expected) {
        let found = hours.iter().map(|hour| rate_cv(hour, window_s)).sum::<f64>() / 40.0;
        assert_near(&format!("rate CV over {window_s} s"), found, expected, 0.2);
    }
    // Gaps of CV 1.26 at a rate that changes by 8%.
    assert_near("gap CV", median_hour(Preset::Chat, gap_cv), 1.26, 0.03);
}

/// The median CV of all rows of the `ServeGen` data, and the share that Gamma fits best.
#[test]
fn the_gap_cv_of_chat_is_the_median_of_servegen() {
    let Some(folder) = shared("servegen/language/m-small") else { return };
    let mut cvs = Vec::new();
    let mut gamma = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        for line in std::fs::read_to_string(entry.unwrap().path()).unwrap().lines() {
            let fields: Vec<&str> = line.split(',').collect();
            cvs.push(fields[2].parse::<f64>().unwrap());
            gamma += usize::from(fields[3] == "Gamma");
        }
    }
    cvs.sort_by(f64::total_cmp);
    assert_eq!(cvs.len(), 18_152);
    assert_near("median CV", cvs[cvs.len() / 2], 1.26, 0.005);
    assert_near("share of Gamma", gamma as f64 / cvs.len() as f64, 0.71, 0.005);
}

/// The swing of a day: root 2 times the median CV of the total rate within each of the first seven
/// days.
#[test]
fn the_swing_of_a_day_is_that_of_servegen() {
    const STEPS_PER_DAY: usize = 144;
    let Some(folder) = shared("servegen/language/m-small") else { return };
    let mut rates = vec![0.0; 7 * STEPS_PER_DAY];
    for entry in std::fs::read_dir(folder).unwrap() {
        for line in std::fs::read_to_string(entry.unwrap().path()).unwrap().lines() {
            let fields: Vec<f64> =
                line.split(',').take(2).map(|field| field.parse().unwrap()).collect();
            if let Some(rate) = rates.get_mut((fields[0] / 600.0) as usize) {
                *rate += fields[1];
            }
        }
    }
    let day_cv = |day: &[f64]| {
        let (mean, variance) = mean_and_variance(day);
        variance.sqrt() / mean
    };
    let mut cvs: Vec<f64> = rates.chunks(STEPS_PER_DAY).map(day_cv).collect();
    cvs.sort_by(f64::total_cmp);
    assert_near("median", cvs[3] * 2.0_f64.sqrt(), 0.42, 0.03);
    assert_near("smallest", cvs[0], 0.21, 0.02);
    assert_near("largest", cvs[6], 0.34, 0.02);
}

#[test]
fn rates_are_kept_in_the_long_run() {
    for (preset, tolerance) in [
        (Preset::Chat, 0.02),
        (Preset::Code, 0.15),
        (Preset::Mixed, 0.06),
        (Preset::Summarisation, 0.02),
    ] {
        // A whole number of days, so that the swing of the day evens out.
        let extent = Extent::Seconds(172_800.0);
        let generator = Generator { extent, ..Generator::new(preset, 11) };
        let trace = generator.generate().unwrap();
        let rate = trace.requests.len() as f64 / 172_800.0;
        assert_near(preset.name(), rate, preset.rate_per_s(), tolerance);
        assert!(trace.span().as_seconds() < 172_800.0);
        // By day (rising from the mean) more arrives than by night: 1 +- 2/pi of the swing.
        let first_half = trace.requests.partition_point(|r| r.arrival.as_seconds() < 43_200.0);
        let whole = trace.requests.partition_point(|r| r.arrival.as_seconds() < 86_400.0);
        let ratio = first_half as f64 / whole as f64;
        let expected = if preset == Preset::Summarisation { 0.5 } else { 0.634 };
        assert_near("share by day", ratio, expected, tolerance.max(0.03));
    }
}

#[test]
fn one_seed_is_one_trace() {
    for preset in Preset::ALL {
        let text = |seed| format!("{:?}", generated(preset, 2_000, seed));
        assert_eq!(text(5), text(5));
        assert_ne!(generated(preset, 2_000, 5).requests, generated(preset, 2_000, 6).requests);
        let long = generated(preset, 3_000, 5);
        assert_eq!(long.requests[..2_000], generated(preset, 2_000, 5).requests[..]);
    }
}

/// Mooncake's half hour finds 35% of its prompt tokens in a cache that never forgets.
#[test]
fn conversations_share_prefixes_and_change_no_length() {
    let (extent, continue_ratio) = (Extent::Requests(5_000), 1.0);
    let plain = Generator { extent, ..Generator::new(Preset::Chat, 3) };
    let talking = Generator { continue_ratio, ..plain }.generate().unwrap();
    let plain = plain.generate().unwrap();
    assert_eq!(prompts(&plain), prompts(&talking));
    assert_eq!(outputs(&plain), outputs(&talking));
    assert!(plain.requests.iter().all(|request| request.prefix.is_empty()));

    let block = talking.prefix_block_tokens;
    let (mut known, mut found) = (HashSet::new(), 0);
    for request in &talking.requests {
        assert_eq!(request.prefix.len() as u32, request.prompt_tokens.div_ceil(block));
        let hits = request.prefix.iter().take_while(|hash| known.contains(*hash)).count();
        found += (hits as u64 * u64::from(block)).min(u64::from(request.prompt_tokens));
        // Chained: once a block is new, so are all after it.
        assert!(request.prefix[hits..].iter().all(|hash| !known.contains(hash)));
        known.extend(request.prefix.iter().copied());
    }
    let hit_rate = found as f64 / talking.prompt_tokens() as f64;
    assert_near("hit rate", hit_rate, 0.347, 0.12);
}

#[test]
fn wrong_options_are_named() {
    let good = Generator::new(Preset::Chat, 1);
    let field = |generator: Generator| generator.generate().unwrap_err().field.unwrap();
    for rate_per_s in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert_eq!(field(Generator { rate_per_s, ..good }), "rate");
    }
    for continue_ratio in [-0.1, 1.1, f64::NAN] {
        assert_eq!(field(Generator { continue_ratio, ..good }), "continue_ratio");
    }
    for seconds in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e-9] {
        assert_eq!(field(Generator { extent: Extent::Seconds(seconds), ..good }), "duration");
    }
    assert_eq!(field(Generator { extent: Extent::Requests(0), ..good }), "requests");
    assert_eq!(field(Generator { extent: Extent::Requests(usize::MAX), ..good }), "requests");
    let unknown = "unknown preset `x`; known are chat, code, mixed, summarisation";
    assert_eq!("x".parse::<Preset>(), Err(unknown.to_owned()));
}
