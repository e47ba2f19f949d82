//! Which charts a report has, and the points on them.

use super::axis::{Axis, Scale};
use super::chart::{self, Chart, Point, Stroke};
use super::measures::{self, Line};
use super::{Report, text};
use crate::results::ServingRun;

/// A figure of one class in one run, where there is one.
type Measure = fn(&ServingRun, &str) -> Option<f64>;

/// How a measure is read and written.
#[derive(Clone, Copy)]
pub(super) struct Reading {
    name: &'static str,
    axis: &'static str,
    scale: Scale,
    of: Measure,
    show: fn(f64) -> String,
}

/// 99th percentile of the time to first token.
pub(super) const TTFT: Reading = Reading {
    name: "p99 time to first token",
    axis: "p99 TTFT (log scale)",
    scale: Scale::LogSeconds,
    of: measures::ttft_p99,
    show: text::seconds,
};
/// 99th percentile of the time per output token.
pub(super) const TPOT: Reading = Reading {
    name: "p99 time per output token",
    axis: "p99 TPOT (log scale)",
    scale: Scale::LogSeconds,
    of: measures::tpot_p99,
    show: text::seconds,
};
/// Share of requests that met both targets.
pub(super) const ATTAINMENT: Reading = Reading {
    name: "requests that met both targets",
    axis: "Attainment (share of requests)",
    scale: Scale::Percent,
    of: measures::attainment,
    show: text::percent,
};
/// Requests a second that met both targets.
pub(super) const GOODPUT: Reading = Reading {
    name: "goodput",
    axis: "Goodput (requests per second)",
    scale: Scale::FromZero,
    of: measures::goodput,
    show: text::figures,
};

/// Share of the run with the GPU at work, over all classes.
pub(super) const UTILIZATION: Reading = Reading {
    name: "GPU utilization",
    axis: "GPU utilization (busy share)",
    scale: Scale::Percent,
    of: |run, _| measures::finite(run.utilization),
    show: text::percent,
};
/// Tokens of completed requests a second, over all classes.
pub(super) const THROUGHPUT: Reading = Reading {
    name: "throughput",
    axis: "Throughput (tokens per second)",
    scale: Scale::FromZero,
    of: |run, _| measures::finite(run.tokens_per_s),
    show: text::figures,
};

/// A reading against utilization: the highway curve.
pub(super) fn highway(report: &Report, lines: &[Line<'_>], class: &str, reading: Reading) -> Chart {
    let x = Axis { title: UTILIZATION.axis.to_owned(), scale: Scale::Percent };
    build(report, lines, class, reading, x, |run| measures::finite(run.utilization))
}

/// A reading against load.
pub(super) fn over_load(
    report: &Report,
    lines: &[Line<'_>],
    class: &str,
    reading: Reading,
) -> Chart {
    let title = "Offered load (1 = what saturated FCFS completes)".to_owned();
    build(report, lines, class, reading, Axis { title, scale: Scale::Span }, |run| {
        run.load.and_then(measures::finite)
    })
}

/// Attainment over load, with utilization (the mean over policies) on the same scale: what a
/// dashboard shows beside what users get.
pub(super) fn dashboard(report: &Report, lines: &[Line<'_>], class: &str) -> Chart {
    let mut chart = over_load(report, lines, class, ATTAINMENT);
    "GPU utilization, and requests that met both targets".clone_into(&mut chart.title);
    "Share: GPU busy (dotted), requests in time".clone_into(&mut chart.y.title);
    let points = measures::loads(report).into_iter().filter_map(|load| {
        let at_load = lines.iter().filter_map(|line| measures::at(line, Some(load)));
        let busy: Vec<f64> = at_load.filter_map(|run| measures::finite(run.utilization)).collect();
        let mean = measures::finite(busy.iter().sum::<f64>() / busy.len() as f64)?;
        let note = format!("GPU utilization at load {load}: {}", text::percent(mean));
        Some(Point { x: load, y: mean, note })
    });
    let points: Vec<Point> = points.collect();
    let label = "GPU utilization".to_owned();
    chart.strokes.push(Stroke { label, slot: chart::DASHBOARD_SLOT, strong: false, points });
    chart
}

fn build(
    report: &Report,
    lines: &[Line<'_>],
    class: &str,
    reading: Reading,
    x: Axis,
    x_of: impl Fn(&ServingRun) -> Option<f64>,
) -> Chart {
    let strokes = lines
        .iter()
        .map(|line| Stroke {
            label: line.label.clone(),
            slot: line.slot,
            strong: line.strong,
            points: line
                .runs
                .iter()
                .filter_map(|run| {
                    let (x, y) = (x_of(run)?, (reading.of)(run, class)?);
                    Some(Point { x, y, note: note(line, run, reading, y) })
                })
                .collect(),
        })
        .collect();
    Chart {
        title: match reading.axis {
            axis if axis == UTILIZATION.axis || axis == THROUGHPUT.axis => reading.name.to_owned(),
            _ => format!("{} of class {class}", reading.name),
        },
        x,
        y: Axis { title: reading.axis.to_owned(), scale: reading.scale },
        strokes,
        reference: reference(report, class, reading),
    }
}

fn note(line: &Line<'_>, run: &ServingRun, reading: Reading, value: f64) -> String {
    let ran = if run.variant == run.policy { "" } else { &run.variant };
    format!(
        "{}{}{ran}, load {}: utilization {}, {} {}",
        line.label,
        if ran.is_empty() { "" } else { ": " },
        text::load(run.load),
        text::percent(run.utilization),
        reading.name,
        (reading.show)(value)
    )
}

/// The line that the operator or the class draws: a target, or the attainment asked for.
fn reference(report: &Report, class: &str, reading: Reading) -> Option<(f64, String)> {
    let target = measures::target(report, class);
    let (value, name) = match reading.axis {
        axis if axis == TTFT.axis => (target?.ttft_s, "target"),
        axis if axis == TPOT.axis => (target?.tpot_s, "target"),
        axis if axis == ATTAINMENT.axis => (report.attainment_min_ratio, "goal"),
        _ => return None,
    };
    (value.is_finite() && value > 0.0).then(|| (value, format!("{name} {}", (reading.show)(value))))
}
