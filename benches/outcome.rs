//! Wall-clock of entering one request into the books of what users felt. Budget: 15 ns.
//!
//! The peer in the same run pushes the same four durations onto lists that nobody has sorted yet:
//! what a host does that reckons its quantiles later.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use rampmeter::Nanos;
use rampmeter::outcome::{Ended, Options, Outcomes, Status};
use rampmeter::policy::Policy;
use rampmeter_bench::Prng;

/// Records that are entered again and again: more would measure the bench's own memory.
const RECORDS: usize = 1_024;

/// The peer starts over at this many: no host keeps them for ever.
const PEER_VALUES_MAX: usize = 1 << 20;

/// Completed requests of two classes and eight accounts, spread over decades of every duration.
fn records() -> Vec<Ended> {
    let mut prng = Prng(7);
    let record = |_| {
        let arrival = 1_000_000_000 + prng.below(1_000_000_000_000);
        let scheduled = arrival + prng.below(500_000_000);
        let width = 21 + prng.below(10);
        let token = scheduled + 20_000_000 + prng.below(1 << width);
        let pace = 15_000_000 + prng.below(50_000_000);
        let output_tokens = 1 + prng.below(500);
        Ended {
            class: prng.below(2) as u16,
            account: prng.below(8) as u32,
            arrival: Nanos(arrival),
            first_scheduled: Some(Nanos(scheduled)),
            first_token: Some(Nanos(token)),
            ended: Nanos(token + (output_tokens - 1) * pace),
            output_tokens: output_tokens as u32,
            status: Status::Completed,
        }
    };
    (0..RECORDS).map(record).collect()
}

fn record(criterion: &mut Criterion) {
    let records = records();
    let mut group = criterion.benchmark_group("outcome_record");
    for (name, account_histograms) in [("rampmeter", false), ("account_histograms", true)] {
        let options = Options { account_histograms, ..Options::default() };
        let mut outcomes = Outcomes::new(&Policy::default(), options).unwrap();
        let mut next = records.iter().cycle();
        group.bench_function(name, |bencher| {
            bencher.iter(|| outcomes.record(black_box(next.next().unwrap())).unwrap());
        });
    }
    let mut lists: [Vec<u64>; 4] = std::array::from_fn(|_| Vec::with_capacity(PEER_VALUES_MAX));
    let mut next = records.iter().cycle();
    group.bench_function("peer_lists", |bencher| {
        bencher.iter(|| {
            let ended = black_box(next.next().unwrap());
            if lists[0].len() == PEER_VALUES_MAX {
                lists.iter_mut().for_each(Vec::clear);
            }
            let (scheduled, token) = (ended.first_scheduled.unwrap(), ended.first_token.unwrap());
            let decode = ended.ended.saturating_sub(token).get();
            lists[0].push(scheduled.saturating_sub(ended.arrival).get());
            lists[1].push(token.saturating_sub(ended.arrival).get());
            lists[2].push(decode / u64::from(ended.output_tokens.max(2) - 1));
            lists[3].push(ended.ended.saturating_sub(ended.arrival).get());
        });
    });
    group.finish();
}

criterion_group!(benches, record);
criterion_main!(benches);
