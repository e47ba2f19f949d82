//! Wall-clock of one admission in each state that a newcomer may find, next to a simple peer in the
//! same run. Budget: 50 ns. Timed in short rounds that are taken back outside the clock.

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use rampmeter_bench::entrance::{Entrance, Found, Peer, ROUND};

/// Clocks `calls` of them, a round at a time.
fn rounds(calls: u64, mut round: impl FnMut(u32) -> Duration) -> Duration {
    let (mut spent, mut left) = (Duration::ZERO, calls);
    while left > 0 {
        let count = left.min(ROUND.into()) as u32;
        spent += round(count);
        left -= u64::from(count);
    }
    spent
}

fn admit(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("admit");
    group.sample_size(20).measurement_time(Duration::from_secs(1));
    for found in Found::ALL {
        let peer = Peer::new(found);
        group.bench_function(format!("peer/{}", found.name()), |bencher| {
            bencher.iter_custom(|calls| {
                rounds(calls, |count| {
                    let begin = Instant::now();
                    for _ in 0..count {
                        black_box(black_box(&peer).admit());
                    }
                    let spent = begin.elapsed();
                    peer.withdraw(found, count);
                    spent
                })
            });
        });
        let mut entrance = Entrance::new(found);
        group.bench_function(format!("rampmeter/{}", found.name()), |bencher| {
            bencher.iter_custom(|calls| {
                rounds(calls, |count| {
                    entrance.prepare(count);
                    let begin = Instant::now();
                    entrance.admit();
                    let spent = begin.elapsed();
                    entrance.withdraw();
                    spent
                })
            });
        });
    }
    group.finish();
}

criterion_group!(benches, admit);
criterion_main!(benches);
