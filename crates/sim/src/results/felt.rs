//! What one group of users felt, from its tally.

use rampmeter::Nanos;
use rampmeter::outcome::{Histogram, Tally};

use super::{Felt, Quantiles};

/// Parts of one in which the desk keeps slowdown, and nanoseconds in a second.
const SLOWDOWN_UNIT: f64 = 1e-6;
const SECOND_UNIT: f64 = 1e-9;

/// What a group felt in a run that ended at `end`; refusals are not told apart.
pub(super) fn felt(tally: &Tally, end: Nanos, slowdown_floor: Nanos) -> Felt {
    let counts = tally.counts();
    let Some(histograms) = tally.histograms().filter(|_| counts.offered > 0) else {
        return Felt::default();
    };
    let elapsed_s = end.as_seconds();
    let seconds = |histogram: &Histogram, otherwise: f64| {
        quantiles(histogram, SECOND_UNIT).unwrap_or_else(|| flat(otherwise))
    };
    let no_tpot_s = if counts.completed > 0 { 0.0 } else { elapsed_s };
    let no_slowdown = over(elapsed_s, slowdown_floor.as_seconds()).max(1.0);
    Felt {
        offered: counts.offered,
        completed: counts.completed,
        refused: counts.refused + counts.failed,
        shed: 0,
        expired: 0,
        attainment: counts.attainment().unwrap_or(0.0),
        goodput_per_s: counts.goodput_per_s(end),
        apdex: counts.apdex().unwrap_or(0.0),
        ttft_s: seconds(&histograms.ttft, elapsed_s),
        tpot_s: seconds(&histograms.tpot, no_tpot_s),
        queue_wait_s: seconds(&histograms.queue_wait, elapsed_s),
        e2e_s: seconds(&histograms.end_to_end, elapsed_s),
        slowdown: quantiles(&histograms.slowdown, SLOWDOWN_UNIT)
            .unwrap_or_else(|| flat(no_slowdown)),
    }
}

fn quantiles(histogram: &Histogram, unit: f64) -> Option<Quantiles> {
    // The quantiles asked for are in range, so only an empty histogram has no answer.
    let at = |q: f64| Some(histogram.quantile(q).ok()?? as f64 * unit);
    let mean = histogram.mean()? * unit;
    let max = histogram.max()? as f64 * unit;
    Some(Quantiles { p50: at(0.5)?, p90: at(0.9)?, p99: at(0.99)?, mean, max })
}

const fn flat(value: f64) -> Quantiles {
    Quantiles { p50: value, p90: value, p99: value, mean: value, max: value }
}

/// A ratio, zero where there is nothing to divide by.
pub(super) fn over(amount: f64, by: f64) -> f64 {
    if by > 0.0 { amount / by } else { 0.0 }
}
