//! What serving runs did, in one of several views.

use std::io;

use clap::ValueEnum;
use comfy_table::Row;
use rampmeter_sim::report::Report;
use rampmeter_sim::results::{Felt, LearnedModel, ServingRun};

use super::{COLUMNS, print, row, table_within};
use crate::console::Console;

/// What the table on standard output is about.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub(crate) enum View {
    /// What users of the first class felt, beside how busy the GPU was
    #[default]
    Users,
    /// Targets met by class, and what it cost: throughput, fairness, requests not served
    Gains,
    /// What a full KV cache does: preemptions and work done twice
    Memory,
    /// How far apart accounts were, beside the bound that the policy states
    Fairness,
}

/// Width of views with more columns, where there is no terminal to ask.
const COLUMNS_WIDE: u16 = 100;

/// A column: its head, and what stands in it.
type Column = (&'static str, fn(&Shown<'_>) -> String);

/// One row: a policy at a load.
struct Shown<'a> {
    /// The mean over seeds.
    run: &'a ServingRun,
    /// The seeds one by one.
    seeds: &'a [ServingRun],
    first_class: &'a str,
    last_class: &'a str,
}

const POLICY: Column = ("policy", |shown| name(shown.run));
const LOAD: Column =
    ("load", |shown| shown.run.load.map_or_else(|| "-".to_owned(), |load| load.to_string()));
const BUSY: Column = ("busy\n%", |shown| percent(shown.run.utilization));
const MET: Column = ("met\n%", |shown| met(&shown.felt()));
const SPREAD: Column = ("±\n%", spread);
const MET_LAST: Column = ("last\nmet %", |shown| met(&shown.of_class(shown.last_class)));
const TTFT: Column = ("p99\nTTFT s", |shown| present(shown.felt().ttft_s.p99, seconds));
const TPOT: Column =
    ("p99\nTPOT ms", |shown| present(shown.felt().tpot_s.p99, |s| format!("{:.1}", s * 1e3)));
const LONGEST: Column =
    ("longest\nwait s", |shown| present(shown.felt().queue_wait_s.max, seconds));
const TOKENS: Column = ("tokens\n/s", |shown| format!("{:.0}", shown.run.tokens_per_s));
const JAIN: Column = ("Jain", |shown| format!("{:.3}", shown.run.jain_well_behaved));
const APART: Column = ("apart\nk", |shown| thousands(apart(shown.run)));
const APART_MEAN: Column =
    ("apart\nmean k", |shown| format!("{:.2}", shown.run.service_difference_mean / 1e3));
const BOUND: Column =
    ("bound\nk", |shown| shown.run.service_bound.map_or_else(|| "-".to_owned(), thousands));
const DONE: Column = ("done\n%", |shown| of_offered(shown.run, shown.run.completed));
const REFUSED: Column = ("refused\n%", |shown| of_offered(shown.run, shown.run.refused));
const RECOMPUTED: Column = ("again\n%", |shown| percent(shown.run.recompute_share));
const PREEMPTED: Column = ("pre-\nempted", |shown| shown.run.preemptions.to_string());

impl View {
    fn columns(self, seeds: u32) -> &'static [Column] {
        match self {
            Self::Users if seeds == 1 => &[POLICY, LOAD, BUSY, MET, TTFT, TPOT, TOKENS],
            Self::Users => &[POLICY, LOAD, MET, SPREAD, TTFT, TPOT, TOKENS],
            Self::Gains => &[POLICY, LOAD, MET, MET_LAST, TOKENS, JAIN, APART, DONE, REFUSED],
            Self::Memory => &[POLICY, LOAD, RECOMPUTED, PREEMPTED, TOKENS, MET, MET_LAST, LONGEST],
            Self::Fairness => &[POLICY, LOAD, APART_MEAN, APART, BOUND, JAIN, MET, TOKENS],
        }
    }

    const fn width(self) -> u16 {
        match self {
            Self::Users => COLUMNS,
            _ => COLUMNS_WIDE,
        }
    }

    /// What the heads mean, a line each.
    fn legend(self, seeds: u32, first: &str, last: &str) -> Vec<String> {
        let met = format!("met: share of all offered {first} requests within both targets");
        let of_last = format!("last met: the same of {last} requests");
        let apart = "apart: most service (thousands of prompt tokens) by which one account was \
                     ahead of\n  another while both waited in one class";
        match self {
            Self::Users if seeds == 1 => vec![
                "busy: share of the run with the GPU at work, an effect and not a goal".to_owned(),
                met,
            ],
            Self::Users => vec![met, "±: half of what lies between the seeds".to_owned()],
            Self::Gains => vec![
                met,
                of_last,
                "Jain: evenness of the share of its demand that each account had been served when \
                 the last\n  request arrived, over accounts that ask for no more than their share"
                    .to_owned(),
                apart.to_owned(),
                "done, refused: of all that was offered".to_owned(),
            ],
            Self::Memory => vec![
                "again: tokens computed again after a preemption, over all prompt tokens computed"
                    .to_owned(),
                met,
                of_last,
                format!("longest wait: of any {first} request for its seat"),
            ],
            Self::Fairness => vec![
                apart.to_owned(),
                "apart mean: over time and over pairs of accounts that wait, over all classes"
                    .to_owned(),
                "bound: 2 * (max(w_p * L, w_q * M) + credit), where the policy states one"
                    .to_owned(),
                met,
            ],
        }
    }
}

impl Shown<'_> {
    fn of_class(&self, class: &str) -> Felt {
        self.run.classes.get(class).cloned().unwrap_or_default()
    }

    fn felt(&self) -> Felt {
        self.of_class(self.first_class)
    }
}

/// Policies by loads: `report` holds the means of each `report.seeds` of `runs`.
pub(crate) fn serving(
    report: &Report,
    runs: &[ServingRun],
    view: View,
    console: &mut Console<'_>,
) -> io::Result<()> {
    let (first, last) = classes(report);
    writeln!(console.out, "Engine    {}", report.engine)?;
    writeln!(console.out, "Requests  {}", report.workload)?;
    if report.seeds > 1 {
        let end = report.seed.saturating_add(u64::from(report.seeds) - 1);
        writeln!(
            console.out,
            "Seeds     {} to {end}: means, but maxima are those of all seeds",
            report.seed
        )?;
    }
    for target in report.classes.iter().filter(|target| target.name == first) {
        writeln!(
            console.out,
            "Class     {first}: first token within {} s, then one every {:.0} ms",
            target.ttft_s,
            target.tpot_s * 1e3
        )?;
    }
    let columns = view.columns(report.seeds);
    let heads: Vec<&str> = columns.iter().map(|(head, _)| *head).collect();
    let mut table = table_within(view.width(), &heads, console);
    for (run, seeds) in report.runs.iter().zip(runs.chunks(report.seeds.max(1) as usize)) {
        let shown = Shown { run, seeds, first_class: &first, last_class: &last };
        table.add_row(line(columns, &shown));
    }
    print(&table, console)?;
    if report.runs.iter().any(|run| run.variant != run.policy) {
        writeln!(console.out, "*: of the chunk sizes tried, the one with the highest `met` here")?;
    }
    if let Some(words) = learned(&report.runs).filter(|_| view != View::Users) {
        writeln!(console.out, "{words}")?;
    }
    for words in view.legend(report.seeds, &first, &last) {
        writeln!(console.out, "{words}")?;
    }
    Ok(())
}

fn line(columns: &[Column], shown: &Shown<'_>) -> Row {
    row(columns.iter().map(|(_, of)| of(shown)))
}

/// The class that goes first and the one that goes last, of those that were offered anything.
fn classes(report: &Report) -> (String, String) {
    let seen = |name: &str| report.runs.iter().any(|run| run.classes.contains_key(name));
    let mut named = report.classes.iter().map(|target| &target.name).filter(|name| seen(name));
    let any = || report.runs.iter().find_map(|run| run.classes.keys().next());
    let first = named.next().or_else(any).cloned().unwrap_or_default();
    let last = named.next_back().cloned().unwrap_or_else(|| first.clone());
    (first, last)
}

/// How far off the step times were that policies learned: the largest of each error.
fn learned(runs: &[ServingRun]) -> Option<String> {
    let learned: Vec<LearnedModel> = runs.iter().filter_map(|run| run.step_model).collect();
    let largest = |error: fn(&LearnedModel) -> f64| learned.iter().map(error).reduce(f64::max);
    let (all, prefill) =
        (largest(|model| model.error_pct)?, largest(|model| model.error_prefill_pct)?);
    Some(format!(
        "step times, as learned by the policy: off by at most {all:.2}% at the end of a run \
         (mean),\n  steps with prompts by {prefill:.2}%"
    ))
}

/// A policy, or with a star the variant that was best, and the gate before it.
fn name(run: &ServingRun) -> String {
    let star = if run.variant == run.policy { "" } else { " *" };
    let gate = if run.gate == "none" { String::new() } else { format!("\n  behind {}", run.gate) };
    format!("{}{star}{gate}", run.variant)
}

fn met(felt: &Felt) -> String {
    if felt.offered > 0 { percent(felt.attainment) } else { "-".to_owned() }
}

/// Half of what lies between the seed with the lowest and the one with the highest attainment.
fn spread(shown: &Shown<'_>) -> String {
    let felt = shown.seeds.iter().filter_map(|run| run.classes.get(shown.first_class));
    let attained = felt.map(|felt| felt.attainment);
    let low = attained.clone().fold(f64::INFINITY, f64::min);
    let high = attained.fold(f64::NEG_INFINITY, f64::max);
    if high < low { "-".to_owned() } else { format!("{:.1}", (high - low) * 50.0) }
}

/// The largest service difference within any class.
fn apart(run: &ServingRun) -> f64 {
    run.class_service_difference_max.values().copied().fold(0.0, f64::max)
}

fn of_offered(run: &ServingRun, count: u64) -> String {
    if run.offered == 0 { "-".to_owned() } else { percent(count as f64 / run.offered as f64) }
}

/// A time of nobody at all is no time of zero.
fn present(value: f64, show: fn(f64) -> String) -> String {
    if value > 0.0 { show(value) } else { "-".to_owned() }
}

fn thousands(tokens: f64) -> String {
    format!("{:.1}", tokens / 1e3)
}

/// Seconds in three figures, so that columns stay narrow.
fn seconds(value: f64) -> String {
    if value.abs() < 10.0 { format!("{value:.2}") } else { format!("{value:.0}") }
}

/// Two figures after the point where one would claim a full 100.
fn percent(ratio: f64) -> String {
    let percent = ratio * 100.0;
    if (99.95..100.0).contains(&percent) {
        return format!("{:.2}", percent.min(99.99));
    }
    format!("{percent:.1}")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::tests::printed;
    use super::*;
    use rampmeter_sim::report::ClassTarget;
    use rampmeter_sim::results::mean;

    fn run(policy: &str, completed: u64) -> ServingRun {
        let felt = Felt { offered: 9_999, completed, attainment: 0.123_4, ..Felt::default() };
        ServingRun {
            policy: policy.to_owned(),
            variant: policy.to_owned(),
            gate: "none".to_owned(),
            router: "none".to_owned(),
            load: Some(1.25),
            offered: 9_999,
            completed,
            elapsed_s: 540.0,
            tokens_per_s: 12_345.6,
            utilization: 0.999_9,
            classes: BTreeMap::from([("interactive".to_owned(), felt)]),
            ..ServingRun::default()
        }
    }

    fn table_of(view: View, seeds: u32, runs: &[ServingRun]) -> String {
        let means = runs.chunks(seeds as usize).map(|runs| mean(&runs.iter().collect::<Vec<_>>()));
        let report = Report {
            command: String::new(),
            engine: "llama-3.1-8b".to_owned(),
            engine_source: String::new(),
            workload: "generated".to_owned(),
            seed: 42,
            seeds,
            classes: vec![ClassTarget {
                name: "interactive".to_owned(),
                ttft_s: 2.0,
                tpot_s: 0.05,
            }],
            attainment_min_ratio: 0.9,
            runs: means.map(Option::unwrap).collect(),
        };
        printed(|console| serving(&report, runs, view, console))
    }

    #[test]
    fn runs_fit_eighty_columns_without_colour() {
        let runs = [run("priority+chunk=384+triage", 9_000), run("served-nobody", 0)];
        let text = table_of(View::Users, 1, &runs);
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        assert!(text.contains("priority+chunk=384+triage") && text.contains("99.99"), "{text}");
        assert!(text.contains("12.3") && !text.contains('\u{1b}'), "{text}");
        let nobody = text.lines().find(|line| line.contains("served-nobody")).unwrap();
        assert!(
            nobody.contains(" - "),
            "no latency is claimed for requests never served: {nobody}"
        );
    }

    #[test]
    fn every_view_fits_and_names_the_variant_that_was_best() {
        let best = ServingRun {
            step_model: Some(LearnedModel {
                error_pct: 1.234,
                error_prefill_pct: 5.678,
                samples: 9,
            }),
            variant: "priority+chunk=1024+triage".to_owned(),
            service_bound: Some(400_000.0),
            ..run("priority+chunk=384/1024+triage", 9_000)
        };
        for view in View::value_variants() {
            let text = table_of(*view, 1, std::slice::from_ref(&best));
            let width = usize::from(view.width());
            assert!(text.lines().all(|line| line.chars().count() <= width), "{view:?}\n{text}");
            assert!(text.contains("priority+chunk=1024+triage *"), "{text}");
            assert!(text.contains("*: of the chunk sizes tried"), "{text}");
            let tells = text.contains("off by at most 1.23%") && text.contains("by 5.68%");
            assert_eq!(tells, *view != View::Users, "{text}");
        }
        assert!(table_of(View::Fairness, 1, &[best]).contains("400.0"));
    }

    #[test]
    fn seeds_become_their_mean_and_its_spread() {
        let seed = |attainment| {
            let mut run = run("fcfs", 9_000);
            if let Some(felt) = run.classes.get_mut("interactive") {
                felt.attainment = attainment;
            }
            run
        };
        let text = table_of(View::Users, 3, &[seed(0.5), seed(0.9), seed(0.7)]);
        let row = text.lines().find(|line| line.contains("fcfs")).unwrap();
        assert!(row.contains("70.0") && row.contains("20.0"), "{text}");
        assert!(text.contains("Seeds     42 to 44"), "{text}");
    }
}
