//! Instructions of the calls of the batch desk, counted by Valgrind: the same on a busy machine.
//!
//! Everything around the call happens outside the count: it starts and stops with the method of
//! [`Desk`] that makes the call.

#![allow(missing_docs, reason = "the macros below write items without them")]

use std::hint::black_box;

use gungraun::prelude::*;
use gungraun::{Callgrind, EntryPoint};
use rampmeter_bench::desk::Desk;
use rampmeter_bench::grid::Point;
use rampmeter_bench::instructions::{STEPS, SUBMISSIONS};

/// Counts only what happens inside this method of [`Desk`].
fn within(method: &str) -> LibraryBenchmarkConfig {
    let method = format!("rampmeter_bench::desk::Desk::{method}");
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

#[library_benchmark(config = within("submit"))]
#[benches::at(iter = Point::few(), setup = Desk::new)]
fn submit(mut desk: Box<Desk>) -> Box<Desk> {
    desk.prepare(SUBMISSIONS);
    desk.submit();
    black_box(desk)
}

#[library_benchmark(config = within("form"))]
#[benches::at(iter = Point::few(), setup = Desk::new)]
fn form(mut desk: Box<Desk>) -> Box<Desk> {
    steps(&mut desk);
    black_box(desk)
}

#[library_benchmark(config = within("observe"))]
#[benches::at(iter = Point::few(), setup = Desk::new)]
fn observe(mut desk: Box<Desk>) -> Box<Desk> {
    steps(&mut desk);
    black_box(desk)
}

library_benchmark_group!(name = desk, benchmarks = [submit, form, observe]);

main!(library_benchmark_groups = desk);
