//! Wall-clock of one choice of a replica, a prompt of 64 blocks, next to a simple peer in the same
//! run. Budgets: 1 us among 64 replicas, 5 us among 1,024.

use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use rampmeter_bench::replicas::{Peer, Replicas};
use rampmeter_bench::spots::{ROUTE_BLOCKS, ROUTE_REPLICAS};

fn route(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("route");
    group.sample_size(20).measurement_time(Duration::from_secs(2));
    for replicas in ROUTE_REPLICAS {
        let mut peer = Peer::new(replicas, ROUTE_BLOCKS);
        group.bench_function(format!("peer/{replicas}"), |bencher| {
            bencher.iter_custom(|times| {
                (0..times).map(|_| clocked(&mut peer, Peer::prepare, Peer::route)).sum()
            });
        });
        drop(peer);
        let mut desk = Replicas::new(replicas, ROUTE_BLOCKS);
        group.bench_function(format!("rampmeter/{replicas}"), |bencher| {
            bencher.iter_custom(|times| {
                (0..times).map(|_| clocked(&mut *desk, Replicas::prepare, Replicas::route)).sum()
            });
        });
    }
    group.finish();
}

/// How long `call` took, after what comes before it.
fn clocked<T>(subject: &mut T, before: impl Fn(&mut T), call: impl Fn(&mut T)) -> Duration {
    before(subject);
    let begin = Instant::now();
    call(subject);
    begin.elapsed()
}

criterion_group!(benches, route);
criterion_main!(benches);
