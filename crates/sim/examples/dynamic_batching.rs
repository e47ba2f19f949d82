//! Whole-request batching: the desk with its defaults against peers tuned for every load.
//!
//! `cargo run --release -p rampmeter-sim --example dynamic_batching [requests]`

use rampmeter_sim::dynamic::arrivals::Process;
use rampmeter_sim::dynamic::contest::{cases, contest};

const LOADS: [f64; 5] = [0.3, 0.6, 0.8, 0.95, 1.1];
const SEEDS: [u64; 3] = [42, 43, 44];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let requests = std::env::args().nth(1).map_or(Ok(20_000), |text| text.parse())?;
    println!("attainment % / mean ms / p99 ms / answered %, means of seeds {SEEDS:?}\n");
    let (mut worst, mut gain, mut count) = (f64::INFINITY, 0.0, 0.0);
    for case in cases()? {
        for process in Process::ALL {
            println!("{}, {}", case.name, process.name());
            for load in LOADS {
                let scores = contest(&case, process, load, requests, &SEEDS);
                let lead = 100.0 * (scores[0].attainment - scores[1].attainment);
                (worst, gain, count) = (lead.min(worst), gain + lead, count + 1.0);
                print!("  {load:<4}");
                for score in &scores {
                    print!(
                        " | {:5.1} {:6.1} {:7.1} {:5.1}",
                        100.0 * score.attainment,
                        1e3 * score.mean_s,
                        1e3 * score.p99_s,
                        100.0 * score.answered,
                    );
                }
                println!(" | {lead:+5.1} over {}", scores[1].policy);
            }
        }
    }
    println!(
        "\ncolumns: rampmeter | fixed, best setting for this line | greedy | AIMD, best share\n\
         attainment over the best fixed setting: worst {worst:+.1} points, mean {:+.1}",
        gain / count
    );
    Ok(())
}
