//! A tenant that comes to all of eight routers, next to twelve that come to one or two: what it is
//! served when the routers' ledgers exchange deltas, against one central ledger.
//!
//! `cargo run --release -p rampmeter-sim --example routers [seconds]`

use std::fmt::Write;

use rampmeter::Nanos;
use rampmeter_sim::routers::{RATE_PER_S, Scenario, Sharing, run};

const SEEDS: [u64; 5] = [42, 43, 44, 45, 46];

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn main() -> Outcome {
    let seconds: u64 = std::env::args().nth(1).map_or(Ok(120), |text| text.parse())?;
    for away in [false, true] {
        let scenario = Scenario::greedy(Nanos(seconds * 1_000_000_000), away);
        let what = if away { ", tenant 0 away in the second third" } else { "" };
        println!("{seconds} s, seeds {SEEDS:?}{what}: servers' worth of each tenant, mean\n");
        table(&scenario, (RATE_PER_S * seconds) as f64)?;
    }
    Ok(())
}

/// Every way of sharing, with the errors against the central ledger of the same seed.
fn table(scenario: &Scenario, server: f64) -> Outcome {
    let mut tenants = String::new();
    for tenant in 0..scenario.tenants.len() {
        write!(tenants, "{tenant:>6}")?;
    }
    println!("{:<18}{tenants}   error of 0: mean, worst; of others: worst", "tenant");
    let central: Vec<Vec<u64>> = SEEDS
        .iter()
        .map(|seed| run(scenario, Sharing::Central, *seed))
        .collect::<Result<_, _>>()?;
    for (name, sharing) in ways() {
        let mut sums = vec![0.0; scenario.tenants.len()];
        let (mut mean, mut worst, mut others) = (0.0, 0.0_f64, 0.0_f64);
        for (seed, central) in SEEDS.iter().zip(&central) {
            let served = run(scenario, sharing, *seed)?;
            let error =
                |tenant: usize| 100.0 * (served[tenant] as f64 / central[tenant] as f64 - 1.0);
            mean += error(0) / SEEDS.len() as f64;
            worst = if error(0).abs() > worst.abs() { error(0) } else { worst };
            others = (1..served.len())
                .map(error)
                .fold(others, |most, error| if error.abs() > most.abs() { error } else { most });
            for (sum, served) in sums.iter_mut().zip(&served) {
                *sum += *served as f64 / server / SEEDS.len() as f64;
            }
        }
        let mut columns = String::new();
        for sum in &sums {
            write!(columns, "{sum:6.3}")?;
        }
        println!("{name:<18}{columns}   {mean:+7.2}% {worst:+7.2}%   {others:+7.2}%");
    }
    println!();
    Ok(())
}

fn ways() -> Vec<(String, Sharing)> {
    let mut ways = vec![("central".into(), Sharing::Central), ("never".into(), Sharing::Never)];
    for ms in [1_000, 100] {
        for loss in [0.0, 0.2] {
            let sharing = Sharing::Every { interval: Nanos(ms * 1_000_000), loss };
            ways.push((format!("{ms} ms, {:.0}% lost", 100.0 * loss), sharing));
        }
    }
    ways
}
