//! What reading costs: figures, not tests.
//!
//! `cargo test --release -p rampmeter-probe --test figures -- --ignored --nocapture`
#![cfg(feature = "nvml")]

mod support;

use std::hint::black_box;
use std::time::{Duration, Instant};

use rampmeter_probe::{Cadence, Due, Poller, Probe, clock};
use support::Fake;

/// The median of many batches, in nanoseconds for each call.
fn median_ns(calls: u32, mut f: impl FnMut()) -> f64 {
    let mut batches: Vec<f64> = (0..101)
        .map(|_| {
            let begin = Instant::now();
            (0..calls).for_each(|_| f());
            begin.elapsed().as_secs_f64() * 1e9 / f64::from(calls)
        })
        .collect();
    batches.sort_by(f64::total_cmp);
    batches[batches.len() / 2]
}

#[test]
#[ignore = "figures"]
fn what_reading_costs() {
    let fake = Fake::nvml(&format!("still\n{}", "gpu proc=1:5\n".repeat(8)));
    let poller = Poller::start(fake.probe(), &Cadence::default()).unwrap();
    assert!(poller.wait_first(Duration::from_secs(20)));
    let reader = poller.reader();
    let latest = median_ns(10_000, || {
        black_box(reader.latest().seq);
    });
    let decided = median_ns(10_000, || {
        let snapshot = reader.latest();
        let age = snapshot.age(clock::now());
        black_box(snapshot.devices[7].memory.fresh(age, black_box(age)));
    });
    println!(
        "the last snapshot: {latest:.1} ns; with the memory of a device and its age: {decided:.1} ns"
    );

    let mut probe = fake.probe();
    probe.read(Due::ALL);
    for (name, due) in [
        ("memory of 8 GPUs", Due::MEMORY),
        ("utilization of 8 GPUs", Due::UTILIZATION),
        ("condition of 8 GPUs", Due::CONDITION),
        ("processes of 8 GPUs", Due::PROCESSES),
        ("everything of 8 GPUs", Due::ALL),
    ] {
        let before = probe.watch().calls();
        let each = median_ns(20, || {
            black_box(probe.read(due).seq);
        });
        let calls = (probe.watch().calls() - before) / (101 * 20);
        let call = each / calls as f64;
        println!(
            "{name}: {:.1} us in {calls} calls, {call:.0} ns each, those of the fake with it",
            each / 1e3
        );
    }
}
