//! Tables for a terminal, readable at 80 columns and without colour.

use std::io;

use comfy_table::{
    Cell, CellAlignment, ContentArrangement, LineStyle, Row, Table, TableStyle, presets,
};
use rampmeter::engine::FEATURE_NAMES;
use rampmeter_sim::report::Report;
use rampmeter_sim::results::{Felt, ServingRun, Validation};

use crate::console::Console;
use crate::jobs::{Document, Fitted};

/// Rules above, below and under the heads; none between rows.
const STYLE: TableStyle = presets::UTF8_HORIZONTAL_ONLY
    .header_separator(LineStyle::none().fill('─').junction('─'))
    .row_separator(LineStyle::none());

/// Width where there is no terminal to ask.
const COLUMNS: u16 = 80;

/// A table that fits, with these heads; all columns but the first are numbers.
fn table(heads: &[&str], console: &Console<'_>) -> Table {
    let mut table = Table::new();
    table.load_style(STYLE);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    if !console.out_terminal {
        table.force_no_tty().set_width(COLUMNS);
    }
    table.set_header(row(heads.iter().map(|head| (*head).to_owned())));
    table
}

fn row(cells: impl IntoIterator<Item = String>) -> Row {
    let cells = cells.into_iter().enumerate().map(|(index, text)| {
        let side = if index == 0 { CellAlignment::Left } else { CellAlignment::Right };
        Cell::new(text).set_alignment(side)
    });
    Row::from(cells.collect::<Vec<Cell>>())
}

fn print(table: &Table, console: &mut Console<'_>) -> io::Result<()> {
    for line in table.lines() {
        writeln!(console.out, "{}", line.trim_end())?;
    }
    Ok(())
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

/// Policies by loads, with what users of the first class felt.
pub(crate) fn serving(report: &Report, console: &mut Console<'_>) -> io::Result<()> {
    let class = first_class(report);
    writeln!(console.out, "Engine    {}", report.engine)?;
    writeln!(console.out, "Requests  {}", report.workload)?;
    for target in report.classes.iter().filter(|target| target.name == class) {
        writeln!(
            console.out,
            "Class     {class}: first token within {} s, then one every {:.0} ms",
            target.ttft_s,
            target.tpot_s * 1e3
        )?;
    }
    let heads =
        ["policy", "load", "busy\n%", "met\n%", "p99\nTTFT s", "p99\nTPOT ms", "tokens\n/s"];
    let mut table = table(&heads, console);
    for run in &report.runs {
        table.add_row(serving_row(run, &class));
    }
    print(&table, console)?;
    writeln!(console.out, "busy: share of the run with the GPU at work, an effect and not a goal")?;
    writeln!(console.out, "met: share of all offered {class} requests within both targets")
}

/// A time of nobody at all is no time of zero.
fn shown(value: f64, show: fn(f64) -> String) -> String {
    if value > 0.0 { show(value) } else { "-".to_owned() }
}

fn serving_row(run: &ServingRun, class: &str) -> Row {
    let nobody = Felt::default();
    let felt = run.classes.get(class).unwrap_or(&nobody);
    row([
        run.policy.clone(),
        run.load.map_or_else(|| "-".to_owned(), |load| load.to_string()),
        percent(run.utilization),
        if felt.offered > 0 { percent(felt.attainment) } else { "-".to_owned() },
        shown(felt.ttft_s.p99, seconds),
        shown(felt.tpot_s.p99, |value| format!("{:.1}", value * 1e3)),
        format!("{:.0}", run.tokens_per_s),
    ])
}

/// The class that goes first, of those that were offered anything.
fn first_class(report: &Report) -> String {
    let seen = |name: &str| report.runs.iter().any(|run| run.classes.contains_key(name));
    let named = report.classes.iter().map(|target| &target.name).find(|name| seen(name));
    let any = || report.runs.iter().find_map(|run| run.classes.keys().next());
    named.or_else(any).cloned().unwrap_or_default()
}

/// Each figure, measured and simulated.
pub(crate) fn validation(validation: &Validation, console: &mut Console<'_>) -> io::Result<()> {
    let mut table = table(&["figure", "stat", "measured s", "simulated s", "error %"], console);
    for quantile in &validation.quantiles {
        table.add_row(row([
            quantile.metric.trim_end_matches("_s").to_uppercase(),
            quantile.stat.to_owned(),
            format!("{:.4}", quantile.measured),
            format!("{:.4}", quantile.simulated),
            format!("{:+.1}", quantile.error_pct),
        ]));
    }
    print(&table, console)
}

/// Coefficients, and how far off the model is.
pub(crate) fn fitted(fitted: &Fitted, console: &mut Console<'_>) -> io::Result<()> {
    writeln!(console.out, "Engine  {}", fitted.engine)?;
    let mut table = table(&["coefficient", "value"], console);
    for (name, value) in FEATURE_NAMES.into_iter().zip(fitted.report.coefficients) {
        table.add_row(row([name.to_owned(), format!("{value:.4e}")]));
    }
    print(&table, console)?;
    let reports =
        [("the steps fitted to", &fitted.report), ("a replay of chat traffic", &fitted.replay)];
    for (what, report) in reports {
        writeln!(
            console.out,
            "Error over {what} ({} steps): mean {:.2}%, steps with prompts {:.2}%, p95 {:.2}%",
            report.samples, report.mape_pct, report.mape_prefill_pct, report.p95_pct,
        )?;
    }
    Ok(())
}

/// The presets of the policy document.
pub(crate) fn presets(documents: &[(&str, Document)], console: &mut Console<'_>) -> io::Result<()> {
    for (name, document) in documents {
        writeln!(console.out, "{name}: classes {}", document.classes.join(", "))?;
    }
    writeln!(console.out, "`rampmeter policy show NAME` prints one with every default")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use rampmeter_sim::report::ClassTarget;

    fn run(policy: &str, completed: u64) -> ServingRun {
        let felt = Felt { offered: 9_999, completed, attainment: 0.123_4, ..Felt::default() };
        ServingRun {
            policy: policy.to_owned(),
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

    fn printed(print: impl Fn(&mut Console<'_>) -> io::Result<()>) -> String {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut console =
            Console { out: &mut out, err: &mut err, out_terminal: false, err_terminal: false };
        print(&mut console).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn runs_fit_eighty_columns_without_colour() {
        let report = Report {
            command: String::new(),
            engine: "llama-3.1-8b".to_owned(),
            engine_source: String::new(),
            workload: "generated".to_owned(),
            seed: 42,
            classes: vec![ClassTarget {
                name: "interactive".to_owned(),
                ttft_s: 2.0,
                tpot_s: 0.05,
            }],
            attainment_min_ratio: 0.9,
            runs: vec![run("priority+chunk=384+triage", 9_000), run("served-nobody", 0)],
        };
        let text = printed(|console| serving(&report, console));
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
    fn validation_and_fit_print_every_figure() {
        let quantile = |stat: &'static str| rampmeter_sim::results::QuantileError {
            metric: "ttft_s",
            stat,
            measured: 1.0,
            simulated: 0.96,
            error_pct: -4.0,
        };
        let both = Validation { quantiles: vec![quantile("mean"), quantile("p99")] };
        let text = printed(|console| validation(&both, console));
        assert!(text.contains("TTFT") && text.contains("p99") && text.contains("-4.0"), "{text}");
        let report = |mape_pct| rampmeter_sim::engine::FitReport {
            coefficients: [1.5e-9; 7],
            mape_pct,
            mape_prefill_pct: 1.4,
            p95_pct: 3.0,
            max_pct: 9.0,
            samples: 12_345,
            prefill_samples: 345,
        };
        let model = Fitted {
            engine: "Llama-3.1-8B".to_owned(),
            source: "a test".to_owned(),
            report: report(0.61),
            replay: report(0.74),
        };
        let text = printed(|console| fitted(&model, console));
        assert!(text.contains("1.5000e-9") && text.contains("mean 0.61%"), "{text}");
        assert!(text.contains("mean 0.74%"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    }
}
