//! Instructions of the calls of the batch desk, of routing and admission, of a placement and a cycle,
//! counted by Valgrind: the same on a busy machine.
//!
//! Everything around the call happens outside the count: it starts and stops with the method of the
//! fixture that makes the call.

#![allow(missing_docs, reason = "the macros below write items without them")]

use std::hint::black_box;

use gungraun::prelude::*;
use gungraun::{Callgrind, EntryPoint};
use rampmeter::policy::{Backfill, Measure, PendingOrder};
use rampmeter_bench::cluster::Cluster;
use rampmeter_bench::desk::Desk;
use rampmeter_bench::entrance::{Entrance, Found, ROUND};
use rampmeter_bench::grid::Point;
use rampmeter_bench::instructions::{ADMISSIONS, DECISIONS, PASSES, ROUTES, STEPS, SUBMISSIONS};
use rampmeter_bench::queue::Queue;
use rampmeter_bench::replicas::Replicas;
use rampmeter_bench::spots::{ROUTE_BLOCKS_COUNTED, ROUTE_REPLICAS};

/// Counts only what happens inside this method of a fixture.
fn within(method: &str) -> LibraryBenchmarkConfig {
    let method = format!("rampmeter_bench::{method}");
    let mut callgrind = Callgrind::with_args(["--cache-sim=no"]);
    callgrind.entry_point(EntryPoint::Custom(method));
    let mut config = LibraryBenchmarkConfig::default();
    config.tool(callgrind);
    config
}

fn steps(desk: &mut Desk) {
    for _ in 0..STEPS {
        desk.form();
        desk.run_engine();
        desk.observe();
        desk.refill();
    }
}

#[library_benchmark(config = within("desk::Desk::submit"))]
#[benches::at(iter = Point::few(), setup = Desk::new)]
fn submit(mut desk: Box<Desk>) -> Box<Desk> {
    desk.prepare(SUBMISSIONS);
    desk.submit();
    black_box(desk)
}

#[library_benchmark(config = within("desk::Desk::form"))]
#[benches::at(iter = Point::few(), setup = Desk::new)]
fn form(mut desk: Box<Desk>) -> Box<Desk> {
    steps(&mut desk);
    black_box(desk)
}

#[library_benchmark(config = within("desk::Desk::observe"))]
#[benches::at(iter = Point::few(), setup = Desk::new)]
fn observe(mut desk: Box<Desk>) -> Box<Desk> {
    steps(&mut desk);
    black_box(desk)
}

fn replicas(count: u32) -> Box<Replicas> {
    Replicas::new(count, ROUTE_BLOCKS_COUNTED)
}

#[library_benchmark(config = within("replicas::Replicas::route"))]
#[benches::at(iter = ROUTE_REPLICAS, setup = replicas)]
fn route(mut replicas: Box<Replicas>) -> Box<Replicas> {
    for _ in 0..ROUTES {
        replicas.prepare();
        replicas.route();
    }
    black_box(replicas)
}

#[library_benchmark(config = within("entrance::Entrance::admit"))]
#[benches::at(iter = Found::ALL, setup = Entrance::new)]
fn admit(mut entrance: Box<Entrance>) -> Box<Entrance> {
    for _ in 0..ADMISSIONS / ROUND {
        entrance.prepare(ROUND);
        entrance.admit();
        entrance.withdraw();
    }
    black_box(entrance)
}

#[library_benchmark(config = within("cluster::Cluster::place"))]
#[bench::fgd(Cluster::new(1_213, Measure::Fgd), Cluster::prepare)]
#[bench::value(Cluster::new(1_213, Measure::Value), Cluster::prepare)]
#[bench::fgd_unseen(Cluster::new(1_213, Measure::Fgd), Cluster::prepare_unseen)]
#[bench::value_unseen(Cluster::new(1_213, Measure::Value), Cluster::prepare_unseen)]
fn place(mut cluster: Cluster, prepare: fn(&mut Cluster)) -> Cluster {
    for _ in 0..DECISIONS {
        prepare(&mut cluster);
        black_box(cluster.place());
    }
    black_box(cluster)
}

#[library_benchmark(config = within("queue::Queue::cycle"))]
#[bench::dominant_share_easy(Queue::new(PendingOrder::DominantShare, Backfill::Easy, false))]
fn cycle(mut queue: Queue) -> Queue {
    for _ in 0..PASSES {
        queue.prepare(false);
        black_box(queue.cycle());
    }
    black_box(queue)
}

library_benchmark_group!(name = desk, benchmarks = [submit, form, observe]);
library_benchmark_group!(name = door, benchmarks = [route, admit]);
library_benchmark_group!(name = cluster, benchmarks = [place, cycle]);

main!(library_benchmark_groups = desk, door, cluster);
