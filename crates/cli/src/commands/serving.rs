//! `highway` and `replay serving`.

use std::path::PathBuf;

use rampmeter_sim::InputError;
use rampmeter_sim::report::{self, Report};

use super::{Failure, JsonTarget};
use crate::args::{Highway, ReplayServing, Serving};
use crate::bar::Bar;
use crate::console::Console;
use crate::jobs::{self, Requests, ServingJob};
use crate::output::{self, Output};
use crate::tables;

/// The demo.
pub(super) fn highway(
    args: Highway,
    command_line: &str,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let job = ServingJob {
        requests: Requests::Generated { preset: args.preset, minutes: args.minutes },
        mix: args.serving.mix.clone(),
        engine: args.limits.engine(&args.engine),
        policies: args.policy,
        gates: args.gate,
        loads: args.load,
        seed: args.serving.seed,
        seeds: args.serving.seeds,
        slowdown: args.serving.slowdown,
        replicas: 1,
        routers: Vec::new(),
    };
    run(&job, &args.serving, args.picture, command_line, console)
}

/// A recorded trace.
pub(super) fn replay(
    args: ReplayServing,
    command_line: &str,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let job = ServingJob {
        requests: Requests::Trace {
            spec: args.trace,
            rate_per_s: args.rate,
            lengths: args.lengths,
        },
        mix: args.serving.mix.clone(),
        engine: args.limits.engine(&args.engine),
        policies: args.policy,
        gates: args.gate,
        loads: args.load,
        seed: args.serving.seed,
        seeds: args.serving.seeds,
        slowdown: args.serving.slowdown,
        replicas: args.replicas,
        routers: args.router.into_iter().filter(|name| name != "none").collect(),
    };
    run(&job, &args.serving, None, command_line, console)
}

/// Files are opened first, written last.
fn run(
    job: &ServingJob,
    args: &Serving,
    picture: Option<PathBuf>,
    command_line: &str,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    jobs::check(job)?;
    distinct(&[
        ("--report", args.report.as_ref()),
        ("--picture", picture.as_ref()),
        ("--json", args.json.target.as_ref()),
    ])?;
    let open = |path: Option<PathBuf>| {
        path.map(|path| Output::open(&path).map(|file| (path, file))).transpose()
    };
    let page = open(args.report.clone())?;
    let picture = open(picture)?;
    let json = JsonTarget::open(args.json.target.as_ref())?;

    let bar = Bar::new(console.err_terminal);
    let served = jobs::serve(job, &|done, total, policy| bar.tell(done, total, policy))?;
    drop(bar);

    let mut means = served.means(job.seeds);
    for run in means.iter_mut().filter(|run| run.router != "none") {
        // Rows and curves are told apart by one name.
        let behind = format!(" behind {}", run.router);
        run.policy.push_str(&behind);
        run.variant.push_str(&behind);
    }
    let report = Report {
        command: command_line.to_owned(),
        engine: served.engine,
        engine_source: served.engine_source,
        workload: served.workload,
        seed: job.seed,
        seeds: job.seeds,
        classes: served.classes,
        attainment_min_ratio: served.attainment_min_ratio,
        runs: means,
    };
    let shows_table = !json.takes_stdout();
    // All are written before the first gets its name.
    let json = json.fill(&served.runs)?;
    let mut filled = Vec::new();
    if let Some((path, file)) = page {
        filled.push(("Report", path, file.fill(report::html(&report).as_bytes())?));
    }
    if let Some((path, file)) = picture {
        filled.push(("Picture", path, file.fill(report::picture(&report).as_bytes())?));
    }
    let mut written = Vec::new();
    for (what, path, file) in filled {
        file.publish()?;
        written.push(format!("{what}: {}", path.display()));
    }
    if shows_table {
        tables::serving(&report, &served.runs, args.show, console)?;
        for line in &written {
            writeln!(console.out, "{line}")?;
        }
    }
    json.publish(console)
}

/// Two results in one file would leave the second only.
fn distinct(files: &[(&str, Option<&PathBuf>)]) -> Result<(), Failure> {
    for (index, (option, path)) in files.iter().enumerate() {
        for (earlier, other) in &files[..index] {
            if let (Some(path), Some(other)) = (path, other)
                && output::same(path, other)
            {
                let problem = format!("`{}` is already taken by {earlier}", path.display());
                return Err(InputError::new(option, problem).into());
            }
        }
    }
    Ok(())
}
