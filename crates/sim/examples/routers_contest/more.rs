//! Caches that tell what they hold, slower tiers, adapters, a cold start, and pairs.

use std::thread;

use rampmeter_sim::results::{ServingRun, mean};
use rampmeter_sim::serving::replicas::cases::{Case, Setting, pairs};
use rampmeter_sim::serving::replicas::{
    ReplicaOptions, RouterKind, Seen, pairs as halves, serve_watched,
};

use crate::{Outcome, SEED, Size};

/// A router, and whether it is told of what the case is about.
type Contender = (RouterKind, bool);

pub(crate) fn tables(size: Size) -> Outcome<()> {
    for case in Case::ALL {
        println!("\n{}", case.name());
        header();
        let mut contenders: Vec<Contender> = RouterKind::ALL.map(|kind| (kind, true)).into();
        contenders.insert(contenders.len() - 1, (RouterKind::Rampmeter, false));
        each(&contenders, move |contender, seed| of_case(case, size, contender, seed), size)?;
    }
    println!("\npairs: two link groups, half of the replicas of each compute prompts");
    header();
    let contenders = RouterKind::ALL.map(|kind| (kind, true));
    each(&contenders, move |(kind, _), seed| of_pairs(size, kind, seed), size)
}

/// All contenders at once, a row each in their order.
fn each(
    contenders: &[Contender],
    serve: impl Fn(Contender, u64) -> Outcome<(ServingRun, Seen)> + Copy + Send + 'static,
    size: Size,
) -> Outcome<()> {
    let start = |contender: &Contender| {
        let contender = *contender;
        thread::spawn(move || -> Outcome<(ServingRun, Seen)> {
            let (mut runs, mut seen) = (Vec::new(), Seen::default());
            for seed in SEED..SEED + size.seeds {
                let (run, of_run) = serve(contender, seed)?;
                runs.push(run);
                seen.add(&of_run);
            }
            Ok((mean(&runs.iter().collect::<Vec<_>>()).ok_or("no seeds")?, seen))
        })
    };
    let handles: Vec<_> = contenders.iter().map(start).collect();
    for ((kind, told), handle) in contenders.iter().zip(handles) {
        let (run, seen) = handle.join().map_err(|_| "a run panicked")??;
        let name = if *told { kind.name().to_owned() } else { format!("{kind}, untold") };
        print(&name, &run, &seen, size);
    }
    Ok(())
}

fn of_case(
    case: Case,
    size: Size,
    (kind, told): Contender,
    seed: u64,
) -> Outcome<(ServingRun, Seen)> {
    let Setting { workload, engine, options, untold, load } =
        case.setting(size.replicas, size.minutes, seed)?;
    let told = if told { options.told } else { untold };
    let options = ReplicaOptions { told, ..options };
    Ok(serve_watched(&workload, &engine, kind, &options, Some(load), seed)?)
}

fn of_pairs(size: Size, kind: RouterKind, seed: u64) -> Outcome<(ServingRun, Seen)> {
    let (workload, engine, options) = pairs((size.replicas / 4).max(1), size.minutes, seed)?;
    Ok(halves::serve(&workload, &engine, kind, &options, None, seed)?)
}

fn header() {
    println!(
        "  {:<18}{:>9}{:>9}{:>9}{:>9}{:>11}{:>7}{:>7}{:>9}{:>8}{:>8}{:>9}",
        "router",
        "ttft_s",
        "p50",
        "p99",
        "tpot_ms",
        "attainment",
        "hits",
        "loads",
        "foreseen",
        "blocks",
        "ttft_s",
        "hand_ms"
    );
}

/// Seconds and shares, adapters loaded in a run, and what was foreseen less what was seen: share of
/// requests with exactly as many blocks, mean blocks apart, seconds to the first token, and the
/// milliseconds that KV took from one replica to another.
fn print(name: &str, run: &ServingRun, seen: &Seen, size: Size) {
    let Some(felt) = run.classes.values().find(|felt| felt.offered > 0) else { return };
    print!(
        "  {name:<18}{:>9.3}{:>9.3}{:>9.3}{:>9.1}{:>11.4}{:>7.3}{:>7}",
        felt.ttft_s.mean,
        felt.ttft_s.p50,
        felt.ttft_s.p99,
        felt.tpot_s.mean * 1e3,
        felt.attainment,
        run.prefix_hit_rate,
        seen.adapter_loads / size.seeds,
    );
    if seen.cached_blocks.count == 0 {
        println!();
        return;
    }
    let blocks = &seen.cached_blocks;
    println!(
        "{:>9.4}{:>8.2}{:>+8.3}{:>+9.2}",
        blocks.exact_ratio(),
        blocks.mean(),
        seen.ttft_s.bias(),
        seen.transfer_s.bias() * 1e3
    );
}
