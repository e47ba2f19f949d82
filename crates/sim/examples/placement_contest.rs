//! Placement rules and hold rules side by side, from half a load to more than there is: mean delay by
//! value, and the share of interactive tasks that start within 10 s.
//!
//! `cargo run --release -p rampmeter-sim --example placement_contest [seeds] [days] [list] [first seed] [tables]`
//!
//! By default two seeds, 101 and 102, of a quarter of a day each, with the task list `default`;
//! `generated`, or no shared data: a made-up cluster. Tables are `placements`, `holds` or `all`.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use rampmeter::policy::Measure;
use rampmeter_sim::cluster::contest::{Bursts, Case, Felt, Ground, Hold, Load, Placement, run};
use rampmeter_sim::cluster::{NodeList, ReadOptions, Spec, openb};

const LOADS: [f64; 7] = [0.5, 0.7, 0.8, 0.9, 0.95, 1.0, 1.05];

/// What is tolerated above the best fixed rule: a share of it, or so many seconds.
const TOLERANCE: (f64, f64) = (0.05, 1.5);

const DAY_S: f64 = 86_400.0;

/// Seconds until the cluster is as full as it will be: the longest batch task.
const WARM_S: f64 = 28_800.0;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

struct Contest {
    ground: Ground,
    seeds: Vec<u64>,
    span_s: f64,
}

/// One cell of a table: a load under a case.
type Cell = (Case, f64, Bursts);

fn main() -> Outcome<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, default: f64| words.get(at).map_or(Ok(default), |word| word.parse());
    let (seeds, days, first) = (number(0, 2.0)? as u64, number(1, 0.25)?, number(3, 101.0)? as u64);
    let tables = words.get(4).map_or("all", String::as_str);
    let list = words.get(2).map_or("default", String::as_str);
    let ground = ground(list)?;
    let contest =
        Contest { ground, seeds: (first..first + seeds).collect(), span_s: WARM_S + days * DAY_S };
    let Contest { ground, seeds, .. } = &contest;
    println!(
        "{}: {} nodes, {} GPUs; seeds {seeds:?}, {days} days each\n",
        ground.name,
        ground.nodes.nodes.len(),
        ground.gpus(),
    );
    if tables != "holds" {
        contest.placements(true)?;
        contest.placements(false)?;
    }
    if tables != "placements" {
        let placements = [Placement::Fixed(Measure::Fgd), Placement::RAMPMETER];
        contest.holds(&placements, true)?;
        contest.holds(&placements, false)?;
    }
    Ok(())
}

/// The next cell that nobody works on.
fn take<'a>(next: &AtomicUsize, cells: &'a [Cell]) -> Option<(usize, &'a Cell)> {
    let at = next.fetch_add(1, Ordering::Relaxed);
    Some((at, cells.get(at)?))
}

/// The cluster of a task list, if the shared data is there; else one that is made up.
fn ground(list: &str) -> Outcome<Ground> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let shared = std::env::var_os("RAMPMETER_SHARED").map_or(here, PathBuf::from);
    let made_up = || Ground::generated().ok_or_else(|| "nothing was generated".into());
    let traces = shared.join("traces");
    let nodes_path = traces.join("openb/openb_node_list_gpu_node.csv");
    if list == "generated" || !nodes_path.exists() {
        if list != "generated" {
            println!("no traces at {}: a cluster is made up", traces.display());
        }
        return made_up();
    }
    let mut nodes = NodeList::read(&nodes_path.display().to_string())?;
    let tasks = openb::read(&traces.join(format!("openb/openb_pod_list_{list}.csv")), &mut nodes)?;
    let jobs = format!("{}:philly", traces.join("philly/philly_vc_dev.csv").display());
    let jobs = Spec::parse(&jobs)?.read(ReadOptions { devices_per_node: 8 }, &mut nodes)?;
    Ground::of_lists(&nodes, &tasks, &jobs).ok_or_else(|| "a list is empty".into())
}

impl Contest {
    /// Means over the seeds of each cell, on as many threads as there are cores.
    fn run_all(&self, cells: &[Cell]) -> Outcome<Vec<Felt>> {
        let bar = ProgressBar::with_draw_target(
            Some((cells.len() * self.seeds.len()) as u64),
            ProgressDrawTarget::stderr(),
        );
        bar.set_style(ProgressStyle::with_template("{wide_bar} {pos}/{len} runs, {eta} left")?);
        let next = AtomicUsize::new(0);
        let results = Mutex::new(vec![Ok(Felt::default()); cells.len()]);
        let work = || {
            while let Some((at, cell)) = take(&next, cells) {
                let felt = self.means(cell, &bar);
                if let Ok(mut results) = results.lock() {
                    results[at] = felt;
                }
            }
        };
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(work);
            }
        });
        bar.finish_and_clear();
        let results = results.into_inner().map_err(|_| "a run has failed")?;
        Ok(results.into_iter().collect::<Result<Vec<Felt>, _>>()?)
    }

    fn means(
        &self,
        (case, load, bursts): &Cell,
        bar: &ProgressBar,
    ) -> Result<Felt, rampmeter::Error> {
        let load = Load { load: *load, bursts: *bursts, span_s: self.span_s, warm_s: WARM_S };
        let mut sum = Felt::default();
        let part = 1.0 / self.seeds.len() as f64;
        for seed in &self.seeds {
            let felt = run(&self.ground, &self.ground.traffic(&load, *seed), case)?;
            sum.delay_s += part * felt.delay_s;
            sum.attainment += part * felt.attainment;
            sum.interactive_s += part * felt.interactive_s;
            sum.batch_s += part * felt.batch_s;
            sum.held += part * felt.held;
            bar.inc(1);
        }
        Ok(sum)
    }

    /// Placement by load.
    fn placements(&self, has_interference: bool) -> Outcome<()> {
        let with = if has_interference { "with" } else { "without" };
        println!("mean delay by value, s, {with} interference; nothing is held");
        let cells = Placement::ALL.iter().flat_map(|placement| {
            let case = Case { placement: *placement, hold: Hold::None, has_interference };
            LOADS.map(|load| (case, load, Bursts::Poisson))
        });
        let felt = self.run_all(&cells.collect::<Vec<_>>())?;
        let rows: Vec<&[Felt]> = felt.chunks(LOADS.len()).collect();
        let own = rows.last().ok_or("no rows")?;
        // Those that go by no price that changes.
        let fixed = Placement::ALL.iter().zip(&rows);
        let fixed = fixed.filter(|(placement, _)| !matches!(placement, Placement::Priced(_)));
        let fixed: Vec<&[Felt]> = fixed.map(|(_, row)| *row).collect();
        let best =
            |at: usize| fixed.iter().map(|row| row[at].delay_s).fold(f64::INFINITY, f64::min);
        print!("{:<18}", "placement");
        for load in LOADS {
            print!("{load:>8}");
        }
        println!("{:>12}", "worst loss");
        for (placement, row) in Placement::ALL.iter().zip(&rows) {
            print!("{placement:<18}");
            for felt in *row {
                print!("{:>8.2}", felt.delay_s);
            }
            let losses = row.iter().enumerate().map(|(at, felt)| felt.delay_s - best(at));
            println!("{:>12.2}", losses.fold(f64::NEG_INFINITY, f64::max));
        }
        let too_much = (0..LOADS.len())
            .filter(|at| own[*at].delay_s > best(*at) + TOLERANCE.1.max(TOLERANCE.0 * best(*at)));
        let too_much: Vec<f64> = too_much.map(|at| LOADS[at]).collect();
        println!(
            "rampmeter within max(5%, 1.5 s) of the best fixed rule: {}\n",
            if too_much.is_empty() {
                "at every load".to_owned()
            } else {
                format!("not at {too_much:?}")
            }
        );
        Ok(())
    }

    /// Hold rule by load.
    fn holds(&self, placements: &[Placement], has_interference: bool) -> Outcome<()> {
        let with = if has_interference { "with" } else { "without" };
        let bursts = [Bursts::Times(1.5), Bursts::Times(2.5)].map(|bursts| (0.9, bursts));
        let columns = [(0.9, Bursts::Poisson), (1.0, Bursts::Poisson), bursts[0], bursts[1]];
        println!("{with} interference:");
        println!("mean delay by value, s / % of interactive tasks within 10 s / mean of batch, s");
        print!("{:<16}{:<24}", "placement", "hold");
        for name in ["Poisson .9", "Poisson 1.0", "bursts 1.5x .9", "bursts 2.5x .9"] {
            print!("{name:>24}");
        }
        println!();
        let rows: Vec<(Placement, Hold)> = placements
            .iter()
            .flat_map(|placement| Hold::ALL.map(|hold| (*placement, hold)))
            .collect();
        let cells = rows.iter().flat_map(|(placement, hold)| {
            let case = Case { placement: *placement, hold: *hold, has_interference };
            columns.map(|(load, bursts)| (case, load, bursts))
        });
        let felt = self.run_all(&cells.collect::<Vec<_>>())?;
        for ((placement, hold), row) in rows.iter().zip(felt.chunks(columns.len())) {
            print!("{placement:<16}{hold:<24}");
            for Felt { delay_s, attainment, batch_s, .. } in row {
                print!(
                    "{:>24}",
                    format!("{delay_s:.2} / {:.2} / {batch_s:.0}", 100.0 * attainment)
                );
            }
            println!();
        }
        println!();
        Ok(())
    }
}
