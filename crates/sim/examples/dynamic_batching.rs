//! Whole-request batching: the desk with its defaults against peers tuned for every load, or (with
//! `sweep`) against its own neighbouring settings.
//!
//! `cargo run --release -p rampmeter-sim --example dynamic_batching [requests] [sweep]`

use rampmeter_sim::dynamic::arrivals::Process;
use rampmeter_sim::dynamic::contest::{Case, Score, VARIANTS, cases, contest, sweep};

const LOADS: [f64; 5] = [0.3, 0.6, 0.8, 0.95, 1.1];
/// Changes of attainment that a sweep lists line by line.
const NOTABLE: f64 = 0.05;
const SEEDS: [u64; 3] = [42, 43, 44];

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn main() -> Outcome {
    let requests = std::env::args().nth(1).map_or(Ok(20_000), |text| text.parse())?;
    let sweeps = std::env::args().nth(2).is_some_and(|word| word == "sweep");
    if sweeps { print_sweep(requests) } else { print_contest(requests) }
}

/// Every case, arrival process and load.
fn lines() -> Result<Vec<(Case, Process, f64)>, rampmeter::Error> {
    let mut lines = Vec::new();
    for case in cases()? {
        for process in Process::ALL {
            lines.extend(LOADS.map(|load| (case.clone(), process, load)));
        }
    }
    Ok(lines)
}

fn print_contest(requests: usize) -> Outcome {
    println!("attainment % / mean ms / p99 ms / answered %, means of seeds {SEEDS:?}\n");
    let (mut worst, mut sum, lines) = (f64::INFINITY, 0.0, lines()?);
    for (case, process, load) in &lines {
        if *load == LOADS[0] {
            println!("{}, {}", case.name, process.name());
        }
        let scores = contest(case, *process, *load, requests, &SEEDS)?;
        let lead = 100.0 * (scores[0].attainment - scores[1].attainment);
        (worst, sum) = (lead.min(worst), sum + lead);
        let columns: String = scores.iter().map(column).collect();
        println!("  {load:<4}{columns} | {lead:+5.1} over {}", scores[1].policy);
    }
    println!(
        "\ncolumns: rampmeter | fixed, best setting for this line | greedy | AIMD, best share\n\
         attainment over the best fixed setting: worst {worst:+.1} points, mean {:+.1}",
        sum / lines.len() as f64
    );
    Ok(())
}

fn column(score: &Score) -> String {
    format!(
        " | {:5.1} {:6.1} {:7.1} {:5.1}",
        100.0 * score.attainment,
        1e3 * score.mean_s,
        1e3 * score.p99_s,
        100.0 * score.answered,
    )
}

fn print_sweep(requests: usize) -> Outcome {
    let mut sums = VARIANTS.map(|_| (0.0, 0.0, 0.0, 0.0));
    let mut quiet = 0.0;
    let lines = lines()?;
    for (case, process, load) in &lines {
        let scores = sweep(case, *process, *load, requests, &SEEDS)?;
        let calm = scores[0].attainment > 0.995;
        quiet += f64::from(u8::from(calm));
        for (sum, score) in sums.iter_mut().zip(&scores) {
            let change = score.attainment - scores[0].attainment;
            if change.abs() > NOTABLE {
                let (name, points) = (&score.policy, 100.0 * change);
                println!("{name}: {points:+.1} at {load}, {}, {}", case.name, process.name());
            }
            sum.0 += 100.0 * change;
            sum.1 = (100.0 * change).min(sum.1);
            sum.2 = (100.0 * change).max(sum.2);
            sum.3 += if calm { 1e3 * score.mean_s } else { 0.0 };
        }
    }
    println!("attainment against the defaults, in points: mean, worst, best; and the mean latency");
    println!("in ms where the defaults keep 99.5% of all deadlines ({quiet} lines)\n");
    for ((name, _), sum) in VARIANTS.iter().zip(sums) {
        let (mean, latency) = (sum.0 / lines.len() as f64, sum.3 / quiet.max(1.0));
        println!("{name:<14} {mean:+6.2} {:+6.1} {:+6.1} {latency:7.1}", sum.1, sum.2);
    }
    Ok(())
}
