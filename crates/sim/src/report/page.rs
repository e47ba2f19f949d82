//! The page: headline, curves, classes, accounts, all figures, words.
//!
//! `maud` escapes every string that goes in, so that names from files cannot become markup.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::chart::{self, Chart};
use super::curves::{self, ATTAINMENT, GOODPUT, THROUGHPUT, TPOT, TTFT, UTILIZATION};
use super::headline::{Headline, headline};
use super::measures::{self, Line};
use super::{Report, people, text, words};
use crate::results::{Felt, Quantiles, ServingRun};

const STYLE: &str = concat!(include_str!("theme.css"), include_str!("page.css"));

/// The whole page.
pub(super) fn page(report: &Report) -> String {
    let lines = measures::lines(report);
    let classes = measures::classes(report);
    let class = classes.first().cloned().unwrap_or_default();
    let headline = headline(report, &lines, &class);
    let title = headline.as_ref().map_or("Nothing was run", |headline| headline.title);
    let load = headline.as_ref().and_then(|headline| headline.load);
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · rampmeter" }
                style { (PreEscaped(STYLE)) (PreEscaped(toggles(&lines))) }
            }
            body {
                (header(report, headline.as_ref()))
                main {
                    @if !lines.is_empty() {
                        (legend(&lines))
                        (highway(report, &lines, &class))
                        (rising_load(report, &lines, &class))
                        (who(report, &lines, &classes, load))
                        (all_figures(report, &lines, &classes))
                    }
                    (explanations(report))
                }
                footer { "Made by " code { "rampmeter" } ". The same command makes the same page." }
            }
        }
    }
    .into_string()
}

/// One rule for each policy: an unticked box of the legend hides it everywhere.
fn toggles(lines: &[Line<'_>]) -> String {
    let mut rules = String::new();
    for Line { slot, .. } in lines {
        rules += "body:has(#t";
        rules += &slot.to_string();
        rules += ":not(:checked)) main .p";
        rules += &slot.to_string();
        rules += ":not(.entry){display:none}\n";
    }
    rules
}

fn header(report: &Report, headline: Option<&Headline>) -> Markup {
    html! {
        header {
            p.kicker { "rampmeter · serving report" }
            @if let Some(headline) = headline {
                h1 { (headline.title) }
                p.lead { (headline.lead) }
                div.facts {
                    @for (what, low, high) in &headline.figures {
                        div.fact {
                            div.big {
                                (low) @if low != high { span.to { " to " } (high) }
                            }
                            div.what { (what) }
                        }
                    }
                }
            } @else {
                h1 { "Nothing was run" }
                p.lead { "This report has no runs in it." }
            }
            dl.setup {
                dt { "Engine" } dd { (report.engine) }
                dt { "Requests" } dd { (report.workload) }
                @if !report.classes.is_empty() {
                    dt { "Targets" } dd { @for (index, class) in report.classes.iter().enumerate() {
                        @if index > 0 { "; " }
                        (class.name) ": TTFT " (text::seconds(class.ttft_s)) ", TPOT "
                        (text::seconds(class.tpot_s))
                    } }
                }
                dt { "Command" } dd { code { (report.command) } }
            }
        }
    }
}

fn legend(lines: &[Line<'_>]) -> Markup {
    html! {
        fieldset.legend {
            legend { "Policies" span.hint { " (untick to hide)" } }
            @for line in lines {
                label class={ "entry p" (line.slot) } {
                    input type="checkbox" id={ "t" (line.slot) } checked;
                    (chip(line)) (line.label)
                }
            }
        }
    }
}

/// A short piece of a policy's line, as it looks in the plots.
pub(super) fn chip(line: &Line<'_>) -> Markup {
    html! { svg.chip viewBox="0 0 84 32" aria-hidden="true" { (chip_lines(line)) } }
}

/// What a chip is made of, 84 by 32 units.
pub(super) fn chip_lines(line: &Line<'_>) -> Markup {
    let look = chart::classes(line.slot);
    let width = if line.strong { "9" } else { "5" };
    html! {
        line class={ "line " (look) } x1="2" y1="16" x2="82" y2="16" stroke-width=(width) {}
        path class={ "mark " (look) } d=(chart::mark_path(line.slot, 42.0, 16.0, 11.0)) {}
    }
}

fn figure(chart: &Chart, caption: &str) -> Markup {
    html! {
        figure {
            (chart::svg(chart))
            figcaption { (caption) }
        }
    }
}

fn highway(report: &Report, lines: &[Line<'_>], class: &str) -> Markup {
    let wait = curves::highway(report, lines, class, TTFT);
    let met = curves::highway(report, lines, class, ATTAINMENT);
    html! {
        section {
            h2 { "The highway curve" }
            p {
                "A motorway at 98% of its capacity flows or stands; the number of cars on it is \
                 the same. Each point below is one run, each line a policy, and load rises along \
                 the line. Going right, the GPU is busier. Going up on the left plot, users wait \
                 longer; going down on the right one, more of them are let down."
            }
            @if let Some(sentence) = pegged(report) { p { (sentence) } }
            @if let Some(sentence) = alike(lines) { p { (sentence) } }
            div.pair {
                (figure(&wait, &format!("Waiting of class {class}: lower is better.")))
                (figure(&met, &format!("Targets met in class {class}: higher is better.")))
            }
        }
    }
}

/// Utilization from which on the dial stands at its end.
const PEGGED: f64 = 0.99;

/// How many runs stand in one spot of the dial, when that is most of them.
fn pegged(report: &Report) -> Option<String> {
    let high = report.runs.iter().filter(|run| run.utilization >= PEGGED).count();
    (report.runs.len() > 1 && high * 2 > report.runs.len()).then(|| {
        format!(
            "{high} of {} runs stand at {} or more, good and bad alike: from there on the dial \
             is at its end, and has nothing more to say.",
            report.runs.len(),
            text::percent(PEGGED)
        )
    })
}

/// Policies that did the same in every run, whose lines hide each other.
fn alike(lines: &[Line<'_>]) -> Option<String> {
    let same = |a: &Line<'_>, b: &Line<'_>| {
        let pairs = || a.runs.iter().zip(&b.runs);
        a.runs.len() == b.runs.len()
            && pairs().all(|(a, b)| a.load == b.load && a.classes == b.classes)
    };
    let pairs = lines.iter().enumerate().filter_map(|(index, line)| {
        let twin = lines[..index].iter().find(|earlier| same(earlier, line))?;
        Some(format!("{} lies on {}", line.label, twin.label))
    });
    let pairs: Vec<String> = pairs.collect();
    (!pairs.is_empty()).then(|| {
        let pairs = pairs.join("; ");
        format!("Policies that did the same in every run share one line in the plots: {pairs}.")
    })
}

fn rising_load(report: &Report, lines: &[Line<'_>], class: &str) -> Markup {
    if measures::loads(report).is_empty() {
        return html! {};
    }
    let chart = |reading| curves::over_load(report, lines, class, reading);
    html! {
        section {
            h2 { "When load rises" }
            p {
                "From a quiet engine to one that is asked for more than it can do. At a load above \
                 1 somebody must wait; a policy decides who, and whether the waiting was worth it. \
                 Utilization and throughput are over all classes, the other plots are class "
                b { (class) } "."
            }
            div.pair {
                (figure(&curves::dashboard(report, lines, class),
                    "Dotted: how busy the GPU is. Lines: the share of requests in time."))
                (figure(&chart(TTFT), "How long the unluckiest one in a hundred waits to begin."))
                (figure(&chart(GOODPUT), "Requests a second that met both targets."))
                (figure(&chart(THROUGHPUT), "Tokens computed for requests that were completed."))
                (figure(&chart(TPOT), "How slowly the unluckiest answer is typed."))
                (figure(&chart(UTILIZATION), "How busy the GPU is, policy by policy."))
            }
        }
    }
}

fn who(report: &Report, lines: &[Line<'_>], classes: &[String], load: Option<f64>) -> Markup {
    let per_class = !measures::loads(report).is_empty();
    html! {
        section {
            h2 { "Who pays" }
            p {
                "What one request gains another may lose. A policy that serves one class or one \
                 account by starving the rest shows here."
            }
            @if per_class {
                // The first class has a section of its own.
                @for class in classes.iter().skip(1) {
                    h3 { "Class " (class) }
                    div.pair {
                        (figure(&curves::over_load(report, lines, class, ATTAINMENT),
                            &format!("{class}: share of requests that met both targets.")))
                        (figure(&curves::over_load(report, lines, class, TTFT),
                            &format!("{class}: p99 time to first token.")))
                    }
                }
            }
            (people::accounts(lines, load))
        }
    }
}

fn all_figures(report: &Report, lines: &[Line<'_>], classes: &[String]) -> Markup {
    html! {
        section {
            h2 { "All figures" }
            div.scroll tabindex="0" role="region" aria-label="All figures, by policy and load" {
                table.figures {
                    thead {
                        tr {
                            th scope="col" { "Policy" } th.number scope="col" { "Load" }
                            @for head in ["Utilization", "Tokens/s", "Offered", "Completed",
                                "Refused", "Preempted", "Recomputed", "Jain, well-behaved",
                                "Service difference, max",
                                "Service difference, mean"] {
                                th.number scope="col" { (head) }
                            }
                            @for class in classes {
                                @for head in CLASS_HEADS { th.number scope="col" {
                                    span.class { (class) } " " (head) } }
                            }
                        }
                    }
                    @for line in lines {
                        tbody class={ "p" (line.slot) } {
                            @for run in &line.runs { (figures_row(line, run, classes)) }
                        }
                    }
                }
            }
            p.small { (seeds(report)) " Service differences are in tokens of weighted \
                service; that of a class compares accounts that wait in it. A dash \
                means that there is nothing to take the figure from." }
        }
    }
}

/// Which seeds the figures are of.
fn seeds(report: &Report) -> String {
    let (first, more) = (report.seed, report.seeds.saturating_sub(1));
    if more == 0 {
        return format!("Seed {first}.");
    }
    let last = first.saturating_add(u64::from(more));
    format!(
        "Means over seeds {first} to {last}; the largest service differences are those of all of \
         them."
    )
}

const CLASS_HEADS: [&str; 10] = [
    "attainment",
    "goodput/s",
    "Apdex",
    "completed",
    "TTFT p50",
    "TTFT p99",
    "TPOT p50",
    "TPOT p99",
    "queue wait p99",
    "service difference, max",
];

fn figures_row(line: &Line<'_>, run: &ServingRun, classes: &[String]) -> Markup {
    let none = Felt::default();
    html! {
        tr {
            th scope="row" { (line.label) @if run.variant != run.policy { ": " (run.variant) } }
            td.number { (text::load(run.load)) }
            td.number { (text::percent(run.utilization)) }
            td.number { (text::figures(run.tokens_per_s)) }
            @for count in [run.offered, run.completed, run.refused, run.preemptions] {
                td.number { (text::count(count)) }
            }
            td.number { (text::percent(run.recompute_share)) }
            td.number { (text::figures(run.jain_well_behaved)) }
            @for value in [run.service_difference_max, run.service_difference_mean] {
                td.number { (text::figures(value)) }
            }
            @for class in classes {
                (class_cells(run.classes.get(class).unwrap_or(&none)))
                td.number { (difference(run, class)) }
            }
        }
    }
}

/// Service difference within a class.
fn difference(run: &ServingRun, class: &str) -> String {
    let value = run.class_service_difference_max.get(class).copied();
    text::figures(value.unwrap_or(f64::NAN))
}

fn class_cells(felt: &Felt) -> Markup {
    let offered = felt.offered > 0;
    let ratio = |value: f64| if offered { value } else { f64::NAN };
    let ttft: fn(&Felt) -> Quantiles = |felt| felt.ttft_s;
    let tpot: fn(&Felt) -> Quantiles = |felt| felt.tpot_s;
    let wait: fn(&Felt) -> Quantiles = |felt| felt.queue_wait_s;
    html! {
        td.number { (text::percent(ratio(felt.attainment))) }
        td.number { (text::figures(ratio(felt.goodput_per_s))) }
        td.number { (text::figures(ratio(felt.apdex))) }
        td.number { (text::count(felt.completed)) " of " (text::count(felt.offered)) }
        td.number { (text::seconds(measures::cell(felt, ttft, |q| q.p50))) }
        td.number { (text::seconds(measures::cell(felt, ttft, |q| q.p99))) }
        td.number { (text::seconds(measures::cell(felt, tpot, |q| q.p50))) }
        td.number { (text::seconds(measures::cell(felt, tpot, |q| q.p99))) }
        td.number { (text::seconds(measures::cell(felt, wait, |q| q.p99))) }
    }
}

fn explanations(report: &Report) -> Markup {
    html! {
        section {
            h2 { "Words" }
            dl.words {
                @for (term, meaning) in words::GLOSSARY { div { dt { (term) } dd { (meaning) } } }
            }
        }
        section {
            h2 { "What stands behind the figures" }
            div.pair {
                div {
                    h3 { "Modelled" }
                    ul { @for item in words::MODELLED { li { (item) } } }
                }
                div {
                    h3 { "Not modelled" }
                    ul { @for item in words::NOT_MODELLED { li { (item) } } }
                }
            }
            p.small { "Step times: " (report.engine) ", " (report.engine_source) }
        }
    }
}
