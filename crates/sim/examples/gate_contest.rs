//! Gates side by side: the share of all requests offered that start within the target. Refused,
//! dropped and late ones count as missed.
//!
//! `cargo run --release -p rampmeter-sim --example gate_contest [requests] [seeds]`
//!
//! 100,000 requests and five seeds by default; service takes 2 s on average.

use std::time::Instant;

use rampmeter::policy::GateRules;
use rampmeter_sim::queues::gates::cases::{Case, Entrant, all};
use rampmeter_sim::queues::gates::{Fare, Offer};

/// Of the second table.
const CONFIDENCES: [f64; 5] = [0.02, 0.1, 0.25, 0.5, 0.75];

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Outcome<()> {
    let mut words = std::env::args().skip(1);
    let requests = words.next().map_or(Ok(100_000), |text| text.parse())?;
    let seeds = words.next().map_or(Ok(5), |text| text.parse())?;
    let cases: Vec<Case> = all(requests).collect();
    attainment(&cases, seeds)?;
    confidence(&cases, seeds)?;
    cost(&cases)
}

/// Means over the seeds: attainment, share dropped after waiting, 99th percentile of waits.
fn means(
    offer: &Offer,
    seeds: u64,
    run: impl Fn(&Offer) -> Result<Fare, rampmeter::Error>,
) -> Outcome<[f64; 3]> {
    let mut sums = [0.0; 3];
    for seed in 1..=seeds {
        let mut fare = run(&Offer { seed, ..*offer })?;
        let parts = [100.0 * fare.attainment(), 100.0 * fare.dropped(), fare.wait_s(0.99)];
        sums.iter_mut().zip(parts).for_each(|(sum, part)| *sum += part / seeds as f64);
    }
    Ok(sums)
}

fn label(case: &Case) -> String {
    format!("{:>2} {:>3} {:<14}", case.offer.servers(), case.offer.target_s, case.name)
}

/// Attainment of all, and how far the gate is behind the best of the others.
fn attainment(cases: &[Case], seeds: u64) -> Outcome<()> {
    print!("{:<22}", "servers, target s");
    for (name, _) in Entrant::ALL {
        print!("{name:>10}");
    }
    println!("{:>9}{:>12}{:>12}", "behind", "p99 wait s", "no expiry");
    let mut worst = vec![0.0_f64; Entrant::ALL.len()];
    for case in cases {
        let rows: Outcome<Vec<[f64; 3]>> = Entrant::ALL
            .iter()
            .map(|(_, entrant)| means(&case.offer, seeds, |offer| entrant.run(offer)))
            .collect();
        let rows = rows?;
        let best = rows.iter().map(|row| row[0]).fold(0.0, f64::max);
        let gaps = rows.iter().map(|row| best - row[0]);
        worst.iter_mut().zip(gaps).for_each(|(worst, gap)| *worst = worst.max(gap));
        print!("{:<22}", label(case));
        for row in &rows {
            print!("{:>10.1}", row[0]);
        }
        let [lasting, gate] = [rows[rows.len() - 2], rows[rows.len() - 1]];
        println!("{:>9.1}{:>12.2}{:>12.2}", best - gate[0], gate[2], lasting[2]);
    }
    print!("{:<22}", "worst gap");
    for gap in worst {
        print!("{gap:>10.1}");
    }
    println!("\n");
    Ok(())
}

/// What the confidence of the gate is worth.
fn confidence(cases: &[Case], seeds: u64) -> Outcome<()> {
    println!("the gate at other confidences: attainment, and % dropped after they waited");
    print!("{:<22}", "servers, target s");
    for confidence in CONFIDENCES {
        print!("{confidence:>14}");
    }
    println!();
    for case in cases {
        print!("{:<22}", label(case));
        for confidence in CONFIDENCES {
            let rules = GateRules { expiring_confidence_ratio: confidence, ..GateRules::default() };
            let [served, dropped, _] =
                means(&case.offer, seeds, |offer| Entrant::gate(offer, rules))?;
            print!("{served:>8.1}{dropped:>6.1}");
        }
        println!();
    }
    Ok(())
}

/// Wall-clock of the gate: what a request costs more than with expiry alone, everything included.
fn cost(cases: &[Case]) -> Outcome<()> {
    let Some(case) = cases.iter().rev().find(|case| case.name == "load 1.2") else { return Ok(()) };
    let seconds = |entrant: Entrant| -> Outcome<f64> {
        let began = Instant::now();
        entrant.run(&case.offer)?;
        Ok(began.elapsed().as_secs_f64())
    };
    let more_s = seconds(Entrant::Gate)? - seconds(Entrant::Expire)?;
    let each_ns = 1e9 * more_s / case.offer.requests as f64;
    println!("\n{}: {each_ns:.0} ns a request more than with expiry alone", label(case));
    Ok(())
}
