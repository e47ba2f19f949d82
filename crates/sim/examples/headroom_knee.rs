//! The knee against simulation: where the desk puts it, from the events of a run at part of that
//! load, and where the simulated tail really crosses the target.
//!
//! `cargo run --release -p rampmeter-sim --example headroom_knee [requests] [share] [kind]`
//!
//! `requests` are those that the desk sees (200,000), at `share` of the knee (0.7); `kind` is part of
//! the name of the rows that are wanted.

use rampmeter_sim::queues::Servers;
use rampmeter_sim::queues::cases::{Case, all};
use rampmeter_sim::queues::contest::{knee_load, options, watched};
use rampmeter_sim::queues::knee::{Effort, simulated};

/// Of the simulated knee: two million requests.
const EFFORT: Effort = Effort { requests: 500_000, seeds: 4 };
/// Of the desk: it sees other random numbers.
const SEEDS: [u64; 3] = [42, 43, 44];

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn main() -> Outcome {
    let mut words = std::env::args().skip(1);
    let requests = words.next().map_or(Ok(200_000), |text| text.parse())?;
    let share = words.next().map_or(Ok(0.7), |text| text.parse())?;
    let kind = words.next().unwrap_or_default();
    println!("servers  arrivals and service             simulated   desk, % of that       limit");
    let (mut worst, mut worst_limit) = (f64::NEG_INFINITY, f64::NEG_INFINITY);
    for case in all().filter(|case| case.name.contains(&kind)) {
        let (over, limit_over) = line(&case, requests, share)?;
        worst = worst.max(over);
        worst_limit = worst_limit.max(limit_over);
    }
    println!("\nmost optimistic: likeliest {worst:+.1}%, lower limit {worst_limit:+.1}%");
    Ok(())
}

fn line(case: &Case, requests: u64, share: f64) -> Result<(f64, f64), Box<dyn std::error::Error>> {
    let knee = simulated(&case.queue, &case.target, &EFFORT);
    let (options, seats) = (options(&case.queue, &case.target), case.queue.seats());
    let (mut values, mut limits) = (Vec::new(), Vec::new());
    for seed in SEEDS {
        let desk = watched(&case.queue, &options, share * knee, requests, seed)?;
        let (value, low) = knee_load(&desk, seats)?.ok_or("too few requests")?;
        values.push(100.0 * (value / knee - 1.0));
        limits.push(100.0 * (low / knee - 1.0));
    }
    let column =
        |values: &[f64]| values.iter().map(|v| format!("{v:+6.1}")).collect::<Vec<_>>().concat();
    let engine = matches!(case.queue.servers, Servers::Engine(_));
    let servers = format!("{seats}{}", if engine { " seats" } else { "" });
    let (values_text, limits_text) = (column(&values), column(&limits));
    println!("{servers:<8} {:<32} {knee:.4}  {values_text}  {limits_text}", case.name);
    let most = |values: Vec<f64>| values.into_iter().fold(f64::NEG_INFINITY, f64::max);
    Ok((most(values), most(limits)))
}
