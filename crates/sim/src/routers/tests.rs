//! A tenant gets no more through eight doors than one ledger would give it.

use super::*;

const DURATION: Nanos = Nanos(60_000_000_000);

fn errors(away: bool, loss: f64, seed: u64) -> Vec<f64> {
    let scenario = Scenario::greedy(DURATION, away);
    let sharing = Sharing::Every { interval: Nanos(100_000_000), loss };
    let served = run(&scenario, sharing, seed).unwrap();
    let central = run(&scenario, Sharing::Central, seed).unwrap();
    served
        .iter()
        .zip(central)
        .map(|(served, central)| *served as f64 / central as f64 - 1.0)
        .collect()
}

#[test]
fn a_greedy_tenant_gets_what_a_central_ledger_gives_it() {
    for seed in 0..4 {
        for loss in [0.0, 0.2] {
            let errors = errors(false, loss, seed);
            assert!(errors[0].abs() <= 0.02, "seed {seed}, loss {loss}: {errors:?}");
        }
    }
}

#[test]
fn without_exchange_it_gets_multiples() {
    let scenario = Scenario::greedy(DURATION, false);
    let alone = run(&scenario, Sharing::Never, 0).unwrap();
    let central = run(&scenario, Sharing::Central, 0).unwrap();
    assert!(alone[0] > 3 * central[0], "{} {}", alone[0], central[0]);
}

/// Tenant 0 is away in the second third. While it is there it has 7/11 of a server: the doors but
/// the last have seven servers for it and ten others, and the two at the last door keep that one.
#[test]
fn who_comes_back_to_all_doors_has_gained_nothing() {
    let scenario = Scenario::greedy(DURATION, true);
    let fair = 7.0 / 11.0 * 40.0 * RATE_PER_S as f64;
    for loss in [0.0, 0.2] {
        let sharing = Sharing::Every { interval: Nanos(100_000_000), loss };
        let served = run(&scenario, sharing, 1).unwrap()[0] as f64;
        assert!((served / fair - 1.0).abs() <= 0.03, "loss {loss}: {served} {fair}");
    }
}
