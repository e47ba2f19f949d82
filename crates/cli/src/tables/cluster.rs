//! What users of a simulated cluster felt.

use std::io;

use rampmeter_sim::cluster::{ClusterRun, Options};

use super::{print, row, table_within};
use crate::console::Console;
use crate::jobs::Clustered;

/// Width where there is no terminal to ask.
const COLUMNS: u16 = 100;

/// A column: its head, and what stands in it.
type Column = (&'static str, fn(&ClusterRun) -> String);

const HEADS: [Column; 11] = [
    ("policy", |run| run.policy.clone()),
    ("queue", |run| run.queue.clone()),
    ("wait s\nmean", |run| seconds(run.felt.queue_wait_s.mean)),
    ("JCT s\nmean", |run| seconds(run.felt.jct_s.mean)),
    ("\np50", |run| seconds(run.felt.jct_s.p50)),
    ("\np99", |run| seconds(run.felt.jct_s.p99)),
    ("slow-\ndown", |run| seconds(run.felt.slowdown.mean)),
    ("rho\np99", |run| seconds(run.felt.finish_time_fairness.p99)),
    ("pre-\nempts", |run| run.preemptions.to_string()),
    ("fail-\nures", |run| run.failures.to_string()),
    ("busy\n%", |run| format!("{:.1}", run.utilization * 100.0)),
];

/// A row for each placement with each discipline.
pub(crate) fn cluster(replayed: &Clustered, console: &mut Console<'_>) -> io::Result<()> {
    let felt = replayed.runs.first().map(|run| &run.felt);
    let (offered, too_large) = felt.map_or((0, 0), |felt| (felt.offered, felt.too_large));
    writeln!(console.out, "Nodes  {}: {} GPUs", replayed.nodes, replayed.gpus)?;
    write!(console.out, "Jobs   {}: {offered}", replayed.tasks)?;
    if too_large > 0 {
        write!(console.out, ", {too_large} larger than the cluster and never run")?;
    }
    if replayed.skipped > 0 {
        write!(console.out, "\n       {} more without run time left out", replayed.skipped)?;
    }
    writeln!(console.out, "\nCosts  {}", costs(&replayed.options))?;
    let mut table = table_within(COLUMNS, &HEADS.map(|(head, _)| head), console);
    for run in &replayed.runs {
        table.add_row(row(HEADS.map(|(_, of)| of(run))));
    }
    print(&table, console)?;
    for run in replayed.runs.iter().filter(|run| run.reservations.jobs > 0) {
        let kept = &run.reservations;
        writeln!(
            console.out,
            "{} {}: {} jobs were promised a start, {} started later (by up to {} s)",
            run.policy,
            run.queue,
            kept.jobs,
            kept.late,
            seconds(kept.late_s_max)
        )?;
    }
    for words in [
        "JCT: from arrival to end; wait: to the first start; slowdown: mean of JCT over run time",
        "failures: jobs stopped by the failure of a node; busy: share of all GPU seconds that were held,",
        "  an effect and not a goal",
        "rho: JCT over what the job would have taken alone on its share of the cluster",
    ] {
        writeln!(console.out, "{words}")?;
    }
    Ok(())
}

fn costs(options: &Options) -> String {
    let restart_s = options.costs.restart.as_seconds();
    let lost = match options.costs.checkpoint {
        None => "nothing, for it saves its state on its way out".to_owned(),
        Some(every) => {
            format!("what it did since its last checkpoint, one each {} s", every.as_seconds())
        }
    };
    format!("a job that is stopped loses {lost},\n       and needs {restart_s} s to go on")
}

/// Seconds (or a ratio) in three figures or whole.
fn seconds(value: f64) -> String {
    if value.abs() < 10.0 { format!("{value:.2}") } else { format!("{value:.0}") }
}

#[cfg(test)]
mod tests {
    use super::super::tests::printed;
    use super::*;

    #[test]
    fn runs_fit_and_say_what_was_left_out() {
        let mut run = ClusterRun {
            policy: "rampmeter".to_owned(),
            queue: "conservative".to_owned(),
            utilization: 0.912_3,
            preemptions: 12_345,
            ..ClusterRun::default()
        };
        run.felt.jct_s.p99 = 16_647_148.0;
        run.felt.offered = 10;
        run.felt.too_large = 3;
        run.reservations.jobs = 7;
        run.reservations.late = 2;
        let replayed = Clustered {
            nodes: "8x8".to_owned(),
            gpus: 64,
            tasks: "muri:trace1.csv".to_owned(),
            skipped: 4,
            options: Options::default(),
            runs: vec![run],
        };
        let text = printed(|console| cluster(&replayed, console));
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
        for part in ["64 GPUs", "3 larger than", "4 more without", "16647148", "12345", "91.2"] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(text.contains(" rampmeter ") && text.contains(" conservative "), "{text}");
        assert!(text.contains("7 jobs were promised a start, 2 started later"), "{text}");
    }
}
