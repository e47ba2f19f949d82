//! Tables for a terminal, readable at 80 columns (those of `--show` at 100) and without colour.

mod cluster;
mod pack;
mod probe;
mod serving;
mod share;

use std::io;

use comfy_table::{
    Cell, CellAlignment, ContentArrangement, LineStyle, Row, Table, TableStyle, presets,
};
use rampmeter::engine::FEATURE_NAMES;
use rampmeter_sim::results::Validation;

use crate::console::Console;
use crate::jobs::{Document, Fitted};

pub(crate) use cluster::cluster;
pub(crate) use pack::pack;
pub(crate) use probe::machine;
pub(crate) use serving::{View, serving};
pub(crate) use share::{explained, standings};

/// Rules above, below and under the heads; none between rows.
const STYLE: TableStyle = presets::UTF8_HORIZONTAL_ONLY
    .header_separator(LineStyle::none().fill('─').junction('─'))
    .row_separator(LineStyle::none());

/// Width where there is no terminal to ask.
const COLUMNS: u16 = 80;

/// A table that fits, with these heads; all columns but the first are numbers.
fn table(heads: &[&str], console: &Console<'_>) -> Table {
    table_within(COLUMNS, heads, console)
}

fn table_within(columns: u16, heads: &[&str], console: &Console<'_>) -> Table {
    let mut table = Table::new();
    table.load_style(STYLE);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    if !console.out_terminal {
        table.force_no_tty().set_width(columns);
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
    use super::*;

    pub(super) fn printed(print: impl Fn(&mut Console<'_>) -> io::Result<()>) -> String {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut console =
            Console { out: &mut out, err: &mut err, out_terminal: false, err_terminal: false };
        print(&mut console).unwrap();
        String::from_utf8(out).unwrap()
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
