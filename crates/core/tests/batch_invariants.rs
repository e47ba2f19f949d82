//! What must hold whatever comes: budgets, seats, KV, no idling, every request ends once, and the
//! same calls give the same answers.

mod support;

use proptest::prelude::*;
use support::Host;
use support::swarm::{round, swarm};

/// One seed is one whole run.
fn run(seed: u64, steps: u32) -> (u64, u64, u64) {
    let (setup, mut prng) = swarm(seed);
    let arrivals_percent = prng.below(120);
    let cancels_percent = if prng.chance(30) { prng.below(10) } else { 0 };
    let mut host = Host::new(setup);
    for _ in 0..steps {
        round(&mut host, &mut prng, arrivals_percent, cancels_percent);
    }
    host.drain(&mut prng);
    if host.setup.overflow_risk == 0.0 {
        assert_eq!(host.preemptions, 0, "without any risk nobody gives way");
    }
    (host.digest, host.preemptions, host.swaps)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    /// The host's books agree with every plan, nothing idles, everything ends once.
    #[test]
    fn no_plan_breaks_a_rule_and_every_request_ends(seed in any::<u64>()) {
        run(seed, 150);
    }
}

/// A longer run for each of many seeds; a failure prints the seed that replays it.
#[test]
fn long_runs_replay_from_their_seed() {
    let (mut preemptions, mut swaps) = (0, 0);
    for seed in 0..40 {
        let first = std::panic::catch_unwind(|| run(seed, 1500));
        let Ok(first) = first else { panic!("seed {seed} fails: {:?}", swarm(seed).0) };
        assert_eq!(first, run(seed, 1500), "seed {seed} does not replay");
        preemptions += first.1;
        swaps += first.2;
    }
    assert!(preemptions > 1000, "the swarm must fill the KV cache, too: {preemptions}");
    assert!(swaps > 100, "and swap: {swaps}");
}
