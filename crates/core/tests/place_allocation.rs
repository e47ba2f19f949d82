//! After construction a placer allocates nothing, in success or refusal, and takes the memory that
//! it said it would.

mod counting;
mod lean;
mod support;

use std::hint::black_box;

use counting::tally;
use lean::placer::LeanPlacer;
use rampmeter::fleet::{Fleet, FleetOptions};
use rampmeter::place::{Placer, PlacerOptions};
use rampmeter::policy::Policy;

#[test]
fn no_call_allocates() {
    // Positive control: a counter that counts nothing would pass.
    let before = tally().calls;
    drop(black_box(Box::new(7_u8)));
    assert_eq!(tally().calls - before, 2, "one to allocate, one to free");

    for seed in 0..4 {
        let mut host = LeanPlacer::new(seed);
        let before = tally().calls;
        host.drive(4_000);
        assert_eq!(tally().calls, before, "{:?}", host.log.calls());
        let (saved, _) = host.log.counts("save");
        assert!(saved > 50, "it was saved: {:?}", host.log.calls());
    }
}

/// Every public call is made, or the test above says nothing about it.
#[test]
fn every_call_is_made() {
    let mut hosts: Vec<_> = (0..4).map(LeanPlacer::new).collect();
    for host in &mut hosts {
        host.drive(2_000);
    }
    let mut calls = Vec::new();
    let mut folders = vec![concat!(env!("CARGO_MANIFEST_DIR"), "/src/place").into()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir::<std::path::PathBuf>(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("tests") {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                calls.extend(calls_in(&std::fs::read_to_string(path).unwrap()));
            }
        }
    }
    assert!(calls.len() >= 40, "{} calls: {calls:?}", calls.len());
    for call in &calls {
        let made = hosts.iter().any(|host| host.log.counts(call).0 > 0);
        assert!(made, "{call}: {:?}", hosts[0].log.calls());
    }
}

/// Names of the public calls of a placer in a source.
fn calls_in(source: &str) -> Vec<String> {
    let blocks = source.split("\nimpl Placer {").skip(1);
    let inner = blocks.map(|block| block.split_once("\n}").map_or(block, |(inner, _)| inner));
    let public = inner.flat_map(|inner| inner.split("\n    pub ").skip(1));
    let calls = public.filter_map(|call| {
        let (name, arguments) = call.split_once('(')?;
        let first = arguments.trim_start().trim_start_matches('&').trim_start_matches("mut ");
        first.starts_with("self").then(|| name.rsplit("fn ").next().unwrap().to_owned())
    });
    calls.collect()
}

/// To the byte: what is counted is what is there, whatever the sizes.
#[test]
fn bytes_needed_is_what_construction_takes() {
    for (nodes_max, tasks_max, reservations_max) in
        [(1, 1, 1), (7, 100, 2), (300, 1_000, 30), (1_213, 16_384, 1_024)]
    {
        let size = FleetOptions { nodes_max, devices_per_node_max: 8 };
        let options = PlacerOptions {
            tasks_max,
            members_max: 2 * tasks_max,
            task_members_max: tasks_max / 2 + 1,
            accounts_max: tasks_max / 10 + 1,
        };
        let mut policy = Policy::default();
        policy.placement.reservations_max = reservations_max;
        let before = tally().bytes_live;
        let fleet = Fleet::new(&size).unwrap();
        assert_eq!(
            (tally().bytes_live - before).cast_unsigned() as u64,
            Fleet::bytes_needed(&size)
        );
        let placer = Placer::new(fleet, &policy, &options).unwrap();
        let taken = (tally().bytes_live - before).cast_unsigned() as u64;
        assert_eq!(taken, Placer::bytes_needed(&size, &policy, &options), "{size:?} {options:?}");
        drop(placer);
        assert_eq!(tally().bytes_live, before, "it gives back what it took");
    }
}

/// What `docs/policies/place.md` says of a node with 8 devices.
#[test]
fn a_node_takes_what_is_said_of_it() {
    let bytes = |nodes_max| {
        let size = FleetOptions { nodes_max, devices_per_node_max: 8 };
        Placer::bytes_needed(&size, &Policy::default(), &PlacerOptions::default())
    };
    let each = (bytes(200_000) - bytes(100_000)) / 100_000;
    assert_eq!((each, bytes(100_000) / 1_000_000), (996, 108));
}
