//! What can be known of a run without running it.

use rampmeter::Nanos;
use rampmeter::fleet::{Demand, DeviceDemand};
use rampmeter::policy::Measure;

use super::traffic::Arrival;
use super::{Bursts, Case, Felt, Ground, Hold, Load, NEIGHBOUR_RATIO, Placement, Traffic, run};

fn ground() -> Ground {
    Ground::generated().expect("there are nodes, shapes and run times")
}

fn task(at_s: f64, run_s: f64, count: u8, is_interactive: bool) -> Arrival {
    let demand =
        Demand { devices: DeviceDemand::Whole { count, memory_mib: 0 }, ..Demand::default() };
    let [at, duration] = [at_s, run_s].map(Nanos::from_seconds);
    Arrival { at, duration, demand, is_interactive }
}

fn felt(arrivals: Vec<Arrival>, measure: Measure, has_interference: bool) -> Felt {
    let traffic = Traffic { arrivals, counted_from: Nanos::ZERO, interactive: [1.0, 1.0] };
    let case = Case { placement: Placement::Fixed(measure), hold: Hold::None, has_interference };
    run(&ground(), &traffic, &case).expect("there is room")
}

#[test]
fn as_much_is_asked_for_as_the_load_says() {
    let ground = ground();
    for (load, bursts) in [(0.5, Bursts::Poisson), (1.05, Bursts::Times(2.5))] {
        let load = Load { load, bursts, span_s: 86_400.0, warm_s: 0.0 };
        let arrivals = ground.traffic(&load, 7).arrivals;
        let asked =
            |task: &Arrival| f64::from(task.demand.gpu_milli()) / 1e3 * task.duration.as_seconds();
        let (all, urgent): (f64, f64) = arrivals.iter().fold((0.0, 0.0), |(all, urgent), task| {
            (all + asked(task), urgent + if task.is_interactive { asked(task) } else { 0.0 })
        });
        let wanted = load.load * ground.gpus() * load.span_s;
        assert!((all / wanted - 1.0).abs() < 0.01, "{all} of {wanted}");
        assert!((urgent / all - super::traffic::INTERACTIVE_SHARE).abs() < 0.01);
        assert!(arrivals.is_sorted_by_key(|task| task.at));
        assert!(arrivals.iter().all(|task| task.at <= Nanos::from_seconds(load.span_s)));
    }
}

#[test]
fn nobody_is_late_on_an_empty_cluster() {
    let arrivals = (0..20).map(|at| task(f64::from(at), 500.0, 2, at % 2 == 0)).collect();
    let felt = felt(arrivals, Measure::Random, false);
    assert_eq!((felt.delay_s, felt.attainment), (0.0, 1.0));
}

/// The last one comes when all others are gone: until then devices are held for as long as asked.
#[test]
fn what_was_asked_for_is_held() {
    let mut arrivals: Vec<Arrival> =
        (0..50).map(|at| task(f64::from(at), 300.0, 1 + (at % 4) as u8, at % 3 == 0)).collect();
    let asked: f64 = arrivals.iter().map(|task| f64::from(task.demand.gpu_milli()) * 0.3).sum();
    arrivals.push(task(10_000.0, 1.0, 1, false));
    let held = felt(arrivals, Measure::Packing, false).held * ground().gpus() * 10_000.0;
    assert!((held / asked - 1.0).abs() < 1e-9, "{held} of {asked}");
}

#[test]
fn neighbours_slow_each_other_down() {
    let pair = || vec![task(0.0, 1_000.0, 1, false), task(0.0, 1_000.0, 1, false)];
    let together = felt(pair(), Measure::Packing, true);
    assert!((together.batch_s - 1_000.0 * NEIGHBOUR_RATIO).abs() < 1e-6, "{together:?}");
    assert_eq!(felt(pair(), Measure::Packing, false).batch_s, 0.0);
}
