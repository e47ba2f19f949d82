//! The simulator against measured vLLM runs, where they are at hand.

use std::path::PathBuf;

use rampmeter_sim::engine::{Engine, EngineOverrides};
use rampmeter_sim::results::Latency;
use rampmeter_sim::serving::validate::{Compared, read, replay};

/// The folder of measured data, or `None` with one line that says so.
fn measured_data() -> Option<PathBuf> {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared");
    let shared = std::env::var("RAMPMETER_SHARED").unwrap_or_else(|_| default.to_owned());
    let folder = PathBuf::from(&shared).join("traces/llmservingsim");
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("shared traces absent at {shared}: real-data checks not run");
    None
}

/// Mean and the value at each of the quantiles, of one measure of one side.
fn summary(rows: &[Compared], side: fn(&Compared) -> Latency, of: fn(Latency) -> f64) -> [f64; 4] {
    let mut values: Vec<f64> = rows.iter().map(|row| of(side(row))).collect();
    values.sort_by(f64::total_cmp);
    let at = |q: f64| values[((values.len() - 1) as f64 * q).round() as usize];
    [values.iter().sum::<f64>() / values.len() as f64, at(0.5), at(0.9), at(0.99)]
}

/// Errors in percent of mean, median, 90th and 99th percentile.
fn errors_pct(rows: &[Compared], of: fn(Latency) -> f64) -> [f64; 4] {
    let measured = summary(rows, |row| row.measured, of);
    let simulated = summary(rows, |row| row.simulated, of);
    std::array::from_fn(|i| (simulated[i] / measured[i] - 1.0) * 100.0)
}

#[test]
fn both_measured_runs_are_reproduced() {
    let Some(folder) = measured_data() else { return };
    for model in ["Llama-3.1-8B", "Qwen3-32B"] {
        let run = read(&folder.join("bench/RTXPRO6000").join(model)).unwrap();
        let tables = folder.join("perf/RTXPRO6000").join(model);
        let overrides = EngineOverrides {
            tensor_parallel: Some(run.tensor_parallel),
            ..EngineOverrides::default()
        };
        let engine = Engine::load(tables.to_str().unwrap(), &overrides).unwrap();
        let rows = replay(&run, &engine).unwrap();
        let ttft = errors_pct(&rows, |latency| latency.ttft_s);
        let tpot = errors_pct(&rows, |latency| latency.tpot_s.unwrap_or(0.0));
        let latency = errors_pct(&rows, |latency| latency.latency_s);
        println!(
            "{model}: TTFT {ttft:.2?} TPOT {tpot:.2?} latency {latency:.2?} % of mean/p50/p90/p99"
        );
        assert!(ttft[0].abs() <= 5.0 && ttft[1].abs() <= 9.0, "TTFT {ttft:?}");
        assert!(tpot[0].abs() <= 2.0 && tpot[3].abs() <= 3.0, "TPOT {tpot:?}");
        assert!(latency[0].abs() <= 3.0, "latency {latency:?}");
    }
}
