//! `pack`: how much of a cluster each policy can give away.

use super::{Failure, JsonTarget};
use crate::args::Pack;
use crate::bar::Bar;
use crate::console::Console;
use crate::jobs::{self, PackJob};
use crate::tables;

/// The file is opened first, written last.
pub(super) fn run(args: Pack, console: &mut Console<'_>) -> Result<(), Failure> {
    let job = PackJob {
        nodes: args.nodes,
        tasks: args.tasks,
        policies: args.policy,
        seeds: args.seeds,
        until: args.until,
    };
    let json = JsonTarget::open(args.json.target.as_ref())?;
    let bar = Bar::new(console.err_terminal);
    let runs = jobs::pack(&job, &|done, total, what| bar.tell(done, total, what))?;
    drop(bar);
    if !json.takes_stdout() {
        tables::pack(&runs, console)?;
    }
    json.write(&runs, console)
}
