//! `replay cluster`: jobs with run times, under placements and queue disciplines.

use super::{Failure, JsonTarget};
use crate::args::ReplayCluster;
use crate::bar::Bar;
use crate::console::Console;
use crate::jobs::{self, ClusterJob};
use crate::tables;

/// Prints a row for each placement with each discipline.
pub(super) fn run(args: ReplayCluster, console: &mut Console<'_>) -> Result<(), Failure> {
    let job = ClusterJob {
        nodes: args.nodes,
        tasks: args.tasks,
        policies: args.policy,
        queues: args.queue,
        restart_s: args.restart,
        checkpoint_s: args.checkpoint,
        interval_s: args.interval,
        mtbf_s: args.mtbf,
        mttr_s: args.mttr,
        seed: args.seed,
    };
    let json = JsonTarget::open(args.json.target.as_ref())?;
    let bar = Bar::new(console.err_terminal);
    let replayed = jobs::replay_cluster(&job, &|done, total, what| bar.tell(done, total, what))?;
    drop(bar);
    if !json.takes_stdout() {
        tables::cluster(&replayed, console)?;
    }
    json.write(&replayed.runs, console)
}
