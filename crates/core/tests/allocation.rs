//! After construction nothing allocates: not in a call that succeeds, not in one that is refused.
//!
//! A counting allocator stands under this test binary (`counting`).

mod counting;
mod lean;
mod support;

use std::hint::black_box;

use counting::{Tally, tally};
use lean::Lean;
use lean::ledger::LeanLedger;
use lean::parts::{self, LeanParts};
use rampmeter::batch::Batcher;
use rampmeter::share::{AccountQuota, Amounts, Division, Ledger, LedgerOptions};
use support::{Prng, Setup, model};

/// What `work` asks of the allocator, and its answer.
fn tally_of<T>(work: impl FnOnce() -> T) -> (Tally, T) {
    let before = tally();
    let answer = work();
    let after = tally();
    let calls = after.calls - before.calls;
    (Tally { calls, bytes_live: after.bytes_live - before.bytes_live }, answer)
}

/// Positive control: a counter that counts nothing would pass every test below.
#[test]
fn the_counter_sees_every_kind_of_call() {
    let (tally, ()) = tally_of(|| drop(black_box(Box::new(7_u8))));
    assert_eq!((tally.calls, tally.bytes_live), (2, 0), "one to allocate, one to free");
    let (tally, kept) = tally_of(|| {
        let mut grown: Vec<u64> = black_box(Vec::with_capacity(1));
        grown.push(1);
        grown.push(2);
        grown
    });
    assert_eq!(tally.calls, 2, "one to allocate, one to grow");
    assert_eq!(tally.bytes_live, kept.capacity().cast_signed() * 8);
    let (tally, zeroed) = tally_of(|| black_box(vec![0_u8; 4096]));
    assert_eq!((tally.calls, tally.bytes_live), (1, zeroed.len().cast_signed()));
}

#[test]
fn no_batcher_call_allocates() {
    let mut lean = Lean::new(1);
    let (tally, ()) = tally_of(|| lean.drive(90_000));
    assert_eq!(tally.calls, 0, "{:?}", lean.counts.answers);
    lean.counts.assert_every_path_was_taken();
    lean.assert_shed_and_expired();
}

#[test]
fn no_ledger_call_allocates() {
    let mut lean = LeanLedger::new(2);
    let (tally, ()) = tally_of(|| lean.drive(10_000));
    assert_eq!(tally.calls, 0, "{:?}", lean.counts.answers);
    lean.counts.assert_every_ledger_path_was_taken();
    assert!(lean.rated.iter().all(|count| *count > 50), "within and over: {:?}", lean.rated);
}

/// A tree as large as they get, divided in one call: after it was made, changed, and left alone.
#[test]
fn no_division_allocates() {
    let (accounts_max, resources) = (100_000, 3);
    let options = LedgerOptions { accounts_max, lanes: 0, resources, ..LedgerOptions::default() };
    let (tally, mut ledger) = tally_of(|| Ledger::new(&options).unwrap());
    assert_near(Ledger::bytes_needed(&options), tally.bytes_live);
    let usage = vec![1.0; accounts_max as usize * resources as usize];
    let asked = Amounts([5, 70, 900, 0, 0, 0, 0, 0]);
    let mut capacity = Amounts::ZERO;
    for resource in 0..resources as usize {
        capacity.0[resource] = asked.0[resource] * u64::from(accounts_max) / 3;
    }
    let divided = |ledger: &mut Ledger, usage_weight| {
        let division = Division { usage_weight, usage: &usage, ..Division::default() };
        let (tally, refused) = tally_of(|| {
            ledger.divide(&division).unwrap();
            ledger.divide(&Division { usage_weight: -1.0, ..division })
        });
        assert!(refused.is_err());
        assert_eq!(tally.calls, 0);
    };
    let mut opened = Vec::new();
    for index in 0..accounts_max {
        // A hundred accounts each have nine hundred and ninety-nine below.
        let parent = (index >= 100).then(|| opened[index as usize % 100]);
        opened.push(ledger.open(parent, 1.0).unwrap());
    }
    for (index, account) in (0..).zip(&opened) {
        let over_quota_weight = [f64::from(1 + index % 7); 8];
        let rules = AccountQuota { over_quota_weight, ..AccountQuota::default() };
        ledger.set_quota(*account, &rules).unwrap();
        ledger.ask(*account, &asked).unwrap();
    }
    ledger.set_capacity(&capacity).unwrap();
    divided(&mut ledger, 0.0);
    divided(&mut ledger, 1.0);
    for resource in 0..resources as usize {
        let share = |account| ledger.fair_share(account).unwrap().0[resource];
        let sum: u64 = opened[..100].iter().map(|account| share(*account)).sum();
        assert_eq!(sum, capacity.0[resource]);
    }
    ledger.withdraw(opened[777], &asked).unwrap();
    ledger.close(opened[777]).unwrap();
    divided(&mut ledger, 0.0);
}

/// A ledger with all parts, and every call that it has. Each is answered and, if it can be, refused.
#[test]
fn no_call_about_any_part_allocates() {
    let mut prng = Prng(3);
    let mut lean = LeanParts::new(4, &parts::options(&mut prng, true));
    let (tally, ()) = tally_of(|| lean.drive(20_000));
    assert_eq!(tally.calls, 0);
    for call in ledger_calls() {
        assert!(lean.log.counts(&call).0 > 0, "{call}: {:?}", lean.log.calls());
    }
    let refused = lean.log.calls().iter().filter(|call| call.2 > 0).count();
    assert!(refused >= 50, "{refused} calls were refused: {:?}", lean.log.calls());
}

/// Names of the public calls of a ledger, out of its sources.
fn ledger_calls() -> Vec<String> {
    let mut folders = vec![concat!(env!("CARGO_MANIFEST_DIR"), "/src/share").into()];
    let mut calls = Vec::new();
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
    assert!(calls.len() >= 75, "{} calls: {calls:?}", calls.len());
    assert!(
        calls_in("\nimpl Ledger {\n    pub fn one() {}\n    pub fn two(&self) {}\n}\n").len() == 1
    );
    calls
}

fn calls_in(source: &str) -> Vec<String> {
    let blocks = source.split("\nimpl Ledger {").skip(1);
    let inner = blocks.map(|block| block.split_once("\n}").map_or(block, |(inner, _)| inner));
    let public = inner.flat_map(|inner| inner.split("\n    pub ").skip(1));
    let calls = public.filter_map(|call| {
        let (name, arguments) = call.split_once('(')?;
        let first = arguments.trim_start().trim_start_matches('&').trim_start_matches("mut ");
        first.starts_with("self").then(|| name.rsplit("fn ").next().unwrap().to_owned())
    });
    calls.collect()
}

/// What a desk says it needs is what it takes: within 2%, and 4 KiB for the fixed fields.
#[test]
fn bytes_needed_is_what_construction_takes() {
    let sizes = [(16, 4, 1, 1), (1_000, 64, 2, 50), (16_384, 256, 4, 1_000)];
    for (requests_max, running_max, classes, accounts) in sizes {
        let replicas = u32::from(classes) - 1;
        let setup =
            Setup { classes, accounts, running_max, requests_max, replicas, ..Setup::default() };
        let (policy, kv) = (setup.policy(), setup.kv());
        let needed = Batcher::bytes_needed(&policy);
        let (tally, batcher) = tally_of(|| Batcher::new(&policy, kv, model()).unwrap());
        assert_near(needed, tally.bytes_live);
        let (tally, ()) = tally_of(|| drop(batcher));
        assert!(tally.bytes_live < 0, "it gives back what it took");

        let options = LedgerOptions {
            accounts_max: accounts,
            lanes: u32::from(classes),
            rates: true,
            ..LedgerOptions::default()
        };
        let (tally, ledger) = tally_of(|| Ledger::new(&options).unwrap());
        assert_near(Ledger::bytes_needed(&options), tally.bytes_live);
        drop(ledger);
    }
}

fn assert_near(needed: u64, taken: isize) {
    let (needed, taken) = (needed as f64, taken as f64);
    let allowed = 0.02 * taken + 4096.0;
    assert!((needed - taken).abs() <= allowed, "said {needed} bytes, took {taken}");
}

/// The promise of 160 bytes a request, as far as it depends on requests alone.
#[test]
fn a_waiting_request_takes_at_most_160_bytes() {
    let taken = |requests_max| {
        let setup = Setup { requests_max, ..Setup::default() };
        let (policy, kv) = (setup.policy(), setup.kv());
        let (tally, batcher) = tally_of(|| Batcher::new(&policy, kv, model()).unwrap());
        drop(batcher);
        tally.bytes_live as f64
    };
    let each = (taken(20_000) - taken(10_000)) / 10_000.0;
    assert!(each <= 160.0, "{each} bytes a request");
}
