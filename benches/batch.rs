//! Wall-clock of the calls of the batch desk, next to a simple peer in the same run.
//!
//! `form` and `observe` are timed within whole steps, so that both meet the desk as it is in
//! service; what ends is replaced outside the clock. `submit` is timed in short rounds that are
//! taken back outside it.

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::measurement::WallTime;
use criterion::{
    BenchmarkGroup, BenchmarkId, Criterion, SamplingMode, criterion_group, criterion_main,
};
use rampmeter::share::{Ledger, LedgerOptions};
use rampmeter_bench::Prng;
use rampmeter_bench::desk::{Desk, SUBMIT_ROUND};
use rampmeter_bench::grid::{Call, Point};
use rampmeter_bench::peer::Peer;

/// Short, because there are many: 36 sizes, three calls. The budgets leave room for the noise.
fn group(criterion: &mut Criterion, call: Call) -> BenchmarkGroup<'_, WallTime> {
    let mut group = criterion.benchmark_group(call.name());
    group
        .sampling_mode(SamplingMode::Flat)
        .sample_size(20)
        .nresamples(1_000)
        .warm_up_time(Duration::from_millis(100))
        .measurement_time(Duration::from_millis(500));
    group
}

fn clocked(call: impl FnOnce()) -> Duration {
    let start = Instant::now();
    call();
    start.elapsed()
}

/// What is measured: the desk, or its peer.
trait Subject {
    /// How long `count` submissions took; they are taken back outside the clock.
    fn submit_round(&mut self, count: u32) -> Duration;

    /// How long `call` took in one whole step.
    fn step(&mut self, call: Call) -> Duration;
}

impl Subject for Desk {
    fn submit_round(&mut self, count: u32) -> Duration {
        self.prepare(count);
        let spent = clocked(|| self.submit());
        self.withdraw();
        spent
    }

    fn step(&mut self, call: Call) -> Duration {
        let formed = clocked(|| self.form());
        self.run_engine();
        let observed = clocked(|| self.observe());
        self.refill();
        if call == Call::Form { formed } else { observed }
    }
}

impl Subject for Peer {
    fn submit_round(&mut self, count: u32) -> Duration {
        let spent = clocked(|| {
            for id in 0..count {
                self.submit(black_box(id.into()), 800, 600);
            }
        });
        self.withdraw(count as usize);
        spent
    }

    fn step(&mut self, call: Call) -> Duration {
        let formed = clocked(|| _ = black_box(self.form()));
        let observed = clocked(|| _ = black_box(self.observe()));
        self.refill();
        if call == Call::Form { formed } else { observed }
    }
}

/// Clocks `calls` submissions in short rounds.
fn submissions(subject: &mut impl Subject, calls: u64) -> Duration {
    let (mut spent, mut left) = (Duration::ZERO, calls);
    while left > 0 {
        let count = left.min(SUBMIT_ROUND.into()) as u32;
        spent += subject.submit_round(count);
        left -= u64::from(count);
    }
    spent
}

fn measure(criterion: &mut Criterion, name: &BenchmarkId, subject: &mut impl Subject) {
    group(criterion, Call::Submit).bench_function(name.clone(), |bencher| {
        bencher.iter_custom(|calls| submissions(subject, calls));
    });
    for call in [Call::Form, Call::Observe] {
        group(criterion, call).bench_function(name.clone(), |bencher| {
            bencher.iter_custom(|steps| (0..steps).map(|_| subject.step(call)).sum());
        });
    }
}

/// Each size of the peer, which knows no accounts, right before the desks of that size: on a busy
/// machine both suffer alike.
fn desks(criterion: &mut Criterion) {
    let mut measured = None;
    for point in Point::asked_for() {
        let size = (point.running, point.waiting);
        if measured != Some(size) {
            measured = Some(size);
            let name = BenchmarkId::new("peer", format!("{}-{}", size.0, size.1));
            measure(criterion, &name, &mut Peer::new(size.0, size.1));
        }
        let name = BenchmarkId::new("rampmeter", point);
        measure(criterion, &name, &mut *Desk::new(point));
    }
}

fn charge(criterion: &mut Criterion) {
    let options = LedgerOptions { lanes: 2, ..LedgerOptions::default() };
    let mut ledger = Ledger::new(&options).unwrap();
    let accounts: Vec<_> = (0..1_024).map(|_| ledger.open(None, 1.0).unwrap()).collect();
    for account in &accounts {
        ledger.arrive(0, *account).unwrap();
    }
    let mut prng = Prng(7);
    criterion.bench_function("ledger_charge/1024", |bencher| {
        bencher.iter(|| {
            let account = accounts[prng.below(1_024) as usize];
            ledger.charge(0, account, black_box(5.0)).unwrap();
        });
    });
}

criterion_group!(benches, desks, charge);
criterion_main!(benches);
