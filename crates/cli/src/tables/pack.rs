//! The table of `pack`.

use std::io;

use rampmeter_sim::cluster::PackRun;

use super::{print, row, table};
use crate::console::Console;

/// A row for each policy, two tables for each list: means over seeds, the slowest of all decisions.
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
        ];
        let mut figures = table(&heads, console);
        let heads = ["policy", "tasks", "p50 us", "p99 us", "max us", "new", "p50 us", "max us"];
        let mut times = table(&heads, console);
        for runs in runs.chunk_by(|a, b| a.policy == b.policy) {
            figures.add_row(row(curves(runs, [full_pct, last_pct, busy_pct])));
            times.add_row(row(decisions(runs)));
        }
        print(&figures, console)?;
        print(&times, console)?;
    }
    let lines = "at N%: GPUs allocated, in % of all, when tasks that ask for N% of all have come;\n\
                 lost N%: GPUs that the typical task cannot use then, in % of those idle;\n\
                 us: of one decision; new: of those for which each node had to be priced";
    writeln!(console.out, "{lines}")
}

/// What one policy allocates, over its seeds.
fn curves(runs: &[PackRun], [full_pct, last_pct, busy_pct]: [usize; 3]) -> [String; 4] {
    let at = |curve: &[f64], pct: usize| curve.get(pct).copied().unwrap_or_default();
    let pct = |of: &dyn Fn(&PackRun) -> f64| format!("{:.2}", mean(runs, of));
    [
        name(runs),
        pct(&|run| at(&run.allocation_pct, full_pct)),
        pct(&|run| at(&run.allocation_pct, last_pct)),
        pct(&|run| at(&run.fragmentation_pct, busy_pct)),
    ]
}

/// How long its decisions take.
fn decisions(runs: &[PackRun]) -> [String; 8] {
    let slowest = |of: fn(&PackRun) -> u64| runs.iter().map(of).max().unwrap_or_default() as f64;
    let count = |of: &dyn Fn(&PackRun) -> f64| format!("{:.0}", mean(runs, of));
    let micros = |nanos: f64| format!("{:.1}", nanos / 1e3);
    [
        name(runs),
        count(&|run| (run.decisions - run.new_shapes) as f64),
        micros(mean(runs, &|run| run.decision_ns.p50 as f64)),
        micros(mean(runs, &|run| run.decision_ns.p99 as f64)),
        micros(slowest(|run| run.decision_ns.max)),
        count(&|run| run.new_shapes as f64),
        micros(mean(runs, &|run| run.new_shape_ns.p50 as f64)),
        micros(slowest(|run| run.new_shape_ns.max)),
    ]
}

fn name(runs: &[PackRun]) -> String {
    runs.first().map_or("", |run| run.policy).to_owned()
}

fn mean(runs: &[PackRun], of: &dyn Fn(&PackRun) -> f64) -> f64 {
    runs.iter().map(of).sum::<f64>() / runs.len().max(1) as f64
}

const fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}
