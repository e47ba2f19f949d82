//! Axes: how values become places, where ticks stand and what they say.

use std::ops::Range;

use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint, Ranged};

use super::text;

/// How values become places on an axis, and how they are written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Scale {
    /// Shares, written as percentages; the top is 100%.
    Percent,
    /// From zero up.
    FromZero,
    /// Between the least and the most value.
    Span,
    /// Logarithmic, seconds.
    LogSeconds,
}

/// One axis.
#[derive(Clone, Debug)]
pub(super) struct Axis {
    /// Title with its unit.
    pub(super) title: String,
    /// Scale.
    pub(super) scale: Scale,
}

/// Log axes show a microsecond to 30 years; what lies outside is drawn at the edge.
const LOG_MIN: f64 = 1e-6;
const LOG_MAX: f64 = 1e9;

impl Scale {
    /// Where a value stands, in the coordinate that is drawn: its logarithm on a log axis.
    pub(super) fn place(self, value: f64) -> f64 {
        match self {
            Self::LogSeconds => value.clamp(LOG_MIN, LOG_MAX).log10(),
            _ => value.clamp(-LOG_MAX, LOG_MAX),
        }
    }

    /// What the tick at a place says.
    pub(super) fn label(self, place: f64) -> String {
        match self {
            Self::Percent => format!("{:.0}%", place * 100.0),
            Self::LogSeconds => text::seconds(10f64.powf(place)),
            // Rounded, or three steps of 0.1 would not be 0.3.
            Self::FromZero | Self::Span => text::figures((place * 1e6).round() / 1e6),
        }
    }
}

/// An axis with its ends and its ticks, as plotters wants it.
#[derive(Clone, Debug)]
pub(super) struct Ruler {
    low: f64,
    high: f64,
    at: Vec<f64>,
}

impl Ruler {
    /// An axis on which all these values can be seen.
    pub(super) fn new(scale: Scale, values: impl Iterator<Item = f64>) -> Self {
        let places: Vec<f64> = values.map(|value| scale.place(value)).collect();
        let low = places.iter().copied().fold(f64::INFINITY, f64::min);
        let high = places.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        match scale {
            Scale::LogSeconds => log_ruler(low, high),
            Scale::Percent => {
                // At least a fifth of the axis, so that a hair's breadth does not look like a gulf.
                let low = ((low.min(0.8) * 10.0).floor() / 10.0).max(0.0);
                // And all of it once half of it is needed: a dial begins at 0.
                let low = if low < 0.5 { 0.0 } else { low };
                linear_ruler(low, high.max(1.0))
            }
            Scale::FromZero => linear_ruler(low.min(0.0), if high > 0.0 { high } else { 1.0 }),
            Scale::Span if high > low => linear_ruler(low, high),
            Scale::Span => linear_ruler(low - 0.1, low + 0.1),
        }
    }
}

impl Ranged for Ruler {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (from, to): (i32, i32)) -> i32 {
        let share = (value - self.low) / (self.high - self.low);
        from + (share * f64::from(to - from)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, _hint: Hint) -> Vec<f64> {
        self.at.clone()
    }

    fn range(&self) -> Range<f64> {
        self.low..self.high
    }
}

fn linear_ruler(low: f64, high: f64) -> Ruler {
    /// As many as fit a phone.
    const TICKS: f64 = 5.0;
    let raw = (high - low) / TICKS;
    let power = 10f64.powf(raw.log10().floor());
    let step = [1.0, 2.0, 2.5, 5.0, 10.0]
        .into_iter()
        .map(|nice| nice * power)
        .find(|step| *step >= raw * 0.999)
        .unwrap_or(raw);
    let first = (low / step - 1e-6).ceil() as i64;
    let last = (high / step + 1e-6).floor() as i64;
    // Room past the ends, so that marks and lines there are not cut.
    let pad = (high - low) * 0.02;
    Ruler {
        low: low - pad,
        high: high + pad,
        at: (first..=last).map(|i| i as f64 * step).collect(),
    }
}

fn log_ruler(low: f64, high: f64) -> Ruler {
    let (low, high) = (low - 0.08, high + 0.08);
    let decades = high - low;
    let within: &[f64] = match decades {
        d if d <= 0.7 => &[1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0],
        d if d <= 1.5 => &[1.0, 2.0, 5.0],
        d if d <= 2.6 => &[1.0, 3.0],
        _ => &[1.0],
    };
    let stride = (decades / 7.0).ceil().max(1.0) as usize;
    let mut at = Vec::new();
    for decade in ((low.floor() as i32)..=(high.ceil() as i32)).step_by(stride) {
        at.extend(within.iter().map(|factor| f64::from(decade) + factor.log10()));
    }
    at.retain(|tick| (low..=high).contains(tick));
    if at.is_empty() {
        at.push(f64::midpoint(low, high));
    }
    Ruler { low, high, at }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Whatever the values, axes have between one and a dozen ticks, inside their ends.
        #[test]
        fn axes_are_readable(values in prop::collection::vec(any::<f64>(), 1..20)) {
            let finite: Vec<f64> = values.into_iter().filter(|value| value.is_finite()).collect();
            prop_assume!(!finite.is_empty());
            for scale in [Scale::Percent, Scale::FromZero, Scale::Span, Scale::LogSeconds] {
                let ruler = Ruler::new(scale, finite.iter().copied());
                prop_assert!(ruler.low < ruler.high);
                prop_assert!((1..=12).contains(&ruler.at.len()), "{scale:?} {:?}", ruler.at);
                prop_assert!(ruler.at.iter().all(|t| (ruler.low..=ruler.high).contains(t)));
            }
        }
    }
}
