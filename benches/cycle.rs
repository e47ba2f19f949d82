//! Wall-clock of one cycle over 10,000 pending tasks at 1,213 nodes. Budget: 20 ms, whatever has ended
//! since the last one.

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use rampmeter::policy::{Backfill, PendingOrder};
use rampmeter_bench::queue::Queue;

const RULES: [(&str, PendingOrder, Backfill, bool); 5] = [
    ("dominant_share_easy", PendingOrder::DominantShare, Backfill::Easy, false),
    ("dominant_share_easy_preemptible", PendingOrder::DominantShare, Backfill::Easy, true),
    ("fair_tree_easy", PendingOrder::FairTree, Backfill::Easy, false),
    ("arrival_easy", PendingOrder::Arrival, Backfill::Easy, false),
    ("dominant_share_conservative", PendingOrder::DominantShare, Backfill::Conservative, false),
];

fn cycle(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("cycle");
    group.sample_size(10);
    for (name, order, backfill, preemptible) in RULES {
        let mut queue = Queue::new(order, backfill, preemptible);
        group.bench_function(format!("{name}/100_ended"), |bencher| {
            bencher.iter_custom(|times| {
                let mut spent = Duration::ZERO;
                for _ in 0..times {
                    queue.prepare(preemptible);
                    let begin = Instant::now();
                    black_box(queue.cycle());
                    spent += begin.elapsed();
                }
                spent
            });
        });
        group.bench_function(format!("{name}/nothing_ended"), |bencher| {
            bencher.iter(|| black_box(queue.cycle()));
        });
    }
    let mut queue = Queue::new(PendingOrder::DominantShare, Backfill::Easy, false);
    group.bench_function("expected_start/the_last_of_10000", |bencher| {
        bencher.iter(|| black_box(queue.expected_start()));
    });
    group.finish();
}

criterion_group!(benches, cycle);
criterion_main!(benches);
