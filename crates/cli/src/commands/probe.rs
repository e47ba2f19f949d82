//! `probe`: the GPUs of this machine, or why none can be seen.

use std::thread;
use std::time::Duration;

use super::{Failure, JsonTarget, line};
use crate::args::Probe;
use crate::console::Console;
use crate::jobs::{Machine, ProbeJob};
use crate::tables;

/// Looks once, or again and again. That there is no GPU is an answer, not a failure.
pub(super) fn run(args: &Probe, console: &mut Console<'_>) -> Result<(), Failure> {
    let json = JsonTarget::open(args.json.target.as_ref())?;
    if args.watch.is_some() && matches!(json, JsonTarget::File(_)) {
        return Err(Failure::usage("`--watch` writes JSON line by line: `--json -`"));
    }
    let job = ProbeJob {
        fixture: args.fixture.as_deref(),
        library: args.library.as_deref(),
        cuda: args.cuda,
    };
    let mut machine = Machine::new(&job)?;
    let Some(interval) = args.watch else {
        let look = machine.look();
        if !json.takes_stdout() {
            tables::machine(&look, console)?;
        }
        return json.write_whole(&look, console);
    };
    let mut looks = 0_u32;
    loop {
        let look = machine.look();
        looks = looks.saturating_add(1);
        if json.takes_stdout() {
            line(&look, console)?;
        } else {
            tables::machine(&look, console)?;
            writeln!(console.out)?;
            console.out.flush()?;
        }
        if args.looks.is_some_and(|enough| looks >= enough) {
            return Ok(());
        }
        thread::sleep(Duration::from_secs_f64(interval));
    }
}
