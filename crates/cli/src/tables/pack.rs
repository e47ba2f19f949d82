//! The table of `pack`.

use std::io;

use rampmeter_sim::cluster::PackRun;

use super::{print, row, table};
use crate::console::Console;

/// A row for each policy, a table for each list: means over seeds, the slowest of all decisions.
pub(crate) fn pack(runs: &[PackRun], console: &mut Console<'_>) -> io::Result<()> {
    for (index, runs) in runs.chunk_by(|a, b| a.list == b.list).enumerate() {
        if index > 0 {
            writeln!(console.out)?;
        }
        let Some(last_pct) = runs.first().map(|run| run.allocation_pct.len().saturating_sub(1))
        else {
            continue;
        };
        let (full_pct, busy_pct) = (last_pct.min(100), last_pct.min(80));
        let seeds = runs.chunk_by(|a, b| a.policy == b.policy).next().map_or(0, <[_]>::len);
        writeln!(console.out, "{}, mean of {seeds} seed{}", runs[0].list, plural(seeds))?;
        let heads = [
            "policy",
            &format!("at {full_pct}%"),
            &format!("at {last_pct}%"),
            &format!("lost {busy_pct}%"),
            "tasks",
            "p50 us",
            "p99 us",
            "max us",
        ];
        let mut table = table(&heads, console);
        for runs in runs.chunk_by(|a, b| a.policy == b.policy) {
            table.add_row(row(cells(runs, [full_pct, last_pct, busy_pct])));
        }
        print(&table, console)?;
    }
    let lines = "at N%: GPUs allocated, in % of all, when tasks that ask for N% of all have come;\n\
                 lost N%: GPUs that the typical task cannot use then, in % of those idle";
    writeln!(console.out, "{lines}")
}

/// One policy's row, over its seeds.
fn cells(runs: &[PackRun], [full_pct, last_pct, busy_pct]: [usize; 3]) -> [String; 8] {
    let mean =
        |of: &dyn Fn(&PackRun) -> f64| runs.iter().map(of).sum::<f64>() / runs.len().max(1) as f64;
    let at = |curve: &[f64], pct: usize| curve.get(pct).copied().unwrap_or_default();
    let slowest = runs.iter().map(|run| run.decision_ns.max).max().unwrap_or_default();
    let micros = |nanos: f64| format!("{:.1}", nanos / 1e3);
    [
        runs.first().map_or("", |run| run.policy).to_owned(),
        format!("{:.2}", mean(&|run| at(&run.allocation_pct, full_pct))),
        format!("{:.2}", mean(&|run| at(&run.allocation_pct, last_pct))),
        format!("{:.2}", mean(&|run| at(&run.fragmentation_pct, busy_pct))),
        format!("{:.0}", mean(&|run| run.decisions as f64)),
        micros(mean(&|run| run.decision_ns.p50 as f64)),
        micros(mean(&|run| run.decision_ns.p99 as f64)),
        micros(slowest as f64),
    ]
}

const fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}
