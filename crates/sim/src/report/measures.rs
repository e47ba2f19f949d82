//! What the page reads out of the runs: labels, loads, and figures that may be missing.

use std::collections::BTreeSet;

use super::{ClassTarget, Report};
use crate::results::{Felt, Quantiles, ServingRun};

/// One policy (with its gate and router) over all its loads.
#[derive(Clone, Debug)]
pub(super) struct Line<'a> {
    /// What the legend says.
    pub(super) label: String,
    /// Which look it has in every plot.
    pub(super) slot: usize,
    /// Drawn more strongly: the library's own policy.
    pub(super) strong: bool,
    /// In order of load.
    pub(super) runs: Vec<&'a ServingRun>,
}

/// The name of a run's policy, with its gate and router where it has any.
pub(super) fn label(run: &ServingRun) -> String {
    let mut label = run.policy.clone();
    if run.gate != "none" {
        label = format!("{label} + gate {}", run.gate);
    }
    if run.router != "none" {
        label = format!("{label} + router {}", run.router);
    }
    label
}

/// The runs as lines, in order of first appearance. The library's own policy takes look 0, so
/// that it is the same in every report.
pub(super) fn lines(report: &Report) -> Vec<Line<'_>> {
    let mut lines: Vec<Line<'_>> = Vec::new();
    for run in &report.runs {
        let label = label(run);
        match lines.iter_mut().find(|line| line.label == label) {
            Some(line) => line.runs.push(run),
            None => lines.push(Line { label, slot: 0, strong: false, runs: vec![run] }),
        }
    }
    let own = lines.iter().position(|line| line.runs[0].policy.starts_with("rampmeter"));
    let mut next = usize::from(own.is_some());
    for (index, line) in lines.iter_mut().enumerate() {
        line.strong = own == Some(index);
        if !line.strong {
            line.slot = next;
            next += 1;
        }
        line.runs.sort_by(|a, b| order(a.load).total_cmp(&order(b.load)));
    }
    lines
}

fn order(load: Option<f64>) -> f64 {
    load.unwrap_or(f64::NEG_INFINITY)
}

/// Classes in order of precedence; a class that no target is known for comes last.
pub(super) fn classes(report: &Report) -> Vec<String> {
    let seen: BTreeSet<&String> = report.runs.iter().flat_map(|run| run.classes.keys()).collect();
    let mut names: Vec<String> = Vec::new();
    for ClassTarget { name, .. } in &report.classes {
        if seen.contains(name) && !names.contains(name) {
            names.push(name.clone());
        }
    }
    for name in seen {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    names
}

/// The targets of a class, where known.
pub(super) fn target<'a>(report: &'a Report, class: &str) -> Option<&'a ClassTarget> {
    report.classes.iter().find(|target| target.name == class)
}

/// Distinct loads, rising. `None` (as recorded) is not a load.
pub(super) fn loads(report: &Report) -> Vec<f64> {
    let mut loads: Vec<f64> =
        report.runs.iter().filter_map(|run| run.load).filter(|load| load.is_finite()).collect();
    loads.sort_by(f64::total_cmp);
    loads.dedup();
    loads
}

/// Loads at which every line has a run; with `None` alone, that.
pub(super) fn common_loads(lines: &[Line<'_>]) -> Vec<Option<f64>> {
    let Some(first) = lines.first() else { return Vec::new() };
    let mut common: Vec<Option<f64>> = Vec::new();
    for run in &first.runs {
        if !common.contains(&run.load) && lines.iter().all(|line| at(line, run.load).is_some()) {
            common.push(run.load);
        }
    }
    common
}

/// The run of a line at a load.
pub(super) fn at<'a>(line: &Line<'a>, load: Option<f64>) -> Option<&'a ServingRun> {
    line.runs.iter().copied().find(|run| run.load == load)
}

/// A finite number, or nothing.
pub(super) fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}

/// A time, which may be a lower bound; nothing when nobody was completed and it reads as zero.
pub(super) fn quantile(felt: &Felt, pick: fn(&Felt) -> f64) -> Option<f64> {
    finite(pick(felt)).filter(|value| felt.completed > 0 || *value > 0.0)
}

/// p99 of the time to first token of a class.
pub(super) fn ttft_p99(run: &ServingRun, class: &str) -> Option<f64> {
    run.classes.get(class).and_then(|felt| quantile(felt, |felt| felt.ttft_s.p99))
}

/// p99 of the time per output token of a class.
pub(super) fn tpot_p99(run: &ServingRun, class: &str) -> Option<f64> {
    run.classes.get(class).and_then(|felt| quantile(felt, |felt| felt.tpot_s.p99))
}

/// Attainment of a class that was offered anything.
pub(super) fn attainment(run: &ServingRun, class: &str) -> Option<f64> {
    run.classes.get(class).filter(|felt| felt.offered > 0).and_then(|felt| finite(felt.attainment))
}

/// Goodput of a class.
pub(super) fn goodput(run: &ServingRun, class: &str) -> Option<f64> {
    run.classes.get(class).and_then(|felt| finite(felt.goodput_per_s))
}

/// A quantile for a table cell.
pub(super) fn cell(felt: &Felt, of: fn(&Felt) -> Quantiles, pick: fn(&Quantiles) -> f64) -> f64 {
    let value = pick(&of(felt));
    if felt.completed == 0 && value == 0.0 { f64::NAN } else { value }
}
