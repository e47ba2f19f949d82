//! How far a simulated run is from a measured one, quantile by quantile.
//!
//! Quantiles here are exact, from sorted lists, and interpolated linearly between the two nearest
//! ranks as `numpy.percentile` does by default (method `linear`): measured runs are usually
//! summarised that way, and both sides must be treated alike.

use serde::Serialize;

/// What one request took, in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Latency {
    /// Time to first token.
    pub ttft_s: f64,
    /// Time per output token after the first; `None` if there was only one.
    pub tpot_s: Option<f64>,
    /// Time to the last token.
    pub latency_s: f64,
}

/// One quantile, measured and simulated.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct QuantileError {
    /// `ttft_s`, `tpot_s` or `latency_s`.
    pub metric: &'static str,
    /// `mean`, `median`, `p90`, `p95` or `p99`.
    pub stat: &'static str,
    /// On the real engine.
    pub measured: f64,
    /// In the simulator.
    pub simulated: f64,
    /// `100 * (simulated - measured) / measured`.
    pub error_pct: f64,
}

/// A simulated run against a measured one.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Validation {
    /// Every statistic of every metric.
    pub quantiles: Vec<QuantileError>,
}

/// Why two runs cannot be compared.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ValidationError {
    /// No request has this metric.
    #[error("the {side} run has no `{metric}` of any request")]
    Empty {
        /// `measured` or `simulated`.
        side: &'static str,
        /// Which metric.
        metric: &'static str,
    },
    /// A value is no time.
    #[error("the {side} run has a `{metric}` of {value}, outside 0..=1e9 seconds")]
    NotATime {
        /// `measured` or `simulated`.
        side: &'static str,
        /// Which metric.
        metric: &'static str,
        /// The value.
        value: f64,
    },
    /// Zero cannot be missed by a percentage.
    #[error("the {stat} of `{metric}` was measured as 0, so no relative error can be given")]
    MeasuredZero {
        /// Which metric.
        metric: &'static str,
        /// Which statistic.
        stat: &'static str,
    },
}

/// A way to take one time out of many.
type Statistic = fn(&[f64]) -> Option<f64>;

const STATISTICS: [(&str, Statistic); 5] = [
    ("mean", mean),
    ("median", |sorted| interpolated_quantile(sorted, 0.5)),
    ("p90", |sorted| interpolated_quantile(sorted, 0.9)),
    ("p95", |sorted| interpolated_quantile(sorted, 0.95)),
    ("p99", |sorted| interpolated_quantile(sorted, 0.99)),
];

/// A way to take one time of a request.
type Metric = fn(&Latency) -> Option<f64>;

const METRICS: [(&str, Metric); 3] = [
    ("ttft_s", |latency| Some(latency.ttft_s)),
    ("tpot_s", |latency| latency.tpot_s),
    ("latency_s", |latency| Some(latency.latency_s)),
];

/// Longest time accepted, in seconds.
const TIME_MAX_S: f64 = 1e9;

impl Validation {
    /// Compares the two runs as distributions; they need not list requests in the same order.
    ///
    /// # Errors
    /// [`ValidationError`] when a metric is missing on one side, or a value is no time.
    pub fn compare(measured: &[Latency], simulated: &[Latency]) -> Result<Self, ValidationError> {
        let mut quantiles = Vec::with_capacity(METRICS.len() * STATISTICS.len());
        for (metric, of) in METRICS {
            let real = sorted("measured", metric, measured.iter().filter_map(of))?;
            let ours = sorted("simulated", metric, simulated.iter().filter_map(of))?;
            for (stat, take) in STATISTICS {
                let (measured, simulated) = match (take(&real), take(&ours)) {
                    (Some(real), Some(ours)) if real > 0.0 => (real, ours),
                    _ => return Err(ValidationError::MeasuredZero { metric, stat }),
                };
                let error_pct = 100.0 * (simulated - measured) / measured;
                quantiles.push(QuantileError { metric, stat, measured, simulated, error_pct });
            }
        }
        Ok(Self { quantiles })
    }

    /// One of its entries, by name.
    #[must_use]
    pub fn quantile(&self, metric: &str, stat: &str) -> Option<&QuantileError> {
        self.quantiles.iter().find(|entry| entry.metric == metric && entry.stat == stat)
    }
}

fn sorted(
    side: &'static str,
    metric: &'static str,
    values: impl Iterator<Item = f64>,
) -> Result<Vec<f64>, ValidationError> {
    let mut sorted: Vec<f64> = values.collect();
    if let Some(value) = sorted.iter().copied().find(|value| !(0.0..=TIME_MAX_S).contains(value)) {
        return Err(ValidationError::NotATime { side, metric, value });
    }
    if sorted.is_empty() {
        return Err(ValidationError::Empty { side, metric });
    }
    sorted.sort_by(f64::total_cmp);
    Ok(sorted)
}

fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// The `q` quantile of ascending values, interpolated linearly at position `q * (n - 1)`; `None`
/// for no values or a `q` outside `0..=1`.
#[must_use]
pub fn interpolated_quantile(sorted: &[f64], q: f64) -> Option<f64> {
    if !(0.0..=1.0).contains(&q) {
        return None;
    }
    let last = sorted.len().checked_sub(1)?;
    let position = q * last as f64;
    let below = sorted.get(position.floor() as usize)?;
    let above = sorted.get((position.ceil() as usize).min(last))?;
    Some(below + (above - below) * position.fract())
}
