//! Where real traces are, and statistics of arrivals and lengths.

use std::path::{Path, PathBuf};

use rampmeter_sim::trace::{Format, ReadOptions, Trace, read};

/// A file or folder among the shared traces, or `None` (and a line saying so) without them.
pub(crate) fn shared(name: &str) -> Option<PathBuf> {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared");
    let root = std::env::var_os("RAMPMETER_SHARED").map_or_else(|| default.into(), PathBuf::from);
    let path = root.join("traces").join(name);
    if path.exists() {
        return Some(path);
    }
    eprintln!("shared traces absent at {}: real-data checks not run", path.display());
    None
}

/// A shared trace, read with the default options.
pub(crate) fn shared_trace(name: &str, format: Format) -> Option<Trace> {
    Some(read_ok(&shared(name)?, format, &ReadOptions::default()))
}

pub(crate) fn read_ok(path: &Path, format: Format, options: &ReadOptions) -> Trace {
    read(path, format, options).unwrap_or_else(|error| panic!("{error}"))
}

pub(crate) fn arrivals_s(trace: &Trace) -> Vec<f64> {
    trace.requests.iter().map(|request| request.arrival.as_seconds()).collect()
}

pub(crate) fn prompts(trace: &Trace) -> Vec<u32> {
    trace.requests.iter().map(|request| request.prompt_tokens).collect()
}

pub(crate) fn outputs(trace: &Trace) -> Vec<u32> {
    trace.requests.iter().map(|request| request.output_tokens).collect()
}

/// The value below which the share `q` lies.
pub(crate) fn quantile(values: &[u32], q: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    f64::from(sorted[((sorted.len() as f64 * q) as usize).min(sorted.len() - 1)])
}

pub(crate) fn mean_and_variance(values: &[f64]) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    (mean, values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count)
}

/// CV of the rate over windows of this many seconds, counting noise taken off.
pub(crate) fn rate_cv(arrivals_s: &[f64], window_s: f64) -> f64 {
    let (first, last) = (arrivals_s[0], arrivals_s[arrivals_s.len() - 1]);
    let mut counts = vec![0.0; ((last - first) / window_s) as usize];
    for at in arrivals_s {
        if let Some(count) = counts.get_mut(((at - first) / window_s) as usize) {
            *count += 1.0;
        }
    }
    let (mean, variance) = mean_and_variance(&counts);
    (variance - mean).max(0.0).sqrt() / mean
}

/// CV of the gaps between arrivals.
pub(crate) fn gap_cv(arrivals_s: &[f64]) -> f64 {
    let gaps: Vec<f64> = arrivals_s.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let (mean, variance) = mean_and_variance(&gaps);
    variance.sqrt() / mean
}

/// Asserts that two values differ by at most `tolerance`, as a share of the second.
pub(crate) fn assert_near(what: &str, found: f64, expected: f64, tolerance: f64) {
    assert!(
        (found - expected).abs() <= tolerance * expected.abs(),
        "{what}: {found} is not within {tolerance} of {expected}"
    );
}
