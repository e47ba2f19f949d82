//! What the runs say, in plain words. Nothing is claimed that the figures do not show.

use super::measures::{self, Line};
use super::{Report, text};

/// Utilizations this close (as a share of the run) count as the same.
const SAME_UTILIZATION: f64 = 0.05;
/// Attainments this far apart count as different: one request in ten.
const DIFFERENT_ATTAINMENT: f64 = 0.10;

/// The top of the page.
pub(super) struct Headline {
    /// The heading.
    pub(super) title: &'static str,
    /// Two or three sentences.
    pub(super) lead: String,
    /// The load that it speaks of.
    pub(super) load: Option<f64>,
    /// Large figures: what, and its range.
    pub(super) figures: Vec<(&'static str, String, String)>,
}

/// A value, and the label of the policy that it belongs to.
type Labelled = (f64, String);
/// From least to most.
type Spread = Vec<Labelled>;

/// Reads the headline out of the runs; `None` when there are none.
pub(super) fn headline(report: &Report, lines: &[Line<'_>], class: &str) -> Option<Headline> {
    let loads = measures::common_loads(lines);
    let candidate = loads
        .iter()
        .max_by(|a, b| gap(lines, class, **a).total_cmp(&gap(lines, class, **b)))
        .copied();
    // Without a load that all policies share, speak of the first run alone.
    let load = candidate.or_else(|| lines.first().map(|line| line.runs[0].load))?;
    let busy = spread(lines, load, |run| measures::finite(run.utilization));
    let met = spread(lines, load, |run| measures::attainment(run, class));
    let wait = spread(lines, load, |run| measures::ttft_p99(run, class));
    let unserved: Vec<&str> = lines
        .iter()
        .filter(|line| measures::at(line, load).is_some_and(|run| none_completed(run, class)))
        .map(|line| line.label.as_str())
        .collect();
    let equal = lines.len() > 1 && width(&busy) <= SAME_UTILIZATION;
    let differ = width(&met) >= DIFFERENT_ATTAINMENT;
    let title = match (equal && differ, lines.len()) {
        (true, _) => "Equally busy, and yet not equally good",
        (false, 1) => "How busy it was, and what users felt",
        (false, _) => "How busy the GPU was, and what users felt",
    };
    let spreads = Spreads { busy: &busy, met: &met, wait: &wait };
    let mut sentences = lead(report, class, load, lines.len(), &spreads);
    if let Some(before) = busy_before(lines, load, &busy) {
        sentences.insert(1, before);
    }
    sentences.extend(conclusion(equal && differ, &unserved));
    let figures = figures(&busy, &met, &wait);
    Some(Headline { title, lead: sentences.join(" "), load, figures })
}

struct Spreads<'a> {
    busy: &'a Spread,
    met: &'a Spread,
    wait: &'a Spread,
}

fn none_completed(run: &crate::results::ServingRun, class: &str) -> bool {
    run.classes.get(class).is_some_and(|felt| felt.offered > 0 && felt.completed == 0)
}

/// How much more attainment differs than utilization does, at a load.
fn gap(lines: &[Line<'_>], class: &str, load: Option<f64>) -> f64 {
    let met = spread(lines, load, |run| measures::attainment(run, class));
    let busy = spread(lines, load, |run| measures::finite(run.utilization));
    width(&met) - width(&busy)
}

fn spread(
    lines: &[Line<'_>],
    load: Option<f64>,
    of: impl Fn(&crate::results::ServingRun) -> Option<f64>,
) -> Spread {
    let mut spread: Spread = lines
        .iter()
        .filter_map(|line| Some((of(measures::at(line, load)?)?, line.label.clone())))
        .collect();
    spread.sort_by(|a, b| a.0.total_cmp(&b.0));
    spread
}

fn width(spread: &Spread) -> f64 {
    match (spread.first(), spread.last()) {
        (Some(low), Some(high)) => high.0 - low.0,
        _ => 0.0,
    }
}

/// The paragraph under the heading, sentence by sentence.
fn lead(
    report: &Report,
    class: &str,
    load: Option<f64>,
    policies: usize,
    spreads: &Spreads<'_>,
) -> Vec<String> {
    let when = match load {
        Some(load) => format!("At load {}", text::figures(load)),
        None => "With arrivals as recorded".to_owned(),
    };
    let whose = if policies > 1 { " under every policy" } else { "" };
    let busy = ends(spreads.busy).map(|(low, high)| {
        let busy = text::range(low.0, high.0, text::percent);
        format!("{when} the GPU is busy {busy} of the time{whose}.")
    });
    let promise = measures::target(report, class).map_or_else(String::new, |target| {
        let (first, next) = (text::seconds(target.ttft_s), text::seconds(target.tpot_s));
        format!(" (first token within {first}, then a token every {next})")
    });
    let met = ends(spreads.met).map(|(low, high)| {
        let (least, most) = (text::percent(low.0), text::percent(high.0));
        if low.1 == high.1 {
            return format!(
                "Of the {class} requests, {most} got what they were promised{promise}."
            );
        }
        format!(
            "The share of {class} requests that got what they were promised{promise} runs from \
             {least} with {} to {most} with {}.",
            low.1, high.1
        )
    });
    let wait = ends(spreads.wait).map(|(low, high)| {
        let (least, most) = (text::seconds(low.0), text::seconds(high.0));
        if low.1 == high.1 {
            return format!(
                "One request in a hundred waits longer than {most} for its first token."
            );
        }
        format!(
            "One request in a hundred waits longer than {least} for its first token with {}, and \
             longer than {most} with {}.",
            low.1, high.1
        )
    });
    [busy, met, wait].into_iter().flatten().collect()
}

/// Utilization that was as high at half the load or less tells nothing about room.
fn busy_before(lines: &[Line<'_>], load: Option<f64>, busy: &Spread) -> Option<String> {
    let (load, (now, _)) = (load?, ends(busy)?);
    let mut loads: Vec<f64> = measures::common_loads(lines).into_iter().flatten().collect();
    loads.sort_by(f64::total_cmp);
    let (earlier, then) = loads.into_iter().find_map(|earlier| {
        let then = spread(lines, Some(earlier), |run| measures::finite(run.utilization));
        let alike = ends(&then)?.0.0 >= now.0 - SAME_UTILIZATION;
        (alike && earlier <= load / 2.0).then_some((earlier, then))
    })?;
    let (low, high) = ends(&then)?;
    Some(format!(
        "It was already busy {} of the time at load {}.",
        text::range(low.0, high.0, text::percent),
        text::figures(earlier)
    ))
}

fn ends(spread: &Spread) -> Option<(&Labelled, &Labelled)> {
    Some((spread.first()?, spread.last()?))
}

fn conclusion(shown: bool, unserved: &[&str]) -> Vec<String> {
    let mut sentences = Vec::new();
    if !unserved.is_empty() {
        let who = unserved.join(", ");
        sentences.push(format!("No request of this class was completed with {who}."));
    }
    if shown {
        sentences.push(
            "That is why utilization is the wrong goal: it looks the same whether users are \
             served or not."
                .to_owned(),
        );
    }
    sentences
}

fn figures(busy: &Spread, met: &Spread, wait: &Spread) -> Vec<(&'static str, String, String)> {
    let mut figures = Vec::new();
    for (what, spread, show) in [
        ("GPU utilization", busy, text::percent as fn(f64) -> String),
        ("Requests that met both targets", met, text::percent),
        ("p99 time to first token", wait, text::seconds),
    ] {
        if let (Some(low), Some(high)) = (spread.first(), spread.last()) {
            figures.push((what, show(low.0), show(high.0)));
        }
    }
    figures
}
