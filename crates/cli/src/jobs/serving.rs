//! Policies by loads by seeds over one kind of requests.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use rampmeter::policy::Policy;
use rampmeter_sim::InputError;
use rampmeter_sim::engine::{Engine, Slowdown};
use rampmeter_sim::report::ClassTarget;
use rampmeter_sim::results::{ServingRun, mean};
use rampmeter_sim::serving::replay::replay;
use rampmeter_sim::serving::replicas::{self, REPLICAS_MAX, ReplicaOptions, RouterKind};
use rampmeter_sim::serving::{Contender, GateKind, PolicySpec, RunOptions, capacity};
use rampmeter_sim::trace::{self, ReadOptions};
use rampmeter_sim::workload::{Extent, Generator, Mix, Preset, Workload};

use super::parallel::in_parallel;
use super::{EngineChoice, about, document, named, once};

/// Where requests come from.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Requests {
    /// The workload generator.
    Generated {
        /// Kind of service.
        preset: String,
        /// Minutes at the service's own rate.
        minutes: f64,
    },
    /// A recorded trace.
    Trace {
        /// `PATH[:FORMAT]`.
        spec: String,
        /// For a trace without arrivals.
        rate_per_s: Option<f64>,
        /// For a trace without lengths.
        lengths: Option<PathBuf>,
    },
}

/// Policies by loads over one workload.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ServingJob {
    /// The requests.
    pub(crate) requests: Requests,
    /// How they get classes and accounts.
    pub(crate) mix: String,
    /// The engine that serves them.
    pub(crate) engine: EngineChoice,
    /// Policies as named on the command line.
    pub(crate) policies: Vec<String>,
    /// Gates as named on the command line: each policy runs behind each.
    pub(crate) gates: Vec<String>,
    /// Loads; none means as recorded.
    pub(crate) loads: Vec<f64>,
    /// Seed of everything random, the first of `seeds`.
    pub(crate) seed: u64,
    /// Seeds that everything is run with.
    pub(crate) seeds: u32,
    /// An engine that changes its speed.
    pub(crate) slowdown: Option<Slowdown>,
    /// Engines that share the requests.
    pub(crate) replicas: u32,
    /// Routers as named on the command line; without one there is one engine.
    pub(crate) routers: Vec<String>,
}

/// What came out.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Served {
    /// Name of the engine.
    pub(crate) engine: String,
    /// Where its step times come from.
    pub(crate) engine_source: String,
    /// Where the requests of the first seed come from.
    pub(crate) workload: String,
    /// Classes in order of precedence.
    pub(crate) classes: Vec<ClassTarget>,
    /// Share of requests that must meet their targets for the service to count as good.
    pub(crate) attainment_min_ratio: f64,
    /// Policy by policy, load by load, seed by seed.
    pub(crate) runs: Vec<ServingRun>,
}

impl Served {
    /// One run for each policy and load: the mean over `seeds` seeds.
    pub(crate) fn means(&self, seeds: u32) -> Vec<ServingRun> {
        let groups = self.runs.chunks(seeds.max(1) as usize);
        groups.filter_map(|group| mean(&group.iter().collect::<Vec<_>>())).collect()
    }
}

fn contenders(job: &ServingJob) -> Result<Vec<Contender>, InputError> {
    job.policies.iter().map(|name| name.parse()).collect()
}

/// A policy, and what stands before it.
struct Row {
    contender: Contender,
    gate: GateKind,
    router: Option<RouterKind>,
}

/// Routers by gates by policies; without a router, gates by policies.
fn rows_of(job: &ServingJob) -> Result<Vec<Row>, InputError> {
    let contenders = contenders(job)?;
    let gates: Vec<GateKind> =
        job.gates.iter().map(|name| name.parse()).collect::<Result<_, _>>()?;
    once("--gate", &gates)?;
    let routers: Vec<RouterKind> =
        job.routers.iter().map(|name| name.parse()).collect::<Result<_, _>>()?;
    once("--router", &routers)?;
    let alone = routers.is_empty().then_some(None);
    let mut rows = Vec::new();
    for router in routers.into_iter().map(Some).chain(alone) {
        for gate in &gates {
            let row =
                |contender: &Contender| Row { contender: contender.clone(), gate: *gate, router };
            rows.extend(contenders.iter().map(row));
        }
    }
    Ok(rows)
}

/// Refuses a job that names something unknown, or the same thing twice, before anything is read.
pub(crate) fn check(job: &ServingJob) -> Result<(), InputError> {
    let contenders = contenders(job)?;
    once("--policy", &contenders)?;
    once("--load", &job.loads)?;
    rows_of(job)?;
    if job.replicas > 1 && job.routers.is_empty() {
        let problem = format!("{} replicas need a --router", job.replicas);
        return Err(InputError::new("--replicas", problem));
    }
    if u64::from(job.replicas) > REPLICAS_MAX {
        let problem = format!("`{}` is outside 1..={REPLICAS_MAX}", job.replicas);
        return Err(InputError::new("--replicas", problem));
    }
    for policy in contenders.iter().flat_map(Contender::variants) {
        if let PolicySpec::Rampmeter { document: Some(path) } = policy {
            document(path)??;
        }
    }
    named::<Mix>("--mix", &job.mix)?;
    if let Requests::Generated { preset, .. } = &job.requests {
        named::<Preset>("--preset", preset)?;
    }
    last_seed(job).map(|_| ())
}

fn last_seed(job: &ServingJob) -> Result<u64, InputError> {
    let last = job.seed.checked_add(u64::from(job.seeds.saturating_sub(1)));
    last.ok_or_else(|| {
        let problem = format!("{} seeds from {} on go beyond {}", job.seeds, job.seed, u64::MAX);
        InputError::new("--seeds", problem)
    })
}

fn workload(job: &ServingJob, seed: u64) -> Result<Workload, InputError> {
    let trace = match &job.requests {
        Requests::Generated { preset, minutes } => {
            let preset: Preset = named("--preset", preset)?;
            let extent = Extent::Seconds(minutes * 60.0);
            Generator { extent, ..Generator::new(preset, seed) }.generate()?
        }
        Requests::Trace { spec, rate_per_s, lengths } => {
            let spec = trace::Spec::parse(spec)?;
            let options = ReadOptions {
                seed,
                rate_per_s: *rate_per_s,
                lengths: lengths.clone(),
                ..ReadOptions::default()
            };
            trace::read(&spec.path, spec.format()?, &options)?
        }
    };
    named::<Mix>("--mix", &job.mix)?.apply(trace, seed)
}

/// One run to do.
struct Task<'a> {
    row: usize,
    spec: &'a PolicySpec,
    load: Option<f64>,
    workload: &'a Workload,
}

/// Runs every policy at every load with every seed, on all cores. `tell` hears how many runs are
/// done, of how many, and the policy that comes next.
///
/// Requests of one seed are held at a time.
pub(crate) fn serve(
    job: &ServingJob,
    tell: &(dyn Fn(u64, u64, &str) + Sync),
) -> Result<Served, InputError> {
    let rows = rows_of(job)?;
    let steady = Engine::load(&job.engine.spec, &job.engine.overrides())?;
    let engine = job.slowdown.map_or_else(|| steady.clone(), |slowdown| slowdown.apply(&steady));
    let variants: usize = rows.iter().map(|row| row.contender.variants().len()).sum();
    let each_seed = variants * job.loads.len().max(1);
    let total = each_seed as u64 * u64::from(job.seeds);
    let begun = AtomicU64::new(0);

    let mut first: Option<Workload> = None;
    // By seed; within each by policy, variant, load.
    let mut by_seed: Vec<Vec<ServingRun>> = Vec::new();
    for seed in job.seed..=last_seed(job)? {
        let recorded = workload(job, seed)?;
        // A load is a share of what the engine completes at its usual speed.
        let workloads = at_loads(&recorded, &steady, &job.loads, job.replicas)?;
        let tasks: Vec<Task<'_>> = (0..)
            .zip(&rows)
            .flat_map(|(at, row)| row.contender.variants().iter().map(move |spec| (at, spec)))
            .flat_map(|(row, spec)| {
                let at_load = workloads.iter();
                at_load.map(move |(load, workload)| Task { row, spec, load: *load, workload })
            })
            .collect();
        by_seed.push(in_parallel(&tasks, |task| {
            let name = task.spec.to_string();
            tell(begun.fetch_add(1, Ordering::Relaxed), total, &name);
            let Task { row, spec, load, workload } = *task;
            let Row { contender, gate, router } = &rows[row];
            let options = RunOptions::default();
            let served = match *router {
                None => replay(workload, &engine, spec, *gate, options, load, seed),
                Some(router) => {
                    let (policy, gate) = (spec.clone(), *gate);
                    let fleet =
                        ReplicaOptions { policy, gate, ..ReplicaOptions::new(job.replicas) };
                    replicas::serve(workload, &engine, router, &fleet, load, seed)
                }
            };
            let mut run = served.map_err(|error| about(name, &error))?;
            run.policy = contender.to_string();
            Ok(run)
        })?);
        first.get_or_insert(recorded);
    }
    let recorded = first.ok_or_else(|| InputError::new("--seeds", "0 is outside 1..=1000"))?;
    let classes: Vec<ClassTarget> = recorded.classes.iter().map(target).collect();
    Ok(Served {
        engine: engine.name.clone(),
        engine_source: engine.source.clone(),
        workload: recorded.source.clone(),
        attainment_min_ratio: Policy::default().objectives.attainment_min_ratio,
        runs: shown(&rows, job.loads.len().max(1), &by_seed, &first_class(&recorded)),
        classes,
    })
}

fn target(class: &rampmeter::policy::Class) -> ClassTarget {
    ClassTarget {
        name: class.name.clone(),
        ttft_s: class.ttft_target.as_seconds(),
        tpot_s: class.tpot_target.as_seconds(),
    }
}

/// The class that goes first, of those that have requests.
fn first_class(workload: &Workload) -> String {
    let first = workload.requests.iter().map(|request| usize::from(request.class)).min();
    first
        .and_then(|index| workload.classes.get(index))
        .map(|class| class.name.clone())
        .unwrap_or_default()
}

/// The runs that are shown: policy by policy, load by load, seed by seed, of each policy the
/// variant that was best at that load over all seeds.
fn shown(rows: &[Row], loads: usize, by_seed: &[Vec<ServingRun>], class: &str) -> Vec<ServingRun> {
    let mut shown = Vec::new();
    let mut start = 0;
    for row in rows {
        let variants = row.contender.variants().len();
        for load in 0..loads {
            let of_variant = |variant: usize| -> Vec<ServingRun> {
                let place = start + variant * loads + load;
                by_seed.iter().filter_map(|runs| runs.get(place)).cloned().collect()
            };
            let mut runs: Vec<Vec<ServingRun>> = (0..variants).map(of_variant).collect();
            shown.append(&mut runs.swap_remove(Contender::best(class, &runs)));
        }
        start += variants * loads;
    }
    shown
}

/// The workload at each load, or as recorded where none is asked for.
fn at_loads(
    recorded: &Workload,
    engine: &Engine,
    loads: &[f64],
    replicas: u32,
) -> Result<Vec<(Option<f64>, Workload)>, InputError> {
    if loads.is_empty() {
        return Ok(vec![(None, recorded.clone())]);
    }
    let measured =
        capacity::measure(recorded, engine).map_err(|error| about(&recorded.source, &error))?;
    let mut workloads = Vec::new();
    for load in loads {
        let mut workload = recorded.clone();
        capacity::rescale(&mut workload, measured.arrival_factor(*load, replicas)?);
        workloads.push((Some(*load), workload));
    }
    Ok(workloads)
}
