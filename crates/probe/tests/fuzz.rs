//! A driver whose every answer is drawn: statuses, sizes, texts without an end, counts that shrink.
//! `cargo test -p rampmeter-probe --test fuzz -- --ignored` does the same with a million.
#![cfg(feature = "nvml")]

mod support;

use rampmeter_probe::nvml::Nvml;
use rampmeter_probe::snapshot::{DEVICES_MAX, PROCESSES_MAX};
use rampmeter_probe::{Due, Probe, Snapshot};
use support::Fake;

/// Enough to see every call answer in every way; a few seconds.
const ANSWERS: u64 = 100_000;

#[test]
fn no_answer_makes_the_probe_panic_or_believe_it() {
    survive(0, ANSWERS);
}

#[test]
#[ignore = "the same for longer"]
fn nor_do_a_million() {
    survive(1_000, 1_000_000);
}

/// Reads drivers of these seeds on until they have given so many answers.
fn survive(first_seed: u64, enough: u64) {
    let mut answers = 0;
    for seed in first_seed.. {
        let fake = Fake::nvml(&format!("gpu\nfuzz {seed}"));
        let mut probe = Nvml::with_library(fake.library());
        let groups = [Due::ALL, Due::MEMORY, Due::PROCESSES, Due::CONDITION, Due::UTILIZATION];
        for round in 0..200 {
            check(probe.read(groups[round % groups.len()]));
        }
        answers += probe.watch().calls();
        if answers >= enough {
            println!("{answers} drawn answers of {} drivers", seed - first_seed + 1);
            break;
        }
    }
}

fn check(snapshot: &Snapshot) {
    assert!(snapshot.devices.len() <= DEVICES_MAX && snapshot.processes.len() <= PROCESSES_MAX);
    for (at, device) in snapshot.devices.iter().enumerate() {
        if let Some(memory) = device.memory.value() {
            assert!(memory.free <= memory.total && memory.total.0 > 0);
        }
        if let Some(busy) = device.utilization.value() {
            assert!(busy.gpu_pct <= 100 && busy.memory_pct <= 100);
        }
        let list = device.processes.value().copied().unwrap_or_default();
        assert_eq!(snapshot.processes_of(device).len(), list.listed as usize);
        assert!(list.listed <= list.found);
        assert!(device.parent.is_none_or(|parent| usize::from(parent) < at));
        assert!(device.uuid.as_str().is_ascii() && device.name.as_str().is_ascii());
    }
}
