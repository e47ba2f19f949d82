//! What was measured, as one table.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::desk::bytes_per_request;
use crate::grid::{Call, Point, REQUEST_BYTES_BUDGET, Short};
use crate::instructions::Counts;
use crate::spots::Spot;

/// Median nanoseconds, by call and by who was measured at which size.
#[derive(Clone, Debug, Default)]
pub struct Medians(BTreeMap<(&'static str, String), f64>);

/// Of the peer and of rampmeter, as benchmarks name them.
const PEER: &str = "peer";
const RAMPMETER: &str = "rampmeter";

/// What criterion writes about one benchmark.
#[derive(Deserialize)]
struct Estimates {
    median: Estimate,
}

#[derive(Deserialize)]
struct Estimate {
    point_estimate: f64,
}

impl Medians {
    /// Reads what criterion last wrote below `folder` about these sizes. What was not measured is
    /// left out.
    ///
    /// # Errors
    /// The file that cannot be read, and why.
    pub fn read(folder: &Path, points: &[Point]) -> Result<Self, String> {
        let mut medians = Self::default();
        for call in Call::ALL.map(Call::name) {
            for who in points.iter().flat_map(|point| [desk_at(*point), peer_at(*point)]) {
                medians.read_one(folder, call, who)?;
            }
        }
        for spot in Spot::all() {
            for who in [RAMPMETER, PEER] {
                medians.read_one(folder, spot.call(), format!("{who}/{}", spot.size()))?;
            }
        }
        Ok(medians)
    }

    fn read_one(&mut self, folder: &Path, call: &'static str, who: String) -> Result<(), String> {
        let path: PathBuf = folder.join(call).join(&who).join("new/estimates.json");
        if let Some(median) = median(&path)? {
            self.0.insert((call, who), median);
        }
        Ok(())
    }

    fn of(&self, call: &'static str, who: String) -> Option<f64> {
        self.0.get(&(call, who)).copied()
    }
}

/// As the benchmark calls the desk at this size.
fn desk_at(point: Point) -> String {
    format!("{RAMPMETER}/{point}")
}

/// How many run, and why no more if it is not for want of seats.
fn running(point: Point) -> String {
    let running = grouped(point.running.into());
    if point.short == Short::Memory { format!("{running} m") } else { running }
}

/// As the benchmark calls the peer at this size; it knows no accounts.
fn peer_at(point: Point) -> String {
    format!("{PEER}/{}-{}", point.running, point.waiting)
}

/// The table, in Markdown: for each call the time, how many times the peer's that is, the
/// instructions counted, and what it may take; a `!` where it takes more.
#[must_use]
pub fn render(points: &[Point], medians: &Medians, counts: &Counts) -> String {
    let mut rows = vec![head()];
    let (mut budgets, mut missed) = (0, 0);
    for point in points {
        let mut row =
            vec![running(*point), grouped(point.waiting.into()), grouped(point.accounts.into())];
        for call in Call::ALL {
            let time = medians.of(call.name(), desk_at(*point));
            let peer = medians.of(call.name(), peer_at(*point));
            let budget = point.budget_ns(call);
            let over = matches!((time, budget), (Some(time), Some(budget)) if time > budget);
            budgets += u32::from(time.is_some() && budget.is_some());
            missed += u32::from(over);
            let mark = if over { " !" } else { "" };
            row.push(time.map_or("-".into(), |ns| format!("{}{mark}", grouped(ns.round() as u64))));
            let ratio = time.zip(peer).map(|(time, peer)| format!("{:.1}", time / peer));
            row.push(ratio.unwrap_or("-".into()));
            let counted = counts.get(call.name()).and_then(|of| of.get(&point.to_string()));
            row.push(counted.map_or("-".into(), |count| grouped(*count)));
            if call != Call::Observe {
                row.push(budget.map_or("-".into(), |ns| grouped(ns as u64)));
            }
        }
        let bytes = bytes_per_request(*point);
        let over = bytes > REQUEST_BYTES_BUDGET;
        budgets += 1;
        missed += u32::from(over);
        row.push(format!("{bytes:.0}{}", if over { " !" } else { "" }));
        rows.push(row);
    }
    let mut text = aligned(&rows);
    let _ = writeln!(
        text,
        "\n`ns`: median of one call; `x peer`: how many times what a lock around a queue takes, \
         first come first served;\n`instr`: instructions of one call, from \
         `benches/instructions.toml`; `max`: budget in ns; `B`: bytes for one request more\n\
         (budget {REQUEST_BYTES_BUDGET}); `m`: as many run as KV memory holds. Budgets: {} of {budgets} kept, {missed} missed (`!`).",
        budgets - missed
    );
    text
}

/// The same for the calls of other desks, a row each.
#[must_use]
pub fn render_spots(medians: &Medians, counts: &Counts) -> String {
    let head = ["call", "size", "ns", "x peer", "instr", "max"].map(str::to_string);
    let mut rows = vec![head.to_vec()];
    for spot in Spot::all() {
        let of = |who: &str| medians.of(spot.call(), format!("{who}/{}", spot.size()));
        let (time, peer, budget) = (of(RAMPMETER), of(PEER), spot.budget_ns());
        let mark = if time.is_some_and(|time| time > budget) { " !" } else { "" };
        let ratio = time.zip(peer).map(|(time, peer)| format!("{:.1}", time / peer));
        let counted = counts.get(spot.call()).and_then(|of| of.get(&spot.size()));
        rows.push(vec![
            spot.call().into(),
            spot.size(),
            time.map_or("-".into(), |ns| format!("{}{mark}", grouped(ns.round() as u64))),
            ratio.unwrap_or("-".into()),
            counted.map_or("-".into(), |count| grouped(*count)),
            grouped(budget as u64),
        ]);
    }
    let mut text = aligned(&rows);
    text.push_str(
        "\n`route`: one choice among so many replicas, 64 blocks; its peer is a map from a block to \
         who computed it\nlast. `admit`: a server is free; behind a queue; turned away; its peer \
         is two numbers behind a lock.\n",
    );
    text
}

/// Placements and cycles: as the bench names them, as they are counted (empty: they are not), and how
/// many nanoseconds one may take: see the head of `benches/place.rs` and of `benches/cycle.rs`.
const CLUSTER: [(&str, &str, f64); 11] = [
    ("place/fgd_1213", "fgd", 2_000.0),
    ("place/value_1213", "value", 3_500.0),
    ("place/fgd_1213_unseen", "fgd_unseen", 40_000.0),
    ("place/value_1213_unseen", "value_unseen", 40_000.0),
    ("place/fgd_100000", "", 3_000.0),
    ("place/value_100000", "", 5_250.0),
    ("cycle/dominant_share_easy_100_ended", "dominant_share_easy", 20_000_000.0),
    ("cycle/dominant_share_easy_nothing_ended", "", 20_000_000.0),
    ("cycle/fair_tree_easy_100_ended", "", 20_000_000.0),
    ("cycle/arrival_easy_100_ended", "", 20_000_000.0),
    ("cycle/dominant_share_conservative_100_ended", "", 20_000_000.0),
];

/// The same table for placements and cycles, of what criterion last wrote below `folder`.
///
/// # Errors
/// The file that cannot be read, and why.
pub fn render_cluster(folder: &Path, counts: &Counts) -> Result<String, String> {
    let mut rows = vec![["call", "ns", "instr", "max"].map(String::from).to_vec()];
    for (name, counted, budget) in CLUSTER {
        let time = median(&folder.join(name).join("new/estimates.json"))?;
        let mark = if time.is_some_and(|time| time > budget) { " !" } else { "" };
        let call = name.split('/').next().unwrap_or_default();
        let counted = counts.get(call).and_then(|of| of.get(counted));
        rows.push(vec![
            name.into(),
            time.map_or("-".into(), |ns| format!("{}{mark}", grouped(ns.round() as u64))),
            counted.map_or("-".into(), |count| grouped(*count)),
            grouped(budget as u64),
        ]);
    }
    Ok(aligned(&rows))
}

/// The median in a file of criterion's, if there is one.
fn median(path: &Path) -> Result<Option<f64>, String> {
    let Ok(text) = std::fs::read_to_string(path) else { return Ok(None) };
    let read: Estimates =
        serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(Some(read.median.point_estimate))
}

fn head() -> Vec<String> {
    let cells = [
        "running",
        "waiting",
        "accounts",
        "submit ns",
        "x peer",
        "instr",
        "max",
        "form ns",
        "x peer",
        "instr",
        "max",
        "observe ns",
        "x peer",
        "instr",
        "B",
    ];
    cells.map(String::from).to_vec()
}

/// Rows of cells, aligned to the right, with a rule below the first.
fn aligned(rows: &[Vec<String>]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..rows[0].len()).map(width).collect();
    let mut text = String::new();
    for (index, row) in rows.iter().enumerate() {
        for (cell, width) in row.iter().zip(&widths) {
            let _ = write!(text, "| {cell:>width$} ");
        }
        text.push_str("|\n");
        if index == 0 {
            for width in &widths {
                let _ = write!(text, "|{}:", "-".repeat(width + 1));
            }
            text.push_str("|\n");
        }
    }
    text
}

/// A number with its digits in groups of three.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_come_in_groups_of_three() {
        let numbers = [0, 12, 123, 1_234, 123_456, 1_234_567].map(grouped);
        assert_eq!(numbers, ["0", "12", "123", "1,234", "123,456", "1,234,567"]);
    }

    #[test]
    fn spots_have_a_row_each_and_a_missed_budget_is_marked() {
        let spot = Spot::Route(64);
        let with = |ns: f64| {
            let times = [("rampmeter/64", ns), ("peer/64", 100.0)];
            let medians = Medians(times.map(|(who, ns)| (("route", who.into()), ns)).into());
            let counts = [("route".into(), [("64".into(), 1_234)].into())].into();
            let text = render_spots(&medians, &counts);
            text.lines().nth(2).unwrap().replace(' ', "")
        };
        let budget = spot.budget_ns();
        assert_eq!(with(budget), "|route|64|1,000|10.0|1,234|1,000|");
        assert_eq!(with(budget + 1.0), "|route|64|1,001!|10.0|1,234|1,000|");
    }

    #[test]
    fn a_missed_budget_is_marked_and_counted_and_what_is_missing_is_a_dash() {
        let point = Point::new(256, 1_000, 100);
        let render_with = |form_ns: f64| {
            let times = [(desk_at(point), form_ns), (peer_at(point), 2_000.0)];
            let medians = Medians(times.map(|(who, ns)| (("form", who), ns)).into());
            render(&[point], &medians, &Counts::new())
        };
        let row = |text: &str| text.lines().nth(2).unwrap().replace(' ', "");
        let kept = render_with(9_000.0);
        assert!(row(&kept).starts_with("|256|1,000|100|-|-|-|300|9,000|4.5|-|10,000|-|-|-|"));
        assert!(kept.contains("0 missed"));
        let missed = render_with(10_001.0);
        assert!(row(&missed).contains("|10,001!|5.0|") && missed.contains("1 missed"));
    }
}
