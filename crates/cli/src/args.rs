//! The grammar of the command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use rampmeter::share::rank::{DAMPING_MAX, DAMPING_MIN};
use rampmeter_sim::cluster::pack::{UNTIL_MAX, UNTIL_MIN};
use rampmeter_sim::engine::Slowdown;

use crate::help;
use crate::jobs::{EngineChoice, EngineOverrides};
use crate::tables::View;

/// GPU scheduling policies on real traffic: what users feel, next to how busy the GPU is.
#[derive(Debug, Parser)]
#[command(name = "rampmeter", version, about, max_term_width = 100)]
#[command(after_help = help::exit_codes())]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// The demo: one engine, rising load, policies side by side
    Highway(Highway),
    /// Run a recorded trace in the simulator
    #[command(subcommand)]
    Replay(Replay),
    /// Pack a cluster with tasks that never leave: how much of it can be given away
    Pack(Pack),
    /// Compare the simulator with a measured engine run
    Validate(Validate),
    /// Fit step-time coefficients to measured tables
    Fit(Fit),
    /// Show where every account of a tree stands: shares, usage, rank, what it may count on
    Share(Share),
    /// Show the GPUs of this machine, or why none can be seen
    Probe(Probe),
    /// Check a policy document, show it with every default, list the presets
    #[command(subcommand)]
    Policy(PolicyCommand),
}

#[derive(Debug, Subcommand)]
pub(crate) enum Replay {
    /// Requests to a language model, through an engine's batches
    Serving(ReplayServing),
    /// Jobs with run times, through a cluster: placement by queue discipline
    Cluster(ReplayCluster),
}

#[derive(Debug, Args)]
#[command(after_help = help::highway())]
pub(crate) struct Highway {
    /// Kind of service that the requests imitate
    #[arg(long, value_name = "NAME", default_value = "chat")]
    pub(crate) preset: String,
    /// Minutes of traffic at the service's own rate; a load stretches or squeezes them
    #[arg(long, value_name = "N", default_value_t = 10.0, value_parser = minutes)]
    pub(crate) minutes: f64,
    /// Offered work over what saturated FCFS completes
    #[arg(long, value_name = "X,...", value_delimiter = ',', value_parser = load,
        default_value = help::LOADS_DEFAULT)]
    pub(crate) load: Vec<f64>,
    /// Policies to compare; see below for those compared by default
    #[arg(
        long,
        value_name = "NAME|FILE,...",
        value_delimiter = ',',
        hide_default_value = true,
        default_value = help::POLICIES_DEFAULT
    )]
    pub(crate) policy: Vec<String>,
    /// Gates before the engine; each policy runs behind each
    #[arg(long, value_name = "NAME,...", value_delimiter = ',', default_value = "none")]
    pub(crate) gate: Vec<String>,
    /// Write utilization and attainment over load as an SVG picture
    #[arg(long, value_name = "OUT.svg")]
    pub(crate) picture: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) serving: Serving,
    /// Engine profile, or folder of measured tables
    #[arg(long, value_name = "PROFILE|DIR", default_value = help::PROFILE_DEFAULT)]
    pub(crate) engine: String,
    #[command(flatten)]
    pub(crate) limits: EngineLimits,
}

#[derive(Debug, Args)]
#[command(after_help = help::replay())]
pub(crate) struct ReplayServing {
    /// The trace; its format is guessed where it is not given
    #[arg(long, value_name = "PATH[:FORMAT]")]
    pub(crate) trace: String,
    /// Engine profile, or folder of measured tables
    #[arg(long, value_name = "PROFILE|DIR")]
    pub(crate) engine: String,
    #[command(flatten)]
    pub(crate) limits: EngineLimits,
    /// Policies to compare
    #[arg(long, value_name = "NAME|FILE,...", value_delimiter = ',', required = true)]
    pub(crate) policy: Vec<String>,
    /// Offered work over what saturated FCFS completes; without it arrivals stay as recorded
    #[arg(long, value_name = "X,...", value_delimiter = ',', value_parser = load)]
    pub(crate) load: Vec<f64>,
    /// Requests a second, for a trace without arrivals (`lengths`)
    #[arg(long, value_name = "R", value_parser = rate)]
    pub(crate) rate: Option<f64>,
    /// File that request lengths are drawn from, for a trace without them (`servegen`)
    #[arg(long, value_name = "FILE")]
    pub(crate) lengths: Option<PathBuf>,
    /// Gates before each engine; each policy runs behind each
    #[arg(long, value_name = "NAME,...", value_delimiter = ',', default_value = "none")]
    pub(crate) gate: Vec<String>,
    /// Engines that share the requests
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = replicas)]
    pub(crate) replicas: u32,
    /// Who picks the replica; needed for more than one
    #[arg(long, value_name = "NAME,...", value_delimiter = ',', default_value = "none")]
    pub(crate) router: Vec<String>,
    #[command(flatten)]
    pub(crate) serving: Serving,
}

#[derive(Debug, Args)]
#[command(after_help = help::replay_cluster())]
pub(crate) struct ReplayCluster {
    /// The nodes: a list, or so many equal ones with so many GPUs each
    #[arg(long, value_name = "PATH|NxG[:MODEL]")]
    pub(crate) nodes: String,
    /// The jobs; their format is guessed where it is not given
    #[arg(long, value_name = "PATH[:FORMAT]")]
    pub(crate) tasks: String,
    /// Who chooses the nodes
    #[arg(long, value_name = "NAME|FILE,...", value_delimiter = ',', default_value = "rampmeter")]
    pub(crate) policy: Vec<String>,
    /// Who chooses the jobs
    #[arg(long, value_name = "NAME,...", value_delimiter = ',',
        default_value = help::QUEUES_DEFAULT)]
    pub(crate) queue: Vec<String>,
    /// Seconds on its GPUs that a job needs to go on after it was stopped
    #[arg(long, value_name = "SECONDS", default_value_t = help::RESTART_S_DEFAULT,
        value_parser = seconds)]
    pub(crate) restart: f64,
    /// Jobs save their state each time they have worked for so long, and lose the rest when they
    /// are stopped; without it they save it on their way out
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) checkpoint: Option<f64>,
    /// Decide at multiples of this only; 0: after every event
    #[arg(long, value_name = "SECONDS", default_value_t = 0.0, value_parser = seconds)]
    pub(crate) interval: f64,
    /// Seconds that each node is up between failures, on average; without it none fails
    #[arg(long, value_name = "SECONDS", value_parser = long_seconds)]
    pub(crate) mtbf: Option<f64>,
    /// Seconds that it is down then, on average
    #[arg(long, value_name = "SECONDS", default_value_t = help::MTTR_S_DEFAULT,
        value_parser = long_seconds)]
    pub(crate) mttr: f64,
    /// Seed of failures
    #[arg(long, value_name = "N", default_value_t = 42, value_parser = seed)]
    pub(crate) seed: u64,
    #[command(flatten)]
    pub(crate) json: Json,
}

/// What every serving run takes.
#[derive(Debug, Args)]
pub(crate) struct Serving {
    /// How requests get their class and account
    #[arg(long, value_name = "a|b|pair|single", default_value = "a")]
    pub(crate) mix: String,
    /// Seed of everything random
    #[arg(long, value_name = "N", default_value_t = 42, value_parser = seed)]
    pub(crate) seed: u64,
    /// Run with so many seeds, from --seed on, and show their means; a recorded trace stays as it
    /// is, and only classes and accounts are drawn anew
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = seeds)]
    pub(crate) seeds: u32,
    /// What the table is about
    #[arg(long, value_name = "VIEW", value_enum, default_value_t, hide_possible_values = true)]
    pub(crate) show: View,
    /// Let every step that starts at that simulated second or later take FACTOR times as long;
    /// policies are told the usual step times
    #[arg(long, value_name = "FACTOR@SECONDS", value_parser = slowdown)]
    pub(crate) slowdown: Option<Slowdown>,
    /// Write a report: one self-contained page with plots
    #[arg(long, value_name = "OUT.html")]
    pub(crate) report: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) json: Json,
}

#[derive(Debug, Args)]
pub(crate) struct EngineLimits {
    /// GPUs that share every layer: picks `tpN` of the tables
    #[arg(long, value_name = "N", value_parser = tensor_parallel)]
    tp: Option<u32>,
    /// Blocks of the KV cache
    #[arg(long, value_name = "N", value_parser = kv_blocks)]
    kv_blocks: Option<u32>,
    /// Requests that may run at once
    #[arg(long, value_name = "N", value_parser = seats)]
    seats: Option<u32>,
    /// Tokens that one step may compute
    #[arg(long, value_name = "N", value_parser = step_tokens)]
    step_tokens: Option<u32>,
}

impl EngineLimits {
    /// The engine `spec` under these limits.
    pub(crate) fn engine(&self, spec: &str) -> EngineChoice {
        EngineChoice {
            spec: spec.to_owned(),
            tensor_parallel: self.tp,
            kv_blocks: self.kv_blocks,
            running_max: self.seats,
            step_tokens_max: self.step_tokens,
        }
    }
}

/// Figures for programs.
#[derive(Debug, Args)]
pub(crate) struct Json {
    /// Write figures as JSON; with `-` standard output carries nothing else
    #[arg(id = "json", long = "json", value_name = "FILE|-")]
    pub(crate) target: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(after_help = help::pack())]
pub(crate) struct Pack {
    /// The nodes: a list, or so many equal ones
    #[arg(long, value_name = "PATH|NxG[:MODEL]")]
    pub(crate) nodes: String,
    /// Lists of tasks, each packed on its own
    #[arg(long, value_name = "PATH,...", value_delimiter = ',', required = true)]
    pub(crate) tasks: Vec<PathBuf>,
    /// Policies to compare
    #[arg(long, value_name = "NAME,...", value_delimiter = ',',
        default_value = help::PACK_POLICIES_DEFAULT)]
    pub(crate) policy: Vec<String>,
    /// Run with so many seeds, from 42 on, and show their means
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = seeds)]
    pub(crate) seeds: u32,
    /// GPUs that tasks ask for before the run ends, over those that there are
    #[arg(long, value_name = "X", default_value_t = 1.3, value_parser = until)]
    pub(crate) until: f64,
    #[command(flatten)]
    pub(crate) json: Json,
}

#[derive(Debug, Args)]
pub(crate) struct Validate {
    /// Folder of the measured run
    #[arg(long, value_name = "DIR")]
    pub(crate) measured: PathBuf,
    /// Folder of measured tables; the run's tensor parallelism picks `tpN`
    #[arg(long, value_name = "DIR")]
    pub(crate) tables: PathBuf,
    /// Fail (exit 1) if any error is larger, in percent
    #[arg(long, value_name = "PCT", value_parser = percent)]
    pub(crate) max_error: Option<f64>,
    /// Blocks of the KV cache, where the run did not record them
    #[arg(long, value_name = "N", value_parser = kv_blocks)]
    pub(crate) kv_blocks: Option<u32>,
    #[command(flatten)]
    pub(crate) json: Json,
}

#[derive(Debug, Args)]
#[command(after_help = help::fit())]
pub(crate) struct Fit {
    /// Folder of measured tables
    #[arg(long, value_name = "DIR")]
    pub(crate) tables: PathBuf,
    /// GPUs that share every layer: picks `tpN` of the tables
    #[arg(long, value_name = "N", value_parser = tensor_parallel)]
    pub(crate) tp: Option<u32>,
    /// Fail (exit 1) if the mean error over all steps is larger, in percent
    #[arg(long, value_name = "PCT", value_parser = percent)]
    pub(crate) max_error: Option<f64>,
    #[command(flatten)]
    pub(crate) json: Json,
}

#[derive(Debug, Args)]
#[command(after_help = help::share())]
pub(crate) struct Share {
    /// The accounts and their state; see below
    #[arg(long, value_name = "FILE")]
    pub(crate) tree: PathBuf,
    /// How past usage becomes a rank; without it as the file says, else by Fair Tree
    #[arg(long, value_name = "fair-tree|classic", value_enum, hide_possible_values = true)]
    pub(crate) ranking: Option<RankingArg>,
    /// What differences are divided by in the classic ranking [default: 1]
    #[arg(long, value_name = "D", value_parser = damping)]
    pub(crate) damping: Option<f64>,
    /// Say why the account with this path (such as `physics/ann`) is where it is
    #[arg(long, value_name = "PATH")]
    pub(crate) account: Option<String>,
    #[command(flatten)]
    pub(crate) json: Json,
}

#[derive(Debug, Args)]
#[command(after_help = help::probe())]
pub(crate) struct Probe {
    /// Look again at this interval, until there was enough
    #[arg(long, value_name = "SECONDS", value_parser = interval)]
    pub(crate) watch: Option<f64>,
    /// With --watch, end after so many looks
    #[arg(long, value_name = "N", value_parser = looks, requires = "watch")]
    pub(crate) looks: Option<u32>,
    /// Start CUDA in this process, too, and show which number it gives to each device
    #[arg(long)]
    pub(crate) cuda: bool,
    /// The driver's NVML library, where it is not where drivers put it
    #[arg(long, value_name = "FILE", conflicts_with = "fixture")]
    pub(crate) library: Option<PathBuf>,
    /// A machine that is elsewhere: what `probe --json` wrote there
    #[arg(long, value_name = "FILE", conflicts_with = "cuda")]
    pub(crate) fixture: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) json: Json,
}

/// A ranking by past usage.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum RankingArg {
    /// Level by level.
    FairTree,
    /// All levels in one number.
    Classic,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// Say whether a policy document is valid (exit 1 if it is not)
    Check(PolicyFile),
    /// Print a policy document, or a preset, with every default
    #[command(after_help = help::presets())]
    Show(PolicyFileOrPreset),
    /// List the presets
    Presets(Presets),
}

#[derive(Debug, Args)]
pub(crate) struct PolicyFile {
    /// The document, TOML or JSON
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) json: Json,
}

#[derive(Debug, Args)]
pub(crate) struct PolicyFileOrPreset {
    /// The document, TOML or JSON, or the name of a preset; without it the default preset
    #[arg(value_name = "FILE|PRESET")]
    pub(crate) file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) json: Json,
}

#[derive(Debug, Args)]
pub(crate) struct Presets {
    #[command(flatten)]
    pub(crate) json: Json,
}

fn load(text: &str) -> Result<f64, String> {
    real(text, 0.001, 1000.0)
}

fn rate(text: &str) -> Result<f64, String> {
    real(text, 1e-6, 1e6)
}

/// From a few requests to a day of them.
fn minutes(text: &str) -> Result<f64, String> {
    real(text, 0.1, 1440.0)
}

fn until(text: &str) -> Result<f64, String> {
    real(text, UNTIL_MIN, UNTIL_MAX)
}

/// Up to a year.
fn seconds(text: &str) -> Result<f64, String> {
    real(text, 0.0, 31_536_000.0)
}

/// From a second to thirty years.
fn long_seconds(text: &str) -> Result<f64, String> {
    real(text, 1.0, 1e9)
}

/// As often as anything changes that the driver tells, to once a day.
fn interval(text: &str) -> Result<f64, String> {
    real(text, 0.2, 86_400.0)
}

/// A week of looks, one a second, is fewer.
fn looks(text: &str) -> Result<u32, String> {
    count(text, 1_000_000)
}

fn damping(text: &str) -> Result<f64, String> {
    real(text, DAMPING_MIN, DAMPING_MAX)
}

fn percent(text: &str) -> Result<f64, String> {
    real(text, 0.0, 1e6)
}

fn real(text: &str, min: f64, max: f64) -> Result<f64, String> {
    let outside = || format!("must be a number in {min}..={max}");
    let value: f64 = text.trim().parse().map_err(|_| outside())?;
    if (min..=max).contains(&value) { Ok(value) } else { Err(outside()) }
}

fn tensor_parallel(text: &str) -> Result<u32, String> {
    count(text, EngineOverrides::TENSOR_PARALLEL_MAX)
}

fn kv_blocks(text: &str) -> Result<u32, String> {
    count(text, EngineOverrides::KV_BLOCKS_MAX)
}

fn seats(text: &str) -> Result<u32, String> {
    count(text, EngineOverrides::RUNNING_MAX)
}

fn step_tokens(text: &str) -> Result<u32, String> {
    count(text, EngineOverrides::STEP_TOKENS_MAX)
}

/// As many engines as the books can tell apart.
fn replicas(text: &str) -> Result<u32, String> {
    count(text, 65_536)
}

fn seed(text: &str) -> Result<u64, String> {
    whole(text, 0, u64::MAX)
}

/// Enough for any confidence that a mean can need.
fn seeds(text: &str) -> Result<u32, String> {
    count(text, 1_000)
}

fn slowdown(text: &str) -> Result<Slowdown, String> {
    text.parse()
}

fn count(text: &str, max: u32) -> Result<u32, String> {
    whole(text, 1, u64::from(max)).map(|value| value as u32)
}

fn whole(text: &str, min: u64, max: u64) -> Result<u64, String> {
    let value = text.trim().parse().ok().filter(|value| (min..=max).contains(value));
    value.ok_or_else(|| format!("must be a whole number in {min}..={max}"))
}
