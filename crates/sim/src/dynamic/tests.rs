//! The simulator keeps its books, and the desk comes near the best schedule that hindsight finds.

use ::rampmeter::Nanos;
use ::rampmeter::batch::dynamic::Options;
use ::rampmeter::engine::LatencyCurve;

use super::arrivals::{Process, workload};
use super::peers::Fixed;
use super::{Item, Rampmeter, Server, run};

fn server(instances: u32) -> Server {
    let curve = LatencyCurve::linear(5e-3, 1e-3).unwrap();
    Server { curve, batch_size_max: 8, instances }
}

fn desk(server: &Server) -> Rampmeter {
    let options = Options::new(server.batch_size_max, server.curve.clone());
    Rampmeter::new(&Options { instances: server.instances, ..options }).unwrap()
}

/// The most requests that one instance can answer in time, knowing everything: every order of
/// batches made of runs of the not yet served, in order of deadline. Exchanging two requests of a
/// batch never helps, so that subsets by deadline are enough; all of them are tried.
fn most_in_time(server: &Server, items: &[Item], now: u64, left: u32) -> u32 {
    let mut best = 0;
    for set in 1..=left {
        if set & !left != 0 || set.count_ones() > server.batch_size_max {
            continue;
        }
        let members = || (0..items.len()).filter(|index| set & 1 << index != 0);
        // A batch begins when the last of its requests is there: later is never better.
        let start = members().map(|index| items[index].arrival.get()).max().unwrap().max(now);
        let took = Nanos::from_seconds(server.curve.seconds(set.count_ones()));
        let end = start + took.get();
        // A request that would be late has no place in the best schedule.
        if members().all(|index| end <= items[index].deadline.get()) {
            let rest = most_in_time(server, items, end, left & !set);
            best = best.max(set.count_ones() + rest);
        }
    }
    best
}

#[test]
fn comes_near_the_best_schedule_of_hindsight() {
    let server = server(1);
    let (mut ours, mut greedy, mut best, mut all) = (0.0, 0.0, 0, 0);
    for seed in 0..120 {
        let load = [0.5, 1.0, 2.0][seed as usize % 3];
        let rate = load * server.rate_per_s();
        let items = workload(Process::Poisson, rate, &[9e-3, 14e-3, 40e-3], 7, seed);
        let count = items.len() as f64;
        let most = most_in_time(&server, &items, 0, (1 << items.len()) - 1);
        let mine = run(&server, &items, &mut desk(&server)).attainment(&items) * count;
        assert!(mine <= f64::from(most) + 1e-9, "seed {seed}: {mine} of at most {most}");
        let mut peer = Fixed::new(8, &[], Nanos::ZERO, false);
        greedy += run(&server, &items, &mut peer).attainment(&items) * count;
        ours += mine;
        best += most;
        all += items.len();
    }
    println!("in time: desk {ours}, greedy {greedy}, hindsight {best}, of {all}");
    assert!(ours > 0.85 * f64::from(best), "{ours} of {best}");
    assert!(ours > greedy, "{ours} against {greedy}");
}

#[test]
fn a_batch_takes_what_the_curve_says() {
    let server = server(1);
    let at = |ms| Item { arrival: Nanos::from_millis(ms), deadline: Nanos::from_millis(ms + 50) };
    let items = [at(0), at(1), at(2)];
    let outcome = run(&server, &items, &mut Fixed::new(8, &[], Nanos::ZERO, false));
    // One alone for 6 ms, then two together for 7.
    let answered: Vec<u64> = outcome.answered.iter().map(|at| at.unwrap().get()).collect();
    assert_eq!(answered, [6_000_000, 13_000_000, 13_000_000]);
    assert_eq!((outcome.batches, outcome.attainment(&items)), (2, 1.0));
    let (mean_s, p99_s) = outcome.latency_s(&items);
    assert!((mean_s - 29e-3 / 3.0).abs() < 1e-12 && p99_s == 12e-3, "{mean_s} {p99_s}");
}

/// Poisson arrivals to one instance that serves singly: M/D/1, whose mean wait is known.
#[test]
fn single_service_waits_as_pollaczek_and_khinchine_say() {
    let server = Server { batch_size_max: 1, ..server(1) };
    let items = workload(Process::Poisson, 0.7 / 6e-3, &[1.0], 60_000, 7);
    let outcome = run(&server, &items, &mut Fixed::new(1, &[], Nanos::ZERO, false));
    let expected_s = 6e-3 + 0.7 * 6e-3 / (2.0 * 0.3);
    let (mean_s, _) = outcome.latency_s(&items);
    assert!((mean_s / expected_s - 1.0).abs() < 0.05, "{mean_s} against {expected_s}");
}

/// Overload: who can still be in time is not kept waiting behind who cannot.
#[test]
fn overload_does_not_make_everybody_late() {
    let server = Server { batch_size_max: 32, ..server(1) };
    let items = workload(Process::Poisson, 1.3 * server.rate_per_s(), &[90e-3], 8_000, 3);
    let ours = run(&server, &items, &mut desk(&server)).attainment(&items);
    let fixed = run(&server, &items, &mut Fixed::new(32, &[], Nanos::ZERO, true));
    // At most 1 / 1.3 can be in time.
    assert!(ours > 0.6 && ours < 0.8, "{ours}");
    assert!(ours > fixed.attainment(&items) + 0.2);
}
