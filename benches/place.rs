//! Wall-clock of one placement in a cluster that is nine tenths full. Budgets at 1,213 nodes: 2 us
//! with `fgd`, 3.5 us with the default measure, 40 us for a shape that comes for the first time; at
//! 100,000 nodes at most 1.5 times that.

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use rampmeter::policy::Measure;
use rampmeter_bench::cluster::Cluster;

const MEASURES: [Measure; 3] = [Measure::Value, Measure::Fgd, Measure::BestFit];

fn place(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("place");
    for nodes in [1_213, 100_000] {
        for measure in MEASURES {
            let mut cluster = Cluster::new(nodes, measure);
            let name = format!("{}/{nodes}", Measure::NAMES[measure as usize]);
            let mut measure_as = |name: String, prepare: fn(&mut Cluster)| {
                group.bench_function(name, |bencher| {
                    bencher.iter_custom(|times| {
                        let mut spent = Duration::ZERO;
                        for _ in 0..times {
                            prepare(&mut cluster);
                            let begin = Instant::now();
                            black_box(cluster.place());
                            spent += begin.elapsed();
                        }
                        spent
                    });
                });
            };
            measure_as(name.clone(), Cluster::prepare);
            if nodes == 1_213 && measure != Measure::BestFit {
                measure_as(format!("{name}_unseen"), Cluster::prepare_unseen);
            }
        }
    }
    group.finish();
}

criterion_group!(benches, place);
criterion_main!(benches);
